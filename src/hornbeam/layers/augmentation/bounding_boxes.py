"""Bounding boxes as tensors (..., boxes, 4): formats, clipping, moving, and how much two boxes overlap.

Where a dict {"boxes": (..., n, 4), "labels": (..., n)} is taken, a new one is returned; label -1 says that
there is no box.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from hornbeam import ops
from hornbeam._internal.validation import check_choice
from hornbeam.config import epsilon
from hornbeam.core.convert import as_tensor
from hornbeam.core.tensor import Tensor
from hornbeam.ir.types import ShapeError

__all__ = [
    "affine_transform",
    "clip_to_image_size",
    "compute_ciou",
    "compute_iou",
    "convert_format",
    "crop",
    "decode_deltas_to_boxes",
    "encode_box_to_deltas",
    "pad",
]

Columns = tuple[Tensor, Tensor, Tensor, Tensor]

# What the four numbers of a format say, as left, top, right, bottom; and the way back.
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


def columns(boxes: Any) -> Columns:
    """The four numbers of boxes, each (...,)."""
    return boxes[..., 0], boxes[..., 1], boxes[..., 2], boxes[..., 3]


def joined(left: Any, top: Any, right: Any, bottom: Any) -> Tensor:
    """The inverse of `columns`."""
    return ops.stack([left, top, right, bottom], axis=-1)


def convert_format(
    boxes: Any, source: str, target: str, height: Any = None, width: Any = None, dtype: str = "float32"
) -> Any:
    """Boxes (..., 4), or a dict with them as "boxes", in another format.

    Formats: "xyxy" (left, top, right, bottom), "yxyx", "xywh", "center_xywh", "center_yxhw", all in pixels;
    "rel_xyxy", "rel_yxyx", "rel_xywh", "rel_center_xywh" as fractions of the image's height and width, which
    are needed where one side is relative and the other is not.

    Raises ShapeError unless the last axis has four numbers, ValueError for unknown formats or without the
    image's size where it is needed.

    >>> np.asarray(convert_format([[1.0, 2.0, 4.0, 6.0]], "xyxy", "xywh")).tolist()
    [[1.0, 2.0, 3.0, 4.0]]
    """
    if isinstance(boxes, Mapping):
        return {**boxes, "boxes": convert_format(boxes["boxes"], source, target, height, width, dtype)}
    source, target = source.lower(), target.lower()
    for name, given in (("source", source), ("target", target)):
        check_choice(name, given, FORMATS, where="convert_format")
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
        h, w = ops.cast(height, dtype), ops.cast(width, dtype)
        if relative[0]:
            left, top, right, bottom = left * w, top * h, right * w, bottom * h
        else:
            left, top, right, bottom = left / w, top / h, right / w, bottom / h
    return joined(*_FROM_XYXY[target.removeprefix("rel_")](left, top, right, bottom))


def clip_to_image_size(
    bounding_boxes: Mapping[str, Any],
    height: Any = None,
    width: Any = None,
    bounding_box_format: str = "xyxy",
) -> dict[str, Any]:
    """Boxes cut off at the edges of the image; what lies outside of it altogether gets the label -1.

    bounding_boxes: {"boxes": (..., n, 4), "labels": (..., n)}, labels may be absent. bounding_box_format:
    "xyxy" (needs height and width) or "rel_xyxy".

    Raises NotImplementedError for other formats, ValueError without the sizes.

    >>> made = clip_to_image_size({"boxes": np.array([[-1.0, 0.0, 9.0, 2.0]])}, height=4, width=5)
    >>> np.asarray(made["boxes"]).tolist()
    [[0.0, 0.0, 5.0, 2.0]]
    """
    if bounding_box_format not in ("xyxy", "rel_xyxy"):
        raise NotImplementedError(
            f'clip_to_image_size works on "xyxy" and "rel_xyxy", got {bounding_box_format!r}: use '
            "convert_format first"
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
    made = {**bounding_boxes, "boxes": joined(left, top, right, bottom)}
    if bounding_boxes.get("labels") is not None:
        seen = (right - left) * (bottom - top) > 0
        labels = as_tensor(bounding_boxes["labels"])
        # Labels may be vectors.
        seen = ops.expand_dims(seen, -1) if labels.shape[:-1] == seen.shape else seen
        made["labels"] = ops.where(seen, labels, -1)
    return made


def _only_xyxy(name: str, bounding_box_format: str) -> None:
    if bounding_box_format != "xyxy":
        raise NotImplementedError(
            f'{name} works on "xyxy", got {bounding_box_format!r}: use convert_format first'
        )


def crop(
    boxes: Any, top: Any, left: Any, height: Any, width: Any, bounding_box_format: str = "xyxy"
) -> Tensor:
    """Boxes (..., 4) as they lie in the window of (height, width) pixels that begins at (top, left).

    Raises NotImplementedError for formats other than "xyxy".

    >>> np.asarray(crop(np.array([[1.0, 1.0, 9.0, 9.0]]), 2, 3, 4, 5)).tolist()
    [[0.0, 0.0, 5.0, 4.0]]
    """
    _only_xyxy("crop", bounding_box_format)
    moved = pad(boxes, -ops.cast(top, "float32"), -ops.cast(left, "float32"))
    return clip_to_image_size({"boxes": moved}, height, width)["boxes"]


def pad(
    boxes: Any, top: Any, left: Any, height: Any = None, width: Any = None, bounding_box_format: str = "xyxy"
) -> Tensor:
    """Boxes (..., 4) after `top` rows and `left` columns have been put before the image.

    height, width: of the padded image; accepted for Keras's signature, boxes do not depend on them. Raises
    NotImplementedError for formats other than "xyxy".

    >>> np.asarray(pad(np.array([[1.0, 1.0, 2.0, 2.0]]), top=1, left=2)).tolist()
    [[3.0, 2.0, 4.0, 3.0]]
    """
    _only_xyxy("pad", bounding_box_format)
    x = as_tensor(boxes)
    down, along = ops.cast(top, x.dtype), ops.cast(left, x.dtype)
    return x + joined(along, down, along, down)


# -- affine maps ---------------------------------------------------------------------------------------------


def corners_hull(boxes: Tensor, move: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]) -> Tensor:
    """The smallest upright boxes around what `move` (x, y -> x, y) makes of the corners of boxes."""
    left, top, right, bottom = columns(boxes)
    x, y = move(ops.stack([left, right, right, left], -1), ops.stack([top, top, bottom, bottom], -1))
    return joined(ops.min(x, -1), ops.min(y, -1), ops.max(x, -1), ops.max(y, -1))


def affine_transform(
    boxes: Any,
    angle: Any,
    translate_x: Any,
    translate_y: Any,
    scale: Any,
    shear_x: Any,
    shear_y: Any,
    height: Any,
    width: Any,
    center_x: Any = None,
    center_y: Any = None,
    bounding_box_format: str = "xyxy",
) -> Tensor:
    """Boxes (batch, n, 4) around what becomes of them when images are turned, moved, scaled and sheared.

    angle, shear_x, shear_y: degrees; translate_x, translate_y: fractions of the image; scale: a factor; each
    (batch,). height, width: of the image in pixels. center_x, center_y: what stays in place, as fractions,
    the middle by default.

    Raises NotImplementedError for formats other than "xyxy".

    >>> zero, one = np.zeros(1, "float32"), np.ones(1, "float32")
    >>> box = np.array([[[0.0, 0.0, 1.0, 2.0]]])
    >>> np.asarray(affine_transform(box, 180 * one, zero, zero, one, zero, zero, 5, 5)).round(3).tolist()
    [[[3.0, 2.0, 4.0, 4.0]]]
    """
    _only_xyxy("affine_transform", bounding_box_format)
    turn, lean_x, lean_y = (ops.cast(x, "float32") * (-math.pi / 180) for x in (angle, shear_x, shear_y))
    last_x, last_y = ops.cast(width, "float32") - 1, ops.cast(height, "float32") - 1
    middle_x = last_x * (0.5 if center_x is None else center_x)
    middle_y = last_y * (0.5 if center_y is None else center_y)
    a = ops.cos(turn - lean_y) / ops.cos(lean_y)
    b = a * ops.tan(lean_x) + ops.sin(turn)
    c = -ops.sin(turn - lean_y) / ops.cos(lean_y)
    d = ops.cos(turn) - c * ops.tan(lean_x)
    factor = ops.cast(scale, "float32")
    # Where the middle lies before the move.
    from_x = middle_x - ops.cast(translate_x, "float32") * last_x
    from_y = middle_y - ops.cast(translate_y, "float32") * last_y

    def wide(x: Tensor) -> Tensor:
        return ops.reshape(x, (-1, 1, 1))

    def move(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        x, y = x - wide(from_x), y - wide(from_y)
        across = wide(d * factor) * x - wide(b * factor) * y + middle_x
        return across, wide(a * factor) * y - wide(c * factor) * x + middle_y

    return corners_hull(ops.cast(boxes, "float32"), move)


# -- anchors -------------------------------------------------------------------------------------------------


def _size_of(image_shape: Any) -> tuple[Any, Any]:
    return (None, None) if image_shape is None else tuple(image_shape)[:2]


def _variance(variance: Any) -> Any:
    if variance is None:
        return 1.0
    made = np.asarray(variance, np.float32)
    if made.shape[-1:] != (4,):
        raise ValueError(f"variance must have four numbers, got {variance!r}")
    return made


_ENCODINGS = ("center_xywh", "center_yxhw")


def encode_box_to_deltas(
    anchors: Any,
    boxes: Any,
    anchor_format: str,
    box_format: str,
    encoding_format: str = "center_yxhw",
    variance: Any = None,
    image_shape: Any = None,
) -> Tensor:
    """What moves anchors onto boxes: (centre of box - centre of anchor) / size of anchor, log(size / size).

    anchors, boxes: (..., 4). variance: four numbers that divide the result. image_shape: (height, width,
    channels), for relative formats. Ren et al., "Faster R-CNN", 2015.

    Raises ValueError for another encoding format or variances that are not four.

    >>> box = np.array([[0.0, 0.0, 2.0, 2.0]])
    >>> np.asarray(encode_box_to_deltas(box, box, "xyxy", "xyxy")).tolist()
    [[0.0, 0.0, 0.0, 0.0]]
    """
    check_choice("encoding_format", encoding_format, _ENCODINGS, where="encode_box_to_deltas")
    divisor, (height, width) = _variance(variance), _size_of(image_shape)
    base = convert_format(anchors, anchor_format, encoding_format, height, width)
    goal = convert_format(boxes, box_format, encoding_format, height, width)
    base_size, goal_size = (ops.maximum(x[..., 2:], epsilon()) for x in (base, goal))
    delta = [(goal[..., :2] - base[..., :2]) / base_size, ops.log(goal_size / base_size)]
    return ops.concatenate(delta, axis=-1) / divisor


def decode_deltas_to_boxes(
    anchors: Any,
    boxes_delta: Any,
    anchor_format: str,
    box_format: str,
    encoded_format: str = "center_yxhw",
    variance: Any = None,
    image_shape: Any = None,
) -> Any:
    """The boxes that deltas (see `encode_box_to_deltas`) make of anchors, in `box_format`.

    anchors, boxes_delta: (..., 4), or dicts of them, one entry for each level.

    Raises ValueError for another encoded format or variances that are not four.

    >>> anchors = np.array([[0.0, 0.0, 2.0, 2.0]])
    >>> np.asarray(decode_deltas_to_boxes(anchors, np.zeros((1, 4)), "xyxy", "xywh")).tolist()
    [[0.0, 0.0, 2.0, 2.0]]
    """
    check_choice("encoded_format", encoded_format, _ENCODINGS, where="decode_deltas_to_boxes")
    factor, (height, width) = _variance(variance), _size_of(image_shape)

    def decoded(anchor: Any, delta: Any) -> Tensor:
        base = convert_format(anchor, anchor_format, encoded_format, height, width)
        delta = ops.cast(delta, "float32") * factor
        centre = delta[..., :2] * base[..., 2:] + base[..., :2]
        box = ops.concatenate([centre, ops.exp(delta[..., 2:]) * base[..., 2:]], axis=-1)
        return convert_format(box, encoded_format, box_format, height, width)

    if isinstance(anchors, Mapping) and isinstance(boxes_delta, Mapping):
        return {level: decoded(anchor, boxes_delta[level]) for level, anchor in anchors.items()}
    return decoded(anchors, boxes_delta)


# -- overlap -------------------------------------------------------------------------------------------------


def _overlap(first: Columns, second: Columns) -> Tensor:
    width = ops.minimum(first[2], second[2]) - ops.maximum(first[0], second[0])
    height = ops.minimum(first[3], second[3]) - ops.maximum(first[1], second[1])
    return ops.maximum(width, 0) * ops.maximum(height, 0)


def _area(box: Columns) -> Tensor:
    return (box[2] - box[0]) * (box[3] - box[1])


def compute_iou(
    boxes1: Any,
    boxes2: Any,
    bounding_box_format: str,
    use_masking: bool = False,
    mask_val: Any = -1,
    image_shape: Any = None,
) -> Tensor:
    """Intersection over union of every box of `boxes1` (..., n, 4) with every one of `boxes2` (..., m, 4).

    Result (..., n, m). use_masking: put `mask_val` where one of the boxes has only negative numbers (none
    there). image_shape: (height, width, channels), needed for relative formats.

    Raises ShapeError unless both have two or three axes, ValueError for a relative format without size.

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
    one, two = (
        convert_format(boxes, bounding_box_format, "xyxy", height, width) for boxes in (boxes1, boxes2)
    )
    first, second = columns(ops.expand_dims(one, -2)), columns(ops.expand_dims(two, -3))
    both = _overlap(first, second)
    iou = both / (_area(first) + _area(second) - both + epsilon())
    if not use_masking:
        return iou
    absent = [ops.max(x, axis=-1) < 0 for x in (one, two)]
    none = ops.logical_or(ops.expand_dims(absent[0], -1), ops.expand_dims(absent[1], -2))
    return ops.where(none, ops.cast(mask_val, iou.dtype), iou)


