"""Adaptive conformal inference: intervals for a series, whose distribution may change."""

from __future__ import annotations

from collections import deque

import numpy as np

from hornbeam._internal.typing import ArrayLike
from hornbeam._internal.validation import check_int, check_positive
from hornbeam.errors import CalibrationError
from hornbeam.evaluation.conformal.quantiles import check_coverage, finite_array, rank_of, required_samples


class AdaptiveIntervals:
    """Prediction intervals for a series that widen after misses and narrow after hits (ACI).

    With alpha = 1 - coverage, err = 1 if the last y was outside of its interval, else 0:

        f - q to f + q,  q = conformal quantile of past |y - f| at 1 - alpha_t
        alpha_(t+1) = alpha_t + step (alpha - err)

    Guarantee, for any series, without an assumption: over T steps the fraction of misses differs from alpha
    by at most (max(alpha, 1 - alpha) + step) / (step T). It is one over time, not for each step. Source:
    Gibbs and Candès, "Adaptive Conformal Inference Under Distribution Shift" (2021).

    Args:
        scores: Absolute errors |y - f| of past predictions, (n,), in order of time.
        coverage: Number in (0, 1).
        step: Positive number, by how much alpha_t changes: larger ones follow changes faster, and vary more.
        window: Number of past scores that count, None for all.

    Raises:
        CalibrationError: For fewer scores, or a smaller window, than `required_samples(coverage)`.
        ValueError: For other shapes, NaN, or a coverage outside of (0, 1).

    Example:
        >>> intervals = AdaptiveIntervals(scores=np.arange(19.0), coverage=0.9)
        >>> intervals.predict(100.0)
        (83.0, 117.0)
    """

    def __init__(
        self, scores: ArrayLike, coverage: float = 0.9, step: float = 0.01, window: int | None = None
    ) -> None:
        self.coverage = check_coverage(coverage)
        self.step = float(check_positive("step", step))
        past = np.abs(finite_array("scores", scores, None))
        needed = required_samples(coverage)
        size = None if window is None else check_int("window", window, 1)
        if min(len(past), len(past) if size is None else size) < needed:
            received = f"{len(past):,} scores" + (f" and a window of {size:,}" if size is not None else "")
            raise CalibrationError(
                f"coverage {coverage:g} needs at least {needed:,} past scores, got {received}"
            )
        self.alpha = 1 - self.coverage
        self._scores: deque[float] = deque(past.tolist(), size)
        self._last: tuple[float, float] | None = None

    def predict(self, y_pred: float) -> tuple[float, float]:
        """Return the interval of the next value.

        Args:
            y_pred: Prediction of the next value.

        Returns:
            Lower and upper bound: infinite while alpha_t is too small for the number of scores, and the
            prediction itself, twice, while it is 1 or more.

        Raises:
            ValueError: If the prediction is not finite.

        Example:
            >>> AdaptiveIntervals(np.arange(19.0), 0.9).predict(0.0)
            (-17.0, 17.0)
        """
        (center,) = finite_array("y_pred", [y_pred], 1)
        margin = self._margin()
        self._last = float(center - margin), float(center + margin)
        self._center = float(center)
        return self._last

    def _margin(self) -> float:
        rank = rank_of(len(self._scores), 1 - self.alpha)
        if rank > len(self._scores):
            return np.inf
        return float(np.partition(self._scores, rank - 1)[rank - 1]) if rank > 0 else 0.0

    def update(self, y: float) -> None:
        """Learn the value that `predict` was for.

        Args:
            y: The true value.

        Raises:
            ValueError: Without a call of `predict` before, or if y is not finite.

        Example:
            >>> intervals = AdaptiveIntervals(np.arange(19.0), 0.9)
            >>> intervals.predict(0.0), intervals.update(50.0), intervals.predict(0.0)
            ((-17.0, 17.0), None, (-50.0, 50.0))
        """
        if self._last is None:
            raise ValueError("update(y) is for the value that was predicted: call predict() first")
        (value,) = finite_array("y", [y], 1)
        low, high = self._last
        self.alpha += self.step * (1 - self.coverage - float(not low <= value <= high))
        self._scores.append(abs(float(value) - self._center))
        self._last = None

    def run(self, y_pred: ArrayLike, y: ArrayLike) -> np.ndarray:
        """Return the intervals of a whole series, each before its value is known.

        Args:
            y_pred: Predictions (n,), in order of time.
            y: True values (n,).

        Returns:
            Array (n, 2) of lower and upper bounds.

        Raises:
            ValueError: For other shapes, or values that are not finite.

        Example:
            >>> intervals = AdaptiveIntervals(np.arange(19.0), 0.9)
            >>> intervals.run(np.zeros(5), np.ones(5)).shape
            (5, 2)
        """
        predictions = finite_array("y_pred", y_pred, None)
        bounds = np.empty((len(predictions), 2))
        for row, value in enumerate(finite_array("y", y, len(predictions))):
            bounds[row] = self.predict(predictions[row])
            self.update(value)
        return bounds
