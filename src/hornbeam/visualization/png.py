"""Small pictures as PNG files, without a library: what pages show inline."""

from __future__ import annotations

import base64
import struct
import zlib
from typing import Any

import numpy as np

# Pictures with a longer side are made smaller by leaving rows and columns out.
_LONGEST = 112
_COLOURS = {1: 0, 3: 2, 4: 6}  # channels -> colour type


def is_picture(array: Any) -> bool:
    """Whether a sample can be shown: (h, w) or (h, w, 1, 3 or 4) numbers, at least 2 by 2."""
    shape: tuple[int, ...] = getattr(array, "shape", ())
    dtype = getattr(array, "dtype", None)
    sized = len(shape) == 2 or (len(shape) == 3 and shape[2] in _COLOURS)
    return sized and min(shape[:2]) > 1 and dtype is not None and np.dtype(dtype).kind in "biuf"


def as_bytes(picture: np.ndarray) -> np.ndarray:
    """A picture as uint8 (h, w, channels): 0 to 255 and 0 to 1 as they are, anything else from its least to
    its largest value; not finite is 0."""
    whole = picture.reshape(*picture.shape[:2], -1)
    if whole.dtype == np.uint8:
        return whole
    wide = np.nan_to_num(whole.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = float(wide.min()), float(wide.max())
    if low < 0 or high > 255:
        wide = (wide - low) / max(high - low, 1e-12)
        high = 1.0
    return np.round(wide * (255 if high <= 1 else 1)).astype(np.uint8)


def encode(picture: np.ndarray) -> bytes:
    """The PNG file of a picture, see `is_picture` (W3C, Portable Network Graphics, third edition)."""
    if not is_picture(picture):
        raise ValueError(f"no picture (h, w) or (h, w, 1, 3 or 4): {getattr(picture, 'shape', picture)!r}")
    step = -(-max(picture.shape[:2]) // _LONGEST)
    pixels = np.ascontiguousarray(as_bytes(picture[::step, ::step]))
    height, width, channels = pixels.shape
    rows = np.concatenate([np.zeros((height, 1), np.uint8), pixels.reshape(height, -1)], 1)
    head = struct.pack(">IIBBBBB", width, height, 8, _COLOURS[channels], 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(rows.tobytes(), 9)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def encoded(picture: np.ndarray) -> str:
    """The PNG file as base64 text."""
    return base64.b64encode(encode(picture)).decode()


def _chunk(kind: bytes, data: bytes) -> bytes:
    body = kind + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))
