"""Statistics of arrays: ranges, means, standard deviations, missing values, constant features."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hornbeam.data.frames import is_missing

# Number of values that are processed at a time.
_BLOCK = 1 << 20


def _empty() -> np.ndarray:
    return np.empty(0)


@dataclass
class Summary:
    """Statistics of an array, or of a column of a table.

    Plural attributes are arrays with one entry a feature, over all axes but the first. Text has `distinct`
    and `examples` instead of numbers.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    size: int
    missing: int = 0
    infinite: int = 0
    low: float | None = None
    high: float | None = None
    mean: float | None = None
    std: float | None = None
    distinct: int | None = None
    examples: list[Any] = field(default_factory=list)
    means: np.ndarray = field(default_factory=_empty)
    stds: np.ndarray = field(default_factory=_empty)
    lows: np.ndarray = field(default_factory=_empty)
    highs: np.ndarray = field(default_factory=_empty)
    missing_by_feature: np.ndarray = field(default_factory=_empty)

    @property
    def numeric(self) -> bool:
        """True for numbers, False for text."""
        return self.distinct is None

    @property
    def features(self) -> int:
        """Number of values in a sample."""
        return int(np.prod(self.shape[1:], dtype=int))

    @property
    def constant(self) -> np.ndarray:
        """Features (flat indices) with one value in all samples."""
        return np.flatnonzero(self.lows == self.highs)


def summarize(array: np.ndarray, name: str) -> Summary:
    """Compute the statistics of an array in one pass, without NaN and infinite values, which are counted."""
    summary = Summary(name, array.shape, str(array.dtype), array.nbytes)
    if array.dtype.kind not in "biuf":
        array = _objects_to_numbers(array)
        if array.dtype.kind not in "biuf":
            return _summarize_text(array, summary)
    flat = array.reshape(len(array), -1)
    width = flat.shape[1]
    count, mean, square = np.zeros(width), np.zeros(width), np.zeros(width)
    low, high = np.full(width, np.inf), np.full(width, -np.inf)
    step = max(1, _BLOCK // max(width, 1))
    for start in range(0, len(flat), step):
        block = flat[start : start + step]
        wide = block.astype(np.float64)
        valid = np.isfinite(wide) if block.dtype.kind == "f" else None
        if valid is None or valid.all():
            block_count: Any = len(block)
            block_mean = wide.mean(axis=0)
            wide -= block_mean
            low = np.minimum(low, block.min(axis=0))
            high = np.maximum(high, block.max(axis=0))
        else:
            summary.missing += int(np.isnan(wide).sum())
            summary.infinite += int(np.isinf(wide).sum())
            block_count = valid.sum(axis=0)
            block_mean = np.where(valid, wide, 0).sum(axis=0) / np.maximum(block_count, 1)
            low = np.minimum(low, np.where(valid, wide, np.inf).min(axis=0))
            high = np.maximum(high, np.where(valid, wide, -np.inf).max(axis=0))
            wide = np.where(valid, wide - block_mean, 0)
        # Chan et al. 1979: mean and sum of squares of a union from those of two sets.
        total = np.maximum(count + block_count, 1)
        delta = block_mean - mean
        square += np.einsum("ij,ij->j", wide, wide) + delta**2 * (count * block_count / total)
        mean += delta * (block_count / total)
        count += block_count
    summary.missing_by_feature = len(flat) - count
    summary.lows, summary.highs, summary.means = low, high, mean
    summary.stds = np.sqrt(square / np.maximum(count, 1))
    if count.sum():
        summary.low, summary.high = float(low.min()), float(high.max())
        summary.mean = float((mean * count).sum() / count.sum())
        spread = (square + count * (mean - summary.mean) ** 2).sum()
        summary.std = float(np.sqrt(spread / count.sum()))
    return summary


def _objects_to_numbers(array: np.ndarray) -> np.ndarray:
    """Convert objects that are numbers or missing (None, NaN, pandas' NA) to float64; return others as is."""
    if array.dtype.kind != "O":
        return array
    try:
        values = [np.nan if is_missing(value) else value for value in array.reshape(-1).tolist()]
        if all(isinstance(value, (bool, int, float, np.number)) for value in values):
            return np.array(values, np.float64).reshape(array.shape)
    except (TypeError, ValueError):
        pass
    return array


def _summarize_text(array: np.ndarray, summary: Summary) -> Summary:
    values = array.reshape(-1).tolist()
    present = [str(value) for value in values if not is_missing(value)]
    summary.missing = len(values) - len(present)
    summary.distinct = len(set(present))
    summary.examples = list(dict.fromkeys(present[:1000]))[:3]
    return summary


def looks_like_images(summary: Summary) -> bool:
    """Return True for (n, h, w) and (n, h, w, channels) of at least 8 x 8 with values of a pixel range."""
    shape = summary.shape
    sized = len(shape) == 3 or (len(shape) == 4 and shape[3] in (1, 3, 4))
    if not sized or min(shape[1:3]) < 8 or not summary.numeric or summary.low is None or summary.high is None:
        return False
    return (
        summary.dtype == "uint8"
        or -1 <= summary.low < summary.high <= 1
        or 0 <= summary.low < 64 < summary.high <= 255
    )
