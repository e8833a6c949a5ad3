"""Kinds of inputs, by which a widget is chosen and an uploaded file is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hornbeam._internal.input_statistics import InputStatistics

# Rows of more columns are no table that one fills in by sliders.
_MAX_COLUMNS = 64
_DIGIT_PIXELS = 784
_SMALLEST_IMAGE = 8


def input_kind(
    dtype: str,
    shape: Sequence[int | None],
    metadata: Mapping[str, Any],
    trained: InputStatistics | None = None,
) -> dict[str, Any]:
    """Return what an input is, from what its model's file says and else from its dtype and shape.

    Args:
        dtype: dtype of the input.
        shape: Shape, None where a size is unknown; the first axis counts samples.
        metadata: What the file says about the input; a `kind` in it is taken as it is.
        trained: Statistics of the input in the training, None if they are unknown.

    Returns:
        The metadata, with `kind`: `"image"` (with `height`, `width`, `channels`, `layout`, `range` and
        `border`), `"text"`, `"table"` or `"tensor"`.

    Example:
        >>> input_kind("float32", (None, 28, 28), {})["kind"]
        'image'
    """
    image = _image(dtype, shape)
    kind = metadata.get("kind")
    if kind == "image" or (kind is None and image is not None):
        default = [0, 255] if dtype == "uint8" else [0, 1]
        about = {"range": default, **(image or {}), **metadata, "kind": "image"}
        return {"border": _border(about, trained), **about}
    if kind is None:
        kind = _other_kind(dtype, shape, metadata)
    return {**metadata, "kind": kind}


def _image(dtype: str, shape: Sequence[int | None]) -> dict[str, Any] | None:
    """Return height, width, channels and layout if the shape is that of an image."""
    if dtype not in ("uint8", "float16", "bfloat16", "float32", "float64"):
        return None
    sizes = tuple(shape[1:])
    if sizes == (_DIGIT_PIXELS,):
        return {"height": 28, "width": 28, "channels": 1, "layout": "flat"}
    if len(sizes) == 2 and _large(sizes):
        return {"height": sizes[0], "width": sizes[1], "channels": 1, "layout": "no_channels"}
    if len(sizes) == 3 and sizes[2] in (1, 3) and _large(sizes[:2]):
        return {"height": sizes[0], "width": sizes[1], "channels": sizes[2], "layout": "channels_last"}
    if len(sizes) == 3 and sizes[0] in (1, 3) and _large(sizes[1:]):
        return {"height": sizes[1], "width": sizes[2], "channels": sizes[0], "layout": "channels_first"}
    return None


def _border(kind: Mapping[str, Any], trained: InputStatistics | None) -> str | None:
    """Return the border, "dark" or "bright", of nearly all images of the training; None if they differ.

    Digits of 28 x 28 pixels are as those of MNIST, bright on black, if nothing is known of the training.
    """
    if kind.get("channels") != 1:
        return None
    low, high = kind["range"]
    if trained is None:
        is_digit = (kind.get("height"), kind.get("width")) == (28, 28)
        return "dark" if is_digit and low < high else None
    if trained.border is None:
        return None
    return "dark" if (trained.border < 0.5) == (low < high) else "bright"


def _large(sizes: Sequence[int | None]) -> bool:
    return all(size is None or size >= _SMALLEST_IMAGE for size in sizes)


def _other_kind(dtype: str, shape: Sequence[int | None], metadata: Mapping[str, Any]) -> str:
    if dtype == "string" or "vocabulary" in metadata:
        return "text"
    if len(shape) == 2 and shape[1] is not None and shape[1] <= _MAX_COLUMNS:
        return "table"
    return "tensor"
