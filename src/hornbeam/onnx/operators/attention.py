"""ONNX operators of Transformers: attention with its caches, positions by rotation, linear attention."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from hornbeam import ops
from hornbeam import primitives as p
from hornbeam.core.convert import as_tensor
from hornbeam.core.tensor import Tensor
from hornbeam.errors import GraphError
from hornbeam.onnx.operators.elementwise import dtype_of
from hornbeam.onnx.operators.vocabulary import Call, axis_of, operator


def split_heads(x: Tensor, count: int) -> Tensor:
    """Split the last axis: (batch, steps, heads * size) to (batch, heads, steps, size)."""
    if count < 1:
        raise GraphError("three axes need the attributes q_num_heads and kv_num_heads")
    batch, steps, width = x.shape
    return ops.transpose(ops.reshape(x, (batch, steps, count, width // count)), (0, 2, 1, 3))


def joined_heads(x: Tensor) -> Tensor:
    """Join heads: (batch, heads, steps, size) to (batch, steps, heads * size)."""
    batch, heads, steps, size = x.shape
    return ops.reshape(ops.transpose(x, (0, 2, 1, 3)), (batch, steps, heads * size))


def grouped_heads(x: Tensor, heads: int) -> Tensor:
    """Repeat heads of keys and values for the queries that share them."""
    return x if x.shape[1] == heads else ops.repeat(x, heads // x.shape[1], axis=1)


def _allowed(call: Call, offset: Any, queries: int, keys: int, valid: Tensor | None) -> Tensor | None:
    """Return which keys a query sees, by direction, window and padding."""
    ahead = ops.arange(keys) - ops.expand_dims(ops.arange(queries) + offset, -1)
    left, right = call.get("left_window_size", -1), call.get("right_window_size", -1)
    rules = []
    if call.get("is_causal", 0):
        rules.append(ahead <= 0)
    if left >= 0:
        rules.append(ahead >= -left)
    if right >= 0:
        rules.append(ahead <= right)
    if valid is not None:
        rules.append(ops.arange(keys) < valid)
    if not rules:
        return None
    allowed = rules[0]
    for rule in rules[1:]:
        allowed = ops.logical_and(allowed, rule)
    return allowed


@operator("Attention")
def attention(
    call: Call,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Tensor | None = None,
    past_key: Tensor | None = None,
    past_value: Tensor | None = None,
    lengths: Tensor | None = None,
) -> tuple[Tensor, ...]:
    """Compute softmax(scale Q K^T + mask) V for each head (Vaswani et al. 2017); rows without keys are 0."""
    is_flat = len(q.shape) == 3
    counts = call.get("q_num_heads", 0), call.get("kv_num_heads", 0)
    if is_flat:
        q, k, v = split_heads(q, counts[0]), split_heads(k, counts[1]), split_heads(v, counts[1])
    offset: Any = 0
    if past_key is not None and past_value is not None:
        offset = past_key.shape[2]
        k, v = ops.concatenate([past_key, k], axis=2), ops.concatenate([past_value, v], axis=2)
    present = k, v
    queries, keys = q.shape[2], k.shape[2]
    valid = None
    if lengths is not None:
        valid = ops.reshape(ops.cast(lengths, "int32"), (-1, 1, 1, 1))
        offset = ops.reshape(ops.cast(lengths, "int32"), (-1, 1, 1)) - queries
    allowed = _allowed(call, offset, queries, keys, valid)
    if mask is not None and (missing := keys - mask.shape[-1]):
        widths = [(0, 0)] * (len(mask.shape) - 1) + [(0, missing)]
        mask = ops.pad(mask, widths, constant_values=False if mask.dtype == "bool" else -math.inf)
    if mask is not None and mask.dtype == "bool":
        allowed = mask if allowed is None else ops.logical_and(mask, allowed)
        mask = None
    scale, precision = call.get("scale", 0.0), call.get("softmax_precision", 0)
    y, stages = attend(q, k, v, scale, allowed, mask, call.get("softcap", 0.0), precision)
    return joined_heads(y) if is_flat else y, *present, stages[call.get("qk_matmul_output_mode", 0)]


def attend(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    scale: float,
    allowed: Tensor | None = None,
    bias: Tensor | None = None,
    cap: float = 0.0,
    precision: int = 0,
    sink: Tensor | None = None,
) -> tuple[Tensor, Sequence[Tensor]]:
    """Compute softmax(scale Q K^T + bias) V, and its stages; `sink` is a score of each head for no key."""
    k, v = grouped_heads(k, q.shape[1]), grouped_heads(v, q.shape[1])
    root = math.sqrt(scale or 1 / math.sqrt(q.shape[-1]))
    raw = ops.matmul(q * root, ops.transpose(k * root, (0, 1, 3, 2)))
    capped = ops.tanh(raw / cap) * cap if cap else raw
    scores = capped if bias is None else capped + ops.cast(bias, capped.dtype)
    if allowed is not None:
        scores = ops.where(allowed, scores, ops.cast(as_tensor(-math.inf), scores.dtype))
    work = ops.cast(scores, dtype_of(precision)) if precision else scores
    if sink is not None:
        column = ops.cast(ops.reshape(sink, (1, -1, 1, 1)), work.dtype)
        work = ops.concatenate([work, ops.broadcast_to(column, (*work.shape[:3], 1))], axis=-1)
    if bias is not None or allowed is not None:
        top = ops.max(work, axis=-1, keepdims=True)
        power = ops.exp(work - ops.where(ops.isinf(top), ops.zeros_like(top), top))
        total = ops.sum(power, axis=-1, keepdims=True)
        weights = power / ops.where(total == 0, ops.ones_like(total), total)
    else:
        weights = ops.softmax(work)
    weights = ops.cast(weights if sink is None else weights[..., :-1], v.dtype)
    return ops.matmul(weights, v), (raw, capped, scores, weights)


@operator("RotaryEmbedding")
def rotary_embedding(
    call: Call, x: Tensor, cos: Tensor, sin: Tensor, positions: Tensor | None = None
) -> Tensor:
    """Rotate pairs of features by angles that grow with the position (Su et al. 2021)."""
    is_flat, count = len(x.shape) == 3, call.get("num_heads", 0)
    rows = split_heads(x, count) if is_flat else x
    width = call.get("rotary_embedding_dim", 0) or rows.shape[-1]
    if positions is not None:
        cos, sin = ops.take(cos, positions, axis=0), ops.take(sin, positions, axis=0)
    y = rotated(rows, cos, sin, width, call.get("interleaved", 0))
    return joined_heads(y) if is_flat else y


def rotated(rows: Tensor, cos: Tensor, sin: Tensor, width: int, interleaved: int) -> Tensor:
    """Rotate the first features of rows (batch, heads, steps, size) by angles (batch, steps, width / 2)."""
    cos, sin = ops.expand_dims(cos, 1), ops.expand_dims(sin, 1)
    turned, rest = rows[..., :width], rows[..., width:]
    first, second = (turned[..., 0::2], turned[..., 1::2]) if interleaved else ops.split(turned, 2, axis=-1)
    pair = cos * first - sin * second, sin * first + cos * second
    turned = (
        ops.reshape(ops.stack(pair, axis=-1), turned.shape) if interleaved else ops.concatenate(pair, axis=-1)
    )
    return ops.concatenate([turned, rest], axis=-1)


@operator("LinearAttention")
def linear_attention(
    call: Call,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    state: Tensor | None = None,
    decay: Tensor | None = None,
    beta: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Update a state by keys and values step by step, and read it by queries (Yang et al. 2024)."""
    heads, kv_heads = call.get("q_num_heads", 0), call.get("kv_num_heads", 0)
    call.get("chunk_size")  # a hint
    rule = call.get("update_rule", "gated_delta")
    is_gated, is_delta = "gated" in rule, "delta" in rule
    if rule not in ("linear", "gated", "delta", "gated_delta") or (is_gated, is_delta) != (
        decay is not None,
        beta is not None,
    ):
        raise GraphError(f"update_rule={rule!r} with other inputs than it takes")
    dtype, steps = q.dtype, q.shape[1]
    rows = [ops.cast(split_heads(x, n), "float32") for x, n in ((q, heads), (k, kv_heads), (v, kv_heads))]
    key_size = rows[1].shape[-1]
    scale = call.get("scale", 0.0) or 1 / math.sqrt(key_size)
    sequences = [rows[0] * scale, *rows[1:]]
    if decay is not None:
        sequences.append(ops.exp(ops.cast(split_heads(decay, kv_heads), "float32")))
    if beta is not None:
        sequences.append(ops.cast(split_heads(beta, beta.shape[-1]), "float32"))
    size = (q.shape[0], kv_heads, key_size, rows[2].shape[-1])
    first = ops.zeros(size, "float32") if state is None else ops.cast(state, "float32")

    def step(carry: list[Tensor], slices: list[Tensor]) -> tuple[list[Tensor], Tensor]:
        (s,), (query, key, value, *gates) = carry, slices
        if is_gated:
            s = s * ops.expand_dims(gates[0], -1)
        if is_delta:
            value = gates[-1] * (value - ops.squeeze(ops.matmul(ops.expand_dims(key, -2), s), -2))
        s = s + ops.expand_dims(key, -1) * ops.expand_dims(value, -2)
        return [s], ops.squeeze(ops.matmul(ops.expand_dims(query, -2), grouped_heads(s, heads)), -2)

    moved = [ops.moveaxis(x, 2, 0) for x in sequences]
    (last,), outputs = ops.scan(step, [first], moved, length=steps)
    y = joined_heads(ops.moveaxis(outputs, 0, 2))
    return ops.cast(y, dtype), ops.cast(last, dtype if state is None else state.dtype)


