"""Base of the cells of recurrent layers: weights, dropout, initial state."""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import Context
from typing import Any

from hornbeam import activations, constraints, initializers, ops, random, regularizers
from hornbeam._internal.typing import ActivationLike, PartialShape, Tree
from hornbeam._internal.validation import check_int, check_rate
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import ConstraintLike, InitializerLike, RegularizerLike
from hornbeam.core.variable import Variable
from hornbeam.layers.layer import Layer


class DropoutMasks:
    """The dropout masks of a cell, drawn once for a sequence."""

    dropout: float
    recurrent_dropout: float
    seed_generator: random.SeedGenerator
    _input_mask: Tensor | None = None
    _state_mask: Tensor | None = None
    # Context outside of the loop over steps, in which a cell inside of a user's cell draws its masks.
    _outside: Context | None = None

    def get_dropout_mask(self, step_input: Tensor) -> Tensor:
        """Return the mask for inputs, the same until `reset_dropout_masks`.

        Args:
            step_input: Inputs (batch, features) of one step.
        """
        if self._input_mask is None:
            self._input_mask = self._draw_mask(step_input, self.dropout)
        return self._input_mask

    def get_recurrent_dropout_mask(self, state: Tensor) -> Tensor:
        """Return the mask for the state, the same until `reset_dropout_masks`.

        Args:
            state: State (batch, units).
        """
        if self._state_mask is None:
            self._state_mask = self._draw_mask(state, self.recurrent_dropout)
        return self._state_mask

    def _draw_mask(self, like: Tensor, rate: float) -> Tensor:
        def draw() -> Tensor:
            return random.dropout(ops.ones(like.shape, dtype=like.dtype), rate, seed=self.seed_generator)

        return draw() if self._outside is None else self._outside.run(draw)

    def draw_outside(self, context: Context | None) -> None:
        """Draw masks in this context; None for that of the call.

        A loop traces its body more than once: a mask that is drawn inside would be of a discarded trace.
        """
        object.__setattr__(self, "_outside", context)

    def reset_dropout_masks(self) -> None:
        """Discard the masks, so that new ones are drawn."""
        self._input_mask = self._state_mask = None


class _Cell(Layer, DropoutMasks):
    """Base of the three cells: weights, dropout, initial state."""

    gates: int
    state_count: int = 1
    # Rank of the sequences that `project` takes at once.
    sequence_rank: int = 3

    def __init__(
        self,
        units: int,
        activation: ActivationLike,
        use_bias: bool,
        kernel_initializer: InitializerLike,
        recurrent_initializer: InitializerLike,
        bias_initializer: InitializerLike,
        kernel_regularizer: RegularizerLike,
        recurrent_regularizer: RegularizerLike,
        bias_regularizer: RegularizerLike,
        kernel_constraint: ConstraintLike,
        recurrent_constraint: ConstraintLike,
        bias_constraint: ConstraintLike,
        dropout: float,
        recurrent_dropout: float,
        seed: int | None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        owner = type(self).__name__
        self.units = check_int("units", units, minimum=1, where=owner)
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.recurrent_initializer = initializers.get(recurrent_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.recurrent_regularizer = regularizers.get(recurrent_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.recurrent_constraint = constraints.get(recurrent_constraint)
        self.bias_constraint = constraints.get(bias_constraint)
        self.dropout = check_rate("dropout", dropout, where=owner)
        self.recurrent_dropout = check_rate("recurrent_dropout", recurrent_dropout, where=owner)
        self.seed = seed
        self.seed_generator = random.SeedGenerator(seed)
        self.output_size: Any = self.units
        self.state_size: int | Sequence[int] = (
            self.units if self.state_count == 1 else [self.units] * self.state_count
        )

    def build(self, input_shape: PartialShape) -> None:
        width = self.gates * self.units
        self.kernel = self._weight("kernel", (input_shape[-1], width), "kernel")
        self.recurrent_kernel = self._weight("recurrent_kernel", (self.units, width), "recurrent")
        self.bias = (
            self._weight("bias", self._bias_shape(), "bias", self._bias_initializer())
            if self.use_bias
            else None
        )

    def _bias_shape(self) -> tuple[int, ...]:
        return (self.gates * self.units,)

    def _bias_initializer(self) -> InitializerLike:
        return self.bias_initializer

    def _weight(
        self, name: str, shape: tuple[int, ...], kind: str, initializer: InitializerLike = None
    ) -> Variable:
        return self.add_weight(
            shape,
            initializer or getattr(self, f"{kind}_initializer"),
            regularizer=getattr(self, f"{kind}_regularizer"),
            constraint=getattr(self, f"{kind}_constraint"),
            name=name,
        )

    def project(self, inputs: Tensor, training: bool | None = False) -> Tensor:
        """Multiply inputs (batch, features) or (batch, steps, features) by the kernel and add the bias.

        Args:
            inputs: Inputs of one step or of all.
            training: Whether dropout is applied.
        """
        if training and self.dropout:
            mask = self.get_dropout_mask(inputs if inputs.ndim == 2 else inputs[:, 0])
            inputs = inputs * (mask if inputs.ndim == 2 else ops.expand_dims(mask, 1))
        outputs = ops.matmul(inputs, self.kernel)
        return outputs if self.bias is None else outputs + self._input_bias()

    def _input_bias(self) -> Any:
        return self.bias

    def advance(
        self, projected: Tensor, states: Sequence[Tensor], training: bool | None = False
    ) -> tuple[Tensor, list[Tensor]]:
        """Compute one step.

        Args:
            projected: Result of `project` for the step.
            states: States before the step.
            training: Whether dropout is applied.

        Returns:
            Output (batch, units) and list of new states.
        """
        raise NotImplementedError

    def run_sequence(
        self,
        inputs: Tensor,
        states: Sequence[Tensor],
        mask: Tensor | None,
        reverse: bool,
        training: bool | None,
    ) -> tuple[Tensor, list[Tensor]] | None:
        """Compute all steps of a sequence by one operation.

        Args:
            inputs: Sequences (batch, steps, features).
            states: States before the first step.
            mask: Booleans (batch, steps), or None.
            reverse: Whether the sequences are processed from their ends.
            training: Whether dropout is applied.

        Returns:
            Outputs in the order of time and the last states; or None if no operation does this: with dropout
            between steps, other activations, or in a subclass with its own step.
        """
        return None

    def _is_plain(self, kind: type, training: bool | None) -> bool:
        """True if every step is that of the class `kind`, with default activations and without dropout."""
        cls = type(self)
        return (
            cls.advance is kind.advance  # type: ignore[attr-defined]
            and cls.call is _Cell.call
            and self.activation is activations.tanh
            and getattr(self, "recurrent_activation", None) is activations.sigmoid
            and not (training and self.recurrent_dropout)
        )

    def _drop_state(self, state: Tensor, training: bool | None) -> Tensor:
        return (
            state * self.get_recurrent_dropout_mask(state) if training and self.recurrent_dropout else state
        )

    def call(self, inputs: Tensor, states: Tree, training: bool = False) -> Tree:
        state_list = list(states) if isinstance(states, (list, tuple)) else [states]
        output, new = self.advance(self.project(inputs, training), state_list, training)
        return output, new if isinstance(states, (list, tuple)) else new[0]

    def get_initial_state(self, batch_size: int | None = None) -> list[Tensor]:
        """Return zeros (batch, units) for each state.

        Args:
            batch_size: Number of samples.
        """
        shape: Any = (batch_size, self.units)
        return [ops.zeros(shape, dtype=self.compute_dtype) for _ in range(self.state_count)]
