"""Bounding boxes as tensors: formats, clipping, cropping, affine maps, anchors, and overlap.

Boxes are (..., n, 4); the formats are described at `convert_format`. They work on tensors of any engine, and
inside layers and compiled functions.
"""

from __future__ import annotations

from hornbeam._internal.lazy_imports import explain_missing
from hornbeam.layers.augmentation.bounding_boxes import (
    affine_transform,
    clip_to_image_size,
    convert_format,
    crop,
    pad,
)
from hornbeam.layers.augmentation.box_metrics import (
    compute_ciou,
    compute_iou,
    decode_deltas_to_boxes,
    encode_box_to_deltas,
)

__all__ = [
    "affine_transform", "clip_to_image_size", "compute_ciou", "compute_iou", "convert_format", "crop",
    "decode_deltas_to_boxes", "encode_box_to_deltas", "pad",
]  # fmt: skip


explain_missing(__name__)
