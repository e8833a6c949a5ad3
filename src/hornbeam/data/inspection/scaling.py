"""Detection of scaling before the split, by the samples for which means and standard deviations hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from hornbeam._internal.row_hash import evenly_spaced
from hornbeam.data.inspection.statistics import Summary, summarize

# Tolerance by itemsize (float32, float64) of means around 0 and deviations around 1 of scaled features, and
# of moments over all features of a sample, as images are scaled, which are more precise.
_FEATURE_TOLERANCE = {4: 1e-4, 8: 1e-6}
_TOTAL_TOLERANCE = {4: 1e-5, 8: 1e-7}
# Factor by which the training part alone must be farther off.
_MIN_RATIO = 20
_MIN_SAMPLES = 10


class Moments(NamedTuple):
    """Means and standard deviations of features that vary, and the number of samples behind them."""

    means: np.ndarray
    stds: np.ndarray
    samples: int

    def distance_from_standard(self) -> float:
        """Return the root mean square distance from mean 0 and standard deviation 1 over features.

        Deviations may have been computed with n or with n - 1.
        """
        biased = np.sqrt(1 - 1 / self.samples)
        std = min(_rms(self.stds - 1), _rms(self.stds - biased))
        return max(_rms(self.means), std)


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def find_scaling_leaks(parts: Mapping[str, Mapping[str, np.ndarray]]) -> Iterator[tuple[int, str]]:
    """Yield the number of held-out samples and a sentence for each array whose scale depends on them."""
    held_out = [name for name in parts if name != "train"]
    for key, array in parts["train"].items():
        if array.dtype.kind != "f" or array.dtype.itemsize not in _FEATURE_TOLERANCE or not held_out:
            continue
        arrays = {name: part[key] for name, part in parts.items()}
        if any(
            a.dtype != array.dtype or a.shape[1:] != array.shape[1:] or len(a) < _MIN_SAMPLES
            for a in arrays.values()
        ):
            continue
        summaries = {name: summarize(a, key) for name, a in arrays.items()}
        if any(s.missing or s.infinite for s in summaries.values()):
            continue
        text = _check_standardized(key, summaries, _is_scaled_by_sample(array))
        text = text or _check_range(key, arrays, summaries)
        if text:
            yield sum(len(arrays[name]) for name in held_out), text


def _is_scaled_by_sample(array: np.ndarray) -> bool:
    """Return True if every sample has mean 0, as images may be scaled: no other sample is involved."""
    samples = array[evenly_spaced(len(array), 500)].reshape(-1, array[0].size)
    return _rms(samples.mean(axis=1, dtype=np.float64)) < 0.01


def _check_standardized(key: str, summaries: Mapping[str, Summary], scaled_by_sample: bool) -> str:
    size = np.dtype(summaries["train"].dtype).itemsize
    for moments_of, tolerance in (
        (_feature_moments, _FEATURE_TOLERANCE[size]),
        (_total_moments, _TOTAL_TOLERANCE[size]),
    )[: 1 if scaled_by_sample else 2]:
        moments = {name: moments_of([summary]) for name, summary in summaries.items()}
        unions = {
            tuple(names): moments_of([summaries[name] for name in names])
            for names in (list(summaries), ["train", "test"], ["train", "validation"])
            if len(names) > 1 and set(names) <= set(summaries)
        }
        if any(m is None for m in (*moments.values(), *unions.values())):
            continue
        train = moments["train"]
        assert train is not None
        distance = train.distance_from_standard()
        for names, union in unions.items():
            assert union is not None
            union_distance = union.distance_from_standard()
            threshold = _MIN_RATIO * max(union_distance, tolerance / _MIN_RATIO)
            if union_distance <= tolerance and distance >= threshold:
                return (
                    f"{key} has mean 0 and standard deviation 1 over {' and '.join(names)} together, but not "
                    f"over train (off by {distance:.2g}): the scale depends on the held-out samples. Split "
                    "first, then scale by statistics of the training part: layers.Normalization with "
                    "adapt(x_train)"
                )
        for name, part in moments.items():
            assert part is not None
            if name != "train" and part.distance_from_standard() <= tolerance:
                return (
                    f"{key} of {name} has mean 0 and standard deviation 1 by itself: it was scaled by its "
                    "own statistics, which a single new sample does not have. Scale all parts by statistics "
                    "of the training part"
                )
    return ""


def _feature_moments(summaries: list[Summary]) -> Moments | None:
    """Return the moments of each feature, without constant features and those of only -1 and 1."""
    means, stds, total = _pool(
        [s.means for s in summaries], [s.stds for s in summaries], [s.shape[0] for s in summaries]
    )
    low = np.min([s.lows for s in summaries], axis=0)
    high = np.max([s.highs for s in summaries], axis=0)
    signs = (low >= -1) & (high <= 1) & (stds > 0.999)
    informative = (high > low) & ~signs
    return Moments(means[informative], stds[informative], total) if informative.any() else None


def _total_moments(summaries: list[Summary]) -> Moments | None:
    """Return the moments of all values, as images are scaled; None if every feature is scaled by itself."""
    by_feature = _feature_moments(summaries)
    if summaries[0].features < 2 or by_feature is None or _rms(by_feature.means) < 0.01:
        return None
    return Moments(
        *_pool(
            [np.array([s.mean], float) for s in summaries],
            [np.array([s.std], float) for s in summaries],
            [s.shape[0] * s.features for s in summaries],
        )
    )


def _pool(
    means: list[np.ndarray], stds: list[np.ndarray], counts: list[int]
) -> tuple[np.ndarray, np.ndarray, int]:
    """Return mean, standard deviation and count of the union of several sets."""
    weight = np.array(counts)[:, None] / sum(counts)
    mean = (weight * means).sum(axis=0)
    square = (weight * (np.square(stds) + np.square(means - mean))).sum(axis=0)
    return mean, np.sqrt(square), sum(counts)


def _check_range(key: str, arrays: Mapping[str, np.ndarray], summaries: Mapping[str, Summary]) -> str:
    """Detect ranges of 0 to 1 (or -1 to 1) over all parts.

    Each end of each feature is then reached once, for some features by a sample outside of the training part.
    It needs at least three features, all of them quantities: a single feature that naturally ranges from 0
    to 1 is nothing unusual.
    """
    low = np.min([s.lows for s in summaries.values()], axis=0)
    high = np.max([s.highs for s in summaries.values()], axis=0)
    varies = high > low
    if varies.sum() < 3 or varies.sum() > 4096:
        return ""
    tolerance = 1e-6
    rounded_low = np.round(low[varies], 6)
    if not ((np.abs(high[varies] - 1) < tolerance).all() and np.isin(rounded_low, (0.0, -1.0)).all()):
        return ""
    if len(np.unique(rounded_low)) > 1:
        return ""
    train = summaries["train"]
    narrower = varies & ((train.lows > low + tolerance) | (train.highs < high - tolerance))
    if not narrower.any():
        return ""
    flat = np.concatenate([a.reshape(len(a), -1)[:, varies] for a in arrays.values()])
    ends_once = ((flat <= low[varies] + tolerance).sum(axis=0) == 1) & (
        (flat >= high[varies] - tolerance).sum(axis=0) == 1
    )
    if not ends_once.all() or any(2 * len(np.unique(column)) < len(column) for column in flat.T):
        return ""
    return (
        f"{key} ranges from {low[varies][0]:g} to 1 in every feature over all parts together, but in "
        f"{int(narrower.sum()):,} of {int(varies.sum()):,} not over train: the ranges depend on the held-out "
        "samples. Split first, then scale by the ranges of the training part"
    )
