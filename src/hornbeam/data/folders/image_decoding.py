"""One picture file as pixels, by Pillow: formats, colours, depth and rotation.

Pillow lets other threads run while it decodes and resizes, so threads are enough to use all processors.
"""

from __future__ import annotations

import io
from typing import Any, NamedTuple

import numpy as np

from hornbeam import _native
from hornbeam.utils.images import pillow, resampling_filter

ENDINGS = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF")
# Name of what is wanted -> (mode of Pillow, channels).
COLORS = {"grayscale": ("L", 1), "rgb": ("RGB", 3), "rgba": ("RGBA", 4)}
# EXIF's tag for how the camera was held, and the values that lay height along width.
_ORIENTATION = 0x0112
_ON_ITS_SIDE = (5, 6, 7, 8)
# Those for which the right or lower edge, as it lies in the file, is seen on the left, or above.
_FROM_RIGHT, _FROM_BELOW = (2, 3, 6, 7), (3, 4, 7, 8)
# What 16 bits count more finely than 8: 65535 / 255.
_FINER = 257


class Header(NamedTuple):
    """What the head of a file says: the size as it is seen, after the rotation that EXIF asks for, and the
    kind of pixels: "grey", "colour", "alpha" or "16 bit"."""

    width: int
    height: int
    kind: str


class PictureFile:
    """An open picture file. Its pixels are decoded when they are asked for.

    upright: turn it as EXIF says. whole: read the file at once, which decoding is faster from; without it,
    only its head. Raises OSError for files that are not there, or no picture of FORMATS.
    """

    def __init__(self, path: Any, upright: bool = True, whole: bool = True) -> None:
        module, file = pillow(), path
        if whole:
            with open(path, "rb") as opened:
                file = io.BytesIO(opened.read())
        try:
            self._picture = module.open(file, formats=FORMATS)
        except module.UnidentifiedImageError:
            raise module.UnidentifiedImageError(f"cannot identify image file {str(path)!r}") from None
        # How much smaller `pixels` made it than the file says, 1 for not at all.
        self._scale = 1.0
        self._turned = _orientation(self._picture, whole) if upright else 1
        self._whole = self._picture.size

    def __enter__(self) -> PictureFile:
        return self

    def __exit__(self, *error: Any) -> None:
        self._picture.__exit__(*error)  # closes the file; pixels stay

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, as it is seen."""
        return self._seen(self._whole)

    def box(self, made: tuple[int, int]) -> tuple[float, float, float, float]:
        """Where the whole picture is in what `pixels` made of it, of size `made`: left, upper, right, lower.

        A smaller one ends with a row and a column that it fills in part.
        """
        wide, high = (side * self._scale for side in self._seen(self._whole))
        left = made[0] - wide if self._turned in _FROM_RIGHT else 0.0
        top = made[1] - high if self._turned in _FROM_BELOW else 0.0
        return left, top, left + wide, top + high

    @property
    def header(self) -> Header:
        picture = self._picture
        deep = picture.mode.startswith("I")
        alpha = picture.has_transparency_data
        kind = "16 bit" if deep else "alpha" if alpha else "grey" if picture.mode in ("1", "L") else "colour"
        return Header(*self.size, kind)

    def _seen(self, size: tuple[int, int]) -> tuple[int, int]:
        return (size[1], size[0]) if self._turned in _ON_ITS_SIDE else size

    def pixels(
        self,
        color_mode: str = "rgb",
        least: tuple[int, int] | None = None,
        ground: tuple[int, ...] | None = None,
        deep: bool = True,
    ) -> Any:
        """The picture: a Pillow image of mode L, RGB or RGBA, or F for 16 bits.

        least: (width, height) below which it must not shrink. The decoder of JPEG then leaves out what it
        can: it makes pictures of 1/2, 1/4 or 1/8 of the size out of fewer coefficients, and grey ones without
        looking at colours. None: every pixel as it is in the file. ground: what shines through where a
        picture is transparent and no alpha is wanted; None drops the alpha. deep: 16 bits of grey stay
        numbers from 0 to 255 with fractions; else they are cut to 8. Of an animation, or of several pages,
        the first picture is taken.

        Raises OSError, ValueError for files that hold no such picture, or only a part of it.
        """
        mode, picture = COLORS[color_mode][0], self._picture
        if least is not None and picture.format in ("JPEG", "MPO"):
            made = picture.draft(mode, self._seen(least))
            if made is not None:  # the box of the smaller picture that the whole one fills, with fractions
                self._scale = made[1][2] / self._whole[0]
        picture.load()
        made = picture if picture.mode == mode else _converted(picture, mode, ground, deep)
        return made if self._turned == 1 else _upright(made, self._turned)


def _orientation(picture: Any, whole: bool) -> int:
    # TIFF is turned by Pillow itself, which says the size that it will have.
    if picture.format in ("GIF", "BMP", "TIFF"):
        return 1
    # EXIF data may stand behind the pixels of a PNG: asking for them decodes it.
    if picture.format == "PNG" and not whole and "exif" not in picture.info:
        return 1
    return int(picture.getexif().get(_ORIENTATION, 1))


def header(path: str) -> Header:
    """Size and kind of a picture, out of the file's head. Raises OSError for what is none."""
    with PictureFile(path, whole=False) as file:
        return file.header


def _converted(picture: Any, mode: str, ground: tuple[int, ...] | None, deep: bool) -> Any:
    """A picture of any kind as one of `mode`, or F."""
    if picture.mode.startswith("I"):
        values = _of_16_bits(picture)
        if deep:
            return pillow().fromarray(values.astype(np.float32) / _FINER)
        picture = pillow().fromarray((values >> 8).astype(np.uint8))
    if picture.mode == "F":
        raise ValueError("pixels are floating-point numbers, whose range is not known")
    if picture.has_transparency_data and ground is not None:
        picture = picture.convert("RGBA")
        if mode != "RGBA":
            under = pillow().new("RGBA", picture.size, (*ground, 255))
            under.alpha_composite(picture)
            picture = under
    return picture if picture.mode == mode else picture.convert(mode)


def _of_16_bits(picture: Any) -> np.ndarray:
    values = np.asarray(picture)
    if values.min(initial=0) < 0 or values.max(initial=0) > 0xFFFF:
        raise ValueError("pixels are integers of 32 bits, whose range is not known")
    return values


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


# What the native engine computes, to within 1 of 255 of Pillow. Others bend values beyond both ends, which
# Pillow cuts off between its two passes.
_SMOOTH = ("bilinear", "box", "hamming")


def resized(
    picture: Any, size: tuple[int, int], box: tuple[float, float, float, float], interpolation: str
) -> Any:
    """As Pillow's `resize`, up to rounding, in a quarter of the time where the native engine does it: a
    picture, or an array of its pixels."""
    if interpolation not in _SMOOTH or picture.mode not in ("L", "RGB"):
        return picture.resize(size, resampling_filter(interpolation), box=box)
    channels = len(picture.mode)
    pixels = _native.resize(picture.tobytes(), picture.size, channels, box, size, interpolation)
    return np.frombuffer(pixels, np.uint8).reshape(size[1], size[0], channels)


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
