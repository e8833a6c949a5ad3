"""Recurrent layers: RNN runs any cell along a sequence; SimpleRNN, LSTM and GRU bring their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hornbeam import ops, tree
from hornbeam.core.registry import deserialize, exported
from hornbeam.core.tensor import Tensor
from hornbeam.core.variable import Variable
from hornbeam.ir.types import ShapeError
from hornbeam.layers.config import argument_names, constructor_arguments, serialize_argument
from hornbeam.layers.input_spec import InputSpec
from hornbeam.layers.layer import Layer
from hornbeam.layers.rnn_cells import (
    DropoutMasks,
    GRUCell,
    LSTMCell,
    SimpleRNNCell,
    StackedRNNCells,
    build_cell,
    check_cell,
    initial_state_of,
    output_size_of,
    run_cell,
)


@exported("keras.layers")
class RNN(Layer):
    """y[t], states = cell(x[t], states) for every step t of a sequence.

    x (batch, steps, ...) -> y (batch, output_size), the last output, or (batch, steps, output_size) with
    return_sequences. return_state: also the last states. go_backwards: from the last step to the first
    (outputs come in that order). stateful: states go on from batch to batch. unroll: write the steps out
    instead of looping. mask (batch, steps): at steps where it is False the states stay and the output is the
    last one (or zeros with zero_output_for_mask). cell: a layer with `call(inputs, states)` and `state_size`,
    or a list of such.

    Raises ValueError for something that is no cell, ShapeError if `stateful` without a known batch size.

    >>> hornbeam.layers.RNN(hornbeam.layers.LSTMCell(4), return_sequences=True)(np.ones((2, 5, 3))).shape
    (2, 5, 4)
    """

    # What a stateful layer carries from batch to batch is no weight: it is not saved.
    _untracked = frozenset({"states"})

    def __init__(
        self,
        cell: Any,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        zero_output_for_mask: bool = False,
        **kwargs: Any,
    ) -> None:
        if isinstance(cell, (list, tuple)):
            cell = StackedRNNCells(cell)
        check_cell(cell)
        super().__init__(**kwargs)
        self.cell = cell
        self.return_sequences = return_sequences
        self.return_state = return_state
        self.go_backwards = go_backwards
        self.stateful = stateful
        self.unroll = unroll
        self.zero_output_for_mask = zero_output_for_mask
        self.supports_masking = True
        self.input_spec = InputSpec(min_ndim=3)
        self.states: Any = None

    def build(self, sequences_shape: Any, initial_state_shape: Any = None) -> None:
        build_cell(self.cell, (sequences_shape[0], *sequences_shape[2:]))
        if self.stateful:
            batch = sequences_shape[0]
            if batch is None:
                raise ShapeError(
                    f"{self.describe()}: stateful=True needs a known batch size: Input(batch_shape=(32, ...))"
                )
            start = self.get_initial_state(batch)
            self.states = tree.map_structure(
                lambda x: Variable(x, trainable=False, autocast=False, name="rnn_state"), start
            )

    def get_initial_state(self, batch_size: int) -> Any:
        """What the cell starts with: zeros, unless it says otherwise."""
        state = initial_state_of(self.cell, batch_size, self.compute_dtype)
        return list(state) if isinstance(state, (list, tuple)) else [state]

    def reset_state(self) -> None:
        """Zeros into the states of a stateful layer."""
        if self.states is not None:
            for state in tree.flatten(self.states):
                state.assign(ops.zeros(state.shape, dtype=state.dtype))

    reset_states = reset_state

    def call(
        self, sequences: Tensor, initial_state: Any = None, mask: Any = None, training: bool = False
    ) -> Any:
        batch = sequences.shape[0]
        stored = self.states is not None
        fresh = initial_state is None and not stored
        if initial_state is None:
            initial_state = (
                tree.map_structure(lambda v: v.value, self.states)
                if stored
                else self.get_initial_state(batch)
            )
        elif not isinstance(initial_state, (list, tuple)):
            initial_state = [initial_state]
        states = tree.map_structure(lambda x: ops.cast(x, self.compute_dtype), list(initial_state))
        self._check_states(states)
        self._draw_masks(sequences, states, training)
        try:
            whole = self._whole(sequences, states, mask, training, fresh)
            outputs, last, states = whole or self._run(sequences, states, mask, training)
        finally:
            self._forget_masks()
        if self.stateful:
            for variable, value in zip(tree.flatten(self.states), tree.flatten(states), strict=True):
                variable.assign(value)
        result = outputs if self.return_sequences else last
        return (result, *states) if self.return_state else result

    def _check_states(self, states: Any) -> None:
        expected = self.cell.state_size
        count = len(expected) if isinstance(expected, (list, tuple)) else 1
        if len(states) != count:
            raise ShapeError(
                f"{self.describe()}: the cell has {count} states, initial_state has {len(states)}"
            )

    def _whole(
        self, sequences: Tensor, states: Any, mask: Any, training: bool, fresh: bool
    ) -> tuple[Tensor, Tensor, Any] | None:
        """What `_run` gives, from one operation for all steps where the cell has one, else None.

        fresh: the states are the cell's own initial ones.
        """
        along = getattr(self.cell, "along", None)
        # Before the first step that a mask keeps, outputs are zeros: what `along` gives there are the states.
        if along is None or self.unroll or sequences.ndim != 3 or not (mask is None or fresh):
            return None
        kept = None if mask is None else ops.cast(mask, "bool")
        found = along(sequences, states, kept, self.go_backwards, training)
        if found is None:
            return None
        outputs, states = found
        last = states[0]
        if kept is not None and self.zero_output_for_mask:
            outputs = ops.where(ops.expand_dims(kept, 2), outputs, ops.zeros_like(outputs))
            last = outputs[:, 0 if self.go_backwards else -1]
        return ops.flip(outputs, 1) if self.go_backwards else outputs, last, states

    # -- the loop
    # ---------------------------------------------------------------------------------------------------

    def _run(self, sequences: Tensor, states: Any, mask: Any, training: bool) -> tuple[Tensor, Tensor, Any]:
        """Outputs of all steps (batch first), the last output, the last states."""
        step, xs = self._step(sequences, training)
        time = ops.moveaxis(xs, 1, 0)
        masks = None if mask is None else ops.moveaxis(ops.cast(mask, "bool"), 1, 0)
        if self.go_backwards:
            time = ops.flip(time, 0)
            masks = None if masks is None else ops.flip(masks, 0)
        loop = _unrolled if self.unroll else ops.scan
        if masks is None:
            states, ys = loop(lambda carry, x: _swap(step(x, carry)), states, time)
            return ops.moveaxis(ys, 0, 1), ys[-1], states

        def masked(carry: Any, items: Any) -> Any:
            (before, previous), (x, keep) = carry, items
            output, after = step(x, before)
            after = tree.map_structure(lambda new, old: _where(keep, new, old), after, before)
            last = _where(keep, output, previous)
            return (after, last), (
                _where(keep, output, ops.zeros_like(output)) if self.zero_output_for_mask else last
            )

        nothing = ops.zeros(
            (sequences.shape[0], *_sizes(output_size_of(self.cell))), dtype=self.compute_dtype
        )
        (states, last), ys = loop(masked, (states, nothing), (time, masks))
        return ops.moveaxis(ys, 0, 1), (ys[-1] if self.zero_output_for_mask else last), states

    def _step(self, sequences: Tensor, training: bool) -> tuple[Callable[[Tensor, Any], Any], Tensor]:
        """The function of one step and the sequences that it takes."""
        cell = self.cell
        if hasattr(cell, "project") and sequences.ndim == cell.sequence_rank:
            return lambda x, states: cell.advance(x, states, training), cell.project(sequences, training)
        return lambda x, states: run_cell(cell, x, states, training), sequences

    def _draw_masks(self, sequences: Tensor, states: Any, training: bool) -> None:
        """Dropout masks are drawn before the loop: one for all steps."""
        self._forget_masks()
        if not training:
            return
        x = sequences[:, 0]
        cells = self.cell.cells if isinstance(self.cell, StackedRNNCells) else [self.cell]
        parts = states if isinstance(self.cell, StackedRNNCells) else [states]
        for cell, state in zip(cells, parts, strict=True):
            if isinstance(cell, DropoutMasks):
                if cell.dropout:
                    cell.get_dropout_mask(x)
                if cell.recurrent_dropout:
                    cell.get_recurrent_dropout_mask(tree.flatten(state)[0])
            x = ops.zeros((x.shape[0], *_sizes(output_size_of(cell))), dtype=x.dtype)

    def _forget_masks(self) -> None:
        for cell in self._flatten_layers(include_self=False):
            if isinstance(cell, DropoutMasks):
                cell.reset_dropout_masks()

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        mask = mask[0] if isinstance(mask, (list, tuple)) else mask
        if mask is not None and self.go_backwards:
            mask = ops.flip(mask, 1)
        first = mask if self.return_sequences else None
        if not self.return_state:
            return first
        return [first] + [None] * len(tree.flatten(self.cell.state_size))

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        config = dict(config)
        if isinstance(config.get("cell"), dict):
            config["cell"] = deserialize(config["cell"])
        return super().from_config(config)


def _swap(pair: tuple[Any, Any]) -> tuple[Any, Any]:
    return pair[1], pair[0]


def _sizes(size: Any) -> tuple[int, ...]:
    return (size,) if isinstance(size, int) else tuple(size)


def _where(keep: Tensor, new: Tensor, old: Tensor) -> Tensor:
    return ops.where(ops.reshape(keep, (*keep.shape, *(1,) * (new.ndim - 1))), new, old)


def _unrolled(step: Callable[[Any, Any], Any], carry: Any, xs: Any) -> tuple[Any, Tensor]:
    ys = []
    for t in range(tree.flatten(xs)[0].shape[0]):
        carry, y = step(carry, tree.map_structure(lambda x, t=t: x[t], xs))
        ys.append(y)
    return carry, ops.stack(ys, axis=0)


class _CellLayer(RNN):
    """A recurrent layer with one kind of cell; the cell's arguments are read as its own."""

    cell_class: type[Layer]
    _not_in_config = frozenset({"use_cudnn"})

    def __init__(self, arguments: dict[str, Any]) -> None:
        arguments.pop("use_cudnn", None)  # there is one implementation
        names = argument_names(self.cell_class)
        own = {name: value for name, value in arguments.items() if name not in names or name == "name"}
        given = {name: value for name, value in arguments.items() if name in names and name != "name"}
        shared = {name: own[name] for name in ("dtype", "trainable") if name in own}
        super().__init__(self.cell_class(**given, **shared), **own)
        self.input_spec = InputSpec(ndim=3)

    def __getattr__(self, name: str) -> Any:
        cell = self.__dict__.get("cell")
        if cell is not None and name in argument_names(type(cell)):
            return getattr(cell, name)
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config["zero_output_for_mask"] = self.zero_output_for_mask
        config["activity_regularizer"] = serialize_argument(self.activity_regularizer)
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        return cls(**config)


