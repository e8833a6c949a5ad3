"""Resizing one picture on the host with TensorFlow's results (without antialiasing, half-pixel centres).

Pictures of a folder have all sizes: a compiled program for each of them would be wasted. An axis is resized
by adding a few weighted rows, the same for all pictures of a size.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np

Kernel = Callable[[np.ndarray], np.ndarray]


def _triangle(x: np.ndarray) -> np.ndarray:
    return np.maximum(1 - np.abs(x), 0)


def _cubic(b: float, c: float) -> Kernel:
    """The cubic of Mitchell and Netravali, "Reconstruction filters in computer graphics" (1988)."""

    def kernel(x: np.ndarray) -> np.ndarray:
        x = np.abs(x)
        near = ((12 - 9 * b - 6 * c) * x**3 + (-18 + 12 * b + 6 * c) * x**2 + 6 - 2 * b) / 6
        far = ((-b - 6 * c) * x**3 + (6 * b + 30 * c) * x**2 + (-12 * b - 48 * c) * x + 8 * b + 24 * c) / 6
        return np.where(x < 1, near, np.where(x < 2, far, 0))

    return kernel


def _lanczos(radius: int) -> Kernel:
    return lambda x: np.where(np.abs(x) < radius, np.sinc(x) * np.sinc(x / radius), 0)


def _gaussian(x: np.ndarray) -> np.ndarray:
    return np.where(np.abs(x) < 1.5, np.exp(-2 * x**2), 0)


# Method -> (kernel, radius). "nearest" and "area" are no kernels of the distance.
_KERNELS: dict[str, tuple[Kernel, float]] = {
    "bilinear": (_triangle, 1),
    "bicubic": (_cubic(0, 0.5), 2),
    "gaussian": (_gaussian, 1.5),
    "lanczos3": (_lanczos(3), 3),
    "lanczos5": (_lanczos(5), 5),
    "mitchellcubic": (_cubic(1 / 3, 1 / 3), 2),
}
METHODS = (*_KERNELS, "area", "nearest")


@functools.lru_cache(maxsize=256)
def _taps(method: str, size: int, wanted: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows that each of the wanted ones is made of, and their weights: both (number, wanted)."""
    scale = size / wanted
    if method == "area":
        edges = np.arange(wanted + 1) * scale
        rows = np.floor(edges[:-1]).astype(int) + np.arange(int(np.ceil(scale)) + 1)[:, None]
        covered = np.minimum(rows + 1, edges[1:]) - np.maximum(rows, edges[:-1])
        weights = np.maximum(covered, 0)
    else:
        kernel, radius = _KERNELS[method]
        centres = (np.arange(wanted) + 0.5) * scale - 0.5
        rows = (
            np.floor(centres).astype(int)
            + np.arange(1 - int(np.ceil(radius)), int(np.ceil(radius)) + 1)[:, None]
        )
        weights = kernel(rows - centres)
    weights = np.where((rows >= 0) & (rows < size), weights, 0)
    used = weights.any(axis=1)
    weights = (weights / weights.sum(axis=0))[used].astype(np.float32)
    return np.clip(rows[used], 0, size - 1), weights


@functools.lru_cache(maxsize=256)
def _column_taps(method: str, size: int, wanted: int, channels: int) -> tuple[np.ndarray, np.ndarray]:
    """As `_taps`, for the numbers of a row of pixels with several channels."""
    columns, weights = _taps(method, size, wanted)
    each = columns[:, :, None] * channels + np.arange(channels)
    return each.reshape(len(columns), -1), np.repeat(weights, channels, axis=1)


def _sum(picture: np.ndarray, axis: int, places: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted rows or columns of a matrix, added up."""
    shape = (-1, 1) if axis == 0 else (1, -1)
    total = picture.take(places[0], axis, mode="clip") * weights[0].reshape(shape)
    for place, weight in zip(places[1:], weights[1:], strict=True):
        part = picture.take(place, axis, mode="clip") * weight.reshape(shape)
        total += part
    return total


def resized(picture: np.ndarray, size: tuple[int, int], method: str) -> np.ndarray:
    """A picture (height, width, channels) in another size: float32, but "nearest" keeps its dtype."""
    if method == "nearest":
        rows, columns = (
            np.minimum(((np.arange(wanted) + 0.5) * (have / wanted)).astype(int), have - 1)
            for have, wanted in zip(picture.shape, size, strict=False)
        )
        return picture[rows[:, None], columns]
    height, width, channels = picture.shape
    down = _taps(method, height, size[0])
    across = _column_taps(method, width, size[1], channels)
    matrix = picture.reshape(height, width * channels)
    # The axis that loses most goes first.
    if size[0] * width <= size[1] * height:
        made = _sum(_sum(matrix, 0, *down), 1, *across)
    else:
        made = _sum(_sum(matrix, 1, *across), 0, *down)
    return made.reshape(*size, channels)
