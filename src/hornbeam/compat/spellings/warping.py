"""One picture turned, moved, sheared and zoomed around its middle, on the host, as Keras 2 did it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

FILL_MODES = ("constant", "nearest", "reflect", "wrap")


def warped(
    picture: np.ndarray,
    angle: float,
    shift: Sequence[float],
    shear: float,
    zoom: np.ndarray,
    fill_mode: str,
    cval: float,
) -> np.ndarray:
    """The picture (rows, columns, channels) where place p shows what was at M (p - c) + c, c its middle:
    M = turn(angle) move(shift) shear zoom. Values between pixels are bilinear.

    angle, shear: radians. shift: pixels. Raises ValueError for an unknown fill_mode.
    """
    if fill_mode not in FILL_MODES:
        raise ValueError(f"fill_mode is one of {', '.join(FILL_MODES)}; got {fill_mode!r}")
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    move = np.array([[1, 0, shift[0]], [0, 1, shift[1]], [0, 0, 1]])
    slant = np.array([[1, -np.sin(shear), 0], [0, np.cos(shear), 0], [0, 0, 1]])
    matrix = turn @ move @ slant @ np.diag([*zoom, 1])
    middle = (np.array(picture.shape[:2]) / 2 - 0.5)[:, None]
    places = np.indices(picture.shape[:2]).reshape(2, -1) - middle
    rows, columns = matrix[:2, :2] @ places + matrix[:2, 2:] + middle
    made = _sampled(picture, rows, columns, fill_mode, cval)
    return made.reshape(picture.shape).astype(picture.dtype)


def _sampled(
    picture: np.ndarray, rows: np.ndarray, columns: np.ndarray, fill_mode: str, cval: float
) -> np.ndarray:
    height, width = picture.shape[:2]
    outside = (rows < 0) | (rows > height - 1) | (columns < 0) | (columns > width - 1)
    above, below, down = _neighbours(rows, height, fill_mode)
    before, after, right = _neighbours(columns, width, fill_mode)
    down, right = down[:, None], right[:, None]
    upper = picture[above, before] * (1 - right) + picture[above, after] * right
    lower = picture[below, before] * (1 - right) + picture[below, after] * right
    made = upper * (1 - down) + lower * down
    if fill_mode == "constant":
        made[outside] = cval
    return made


def _neighbours(at: np.ndarray, size: int, fill_mode: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The pixels before and after each place, and how far it lies between them."""
    if fill_mode == "wrap":
        at = np.mod(at, size)
    elif fill_mode == "reflect":
        folded = np.mod(at + 0.5, 2 * size)
        at = np.minimum(folded, 2 * size - folded) - 0.5
    if fill_mode != "wrap":
        at = np.clip(at, 0, size - 1)
    low = np.floor(at).astype(int)
    after = low + 1
    return low % size, after % size if fill_mode == "wrap" else np.minimum(after, size - 1), at - low
