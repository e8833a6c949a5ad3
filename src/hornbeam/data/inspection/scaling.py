"""Were numbers scaled before the split? Means and deviations tell, by the samples that they are right for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from hornbeam._internal.row_hash import evenly_spaced
from hornbeam.data.inspection.statistics import Summary, summarize

# How near to 0 and 1 means and deviations of scaled features are, in float32 and float64; the mean over all
# features of a sample, as pictures are scaled, is known better.
_EACH = {4: 1e-4, 8: 1e-6}
_ALL = {4: 1e-5, 8: 1e-7}
# By so much the training part alone must be farther off.
_FARTHER = 20
_LEAST = 10


class Scaled(NamedTuple):
    """Parts, samples, rows (none), and a sentence: the last fields of a Leak."""

    parts: tuple[str, ...]
    number: int
    rows: list[tuple[int, int]]
    text: str


class Moments(NamedTuple):
    """Of features that change: means and deviations, and how many samples they are from."""

    means: np.ndarray
    deviations: np.ndarray
    number: int

    def off(self) -> float:
        """How far from mean 0 and deviation 1: the root of the mean square over features. Deviations may have
        been taken with n or with n - 1."""
        shrunk = np.sqrt(1 - 1 / self.number)
        wide = min(_rms(self.deviations - 1), _rms(self.deviations - shrunk))
        return max(_rms(self.means), wide)


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def scaling_leaks(parts: Mapping[str, Mapping[str, np.ndarray]]) -> Iterator[Scaled]:
    """One for each array whose scale knows of held-out samples."""
    held = [name for name in parts if name != "train"]
    for key, array in parts["train"].items():
        if array.dtype.kind != "f" or array.dtype.itemsize not in _EACH or not held:
            continue
        arrays = {name: part[key] for name, part in parts.items()}
        if any(
            a.dtype != array.dtype or a.shape[1:] != array.shape[1:] or len(a) < _LEAST
            for a in arrays.values()
        ):
            continue
        summaries = {name: summarize(a, key) for name, a in arrays.items()}
        if any(s.missing or s.infinite for s in summaries.values()):
            continue
        text = _standardized(key, summaries, _by_itself(array)) or _ranged(key, arrays, summaries)
        if text:
            yield Scaled(tuple(parts), sum(len(arrays[name]) for name in held), [], text)


def _by_itself(array: np.ndarray) -> bool:
    """Whether every sample has mean 0: it was scaled by itself, as pictures may be, which tells nobody."""
    some = array[evenly_spaced(len(array), 500)].reshape(-1, array[0].size)
    return _rms(some.mean(axis=1, dtype=np.float64)) < 0.01


def _standardized(key: str, summaries: Mapping[str, Summary], by_itself: bool) -> str:
    size = np.dtype(summaries["train"].dtype).itemsize
    for moments_of, tolerance in ((_each, _EACH[size]), (_all, _ALL[size]))[: 1 if by_itself else 2]:
        moments = {name: moments_of([summary]) for name, summary in summaries.items()}
        together = {
            tuple(names): moments_of([summaries[name] for name in names])
            for names in (list(summaries), ["train", "test"], ["train", "validation"])
            if len(names) > 1 and set(names) <= set(summaries)
        }
        if any(m is None for m in (*moments.values(), *together.values())):
            continue
        own = moments["train"]
        assert own is not None
        for names, joined in together.items():
            assert joined is not None
            if joined.off() <= tolerance and own.off() >= _FARTHER * max(joined.off(), tolerance / _FARTHER):
                return (
                    f"{key} has mean 0 and deviation 1 over {' and '.join(names)} together, but not over "
                    f"train (off by {own.off():.2g}): the scale knows the held-out samples. Split first, "
                    "then scale by numbers of the training part: layers.Normalization with adapt(x_train)"
                )
        for name, alone in moments.items():
            assert alone is not None
            if name != "train" and alone.off() <= tolerance:
                return (
                    f"{key} of {name} has mean 0 and deviation 1 by itself: it was scaled by its own "
                    "numbers, which a single new sample does not have. Scale all parts by numbers of the "
                    "training part"
                )
    return ""


def _each(summaries: list[Summary]) -> Moments | None:
    """Moments of each feature; those that never change, or are -1 and 1 alone, are left out."""
    means, deviations, total = _joined(
        [s.means for s in summaries], [s.deviations for s in summaries], [s.shape[0] for s in summaries]
    )
    low = np.min([s.lows for s in summaries], axis=0)
    high = np.max([s.highs for s in summaries], axis=0)
    signs = (low >= -1) & (high <= 1) & (deviations > 0.999)
    telling = (high > low) & ~signs
    return Moments(means[telling], deviations[telling], total) if telling.any() else None


def _all(summaries: list[Summary]) -> Moments | None:
    """Moments of all values at once, as pictures are scaled; None where every feature is scaled by itself."""
    each = _each(summaries)
    if summaries[0].features < 2 or each is None or _rms(each.means) < 0.01:
        return None
    return Moments(
        *_joined(
            [np.array([s.mean], float) for s in summaries],
            [np.array([s.deviation], float) for s in summaries],
            [s.shape[0] * s.features for s in summaries],
        )
    )


def _joined(
    means: list[np.ndarray], deviations: list[np.ndarray], counts: list[int]
) -> tuple[np.ndarray, np.ndarray, int]:
    """Mean, deviation and number of several sets together."""
    share = np.array(counts)[:, None] / sum(counts)
    mean = (share * means).sum(axis=0)
    square = (share * (np.square(deviations) + np.square(means - mean))).sum(axis=0)
    return mean, np.sqrt(square), sum(counts)


def _ranged(key: str, arrays: Mapping[str, np.ndarray], summaries: Mapping[str, Summary]) -> str:
    """Ranges of 0 to 1 (or -1 to 1) over all parts: each end of each feature is reached once, by a sample
    that for some is not in the training part. For three features and more, all of quantities: one that runs
    from 0 to 1 by its nature is nothing unusual."""
    low = np.min([s.lows for s in summaries.values()], axis=0)
    high = np.max([s.highs for s in summaries.values()], axis=0)
    changes = high > low
    if changes.sum() < 3 or changes.sum() > 4096:
        return ""
    near = 1e-6
    if not (
        (np.abs(high[changes] - 1) < near).all() and np.isin(np.round(low[changes], 6), (0.0, -1.0)).all()
    ):
        return ""
    if len(np.unique(np.round(low[changes], 6))) > 1:
        return ""
    own = summaries["train"]
    short = changes & ((own.lows > low + near) | (own.highs < high - near))
    if not short.any():
        return ""
    flat = np.concatenate([a.reshape(len(a), -1)[:, changes] for a in arrays.values()])
    ends = ((flat <= low[changes] + near).sum(axis=0) == 1) & (
        (flat >= high[changes] - near).sum(axis=0) == 1
    )
    if not ends.all() or any(2 * len(np.unique(column)) < len(column) for column in flat.T):
        return ""
    return (
        f"{key} runs from {low[changes][0]:g} to 1 in every feature over all parts together, but in "
        f"{int(short.sum()):,} of {int(changes.sum()):,} not over train: the ranges know the held-out "
        "samples. Split first, then scale by the training part's ranges"
    )
