"""Quantiles of scores of finite samples, for all samples, by group, or by weight."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hornbeam._internal.intervals import Interval, check_level
from hornbeam._internal.typing import ArrayLike
from hornbeam._internal.validation import check_int
from hornbeam.errors import CalibrationError
from hornbeam.evaluation.display import Table

# Most groups that an error lists.
_SHOWN = 5


def check_coverage(coverage: float) -> float:
    """Return a number in (0, 1). Raises ValueError for any other value."""
    if isinstance(coverage, bool) or not isinstance(coverage, (int, float)) or not 0 < coverage < 1:
        hint = f": for {coverage:g} percent write {coverage / 100:g}" if _is_percent(coverage) else ""
        raise ValueError(f"coverage must lie between 0 and 1, such as 0.9, got {coverage!r}{hint}")
    return float(coverage)


def _is_percent(coverage: Any) -> bool:
    return isinstance(coverage, (int, float)) and 1 < coverage < 100


def finite_array(name: str, value: ArrayLike, *shape: int | None) -> np.ndarray:
    """Return finite numbers of a shape as float64, where None is any size; a column (n, 1) may be a vector.

    Raises ValueError for another shape, for NaN and for infinite values.
    """
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{name} must hold numbers, got an array of {array.dtype}")
    array = array.astype(np.float64)
    if len(shape) == 1 and array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    fits = array.ndim == len(shape) and all(
        size is None or size == n for size, n in zip(shape, array.shape, strict=True)
    )
    if not fits:
        names = ("n", "classes")
        expected = ", ".join(names[i] if size is None else str(size) for i, size in enumerate(shape))
        expected += "," if len(shape) == 1 else ""
        raise ValueError(f"{name} must have the shape ({expected}), got {array.shape}")
    if not np.isfinite(array).all():
        bad = int(np.argmax(~np.isfinite(array).reshape(len(array), -1).all(1)))
        raise ValueError(f"{name} must be finite, but row {bad} is {array[bad]!r}: drop such samples first")
    return array


def rank_of(samples: int, coverage: float) -> int:
    """Return ceil((n + 1) coverage): the rank of the score that bounds new ones."""
    return math.ceil(round((samples + 1) * coverage, 9))


def required_samples(coverage: float) -> int:
    """Return the fewest calibration samples for a coverage: n = ceil(1 / alpha) - 1, alpha = 1 - coverage.

    With fewer, even the largest score bounds a new one less often than promised, and the quantile is
    infinite.

    Args:
        coverage: Number in (0, 1).

    Returns:
        Number of samples, of each group or class if each gets a threshold.

    Raises:
        ValueError: For a coverage outside of (0, 1).

    Example:
        >>> [required_samples(coverage) for coverage in (0.8, 0.9, 0.99)]
        [4, 9, 99]
    """
    return math.ceil(round(1 / (1 - check_coverage(coverage)), 9)) - 1


def conformal_quantile(scores: ArrayLike, coverage: float) -> float:
    """Return the ceil((n + 1) coverage)-th smallest score.

    A new score that is exchangeable with the n others is at most that with a probability of at least
    `coverage`, and of at most `coverage` + 1 / (n + 1) if no two are equal (Vovk et al. 2005).

    Args:
        scores: Array (n,).
        coverage: Number in (0, 1).

    Returns:
        The quantile.

    Raises:
        CalibrationError: For fewer scores than `required_samples(coverage)`.
        ValueError: For another shape, values that are not finite, or a coverage outside of (0, 1).

    Example:
        >>> conformal_quantile(range(1, 20), 0.9)
        18.0
    """
    return _quantile(finite_array("scores", scores, None), check_coverage(coverage), "")


def _quantile(scores: np.ndarray, coverage: float, where: str) -> float:
    require_samples({where: len(scores)}, coverage)
    rank = rank_of(len(scores), coverage)
    return float(np.partition(scores, rank - 1)[rank - 1])


def require_samples(counts: Mapping[str, int], coverage: float) -> None:
    """Raise CalibrationError if a count, of a class or group, is below the fewest for a coverage."""
    needed = required_samples(coverage)
    few = [(name, count) for name, count in counts.items() if count < needed]
    if not few:
        return
    shown = ", ".join(f"{name} has {count:,}" if name else f"got {count:,}" for name, count in few[:_SHOWN])
    more = f" and {len(few) - _SHOWN} others" if len(few) > _SHOWN else ""
    each = " of each" if few[0][0] else ""
    advice = "merge the small ones, " if each else ""
    raise CalibrationError(
        f"coverage {coverage:g} needs at least {needed:,} calibration samples{each}, {shown}{more}: "
        f"{advice}give more, or ask for a lower coverage"
    )


def coverage_range(samples: int, coverage: float, level: float = 0.95) -> Interval:
    """Return the range in which the coverage of one calibration lies: quantiles of Beta(k, n + 1 - k).

    k = ceil((n + 1) coverage). Over calibrations with n continuous, exchangeable scores the coverage has this
    distribution (Vovk, "Conditional validity of inductive conformal predictors", 2012).

    Args:
        samples: Number n of calibration samples.
        coverage: Number in (0, 1).
        level: Proportion of the calibrations inside of the range.

    Returns:
        The range.

    Raises:
        CalibrationError: For fewer samples than `required_samples(coverage)`.
        ValueError: For a coverage or level outside of (0, 1).

    Example:
        >>> print(coverage_range(1000, 0.9))
        0.8808 to 0.9179
    """
    samples = check_int("samples", samples, 1)
    require_samples({"": samples}, check_coverage(coverage))
    rank, tail = rank_of(samples, coverage), (1 - check_level(level)) / 2
    low, high = (_beta_quantile(probability, rank, samples) for probability in (tail, 1 - tail))
    return Interval(low, high, level, "Beta")


def _beta_quantile(probability: float, rank: int, samples: int) -> float:
    """Return the quantile of Beta(k, n + 1 - k), by bisection of P(Beta <= c) = P(Binomial(n, c) >= k)."""
    logs = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, samples + 1)))])
    at_least = np.arange(rank, samples + 1)
    choose = logs[samples] - logs[at_least] - logs[samples - at_least]
    low, high = 0.0, 1.0
    for _ in range(40):
        c = (low + high) / 2
        tail = np.exp(choose + at_least * math.log(c) + (samples - at_least) * math.log1p(-c)).sum()
        low, high = (c, high) if tail < probability else (low, c)
    return (low + high) / 2


# -- thresholds --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Thresholds:
    """Largest accepted scores: one for all samples, one a class or group, or one by a sample's weight.

    Args:
        counts: Number of calibration samples, by name of the group; "" for all samples.
        values: Threshold of each, if none has weights.
        scores: Calibration scores in ascending order, if they have weights.
        weights: Their weights.
    """

    counts: Mapping[str, int]
    values: Mapping[str, float]
    scores: np.ndarray | None = None
    weights: np.ndarray | None = None

    @classmethod
    def of(
        cls,
        scores: np.ndarray,
        coverage: float,
        groups: np.ndarray | None = None,
        weights: np.ndarray | None = None,
        expected: tuple[str, ...] = (),
        kind: str = "group",
    ) -> Thresholds:
        """Compute those of scores (n,), groups (n,) of texts, and weights (n,).

        expected: groups that must have one, even without a sample. kind: name of a group in errors.
        """
        if weights is not None:
            order = np.argsort(scores, kind="stable")
            require_samples({"": len(scores)}, coverage)
            return cls({"": len(scores)}, {}, scores[order], weights[order])
        names = [""] if groups is None else sorted({*expected, *groups.tolist()})
        members = {name: scores if groups is None else scores[groups == name] for name in names}
        counts = {name: len(part) for name, part in members.items()}
        require_samples({f"{kind} {name}" if name else "": n for name, n in counts.items()}, coverage)
        return cls(counts, {name: _quantile(part, coverage, name) for name, part in members.items()})

    def at(self, count: int, coverage: float, groups: Any, weights: Any) -> np.ndarray:
        """Return the thresholds of `count` new samples with these groups or weights."""
        if self.scores is not None:
            return self._weighted(count, coverage, weights)
        if weights is not None:
            raise ValueError("weights were given, but the calibration had none: give them to both")
        if "" in self.values:
            if groups is not None:
                raise ValueError("groups were given, but the calibration had none: give them to both")
            return np.full(count, self.values[""])
        if groups is None:
            raise ValueError("the calibration was by group: give groups, one for each new sample")
        names = group_names(groups, count)
        unknown = sorted({*names.tolist()} - {*self.values})
        if unknown:
            known = ", ".join([*self.values][:_SHOWN])
            raise CalibrationError(
                f"group {unknown[0]!r} was not among the calibration data, which promise nothing for it; "
                f"known groups: {known}"
            )
        return np.array([self.values[name] for name in names.tolist()])

    def _weighted(self, count: int, coverage: float, weights: Any) -> np.ndarray:
        """Return the smallest score q with sum of w_i over s_i <= q at least coverage (sum of w_i + w)."""
        if weights is None:
            raise ValueError("the calibration had weights: give weights, one for each new sample")
        assert self.scores is not None
        assert self.weights is not None
        sums = np.cumsum(self.weights)
        wanted = coverage * (sums[-1] + sample_weights(weights, count))
        # Equal up to rounding, as where all weights are one.
        index = np.searchsorted(sums, wanted * (1 - 1e-12))
        return np.concatenate([self.scores, [np.inf]])[index]

    def to_config(self) -> dict[str, Any]:
        """Return plain values that JSON keeps to the bit."""
        weighted = {} if self.scores is None else {"scores": self.scores, "weights": self.weights}
        arrays = {name: array.tolist() for name, array in weighted.items() if array is not None}
        return {"counts": dict(self.counts), "values": dict(self.values), **arrays}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Thresholds:
        """Return the thresholds of `to_config`."""
        arrays = {name: np.asarray(config[name]) for name in ("scores", "weights") if name in config}
        return cls(dict(config["counts"]), dict(config["values"]), **arrays)


def group_names(groups: ArrayLike, count: int) -> np.ndarray:
    """Return the names of groups as texts (n,). Raises ValueError for another shape."""
    names = np.asarray(groups)
    if names.shape != (count,):
        raise ValueError(f"groups must have one value for each of the {count:,} samples, got {names.shape}")
    return names.astype(str)


def sample_weights(weights: ArrayLike, count: int) -> np.ndarray:
    """Return positive weights (n,). Raises ValueError for others."""
    array = finite_array("weights", weights, count)
    if (array <= 0).any():
        raise ValueError(
            f"weights must be above 0, got {array.min():g}: they are ratios of densities, new / calibration"
        )
    return array


def check_one_partition(**arguments: Any) -> None:
    """Raise ValueError if more than one of by_class, groups and weights is given."""
    if sum(value is not None for value in arguments.values()) > 1:
        *first, last = arguments
        raise ValueError(f"{', '.join(first)} and {last} exclude each other: give one of them")


def threshold_tables(thresholds: Thresholds, coverage: float, name: str) -> list[Table]:
    """Return a table of the thresholds, with the coverage that a calibration of this size has."""
    rows = [
        (
            key or "all",
            f"{count:,}",
            f"{thresholds.values[key]:.4g}" if thresholds.values else "by weight",
            "{:.3f} to {:.3f}".format(*coverage_range(count, coverage)),
        )
        for key, count in thresholds.counts.items()
    ]
    columns = (
        name if "" not in thresholds.counts else "",
        "n",
        "threshold",
        "coverage of 95% of calibrations",
    )
    return [Table("", columns, rows)]
