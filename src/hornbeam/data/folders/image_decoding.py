"""Decoding of one image file by Pillow: formats, colors, bit depth and orientation.

Pillow releases Python's lock while it decodes and resizes, so threads are enough to use all processors.
"""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hornbeam import _native
from hornbeam.utils.images import pillow, resampling_filter

if TYPE_CHECKING:
    import PIL.Image

Box = tuple[float, float, float, float]

ENDINGS = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF")
# color_mode -> (mode of Pillow, channels).
COLORS = {"grayscale": ("L", 1), "rgb": ("RGB", 3), "rgba": ("RGBA", 4)}
# EXIF tag of the camera's orientation, and its values that swap width and height.
_ORIENTATION = 0x0112
_SWAPS_AXES = (5, 6, 7, 8)
# Values for which the right (lower) edge in the file is the left (upper) one after rotation.
_FROM_RIGHT, _FROM_BELOW = (2, 3, 6, 7), (3, 4, 7, 8)
# 65535 / 255: steps of 16 bits in a step of 8 bits.
_STEPS_OF_16_BITS = 257


class Header(NamedTuple):
    """Size of an image after EXIF rotation, and kind of its pixels.

    kind: "grayscale", "color", "alpha" or "16 bit".
    """

    width: int
    height: int
    kind: str


class ImageFile:
    """Open image file, whose pixels are decoded on demand.

    path: path of the file, or its contents. upright: rotate as EXIF says. read_all: read the file at once,
    from which decoding is faster; otherwise only its header. Raises OSError for missing files and for files
    that are not images of FORMATS.
    """

    def __init__(
        self, path: str | os.PathLike[str] | bytes, upright: bool = True, read_all: bool = True
    ) -> None:
        module = pillow()
        file: str | os.PathLike[str] | io.BytesIO
        if isinstance(path, bytes):
            file, path = io.BytesIO(path), "of these bytes"
        elif not read_all:
            file = path
        else:
            with open(path, "rb") as opened:
                file = io.BytesIO(opened.read())
        try:
            self._image = module.open(file, formats=FORMATS)
        except module.UnidentifiedImageError:
            raise module.UnidentifiedImageError(f"cannot identify image file {str(path)!r}") from None
        # Scale by which `decode` shrank the image, 1 for none.
        self._scale = 1.0
        self._orientation = _read_orientation(self._image, read_all) if upright else 1
        self._stored_size = self._image.size

    def __enter__(self) -> ImageFile:
        return self

    def __exit__(self, *error: Any) -> None:
        self._image.__exit__(*error)  # closes the file; pixels stay

    @property
    def size(self) -> tuple[int, int]:
        """Width and height after rotation."""
        return self._rotated_size(self._stored_size)

    def box_after_decoding(self, decoded_size: tuple[int, int]) -> Box:
        """Return the box (left, upper, right, lower) of the complete image in a result of `decode`.

        The last row and column of a shrunk image are covered in part.
        """
        width, height = (side * self._scale for side in self._rotated_size(self._stored_size))
        left = decoded_size[0] - width if self._orientation in _FROM_RIGHT else 0.0
        top = decoded_size[1] - height if self._orientation in _FROM_BELOW else 0.0
        return left, top, left + width, top + height

    @property
    def header(self) -> Header:
        image = self._image
        deep = image.mode.startswith("I")
        alpha = image.has_transparency_data
        kind = (
            "16 bit" if deep else "alpha" if alpha else "grayscale" if image.mode in ("1", "L") else "color"
        )
        return Header(*self.size, kind)

    def _rotated_size(self, size: tuple[int, int]) -> tuple[int, int]:
        return (size[1], size[0]) if self._orientation in _SWAPS_AXES else size

    def decode(
        self,
        color_mode: str = "rgb",
        min_size: tuple[int, int] | None = None,
        background: tuple[int, ...] | None = None,
        keep_16_bits: bool = True,
    ) -> Any:
        """Return a Pillow image of mode L, RGB or RGBA, or F for 16 bits.

        min_size: (width, height) below which the image must not shrink. JPEG's decoder then shrinks by 2, 4
        or 8 from fewer coefficients, and decodes grayscale without colors. None keeps every pixel of the
        file. background: color behind transparent pixels where no alpha is requested; None drops the alpha.
        keep_16_bits: scale 16-bit grayscale to 0 ... 255 with fractions; otherwise truncate it to 8 bits. Of
        an animation, or of several pages, the first image is decoded.

        Raises OSError or ValueError for files that are damaged, truncated or not images.
        """
        mode, image = COLORS[color_mode][0], self._image
        if min_size is not None and image.format in ("JPEG", "MPO"):
            draft = image.draft(mode, self._rotated_size(min_size))
            if draft is not None:  # its box is that of the complete image, with fractions
                self._scale = draft[1][2] / self._stored_size[0]
        image.load()
        decoded = image if image.mode == mode else _convert(image, mode, background, keep_16_bits)
        return decoded if self._orientation == 1 else _rotate(decoded, self._orientation)


