"""Bounding boxes as tensors (..., boxes, 4): formats, clipping, translation, affine maps.

Functions that take a dict {"boxes": (..., n, 4), "labels": (..., n)} return a new one; label -1 marks an
absent box.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, overload

import numpy as np

from hornbeam import ops
from hornbeam._internal.validation import check_choice
from hornbeam.core.convert import as_tensor
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import TensorLike
from hornbeam.ir.types import ShapeError

__all__ = [
    "affine_transform",
    "clip_to_image_size",
    "convert_format",
    "crop",
    "pad",
]

Columns = tuple[Tensor, Tensor, Tensor, Tensor]

# Conversions of each format to (left, top, right, bottom), and their inverses.
_TO_XYXY: dict[str, Callable[..., Columns]] = {
    "xyxy": lambda a, b, c, d: (a, b, c, d),
    "yxyx": lambda a, b, c, d: (b, a, d, c),
    "xywh": lambda a, b, c, d: (a, b, a + c, b + d),
    "center_xywh": lambda a, b, c, d: (a - c / 2, b - d / 2, a + c / 2, b + d / 2),
    "center_yxhw": lambda a, b, c, d: (b - d / 2, a - c / 2, b + d / 2, a + c / 2),
}
_FROM_XYXY: dict[str, Callable[..., Columns]] = {
    "xyxy": lambda a, b, c, d: (a, b, c, d),
    "yxyx": lambda a, b, c, d: (b, a, d, c),
    "xywh": lambda a, b, c, d: (a, b, c - a, d - b),
    "center_xywh": lambda a, b, c, d: (a + (c - a) / 2, b + (d - b) / 2, c - a, d - b),
    "center_yxhw": lambda a, b, c, d: (b + (d - b) / 2, a + (c - a) / 2, d - b, c - a),
}
FORMATS = (*_TO_XYXY, "rel_xyxy", "rel_yxyx", "rel_xywh", "rel_center_xywh")


def columns(boxes: Tensor) -> Columns:
    """Return the four numbers of boxes, each (...,)."""
    return boxes[..., 0], boxes[..., 1], boxes[..., 2], boxes[..., 3]


def stack_columns(left: Tensor, top: Tensor, right: Tensor, bottom: Tensor) -> Tensor:
    """Invert `columns`."""
    return ops.stack([left, top, right, bottom], axis=-1)


@overload
def convert_format(
    boxes: Mapping[str, Any],
    source: str,
    target: str,
    height: TensorLike | None = ...,
    width: TensorLike | None = ...,
    dtype: str = ...,
) -> dict[str, Any]: ...
@overload
def convert_format(
    boxes: TensorLike,
    source: str,
    target: str,
    height: TensorLike | None = ...,
    width: TensorLike | None = ...,
    dtype: str = ...,
) -> Tensor: ...
def convert_format(
    boxes: TensorLike | Mapping[str, Any],
    source: str,
    target: str,
    height: TensorLike | None = None,
    width: TensorLike | None = None,
    dtype: str = "float32",
) -> Tensor | dict[str, Any]:
    """Convert boxes (..., 4), or a dict with them as "boxes", to another format.

    Formats: "xyxy" (left, top, right, bottom), "yxyx", "xywh", "center_xywh", "center_yxhw", all in pixels;
    "rel_xyxy", "rel_yxyx", "rel_xywh", "rel_center_xywh" as fractions of the image's height and width.

    Args:
        boxes: Boxes, or a dict of them.
        source: Format of the boxes.
        target: Format of the result.
        height: Height of the image, needed if one format is relative and the other is not.
        width: Width of the image, needed if one format is relative and the other is not.
        dtype: Dtype of the result.

    Raises:
        ShapeError: If the last axis has not four numbers.
        ValueError: If a format is unknown or the image's size missing.

    Example:
        >>> np.asarray(convert_format([[1.0, 2.0, 4.0, 6.0]], "xyxy", "xywh")).tolist()
        [[1.0, 2.0, 3.0, 4.0]]
    """
    if isinstance(boxes, Mapping):
        return {**boxes, "boxes": convert_format(boxes["boxes"], source, target, height, width, dtype)}
    source, target = source.lower(), target.lower()
    for name, value in (("source", source), ("target", target)):
        check_choice(name, value, FORMATS, where="convert_format")
    x = ops.cast(boxes, dtype)
    if x.shape[-1:] != (4,):
        raise ShapeError(f"convert_format: boxes need four numbers in their last axis, got shape {x.shape}")
    relative = source.startswith("rel_"), target.startswith("rel_")
    if source == target:
        return x
    if relative[0] != relative[1] and (height is None or width is None):
        raise ValueError(f"convert_format: from {source!r} to {target!r} needs the image's height and width")
    left, top, right, bottom = _TO_XYXY[source.removeprefix("rel_")](*columns(x))
    if relative[0] != relative[1]:
        sizes: list[Any] = [height, width]
        h, w = (ops.cast(size, dtype) for size in sizes)
        if relative[0]:
            left, top, right, bottom = left * w, top * h, right * w, bottom * h
        else:
            left, top, right, bottom = left / w, top / h, right / w, bottom / h
    return stack_columns(*_FROM_XYXY[target.removeprefix("rel_")](left, top, right, bottom))


def clip_to_image_size(
    bounding_boxes: Mapping[str, Any],
    height: TensorLike | None = None,
    width: TensorLike | None = None,
    bounding_box_format: str = "xyxy",
) -> dict[str, Any]:
    """Clip boxes to the image; boxes outside of it get the label -1.

    Args:
        bounding_boxes: {"boxes": (..., n, 4), "labels": (..., n)}; labels may be absent.
        height: Height of the image, needed for "xyxy".
        width: Width of the image, needed for "xyxy".
        bounding_box_format: "xyxy" or "rel_xyxy".

    Raises:
        NotImplementedError: If the format is another one.
        ValueError: If a size is missing.

    Example:
        >>> made = clip_to_image_size({"boxes": np.array([[-1.0, 0.0, 9.0, 2.0]])}, height=4, width=5)
        >>> np.asarray(made["boxes"]).tolist()
        [[0.0, 0.0, 5.0, 2.0]]
    """
    if bounding_box_format not in ("xyxy", "rel_xyxy"):
        raise NotImplementedError(
            f'clip_to_image_size works on "xyxy" and "rel_xyxy", got {bounding_box_format!r}: '
            "use convert_format first"
        )
    if bounding_box_format == "rel_xyxy":
        height = width = 1
    if height is None or width is None:
        raise ValueError('clip_to_image_size: boxes in "xyxy" need the image\'s height and width')
    boxes = as_tensor(bounding_boxes["boxes"])
    h, w = ops.cast(height, boxes.dtype), ops.cast(width, boxes.dtype)
    left, top, right, bottom = columns(boxes)
    left, right = (ops.minimum(ops.maximum(x, 0), w) for x in (left, right))
    top, bottom = (ops.minimum(ops.maximum(y, 0), h) for y in (top, bottom))
    clipped = {**bounding_boxes, "boxes": stack_columns(left, top, right, bottom)}
    if bounding_boxes.get("labels") is not None:
        is_visible = (right - left) * (bottom - top) > 0
        labels = as_tensor(bounding_boxes["labels"])
        # Labels may be vectors.
        if labels.shape[:-1] == is_visible.shape:
            is_visible = ops.expand_dims(is_visible, -1)
        clipped["labels"] = ops.where(is_visible, labels, -1)
    return clipped


def _only_xyxy(name: str, bounding_box_format: str) -> None:
    if bounding_box_format != "xyxy":
        raise NotImplementedError(
            f'{name} works on "xyxy", got {bounding_box_format!r}: use convert_format first'
        )


def crop(
    boxes: TensorLike,
    top: TensorLike,
    left: TensorLike,
    height: TensorLike,
    width: TensorLike,
    bounding_box_format: str = "xyxy",
) -> Tensor:
    """Return boxes (..., 4) relative to the window of (height, width) pixels that starts at (top, left).

    Args:
        boxes: Boxes in "xyxy".
        top: First row of the window.
        left: First column of the window.
        height: Height of the window.
        width: Width of the window.
        bounding_box_format: Only "xyxy".

    Raises:
        NotImplementedError: If the format is another one.

    Example:
        >>> np.asarray(crop(np.array([[1.0, 1.0, 9.0, 9.0]]), 2, 3, 4, 5)).tolist()
        [[0.0, 0.0, 5.0, 4.0]]
    """
    _only_xyxy("crop", bounding_box_format)
    relative = pad(boxes, -ops.cast(top, "float32"), -ops.cast(left, "float32"))
    return clip_to_image_size({"boxes": relative}, height, width)["boxes"]


def pad(
    boxes: TensorLike,
    top: TensorLike,
    left: TensorLike,
    height: TensorLike | None = None,
    width: TensorLike | None = None,
    bounding_box_format: str = "xyxy",
) -> Tensor:
    """Return boxes (..., 4) after `top` rows and `left` columns were added before the image.

    Args:
        boxes: Boxes in "xyxy".
        top: Number of rows added above.
        left: Number of columns added at the left.
        height: Ignored, for Keras's signature.
        width: Ignored, for Keras's signature.
        bounding_box_format: Only "xyxy".

    Raises:
        NotImplementedError: If the format is another one.

    Example:
        >>> np.asarray(pad(np.array([[1.0, 1.0, 2.0, 2.0]]), top=1, left=2)).tolist()
        [[3.0, 2.0, 4.0, 3.0]]
    """
    _only_xyxy("pad", bounding_box_format)
    x = as_tensor(boxes)
    down, along = ops.cast(top, x.dtype), ops.cast(left, x.dtype)
    return x + stack_columns(along, down, along, down)


# -- affine maps ---------------------------------------------------------------------------------------------


def corners_hull(boxes: Tensor, move: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]) -> Tensor:
    """Return the smallest axis-aligned boxes around the corners of boxes after `move` (x, y -> x, y)."""
    left, top, right, bottom = columns(boxes)
    x, y = move(ops.stack([left, right, right, left], -1), ops.stack([top, top, bottom, bottom], -1))
    return stack_columns(ops.min(x, -1), ops.min(y, -1), ops.max(x, -1), ops.max(y, -1))


def affine_transform(
    boxes: TensorLike,
    angle: TensorLike,
    translate_x: TensorLike,
    translate_y: TensorLike,
    scale: TensorLike,
    shear_x: TensorLike,
    shear_y: TensorLike,
    height: TensorLike,
    width: TensorLike,
    center_x: TensorLike | None = None,
    center_y: TensorLike | None = None,
    bounding_box_format: str = "xyxy",
) -> Tensor:
    """Return the axis-aligned boxes (batch, n, 4) around rotated, translated, scaled and sheared boxes.

    Args:
        boxes: Boxes in "xyxy".
        angle: Angles in degrees, (batch,).
        translate_x: Translations as fractions of the width, (batch,).
        translate_y: Translations as fractions of the height, (batch,).
        scale: Factors, (batch,).
        shear_x: Shears along x in degrees, (batch,).
        shear_y: Shears along y in degrees, (batch,).
        height: Height of the image in pixels.
        width: Width of the image in pixels.
        center_x: Fixed point as a fraction of the width, 0.5 by default.
        center_y: Fixed point as a fraction of the height, 0.5 by default.
        bounding_box_format: Only "xyxy".

    Raises:
        NotImplementedError: If the format is another one.

    Example:
        >>> zero, one = np.zeros(1, "float32"), np.ones(1, "float32")
        >>> box = np.array([[[0.0, 0.0, 1.0, 2.0]]])
        >>> np.asarray(affine_transform(box, 180 * one, zero, zero, one, zero, zero, 5, 5)).round(3).tolist()
        [[[3.0, 2.0, 4.0, 4.0]]]
    """
    _only_xyxy("affine_transform", bounding_box_format)
    rotation, shear_x, shear_y = (
        ops.cast(x, "float32") * (-math.pi / 180) for x in (angle, shear_x, shear_y)
    )
    last_x, last_y = ops.cast(width, "float32") - 1, ops.cast(height, "float32") - 1
    middle_x = last_x * (0.5 if center_x is None else center_x)
    middle_y = last_y * (0.5 if center_y is None else center_y)
    a = ops.cos(rotation - shear_y) / ops.cos(shear_y)
    b = a * ops.tan(shear_x) + ops.sin(rotation)
    c = -ops.sin(rotation - shear_y) / ops.cos(shear_y)
    d = ops.cos(rotation) - c * ops.tan(shear_x)
    factor = ops.cast(scale, "float32")
    # The fixed point before the translation.
    from_x = middle_x - ops.cast(translate_x, "float32") * last_x
    from_y = middle_y - ops.cast(translate_y, "float32") * last_y

    def expand(x: Tensor) -> Tensor:
        return ops.reshape(x, (-1, 1, 1))

    def move(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        x, y = x - expand(from_x), y - expand(from_y)
        across = expand(d * factor) * x - expand(b * factor) * y + middle_x
        return across, expand(a * factor) * y - expand(c * factor) * x + middle_y

    return corners_hull(ops.cast(boxes, "float32"), move)


# -- boxes as arguments of layers ----------------------------------------------------------------------------


def dense(bounding_boxes: Mapping[str, Any]) -> dict[str, Any]:
    """Check boxes and convert them to tensors; short lists are padded with boxes of 0 and labels of -1."""
    if not isinstance(bounding_boxes, Mapping) or not {"boxes", "labels"} <= set(bounding_boxes):
        raise ValueError(
            f'bounding_boxes must be a dict with "boxes" (..., n, 4) and "labels" (..., n), got '
            f"{bounding_boxes if not isinstance(bounding_boxes, Mapping) else sorted(bounding_boxes)}"
        )
    boxes, labels = bounding_boxes["boxes"], bounding_boxes["labels"]
    if isinstance(boxes, (list, tuple)) and boxes and isinstance(labels, (list, tuple)):
        boxes, labels = _pad_lists(boxes, labels)
    boxes, labels = ops.cast(boxes, "float32"), as_tensor(labels)
    ranks = (boxes.ndim - 1, boxes.ndim)
    if boxes.ndim not in (2, 3) or boxes.shape[-1] != 4 or labels.ndim not in ranks:
        raise ShapeError(
            "bounding_boxes: boxes must be (n, 4) or (batch, n, 4) with labels (n,) or (batch, n), "
            f"got {boxes.shape} and {labels.shape}"
        )
    return {**bounding_boxes, "boxes": boxes, "labels": labels}


def _pad_lists(boxes: Sequence[Any], labels: Sequence[Any]) -> tuple[np.ndarray, np.ndarray]:
    if len(boxes) != len(labels):
        raise ValueError(f"bounding_boxes: {len(boxes)} lists of boxes, but {len(labels)} of labels")
    if np.ndim(labels[0]) == 0:
        return np.asarray(boxes, np.float32).reshape(-1, 4), np.asarray(labels)
    longest = max(len(row) for row in labels)
    padded_boxes = np.zeros((len(boxes), longest, 4), np.float32)
    padded_labels = np.full((len(boxes), longest), -1, np.int32)
    for i, (row, names) in enumerate(zip(boxes, labels, strict=True)):
        if len(row) != len(names):
            raise ValueError(f"bounding_boxes: image {i} has {len(row)} boxes, but {len(names)} labels")
        padded_boxes[i, : len(row)] = np.asarray(row, np.float32).reshape(-1, 4)
        padded_labels[i, : len(row)] = names
    return padded_boxes, padded_labels
