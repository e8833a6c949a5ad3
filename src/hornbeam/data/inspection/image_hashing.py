"""Near-duplicate images: difference hashes for candidates, correlation of thumbnails for the decision.

A difference hash of 64 bits (for each point of a 9 x 8 thumbnail: is it darker than its right neighbor? N.
Krawetz, "Kind of Like That", The Hacker Factor Blog, 2013) yields candidates. A pair counts if thumbnails of
16 x 16 correlate too: the hash alone would match images that have little in common but a flat background.
Hashes within `distance` bits agree in one of distance + 1 segments, so only those that do are compared (M.
Norouzi, A. Punjani, D. Fleet, "Fast Search in Hamming Space with Multi-Index Hashing", 2012).
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

# Maximum number of bits in which hashes of near-duplicates differ, and minimum correlation of thumbnails.
DISTANCE = 8
MIN_CORRELATION = 0.98
# Points of a thumbnail each way. The larger contrast of two is at most MAX_CONTRAST_RATIO times the smaller.
# Images whose contrast is below FLAT (of 255) are near-duplicates if their means differ by less.
_SIDE = 16
_MAX_CONTRAST_RATIO = 1.5
_FLAT = 2.0
# Images, and pairs of hashes, that are processed at a time.
BLOCK = 1024
_PAIRS = 1 << 22


class ImageHashes(NamedTuple):
    """Features of n images: hashes, thumbnails, and mean and standard deviation of each.

    hashes: difference hashes (uint64). thumbnails: of unit length around their mean. means, stds: on a
    scale of 255.
    """

    hashes: np.ndarray
    thumbnails: np.ndarray
    means: np.ndarray
    stds: np.ndarray


def difference_hashes(images: np.ndarray) -> np.ndarray:
    """Return a hash of 64 bits (uint64) of each image (n, height, width[, channels]).

    Bit 8 * y + x is 1 if, in a thumbnail of 9 x 8, point (x, y) is darker than point (x + 1, y). Hashes of
    flat images are 0.

    >>> [int(h) for h in difference_hashes(np.stack([np.arange(9.0)[None].repeat(8, 0)] * 2))]
    [18446744073709551615, 18446744073709551615]
    """
    return hash_images(np.asarray(images)).hashes


@functools.lru_cache(maxsize=64)
def _area_weights(size: int, target: int) -> np.ndarray:
    """Return weights (target, size) that average a line of `size` points over areas."""
    edges = np.linspace(0, size, target + 1)
    points = np.arange(size)
    covered = np.minimum(points + 1, edges[1:, None]) - np.maximum(points, edges[:-1, None])
    return (np.maximum(covered, 0) * target / size).astype(np.float32)


def hash_images(images: np.ndarray) -> ImageHashes:
    """Compute the features of images (n, height, width[, channels])."""
    values = images.astype(np.float32)
    if values.ndim == 3:
        values = values[..., None]
    # NaN and infinite pixels count as 0.
    values = np.nan_to_num(values[..., :3], posinf=0, neginf=0).transpose(0, 3, 1, 2)
    height, width = values.shape[2:]
    gray = values.mean(axis=1)
    points = _area_weights(height, 8) @ gray @ _area_weights(width, 9).T
    # Flat backgrounds are equal up to rounding: smaller differences are not "darker".
    tolerance = np.abs(points).max(axis=(1, 2), keepdims=True) * 1e-5
    bits = (points[:, :, :-1] + tolerance < points[:, :, 1:]).reshape(len(values), 64)
    hashes = np.packbits(bits, axis=1, bitorder="little").view("<u8").reshape(-1).astype(np.uint64)
    small = (_area_weights(height, _SIDE) @ values @ _area_weights(width, _SIDE).T).reshape(len(values), -1)
    means = small.mean(axis=1)
    small -= means[:, None]
    stds = np.sqrt(np.square(small).mean(axis=1))
    lengths = np.linalg.norm(small, axis=1)
    small /= np.where(lengths > 0, lengths, 1)[:, None]
    top = 1.0 if images.dtype.kind == "f" and np.abs(values).max(initial=0) <= 1 else 255.0
    means, stds = means * (255 / top), stds * (255 / top)
    hashes[stds < _FLAT] = 0  # only noise
    return ImageHashes(hashes, small, means, stds)


def concatenate_hashes(parts: Sequence[ImageHashes]) -> ImageHashes:
    """Concatenate the features of several sets of images."""
    return ImageHashes(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def near_duplicate_pairs(
    images: ImageHashes, rows: np.ndarray, distance: int, min_correlation: float
) -> list[tuple[int, int]]:
    """Return pairs of `rows` that are near-duplicates: enough to connect each group, not all of its pairs."""
    pairs: list[tuple[int, int]] = []
    group = np.arange(len(images.hashes))
    for left, right in candidate_pairs(images.hashes[rows], distance):
        for start in range(0, len(left), BLOCK):
            a, b = rows[left[start : start + BLOCK]], rows[right[start : start + BLOCK]]
            separate = group[a] != group[b]
            a, b = a[separate], b[separate]
            similar = _are_similar(images, a, b, min_correlation)
            for first, second in zip(a[similar].tolist(), b[similar].tolist(), strict=True):
                if group[first] != group[second]:
                    pairs.append((first, second))
                    group[group == group[second]] = group[first]
    return pairs


def _are_similar(images: ImageHashes, a: np.ndarray, b: np.ndarray, min_correlation: float) -> np.ndarray:
    """Return a mask of the pairs (a[i], b[i]) with similar thumbnails."""
    correlation = np.einsum("ij,ij->i", images.thumbnails[a], images.thumbnails[b])
    flat = (images.stds[a] < _FLAT) & (images.stds[b] < _FLAT)
    close = np.abs(images.means[a] - images.means[b]) < _FLAT
    low, high = np.sort([images.stds[a], images.stds[b]], axis=0)
    similar: np.ndarray = np.where(
        flat, close, (correlation >= min_correlation) & (high <= _MAX_CONTRAST_RATIO * low)
    )
    return similar


def candidate_pairs(hashes: np.ndarray, distance: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield pairs of rows whose hashes differ in at most `distance` bits, each at least once."""
    count, segments = len(hashes), distance + 1
    edges = np.linspace(0, 64, segments + 1).astype(np.uint64)
    values = []
    for low, high in itertools.pairwise(edges):
        mask = np.uint64((1 << int(high - low)) - 1)
        values.append((hashes >> low) & mask)
    buckets = [_equal_rows(segment) for segment in values]
    comparisons = sum(int((len(rows) ** 2) // 2) for bucket in buckets for rows in bucket)
    if comparisons > count**2 // 2:  # segments that most images have in common: compare all pairs once
        buckets = [[np.arange(count)]]
    for bucket in buckets:
        for rows in bucket:
            yield from _close_pairs(hashes, rows, distance)


def _equal_rows(values: np.ndarray) -> list[np.ndarray]:
    """Return the rows of each value that occurs at least twice."""
    order = np.argsort(values, kind="stable")
    cuts = np.flatnonzero(np.diff(values[order])) + 1
    return [rows for rows in np.split(order, cuts) if len(rows) > 1]


def _close_pairs(
    hashes: np.ndarray, rows: np.ndarray, distance: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield pairs of `rows` whose hashes are close."""
    values = hashes[rows]
    step = max(_PAIRS // len(rows), 1)
    for start in range(0, len(rows), step):
        block = values[start : start + step, None]
        left, right = np.nonzero(count_bits(block ^ values[None, start:]) <= distance)
        later = right > left
        if later.any():
            yield rows[start + left[later]], rows[start + right[later]]


def count_bits(words: np.ndarray) -> np.ndarray:
    """Return the number of bits that are 1, of each 64-bit word."""
    if hasattr(np, "bitwise_count"):  # NumPy 2
        return np.bitwise_count(words)
    return _BIT_COUNTS[words.view(np.uint16)].reshape(*words.shape, 4).sum(axis=-1, dtype=np.uint8)


_BIT_COUNTS = np.array([bin(word).count("1") for word in range(1 << 16)], np.uint8)
