"""Attention as a composite: an engine may run it without the matrix of scores.

Besides its result it returns, for every query, its largest score and the sum of the exponentials below that;
`attention_grad` finds the weights again from these. Only a derivative of such a derivative goes through the
body.
"""

from __future__ import annotations

from typing import Any

from hornbeam.ir.autodiff import outputs_of
from hornbeam.ir.node import Node
from hornbeam.ir.primitive import Cotangents, Sample
from hornbeam.ir.types import FLOATS
from hornbeam.primitives import contract, elementwise, reduce, shape
from hornbeam.primitives.composite import composite, default_vjp, keep, largest_last, softmax

__all__ = ["attention", "attention_grad"]


def _scores(q: Node, k: Node, bias: tuple[Node, ...], scale: float) -> Node:
    scores = contract.dot_general(q, k, contract=((3,), (3,)), batch=((0, 2), (0, 2))) * scale
    return scores + bias[0] if bias else scores


def _swapped(x: Node) -> Node:
    """Swap the axes of heads and length."""
    return shape.transpose(x, (0, 2, 1, 3))


def _attention_body(q: Node, k: Node, v: Node, *bias: Node, scale: float) -> list[Node]:
    scores = _scores(q, k, bias, scale)
    out = contract.dot_general(softmax(scores), v, contract=((3,), (1,)), batch=((0, 1), (0, 2)))
    row_max = largest_last(scores)
    row_sum = reduce.reduce_sum(elementwise.exp(scores - keep(row_max, scores, (3,))), (3,))
    return [_swapped(out), row_max, row_sum]


def _attention_vjp(cts: Any, out: Node, *inputs: Node, scale: float, **params: Any) -> Cotangents:
    if cts[1] is not None or cts[2] is not None:
        return default_vjp("attention")(cts, out, *inputs, scale=scale, **params)
    return outputs_of(attention_grad(*inputs, *outputs_of(out), cts[0], scale=scale))


def _attention_grad_body(q: Node, k: Node, v: Node, *rest: Node, scale: float) -> list[Node]:
    *bias, out, row_max, row_sum, ct = rest
    scores = _scores(q, k, tuple(bias), scale)
    weights = elementwise.exp(scores - keep(row_max, scores, (3,))) / keep(row_sum, scores, (3,))
    inner = contract.dot_general(ct, v, contract=((3,), (3,)), batch=((0, 2), (0, 2)))
    mean = shape.transpose(reduce.reduce_sum(ct * out, (3,)), (0, 2, 1))
    dscores = weights * (inner - keep(mean, scores, (3,)))
    scaled_dscores = dscores * scale
    dq = contract.dot_general(scaled_dscores, k, contract=((3,), (1,)), batch=((0, 1), (0, 2)))
    dk = contract.dot_general(scaled_dscores, q, contract=((2,), (1,)), batch=((0, 1), (0, 2)))
    dv = contract.dot_general(weights, ct, contract=((2,), (1,)), batch=((0, 1), (0, 2)))
    return [*(_swapped(x) for x in (dq, dk, dv)), *(dscores for _ in bias)]


_qkv = ((2, 3, 2, 4), (2, 5, 2, 4), (2, 5, 2, 6))
_bias = (2, 2, 3, 5)
_out = ((2, 3, 2, 6), (2, 2, 3), (2, 2, 3), (2, 3, 2, 6))
# q (B, T, H, D), k (B, S, H, D), v (B, S, H, E), and a bias (B, H, T, S) added to the scaled_dscores scores
# -> out (B, T, H, E), and for each query the row max and row sum of exponentials (B, H, T).
attention = composite(
    "attention",
    _attention_body,
    vjp=_attention_vjp,
    dtypes=FLOATS,
    samples=(Sample(_qkv, {"scale": 0.5}), Sample((*_qkv, _bias), {"scale": 0.5})),
)
# The operands and results of `attention`, and the gradient of out -> gradients of q, k, v, and of the bias
# if any.
attention_grad = composite(
    "attention_grad",
    _attention_grad_body,
    dtypes=FLOATS,
    samples=(Sample((*_qkv, *_out), {"scale": 0.5}), Sample((*_qkv, _bias, *_out), {"scale": 0.5})),
)
