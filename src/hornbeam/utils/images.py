"""Pictures as arrays and files. Reading and writing files needs the extra `image` (Pillow)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hornbeam._internal.naming import nearest
from hornbeam.config import floatx, standard_data_format
from hornbeam.ir.types import dtype_name, numpy_dtype

_COLORS = {"grayscale": "L", "rgb": "RGB", "rgba": "RGBA"}
_FILTERS = {
    "nearest": "NEAREST",
    "bilinear": "BILINEAR",
    "bicubic": "BICUBIC",
    "lanczos": "LANCZOS",
    "box": "BOX",
    "hamming": "HAMMING",
}


def pillow() -> Any:
    """Pillow's module `Image`. Raises ImportError that says how to get it."""
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError("pictures need Pillow: pip install 'hornbeam[image]'") from error
    return Image


def resampling_filter(interpolation: str) -> Any:
    """Pillow's filter of a name. Raises ValueError for others, ImportError without Pillow."""
    if interpolation not in _FILTERS:
        raise ValueError(f"unknown interpolation {interpolation!r}.{nearest(interpolation, _FILTERS)}")
    return getattr(pillow().Resampling, _FILTERS[interpolation])


def array_to_img(x: Any, data_format: str | None = None, scale: bool = True, dtype: Any = None) -> Any:
    """An array (height, width, channels) as a Pillow image; 1 channel is grey, 3 are RGB, 4 RGBA.

    scale: stretch the values to 0 ... 255 first. Raises ValueError for other shapes, ImportError without
        Pillow.

    >>> array_to_img(np.zeros((2, 2, 1)), scale=False).size
    (2, 2)
    """
    image = pillow()
    pixels = np.asarray(x, dtype=numpy_dtype(dtype_name(dtype or floatx())))
    if pixels.ndim != 3:
        raise ValueError(
            f"a picture has three axes (height, width, channels), got an array of shape {pixels.shape}"
        )
    if standard_data_format(data_format) == "channels_first":
        pixels = pixels.transpose(1, 2, 0)
    if scale:
        pixels = pixels - pixels.min()
        highest = pixels.max()
        pixels = pixels / (highest if highest else 1) * 255
    channels = pixels.shape[2]
    if channels == 1:
        grey = pixels[:, :, 0]
        return image.fromarray(grey.astype("int32") if grey.max(initial=0) > 255 else grey.astype("uint8"))
    if channels not in (3, 4):
        raise ValueError(f"a picture has 1, 3 or 4 channels, got {channels} (shape {pixels.shape})")
    return image.fromarray(pixels.astype("uint8"))


def img_to_array(img: Any, data_format: str | None = None, dtype: Any = None) -> np.ndarray:
    """A Pillow image (or anything NumPy reads) as a float array (height, width, channels).

    >>> img_to_array(array_to_img(np.zeros((2, 3, 1)))).shape
    (2, 3, 1)
    """
    pixels = np.asarray(img, dtype=numpy_dtype(dtype_name(dtype or floatx())))
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    if pixels.ndim != 3:
        raise ValueError(f"a picture has two or three axes, got an array of shape {pixels.shape}")
    return pixels.transpose(2, 0, 1) if standard_data_format(data_format) == "channels_first" else pixels


def load_img(
    path: Any,
    color_mode: str = "rgb",
    target_size: tuple[int, int] | None = None,
    interpolation: str = "nearest",
    keep_aspect_ratio: bool = False,
) -> Any:
    """A picture from a file (or an open binary file) as a Pillow image.

    color_mode: "rgb", "rgba" or "grayscale". target_size: (height, width) to resize to; with
    `keep_aspect_ratio` the middle of the picture is cut out first, so that nothing is distorted.

    Raises ValueError for an unknown color_mode or interpolation, ImportError without Pillow.

    >>> load_img("digit.png", color_mode="grayscale", target_size=(28, 28))  # doctest: +SKIP
    """
    image = pillow()
    if color_mode not in _COLORS:
        raise ValueError(f"color_mode must be one of {', '.join(_COLORS)}, got {color_mode!r}")
    kind = resampling_filter(interpolation)
    with image.open(path) as opened:
        opened.load()
        picture = opened if opened.mode == _COLORS[color_mode] else opened.convert(_COLORS[color_mode])
    if target_size is None:
        return picture
    height, width = target_size
    box = center_box(picture.width, picture.height, width, height) if keep_aspect_ratio else None
    return picture.resize((width, height), kind, box=box)


def center_box(width: int, height: int, target_width: int, target_height: int) -> tuple[int, int, int, int]:
    """The largest box of the target's shape in the middle of a picture: left, upper, right, lower."""
    cut_width = min(width, int(height * target_width / target_height))
    cut_height = min(height, int(width * target_height / target_width))
    left, top = (width - cut_width) // 2, (height - cut_height) // 2
    return left, top, left + cut_width, top + cut_height


def save_img(
    path: str | Path,
    x: Any,
    data_format: str | None = None,
    file_format: str | None = None,
    scale: bool = True,
    **kwargs: Any,
) -> None:
    """Write an array as a picture; `file_format` None: by the file's name. `**kwargs` go to Pillow.

    >>> save_img("digit.png", x_test[0][..., None])  # doctest: +SKIP
    """
    picture = array_to_img(x, data_format=data_format, scale=scale)
    kind = (file_format or Path(str(path)).suffix.removeprefix(".")).lower()
    if picture.mode == "RGBA" and kind in ("jpg", "jpeg"):
        picture = picture.convert("RGB")
    picture.save(path, format="JPEG" if kind == "jpg" else file_format, **kwargs)


def smart_resize(
    x: Any,
    size: tuple[int, int],
    interpolation: str = "bilinear",
    data_format: str = "channels_last",
    **kwargs: Any,
) -> np.ndarray:
    """Pictures (height, width, channels) or (n, height, width, channels) resized without distortion.

    The largest box of the wanted shape is cut out of the middle, then resized to `size` = (height, width).

    >>> smart_resize(np.zeros((10, 20, 3)), (5, 5)).shape  # doctest: +SKIP
    (5, 5, 3)
    """
    from hornbeam import ops

    if kwargs:
        raise TypeError(f"smart_resize does not take {', '.join(kwargs)}")
    pixels = np.asarray(x)
    if pixels.ndim not in (3, 4):
        raise ValueError(
            f"smart_resize takes (height, width, channels), with a batch in front or not, got {pixels.shape}"
        )
    first = standard_data_format(data_format) == "channels_first"
    vertical = pixels.ndim - (2 if first else 3)
    height, width = pixels.shape[vertical : vertical + 2]
    left, top, right, bottom = center_box(width, height, size[1], size[0])
    cut = [slice(None)] * pixels.ndim
    cut[vertical : vertical + 2] = slice(top, bottom), slice(left, right)
    resized = ops.image.resize(pixels[tuple(cut)], size, interpolation=interpolation, data_format=data_format)
    return np.asarray(resized)
