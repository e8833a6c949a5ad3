"""Boxes and masks drawn onto images, in NumPy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hornbeam.config import standard_data_format
from hornbeam.ir.types import HornbeamTypeError, ShapeError
from hornbeam.utils.bounding_boxes import convert_format


def image_array(images: Any, data_format: str | None, name: str) -> np.ndarray:
    """A batch of images (n, h, w, c), of any dtype."""
    array = np.asarray(images)
    if array.ndim != 4:
        raise ShapeError(f"{name} needs a batch of images (four axes), got shape {array.shape}")
    first = standard_data_format(data_format) == "channels_first"
    return array.transpose(0, 2, 3, 1) if first else array


def _bytes(images: np.ndarray) -> np.ndarray:
    """A copy in uint8; floats that are all at most 1 are taken as lying in [0, 1]."""
    if images.dtype.kind == "f" and images.size and images.max() <= 1.0:
        images = np.clip(images, 0, 1) * 255
    return np.clip(images, 0, 255).astype("uint8")


def draw_bounding_boxes(
    images: Any,
    bounding_boxes: Mapping[str, Any],
    bounding_box_format: str,
    class_mapping: Mapping[int, str] | None = None,
    color: Sequence[int] = (128, 128, 128),
    line_thickness: int = 2,
    text_thickness: int = 1,
    font_scale: float = 1.0,
    data_format: str | None = None,
) -> np.ndarray:
    """Images with frames around boxes, uint8 (n, h, w, c) whatever the data format.

    images: a batch; floats that are all at most 1 are brought to 0 ... 255. bounding_boxes: {"boxes": (n, m,
    4), "labels": (n, m)}, perhaps with "confidences" (n, m); label -1 is no box. class_mapping: names of
    labels, which are written beside the boxes (with Pillow). color: of frames and names. line_thickness,
    text_thickness: in pixels; font_scale: 1 is letters of 12 pixels.

    Raises ShapeError for other images, TypeError or ValueError for other boxes, ImportError if names are to
    be written without Pillow.

    >>> boxes = {"boxes": np.array([[[1.0, 1.0, 4.0, 4.0]]]), "labels": np.array([[0]])}
    >>> draw_bounding_boxes(np.zeros((1, 6, 6, 3)), boxes, "xyxy", line_thickness=1)[0, 1, :, 0].tolist()
    [0, 128, 128, 128, 128, 0]
    """
    pictures = _bytes(image_array(images, data_format, "draw_bounding_boxes"))
    if not isinstance(bounding_boxes, Mapping):
        raise TypeError(f"bounding_boxes must be a dict, got {type(bounding_boxes).__name__}")
    if not {"boxes", "labels"} <= set(bounding_boxes):
        raise ValueError(f'bounding_boxes needs "boxes" and "labels", got {sorted(bounding_boxes)}')
    _, height, width, channels = pictures.shape
    corners = np.asarray(
        convert_format(bounding_boxes["boxes"], bounding_box_format, "xyxy", height, width)
    ).astype(int)
    labels = np.asarray(bounding_boxes["labels"]).astype(int)
    confidences = bounding_boxes.get("confidences")
    ink = np.asarray(color, "uint8")[:channels]
    for i, j in np.argwhere(labels != -1):
        _frame(pictures[i], corners[i, j], ink, line_thickness)
        name = (class_mapping or {}).get(int(labels[i, j]))
        if name is not None:
            if confidences is not None:
                name = f"{name} | {float(np.asarray(confidences)[i, j]):.2f}"
            pictures[i] = _written(pictures[i], name, corners[i, j], ink, font_scale, text_thickness)
    return pictures


def _frame(picture: np.ndarray, corners: np.ndarray, ink: np.ndarray, thickness: int) -> None:
    """Draw the sides of a box; lines are centred on them."""
    before, after = thickness // 2, (thickness + 1) // 2

    def span(low: int, high: int) -> slice:
        return slice(max(low - before, 0), max(high + after, 0))

    left, top, right, bottom = corners.tolist()
    for y in (top, bottom):
        picture[span(y, y), span(left, right)] = ink
    for x in (left, right):
        picture[span(top, bottom), span(x, x)] = ink


def _written(
    picture: np.ndarray, text: str, corners: np.ndarray, ink: np.ndarray, scale: float, thickness: int
) -> np.ndarray:
    """The picture with a text above the box's upper left corner, or in it where there is no room above."""
    try:
        from PIL import Image, ImageDraw, ImageFont
    except ImportError as error:
        raise ImportError("names in pictures need Pillow: pip install 'hornbeam[image]'") from error
    size = 12 * scale
    left, top = corners[:2].tolist()
    above = top - size - 4
    place = (left, above) if above >= 0 else (left + 3, top + 3)
    canvas = Image.new("L", (picture.shape[1], picture.shape[0]))
    font = ImageFont.load_default(size)
    ImageDraw.Draw(canvas).text(place, text, fill=255, font=font, stroke_width=max(thickness - 1, 0))
    share = np.asarray(canvas)[:, :, None] / 255.0
    return (picture * (1 - share) + ink * share).astype("uint8")


def draw_segmentation_masks(
    images: Any,
    segmentation_masks: Any,
    num_classes: int | None = None,
    color_mapping: Mapping[int, Sequence[int]] | None = None,
    alpha: float = 0.8,
    blend: bool = True,
    ignore_index: int = -1,
    data_format: str | None = None,
) -> np.ndarray:
    """Images with each pixel in the colour of its class, (n, h, w, 3) whatever the data format.

    segmentation_masks: whole numbers (n, h, w, 1). num_classes: classes 0 ... num_classes - 1 are painted,
    all by default. color_mapping: colours of classes; a fixed palette by default, in which class 0 is black.
    alpha: how much the colours count beside the images, result in uint8; with blend=False they replace them,
    result in float32. Pixels of class `ignore_index` stay as they are.

    Raises ShapeError for other images, TypeError for masks of other dtypes.

    >>> masks = np.array([[0, 1]]).reshape(1, 1, 2, 1)
    >>> draw_segmentation_masks(np.zeros((1, 1, 2, 3)), masks, alpha=1.0)[0, 0].tolist()
    [[0, 0, 0], [1, 127, 31]]
    """
    pictures = image_array(images, data_format, "draw_segmentation_masks").astype("float32")
    masks = image_array(segmentation_masks, data_format, "draw_segmentation_masks")
    if masks.dtype.kind not in "iu":
        raise HornbeamTypeError(f"segmentation_masks must be whole numbers, got {masks.dtype}")
    classes = masks[..., 0].astype(int)
    count = int(classes.max()) + 1 if num_classes is None else num_classes
    colors = palette(count) if color_mapping is None else [color_mapping[i] for i in range(count)]
    known = (classes >= 0) & (classes < count)
    table = np.asarray(colors, "float32").reshape(count, -1)
    painted = np.where(known[..., None], table[np.where(known, classes, 0)], pictures)
    if not blend:
        return painted
    mixed = pictures * (1 - alpha) + painted * alpha
    return np.where((classes != ignore_index)[..., None], mixed, pictures).astype("uint8")


def palette(count: int) -> list[list[int]]:
    """Colours that are easy to tell apart, black first."""
    steps = np.array([2**25 - 1, 2**15 - 1, 2**21 - 1])
    return [(i * steps % 255).tolist() for i in range(count)]
