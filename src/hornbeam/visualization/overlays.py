"""Boxes and masks drawn onto images, in NumPy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from hornbeam._internal.extras import required
from hornbeam._internal.typing import ArrayLike
from hornbeam.config import standard_data_format
from hornbeam.ir.types import HornbeamTypeError, ShapeError
from hornbeam.utils.bounding_boxes import convert_format


def image_batch(images: ArrayLike, data_format: str | None, name: str) -> np.ndarray:
    """Return a batch of images as an array (n, h, w, c) of its own dtype."""
    batch = np.asarray(images)
    if batch.ndim != 4:
        raise ShapeError(f"{name} needs a batch of images (four axes), got shape {batch.shape}")
    channels_first = standard_data_format(data_format) == "channels_first"
    return batch.transpose(0, 2, 3, 1) if channels_first else batch


def _to_uint8(images: np.ndarray) -> np.ndarray:
    """Copy images to uint8; floats that are all at most 1 are scaled from [0, 1]."""
    if images.dtype.kind == "f" and images.size and images.max() <= 1.0:
        images = np.clip(images, 0, 1) * 255
    return np.clip(images, 0, 255).astype("uint8")


def draw_bounding_boxes(
    images: ArrayLike,
    bounding_boxes: Mapping[str, ArrayLike],
    bounding_box_format: str,
    class_mapping: Mapping[int, str] | None = None,
    color: Sequence[int] = (128, 128, 128),
    line_thickness: int = 2,
    text_thickness: int = 1,
    font_scale: float = 1.0,
    data_format: str | None = None,
) -> np.ndarray:
    """Draw frames around bounding boxes.

    Args:
        images: Batch of images (n, h, w, c); floats that are all at most 1 are scaled to [0, 255].
        bounding_boxes: Dict of "boxes" (n, m, 4) and "labels" (n, m), and optionally "confidences" (n, m).
            Label -1 means no box.
        bounding_box_format: Format of the boxes, such as "xyxy".
        class_mapping: Names of labels, written beside the boxes by Pillow.
        color: Red, green and blue of frames and names, 0 to 255.
        line_thickness: Thickness of frames in pixels.
        text_thickness: Thickness of letters in pixels.
        font_scale: Size of letters; 1 is 12 pixels.
        data_format: "channels_last" or "channels_first", the global setting by default.

    Returns:
        Images as uint8 (n, h, w, c), whatever the data format.

    Raises:
        ShapeError: If `images` is not a batch of images.
        TypeError: If `bounding_boxes` is not a dict.
        ValueError: If `bounding_boxes` lacks "boxes" or "labels".
        ImportError: If names are to be written and Pillow is not installed (extra `image`).

    Example:
        >>> boxes = {"boxes": np.array([[[1.0, 1.0, 4.0, 4.0]]]), "labels": np.array([[0]])}
        >>> draw_bounding_boxes(np.zeros((1, 6, 6, 3)), boxes, "xyxy", line_thickness=1)[0, 1, :, 0].tolist()
        [0, 128, 128, 128, 128, 0]
    """
    batch = _to_uint8(image_batch(images, data_format, "draw_bounding_boxes"))
    if not isinstance(bounding_boxes, Mapping):
        raise TypeError(f"bounding_boxes must be a dict, got {type(bounding_boxes).__name__}")
    if not {"boxes", "labels"} <= set(bounding_boxes):
        raise ValueError(f'bounding_boxes needs "boxes" and "labels", got {sorted(bounding_boxes)}')
    _, height, width, channels = batch.shape
    corners = np.asarray(
        convert_format(bounding_boxes["boxes"], bounding_box_format, "xyxy", height, width)
    ).astype(int)
    labels = np.asarray(bounding_boxes["labels"]).astype(int)
    confidences = bounding_boxes.get("confidences")
    frame_color = np.asarray(color, "uint8")[:channels]
    for i, j in np.argwhere(labels != -1):
        _draw_frame(batch[i], corners[i, j], frame_color, line_thickness)
        name = (class_mapping or {}).get(int(labels[i, j]))
        if name is not None:
            if confidences is not None:
                name = f"{name} | {float(np.asarray(confidences)[i, j]):.2f}"
            batch[i] = _with_text(batch[i], name, corners[i, j], frame_color, font_scale, text_thickness)
    return batch


def _draw_frame(image: np.ndarray, corners: np.ndarray, color: np.ndarray, thickness: int) -> None:
    """Draw the sides of a box; lines are centred on them."""
    before, after = thickness // 2, (thickness + 1) // 2

    def span(low: int, high: int) -> slice:
        return slice(max(low - before, 0), max(high + after, 0))

    left, top, right, bottom = corners.tolist()
    for y in (top, bottom):
        image[span(y, y), span(left, right)] = color
    for x in (left, right):
        image[span(top, bottom), span(x, x)] = color


def _with_text(
    image: np.ndarray, text: str, corners: np.ndarray, color: np.ndarray, scale: float, thickness: int
) -> np.ndarray:
    """Write a text above the upper left corner of a box, or inside if it does not fit above."""
    with required("names in images need Pillow", "image"):
        from PIL import Image, ImageDraw, ImageFont
    size = 12 * scale
    left, top = corners[:2].tolist()
    above = top - size - 4
    position = (left, above) if above >= 0 else (left + 3, top + 3)
    canvas = Image.new("L", (image.shape[1], image.shape[0]))
    font = ImageFont.load_default(size)
    ImageDraw.Draw(canvas).text(position, text, fill=255, font=font, stroke_width=max(thickness - 1, 0))
    opacity = np.asarray(canvas)[:, :, None] / 255.0
    return (image * (1 - opacity) + color * opacity).astype("uint8")


def draw_segmentation_masks(
    images: ArrayLike,
    segmentation_masks: ArrayLike,
    num_classes: int | None = None,
    color_mapping: Mapping[int, Sequence[int]] | None = None,
    alpha: float = 0.8,
    blend: bool = True,
    ignore_index: int = -1,
    data_format: str | None = None,
) -> np.ndarray:
    """Paint each pixel in the color of its class.

    Args:
        images: Batch of images (n, h, w, c).
        segmentation_masks: Integers (n, h, w, 1), the class of each pixel.
        num_classes: Number of classes that are painted, from class 0 on; all by default.
        color_mapping: Red, green and blue of each class; a fixed palette by default, in which class 0 is
            black.
        alpha: Weight of the colors, from 0 to 1.
        blend: False to replace pixels by colors instead of blending both.
        ignore_index: Class whose pixels stay as they are.
        data_format: "channels_last" or "channels_first", the global setting by default.

    Returns:
        Images (n, h, w, 3) as uint8, or with `blend=False` as float32, whatever the data format.

    Raises:
        ShapeError: If `images` or the masks are not a batch of images.
        TypeError: If the masks are not integers.

    Example:
        >>> masks = np.array([[0, 1]]).reshape(1, 1, 2, 1)
        >>> draw_segmentation_masks(np.zeros((1, 1, 2, 3)), masks, alpha=1.0)[0, 0].tolist()
        [[0, 0, 0], [1, 127, 31]]
    """
    batch = image_batch(images, data_format, "draw_segmentation_masks").astype("float32")
    masks = image_batch(segmentation_masks, data_format, "draw_segmentation_masks")
    if masks.dtype.kind not in "iu":
        raise HornbeamTypeError(f"segmentation_masks must be integers, got {masks.dtype}")
    classes = masks[..., 0].astype(int)
    count = int(classes.max()) + 1 if num_classes is None else num_classes
    colors = palette(count) if color_mapping is None else [color_mapping[i] for i in range(count)]
    painted = (classes >= 0) & (classes < count)
    table = np.asarray(colors, "float32").reshape(count, -1)
    result = np.where(painted[..., None], table[np.where(painted, classes, 0)], batch)
    if not blend:
        return result
    mixed = batch * (1 - alpha) + result * alpha
    return np.where((classes != ignore_index)[..., None], mixed, batch).astype("uint8")


def palette(count: int) -> list[list[int]]:
    """Return colors that are easy to tell apart, black first."""
    steps = np.array([2**25 - 1, 2**15 - 1, 2**21 - 1])
    return [(i * steps % 255).tolist() for i in range(count)]