def compute_ciou(boxes1: Any, boxes2: Any, bounding_box_format: str, image_shape: Any = None) -> Tensor:
    """Complete IoU of boxes in pairs, (..., 4) each: IoU - d^2 / c^2 - v a.

    d: distance of the centres, c: diagonal of the box around both, v = 4 / pi^2 (difference of
    arctan(width / height))^2, a = v / (1 - IoU + v). Zheng et al., "Distance-IoU loss", 2020.

    Raises ValueError for relative formats, whose proportions are not those of the image.

    >>> box = np.array([[0.0, 0.0, 2.0, 2.0]])
    >>> np.asarray(compute_ciou(box, box, "xyxy")).round(3).tolist()
    [1.0]
    """
    if "rel" in bounding_box_format:
        raise ValueError(
            f"compute_ciou compares proportions in pixels, got {bounding_box_format!r}: use convert_format "
            "first"
        )
    height, width = _size_of(image_shape)
    first, second = (
        columns(convert_format(boxes, bounding_box_format, "xyxy", height, width))
        for boxes in (boxes1, boxes2)
    )
    tiny = epsilon()

    def sizes(box: Columns) -> tuple[Tensor, Tensor]:
        return box[2] - box[0], box[3] - box[1] + tiny

    (w1, h1), (w2, h2) = sizes(first), sizes(second)
    both = _overlap(first, second)
    iou = both / (w1 * h1 + w2 * h2 - both + 2 * tiny)
    around = [ops.maximum(first[i + 2], second[i + 2]) - ops.minimum(first[i], second[i]) for i in (0, 1)]
    diagonal = around[0] ** 2 + around[1] ** 2 + tiny
    apart = [(first[i] + first[i + 2] - second[i] - second[i + 2]) / 2 for i in (0, 1)]
    distance = apart[0] ** 2 + apart[1] ** 2
    v = 4 / math.pi**2 * (ops.arctan(w2 / h2) - ops.arctan(w1 / h1)) ** 2
    return iou - (distance / diagonal + v * v / (v - iou + (1 + tiny)))


