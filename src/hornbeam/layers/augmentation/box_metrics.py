"""Bounding boxes relative to anchors, and their overlap."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np

from hornbeam import ops
from hornbeam._internal.typing import ArrayLike
from hornbeam._internal.validation import check_choice
from hornbeam.config import epsilon
from hornbeam.core.convert import as_tensor
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import TensorLike
from hornbeam.ir.types import ShapeError
from hornbeam.layers.augmentation.bounding_boxes import Columns, columns, convert_format


def _size_of(image_shape: Sequence[int] | None) -> tuple[int | None, int | None]:
    if image_shape is None:
        return None, None
    height, width = tuple(image_shape)[:2]
    return height, width


def _variance(variance: ArrayLike | None) -> float | np.ndarray:
    if variance is None:
        return 1.0
    array = np.asarray(variance, np.float32)
    if array.shape[-1:] != (4,):
        raise ValueError(f"variance must have four numbers, got {variance!r}")
    return array


_ENCODINGS = ("center_xywh", "center_yxhw")


def encode_box_to_deltas(
    anchors: TensorLike,
    boxes: TensorLike,
    anchor_format: str,
    box_format: str,
    encoding_format: str = "center_yxhw",
    variance: ArrayLike | None = None,
    image_shape: Sequence[int] | None = None,
) -> Tensor:
    """Encode boxes relative to anchors.

    Formula: (center of box - center of anchor) / size of anchor, log(size of box / size of anchor).

    Args:
        anchors: Anchors (..., 4).
        boxes: Boxes (..., 4).
        anchor_format: Format of the anchors.
        box_format: Format of the boxes.
        encoding_format: "center_xywh" or "center_yxhw".
        variance: Four numbers that divide the result.
        image_shape: (height, width, channels), for relative formats.

    Raises:
        ValueError: If the encoding format is another one or there are not four variances.

    Example:
        >>> box = np.array([[0.0, 0.0, 2.0, 2.0]])
        >>> np.asarray(encode_box_to_deltas(box, box, "xyxy", "xyxy")).tolist()
        [[0.0, 0.0, 0.0, 0.0]]

    Source: Ren et al. 2015, Faster R-CNN.
    """
    check_choice("encoding_format", encoding_format, _ENCODINGS, where="encode_box_to_deltas")
    divisor, (height, width) = _variance(variance), _size_of(image_shape)
    anchor = convert_format(anchors, anchor_format, encoding_format, height, width)
    box = convert_format(boxes, box_format, encoding_format, height, width)
    anchor_size, box_size = (ops.maximum(x[..., 2:], epsilon()) for x in (anchor, box))
    delta = [(box[..., :2] - anchor[..., :2]) / anchor_size, ops.log(box_size / anchor_size)]
    return ops.concatenate(delta, axis=-1) / divisor


def decode_deltas_to_boxes(
    anchors: TensorLike | Mapping[Any, TensorLike],
    boxes_delta: TensorLike | Mapping[Any, TensorLike],
    anchor_format: str,
    box_format: str,
    encoded_format: str = "center_yxhw",
    variance: ArrayLike | None = None,
    image_shape: Sequence[int] | None = None,
) -> Tensor | dict[Any, Tensor]:
    """Decode boxes from deltas relative to anchors, the inverse of `encode_box_to_deltas`.

    Args:
        anchors: Anchors (..., 4), or a dict of them, one entry for each level.
        boxes_delta: Deltas (..., 4), or a dict of them.
        anchor_format: Format of the anchors.
        box_format: Format of the result.
        encoded_format: "center_xywh" or "center_yxhw".
        variance: Four numbers that multiply the deltas.
        image_shape: (height, width, channels), for relative formats.

    Raises:
        ValueError: If the encoded format is another one or there are not four variances.

    Example:
        >>> anchors = np.array([[0.0, 0.0, 2.0, 2.0]])
        >>> np.asarray(decode_deltas_to_boxes(anchors, np.zeros((1, 4)), "xyxy", "xywh")).tolist()
        [[0.0, 0.0, 2.0, 2.0]]
    """
    check_choice("encoded_format", encoded_format, _ENCODINGS, where="decode_deltas_to_boxes")
    factor, (height, width) = _variance(variance), _size_of(image_shape)

    def decode(anchor: TensorLike, delta: TensorLike) -> Tensor:
        base = convert_format(anchor, anchor_format, encoded_format, height, width)
        delta = ops.cast(delta, "float32") * factor
        center = delta[..., :2] * base[..., 2:] + base[..., :2]
        box = ops.concatenate([center, ops.exp(delta[..., 2:]) * base[..., 2:]], axis=-1)
        return convert_format(box, encoded_format, box_format, height, width)

    if isinstance(anchors, Mapping) and isinstance(boxes_delta, Mapping):
        return {level: decode(anchor, boxes_delta[level]) for level, anchor in anchors.items()}
    return decode(cast("TensorLike", anchors), cast("TensorLike", boxes_delta))


def _overlap(first: Columns, second: Columns) -> Tensor:
    width = ops.minimum(first[2], second[2]) - ops.maximum(first[0], second[0])
    height = ops.minimum(first[3], second[3]) - ops.maximum(first[1], second[1])
    return ops.maximum(width, 0) * ops.maximum(height, 0)


def _area(box: Columns) -> Tensor:
    return (box[2] - box[0]) * (box[3] - box[1])


def compute_iou(
    boxes1: TensorLike,
    boxes2: TensorLike,
    bounding_box_format: str,
    use_masking: bool = False,
    mask_val: TensorLike = -1,
    image_shape: Sequence[int] | None = None,
) -> Tensor:
    """Compute the intersection over union of every box of `boxes1` with every box of `boxes2`.

    Args:
        boxes1: Boxes (..., n, 4).
        boxes2: Boxes (..., m, 4).
        bounding_box_format: Format of both.
        use_masking: Whether pairs with an absent box (only negative numbers) get `mask_val`.
        mask_val: Result for absent boxes.
        image_shape: (height, width, channels), needed for relative formats.

    Returns:
        Tensor (..., n, m).

    Raises:
        ShapeError: If an argument has not two or three axes.
        ValueError: If the format is relative and the size missing.

    Example:
        >>> one, other = np.array([[0.0, 0.0, 2.0, 1.0]]), np.array([[0.0, 0.0, 1.0, 1.0]])
        >>> np.asarray(compute_iou(one, other, "xyxy")).round(3)
        array([[0.5]], dtype=float32)
    """
    for name, boxes in (("boxes1", boxes1), ("boxes2", boxes2)):
        rank = len(as_tensor(boxes).shape)
        if rank not in (2, 3):
            raise ShapeError(f"compute_iou: {name} needs two or three axes (batch, n, 4), got {rank}")
    if "rel" in bounding_box_format and image_shape is None:
        raise ValueError(f"compute_iou: boxes in {bounding_box_format!r} need image_shape")
    height, width = _size_of(image_shape)
    xyxy1, xyxy2 = (
        convert_format(boxes, bounding_box_format, "xyxy", height, width) for boxes in (boxes1, boxes2)
    )
    first, second = columns(ops.expand_dims(xyxy1, -2)), columns(ops.expand_dims(xyxy2, -3))
    intersection = _overlap(first, second)
    iou = intersection / (_area(first) + _area(second) - intersection + epsilon())
    if not use_masking:
        return iou
    absent = [ops.max(x, axis=-1) < 0 for x in (xyxy1, xyxy2)]
    any_absent = ops.logical_or(ops.expand_dims(absent[0], -1), ops.expand_dims(absent[1], -2))
    return ops.where(any_absent, ops.cast(mask_val, iou.dtype), iou)


def compute_ciou(
    boxes1: TensorLike, boxes2: TensorLike, bounding_box_format: str, image_shape: Sequence[int] | None = None
) -> Tensor:
    """Compute the complete IoU of pairs of boxes: IoU - d^2 / c^2 - v a.

    d is the distance of the centers, c the diagonal of the box around both, v = 4 / pi^2 (difference of
    arctan(width / height))^2 and a = v / (1 - IoU + v).

    Args:
        boxes1: Boxes (..., 4).
        boxes2: Boxes (..., 4).
        bounding_box_format: Format of both, in pixels.
        image_shape: Ignored: relative formats are refused.

    Raises:
        ValueError: If the format is relative: its aspect ratio is not that of the image.

    Example:
        >>> box = np.array([[0.0, 0.0, 2.0, 2.0]])
        >>> np.asarray(compute_ciou(box, box, "xyxy")).round(3).tolist()
        [1.0]

    Source: Zheng et al. 2020, Distance-IoU loss.
    """
    if "rel" in bounding_box_format:
        raise ValueError(
            f"compute_ciou compares proportions in pixels, got {bounding_box_format!r}: "
            "use convert_format first"
        )
    height, width = _size_of(image_shape)
    first, second = (
        columns(convert_format(boxes, bounding_box_format, "xyxy", height, width))
        for boxes in (boxes1, boxes2)
    )
    eps = epsilon()

    def sizes(box: Columns) -> tuple[Tensor, Tensor]:
        return box[2] - box[0], box[3] - box[1] + eps

    (w1, h1), (w2, h2) = sizes(first), sizes(second)
    intersection = _overlap(first, second)
    iou = intersection / (w1 * h1 + w2 * h2 - intersection + 2 * eps)
    hull = [ops.maximum(first[i + 2], second[i + 2]) - ops.minimum(first[i], second[i]) for i in (0, 1)]
    diagonal = hull[0] ** 2 + hull[1] ** 2 + eps
    offset = [(first[i] + first[i + 2] - second[i] - second[i + 2]) / 2 for i in (0, 1)]
    distance = offset[0] ** 2 + offset[1] ** 2
    v = 4 / math.pi**2 * (ops.arctan(w2 / h2) - ops.arctan(w1 / h1)) ** 2
    return iou - (distance / diagonal + v * v / (v - iou + (1 + eps)))
