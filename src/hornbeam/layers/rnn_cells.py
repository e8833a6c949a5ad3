"""Cells, the steps of recurrent layers: SimpleRNNCell, LSTMCell, GRUCell, StackedRNNCells.

A cell of this library has two halves: `project(inputs)`, which does not depend on the state and is computed
for all steps at once, and `advance(projected, states)`, the step itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hornbeam import activations, constraints, initializers, ops, random, regularizers, tree
from hornbeam import primitives as p
from hornbeam._internal.validation import check_int, check_rate
from hornbeam.core.convert import as_tensor, cast_node
from hornbeam.core.registry import deserialize, exported
from hornbeam.core.tensor import Tensor
from hornbeam.ir.autodiff import outputs_of
from hornbeam.ir.node import Node
from hornbeam.layers.config import constructor_arguments
from hornbeam.layers.layer import Layer

if TYPE_CHECKING:
    from hornbeam._internal.typing import (
        ActivationLike,
        ConstraintLike,
        InitializerLike,
        RegularizerLike,
        Shape,
        Tree,
    )


class DropoutMasks:
    """The dropout masks of a cell, drawn once for a sequence."""

    dropout: float
    recurrent_dropout: float
    seed_generator: random.SeedGenerator
    _input_mask: Tensor | None = None
    _state_mask: Tensor | None = None

    def get_dropout_mask(self, step_input: Tensor) -> Tensor:
        """Return the mask for inputs, the same until `reset_dropout_masks`.

        Args:
            step_input: Inputs (batch, features) of one step.
        """
        if self._input_mask is None:
            self._input_mask = random.dropout(
                ops.ones_like(step_input), self.dropout, seed=self.seed_generator
            )
        return self._input_mask

    def get_recurrent_dropout_mask(self, state: Tensor) -> Tensor:
        """Return the mask for the state, the same until `reset_dropout_masks`.

        Args:
            state: State (batch, units).
        """
        if self._state_mask is None:
            self._state_mask = random.dropout(
                ops.ones_like(state), self.recurrent_dropout, seed=self.seed_generator
            )
        return self._state_mask

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
        self.state_size: Any = self.units if self.state_count == 1 else [self.units] * self.state_count

    def build(self, input_shape: Shape) -> None:
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

    def _bias_initializer(self) -> Any:
        return self.bias_initializer

    def _weight(self, name: str, shape: tuple[int, ...], kind: str, initializer: Any = None) -> Any:
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
            between
            steps, other activations, or in a subclass with its own step.
        """
        return None

    def _operands(self, x: Tensor, *others: Any, mask: Any) -> list[Node]:
        """Cast all operands to the dtype of `x`. The mask, if any, is the last one."""
        masks = [] if mask is None else [as_tensor(mask).node]
        return [x.node, *(cast_node(other, x.dtype) for other in others), *masks]

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
        return [
            ops.zeros((batch_size, self.units), dtype=self.compute_dtype) for _ in range(self.state_count)
        ]


@exported("keras.layers")
class SimpleRNNCell(_Cell):
    """Step of `SimpleRNN`: `h' = activation(x @ kernel + h @ recurrent_kernel + bias)`. The output is h'.

    Shapes: x (batch, features), h (batch, units); kernel (features, units), recurrent_kernel (units, units),
    bias (units,).

    Args:
        units: Size of the output and of the state.
        activation: Activation function of the output, by name or as a function.
        use_bias: Whether a bias is added.
        kernel_initializer: Initializer of the kernel.
        recurrent_initializer: Initializer of the recurrent kernel.
        bias_initializer: Initializer of the bias.
        kernel_regularizer: Penalty on the kernel that is added to the loss.
        recurrent_regularizer: Penalty on the recurrent kernel that is added to the loss.
        bias_regularizer: Penalty on the bias that is added to the loss.
        kernel_constraint: Function applied to the kernel after each update.
        recurrent_constraint: Function applied to the recurrent kernel after each update.
        bias_constraint: Function applied to the bias after each update.
        dropout: Fraction of the inputs that are dropped in training, in [0, 1).
        recurrent_dropout: Fraction of the recurrent state that is dropped in training, in [0, 1).
        seed: Seed of the random state; drawn at random by default.
        **kwargs: Arguments of `Layer`: `name`, `dtype`, `trainable`, ...

    Raises:
        ValueError: If `units` is below 1 or a rate is outside [0, 1).

    Example:
        >>> cell = hornbeam.layers.SimpleRNNCell(4)
        >>> y, states = cell(np.ones((2, 3)), cell.get_initial_state(2))
    """

    gates = 1

    def __init__(
        self,
        units: int,
        activation: ActivationLike = "tanh",
        use_bias: bool = True,
        kernel_initializer: InitializerLike = "glorot_uniform",
        recurrent_initializer: InitializerLike = "orthogonal",
        bias_initializer: InitializerLike = "zeros",
        kernel_regularizer: RegularizerLike = None,
        recurrent_regularizer: RegularizerLike = None,
        bias_regularizer: RegularizerLike = None,
        kernel_constraint: ConstraintLike = None,
        recurrent_constraint: ConstraintLike = None,
        bias_constraint: ConstraintLike = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**constructor_arguments(locals()))

    def advance(
        self, projected: Tensor, states: Sequence[Tensor], training: bool | None = False
    ) -> tuple[Tensor, list[Tensor]]:
        h = self.activation(
            projected + ops.matmul(self._drop_state(states[0], training), self.recurrent_kernel)
        )
        return h, [h]


