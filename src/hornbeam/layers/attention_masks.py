"""Masks of attention, and the softmax under a mask."""

from __future__ import annotations

from typing import Any

from hornbeam import ops
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import TensorLike


def masked_softmax(scores: Tensor, mask: Tensor | None) -> Tensor:
    """Compute the softmax over the last axis where `mask` (broadcasting, or None) is True.

    A row that is masked entirely gets equal weights.
    """
    if mask is not None:
        low = -3e4 if scores.dtype == "float16" else -1e9
        scores = ops.where(mask, scores, ops.full_like(scores, low))
    return ops.softmax(scores, axis=-1)


def causal_mask(queries: int, keys: int) -> Tensor:
    """Return a mask (1, queries, keys) that is True where the key is not later than the query."""
    rows = ops.expand_dims(ops.arange(queries, dtype="int32"), 1)
    columns = ops.expand_dims(ops.arange(keys, dtype="int32"), 0)
    return ops.expand_dims(ops.greater_equal(rows, columns), 0)


def band_mask(queries: int, keys: int, width: int) -> Tensor:
    """Return a mask (1, queries, keys), True where key and query are less than `width` positions apart."""
    rows = ops.expand_dims(ops.arange(queries, dtype="int32"), 1)
    columns = ops.expand_dims(ops.arange(keys, dtype="int32"), 0)
    return ops.expand_dims(ops.less(ops.abs(rows - columns), width), 0)


def combine_masks(*masks: TensorLike | None) -> Tensor | None:
    """Combine the masks that are not None."""
    result = None
    for mask in masks:
        if mask is not None:
            mask = ops.cast(mask, "bool")
            result = mask if result is None else ops.logical_and(result, mask)
    return result


def combine_attention_masks(
    query: Tensor,
    value: Tensor,
    query_mask: TensorLike | None,
    value_mask: TensorLike | None,
    key_mask: TensorLike | None,
    attention_mask: Any,
    causal: bool,
    window: int | None,
) -> Tensor | None:
    """Combine all masks into one of shape (batch, T, S), or with an axis of heads; None if there are none."""
    parts = [
        ops.expand_dims(query_mask, 2) if query_mask is not None else None,
        ops.expand_dims(value_mask, 1) if value_mask is not None else None,
        ops.expand_dims(key_mask, 1) if key_mask is not None else None,
        causal_mask(query.shape[1], value.shape[1]) if causal else None,
        band_mask(query.shape[1], value.shape[1], window) if window is not None else None,
    ]
    mask = combine_masks(*parts)
    if attention_mask is None or mask is None:
        return mask if attention_mask is None else ops.cast(attention_mask, "bool")
    if attention_mask.ndim > mask.ndim:
        mask = ops.expand_dims(mask, 1)
    return combine_masks(mask, attention_mask)
