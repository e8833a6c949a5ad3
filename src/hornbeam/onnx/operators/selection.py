"""ONNX operators whose results have as many elements as the data say: their operands have to be known."""

from __future__ import annotations

import numpy as np

from hornbeam import ops
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import TensorLike
from hornbeam.ir.limits import count_elements
from hornbeam.onnx.operators.vocabulary import Call, axis_of, ints, known, number, operator


@operator("NonZero", tensors=0)
def non_zero(call: Call, x: TensorLike) -> np.ndarray:
    """Return the indices of elements that are not 0."""
    return np.array(np.nonzero(known(x, "operand")), "int64")


@operator("Compress", tensors=1)
def compress(call: Call, x: Tensor, condition: TensorLike) -> Tensor:
    """Keep slices along an axis, or elements, where a condition holds."""
    kept = np.flatnonzero(known(condition, "condition"))
    axis = call.get("axis")
    return ops.take(ops.reshape(x, (-1,)) if axis is None else x, kept, axis=axis or 0)


@operator("Unique", tensors=0)
def unique(call: Call, x: TensorLike) -> tuple[np.ndarray, ...]:
    """Return different elements, or slices, their first indices, which of them each is, and counts."""
    axis = call.get("axis")
    values, first, inverse, counts = np.unique(known(x, "operand"), True, True, True, axis=axis)
    inverse = inverse.reshape(-1)
    if not call.get("sorted", 1):
        order = np.argsort(first)
        values = np.take(values, order, axis=axis or 0)
        first, counts, inverse = first[order], counts[order], np.argsort(order)[inverse]
    return values, *(each.astype("int64") for each in (first, inverse, counts))


@operator("NonMaxSuppression", tensors=0)
def non_max_suppression(
    call: Call,
    boxes: TensorLike,
    scores: TensorLike,
    most: TensorLike | None = None,
    overlap: TensorLike | None = None,
    least: TensorLike | None = None,
) -> np.ndarray:
    """Return (image, class, box) of boxes that overlap no better one by more than a threshold."""
    corners, values = known(boxes, "boxes"), known(scores, "scores")
    limit = 0 if most is None else int(number(most, "max_output_boxes_per_class"))
    threshold = 0.0 if overlap is None else number(overlap, "iou_threshold")
    if call.get("center_point_box", 0):
        middle, half = corners[..., :2], corners[..., 2:] / 2
        corners = np.concatenate([middle - half, middle + half], -1)
    low, high = np.minimum(corners[..., :2], corners[..., 2:]), np.maximum(corners[..., :2], corners[..., 2:])
    areas = (high - low).prod(-1)
    chosen = []
    for image, kind in np.ndindex(*values.shape[:2]):
        row = values[image, kind]
        order = np.argsort(-row, kind="stable")
        if least is not None:
            order = order[row[order] > number(least, "score_threshold")]
        kept: list[int] = []
        while order.size and len(kept) < limit:
            best, order = order[0], order[1:]
            kept.append(int(best))
            count_elements(order.size)
            size = np.minimum(high[image, best], high[image, order]) - np.maximum(
                low[image, best], low[image, order]
            )
            shared = np.maximum(size, 0).prod(-1)
            union = areas[image, best] + areas[image, order] - shared
            order = order[shared <= threshold * union]
        chosen += [(image, kind, box) for box in kept]
    return np.array(chosen, "int64").reshape(-1, 3)


@operator("CenterCropPad", tensors=1)
def center_crop_pad(call: Call, x: Tensor, sizes: TensorLike) -> Tensor:
    """Cut or pad axes to sizes, the middle in the middle."""
    rank = len(x.shape)
    axes = [axis_of(a, rank) for a in call.get("axes", list(range(rank)))]
    key, widths = [slice(None)] * rank, [(0, 0)] * rank
    for axis, size in zip(axes, ints(sizes, "shape"), strict=True):
        more = size - x.shape[axis]
        if more < 0:
            key[axis] = slice(-more // 2, -more // 2 + size)
        else:
            widths[axis] = (more // 2, more - more // 2)
    return ops.pad(x[tuple(key)], widths)


@operator("ReverseSequence")
def reverse_sequence(call: Call, x: Tensor, lengths: Tensor) -> Tensor:
    """Reverse the first elements of each sequence, as many as it has."""
    time, batch = call.get("time_axis", 0), call.get("batch_axis", 1)
    rows = ops.moveaxis(x, (batch, time), (0, 1))
    at, counts = ops.arange(rows.shape[1], dtype="int64"), ops.cast(lengths, "int64")[:, None]
    index = ops.where(at < counts, counts - 1 - at, at)
    index = ops.reshape(index, (*index.shape, *[1] * (len(x.shape) - 2)))
    turned = ops.take_along_axis(rows, ops.broadcast_to(index, rows.shape), axis=1)
    return ops.moveaxis(turned, (0, 1), (batch, time))