def _read_orientation(image: PIL.Image.Image, read_all: bool) -> int:
    # Pillow rotates TIFF itself, and reports the rotated size.
    if image.format in ("GIF", "BMP", "TIFF"):
        return 1
    # EXIF data may follow the pixels of a PNG: reading them decodes it.
    if image.format == "PNG" and not read_all and "exif" not in image.info:
        return 1
    return int(image.getexif().get(_ORIENTATION, 1))


def read_header(path: str) -> Header:
    """Read the size and kind of an image. Raises OSError for files that are not images."""
    with ImageFile(path, read_all=False) as file:
        return file.header


def _convert(
    image: PIL.Image.Image, mode: str, background: tuple[int, ...] | None, keep_16_bits: bool
) -> PIL.Image.Image:
    """Convert an image of any mode to `mode`, or F."""
    if image.mode.startswith("I"):
        values = _values_of_16_bits(image)
        if keep_16_bits:
            return pillow().fromarray(values.astype(np.float32) / _STEPS_OF_16_BITS)
        image = pillow().fromarray((values >> 8).astype(np.uint8))
    if image.mode == "F":
        raise ValueError("pixels are floating-point numbers of unknown range")
    if image.has_transparency_data and background is not None:
        image = image.convert("RGBA")
        if mode != "RGBA":
            canvas = pillow().new("RGBA", image.size, (*background, 255))
            canvas.alpha_composite(image)
            image = canvas
    return image if image.mode == mode else image.convert(mode)


def _values_of_16_bits(image: Any) -> np.ndarray:
    values = np.asarray(image)
    if values.min(initial=0) < 0 or values.max(initial=0) > 0xFFFF:
        raise ValueError("pixels are integers of 32 bits and unknown range")
    return values


def _rotate(image: PIL.Image.Image, orientation: int) -> PIL.Image.Image:
    method = pillow().Transpose
    methods = {
        2: method.FLIP_LEFT_RIGHT,
        3: method.ROTATE_180,
        4: method.FLIP_TOP_BOTTOM,
        5: method.TRANSPOSE,
        6: method.ROTATE_270,
        7: method.TRANSVERSE,
        8: method.ROTATE_90,
    }
    return image.transpose(methods[orientation]) if orientation in methods else image


# Filters of the native engine, within 1 of 255 of Pillow. Others overshoot at both ends of the range, which
# Pillow clips between its two passes.
_NATIVE_FILTERS = ("bilinear", "box", "hamming")


def resize_box(
    image: PIL.Image.Image, size: tuple[int, int], box: Box, interpolation: str
) -> PIL.Image.Image | np.ndarray:
    """Resize a box of an image as Pillow's `resize`, up to rounding; returns an image or an array of pixels.

    The native engine takes a quarter of Pillow's time.
    """
    if interpolation not in _NATIVE_FILTERS or image.mode not in ("L", "RGB"):
        return image.resize(size, resampling_filter(interpolation), box=box)
    channels = len(image.mode)
    pixels = _native.resize(image.tobytes(), image.size, channels, box, size, interpolation)
    return np.frombuffer(pixels, np.uint8).reshape(size[1], size[0], channels)


def copy_pixels(image: PIL.Image.Image | np.ndarray, target: np.ndarray) -> None:
    """Copy pixels into an array (height, width, channels), rounded if it holds integers."""
    pixels = np.asarray(image)
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    if pixels.dtype.kind == "f":
        pixels = pixels.clip(0, 255)
        if target.dtype.kind != "f":
            pixels = np.rint(pixels)
        if target.shape[2] == 4:
            target[..., 3] = 255
            target = target[..., :3]
    target[...] = pixels


def decode_error(error: BaseException) -> str:
    """Return the reason why a file cannot be decoded, in one line.

    >>> decode_error(OSError("image file is truncated (7 bytes not processed)"))
    'image file is truncated (7 bytes not processed)'
    """
    if type(error).__name__ == "UnidentifiedImageError":
        return "not an image of a known format"
    text = " ".join(str(error).split()) or type(error).__name__
    return text if isinstance(error, (OSError, ValueError)) else f"{type(error).__name__}: {text}"
