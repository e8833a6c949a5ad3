"""What a recurrent layer does in one step: SimpleRNNCell, LSTMCell, GRUCell, StackedRNNCells.

A cell of this library has two halves: `project(inputs)`, which does not depend on the state and so can be
done for all time steps at once, and `advance(projected, states)`, the step itself. `call` is one after the
other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

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


class DropoutMasks:
    """The dropout masks of a cell, drawn once for a whole sequence."""

    dropout: float
    recurrent_dropout: float
    seed_generator: random.SeedGenerator
    _input_mask: Tensor | None = None
    _state_mask: Tensor | None = None

    def get_dropout_mask(self, step_input: Tensor) -> Tensor:
        """The mask for inputs (batch, features), the same until `reset_dropout_masks`."""
        if self._input_mask is None:
            self._input_mask = random.dropout(
                ops.ones_like(step_input), self.dropout, seed=self.seed_generator
            )
        return self._input_mask

    def get_recurrent_dropout_mask(self, state: Tensor) -> Tensor:
        """The mask for the state (batch, units), the same until `reset_dropout_masks`."""
        if self._state_mask is None:
            self._state_mask = random.dropout(
                ops.ones_like(state), self.recurrent_dropout, seed=self.seed_generator
            )
        return self._state_mask

    def reset_dropout_masks(self) -> None:
        """Forget the masks, so that new ones are drawn."""
        self._input_mask = self._state_mask = None


class _Cell(Layer, DropoutMasks):
    """Common to the three cells: weights, dropout, initial state."""

    gates: int
    state_count: int = 1
    # Rank of the sequences that `project` takes at once.
    sequence_rank: int = 3

    def __init__(
        self,
        units: int,
        activation: Any,
        use_bias: bool,
        kernel_initializer: Any,
        recurrent_initializer: Any,
        bias_initializer: Any,
        kernel_regularizer: Any,
        recurrent_regularizer: Any,
        bias_regularizer: Any,
        kernel_constraint: Any,
        recurrent_constraint: Any,
        bias_constraint: Any,
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

    def build(self, input_shape: Any) -> None:
        width = self.gates * self.units
        self.kernel = self._weight("kernel", (input_shape[-1], width), "kernel")
        self.recurrent_kernel = self._weight("recurrent_kernel", (self.units, width), "recurrent")
        self.bias = (
            self._weight("bias", self._bias_shape(), "bias", self._bias_init()) if self.use_bias else None
        )

    def _bias_shape(self) -> tuple[int, ...]:
        return (self.gates * self.units,)

    def _bias_init(self) -> Any:
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
        """inputs (batch, features) or (batch, steps, features) times the kernel, plus the bias."""
        if training and self.dropout:
            mask = self.get_dropout_mask(inputs if inputs.ndim == 2 else inputs[:, 0])
            inputs = inputs * (mask if inputs.ndim == 2 else ops.expand_dims(mask, 1))
        outputs = ops.matmul(inputs, self.kernel)
        return outputs if self.bias is None else outputs + self._input_bias()

    def _input_bias(self) -> Any:
        return self.bias

    def advance(self, projected: Tensor, states: Sequence[Tensor], training: bool | None = False) -> Any:
        """One step: output (batch, units) and the new states."""
        raise NotImplementedError

    def along(
        self, inputs: Tensor, states: Sequence[Tensor], mask: Any, reverse: bool, training: bool | None
    ) -> tuple[Tensor, list[Tensor]] | None:
        """All steps of a sequence as one operation: outputs in the order of time, and the last states.

        None where there is no such operation: dropout between steps, other activations, a subclass with a
        step of its own.
        """
        return None

    def _operands(self, x: Tensor, *others: Any, mask: Any) -> list[Node]:
        """Everything in one dtype; the mask, if there is one, comes last."""
        masks = [] if mask is None else [as_tensor(mask).node]
        return [x.node, *(cast_node(other, x.dtype) for other in others), *masks]

    def _is_plain(self, kind: type, training: bool | None) -> bool:
        """Whether every step is what the class `kind` says, with its usual activations."""
        own = type(self)
        return (
            own.advance is kind.advance  # type: ignore[attr-defined]
            and own.call is _Cell.call
            and self.activation is activations.tanh
            and getattr(self, "recurrent_activation", None) is activations.sigmoid
            and not (training and self.recurrent_dropout)
        )

    def _dropped(self, state: Tensor, training: bool | None) -> Tensor:
        return (
            state * self.get_recurrent_dropout_mask(state) if training and self.recurrent_dropout else state
        )

    def call(self, inputs: Tensor, states: Any, training: bool = False) -> Any:
        given = list(states) if isinstance(states, (list, tuple)) else [states]
        output, new = self.advance(self.project(inputs, training), given, training)
        return output, new if isinstance(states, (list, tuple)) else new[0]

    def get_initial_state(self, batch_size: int | None = None) -> list[Tensor]:
        """Zeros (batch, units), one for each state."""
        return [
            ops.zeros((batch_size, self.units), dtype=self.compute_dtype) for _ in range(self.state_count)
        ]


@exported("keras.layers")
class SimpleRNNCell(_Cell):
    """h' = activation(x @ kernel + h @ recurrent_kernel + bias); the output is h'.

    x (batch, features), h (batch, units); kernel (features, units), recurrent_kernel (units, units), bias
    (units,). dropout, recurrent_dropout: of inputs and of the state, with one mask for the whole sequence.

    Raises ValueError for units below 1 or a rate outside [0, 1).

    >>> cell = hornbeam.layers.SimpleRNNCell(4)
    >>> y, states = cell(np.ones((2, 3)), cell.get_initial_state(2))
    """

    gates = 1

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
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**constructor_arguments(locals()))

    def advance(self, projected: Tensor, states: Sequence[Tensor], training: bool | None = False) -> Any:
        h = self.activation(projected + ops.matmul(self._dropped(states[0], training), self.recurrent_kernel))
        return h, [h]


@exported("keras.layers")
class LSTMCell(_Cell):
    """c' = f * c + i * g, h' = o * activation(c'), where i, f, g, o are the four gates; the output is h'.

    i, f, o = recurrent_activation(z), g = activation(z), of z = x @ kernel + h @ recurrent_kernel + bias, cut
    into four in the order i, f, g, o. kernel (features, 4 * units), recurrent_kernel (units, 4 * units), bias
    (4 * units,). unit_forget_bias: the bias of f starts at 1 (Jozefowicz et al. 2015). (Hochreiter and
    Schmidhuber 1997)

    Raises ValueError for units below 1 or a rate outside [0, 1).

    >>> cell = hornbeam.layers.LSTMCell(4)
    >>> y, (h, c) = cell(np.ones((2, 3)), cell.get_initial_state(2))
    """

    gates = 4
    state_count = 2

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
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
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

    def _bias_init(self) -> Any:
        if not self.unit_forget_bias:
            return self.bias_initializer

        def forget_first(shape: Any, dtype: Any = None) -> Tensor:
            ones = ops.ones((self.units,), dtype=dtype)
            first = self.bias_initializer((self.units,), dtype=dtype)
            return ops.concatenate(
                [first, ones, self.bias_initializer((2 * self.units,), dtype=dtype)], axis=0
            )

        return forget_first

    def advance(self, projected: Tensor, states: Sequence[Tensor], training: bool | None = False) -> Any:
        h, c = states
        z = projected + ops.matmul(self._dropped(h, training), self.recurrent_kernel)
        return self._gated([z[:, k * self.units : (k + 1) * self.units] for k in range(4)], c)

    def _gated(self, gates: Sequence[Tensor], c: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The output and the new states from the gates' inputs and the old c."""
        i, f, g, o = gates
        gate = self.recurrent_activation
        c = gate(f) * c + gate(i) * self.activation(g)
        h = gate(o) * self.activation(c)
        return h, [h, c]

    def along(
        self, inputs: Tensor, states: Sequence[Tensor], mask: Any, reverse: bool, training: bool | None
    ) -> tuple[Tensor, list[Tensor]] | None:
        if not self._is_plain(LSTMCell, training):
            return None
        operands = self._operands(self.project(inputs, training), self.recurrent_kernel, *states, mask=mask)
        found = p.lstm(*operands, reverse=reverse, masked=mask is not None)
        h, h_last, c_last = (Tensor(node) for node in outputs_of(found)[:3])
        return h, [h_last, c_last]


@exported("keras.layers")
class GRUCell(_Cell):
    """h' = z * h + (1 - z) * g, with the gates z (update) and r (reset); the output is h'.

    z, r = recurrent_activation(x @ W + h @ U + b), and g = activation(x @ W + r * (h @ U + b2) + b) with
    reset_after=True (as cuDNN does, two biases), g = activation(x @ W + (r * h) @ U + b) without.
    kernel (features, 3 * units) in the order z, r, g, recurrent_kernel (units, 3 * units), bias (2, 3 *
    units) or (3 * units,). (Cho et al. 2014)

    Raises ValueError for units below 1 or a rate outside [0, 1).

    >>> cell = hornbeam.layers.GRUCell(4)
    >>> y, states = cell(np.ones((2, 3)), cell.get_initial_state(2))
    """

    gates = 3

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
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
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

    def advance(self, projected: Tensor, states: Sequence[Tensor], training: bool | None = False) -> Any:
        h, n = states[0], self.units
        dropped = self._dropped(h, training)
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

    def along(
        self, inputs: Tensor, states: Sequence[Tensor], mask: Any, reverse: bool, training: bool | None
    ) -> tuple[Tensor, list[Tensor]] | None:
        if not (self.reset_after and self._is_plain(GRUCell, training)):
            return None
        x = self.project(inputs, training)
        bias = ops.zeros((3 * self.units,), dtype=x.dtype) if self.bias is None else self.bias[1]
        operands = self._operands(x, self.recurrent_kernel, bias, *states, mask=mask)
        found = p.gru(*operands, reverse=reverse, masked=mask is not None)
        h, h_last = (Tensor(node) for node in outputs_of(found)[:2])
        return h, [h_last]


@exported("keras.layers")
class StackedRNNCells(Layer):
    """Cells on top of each other as one cell: the output of one is the input of the next.

    cells: a list of cells. Raises ValueError for something without `call` and `state_size`.

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
        """The state sizes of the cells."""
        return [cell.state_size for cell in self.cells]

    @property
    def output_size(self) -> Any:
        """Size of the output of the last cell."""
        return output_size_of(self.cells[-1])

    def build(self, input_shape: Any) -> None:
        for cell in self.cells:
            build_cell(cell, input_shape)
            input_shape = (input_shape[0], output_size_of(cell))

    def get_initial_state(self, batch_size: int | None = None) -> list[Any]:
        """The initial states of the cells."""
        return [initial_state_of(cell, batch_size, self.compute_dtype) for cell in self.cells]

    def call(self, inputs: Tensor, states: Any, training: bool = False) -> Any:
        new = []
        for cell, state in zip(self.cells, states, strict=True):
            inputs, after = run_cell(cell, inputs, state, training)
            new.append(after)
        return inputs, new

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> StackedRNNCells:
        config = dict(config)
        cells = [deserialize(cell) if isinstance(cell, dict) else cell for cell in config.pop("cells")]
        return cls(cells, **config)


def check_cell(cell: Any) -> None:
    """Raise ValueError unless `cell` can be run by an RNN."""
    if not callable(getattr(cell, "call", None)) or not hasattr(cell, "state_size"):
        raise ValueError(f"a cell needs call(inputs, states) and state_size, {cell!r} has not both")


def output_size_of(cell: Any) -> Any:
    """Number of features that a cell gives."""
    size = getattr(cell, "output_size", None)
    if size is None:
        size = cell.state_size[0] if isinstance(cell.state_size, (list, tuple)) else cell.state_size
    return size


def initial_state_of(cell: Any, batch_size: int | None, dtype: str) -> Any:
    """What the cell says, or zeros of its state size."""
    if hasattr(cell, "get_initial_state"):
        return cell.get_initial_state(batch_size=batch_size)
    single = isinstance(cell.state_size, int)
    sizes = [cell.state_size] if single else cell.state_size
    return [
        ops.zeros((batch_size, *((size,) if isinstance(size, int) else size)), dtype=dtype) for size in sizes
    ]


def build_cell(cell: Any, step_shape: Any) -> None:
    """Make the weights of a cell for steps of `step_shape`; one that is composed of layers takes a step."""
    if not isinstance(cell, Layer) or cell.built:
        return
    if type(cell).build is not Layer.build:
        cell.build(step_shape)
        return
    states = initial_state_of(cell, 1, cell.compute_dtype)
    cell._build_sublayers(step_shape, tree.map_structure(lambda x: (step_shape[0], *x.shape[1:]), states))


def run_cell(cell: Any, inputs: Tensor, states: Any, training: bool | None) -> Any:
    """One step of any cell: its output and the list of its new states."""
    output, new = (
        cell(inputs, states, training=training) if isinstance(cell, Layer) else cell.call(inputs, states)
    )
    return output, list(new) if isinstance(new, (list, tuple)) else [new]
