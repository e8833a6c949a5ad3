"""Random affine warps of digits."""

from __future__ import annotations

import math

import numpy as np

from hornbeam.random import host_permutation
from hornbeam.utils import PyDataset

# Largest changes of a training digit: radians, logarithm of the scale, fraction of the height, pixels.
MAX_ROTATION, MAX_SCALE, MAX_SHEAR, MAX_SHIFT = 0.16, 0.1, 0.12, 1.6


class WarpedDigits(PyDataset):
    """Batches of training digits, slightly rotated, scaled, sheared and shifted, in a new order each epoch.

    A digit that is slightly rotated keeps its label, which helps more than a larger net.
    """

    def __init__(self, images: np.ndarray, labels: np.ndarray, batch_size: int, seed: int) -> None:
        super().__init__()
        self.images, self.labels = images, labels
        self.batch_size, self.seed, self.epoch = batch_size, seed, 0
        self._shuffle()

    def _shuffle(self) -> None:
        self.order = host_permutation(self.seed + self.epoch, len(self.labels))

    def __len__(self) -> int:
        return math.ceil(len(self.labels) / self.batch_size)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        rows = self.order[index * self.batch_size : (index + 1) * self.batch_size]
        rng = np.random.default_rng((self.seed, self.epoch, index))
        return warp(self.images[rows], *random_warps(rng, len(rows))), self.labels[rows]

    def on_epoch_end(self) -> None:
        self.epoch += 1
        self._shuffle()


def random_warps(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw matrices (count, 2, 2) and shifts (count, 2), from coordinates of the result to the source."""
    angle = rng.uniform(-MAX_ROTATION, MAX_ROTATION, count)
    shear = rng.uniform(-MAX_SHEAR, MAX_SHEAR, count)
    height, width = np.exp(rng.uniform(-MAX_SCALE, MAX_SCALE, (2, count)))
    cos, sin = np.cos(angle), np.sin(angle)
    entries = [height * cos, -width * sin, height * (sin + shear * cos), width * (cos - shear * sin)]
    matrices = np.stack(entries, -1).reshape(-1, 2, 2).astype("float32")
    return matrices, rng.uniform(-MAX_SHIFT, MAX_SHIFT, (count, 2)).astype("float32")


def warp(images: np.ndarray, matrices: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    """Sample images (N, H, W, 1) at `matrix @ (row, column) + shift` from the center; 0 outside."""
    count, height, width, _ = images.shape
    center = np.array([(height - 1) / 2, (width - 1) / 2], "float32")
    rows, columns = np.indices((height, width)).reshape(2, -1).astype("float32") - center[:, None]
    # Not a matrix product, whose last bits depend on the processor: a certificate has their hash.
    across = matrices[..., 0, None] * rows + matrices[..., 1, None] * columns
    points = (across + shifts[..., None] + center[:, None] + 1).transpose(0, 2, 1)
    # Coordinates outside are clipped to a border of zeros.
    points = np.clip(points, 0, np.array([height + 1, width + 1], "float32"))
    corners = points.astype("int32")
    fraction = (points - corners).astype("float32")
    padded = np.pad(images[..., 0], ((0, 0), (1, 2), (1, 2)))
    start = corners[..., 0] * padded.shape[2] + corners[..., 1] + np.arange(count)[:, None] * padded[0].size
    flat, down, right = padded.ravel(), fraction[..., 0], fraction[..., 1]
    upper = flat[start] * (1 - right) + flat[start + 1] * right
    start += padded.shape[2]
    lower = flat[start] * (1 - right) + flat[start + 1] * right
    return (upper * (1 - down) + lower * down).reshape(images.shape)
