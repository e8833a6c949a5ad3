"""Attention of queries, keys and values."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from hornbeam import primitives as p
from hornbeam.core.convert import as_tensor, broadcast_node, broadcast_shapes, cast_node
from hornbeam.core.dispatch import operation
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import TensorLike
from hornbeam.ir.node import Node
from hornbeam.ir.primitive import full, ones_like, zeros_like
from hornbeam.ir.sizes import same_shape
from hornbeam.ir.types import ShapeError, TensorType
from hornbeam.ops._common import HALF, float_dtype

__all__ = ["dot_product_attention"]


@operation
def dot_product_attention(
    query: TensorLike,
    key: TensorLike,
    value: TensorLike,
    bias: TensorLike | None = None,
    mask: TensorLike | None = None,
    scale: float | None = None,
    is_causal: bool = False,
    flash_attention: bool | None = None,
    attn_logits_soft_cap: float | None = None,
) -> Tensor:
    """Compute softmax(scale query key^T + bias) value for every head.

    A query that may attend to no key gets the mean of all values.

    Args:
        query: Tensor (batch, T, heads, depth).
        key, value: Tensors (batch, S, key heads, depth); the number of heads is a multiple of that of key
            heads.
        bias: Tensor that is added to the scores, broadcast to (batch, heads, T, S), or None.
        mask: Tensor of booleans, broadcast to (batch, heads, T, S), True where a query may attend, or None.
        scale: Number; None for 1 / sqrt(depth).
        is_causal: Let query t attend to keys up to t only.
        flash_attention: Accepted for Keras's signature: the engine chooses its kernels.
        attn_logits_soft_cap: Number cap; scores become cap * tanh(scores / cap). None for no limit.

    Returns:
        Tensor (batch, T, heads, depth of `value`).

    Example:
        >>> q = hornbeam.ops.ones((1, 2, 1, 4)); hornbeam.ops.dot_product_attention(q, q, q).shape
        (1, 2, 1, 4)

    Source: Vaswani et al., "Attention Is All You Need", 2017.
    """
    q, k, v = _heads(query, key, value)
    factor = 1.0 / math.sqrt(q.shape[3]) if scale is None else float(scale)
    causal = is_causal and mask is None and attn_logits_soft_cap is None  # without a mask in memory
    allowed = _allowed(mask, is_causal and not causal, q.shape[1], k.shape[1])
    if mask is not None and allowed is not None:
        q = _with_keys(q, allowed)
    if attn_logits_soft_cap is None:
        return Tensor(_fused(q, k, v, bias, allowed, factor, causal))
    extra = _attention_bias(bias, allowed, _score_shape(q, k), q.dtype)
    k, v = (p.for_all_heads(x, q.shape[2]) for x in (k, v))
    logits = p.dot_general(q, k, contract=((3,), (3,)), batch=((0, 2), (0, 2))) * factor
    logits = p.tanh(logits / float(attn_logits_soft_cap)) * float(attn_logits_soft_cap)
    weights = p.softmax(logits if extra is None else logits + extra)
    return Tensor(
        p.transpose(p.dot_general(weights, v, contract=((3,), (1,)), batch=((0, 1), (0, 2))), (0, 2, 1, 3))
    )


def masked_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    *,
    scale: float,
    is_causal: bool,
    rate: float = 0.0,
    seed: Tensor | None = None,
) -> Tensor:
    """Compute `dot_product_attention` with dropout of the weights, as layers that drop weights do.

    Its bits are those of `random.dropout` for weights (batch, heads, T, S). A query that may attend to no key
    gets 0.

    Args:
        query: Tensor (batch, T, heads, depth).
        key, value: Tensors (batch, S, key heads, depth).
        mask: Tensor of booleans, broadcast to (batch, heads, T, S), or None.
        scale: Factor of the scores.
        is_causal: Let query t attend to keys up to t only.
        rate: Fraction of the weights that become 0, in [0, 1).
        seed: Key of two uint32 words; unused if the rate is 0.

    Returns:
        Tensor (batch, T, heads, depth of `value`).

    Raises:
        ShapeError: If the shapes do not fit each other.
    """
    q, k, v = _heads(query, key, value)
    causal = is_causal and mask is None
    allowed = _allowed(mask, is_causal and not causal, q.shape[1], k.shape[1])
    out = _fused(q, k, v, None, allowed, scale, causal, rate, seed if rate else None)
    return Tensor(out if allowed is None else _with_keys(out, allowed))


def _heads(query: TensorLike, key: TensorLike, value: TensorLike) -> tuple[Node, Node, Node]:
    """Check the operands, and convert them to one dtype."""
    dtype = float_dtype(query, key, value)
    q, k, v = (cast_node(x, dtype) for x in (query, key, value))
    if not q.rank == k.rank == v.rank == 4:
        raise ShapeError(f"attention needs four axes, got shapes {q.shape}, {k.shape}, {v.shape}")
    heads, key_heads = q.shape[2], k.shape[2]
    if (
        not same_shape(k.shape[:3], v.shape[:3])
        or q.shape[0] != k.shape[0]
        or q.shape[3] != k.shape[3]
        or heads % key_heads
    ):
        raise ShapeError(f"attention: shapes {q.shape}, {k.shape}, {v.shape} do not fit each other")
    return q, k, v


def _fused(
    q: Node,
    k: Node,
    v: Node,
    bias: TensorLike | None,
    allowed: Tensor | None,
    scale: float,
    causal: bool,
    rate: float = 0.0,
    seed: Tensor | None = None,
) -> Node:
    """Apply the primitive, in float32 for half precision: its sums are too long for fewer bits."""
    dtype = q.dtype
    wide = "float32" if dtype in HALF else dtype
    extra = _attention_bias(bias, allowed, _score_shape(q, k), wide)
    operands = [p.convert(x, wide) for x in (q, k, v)]
    operands += [x for x in (extra, None if seed is None else seed.node) if x is not None]
    return p.convert(p.project(p.attention(*operands, scale=scale, causal=causal, rate=rate), 0), dtype)


def _score_shape(q: Node, k: Node) -> tuple[int, ...]:
    return (q.shape[0], q.shape[2], q.shape[1], k.shape[1])


def _allowed(mask: TensorLike | None, causal: bool, queries: int, keys: int) -> Tensor | None:
    """Return the mask of keys that queries may attend to, in its smallest shape; None for all keys."""
    allowed = None if mask is None else Tensor(cast_node(as_tensor(mask), "bool"))
    if not causal:
        return allowed
    past = Tensor(p.ge(p.iota("int32", (queries, keys), 0), p.iota("int32", (queries, keys), 1)))
    return past if allowed is None else Tensor(p.bit_and(*_common(allowed, past)))


def _with_keys(x: Node, allowed: Tensor) -> Node:
    """Zero the rows of queries, or of results, (batch, T, heads, depth) that may attend to no key."""
    sees = p.reduce_or(allowed.node, (allowed.node.rank - 1,))
    batch, queries, heads, _ = x.shape
    transposed = p.transpose(broadcast_node(sees, (batch, heads, queries)), (0, 2, 1))
    return p.select(p.broadcast(transposed, x.shape, (0, 1, 2)), x, zeros_like(x))


def _attention_bias(
    bias: TensorLike | None, allowed: Tensor | None, shape: Sequence[int], dtype: str
) -> Node | None:
    """Return the addend of the scores: the bias, and a large negative number for masked keys.

    It is computed in its smallest shape, and broadcast.
    """
    total = None if bias is None else Tensor(cast_node(bias, dtype))
    if allowed is not None:
        base = Tensor(full(0, TensorType((), dtype))) if total is None else total
        test, kept = _common(allowed, base)
        total = Tensor(p.select(test, kept, ones_like(kept) * _very_negative(dtype)))
    return None if total is None else broadcast_node(total.node, tuple(shape))


def _common(a: Tensor, b: Tensor) -> tuple[Node, Node]:
    shape = broadcast_shapes(a.shape, b.shape)
    return broadcast_node(a.node, shape), broadcast_node(b.node, shape)


def _very_negative(dtype: str) -> float:
    """Return a number whose exponential is 0, and to which adding does not overflow."""
    return -2e38 if dtype in ("float32", "bfloat16") else float(np.finfo(dtype).min) * 0.7
