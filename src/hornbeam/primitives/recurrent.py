"""Recurrent layers along whole sequences, as composites: an engine may run all steps as one kernel.

The inputs come multiplied with their weights, for all steps at once. Besides its results a layer returns what
its gates were, and `lstm_grad` and `gru_grad` go back from those, so that nothing is computed twice; the
gradients of the weights are then one product over all steps. Only a derivative of such a derivative needs
more: it goes through the body.

Sequences are (batch, steps, ...). With `reverse` the walk begins at the last step; every output stands at the
step that it belongs to. With `masked` the last operand is a bool mask (batch, steps): where it is False the
state stays as it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hornbeam.ir.autodiff import dense_cotangents, outputs_of
from hornbeam.ir.node import Node
from hornbeam.ir.primitive import Cotangents, Sample, zeros_like
from hornbeam.ir.types import FLOATS
from hornbeam.primitives import contract, elementwise, reduce, shape
from hornbeam.primitives.composite import composite, default_vjp
from hornbeam.primitives.control import scan

__all__ = ["gru", "gru_grad", "lstm", "lstm_grad"]

DTYPES = (*FLOATS, "bool")


def _turned(x: Node) -> Node:
    """Swap the axes of batch and steps."""
    return shape.transpose(x, (1, 0, *range(2, x.rank)))


def _columns(x: Node, count: int) -> list[Node]:
    """Split the last axis of a matrix into equal parts."""
    rows, size = x.shape[0], x.shape[1] // count
    return [shape.slice_(x, (0, k * size), (rows, (k + 1) * size)) for k in range(count)]


def _product(x: Node, w: Node, side: int = 0) -> Node:
    """Compute x @ w, or x @ w^T for side 1."""
    return contract.dot_general(x, w, contract=((1,), (side,)), batch=((), ()))


def _where(keep: Sequence[Node], new: Node, old: Node) -> Node:
    """Select `new` in the rows of the mask (all rows without one), else `old`."""
    if not keep:
        return new
    return elementwise.select(shape.broadcast(keep[0], new.shape, (0,)), new, old)


def _before(values: Node, first: Node, reverse: bool) -> Node:
    """Return the state before each step: the value of the previous step, `first` for the first."""
    start = shape.reshape(first, (first.shape[0], 1, first.shape[1]))
    batch, steps, size = values.shape
    if reverse:
        return shape.concatenate(shape.slice_(values, (0, 1, 0), (batch, steps, size)), start, axis=1)
    return shape.concatenate(start, shape.slice_(values, (0, 0, 0), (batch, steps - 1, size)), axis=1)


def _walk(step: Any, init: Sequence[Node], xs: Sequence[Node], reverse: bool) -> tuple[Any, list[Node]]:
    last, ys = scan(step, init, [_turned(x) for x in xs], length=xs[0].shape[1], reverse=reverse)
    return last, [_turned(y) for y in ys]


def _split(rest: Sequence[Node], masked: bool) -> tuple[Sequence[Node], Sequence[Node]]:
    """Split the optional operands: gradients of all outputs, and the mask."""
    return rest[: len(rest) - masked], rest[len(rest) - masked :]


# -- LSTM ----------------------------------------------------------------------------------------------------


def _lstm_body(x: Node, w: Node, h0: Node, c0: Node, *mask: Node, reverse: bool, masked: bool) -> list[Node]:
    def step(carry: Sequence[Node], items: Sequence[Node]) -> tuple[list[Node], list[Node]]:
        (h, c), (x, *keep) = carry, items
        i, f, g, o = _columns(x + _product(h, w), 4)
        i, f, o, g = *(elementwise.logistic(z) for z in (i, f, o)), elementwise.tanh(g)
        new = f * c + i * g
        gates = shape.concatenate(i, f, g, o, axis=1)
        state = [_where(keep, o * elementwise.tanh(new), h), _where(keep, new, c)]
        return state, [*state, _where(keep, gates, zeros_like(gates))]

    last, (h, c, gates) = _walk(step, [h0, c0], [x, *mask], reverse)
    return [h, *last, c, gates]


def _lstm_vjp(cts: Any, out: Node, *inputs: Node, reverse: bool, masked: bool, **params: Any) -> Cotangents:
    h, h_last, c_last, c, gates = outputs_of(out)
    if cts[3] is not None or cts[4] is not None:
        params = {"reverse": reverse, "masked": masked, **params}
        return default_vjp("lstm")(cts, out, *inputs, **params)
    _, w, h0, c0, *mask = inputs
    ends = dense_cotangents(cts[1:3], (h_last, c_last))
    every = [] if cts[0] is None else [cts[0]]
    grads = lstm_grad(w, c0, c, gates, *ends, *every, *mask, reverse=reverse, masked=masked)
    dx, dh0, dc0 = outputs_of(grads)
    dw = contract.dot_general(_before(h, h0, reverse), dx, contract=((0, 1), (0, 1)), batch=((), ()))
    return [dx, dw, dh0, dc0, *(None for _ in mask)]


def _lstm_grad_body(
    w: Node, c0: Node, c: Node, gates: Node, dh: Node, dc: Node, *rest: Node, reverse: bool, masked: bool
) -> list[Node]:
    every, mask = _split(rest, masked)

    def step(carry: Sequence[Node], items: Sequence[Node]) -> tuple[list[Node], list[Node]]:
        (dh, dc), (gates, c, before, *rest) = carry, items
        every, keep = _split(rest, masked)
        dh = dh + every[0] if every else dh
        i, f, g, o = _columns(gates, 4)
        tanh_c = elementwise.tanh(c)
        dc_total = dc + dh * o * (1.0 - tanh_c * tanh_c)
        sums = shape.concatenate(
            dc_total * g * i * (1.0 - i),
            dc_total * before * f * (1.0 - f),
            dc_total * i * (1.0 - g * g),
            dh * tanh_c * o * (1.0 - o),
            axis=1,
        )
        state = [_where(keep, _product(sums, w, 1), dh), _where(keep, dc_total * f, dc)]
        return state, [_where(keep, sums, zeros_like(sums))]

    xs = [gates, c, _before(c, c0, reverse), *every, *mask]
    (dh0, dc0), (dx,) = _walk(step, [dh, dc], xs, not reverse)
    return [dx, dh0, dc0]


_lstm = ((3, 4, 8), (2, 8), (3, 2), (3, 2))
# x (B, T, 4U), w (U, 4U), h0, c0 (B, U) -> h (B, T, U), the last h and c (B, U), and for the backward pass
# c (B, T, U) and the gates i, f, g, o (B, T, 4U), after their activations.
lstm = composite(
    "lstm",
    _lstm_body,
    vjp=_lstm_vjp,
    dtypes=DTYPES,
    samples=(
        Sample(_lstm, {"reverse": False, "masked": False}),
        Sample((*_lstm, (3, 4)), {"reverse": True, "masked": True}, dtypes=(None,) * 4 + ("bool",)),
    ),
)

_lstm_back = ((2, 8), (3, 2), (3, 4, 2), (3, 4, 8), (3, 2), (3, 2), (3, 4, 2))
# w, c0, c and the gates of `lstm`, the gradients of its last h and c, and of all h if any -> those
# of x, h0 and c0.
lstm_grad = composite(
    "lstm_grad",
    _lstm_grad_body,
    dtypes=DTYPES,
    samples=(
        Sample(_lstm_back[:-1], {"reverse": True, "masked": False}),
        Sample((*_lstm_back, (3, 4)), {"reverse": False, "masked": True}, dtypes=(None,) * 7 + ("bool",)),
    ),
)

# -- GRU -----------------------------------------------------------------------------------------------------


def _gru_body(x: Node, w: Node, b: Node, h0: Node, *mask: Node, reverse: bool, masked: bool) -> list[Node]:
    def step(carry: Sequence[Node], items: Sequence[Node]) -> tuple[list[Node], list[Node]]:
        (h,), (x, *keep) = carry, items
        sums = _product(h, w)
        sums = sums + shape.broadcast(b, sums.shape, (1,))
        (x_z, x_r, x_g), (s_z, s_r, s_g) = _columns(x, 3), _columns(sums, 3)
        z, r = elementwise.logistic(x_z + s_z), elementwise.logistic(x_r + s_r)
        g = elementwise.tanh(x_g + r * s_g)
        gates = shape.concatenate(z, r, g, s_g, axis=1)
        state = _where(keep, z * h + (1.0 - z) * g, h)
        return [state], [state, _where(keep, gates, zeros_like(gates))]

    last, (h, gates) = _walk(step, [h0], [x, *mask], reverse)
    return [h, *last, gates]


def _gru_vjp(cts: Any, out: Node, *inputs: Node, reverse: bool, masked: bool, **params: Any) -> Cotangents:
    h, h_last, gates = outputs_of(out)
    if cts[2] is not None:
        params = {"reverse": reverse, "masked": masked, **params}
        return default_vjp("gru")(cts, out, *inputs, **params)
    _, w, _, h0, *mask = inputs
    ends = dense_cotangents(cts[1:2], (h_last,))
    every = [] if cts[0] is None else [cts[0]]
    grads = gru_grad(w, h0, h, gates, *ends, *every, *mask, reverse=reverse, masked=masked)
    dx, sums, dh0 = outputs_of(grads)
    dw = contract.dot_general(_before(h, h0, reverse), sums, contract=((0, 1), (0, 1)), batch=((), ()))
    return [dx, dw, reduce.reduce_sum(sums, (0, 1)), dh0, *(None for _ in mask)]


def _gru_grad_body(
    w: Node, h0: Node, h: Node, gates: Node, dh: Node, *rest: Node, reverse: bool, masked: bool
) -> list[Node]:
    every, mask = _split(rest, masked)

    def step(carry: Sequence[Node], items: Sequence[Node]) -> tuple[list[Node], list[Node]]:
        (dh,), (gates, before, *rest) = carry, items
        every, keep = _split(rest, masked)
        dh = dh + every[0] if every else dh
        z, r, g, s_g = _columns(gates, 4)
        d_g = dh * (1.0 - z) * (1.0 - g * g)
        d_r = d_g * s_g * r * (1.0 - r)
        d_z = dh * (before - g) * z * (1.0 - z)
        dx = shape.concatenate(d_z, d_r, d_g, axis=1)
        sums = shape.concatenate(d_z, d_r, d_g * r, axis=1)
        state = _where(keep, dh * z + _product(sums, w, 1), dh)
        return [state], [_where(keep, dx, zeros_like(dx)), _where(keep, sums, zeros_like(sums))]

    xs = [gates, _before(h, h0, reverse), *every, *mask]
    (dh0,), (dx, sums) = _walk(step, [dh], xs, not reverse)
    return [dx, sums, dh0]


_gru = ((3, 4, 6), (2, 6), (6,), (3, 2))
# x (B, T, 3U), w (U, 3U), b (3U,), h0 (B, U) -> h (B, T, U), the last h (B, U), and for the backward pass
# the gates z, r, g after their activations, and the recurrent sum of g (B, T, 4U). The reset gate is applied
# after the product.
gru = composite(
    "gru",
    _gru_body,
    vjp=_gru_vjp,
    dtypes=DTYPES,
    samples=(
        Sample(_gru, {"reverse": False, "masked": False}),
        Sample((*_gru, (3, 4)), {"reverse": True, "masked": True}, dtypes=(None,) * 4 + ("bool",)),
    ),
)

_gru_back = ((2, 6), (3, 2), (3, 4, 2), (3, 4, 8), (3, 2), (3, 4, 2))
# w, h0, h and the gates of `gru`, the gradients of its last h, and of all h if any -> those of x,
# of the recurrent sums h w + b, and of h0.
gru_grad = composite(
    "gru_grad",
    _gru_grad_body,
    dtypes=DTYPES,
    samples=(
        Sample(_gru_back[:-1], {"reverse": True, "masked": False}),
        Sample((*_gru_back, (3, 4)), {"reverse": False, "masked": True}, dtypes=(None,) * 6 + ("bool",)),
    ),
)
