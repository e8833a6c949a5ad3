"""Images as arrays and files. Reading and writing files needs the extra `image` (Pillow)."""

from __future__ import annotations

from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from hornbeam._internal.extras import required
from hornbeam._internal.naming import nearest
from hornbeam.config import floatx, standard_data_format
from hornbeam.ir.types import dtype_name, numpy_dtype

if TYPE_CHECKING:
    from types import ModuleType

    from PIL.Image import Image

    from hornbeam._internal.typing import ArrayLike, DTypeLike

_COLORS = {"grayscale": "L", "rgb": "RGB", "rgba": "RGBA"}
_FILTERS = {
    "nearest": "NEAREST",
    "bilinear": "BILINEAR",
    "bicubic": "BICUBIC",
    "lanczos": "LANCZOS",
    "box": "BOX",
    "hamming": "HAMMING",
}


def pillow() -> ModuleType:
    """Return Pillow's module `Image`. Raises ImportError that names the extra."""
    with required("images need Pillow", "image"):
        from PIL import Image
    return Image


def resampling_filter(interpolation: str) -> Any:
    """Return Pillow's filter by name. Raises ValueError for unknown names, ImportError without Pillow."""
    if interpolation not in _FILTERS:
        raise ValueError(f"unknown interpolation {interpolation!r}.{nearest(interpolation, _FILTERS)}")
    return getattr(pillow().Resampling, _FILTERS[interpolation])


def array_to_img(
    x: ArrayLike, data_format: str | None = None, scale: bool = True, dtype: DTypeLike | None = None
) -> Image:
    """Convert an array to a Pillow image: 1 channel to grayscale, 3 to RGB, 4 to RGBA.

    Args:
        x: Array (height, width, channels), or (channels, height, width) for "channels_first".
        data_format: "channels_last" or "channels_first"; the configured one if None.
        scale: Whether to stretch the values to 0 ... 255 first.
        dtype: Dtype of the computation; `floatx()` if None.

    Returns:
        A PIL.Image.Image.

    Raises:
        ValueError: For arrays of other shapes.
        ImportError: Without Pillow.

    Example:
        >>> array_to_img(np.zeros((2, 2, 1)), scale=False).size
        (2, 2)
    """
    image = pillow()
    pixels = np.asarray(x, dtype=numpy_dtype(dtype_name(dtype or floatx())))
    if pixels.ndim != 3:
        raise ValueError(
            f"an image has three axes (height, width, channels), got an array of shape {pixels.shape}"
        )
    if standard_data_format(data_format) == "channels_first":
        pixels = pixels.transpose(1, 2, 0)
    if scale:
        pixels = pixels - pixels.min()
        highest = pixels.max()
        pixels = pixels / (highest if highest else 1) * 255
    channels = pixels.shape[2]
    if channels == 1:
        gray = pixels[:, :, 0]
        return image.fromarray(gray.astype("int32") if gray.max(initial=0) > 255 else gray.astype("uint8"))
    if channels not in (3, 4):
        raise ValueError(f"an image has 1, 3 or 4 channels, got {channels} (shape {pixels.shape})")
    return image.fromarray(pixels.astype("uint8"))


def img_to_array(
    img: Image | ArrayLike, data_format: str | None = None, dtype: DTypeLike | None = None
) -> np.ndarray:
    """Convert a Pillow image to a float array.

    Args:
        img: PIL.Image.Image, or anything NumPy converts to an array of two or three axes.
        data_format: "channels_last" or "channels_first"; the configured one if None.
        dtype: Dtype of the result; `floatx()` if None.

    Returns:
        Array (height, width, channels), or (channels, height, width) for "channels_first".

    Raises:
        ValueError: For arrays with other numbers of axes.

    Example:
        >>> img_to_array(array_to_img(np.zeros((2, 3, 1)))).shape
        (2, 3, 1)
    """
    pixels = np.asarray(img, dtype=numpy_dtype(dtype_name(dtype or floatx())))
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    if pixels.ndim != 3:
        raise ValueError(f"an image has two or three axes, got an array of shape {pixels.shape}")
    return pixels.transpose(2, 0, 1) if standard_data_format(data_format) == "channels_first" else pixels


