"""Counts of correct and wrong binary decisions at thresholds: precision, recall and similar.

A prediction above the threshold is positive. TP, FP, TN, FN are the weighted numbers of true and false
positive and negative decisions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hornbeam import ops
from hornbeam._internal.typing import DTypeLike
from hornbeam._internal.validation import check_int
from hornbeam._internal.warn import warn_user
from hornbeam.core.registry import exported
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import TensorLike
from hornbeam.core.variable import Variable, current_variable_tracer
from hornbeam.errors import LikelyMistakeWarning
from hornbeam.ir.limits import count_elements
from hornbeam.ir.trace import current_level
from hornbeam.ir.types import ShapeError
from hornbeam.losses.shapes import as_weights, pair
from hornbeam.metrics.metric import MODULE, Metric

# Rounding by which a probability lies beyond 0 or 1.
_MARGIN = 1e-3

KINDS = ("true_positives", "false_positives", "true_negatives", "false_negatives")


Thresholds = float | Sequence[float] | None


def counts(
    y_true: Tensor,
    y_pred: Tensor,
    weights: Tensor | None,
    thresholds: Sequence[float],
    multi_label: bool = False,
) -> dict[str, Tensor]:
    """Return the four counts at each threshold: (thresholds,), or (thresholds, labels) for `multi_label`.

    y_true and y_pred have one shape, with `multi_label` (N, labels), as do weights, if any.
    """
    shape = (-1, y_pred.shape[-1]) if multi_label else (-1,)
    target = ops.cast(ops.reshape(ops.cast(y_true, "bool"), shape), y_pred.dtype)
    weight = ops.ones_like(target) if weights is None else ops.reshape(weights, shape)
    limits = ops.convert_to_tensor(np.asarray(thresholds), dtype=y_pred.dtype)
    limits = ops.reshape(limits, (len(thresholds), *(1,) * len(shape)))
    above = ops.cast(ops.expand_dims(ops.reshape(y_pred, shape), 0) > limits, y_pred.dtype)
    positives, negatives = weight * target, weight * (1.0 - target)
    true_positives = ops.sum(above * ops.expand_dims(positives, 0), axis=1)
    false_positives = ops.sum(above * ops.expand_dims(negatives, 0), axis=1)
    return {
        "true_positives": true_positives,
        "false_positives": false_positives,
        "true_negatives": ops.sum(negatives, axis=0) - false_positives,
        "false_negatives": ops.sum(positives, axis=0) - true_positives,
    }


def top_k_only(y_pred: Tensor, k: int) -> Tensor:
    """Keep the k highest predictions of each row; the others become a very small number."""
    smallest = ops.top_k(y_pred, k)[0][..., -1:]
    ranks = ops.argsort(ops.argsort(-y_pred, axis=-1), axis=-1)
    return ops.where(ops.logical_and(ranks < k, y_pred >= smallest), y_pred, -1e10)


class ConfusionMetric(Metric):
    """Base class of the metrics of this file: thresholds, and variables that count."""

    def __init__(
        self,
        thresholds: Sequence[float],
        kinds: Sequence[str],
        name: str | None,
        dtype: DTypeLike | None,
        names: Sequence[str] = (),
    ) -> None:
        super().__init__(dtype, name)
        self._thresholds = list(thresholds)
        # True once the first predictions have been compared with the range of the thresholds.
        self._checked = False
        # What predictions are compared with.
        self._limits = self._thresholds
        self._counters: dict[str, Variable] = {}
        self._kinds, self._names = list(kinds), list(names or kinds)
        self.top_k: int | None = None
        self.class_id: int | None = None

    @property
    def thresholds(self) -> list[float]:
        """All thresholds."""
        return list(self._thresholds)

    def _build(self, *shape: int) -> None:
        for kind, name in zip(self._kinds, self._names, strict=True):
            self._counters[kind] = self.add_variable((len(self._thresholds), *shape), name=name)
            setattr(self, name, self._counters[kind])

    def _update(
        self,
        y_true: TensorLike,
        y_pred: TensorLike,
        sample_weight: TensorLike | None,
        multi_label: bool = False,
    ) -> None:
        y_true, y_pred = pair(y_true, ops.cast(y_pred, self.dtype), self.name)
        weights = None
        if sample_weight is not None:
            sample_weights = as_weights(
                ops.cast(sample_weight, self.dtype), y_pred.shape, "sample_weight", self.name
            )
            weights = ops.broadcast_to(sample_weights, y_pred.shape)
        if self.top_k is not None:
            y_pred = top_k_only(y_pred, self.top_k)
        if self.class_id is not None:
            if len(y_pred.shape) < 2 or not -y_pred.shape[-1] <= self.class_id < y_pred.shape[-1]:
                raise ShapeError(
                    f"{self.name}: class_id={self.class_id} is out of range for predictions {y_pred.shape}"
                )
            y_true, y_pred = y_true[..., self.class_id], y_pred[..., self.class_id]
            weights = None if weights is None else weights[..., self.class_id]
        batch_counts = counts(y_true, y_pred, weights, self._limits, multi_label)
        for kind, counter in self._counters.items():
            counter.assign_add(batch_counts[kind])

    def update_state(
        self, y_true: TensorLike, y_pred: TensorLike, sample_weight: TensorLike | None = None
    ) -> None:
        """Add a batch of targets 0 and 1.

        Args:
            y_true: Tensor of any shape, of 0 and 1.
            y_pred: Tensor of predictions, of the shape of `y_true`.
            sample_weight: Tensor (batch,), or of any leading part of the shape of the values, or None.
        """
        self._update(y_true, y_pred, sample_weight)

    def _rate(self, above: str, *below: str) -> Tensor:
        """Divide one count by a sum of counts; 0 if that is 0."""
        total: Any = self._counters[below[0]].value
        for kind in below[1:]:
            total = total + self._counters[kind]
        return ops.divide_no_nan(self._counters[above], total)

    def _check_scores(self, y_pred: Tensor, remedy: str) -> None:
        """Say of the first batch that thresholds between 0 and 1 do not order scores beyond."""
        if self._checked or current_level() or current_variable_tracer() is not None or not y_pred.size:
            return
        self._checked = True
        low, high = float(ops.min(y_pred)), float(ops.max(y_pred))
        if low < -_MARGIN or high > 1 + _MARGIN:
            warn_user(
                f"{self.name}: predictions go from {low:g} to {high:g}, but its thresholds from 0 to 1, so "
                f"that those beyond count as equal: {remedy}",
                LikelyMistakeWarning,
            )

    def _one_or_all(self, values: Tensor) -> Tensor:
        return values[0] if len(self._thresholds) == 1 else values


def checked_thresholds(thresholds: Thresholds, default: float = 0.5) -> list[float]:
    """Return thresholds as a list. Raises ValueError unless they are in [0, 1]."""
    if thresholds is None:
        thresholds = default
    listed = [float(t) for t in np.atleast_1d(np.asarray(thresholds, dtype=float))]
    if not listed or not all(0 <= t <= 1 for t in listed):
        raise ValueError(f"thresholds must lie between 0 and 1, got {thresholds!r}")
    return listed


class _Count(ConfusionMetric):
    kind: str
    accumulator: Variable

    def __init__(
        self, thresholds: Thresholds = None, name: str | None = None, dtype: DTypeLike | None = None
    ) -> None:
        super().__init__(checked_thresholds(thresholds), [self.kind], name, dtype, ["accumulator"])
        self._given = thresholds
        self._build()

    def result(self) -> Tensor:
        """Return the count, or one per threshold for several."""
        return self._one_or_all(self._counters[self.kind].value)

    def get_config(self) -> dict[str, Any]:
        return {**self._base_config(), "thresholds": self._given}


@exported(MODULE)
class TruePositives(_Count):
    """Weighted number of positive decisions that are correct.

    Args:
        thresholds: Number in [0, 1] or a sequence of them; None for 0.5.
        name: Key in the logs.
        dtype: Dtype of the variables and of the result; None for `hornbeam.config.floatx()`.

    Example:
        >>> m = TruePositives(); m.update_state([0, 1, 1], [0.9, 0.9, 0.1]); float(m.result())
        1.0
    """

    kind = "true_positives"


@exported(MODULE)
class FalsePositives(_Count):
    """Weighted number of positive decisions that are wrong.

    Args:
        thresholds: Number in [0, 1] or a sequence of them; None for 0.5.
        name: Key in the logs.
        dtype: Dtype of the variables and of the result; None for `hornbeam.config.floatx()`.

    Example:
        >>> m = FalsePositives(); m.update_state([0, 1, 1], [0.9, 0.9, 0.1]); float(m.result())
        1.0
    """

    kind = "false_positives"


@exported(MODULE)
class TrueNegatives(_Count):
    """Weighted number of negative decisions that are correct.

    Args:
        thresholds: Number in [0, 1] or a sequence of them; None for 0.5.
        name: Key in the logs.
        dtype: Dtype of the variables and of the result; None for `hornbeam.config.floatx()`.

    Example:
        >>> m = TrueNegatives(); m.update_state([0, 1, 1], [0.9, 0.9, 0.1]); float(m.result())
        0.0
    """

    kind = "true_negatives"


@exported(MODULE)
class FalseNegatives(_Count):
    """Weighted number of negative decisions that are wrong.

    Args:
        thresholds: Number in [0, 1] or a sequence of them; None for 0.5.
        name: Key in the logs.
        dtype: Dtype of the variables and of the result; None for `hornbeam.config.floatx()`.

    Example:
        >>> m = FalseNegatives(); m.update_state([0, 1, 1], [0.9, 0.9, 0.1]); float(m.result())
        1.0
    """

    kind = "false_negatives"


class _Ratio(ConfusionMetric):
    other: str
    true_positives: Variable

    def __init__(
        self,
        thresholds: Thresholds = None,
        top_k: int | None = None,
        class_id: int | None = None,
        name: str | None = None,
        dtype: DTypeLike | None = None,
    ) -> None:
        # With top_k the k highest predictions are positive, whatever their values.
        limits = [-1e9] if top_k is not None and thresholds is None else checked_thresholds(thresholds)
        super().__init__(limits, ["true_positives", self.other], name, dtype)
        self._given = thresholds
        self.top_k = None if top_k is None else check_int("top_k", top_k, 1)
        self.class_id = class_id
        self._build()

    def result(self) -> Tensor:
        """Return a scalar, or one value per threshold for several."""
        return self._one_or_all(self._rate("true_positives", "true_positives", self.other))

    def get_config(self) -> dict[str, Any]:
        config = {"thresholds": self._given, "top_k": self.top_k, "class_id": self.class_id}
        return {**self._base_config(), **config}


@exported(MODULE)
class Precision(_Ratio):
    """Precision TP / (TP + FP): the fraction of positive decisions that are correct.

    Args:
        thresholds: Number in [0, 1] or a sequence of them; None for 0.5.
        top_k: Integer; the k highest predictions of a sample are its positive decisions. None for thresholds
            alone.
        class_id: Integer, the only class to evaluate, or None for all.
        name: Key in the logs.
        dtype: Dtype of the variables and of the result; None for `hornbeam.config.floatx()`.

    Example:
        >>> m = Precision(); m.update_state([0, 1, 1], [0.9, 0.9, 0.1]); float(m.result())
        0.5
    """

    other = "false_positives"
    false_positives: Variable


@exported(MODULE)
class Recall(_Ratio):
    """Recall TP / (TP + FN): the fraction of positive samples that are found.

    Args:
        thresholds: Number in [0, 1] or a sequence of them; None for 0.5.
        top_k: Integer; the k highest predictions of a sample are its positive decisions. None for thresholds
            alone.
        class_id: Integer, the only class to evaluate, or None for all.
        name: Key in the logs.
        dtype: Dtype of the variables and of the result; None for `hornbeam.config.floatx()`.

    Example:
        >>> m = Recall(); m.update_state([0, 1, 1], [0.9, 0.9, 0.1]); float(m.result())
        0.5
    """

    other = "false_negatives"
    false_negatives: Variable


class _AtLeast(ConfusionMetric):
    """Base class: the best of one rate among the thresholds where another is at least a value."""

    true_positives: Variable
    false_positives: Variable
    true_negatives: Variable
    false_negatives: Variable

    def __init__(
        self,
        label: str,
        value: float,
        num_thresholds: int,
        class_id: int | None,
        name: str | None,
        dtype: DTypeLike | None,
    ) -> None:
        if not 0 <= value <= 1:
            raise ValueError(f"{label} must lie between 0 and 1, got {value!r}")
        if num_thresholds < 1:
            raise ValueError(f"num_thresholds must be at least 1, got {num_thresholds!r}")
        count_elements(num_thresholds)
        limits = [0.5] if num_thresholds == 1 else [i / (num_thresholds - 1) for i in range(num_thresholds)]
        super().__init__(limits, KINDS, name, dtype)
        self.num_thresholds = num_thresholds
        self.class_id = class_id
        self._label, self._value = label, value
        self._build()

    def update_state(
        self, y_true: TensorLike, y_pred: TensorLike, sample_weight: TensorLike | None = None
    ) -> None:
        y_pred = ops.convert_to_tensor(y_pred)
        self._check_scores(y_pred, "give it probabilities, such as ops.sigmoid(y_pred)")
        super().update_state(y_true, y_pred, sample_weight)

    def _best(self, rates: Tensor, bound: Tensor) -> Tensor:
        return ops.max(ops.where(bound >= self._value, rates, 0.0))

    def _sensitivity(self) -> Tensor:
        return self._rate("true_positives", "true_positives", "false_negatives")

    def _specificity(self) -> Tensor:
        return self._rate("true_negatives", "true_negatives", "false_positives")

    def _precision(self) -> Tensor:
        return self._rate("true_positives", "true_positives", "false_positives")

    def get_config(self) -> dict[str, Any]:
        config = {"num_thresholds": self.num_thresholds, self._label: self._value, "class_id": self.class_id}
        return {**self._base_config(), **config}


@exported(MODULE)
class SensitivityAtSpecificity(_AtLeast):
    """Largest TP / (TP + FN) at thresholds with TN / (TN + FP) >= specificity.

    Args:
        specificity: Number in [0, 1].
        num_thresholds: Integer, number of evenly spaced thresholds.
        class_id: Integer, the only class to evaluate, or None for all.
        name: Key in the logs.
        dtype: Dtype of the variables and of the result; None for `hornbeam.config.floatx()`.

    Raises:
        ValueError: If `specificity` is not in [0, 1] or `num_thresholds` is less than 1.

    Example:
        >>> SensitivityAtSpecificity(0.9, num_thresholds=100)
        <SensitivityAtSpecificity name=sensitivity_at_specificity>
    """

    def __init__(
        self,
        specificity: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__("specificity", specificity, num_thresholds, class_id, name, dtype)
        self.specificity = specificity

    def result(self) -> Tensor:
        return self._best(self._sensitivity(), self._specificity())


@exported(MODULE)
class SpecificityAtSensitivity(_AtLeast):
    """Largest TN / (TN + FP) at thresholds with TP / (TP + FN) >= sensitivity.

    Args:
        sensitivity: Number in [0, 1].
        num_thresholds: Integer, number of evenly spaced thresholds.
        class_id: Integer, the only class to evaluate, or None for all.
        name: Key in the logs.
        dtype: Dtype of the variables and of the result; None for `hornbeam.config.floatx()`.

    Raises:
        ValueError: If `sensitivity` is not in [0, 1] or `num_thresholds` is less than 1.

    Example:
        >>> SpecificityAtSensitivity(0.9, num_thresholds=100)
        <SpecificityAtSensitivity name=specificity_at_sensitivity>
    """

    def __init__(
        self,
        sensitivity: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__("sensitivity", sensitivity, num_thresholds, class_id, name, dtype)
        self.sensitivity = sensitivity

    def result(self) -> Tensor:
        return self._best(self._specificity(), self._sensitivity())


@exported(MODULE)
class PrecisionAtRecall(_AtLeast):
    """Largest TP / (TP + FP) at thresholds with TP / (TP + FN) >= recall.

    Args:
        recall: Number in [0, 1].
        num_thresholds: Integer, number of evenly spaced thresholds.
        class_id: Integer, the only class to evaluate, or None for all.
        name: Key in the logs.
        dtype: Dtype of the variables and of the result; None for `hornbeam.config.floatx()`.

    Raises:
        ValueError: If `recall` is not in [0, 1] or `num_thresholds` is less than 1.

    Example:
        >>> PrecisionAtRecall(0.9, num_thresholds=100)
        <PrecisionAtRecall name=precision_at_recall>
    """

    def __init__(
        self,
        recall: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__("recall", recall, num_thresholds, class_id, name, dtype)
        self.recall = recall

    def result(self) -> Tensor:
        return self._best(self._precision(), self._sensitivity())


@exported(MODULE)
class RecallAtPrecision(_AtLeast):
    """Largest TP / (TP + FN) at thresholds with TP / (TP + FP) >= precision.

    Args:
        precision: Number in [0, 1].
        num_thresholds: Integer, number of evenly spaced thresholds.
        class_id: Integer, the only class to evaluate, or None for all.
        name: Key in the logs.
        dtype: Dtype of the variables and of the result; None for `hornbeam.config.floatx()`.

    Raises:
        ValueError: If `precision` is not in [0, 1] or `num_thresholds` is less than 1.

    Example:
        >>> RecallAtPrecision(0.9, num_thresholds=100)
        <RecallAtPrecision name=recall_at_precision>
    """

    def __init__(
        self,
        precision: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__("precision", precision, num_thresholds, class_id, name, dtype)
        self.precision = precision

    def result(self) -> Tensor:
        return self._best(self._sensitivity(), self._precision())