# -- boxes as they are handed to layers ----------------------------------------------------------------------


def dense(bounding_boxes: Any) -> dict[str, Any]:
    """Checked boxes as tensors: lists of unequal lengths are filled up with boxes of 0 and labels of -1."""
    if not isinstance(bounding_boxes, Mapping) or not {"boxes", "labels"} <= set(bounding_boxes):
        raise ValueError(
            f'bounding_boxes must be a dict with "boxes" (..., n, 4) and "labels" (..., n), got '
            f"{bounding_boxes if not isinstance(bounding_boxes, Mapping) else sorted(bounding_boxes)}"
        )
    boxes, labels = bounding_boxes["boxes"], bounding_boxes["labels"]
    if isinstance(boxes, (list, tuple)) and boxes and isinstance(labels, (list, tuple)):
        boxes, labels = _filled(boxes, labels)
    boxes, labels = ops.cast(boxes, "float32"), as_tensor(labels)
    ranks = (boxes.ndim - 1, boxes.ndim)
    if boxes.ndim not in (2, 3) or boxes.shape[-1] != 4 or labels.ndim not in ranks:
        raise ShapeError(
            f"bounding_boxes: boxes must be (n, 4) or (batch, n, 4) with labels (n,) or (batch, n), got "
            f"{boxes.shape} and {labels.shape}"
        )
    return {**bounding_boxes, "boxes": boxes, "labels": labels}


def _filled(boxes: Any, labels: Any) -> tuple[np.ndarray, np.ndarray]:
    if len(boxes) != len(labels):
        raise ValueError(f"bounding_boxes: {len(boxes)} lists of boxes, but {len(labels)} of labels")
    if np.ndim(labels[0]) == 0:
        return np.asarray(boxes, np.float32).reshape(-1, 4), np.asarray(labels)
    most = max(len(row) for row in labels)
    made = np.zeros((len(boxes), most, 4), np.float32)
    marks = np.full((len(boxes), most), -1, np.int32)
    for i, (row, names) in enumerate(zip(boxes, labels, strict=True)):
        if len(row) != len(names):
            raise ValueError(f"bounding_boxes: image {i} has {len(row)} boxes, but {len(names)} labels")
        made[i, : len(row)] = np.asarray(row, np.float32).reshape(-1, 4)
        marks[i, : len(row)] = names
    return made, marks
