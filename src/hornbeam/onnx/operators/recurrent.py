"""ONNX's recurrent layers: RNN, LSTM and GRU, in one direction or two."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from hornbeam import ops
from hornbeam import primitives as p
from hornbeam.core.tensor import Tensor
from hornbeam.errors import GraphError
from hornbeam.ir.node import Node
from hornbeam.onnx.operators.elementwise import ACTIVATIONS, UNARY
from hornbeam.onnx.operators.vocabulary import Call, operator

# Function of x (batch, steps, gates * units) with its bias, recurrent kernel (units, gates * units),
# recurrent bias, initial states, mask (or none) and direction that returns all h and the last states.
SequenceFunction = Callable[
    [Call, Tensor, Tensor, Tensor, Sequence[Tensor], list[Node], bool], tuple[Tensor, list[Tensor]]
]


# Indices of ONNX's gates in the order of this library.
GATES_OF_LSTM = (0, 2, 3, 1)


def reorder(x: Tensor, order: Sequence[int], axis: int) -> Tensor:
    """Reorder the gates along an axis."""
    parts = ops.split(x, len(order), axis=axis)
    return ops.concatenate([parts[i] for i in order], axis=axis)


def _recurrent(
    call: Call,
    order: Sequence[int],
    states: int,
    run: SequenceFunction,
    inputs: Sequence[Any],
    multiply: Callable[..., Tensor],
) -> tuple[Any, ...]:
    """Compute Y and the last states of all directions. multiply: see `lstm`."""
    x, w, r, b, lengths, *initial_states = [*inputs, *[None] * (5 + states - len(inputs))][: 5 + states]
    directions = {"forward": [False], "reverse": [True], "bidirectional": [False, True]}.get(
        call.get("direction", "forward")
    )
    if directions is None:
        raise GraphError(f"direction={call.get('direction')!r} is not supported")
    call.only(input_forget=0, hidden_size=r.shape[-1])
    call.attributes.read.add(
        "output_sequence"
    )  # of version 1: outputs say by their names whether they are used
    units, batch_first = r.shape[-1], call.get("layout", 0)
    rows = x if batch_first else ops.transpose(x, (1, 0, 2))
    batch, steps = rows.shape[:2]
    mask = [] if lengths is None else [(ops.arange(steps) < ops.cast(lengths, "int32")[:, None]).node]
    outputs, ends = [], []
    for number, reverse in enumerate(directions):
        kernel, recurrent = (ops.transpose(reorder(v[number], order, 0)) for v in (w, r))
        width = len(order) * units
        bias = ops.zeros((2 * width,), rows.dtype) if b is None else b[number]
        inner, outer = (reorder(v, order, 0) for v in (bias[:width], bias[width:]))
        initial = [
            ops.zeros((batch, units), rows.dtype)
            if v is None
            else v[:, number] if batch_first else v[number]
            for v in initial_states
        ]  # fmt: skip
        gates = multiply(rows, kernel, 0, number) + inner
        hidden, last = run(call, gates, recurrent, outer, initial, mask, reverse)
        if mask:
            hidden = ops.where(Tensor(mask[0])[:, :, None], hidden, ops.zeros_like(hidden))
        outputs.append(hidden if batch_first else ops.transpose(hidden, (1, 0, 2)))
        ends.append(last)
    axis = 1 if batch_first else 0
    return (
        ops.stack(outputs, axis=2 if batch_first else 1),
        *(ops.stack([last[i] for last in ends], axis=axis) for i in range(states)),
    )


# Activation functions by their names, which are written in either case. Readers differ in the default
# of ThresholdedRelu.
_WITH_SETTINGS = ("Elu", "HardSigmoid", "LeakyRelu")
_ACTIVATIONS: dict[str, tuple[Callable[..., Tensor], dict[str, float]]] = {
    **{name.lower(): (function, {}) for name, function in UNARY.items()},
    **{name.lower(): row for name, row in ACTIVATIONS.items() if name in _WITH_SETTINGS},
    "affine": (lambda x, alpha, beta: alpha * x + beta, {"alpha": 1.0, "beta": 0.0}),
    "scaledtanh": (lambda x, alpha, beta: alpha * ops.tanh(beta * x), {"alpha": 1.0, "beta": 1.0}),
}


def _activations(call: Call, defaults: Sequence[str]) -> list[Callable[[Tensor], Tensor]]:
    """Return the activation functions of a direction; those of two directions must be equal."""
    names = [str(name).lower() for name in call.attributes.get("activations", defaults)]
    count, clip = len(defaults), call.get("clip", 0.0)
    if names != names[:count] * (len(names) // count) or any(name not in _ACTIVATIONS for name in names):
        raise GraphError(f"activations {names} are not supported")
    numbers = {key: iter(call.get(f"activation_{key}", [])) for key in ("alpha", "beta")}
    functions: list[Callable[[Tensor], Tensor]] = []
    for name in names[:count]:
        function, settings = _ACTIVATIONS[name]
        values = [next(numbers[key], default) for key, default in settings.items()]
        limit = clip if len(functions) < 2 else 0.0  # not of the cells of an LSTM
        functions.append(_after(function, values, limit) if values or limit else function)
    return functions


def _after(function: Callable[..., Tensor], settings: Any, clip: float) -> Callable[[Tensor], Tensor]:
    """Return an activation function with its settings, of what is clipped to -clip and clip before."""
    return lambda x: function(ops.clip(x, -clip, clip) if clip else x, *settings)


def _parts(node: Node, count: int) -> tuple[Tensor, list[Tensor]]:
    return Tensor(p.project(node, 0)), [Tensor(p.project(node, 1 + i)) for i in range(count)]


def _lstm(
    call: Call, x: Tensor, r: Tensor, b: Tensor, first: Any, mask: list[Node], reverse: bool, product: Any
) -> Any:
    gate, activation, output = _activations(call, ("Sigmoid", "Tanh", "Tanh"))
    *first, peephole = first
    if product or peephole is not None or (gate, activation, output) != (ops.sigmoid, ops.tanh, ops.tanh):
        zeros = ops.zeros((3 * r.shape[0],), x.dtype)
        in_, out, forget = ops.split(zeros if peephole is None else peephole, 3)

        def step(states: list[Tensor], x_t: Tensor) -> list[Tensor]:
            h, c = states
            i, f, g, o = ops.split(x_t + (product or ops.matmul)(h, r) + b, 4, axis=-1)
            new = gate(f + forget * c) * c + gate(i + in_ * c) * activation(g)
            return [gate(o + out * new) * output(new), new]

        return _scanned(step, x, first, mask, reverse)
    nodes = [v.node for v in (x + b, r, *first)]
    return _parts(p.lstm(*nodes, *mask, reverse=reverse, masked=bool(mask)), 2)


def _gru(call: Call, x: Tensor, r: Tensor, b: Tensor, first: Any, mask: list[Node], reverse: bool) -> Any:
    gate, activation = _activations(call, ("Sigmoid", "Tanh"))
    if call.get("linear_before_reset", 0) and (gate, activation) == (ops.sigmoid, ops.tanh):
        nodes = [v.node for v in (x, r, b, *first)]
        return _parts(p.gru(*nodes, *mask, reverse=reverse, masked=bool(mask)), 1)
    units = r.shape[0]
    reset_after = bool(call.get("linear_before_reset", 0))

    def step(states: list[Tensor], x_t: Tensor) -> list[Tensor]:
        (h,) = states
        sums = ops.matmul(h, r[:, : 2 * units]) + b[: 2 * units]
        z, reset = (gate(v) for v in ops.split(x_t[:, : 2 * units] + sums, 2, axis=-1))
        w, bias = r[:, 2 * units :], b[2 * units :]
        inner = reset * (ops.matmul(h, w) + bias) if reset_after else ops.matmul(reset * h, w) + bias
        new = activation(x_t[:, 2 * units :] + inner)
        return [(1.0 - z) * new + z * h]

    return _scanned(step, x, first, mask, reverse)


def _rnn(call: Call, x: Tensor, r: Tensor, b: Tensor, first: Any, mask: list[Node], reverse: bool) -> Any:
    (activation,) = _activations(call, ("Tanh",))
    return _scanned(
        lambda states, x_t: [activation(x_t + ops.matmul(states[0], r))], x + b, first, mask, reverse
    )


def _scanned(step: Any, x: Tensor, first: Sequence[Tensor], mask: list[Node], reverse: bool) -> Any:
    """Loop over the steps. Return all h and the last states; states do not change where the mask is False."""

    def body(states: list[Tensor], x_t: list[Tensor]) -> tuple[list[Tensor], Tensor]:
        row, *keep = x_t
        new = step(states, row)
        if keep:
            new = [ops.where(keep[0][:, None], a, b) for a, b in zip(new, states, strict=True)]
        return new, new[0]

    sequences = [ops.transpose(x, (1, 0, 2)), *(ops.transpose(Tensor(m)) for m in mask)]
    last, hidden = ops.scan(body, list(first), sequences, reverse=reverse)
    return ops.transpose(hidden, (1, 0, 2)), last


def _product(x: Tensor, kernel: Tensor, which: int, number: int) -> Tensor:
    return ops.matmul(x, kernel)


# Orders of gates: indices of ONNX's gates in the order of this library.
@operator("LSTM", weights=(1, 2, 3))
def lstm(call: Call, *inputs: Any, multiply: Callable[..., Tensor] | None = None) -> tuple[Any, ...]:
    """Compute an LSTM (Hochreiter and Schmidhuber 1997), with peepholes if its last input has them.

    multiply: product with a kernel, which also takes 0 for that of the inputs or 1, and the direction.
    """
    peepholes = inputs[7] if len(inputs) > 7 else None

    def run(call: Call, x: Tensor, r: Tensor, b: Tensor, first: Any, mask: Any, reverse: bool) -> Any:
        number = int(reverse) if inputs[1].shape[0] > 1 else 0
        product = multiply and (lambda h, r: multiply(h, r, 1, number))
        weights = None if peepholes is None else peepholes[number]
        return _lstm(call, x, r, b, [*first, weights], mask, reverse, product)

    return _recurrent(call, GATES_OF_LSTM, 2, run, inputs[:7], multiply or _product)


@operator("GRU", weights=(1, 2, 3))
def gru(call: Call, *inputs: Tensor | None) -> tuple[Any, ...]:
    """Compute a GRU (Cho et al. 2014)."""
    return _recurrent(call, (0, 1, 2), 1, _gru, inputs, _product)


@operator("RNN", weights=(1, 2, 3))
def rnn(call: Call, *inputs: Tensor | None) -> tuple[Any, ...]:
    """Compute a recurrent layer: f(x W + h R + b)."""
    return _recurrent(call, (0,), 1, _rnn, inputs, _product)
