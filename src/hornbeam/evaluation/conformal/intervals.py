"""Prediction intervals: the range in which a number is expected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from hornbeam._internal.typing import ArrayLike
from hornbeam._internal.validation import check_choice
from hornbeam.evaluation.conformal.coverage import Coverage, evaluate_coverage
from hornbeam.evaluation.conformal.quantiles import (
    Thresholds,
    check_coverage,
    check_one_partition,
    finite_array,
    group_names,
    sample_weights,
    threshold_tables,
)
from hornbeam.evaluation.display import EvaluationReport, Table

IntervalMethod = Literal["absolute", "normalized", "cqr"]
METHODS = ("absolute", "normalized", "cqr")


@dataclass(frozen=True, repr=False)
class ConformalIntervals(EvaluationReport):
    """Calibrated prediction intervals {y : s(x, y) <= q}; `calibrate_intervals` computes them.

    Args:
        coverage: Promised coverage.
        method: "absolute", "normalized" or "cqr".
        thresholds: Thresholds q.
    """

    coverage: float
    method: IntervalMethod
    thresholds: Thresholds

    def predict(
        self, y_pred: ArrayLike, *, groups: ArrayLike | None = None, weights: ArrayLike | None = None
    ) -> np.ndarray:
        """Return the prediction intervals.

        Args:
            y_pred: Predictions of new samples, (n,) or (n, 2) as for `calibrate_intervals`.
            groups: Group of each sample (n,), after a calibration by group.
            weights: Weight of each sample (n,), after a calibration with weights.

        Returns:
            Array (n, 2) of lower and upper bounds. They are infinite for a sample whose weight is more than
            the calibration data account for.

        Raises:
            ValueError: For shapes, groups or weights that do not fit the calibration.
            CalibrationError: For a group without calibration data.

        Example:
            >>> intervals = calibrate_intervals(np.zeros(19), np.arange(-9, 10), 0.9)
            >>> intervals.predict([20.0]).tolist()
            [[11.0, 29.0]]
        """
        low, high, scale = _parts(y_pred, self.method)
        margin = self.thresholds.at(len(low), self.coverage, groups, weights) * scale
        low, high = low - margin, high + margin
        # Quantiles that are moved inwards meet in one point at most.
        crossed = low > high
        low[crossed] = high[crossed] = (low[crossed] + high[crossed]) / 2
        return np.stack([low, high], 1)

    def evaluate(
        self,
        y_pred: ArrayLike,
        y: ArrayLike,
        *,
        groups: ArrayLike | None = None,
        weights: ArrayLike | None = None,
        level: float = 0.95,
    ) -> Coverage:
        """Measure the coverage of the intervals on samples that were not calibrated on.

        Args:
            y_pred: Predictions as for `predict`.
            y: Targets (n,).
            groups: Group of each sample, (n,), for coverage by group.
            weights: Weight of each sample (n,), after a calibration with weights.
            level: Confidence level of the intervals of the coverage.

        Returns:
            Coverage of all samples and by group.

        Raises:
            ValueError: For shapes that do not fit.

        Example:
            >>> intervals = calibrate_intervals(np.zeros(19), np.arange(-9, 10), 0.9)
            >>> intervals.evaluate(np.zeros(10), np.arange(10)).value
            1.0
        """
        by_group = "" not in self.thresholds.counts
        bounds = self.predict(y_pred, groups=groups if by_group else None, weights=weights)
        return evaluate_coverage(bounds, y, groups=groups, coverage=self.coverage, level=level)

    def headline(self) -> str:
        """Return the method and the promise."""
        return f"prediction intervals ({self.method}), which contain y with probability {self.coverage:g}"

    def tables(self) -> list[Table]:
        """Return the thresholds."""
        return threshold_tables(self.thresholds, self.coverage, "group")

    def to_config(self) -> dict[str, Any]:
        """Return plain values that JSON keeps to the bit; `from_config` reads them."""
        fields = {"coverage": self.coverage, "method": self.method}
        return {"kind": "intervals", **fields, **self.thresholds.to_config()}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> ConformalIntervals:
        """Return the intervals of a config.

        Args:
            config: Result of `to_config`.
        """
        return cls(config["coverage"], config["method"], Thresholds.from_config(config))


def calibrate_intervals(
    y_pred: ArrayLike,
    y: ArrayLike,
    coverage: float = 0.9,
    *,
    method: IntervalMethod = "absolute",
    groups: ArrayLike | None = None,
    weights: ArrayLike | None = None,
) -> ConformalIntervals:
    """Calibrate prediction intervals by split conformal prediction, with the quantile q of scores s.

    - "absolute", of predictions f: s = |y - f|, and f - q to f + q, equally wide for all samples (Lei et al.
      2018).
    - "normalized", of f and a scale d > 0 of its error: s = |y - f| / d, and f - q d to f + q d
      (Papadopoulos, Gammerman and Vovk 2008).
    - "cqr", of two quantiles l and u: s = max(l - y, y - u), and l - q to u + q (Romano, Patterson and Candès
      2019).

    Guarantee: P(low <= y <= high) >= coverage, if calibration and new samples are exchangeable. `groups`
    gives it to each group (Mondrian: Vovk 2012), if they are exchangeable within it. `weights` w(x) =
    p_new(x) / p_calibration(x) keep it under a covariate shift, if y given x is as before and the ratio is
    right (Tibshirani et al. 2019).

    Args:
        y_pred: Predictions of samples that were not trained on: (n,) for "absolute", (n, 2) with f and d for
            "normalized", l and u for "cqr".
        y: Targets (n,) or (n, 1).
        coverage: Number in (0, 1).
        method: Score of the numbers.
        groups: Group of each sample (n,): a threshold for each group.
        weights: Positive weight of each sample (n,).

    Returns:
        The calibrated intervals.

    Raises:
        CalibrationError: If there are fewer samples, of all or a group, than `required_samples`.
        ValueError: For other shapes, NaN, a scale that is not positive, or both groups and weights.

    Example:
        >>> intervals = calibrate_intervals(np.zeros(19), np.arange(-9, 10), 0.9)
        >>> intervals.thresholds.values[""]
        9.0
    """
    coverage = check_coverage(coverage)
    check_choice("method", method, METHODS)
    check_one_partition(groups=groups, weights=weights)
    low, high, scale = _parts(y_pred, method)
    true = finite_array("y", y, len(low))
    scores = np.maximum(low - true, true - high) / scale
    thresholds = Thresholds.of(
        scores,
        coverage,
        None if groups is None else group_names(groups, len(scores)),
        None if weights is None else sample_weights(weights, len(scores)),
    )
    return ConformalIntervals(coverage, method, thresholds)


def _parts(y_pred: ArrayLike, method: IntervalMethod) -> tuple[np.ndarray, np.ndarray, np.ndarray | float]:
    """Return lower and upper predictions (n,), and the scale of their error."""
    if method == "absolute":
        center = finite_array("y_pred", y_pred, None)
        return center, center, 1.0
    first, second = finite_array("y_pred", y_pred, None, 2).T
    if method == "cqr":
        return first, second, 1.0
    if (second <= 0).any():
        raise ValueError(
            f'y_pred[:, 1], the scale of the error, must be above 0 for "normalized", got {second.min():g}: '
            "end the model in a softplus for it"
        )
    return first, first, second