@operator("CausalConvWithState", weights=(1, 2))
def causal_conv(
    call: Call, x: Tensor, w: Tensor, b: Tensor | None = None, state: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Convolve each channel (batch, channels, steps) with its past; its end is the past of the next call."""
    width = w.shape[-1]
    past = ops.zeros((*x.shape[:2], width - 1), x.dtype) if state is None else ops.cast(state, x.dtype)
    extended = ops.concatenate([past, x], axis=2)
    rows, taps = ops.cast(extended, "float32"), ops.cast(w, "float32")
    y = sum(taps[:, 0, i : i + 1] * rows[..., i : i + x.shape[2]] for i in range(width))
    y = y if b is None else y + ops.cast(b[:, None], "float32")
    activation = call.get("activation", "none")
    if activation not in ("none", "silu", "swish"):
        raise GraphError(f"activation={activation!r} is not supported")
    end = extended[..., extended.shape[2] - (width - 1) :]
    y = ops.cast(y if activation == "none" else ops.silu(y), x.dtype)
    return y, end if state is None else ops.cast(end, state.dtype)


@operator("TensorScatter")
def tensor_scatter(call: Call, past: Tensor, update: Tensor, indices: Tensor | None = None) -> Tensor:
    """Write an update into a cache along an axis, at an index of its own for each sample."""
    axis = axis_of(call.get("axis", -2), len(past.shape))
    shape = tuple(update.shape)
    index = Tensor(p.iota("int64", shape, axis))
    if indices is not None:
        index = index + ops.reshape(ops.cast(indices, "int64"), (-1, *[1] * (len(shape) - 1)))
    if call.get("mode", "linear") == "circular":
        index = ops.mod(index, past.shape[axis])
    columns = [Tensor(p.iota("int64", shape, i)) if i != axis else index for i in range(len(shape))]
    return Tensor(p.scatter(past.node, ops.stack(columns, axis=-1).node, update.node, "set"))
