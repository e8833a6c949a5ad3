"""ONNX Runtime's attention (domain com.microsoft), as its optimizer and exporters of LLMs write it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hornbeam import ops
from hornbeam.core.convert import as_tensor
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import TensorLike
from hornbeam.errors import GraphError
from hornbeam.onnx.operators.attention import attend, joined_heads, rotated, split_heads
from hornbeam.onnx.operators.microsoft.quantized import matmul_integer_to_float
from hornbeam.onnx.operators.vocabulary import Call, filled, microsoft, number


def _padding(mask: Tensor, batch: int, keys: int, filler: float) -> Tensor:
    """Return what a mask adds to scores: `filler` for keys that are left out.

    Masks are ones and zeros (batch, keys) or (batch, queries, keys), or where the keys of each sample end
    (batch,), with where they begin in a second part (2 batch,).
    """
    if len(mask.shape) == 1:
        at, parts = ops.arange(keys), mask.shape[0] // batch
        if parts > 2:
            raise GraphError("a mask of lengths and their sums is not supported")
        seen = at < mask[:batch, None]
        seen = ops.logical_and(seen, at >= mask[batch:, None]) if parts == 2 else seen
    elif len(mask.shape) < 4:
        seen = mask > 0
    else:
        raise GraphError("a mask with four axes is not supported")
    seen = ops.reshape(seen, (seen.shape[0], 1, *([1] if len(seen.shape) == 2 else []), *seen.shape[1:]))
    return ops.where(seen, as_tensor(0.0), as_tensor(filler))


def _attended(
    call: Call,
    rows: Sequence[Tensor],
    mask: Tensor | None,
    bias: Tensor | None,
    past: Sequence[Tensor | None] = (None, None),
) -> tuple[Tensor, ...]:
    """Return the output, keys and values with those before, and the weights."""
    q, *new = rows
    k, v = (x if y is None else ops.concatenate([y, x], axis=2) for x, y in zip(new, past, strict=True))
    queries, keys, allowed = q.shape[2], k.shape[2], None
    if call.get("unidirectional", 0):
        allowed = ops.arange(keys) <= ops.expand_dims(ops.arange(queries) + (keys - queries), -1)
    filler = call.get("mask_filter_value", -10000.0)
    if mask is not None:
        padding = ops.cast(_padding(mask, q.shape[0], keys, filler), q.dtype)
        bias = padding if bias is None else bias + padding
    y, stages = attend(q, k, v, call.get("scale", 0.0), allowed, bias)
    return joined_heads(y), k, v, stages[-1]


def _of_one_product(call: Call, product: Tensor, mask: Any, past: Any, bias: Any) -> tuple[Tensor, Tensor]:
    """Attend with queries, keys and values that are parts of one product; return past and present as one."""
    call.only(do_rotary=0, past_present_share_buffer=0)
    call.get("rotary_embedding_dim")
    count, width = call.get("num_heads", 0), product.shape[-1]
    sizes = call.get("qkv_hidden_sizes", [width // 3] * 3)
    parts = ops.split(product, [sizes[0], sizes[0] + sizes[1]], axis=-1)
    before = (None, None) if past is None else (past[0], past[1])
    y, k, v, _ = _attended(call, [split_heads(x, count) for x in parts], mask, bias, before)
    return (y, ops.stack([k, v])) if call.outputs > 1 else (y, y)


@microsoft("Attention", weights=(1, 2))
def attention(
    call: Call,
    x: Tensor,
    w: Tensor,
    b: Tensor | None = None,
    mask: Tensor | None = None,
    past: Tensor | None = None,
    bias: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Project x to queries, keys and values by one product, and attend."""
    product = ops.matmul(x, w) if b is None else ops.matmul(x, w) + b
    return _of_one_product(call, product, mask, past, bias)


@microsoft("QAttention")
def quantized_attention(call: Call, *inputs: Any) -> tuple[Tensor, Tensor]:
    """Project quantized numbers by a quantized product, and attend."""
    x, w, b, x_scale, w_scale, mask, x_zero, w_zero, past = filled(inputs, 9)
    product = matmul_integer_to_float(call, x, w, x_scale, w_scale, x_zero, w_zero, b)
    return _of_one_product(call, product, mask, past, None)


@microsoft("MultiHeadAttention", weights=(3,))
def multi_head_attention(call: Call, *inputs: Any) -> tuple[Tensor, ...]:
    """Attend with queries, keys and values that are projected before, and get a bias here."""
    q, k, v, b, mask, bias, *past = filled(inputs, 10)
    if past[2] is not None or past[3] is not None:
        raise GraphError("past_sequence_length and cache_indirection are not supported")
    packed, count = q if k is None else k, call.get("num_heads", 0)
    if v is None:  # (batch, steps, heads, 2 or 3, size)
        parts = [ops.transpose(packed[:, :, :, i], (0, 2, 1, 3)) for i in range(packed.shape[3])]
        rows = parts if k is None else [split_heads(q, count), *parts]
    else:
        rows = [x if len(x.shape) == 4 else split_heads(x, count) for x in (q, k, v)]
    if b is not None:
        widths = np.cumsum([x.shape[1] * x.shape[3] for x in rows])[:-1].tolist()
        factors = [ops.reshape(part, (count, 1, -1)) for part in ops.split(b, widths)]
        is_new = [v is None or len(x.shape) == 3 for x in (q, k, v)]
        rows = [x + y if new else x for x, y, new in zip(rows, factors, is_new, strict=True)]
    return _attended(call, rows, mask, bias, past[:2])


