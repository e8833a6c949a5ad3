"""64-bit hashes of rows of arrays: equal rows have equal hashes, others differ (except one pair in 2^64).

Not for secrets: collisions can be constructed.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from hornbeam import tree

_SAMPLES = 64
# Number of words that are mixed at a time: they fit into a cache.
_BLOCK = 1 << 16


def fingerprint(data: Any) -> str:
    """Return a hash of shapes, dtypes and some rows spread over the arrays."""
    digest = hashlib.blake2b(digest_size=16)
    for array in tree.flatten(data):
        if array is not None:
            digest.update(f"{array.shape}{array.dtype}".encode())
            digest.update(_bytes(array[evenly_spaced(len(array))]))
    return digest.hexdigest()


def _bytes(array: np.ndarray) -> bytes:
    if array.dtype.kind == "O":  # the bytes would be addresses
        return repr(array.tolist()).encode("utf-8", "backslashreplace")
    return np.ascontiguousarray(array).tobytes()


def evenly_spaced(count: int, most: int = _SAMPLES) -> np.ndarray:
    """Return up to `most` row numbers, evenly spaced over `count` rows."""
    return np.unique(np.linspace(0, count - 1, min(most, count)).astype(np.int64))


def hash_rows(array: np.ndarray, dtype: Any = np.float32) -> np.ndarray:
    """Return a hash (uint64) for each row of an array of numbers or strings, (rows, ...) -> (rows,).

    dtype: dtype in which numbers are compared. -0.0 equals 0.0, and all NaN are equal.
    """
    if array.dtype.kind in "OSUT":
        return np.fromiter(map(_hash_text_row, array.reshape(len(array), -1).tolist()), np.uint64, len(array))
    if not array.size:
        return np.zeros(len(array), np.uint64)
    flat = array.reshape(len(array), -1)
    hashes = np.empty(len(flat), np.uint64)
    width = -(-flat.shape[1] * np.dtype(dtype).itemsize // 8)
    weights = _odd_weights(width)
    step = max(1, _BLOCK // max(width, 1))
    for start in range(0, len(flat), step):
        block = flat[start : start + step].astype(dtype, order="C")
        if block.dtype.kind == "f":
            block += 0  # -0.0 becomes 0.0
            block[np.isnan(block)] = np.nan
        raw = block.view(np.uint8).reshape(len(block), -1)
        if raw.shape[1] < 8 * width:
            raw = np.pad(raw, ((0, 0), (0, 8 * width - raw.shape[1])))
        hashes[start : start + step] = _mixed(raw.view(np.uint64), weights)
    return hashes


def hash_samples(arrays: Sequence[np.ndarray], dtypes: Sequence[Any]) -> np.ndarray:
    """Return a hash for each sample that consists of a row of every array, compared in `dtypes`."""
    words = [hash_rows(array, dtype) for array, dtype in zip(arrays, dtypes, strict=True)]
    return words[0] if len(words) == 1 else hash_rows(np.stack(words, axis=1), np.uint64)


def _hash_text_row(row: list[Any]) -> int:
    digest = hashlib.blake2b(digest_size=8)
    for part in row:
        digest.update(part if isinstance(part, bytes) else str(part).encode("utf-8", "backslashreplace"))
        digest.update(b"\xff")  # in no text of UTF-8
    return int.from_bytes(digest.digest(), "little")


def _mixed(words: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mix each word, sum products with odd weights, and mix again.

    Without the first mixing the high bits of round numbers would be lost in the products.
    """
    return _mix64((_mix64(words) * weights).sum(axis=1, dtype=np.uint64))


def _mix64(words: np.ndarray) -> np.ndarray:
    """Permute words of 64 bits (the finalizer of MurmurHash3, A. Appleby)."""
    words = words ^ (words >> np.uint64(33))
    words *= np.uint64(0xFF51AFD7ED558CCD)
    words ^= words >> np.uint64(33)
    words *= np.uint64(0xC4CEB9FE1A85EC53)
    words ^= words >> np.uint64(33)
    return words


@functools.lru_cache(maxsize=8)
def _odd_weights(count: int) -> np.ndarray:
    return np.random.Generator(np.random.PCG64(count)).integers(0, 2**64, count, np.uint64) | np.uint64(1)


def count_matches(table: np.ndarray, rows: np.ndarray, most: int = 5000) -> np.ndarray | None:
    """Count how often each of a few `rows` is in `table`, both of one dtype and row shape.

    Rows are prefiltered by three columns, and only the remaining ones are compared in full. None if more than
    `most` remain.
    """
    few, all_ = (array.reshape(len(array), -1) for array in (rows, table))
    columns = evenly_spaced(few.shape[1], 1024)
    distinct = (np.diff(np.sort(few[:, columns], axis=0), axis=0) != 0).sum(axis=0)
    best = columns[np.argsort(-distinct, kind="stable")[:3]]
    maybe = np.flatnonzero(
        np.isin(hash_rows(all_[:, best], table.dtype), hash_rows(few[:, best], table.dtype))
    )
    if len(maybe) > most:
        return None
    present, counts = np.unique(hash_rows(all_[maybe], table.dtype), return_counts=True)
    hashes = hash_rows(few, table.dtype)
    if not len(present):
        return np.zeros(len(few), np.int64)
    positions = np.minimum(np.searchsorted(present, hashes), len(present) - 1)
    return np.where(present[positions] == hashes, counts[positions], 0)


class HashSketch:
    """Hashes of many rows in bounded memory: of too many, the smallest hashes are kept.

    Which ones are kept does not depend on the order, so that two sketches can be compared.
    """

    def __init__(self, limit: int = 1 << 18) -> None:
        self.limit = limit
        self.words = np.empty(0, np.uint64)
        self.below: int = 1 << 64

    def add(self, words: np.ndarray) -> None:
        """Add hashes of rows."""
        self.words = np.union1d(self.words, self.comparable(words))
        if len(self.words) > self.limit:
            self.below = int(self.words[self.limit])
            self.words = self.words[: self.limit]

    def comparable(self, words: np.ndarray) -> np.ndarray:
        """Return the hashes that would be kept."""
        return words if self.below == 1 << 64 else words[words < np.uint64(self.below)]

    def has(self, words: np.ndarray) -> np.ndarray:
        """Return which of (comparable) hashes are in the sketch."""
        return np.isin(words, self.words)

    def __len__(self) -> int:
        return len(self.words)
