"""Attention as a composite: an engine may run it without the matrix of scores.

Besides its result it returns for every query the row max and row sum of the softmax, from which
`attention_grad` computes the weights again, as FlashAttention does (Dao et al. 2022). Second derivatives, and
gradients of these statistics, go through the bodies.

Shapes, with H query heads that share G heads of keys and values (H a multiple of G):

- q (B, T, H, D), k (B, S, G, D), v (B, S, G, E); optionally bias (B, H, T, S), added to the scaled scores
- out (B, T, H, E), row max and row sum (B, H, T)
- scores, weights and their gradients in the bodies: (B, H, T, S)

Parameters: `scale`, a factor of the scores; `causal`, with which query t attends to keys up to t only; and
`rate`, the fraction of the weights that dropout sets to 0. If it is not 0, the key of its random bits is the
last operand, before those of the backward pass.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from hornbeam.ir.autodiff import outputs_of
from hornbeam.ir.node import Node
from hornbeam.ir.primitive import Cotangents, Sample, full, zeros_like
from hornbeam.ir.types import FLOATS
from hornbeam.primitives import contract, elementwise, reduce, shape
from hornbeam.primitives.composite import composite, default_vjp, keep, largest_last, softmax
from hornbeam.primitives.control import optimization_barrier
from hornbeam.primitives.random import bernoulli

__all__ = ["attention", "attention_grad", "for_all_heads"]


def _scores(q: Node, k: Node, bias: Sequence[Node], scale: float, causal: bool) -> Node:
    if causal:
        # The positions come with an operand: a mask of constants alone would be computed outside of the body.
        q, positions = optimization_barrier(q, shape.iota("int32", (q.shape[1],), 0))
    scores = contract.dot_general(q, k, contract=((3,), (3,)), batch=((0, 2), (0, 2))) * scale
    scores = scores + bias[0] if bias else scores
    if not causal:
        return scores
    mask = elementwise.ge(keep(positions, scores, (0, 1, 3)), shape.iota("int32", scores.shape, 3))
    return elementwise.select(mask, scores, full(-math.inf, scores.type))


def _dropout(weights: Node, key: Sequence[Node], rate: float) -> Node:
    """Apply dropout, as `random.dropout` does, if there is a key."""
    if not key:
        return weights
    kept = bernoulli(key[0], 1.0 - rate, weights.shape)
    return elementwise.select(kept, weights * (1.0 / (1.0 - rate)), zeros_like(weights))


def _bias_and_key(optional: Sequence[Node], rate: float) -> tuple[Sequence[Node], Sequence[Node]]:
    """Split the optional operands into the bias and the key of dropout; each has one element or none."""
    count = len(optional) - (rate > 0)
    return optional[:count], optional[count:]


def for_all_heads(x: Node, heads: int) -> Node:
    """Repeat the heads of keys or values, which groups of query heads share."""
    b, s, h, d = x.shape
    if h == heads:
        return x
    return shape.reshape(shape.broadcast(x, (b, s, h, heads // h, d), (0, 1, 2, 4)), (b, s, heads, d))


def _for_shared_heads(x: Node, key_heads: int) -> Node:
    """Sum the gradients of heads (B, heads, S, D) that share keys or values."""
    b, h, s, d = x.shape
    if h == key_heads:
        return x
    return reduce.reduce_sum(shape.reshape(x, (b, key_heads, h // key_heads, s, d)), (2,))


def _swap_heads(x: Node) -> Node:
    """Swap the axes of heads and length: (B, H, T, D) to (B, T, H, D) or back."""
    return shape.transpose(x, (0, 2, 1, 3))


def _attention_body(
    q: Node, k: Node, v: Node, *rest: Node, scale: float, causal: bool, rate: float
) -> list[Node]:
    bias, key = _bias_and_key(rest, rate)
    k, v = (for_all_heads(x, q.shape[2]) for x in (k, v))
    scores = _scores(q, k, bias, scale, causal)
    weights = _dropout(softmax(scores), key, rate)
    out = contract.dot_general(weights, v, contract=((3,), (1,)), batch=((0, 1), (0, 2)))
    row_max = largest_last(scores)
    row_sum = reduce.reduce_sum(elementwise.exp(scores - keep(row_max, scores, (3,))), (3,))
    return [_swap_heads(out), row_max, row_sum]


def _attention_vjp(cts: Any, out: Node, *inputs: Node, body: Any, **params: Any) -> Cotangents:
    if cts[1] is not None or cts[2] is not None:  # gradients of the row max or the row sum
        return default_vjp("attention")(cts, out, *inputs, body=body, **params)
    gradients = outputs_of(attention_grad(*inputs, *outputs_of(out), cts[0], **params))
    return [*gradients, *(None for _ in inputs[len(gradients) :])]


def _attention_grad_body(
    q: Node, k: Node, v: Node, *rest: Node, scale: float, causal: bool, rate: float
) -> list[Node]:
    *optional, out, row_max, row_sum, ct = rest
    bias, key = _bias_and_key(optional, rate)
    key_heads = k.shape[2]
    k, v = (for_all_heads(x, q.shape[2]) for x in (k, v))
    scores = _scores(q, k, bias, scale, causal)
    weights = elementwise.exp(scores - keep(row_max, scores, (3,))) / keep(row_sum, scores, (3,))
    dweights = _dropout(contract.dot_general(ct, v, contract=((3,), (3,)), batch=((0, 2), (0, 2))), key, rate)
    # The softmax's gradient needs the sum of weights * dweights over the keys, which is that of ct * out.
    delta = shape.transpose(reduce.reduce_sum(ct * out, (3,)), (0, 2, 1))
    dscores = weights * (dweights - keep(delta, scores, (3,)))
    scaled_dscores = dscores * scale
    dq = contract.dot_general(scaled_dscores, k, contract=((3,), (1,)), batch=((0, 1), (0, 2)))
    dk = contract.dot_general(scaled_dscores, q, contract=((2,), (1,)), batch=((0, 1), (0, 2)))
    dv = contract.dot_general(_dropout(weights, key, rate), ct, contract=((2,), (1,)), batch=((0, 1), (0, 2)))
    dk, dv = (_for_shared_heads(x, key_heads) for x in (dk, dv))
    return [*(_swap_heads(x) for x in (dq, dk, dv)), *(dscores for _ in bias)]


_qkv = ((2, 3, 2, 4), (2, 5, 2, 4), (2, 5, 2, 6))
_shared = ((2, 3, 2, 4), (2, 5, 1, 4), (2, 5, 1, 6))
_bias = (2, 2, 3, 5)
_out = ((2, 3, 2, 6), (2, 2, 3), (2, 2, 3), (2, 3, 2, 6))
_plain = {"scale": 0.5, "causal": False, "rate": 0.0}
_dropping = {"scale": 0.5, "causal": True, "rate": 0.25}

# q, k, v, bias if any, key if any -> out, row max, row sum.
attention = composite(
    "attention",
    _attention_body,
    vjp=_attention_vjp,
    dtypes=(*FLOATS, "uint32"),
    samples=(
        Sample(_qkv, _plain),
        Sample(_shared, _plain),
        Sample((*_qkv, _bias), _plain),
        Sample((*_qkv, _bias, (2,)), _dropping, dtypes=(*(None,) * 4, "uint32")),
    ),
)
# The operands and results of `attention`, and the gradient of out -> gradients of q, k, v, and bias if any.
attention_grad = composite(
    "attention_grad",
    _attention_grad_body,
    dtypes=(*FLOATS, "uint32"),
    samples=(
        Sample((*_qkv, *_out), _plain),
        Sample((*_shared, *_out), _plain),
        Sample((*_qkv, _bias, *_out), _plain),
        Sample((*_qkv, (2,), *_out), _dropping, dtypes=(*(None,) * 3, "uint32", *(None,) * 4)),
    ),
)
