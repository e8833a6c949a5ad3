"""PNG files of small images, for HTML pages.

Reports show samples in installations without extras, so Pillow is not used here.
"""

from __future__ import annotations

import base64
import struct
import zlib

import numpy as np

# Images with a longer side are shrunk by dropping rows and columns.
_LONGEST_SIDE = 112
_COLOR_TYPES = {1: 0, 3: 2, 4: 6}  # by number of channels


def is_image(array: object) -> bool:
    """Return True for numbers of shape (h, w) or (h, w, 1, 3 or 4), at least 2 by 2."""
    shape: tuple[int, ...] = getattr(array, "shape", ())
    dtype = getattr(array, "dtype", None)
    sized = len(shape) == 2 or (len(shape) == 3 and shape[2] in _COLOR_TYPES)
    return sized and min(shape[:2]) > 1 and dtype is not None and np.dtype(dtype).kind in "biuf"


def to_uint8(image: np.ndarray) -> np.ndarray:
    """Return an image as uint8 (h, w, channels).

    Values in [0, 255] stay, values in [0, 1] are scaled, others are mapped from their range. NaN and infinity
    become 0.
    """
    pixels = image.reshape(*image.shape[:2], -1)
    if pixels.dtype == np.uint8:
        return pixels
    numbers = np.nan_to_num(pixels.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = float(numbers.min()), float(numbers.max())
    if low < 0 or high > 255:
        numbers = (numbers - low) / max(high - low, 1e-12)
        high = 1.0
    return np.round(numbers * (255 if high <= 1 else 1)).astype(np.uint8)


def encode(image: np.ndarray) -> bytes:
    """Return the PNG file of an image (W3C, Portable Network Graphics, third edition).

    Raises ValueError unless `is_image`.
    """
    if not is_image(image):
        shape = getattr(image, "shape", image)
        raise ValueError(f"an image must have shape (h, w) or (h, w, 1, 3 or 4), got {shape!r}")
    step = -(-max(image.shape[:2]) // _LONGEST_SIDE)
    return encode_pixels(to_uint8(image[::step, ::step]))


def encode_pixels(pixels: np.ndarray) -> bytes:
    """Return the PNG file of an image of uint8 (h, w, 1, 3 or 4), of any size."""
    pixels = np.ascontiguousarray(pixels)
    height, width, channels = pixels.shape
    rows = np.concatenate([np.zeros((height, 1), np.uint8), pixels.reshape(height, -1)], 1)
    header = struct.pack(">IIBBBBB", width, height, 8, _COLOR_TYPES[channels], 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), 9)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def encode_base64(image: np.ndarray) -> str:
    """Return the PNG file as base64 text."""
    return base64.b64encode(encode(image)).decode()


def _chunk(kind: bytes, data: bytes) -> bytes:
    body = kind + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))
