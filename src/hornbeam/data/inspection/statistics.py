"""What an array holds: ranges, means, deviations, what is missing, what never changes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

# Numbers that are looked at at a time.
_BLOCK = 1 << 20


@dataclass
class Summary:
    """An array, or a column of a table. Numbers with one entry a feature are arrays over all axes but the
    first; texts have `distinct` and `examples` instead."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    size: int
    missing: int = 0
    infinite: int = 0
    low: float | None = None
    high: float | None = None
    mean: float | None = None
    deviation: float | None = None
    distinct: int | None = None
    examples: list[Any] = field(default_factory=list)
    means: np.ndarray = field(default_factory=lambda: np.empty(0))
    deviations: np.ndarray = field(default_factory=lambda: np.empty(0))
    lows: np.ndarray = field(default_factory=lambda: np.empty(0))
    highs: np.ndarray = field(default_factory=lambda: np.empty(0))
    gaps: np.ndarray = field(default_factory=lambda: np.empty(0))

    @property
    def numeric(self) -> bool:
        """Whether it holds numbers."""
        return self.distinct is None

    @property
    def features(self) -> int:
        """Numbers in a sample."""
        return int(np.prod(self.shape[1:], dtype=int))

    @property
    def constant(self) -> np.ndarray:
        """Features (flat indices) that have one value in all samples."""
        return np.flatnonzero(self.lows == self.highs)


def summarize(array: np.ndarray, name: str) -> Summary:
    """All numbers of an array in one walk; NaN and infinite values are counted and left out."""
    made = Summary(name, array.shape, str(array.dtype), array.nbytes)
    if array.dtype.kind not in "biuf":
        array = _as_numbers(array)
        if array.dtype.kind not in "biuf":
            return _of_objects(array, made)
    flat = array.reshape(len(array), -1)
    width = flat.shape[1]
    count, mean, square = np.zeros(width), np.zeros(width), np.zeros(width)
    low, high = np.full(width, np.inf), np.full(width, -np.inf)
    step = max(1, _BLOCK // max(width, 1))
    for start in range(0, len(flat), step):
        block = flat[start : start + step]
        wide = block.astype(np.float64)
        good = np.isfinite(wide) if block.dtype.kind == "f" else None
        if good is None or good.all():
            here: Any = len(block)
            part = wide.mean(axis=0)
            wide -= part
            low = np.minimum(low, block.min(axis=0))
            high = np.maximum(high, block.max(axis=0))
        else:
            made.missing += int(np.isnan(wide).sum())
            made.infinite += int(np.isinf(wide).sum())
            here = good.sum(axis=0)
            part = np.where(good, wide, 0).sum(axis=0) / np.maximum(here, 1)
            low = np.minimum(low, np.where(good, wide, np.inf).min(axis=0))
            high = np.maximum(high, np.where(good, wide, -np.inf).max(axis=0))
            wide = np.where(good, wide - part, 0)
        # Chan et al. 1979: means and squares of two sets from those of each.
        total = np.maximum(count + here, 1)
        delta = part - mean
        square += np.einsum("ij,ij->j", wide, wide) + delta**2 * (count * here / total)
        mean += delta * (here / total)
        count += here
    made.gaps = len(flat) - count
    made.lows, made.highs, made.means = low, high, mean
    made.deviations = np.sqrt(square / np.maximum(count, 1))
    if count.sum():
        made.low, made.high = float(low.min()), float(high.max())
        made.mean = float((mean * count).sum() / count.sum())
        made.deviation = float(np.sqrt((square + count * (mean - made.mean) ** 2).sum() / count.sum()))
    return made


def _as_numbers(array: np.ndarray) -> np.ndarray:
    """Objects that are numbers, or nothing (None, NaN, pandas' NA), as float64; others as they are."""
    if array.dtype.kind != "O":
        return array
    try:
        values = [np.nan if _nothing(value) else value for value in array.reshape(-1).tolist()]
        if all(isinstance(value, (bool, int, float, np.number)) for value in values):
            return np.array(values, np.float64).reshape(array.shape)
    except (TypeError, ValueError):
        pass
    return array


def _nothing(value: Any) -> bool:
    return value is None or type(value).__name__ in ("NAType", "NaTType") or value != value


def _of_objects(array: np.ndarray, made: Summary) -> Summary:
    values = array.reshape(-1).tolist()
    there = [str(value) for value in values if not _nothing(value)]
    made.missing = len(values) - len(there)
    made.distinct = len(set(there))
    made.examples = list(dict.fromkeys(there[:1000]))[:3]
    return made


def looks_like_images(summary: Summary) -> bool:
    """True for (n, h, w) and (n, h, w, channels) with values as pixels have them, 8 x 8 or more of them."""
    shape = summary.shape
    sized = len(shape) == 3 or (len(shape) == 4 and shape[3] in (1, 3, 4))
    if not sized or min(shape[1:3]) < 8 or not summary.numeric or summary.low is None or summary.high is None:
        return False
    return (
        summary.dtype == "uint8"
        or -1 <= summary.low < summary.high <= 1
        or 0 <= summary.low < 64 < (summary.high) <= 255
    )