@microsoft("RotaryEmbedding")
def rotary_embedding(call: Call, x: Tensor, positions: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate pairs of features by angles that grow with the position, or from one position on."""
    call.only(is_packed_batching=0, scale=1.0)
    count, width = call.get("num_heads", 0), call.get("rotary_embedding_dim", 0) or 2 * cos.shape[-1]
    is_flat = len(x.shape) == 3
    rows = split_heads(x, count or x.shape[-1] // width) if is_flat else x
    if len(positions.shape) == 1:
        positions = ops.reshape(positions, (1, 1)) + ops.arange(rows.shape[2], dtype=positions.dtype)
    cos, sin = ops.take(cos, positions, axis=0), ops.take(sin, positions, axis=0)
    y = rotated(rows, cos, sin, width, call.get("interleaved", 0))
    return joined_heads(y) if is_flat else y


@microsoft("GroupQueryAttention", tensors=6)
def group_query_attention(
    call: Call,
    q: Tensor,
    k: Tensor | None,
    v: Tensor | None,
    past_k: Tensor | None,
    past_v: Tensor | None,
    lengths: Tensor,
    total: TensorLike,
    *others: Any,
) -> tuple[Tensor, ...]:
    """Attend with fewer heads of keys and values than of queries, and caches of keys and values.

    lengths: number of keys of each sample, less one, those of this call included. total: the largest number.
    """
    cos, sin, positions, bias, sink, *more = [x if x is None else as_tensor(x) for x in filled(others, 10)]
    if any(x is not None for x in more):
        raise GraphError("quantized caches, norms of queries and numbers of queries are not supported")
    call.only(k_quant_type="NONE", v_quant_type="NONE", sliding_window_cache=0, qk_output=0)
    for name in ("kv_cache_bit_width", "qk_norm_epsilon", "q_norm_epsilon", "k_norm_epsilon"):
        call.get(name)  # of what is not supported
    heads, kv_heads = call.get("num_heads", 0), call.get("kv_num_heads", 0)
    if k is None or v is None:
        size = q.shape[-1] // (heads + 2 * kv_heads)
        q, k, v = ops.split(q, [heads * size, (heads + kv_heads) * size], axis=-1)
    rows = [split_heads(q, heads), split_heads(k, kv_heads), split_heads(v, kv_heads)]
    steps, most = q.shape[1], number(total, "total_sequence_length")
    ends = ops.reshape(ops.cast(lengths, "int64"), (-1, 1)) + 1
    starts = ops.zeros_like(ends) if most == steps else ends - steps  # of the keys of this call
    at = starts + ops.arange(steps, dtype="int64")
    interleaved = call.get("rotary_interleaved", 0)
    if call.get("do_rotary", 0) and cos is not None and sin is not None:
        places = at if positions is None else positions
        cos, sin = ops.take(cos, places, axis=0), ops.take(sin, places, axis=0)
        rows[:2] = [rotated(x, cos, sin, 2 * cos.shape[-1], interleaved) for x in rows[:2]]
    room = 0 if past_k is None else past_k.shape[2]
    keys = ops.arange(max(room, most), dtype="int64")
    is_old, is_new = keys < starts, ops.logical_and(keys >= starts, keys < starts + steps)
    index = ops.where(is_old, keys, room + ops.clip(keys - starts, 0, steps - 1))[:, None, :, None]
    present: list[Tensor] = []
    for old, new in ((past_k, rows[1]), (past_v, rows[2])):
        both = new if old is None else ops.concatenate([old, new], axis=2)
        used = ops.logical_or(is_old, is_new)[:, None, :, None]
        present.append(ops.where(used, ops.take_along_axis(both, index, axis=2), ops.zeros((), both.dtype)))
    distance = keys[None, None] - at[:, :, None]  # (batch, queries, keys)
    allowed = ops.logical_and(keys < ends[:, :, None], distance <= (0 if call.get("causal", 1) else most))
    if (window := call.get("local_window_size", -1)) > 0:
        allowed = ops.logical_and(allowed, distance > -window)
    if bias is not None and (missing := keys.shape[0] - bias.shape[-1]):
        bias = ops.pad(bias, [(0, 0)] * 3 + [(0, missing)])
    if sink is None and call.get("smooth_softmax", 0) == 1:
        sink = ops.zeros((heads,))
    call.get("smooth_softmax")
    allowed, cap = ops.expand_dims(allowed, 1), call.get("softcap", 0.0)
    y, _ = attend(rows[0], present[0], present[1], call.get("scale", 0.0), allowed, bias, cap, sink=sink)
    return joined_heads(y), *present