def load_img(
    path: str | Path | IO[bytes],
    color_mode: str = "rgb",
    target_size: tuple[int, int] | None = None,
    interpolation: str = "nearest",
    keep_aspect_ratio: bool = False,
) -> Image:
    """Load an image from a file.

    Args:
        path: File by path, or an open binary file.
        color_mode: "rgb", "rgba" or "grayscale".
        target_size: (height, width) to resize to; None for no resizing.
        interpolation: "nearest", "bilinear", "bicubic", "lanczos", "box" or "hamming".
        keep_aspect_ratio: Whether to crop the image to the aspect ratio of `target_size` from its middle
            first, so that it is not distorted.

    Returns:
        A PIL.Image.Image.

    Raises:
        ValueError: For an unknown color_mode or interpolation.
        ImportError: Without Pillow.

    Example:
        >>> load_img("digit.png", color_mode="grayscale", target_size=(28, 28))  # doctest: +SKIP
    """
    module = pillow()
    if color_mode not in _COLORS:
        raise ValueError(f"color_mode must be one of {', '.join(_COLORS)}, got {color_mode!r}")
    resampling = resampling_filter(interpolation)
    with module.open(path) as opened:
        opened.load()
        image = opened if opened.mode == _COLORS[color_mode] else opened.convert(_COLORS[color_mode])
    if target_size is None:
        return image
    height, width = target_size
    box = center_box(image.width, image.height, width, height) if keep_aspect_ratio else None
    return image.resize((width, height), resampling, box=box)


def center_box(width: int, height: int, target_width: int, target_height: int) -> tuple[int, int, int, int]:
    """Return the largest centered box of the target's aspect ratio: left, upper, right, lower."""
    box_width = min(width, int(height * target_width / target_height))
    box_height = min(height, int(width * target_height / target_width))
    left, top = (width - box_width) // 2, (height - box_height) // 2
    return left, top, left + box_width, top + box_height


def save_img(
    path: str | Path,
    x: ArrayLike,
    data_format: str | None = None,
    file_format: str | None = None,
    scale: bool = True,
    **kwargs: Any,
) -> None:
    """Write an array as an image file.

    Args:
        path: File to write.
        x: Array (height, width, channels), or (channels, height, width) for "channels_first".
        data_format: "channels_last" or "channels_first"; the configured one if None.
        file_format: Format such as "png"; by the extension of `path` if None.
        scale: Whether to stretch the values to 0 ... 255 first.
        **kwargs: Arguments of `PIL.Image.Image.save`.

    Example:
        >>> save_img("digit.png", x_test[0][..., None])  # doctest: +SKIP
    """
    image = array_to_img(x, data_format=data_format, scale=scale)
    extension = (file_format or Path(str(path)).suffix.removeprefix(".")).lower()
    if image.mode == "RGBA" and extension in ("jpg", "jpeg"):
        image = image.convert("RGB")
    image.save(path, format="JPEG" if extension == "jpg" else file_format, **kwargs)


def smart_resize(
    x: ArrayLike,
    size: tuple[int, int],
    interpolation: str = "bilinear",
    data_format: str = "channels_last",
    **kwargs: Any,
) -> np.ndarray:
    """Resize images without distortion: crop the largest centered box of the target's aspect ratio first.

    Args:
        x: Images (height, width, channels) or (n, height, width, channels).
        size: (height, width) of the result.
        interpolation: Method of `ops.image.resize`, such as "bilinear".
        data_format: "channels_last" or "channels_first".
        **kwargs: Refused.

    Raises:
        ValueError: For arrays of other shapes.
        TypeError: For unknown arguments.

    Example:
        >>> smart_resize(np.zeros((10, 20, 3)), (5, 5)).shape  # doctest: +SKIP
        (5, 5, 3)
    """
    from hornbeam import ops

    if kwargs:
        raise TypeError(f"smart_resize does not take {', '.join(kwargs)}")
    pixels = np.asarray(x)
    if pixels.ndim not in (3, 4):
        raise ValueError(
            "smart_resize takes images (height, width, channels) or (n, height, width, channels), got shape "
            f"{pixels.shape}"
        )
    channels_first = standard_data_format(data_format) == "channels_first"
    row_axis = pixels.ndim - (2 if channels_first else 3)
    height, width = pixels.shape[row_axis : row_axis + 2]
    left, top, right, bottom = center_box(width, height, size[1], size[0])
    crop = [slice(None)] * pixels.ndim
    crop[row_axis : row_axis + 2] = slice(top, bottom), slice(left, right)
    resized = ops.image.resize(
        pixels[tuple(crop)], size, interpolation=interpolation, data_format=data_format
    )
    return np.asarray(resized)