@exported("keras.layers")
class LSTMCell(_Cell):
    """Step of `LSTM`: `c' = f * c + i * g`, `h' = o * activation(c')`. The output is h'.

    The gates are i, f, o = recurrent_activation(z) and g = activation(z) of z = x @ kernel + h @
    recurrent_kernel + bias, split into four in the order i, f, g, o.

    Shapes: x (batch, features), h and c (batch, units); kernel (features, 4 * units), recurrent_kernel
    (units, 4 * units), bias (4 * units,).

    Args:
        units: Size of the output and of the states.
        activation: Activation function of the output, by name or as a function.
        recurrent_activation: Activation function of the gates.
        use_bias: Whether a bias is added.
        kernel_initializer: Initializer of the kernel.
        recurrent_initializer: Initializer of the recurrent kernel.
        bias_initializer: Initializer of the bias.
        unit_forget_bias: Whether the bias of the forget gate starts at 1 (Jozefowicz et al. 2015).
        kernel_regularizer: Penalty on the kernel that is added to the loss.
        recurrent_regularizer: Penalty on the recurrent kernel that is added to the loss.
        bias_regularizer: Penalty on the bias that is added to the loss.
        kernel_constraint: Function applied to the kernel after each update.
        recurrent_constraint: Function applied to the recurrent kernel after each update.
        bias_constraint: Function applied to the bias after each update.
        dropout: Fraction of the inputs that are dropped in training, in [0, 1).
        recurrent_dropout: Fraction of the recurrent state that is dropped in training, in [0, 1).
        seed: Seed of the random state; drawn at random by default.
        **kwargs: Arguments of `Layer`: `name`, `dtype`, `trainable`, ...

    Raises:
        ValueError: If `units` is below 1 or a rate is outside [0, 1).

    Example:
        >>> cell = hornbeam.layers.LSTMCell(4)
        >>> y, (h, c) = cell(np.ones((2, 3)), cell.get_initial_state(2))

    Source: Hochreiter and Schmidhuber 1997.
    """

    gates = 4
    state_count = 2

    def __init__(
        self,
        units: int,
        activation: ActivationLike = "tanh",
        recurrent_activation: ActivationLike = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: InitializerLike = "glorot_uniform",
        recurrent_initializer: InitializerLike = "orthogonal",
        bias_initializer: InitializerLike = "zeros",
        unit_forget_bias: bool = True,
        kernel_regularizer: RegularizerLike = None,
        recurrent_regularizer: RegularizerLike = None,
        bias_regularizer: RegularizerLike = None,
        kernel_constraint: ConstraintLike = None,
        recurrent_constraint: ConstraintLike = None,
        bias_constraint: ConstraintLike = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        arguments = constructor_arguments(locals())
        del arguments["recurrent_activation"], arguments["unit_forget_bias"]
        super().__init__(**arguments)
        self.recurrent_activation = activations.get(recurrent_activation)
        self.unit_forget_bias = unit_forget_bias

    def _bias_initializer(self) -> Any:
        if not self.unit_forget_bias:
            return self.bias_initializer

        def initialize(shape: Any, dtype: Any = None) -> Tensor:
            input_bias = self.bias_initializer((self.units,), dtype=dtype)
            forget_bias = ops.ones((self.units,), dtype=dtype)
            other_biases = self.bias_initializer((2 * self.units,), dtype=dtype)
            return ops.concatenate([input_bias, forget_bias, other_biases], axis=0)

        return initialize

    def advance(
        self, projected: Tensor, states: Sequence[Tensor], training: bool | None = False
    ) -> tuple[Tensor, list[Tensor]]:
        h, c = states
        z = projected + ops.matmul(self._drop_state(h, training), self.recurrent_kernel)
        return self._apply_gates([z[:, k * self.units : (k + 1) * self.units] for k in range(4)], c)

    def _apply_gates(self, gates: Sequence[Tensor], c: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Compute the output and the new states from the inputs of the gates and the previous c."""
        i, f, g, o = gates
        gate = self.recurrent_activation
        c = gate(f) * c + gate(i) * self.activation(g)
        h = gate(o) * self.activation(c)
        return h, [h, c]

    def run_sequence(
        self,
        inputs: Tensor,
        states: Sequence[Tensor],
        mask: Tensor | None,
        reverse: bool,
        training: bool | None,
    ) -> tuple[Tensor, list[Tensor]] | None:
        if not self._is_plain(LSTMCell, training):
            return None
        operands = self._operands(self.project(inputs, training), self.recurrent_kernel, *states, mask=mask)
        result = p.lstm(*operands, reverse=reverse, masked=mask is not None)
        h, h_last, c_last = (Tensor(node) for node in outputs_of(result)[:3])
        return h, [h_last, c_last]


@exported("keras.layers")
class GRUCell(_Cell):
    """Step of `GRU`: `h' = z * h + (1 - z) * g` with update gate z and reset gate r. The output is h'.

    Formula: z, r = recurrent_activation(x @ W + h @ U + b); g = activation(x @ W + r * (h @ U + b2) + b) with
    `reset_after`, as in cuDNN, else g = activation(x @ W + (r * h) @ U + b).

    Shapes: x (batch, features), h (batch, units); kernel (features, 3 * units) in the order z, r, g;
    recurrent_kernel (units, 3 * units); bias (2, 3 * units) with `reset_after`, else (3 * units,).

    Args:
        units: Size of the output and of the state.
        activation: Activation function of the output, by name or as a function.
        recurrent_activation: Activation function of the gates.
        use_bias: Whether a bias is added.
        kernel_initializer: Initializer of the kernel.
        recurrent_initializer: Initializer of the recurrent kernel.
        bias_initializer: Initializer of the bias.
        kernel_regularizer: Penalty on the kernel that is added to the loss.
        recurrent_regularizer: Penalty on the recurrent kernel that is added to the loss.
        bias_regularizer: Penalty on the bias that is added to the loss.
        kernel_constraint: Function applied to the kernel after each update.
        recurrent_constraint: Function applied to the recurrent kernel after each update.
        bias_constraint: Function applied to the bias after each update.
        dropout: Fraction of the inputs that are dropped in training, in [0, 1).
        recurrent_dropout: Fraction of the recurrent state that is dropped in training, in [0, 1).
        seed: Seed of the random state; drawn at random by default.
        reset_after: Whether the reset gate is applied after the recurrent product (as in cuDNN) instead of
            before it.
        **kwargs: Arguments of `Layer`: `name`, `dtype`, `trainable`, ...

    Raises:
        ValueError: If `units` is below 1 or a rate is outside [0, 1).

    Example:
        >>> cell = hornbeam.layers.GRUCell(4)
        >>> y, states = cell(np.ones((2, 3)), cell.get_initial_state(2))

    Source: Cho et al. 2014.
    """

    gates = 3

    def __init__(
        self,
        units: int,
        activation: ActivationLike = "tanh",
        recurrent_activation: ActivationLike = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: InitializerLike = "glorot_uniform",
        recurrent_initializer: InitializerLike = "orthogonal",
        bias_initializer: InitializerLike = "zeros",
        kernel_regularizer: RegularizerLike = None,
        recurrent_regularizer: RegularizerLike = None,
        bias_regularizer: RegularizerLike = None,
        kernel_constraint: ConstraintLike = None,
        recurrent_constraint: ConstraintLike = None,
        bias_constraint: ConstraintLike = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        reset_after: bool = True,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        arguments = constructor_arguments(locals())
        del arguments["recurrent_activation"], arguments["reset_after"]
        super().__init__(**arguments)
        self.recurrent_activation = activations.get(recurrent_activation)
        self.reset_after = reset_after

    def _bias_shape(self) -> tuple[int, ...]:
        return (2, 3 * self.units) if self.reset_after else (3 * self.units,)

    def _input_bias(self) -> Any:
        return self.bias[0] if self.reset_after and self.bias is not None else self.bias

    def advance(
        self, projected: Tensor, states: Sequence[Tensor], training: bool | None = False
    ) -> tuple[Tensor, list[Tensor]]:
        h, n = states[0], self.units
        dropped = self._drop_state(h, training)
        x_z, x_r, x_g = (projected[:, k * n : (k + 1) * n] for k in range(3))
        if self.reset_after:
            inner = ops.matmul(dropped, self.recurrent_kernel)
            if self.bias is not None:
                inner = inner + self.bias[1]
            z = self.recurrent_activation(x_z + inner[:, :n])
            r = self.recurrent_activation(x_r + inner[:, n : 2 * n])
            g = self.activation(x_g + r * inner[:, 2 * n :])
        else:
            kernel = self.recurrent_kernel
            inner = ops.matmul(dropped, kernel[:, : 2 * n])
            z = self.recurrent_activation(x_z + inner[:, :n])
            r = self.recurrent_activation(x_r + inner[:, n:])
            g = self.activation(x_g + ops.matmul(r * dropped, kernel[:, 2 * n :]))
        h = z * h + (1 - z) * g
        return h, [h]

    def run_sequence(
        self,
        inputs: Tensor,
        states: Sequence[Tensor],
        mask: Tensor | None,
        reverse: bool,
        training: bool | None,
    ) -> tuple[Tensor, list[Tensor]] | None:
        if not (self.reset_after and self._is_plain(GRUCell, training)):
            return None
        x = self.project(inputs, training)
        bias = ops.zeros((3 * self.units,), dtype=x.dtype) if self.bias is None else self.bias[1]
        operands = self._operands(x, self.recurrent_kernel, bias, *states, mask=mask)
        result = p.gru(*operands, reverse=reverse, masked=mask is not None)
        h, h_last = (Tensor(node) for node in outputs_of(result)[:2])
        return h, [h_last]


@exported("keras.layers")
class StackedRNNCells(Layer):
    """Stack of cells as one cell: the output of each is the input of the next.

    Args:
        cells: List of cells.
        **kwargs: Arguments of `Layer`: `name`, `dtype`, `trainable`, ...

    Raises:
        ValueError: If an item has no `call` or no `state_size`.

    Example:
        >>> cell = hornbeam.layers.StackedRNNCells([hornbeam.layers.LSTMCell(4), hornbeam.layers.LSTMCell(5)])
        >>> hornbeam.layers.RNN(cell)(np.ones((2, 3, 6))).shape
        (2, 5)
    """

    def __init__(self, cells: Sequence[Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for cell in cells:
            check_cell(cell)
        if not cells:
            raise ValueError("StackedRNNCells needs at least one cell")
        self.cells = list(cells)

    @property
    def state_size(self) -> list[Any]:
        """State sizes of the cells."""
        return [cell.state_size for cell in self.cells]

    @property
    def output_size(self) -> Any:
        """Size of the output of the last cell."""
        return output_size_of(self.cells[-1])

    def build(self, input_shape: Shape) -> None:
        for cell in self.cells:
            build_cell(cell, input_shape)
            input_shape = (input_shape[0], output_size_of(cell))

    def get_initial_state(self, batch_size: int | None = None) -> list[Any]:
        """Return the initial states of the cells.

        Args:
            batch_size: Number of samples.
        """
        return [initial_state_of(cell, batch_size, self.compute_dtype) for cell in self.cells]

    def call(self, inputs: Tensor, states: Tree, training: bool = False) -> Tree:
        new = []
        for cell, state in zip(self.cells, states, strict=True):
            inputs, new_state = run_cell(cell, inputs, state, training)
            new.append(new_state)
        return inputs, new

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> StackedRNNCells:
        config = dict(config)
        cells = [deserialize(cell) if isinstance(cell, dict) else cell for cell in config.pop("cells")]
        return cls(cells, **config)


def check_cell(cell: Any) -> None:
    """Raise ValueError unless `cell` can be run by an RNN."""
    if not callable(getattr(cell, "call", None)) or not hasattr(cell, "state_size"):
        raise ValueError(f"a cell needs call(inputs, states) and state_size, got {cell!r}")


def output_size_of(cell: Any) -> Any:
    """Return the number of features in a cell's output."""
    size = getattr(cell, "output_size", None)
    if size is None:
        size = cell.state_size[0] if isinstance(cell.state_size, (list, tuple)) else cell.state_size
    return size


def initial_state_of(cell: Any, batch_size: int | None, dtype: str) -> Any:
    """Return the initial state that the cell defines, or zeros of its state size."""
    if hasattr(cell, "get_initial_state"):
        return cell.get_initial_state(batch_size=batch_size)
    is_single = isinstance(cell.state_size, int)
    sizes = [cell.state_size] if is_single else cell.state_size
    return [
        ops.zeros((batch_size, *((size,) if isinstance(size, int) else size)), dtype=dtype) for size in sizes
    ]


def build_cell(cell: Any, step_shape: Any) -> None:
    """Build a cell for steps of `step_shape`; a cell of layers is called on symbolic tensors."""
    if not isinstance(cell, Layer) or cell.built:
        return
    if type(cell).build is not Layer.build:
        cell.build(step_shape)
        return
    states = initial_state_of(cell, 1, cell.compute_dtype)
    cell._build_sublayers(step_shape, tree.map_structure(lambda x: (step_shape[0], *x.shape[1:]), states))


def run_cell(cell: Any, inputs: Tensor, states: Tree, training: bool | None) -> Any:
    """Run one step of any cell. Return its output and the list of its new states."""
    output, new = (
        cell(inputs, states, training=training) if isinstance(cell, Layer) else cell.call(inputs, states)
    )
    return output, list(new) if isinstance(new, (list, tuple)) else [new]