@exported("keras.layers")
class SimpleRNN(_CellLayer):
    """h[t] = activation(x[t] @ kernel + h[t-1] @ recurrent_kernel + bias) along a sequence (Elman 1990).

    x (batch, steps, features) -> y (batch, units), or (batch, steps, units) with return_sequences. Weights as
    in SimpleRNNCell, further arguments as in RNN.

    Raises ValueError for units below 1 or a rate outside [0, 1).

    >>> hornbeam.layers.SimpleRNN(4)(np.ones((2, 5, 3))).shape
    (2, 4)
    """

    cell_class = SimpleRNNCell

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(constructor_arguments(locals()))


@exported("keras.layers")
class LSTM(_CellLayer):
    """Long short-term memory along a sequence: c = f * c + i * g, h = o * activation(c) (Hochreiter,
    Schmidhuber 1997).

    x (batch, steps, features) -> y (batch, units), or (batch, steps, units) with return_sequences; with
    return_state also h and c. Weights and formulas as in LSTMCell, further arguments as in RNN. The product
    of all inputs with the kernel is one matrix product outside of the loop. use_cudnn: without meaning, there
    is one implementation.

    Raises ValueError for units below 1 or a rate outside [0, 1).

    >>> hornbeam.layers.LSTM(4)(np.ones((2, 5, 3))).shape
    (2, 4)
    """

    cell_class = LSTMCell

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        unit_forget_bias: bool = True,
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        use_cudnn: Any = "auto",
        **kwargs: Any,
    ) -> None:
        super().__init__(constructor_arguments(locals()))


@exported("keras.layers")
class GRU(_CellLayer):
    """Gated recurrent unit along a sequence: h = z * h + (1 - z) * g (Cho et al. 2014).

    x (batch, steps, features) -> y (batch, units), or (batch, steps, units) with return_sequences. Weights,
    formulas and `reset_after` as in GRUCell, further arguments as in RNN. use_cudnn: without meaning.

    Raises ValueError for units below 1 or a rate outside [0, 1).

    >>> hornbeam.layers.GRU(4)(np.ones((2, 5, 3))).shape
    (2, 4)
    """

    cell_class = GRUCell

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        reset_after: bool = True,
        use_cudnn: Any = "auto",
        **kwargs: Any,
    ) -> None:
        super().__init__(constructor_arguments(locals()))
