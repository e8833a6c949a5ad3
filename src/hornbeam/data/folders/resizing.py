"""Resizing of one image on the host with TensorFlow's results (no antialiasing, half-pixel centers).

Images of a folder have many sizes: a compiled program for each would not pay. An axis is resized by a
weighted sum of a few rows, the same for all images of a size.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np

Kernel = Callable[[np.ndarray], np.ndarray]


def _triangle(x: np.ndarray) -> np.ndarray:
    return np.maximum(1 - np.abs(x), 0)


def _cubic(b: float, c: float) -> Kernel:
    """Cubic kernel of Mitchell and Netravali, "Reconstruction filters in computer graphics" (1988)."""

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


# Method -> (kernel, radius). "nearest" and "area" are not kernels of the distance.
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
def _row_taps(method: str, size: int, target: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the source rows of each target row, and their weights: both (taps, target)."""
    scale = size / target
    if method == "area":
        edges = np.arange(target + 1) * scale
        rows = np.floor(edges[:-1]).astype(int) + np.arange(int(np.ceil(scale)) + 1)[:, None]
        covered = np.minimum(rows + 1, edges[1:]) - np.maximum(rows, edges[:-1])
        weights = np.maximum(covered, 0)
    else:
        kernel, radius = _KERNELS[method]
        centers = (np.arange(target) + 0.5) * scale - 0.5
        rows = (
            np.floor(centers).astype(int)
            + np.arange(1 - int(np.ceil(radius)), int(np.ceil(radius)) + 1)[:, None]
        )
        weights = kernel(rows - centers)
    weights = np.where((rows >= 0) & (rows < size), weights, 0)
    used = weights.any(axis=1)
    weights = (weights / weights.sum(axis=0))[used].astype(np.float32)
    return np.clip(rows[used], 0, size - 1), weights


@functools.lru_cache(maxsize=256)
def _column_taps(method: str, size: int, target: int, channels: int) -> tuple[np.ndarray, np.ndarray]:
    """Return as `_row_taps`, for the values of a row of pixels with several channels."""
    columns, weights = _row_taps(method, size, target)
    values = columns[:, :, None] * channels + np.arange(channels)
    return values.reshape(len(columns), -1), np.repeat(weights, channels, axis=1)


def _weighted_sum(matrix: np.ndarray, axis: int, indices: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Sum weighted rows (axis 0) or columns (axis 1) of a matrix."""
    shape = (-1, 1) if axis == 0 else (1, -1)
    total = matrix.take(indices[0], axis, mode="clip") * weights[0].reshape(shape)
    for index, weight in zip(indices[1:], weights[1:], strict=True):
        part = matrix.take(index, axis, mode="clip") * weight.reshape(shape)
        total += part
    return total


def resize(image: np.ndarray, size: tuple[int, int], method: str) -> np.ndarray:
    """Resize an image (height, width, channels): float32, but "nearest" keeps its dtype."""
    if method == "nearest":
        rows, columns = (
            np.minimum(((np.arange(target) + 0.5) * (length / target)).astype(int), length - 1)
            for length, target in zip(image.shape, size, strict=False)
        )
        return image[rows[:, None], columns]
    height, width, channels = image.shape
    row_taps = _row_taps(method, height, size[0])
    column_taps = _column_taps(method, width, size[1], channels)
    matrix = image.reshape(height, width * channels)
    # Resize first the axis that shrinks most.
    if size[0] * width <= size[1] * height:
        resized = _weighted_sum(_weighted_sum(matrix, 0, *row_taps), 1, *column_taps)
    else:
        resized = _weighted_sum(_weighted_sum(matrix, 1, *column_taps), 0, *row_taps)
    return resized.reshape(*size, channels)
