"""ONNX's recurrent layers: RNN, LSTM and GRU, in one direction or two."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from hornbeam import ops
from hornbeam import primitives as p
from hornbeam.core.convert import as_tensor
from hornbeam.core.tensor import Tensor
from hornbeam.ir.node import Node
from hornbeam.layers.onnx_graph.vocabulary import Call, GraphError, node_of, operator

# x (batch, steps, gates * units) with its bias, the recurrent kernel (units, gates * units), the recurrent
# bias, the first states, the mask (or none), whether backwards -> all h and the last states.
Walk = Callable[
    [Call, Tensor, Tensor, Tensor, Sequence[Tensor], list[Node], bool], tuple[Tensor, list[Tensor]]
]


def _blocks(x: Tensor, order: Sequence[int], axis: int) -> Tensor:
    """The gates along an axis in another order."""
    parts = ops.split(x, len(order), axis=axis)
    return ops.concatenate([parts[i] for i in order], axis=axis)


def _recurrent(
    call: Call, order: Sequence[int], states: int, walk: Walk, inputs: Sequence[Any]
) -> tuple[Any, ...]:
    """Y and the last states of all directions."""
    x, w, r, b, lengths, *firsts = [*inputs, *[None] * (5 + states - len(inputs))][: 5 + states]
    directions = {"forward": [False], "reverse": [True], "bidirectional": [False, True]}.get(
        call.get("direction", "forward")
    )
    if directions is None:
        raise GraphError(f"direction={call.get('direction')!r} is not there")
    call.only(input_forget=0)
    if "clip" in call.attributes:
        raise GraphError("clip is not there")
    units, batch_first = as_tensor(r).shape[-1], call.get("layout", 0)
    rows = as_tensor(x) if batch_first else ops.transpose(as_tensor(x), (1, 0, 2))
    batch, steps = rows.shape[:2]
    mask = (
        [] if lengths is None else [(ops.arange(steps) < ops.cast(as_tensor(lengths), "int32")[:, None]).node]
    )
    outputs, ends = [], []
    for number, reverse in enumerate(directions):
        kernel, recurrent = (ops.transpose(_blocks(as_tensor(v)[number], order, 0)) for v in (w, r))
        width = len(order) * units
        bias = ops.zeros((2 * width,), rows.dtype) if b is None else as_tensor(b)[number]
        inner, outer = (_blocks(v, order, 0) for v in (bias[:width], bias[width:]))
        first = [
            ops.zeros((batch, units), rows.dtype)
            if v is None
            else as_tensor(v)[:, number] if batch_first else as_tensor(v)[number]
            for v in firsts
        ]  # fmt: skip
        every, last = walk(call, ops.matmul(rows, kernel) + inner, recurrent, outer, first, mask, reverse)
        if mask:
            every = ops.where(Tensor(mask[0])[:, :, None], every, ops.zeros_like(every))
        outputs.append(every if batch_first else ops.transpose(every, (1, 0, 2)))
        ends.append(last)
    axis = 1 if batch_first else 0
    return (
        ops.stack(outputs, axis=2 if batch_first else 1),
        *(ops.stack([last[i] for last in ends], axis=axis) for i in range(states)),
    )


def _activations(call: Call, usual: Sequence[str], only: bool = False) -> list[Callable[[Tensor], Tensor]]:
    """The functions of a direction; of two directions they must be the same."""
    names = [str(name).lower() for name in call.attributes.get("activations", usual)]
    count = len(usual)
    known = {"sigmoid": ops.sigmoid, "tanh": ops.tanh, "relu": ops.relu}
    if names != names[:count] * (len(names) // count) or any(name not in known for name in names):
        raise GraphError(f"activations {names} are not there")
    if only and names[:count] != [name.lower() for name in usual]:
        raise GraphError(f"activations {names} are not there, only {list(usual)}")
    return [known[name] for name in names[:count]]


def _parts(found: Node, count: int) -> tuple[Tensor, list[Tensor]]:
    return Tensor(p.project(found, 0)), [Tensor(p.project(found, 1 + i)) for i in range(count)]


def _lstm(call: Call, x: Tensor, r: Tensor, b: Tensor, first: Any, mask: list[Node], reverse: bool) -> Any:
    _activations(call, ("Sigmoid", "Tanh", "Tanh"), only=True)
    nodes = [node_of(v) for v in (x + b, r, *first)]
    return _parts(p.lstm(*nodes, *mask, reverse=reverse, masked=bool(mask)), 2)


def _gru(call: Call, x: Tensor, r: Tensor, b: Tensor, first: Any, mask: list[Node], reverse: bool) -> Any:
    gate, bend = _activations(call, ("Sigmoid", "Tanh"))
    if call.get("linear_before_reset", 0) and (gate, bend) == (ops.sigmoid, ops.tanh):
        nodes = [node_of(v) for v in (x, r, b, *first)]
        return _parts(p.gru(*nodes, *mask, reverse=reverse, masked=bool(mask)), 1)
    units = r.shape[0]
    after = bool(call.get("linear_before_reset", 0))

    def step(states: list[Tensor], now: Tensor) -> list[Tensor]:
        (h,) = states
        sums = ops.matmul(h, r[:, : 2 * units]) + b[: 2 * units]
        z, reset = (gate(v) for v in ops.split(now[:, : 2 * units] + sums, 2, axis=-1))
        w, bias = r[:, 2 * units :], b[2 * units :]
        inner = reset * (ops.matmul(h, w) + bias) if after else ops.matmul(reset * h, w) + bias
        new = bend(now[:, 2 * units :] + inner)
        return [(1.0 - z) * new + z * h]

    return _scanned(step, x, first, mask, reverse)


def _rnn(call: Call, x: Tensor, r: Tensor, b: Tensor, first: Any, mask: list[Node], reverse: bool) -> Any:
    (bend,) = _activations(call, ("Tanh",))
    return _scanned(lambda states, now: [bend(now + ops.matmul(states[0], r))], x + b, first, mask, reverse)


def _scanned(step: Any, x: Tensor, first: Sequence[Tensor], mask: list[Node], reverse: bool) -> Any:
    """All h and the last states of a loop over the steps; where the mask is false, states stay."""

    def body(states: list[Tensor], now: list[Tensor]) -> tuple[list[Tensor], Tensor]:
        row, *keep = now
        new = step(states, row)
        if keep:
            new = [ops.where(keep[0][:, None], a, b) for a, b in zip(new, states, strict=True)]
        return new, new[0]

    turned = [ops.transpose(x, (1, 0, 2)), *(ops.transpose(Tensor(m)) for m in mask)]
    last, every = ops.scan(body, list(first), turned, reverse=reverse)
    return ops.transpose(every, (1, 0, 2)), last


# The order of gates here, by their places in ONNX's.
@operator("LSTM", weights=(1, 2, 3))
def lstm(call: Call, *inputs: Any) -> tuple[Any, ...]:
    """Hochreiter & Schmidhuber, "Long Short-Term Memory", 1997; without peepholes."""
    if len(inputs) > 7 and inputs[7] is not None:
        raise GraphError("peepholes (the input P) are not there")
    return _recurrent(call, (0, 2, 3, 1), 2, _lstm, inputs[:7])


@operator("GRU", weights=(1, 2, 3))
def gru(call: Call, *inputs: Any) -> tuple[Any, ...]:
    """Cho et al., "Learning Phrase Representations using RNN Encoder-Decoder", 2014."""
    return _recurrent(call, (0, 1, 2), 1, _gru, inputs)


@operator("RNN", weights=(1, 2, 3))
def rnn(call: Call, *inputs: Any) -> tuple[Any, ...]:
    """f(x W + h R + b)."""
    return _recurrent(call, (0,), 1, _rnn, inputs)
