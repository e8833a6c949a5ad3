"""Prediction sets: the classes that a sample may have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from hornbeam._internal.typing import ArrayLike
from hornbeam._internal.validation import check_choice, check_int, check_number
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
from hornbeam.evaluation.labels import class_indices

SetMethod = Literal["lac", "aps", "raps"]
METHODS = ("lac", "aps", "raps")


@dataclass(frozen=True)
class SetScore:
    """Score s(x, k) of each class: how badly class k fits the probabilities p of a sample.

    Args:
        method: "lac", "aps" or "raps".
        penalty: Lambda of "raps".
        free_ranks: Number of most probable classes without a penalty.
        seed: Seed of the numbers that "aps" and "raps" are randomized by, None for neither.
    """

    method: SetMethod = "lac"
    penalty: float = 0.01
    free_ranks: int = 5
    seed: int | None = None

    def __call__(self, probabilities: np.ndarray, draw: int = 0) -> np.ndarray:
        """Return the scores (n, classes). draw: 0 for calibration data, 1 for new samples."""
        if self.method == "lac":
            return 1 - probabilities
        order = np.argsort(-probabilities, axis=1, kind="stable")
        ordered = np.take_along_axis(probabilities, order, 1)
        scores = np.cumsum(ordered, 1)
        if self.seed is None:
            scores -= ordered
        else:
            scores -= np.random.default_rng((self.seed, draw)).random((len(scores), 1)) * ordered
        if self.method == "raps":
            scores += self.penalty * np.maximum(np.arange(1, scores.shape[1] + 1) - self.free_ranks, 0)
        by_class = np.empty_like(scores)
        np.put_along_axis(by_class, order, scores, 1)
        return by_class


@dataclass(frozen=True, repr=False)
class ConformalSets(EvaluationReport):
    """Calibrated prediction sets {k : s(x, k) <= q}; `calibrate_sets` computes them.

    Args:
        coverage: Promised coverage.
        classes: Number of classes.
        score: Score of the classes.
        thresholds: Thresholds q.
        by_class: True if each class has a threshold.
        nonempty: True if the most probable class is always in the set.
    """

    coverage: float
    classes: int
    score: SetScore
    thresholds: Thresholds
    by_class: bool = False
    nonempty: bool = True

    def predict(
        self, probabilities: ArrayLike, *, groups: ArrayLike | None = None, weights: ArrayLike | None = None
    ) -> np.ndarray:
        """Return the prediction sets.

        Args:
            probabilities: Probabilities (n, classes) of new samples.
            groups: Group of each sample (n,), after a calibration by group.
            weights: Weight of each sample (n,), after a calibration with weights.

        Returns:
            Booleans (n, classes): True for the classes in the set.

        Raises:
            ValueError: For shapes, groups or weights that do not fit the calibration.
            CalibrationError: For a group without calibration data.

        Example:
            >>> sets = calibrate_sets([[0.7, 0.3]] * 19, [0] * 15 + [1] * 4, 0.75)
            >>> sets.predict([[0.8, 0.2], [0.6, 0.4]]).tolist()
            [[True, False], [True, False]]
        """
        array = check_probabilities(probabilities, self.classes)
        if self.by_class:
            limits = np.array([self.thresholds.values[str(k)] for k in range(self.classes)])[None]
        else:
            limits = self.thresholds.at(len(array), self.coverage, groups, weights)[:, None]
        sets = self.score(array, 1) <= limits
        if self.nonempty:
            sets[np.arange(len(array)), array.argmax(1)] = True
        return sets

    def evaluate(
        self,
        probabilities: ArrayLike,
        y: ArrayLike,
        *,
        groups: ArrayLike | None = None,
        weights: ArrayLike | None = None,
        level: float = 0.95,
    ) -> Coverage:
        """Measure the coverage of the sets on samples that were not calibrated on.

        Args:
            probabilities: Probabilities (n, classes).
            y: Class indices (n,) or one-hot rows.
            groups: Group of each sample, (n,), for coverage by group.
            weights: Weight of each sample (n,), after a calibration with weights.
            level: Confidence level of the intervals.

        Returns:
            Coverage of all samples, by class and by group.

        Raises:
            ValueError: For shapes that do not fit.

        Example:
            >>> sets = calibrate_sets([[0.7, 0.3]] * 19, [0] * 15 + [1] * 4, 0.75)
            >>> sets.evaluate([[0.8, 0.2]] * 50, [0] * 40 + [1] * 10).value
            0.8
        """
        by_group = "" not in self.thresholds.counts and not self.by_class
        sets = self.predict(probabilities, groups=groups if by_group else None, weights=weights)
        return evaluate_coverage(sets, y, groups=groups, coverage=self.coverage, level=level)

    def headline(self) -> str:
        """Return the method and the promise."""
        promise = f"which contain the class with probability {self.coverage:g}"
        return f"prediction sets ({self.score.method}), {promise}"

    def tables(self) -> list[Table]:
        """Return the thresholds."""
        return threshold_tables(self.thresholds, self.coverage, "class" if self.by_class else "group")

    def to_config(self) -> dict[str, Any]:
        """Return plain values that JSON keeps to the bit; `from_config` reads them."""
        score = {name: value for name, value in vars(self.score).items()}
        fields = {"coverage": self.coverage, "classes": self.classes, "by_class": self.by_class}
        return {"kind": "sets", **fields, "nonempty": self.nonempty, **score, **self.thresholds.to_config()}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> ConformalSets:
        """Return the sets of a config.

        Args:
            config: Result of `to_config`.
        """
        score = SetScore(*(config[name] for name in ("method", "penalty", "free_ranks", "seed")))
        return cls(
            config["coverage"], config["classes"], score, Thresholds.from_config(config),
            config["by_class"], config["nonempty"],
        )  # fmt: skip


def calibrate_sets(
    probabilities: ArrayLike,
    y: ArrayLike,
    coverage: float = 0.9,
    *,
    method: SetMethod = "lac",
    by_class: bool = False,
    groups: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    penalty: float = 0.01,
    free_ranks: int = 5,
    seed: int | None = None,
    nonempty: bool = True,
) -> ConformalSets:
    """Calibrate prediction sets of a classifier by split conformal prediction.

    A class k is in the set if its score is at most the quantile of the scores of the true classes. With the
    classes in the order of their probabilities p, and r(k) the rank of class k:

    - "lac": s = 1 - p_k. The smallest sets on average (Sadinle, Lei and Wasserman 2019).
    - "aps": s = sum of p over ranks below r(k), of the classes that are more probable. Sets that are larger
      for harder samples (Romano, Sesia and Candès 2020).
    - "raps": s = that + penalty max(r(k) - free_ranks, 0). As "aps", without long tails (Angelopoulos et al.
      2021).

    Guarantee: P(y in C(x)) >= coverage, if calibration and new samples are exchangeable. `by_class` gives it
    to each true class, `groups` to each group (Mondrian: Vovk 2012), if they are exchangeable within it.
    `weights` w(x) = p_new(x) / p_calibration(x) keep it under a covariate shift, if y given x is as before
    and the ratio is right (Tibshirani et al. 2019).

    Args:
        probabilities: Probabilities (n, classes) of samples that were not trained on; rows of sum 1.
        y: Class indices (n,) or one-hot rows (n, classes).
        coverage: Number in (0, 1).
        method: Score of the classes.
        by_class: True for a threshold for each class.
        groups: Group of each sample (n,): a threshold for each group.
        weights: Positive weight of each sample (n,).
        penalty: Number of at least 0 that "raps" adds for each rank.
        free_ranks: Number of ranks without a penalty.
        seed: Seed by which "aps" and "raps" add (1 - u) p_k, u uniform in [0, 1), as published: sets that
            differ by chance. None for sets without randomness, which have the guarantee too.
        nonempty: True to always include the most probable class: an empty set would be right never.

    Returns:
        The calibrated sets.

    Raises:
        CalibrationError: If there are fewer samples, of all, a class or a group, than `required_samples`.
        ValueError: For other shapes, NaN, or more than one of by_class, groups and weights.

    Example:
        >>> sets = calibrate_sets([[0.7, 0.3]] * 19, [0] * 15 + [1] * 4, 0.75)
        >>> sets.thresholds.values[""].__round__(3)
        0.3
    """
    coverage = check_coverage(coverage)
    array = check_probabilities(probabilities)
    check_choice("method", method, METHODS)
    check_one_partition(by_class=by_class or None, groups=groups, weights=weights)
    true = true_classes(y, *array.shape)
    score = SetScore(
        method,
        check_number("penalty", penalty, 0),
        check_int("free_ranks", free_ranks, 0),
        None if seed is None else check_int("seed", seed, 0),
    )
    scores = score(array)[np.arange(len(array)), true]
    names = true.astype(str) if by_class else None if groups is None else group_names(groups, len(array))
    expected = tuple(map(str, range(array.shape[1]))) if by_class else ()
    thresholds = Thresholds.of(
        scores,
        coverage,
        names,
        None if weights is None else sample_weights(weights, len(array)),
        expected,
        "class" if by_class else "group",
    )
    return ConformalSets(coverage, array.shape[1], score, thresholds, by_class, bool(nonempty))


def check_probabilities(probabilities: ArrayLike, classes: int | None = None) -> np.ndarray:
    """Return probabilities (n, classes) in float64. Raises ValueError for other arrays."""
    array = finite_array("probabilities", probabilities, None, classes)
    if array.shape[1] < 2:
        raise ValueError(f"probabilities must have two classes or more: (n, classes), got {array.shape}")
    sums = array.sum(1)
    if (array < 0).any() or (np.abs(sums - 1) > 1e-3).any():
        raise ValueError(
            "probabilities must have rows from 0 to 1 that sum to 1, got sums from "
            f"{sums.min(initial=1):.4g} to {sums.max(initial=1):.4g}: apply softmax to logits first"
        )
    return array


def true_classes(y: ArrayLike, count: int, classes: int) -> np.ndarray:
    """Return class indices (n,). Raises ValueError for other targets."""
    array = np.asarray(y)
    true = class_indices(array, classes)
    if true is None or len(true) != count:
        raise ValueError(
            f"y must have a class index from 0 to {classes - 1}, or a one-hot row, for each of the "
            f"{count:,} samples, got an array {array.shape} of {array.dtype}"
        )
    return true
