"""One picture file as pixels, by Pillow: formats, colours, depth and rotation.

Pillow lets other threads run while it decodes and resizes, so threads are enough to use all processors.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from hornbeam.utils.images import pillow

ENDINGS = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF")
# Name of what is wanted -> (mode of Pillow, channels).
COLORS = {"grayscale": ("L", 1), "rgb": ("RGB", 3), "rgba": ("RGBA", 4)}
# EXIF's tag for how the camera was held, and the values that lay height along width.
_ORIENTATION = 0x0112
_ON_ITS_SIDE = (5, 6, 7, 8)
# What 16 bits count more finely than 8: 65535 / 255.
_FINER = 257


class Header(NamedTuple):
    """What the head of a file says: sizes as they are seen, after the rotation that EXIF asks for."""

    width: int
    height: int


def opened(path: Any) -> Any:
    """A picture of Pillow's whose pixels are not read yet. Close it, or use it in a `with`."""
    return pillow().open(path, formats=FORMATS)


def header(path: str) -> Header:
    """The size of a picture, out of the file's head. Raises OSError for what is none."""
    with opened(path) as picture:
        width, height = picture.size
        return Header(height, width) if _orientation(picture) in _ON_ITS_SIDE else Header(width, height)


def _orientation(picture: Any) -> int:
    # Asking Pillow for EXIF data reads the rest of a PNG; these keep theirs in the head, if they have any.
    if picture.format in ("GIF", "BMP"):
        return 1
    return int(picture.getexif().get(_ORIENTATION, 1))


def decoded(
    path: str,
    color_mode: str = "rgb",
    least: tuple[int, int] | None = None,
    fill: tuple[int, ...] = (0, 0, 0),
) -> Any:
    """The picture in a file, upright: a Pillow image of mode L, RGB or RGBA, or F for 16 bits.

    least: (width, height) below which the picture must not shrink. The decoder of JPEG then leaves out what
    it can: it makes pictures of 1/2, 1/4 or 1/8 of the size out of fewer coefficients, and grey ones without
    looking at colours. None: every pixel as it is in the file. fill: what shines through where a picture is
    transparent, if no alpha is wanted. The first picture of an animation, or of several pages, is taken.

    16 bits of grey are kept, as numbers from 0 to 255 with fractions. Raises OSError, ValueError for files
    that hold no such picture, or only a part of it.
    """
    mode = COLORS[color_mode][0]
    with opened(path) as picture:
        turned = _orientation(picture)
        if least is not None and picture.format == "JPEG":
            picture.draft(mode, least[::-1] if turned in _ON_ITS_SIDE else least)
        picture.load()
        made = picture if picture.mode == mode else _converted(picture, mode, fill)
        return _upright(made, turned) if turned != 1 else made


def _converted(picture: Any, mode: str, fill: tuple[int, ...]) -> Any:
    """A picture of any kind as one of `mode`, or F."""
    if picture.mode.startswith("I"):
        return _of_16_bits(picture)
    if picture.mode == "F":
        raise ValueError("pixels are floating-point numbers, whose range is not known")
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        if mode == "RGBA":
            return picture
        ground = pillow().new("RGBA", picture.size, (*fill, 255))
        ground.alpha_composite(picture)
        picture = ground
    return picture.convert(mode)


def _of_16_bits(picture: Any) -> Any:
    values = np.asarray(picture)
    if values.min(initial=0) < 0 or values.max(initial=0) > 0xFFFF:
        raise ValueError("pixels are integers of 32 bits, whose range is not known")
    return pillow().fromarray(values.astype(np.float32) / _FINER)


def _upright(picture: Any, orientation: int) -> Any:
    turn = pillow().Transpose
    ways = {
        2: turn.FLIP_LEFT_RIGHT,
        3: turn.ROTATE_180,
        4: turn.FLIP_TOP_BOTTOM,
        5: turn.TRANSPOSE,
        6: turn.ROTATE_270,
        7: turn.TRANSVERSE,
        8: turn.ROTATE_90,
    }
    return picture.transpose(ways[orientation]) if orientation in ways else picture


def write(picture: Any, into: np.ndarray) -> None:
    """The pixels of a picture into an array (height, width, channels), rounded if it holds integers."""
    pixels = np.asarray(picture)
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    if pixels.dtype.kind == "f":
        pixels = pixels.clip(0, 255)
        if into.dtype.kind != "f":
            pixels = np.rint(pixels)
        if into.shape[2] == 4:
            into[..., 3] = 255
            into = into[..., :3]
    into[...] = pixels


def why(error: BaseException) -> str:
    """Why a file was left out, in a line.

    >>> why(OSError("image file is truncated (7 bytes not processed)"))
    'image file is truncated (7 bytes not processed)'
    """
    if type(error).__name__ == "UnidentifiedImageError":
        return "no picture of a known format"
    text = " ".join(str(error).split()) or type(error).__name__
    return text if isinstance(error, (OSError, ValueError)) else f"{type(error).__name__}: {text}"
