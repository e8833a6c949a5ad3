"""Scores that need totals over all batches: F scores, R2, and correlations."""

from __future__ import annotations

from typing import Any

from hornbeam import ops
from hornbeam._internal.typing import DTypeLike
from hornbeam._internal.validation import check_number, check_positive
from hornbeam.config import epsilon
from hornbeam.core.registry import exported
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import TensorLike
from hornbeam.core.variable import Variable
from hornbeam.ir.types import ShapeError
from hornbeam.losses.shapes import as_weights, pair
from hornbeam.metrics.metric import MODULE, Metric
from hornbeam.metrics.reduction import MeanMetricWrapper


def _matrix(y_true: TensorLike, y_pred: TensorLike, dtype: str, name: str) -> tuple[Tensor, Tensor]:
    y_true, y_pred = pair(y_true, ops.cast(y_pred, dtype), name)
    if len(y_pred.shape) != 2:
        raise ShapeError(
            f"{name}: needs targets and predictions of shape (batch, outputs), got {y_pred.shape}"
        )
    return y_true, y_pred


@exported(MODULE)
class FBetaScore(Metric):
    """Score (1 + beta**2) * P * R / (beta**2 * P + R) of precision P and recall R, per class.

    Args:
        average: None for one score per class; "macro" for their mean; "weighted" for their mean by class
            frequency; "micro" for one score from the counts of all classes.
        beta: Positive number, the weight of recall.
        threshold: Number; predictions above it are positive. None for the highest of each row.
        name: Key in the logs.
        dtype: Dtype of the variables and of the result; None for `hornbeam.config.floatx()`.

    Example:
        >>> m = FBetaScore(beta=2.0, threshold=0.5); m.update_state([[1, 0]], [[0.9, 0.1]])
    """

    def __init__(
        self,
        average: str | None = None,
        beta: float = 1.0,
        threshold: float | None = None,
        name: str = "fbeta_score",
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__(dtype, name)
        if average not in (None, "micro", "macro", "weighted"):
            raise ValueError(f"average must be None, 'micro', 'macro' or 'weighted', got {average!r}")
        check_positive("beta", beta, where="FBetaScore")
        if threshold is not None and not 0 < check_number("threshold", threshold, where="FBetaScore") <= 1:
            raise ValueError(f"threshold must be a number in (0, 1], got {threshold!r}")
        self.average = average
        self.beta = beta
        self.threshold = threshold
        self._totals: dict[str, Variable] = {}

    def update_state(
        self, y_true: TensorLike, y_pred: TensorLike, sample_weight: TensorLike | None = None
    ) -> None:
        """Add a batch of targets and predictions.

        Args:
            y_true: Tensor (batch, classes), one-hot or 0 and 1.
            y_pred: Tensor (batch, classes).
            sample_weight: Tensor (batch,), or of any leading part of the shape of the values, or None.
        """
        y_true, y_pred = _matrix(y_true, y_pred, self.dtype, self.name)
        axis = None if self.average == "micro" else 0
        if not self._totals:
            for name in ("true_positives", "false_positives", "false_negatives", "intermediate_weights"):
                self._totals[name] = self.add_variable(() if axis is None else y_pred.shape[1:], name=name)
        if self.threshold is None:
            largest = ops.max(y_pred, axis=-1, keepdims=True)
            yes = ops.logical_and(y_pred >= largest, ops.abs(y_pred) > 1e-9)
        else:
            yes = y_pred > self.threshold
        yes = ops.cast(yes, self.dtype)
        weights: Any = 1.0
        if sample_weight is not None:
            weights = as_weights(
                ops.cast(sample_weight, self.dtype), y_pred.shape, "sample_weight", self.name
            )
        sums_of_batch = (yes * y_true, yes * (1.0 - y_true), (1.0 - yes) * y_true, y_true)
        for total, value in zip(self._totals.values(), sums_of_batch, strict=True):
            total.assign_add(ops.sum(value * weights, axis=axis))

    def result(self) -> Tensor:
        if not self._totals:
            return ops.convert_to_tensor(0.0, dtype=self.dtype)
        hits, false_yes, missed, frequency = (total.value for total in self._totals.values())
        precision = hits / (hits + false_yes + epsilon())
        recall = hits / (hits + missed + epsilon())
        square = self.beta**2
        score = (1.0 + square) * (precision * recall / (square * precision + recall + epsilon()))
        if self.average == "weighted":
            return ops.sum(score * (frequency / (ops.sum(frequency) + epsilon())))
        return score if self.average is None else ops.mean(score)


@exported(MODULE)
class F1Score(FBetaScore):
    """Score 2 * P * R / (P + R) of precision P and recall R, per class; see `FBetaScore`.

    Args:
        average: None for one score per class; "macro" for their mean; "weighted" for their mean by class
            frequency; "micro" for one score from the counts of all classes.
        threshold: Number; predictions above it are positive. None for the highest of each row.
        name: Key in the logs.
        dtype: Dtype of the variables and of the result; None for `hornbeam.config.floatx()`.

    Example:
        >>> m = F1Score(average="macro"); m.update_state([[1, 0]], [[0.9, 0.1]])
    """

    def __init__(
        self,
        average: str | None = None,
        threshold: float | None = None,
        name: str = "f1_score",
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__(average, 1.0, threshold, name, dtype)


# Targets whose squared mean is this many times their variance are far from zero.
_FAR = 64.0
# The variance of targets that differ by rounding only, relative to their squared mean.
_ROUNDING = 2.0**-44


@exported(MODULE)
class R2Score(Metric):
    """Coefficient of determination 1 - sum((t - p)**2) / sum((t - mean(t))**2).

    It is the fraction of the variance of the targets that is explained.

    Args:
        class_aggregation: "uniform_average" or "variance_weighted_average" of several outputs, or None for
            one score each.
        num_regressors: Integer k, the number of inputs used; the score is adjusted to 1 - (1 - R2) * (n - 1)
            / (n - k - 1), unless there are too few samples for that.
        name: Key in the logs.
        dtype: Dtype of the variables and of the result; None for `hornbeam.config.floatx()`.

    Example:
        >>> m = R2Score(); m.update_state([[1.0], [2.0]], [[1.0], [2.0]]); float(m.result())
        1.0
    """

    def __init__(
        self,
        class_aggregation: str | None = "uniform_average",
        num_regressors: int = 0,
        name: str = "r2_score",
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__(dtype, name)
        if class_aggregation not in (None, "uniform_average", "variance_weighted_average"):
            raise ValueError(
                "class_aggregation must be None, 'uniform_average' or 'variance_weighted_average', "
                f"got {class_aggregation!r}"
            )
        if num_regressors < 0:
            raise ValueError(f"num_regressors must be non-negative, got {num_regressors!r}")
        self.class_aggregation = class_aggregation
        self.num_regressors = num_regressors
        self.num_samples = self.add_variable((), name="num_samples")
        self._totals: dict[str, Variable] = {}

    def update_state(
        self, y_true: TensorLike, y_pred: TensorLike, sample_weight: TensorLike | None = None
    ) -> None:
        """Add a batch of targets and predictions.

        Args:
            y_true: Tensor (batch, outputs).
            y_pred: Tensor (batch, outputs).
            sample_weight: Tensor (batch,), or of any leading part of the shape of the values, or None.
        """
        y_true, y_pred = _matrix(y_true, y_pred, self.dtype, self.name)
        if not self._totals:
            for name in ("squared_sum", "sum", "residual", "count"):
                self._totals[name] = self.add_variable(y_pred.shape[1:], name=name)
        weights = ops.ones_like(y_true)
        if sample_weight is not None:
            sample_weights = as_weights(
                ops.cast(sample_weight, self.dtype), y_true.shape, "sample_weight", self.name
            )
            weights = ops.broadcast_to(sample_weights, y_true.shape)
        squared_sum, total, residual, count = self._totals.values()
        # The batch about its first target: nothing cancels where targets are far from zero.
        origin, added = ops.sum(y_true[:1], axis=0), ops.sum(weights, axis=0)
        step = ops.divide_no_nan(ops.sum((y_true - origin) * weights, axis=0), added)
        spread = ops.sum(ops.square(y_true - origin - step) * weights, axis=0)
        between = origin + step - ops.divide_no_nan(total, count)
        # Merge of two samples' squares about their means (Chan, Golub & LeVeque 1979).
        spread += ops.square(between) * count * ops.divide_no_nan(added, count + added)
        spread += self._spread()
        total.assign_add(ops.sum(y_true * weights, axis=0))
        count.assign_add(added)
        about_zero = total * ops.divide_no_nan(total, count)
        far = ops.abs(about_zero) > _FAR * ops.abs(spread)
        squared_sum.assign(ops.where(far, spread, spread + about_zero))
        residual.assign_add(ops.sum(ops.square(y_true - y_pred) * weights, axis=0))
        self.num_samples.assign_add(y_true.size)

    def _spread(self) -> Tensor:
        """Compute the sum of squares about the mean.

        The variable `squared_sum` is about zero, as in Keras, but about the mean for targets so far from zero
        that the difference would be lost. Which of the two follows from its size: about zero it is at least
        the square of the sum over the count.
        """
        squares, total, _, count = (total.value for total in self._totals.values())
        about_zero = total * ops.divide_no_nan(total, count)
        spread = ops.where(ops.abs(squares) < 0.5 * ops.abs(about_zero), squares, squares - about_zero)
        return ops.where(ops.abs(spread) <= _ROUNDING * ops.abs(about_zero), 0.0, spread)

    def result(self) -> Tensor:
        if not self._totals:
            return ops.convert_to_tensor(0.0, dtype=self.dtype)
        spread, residual = self._spread(), self._totals["residual"].value
        raw = 1.0 - residual / spread
        raw = ops.where(ops.isinf(raw), 0.0, raw)
        if self.class_aggregation == "uniform_average":
            score = ops.mean(raw)
        elif self.class_aggregation == "variance_weighted_average":
            score = ops.sum(spread * raw) / ops.sum(spread)
        else:
            score = raw
        if not self.num_regressors:
            return score
        left = self.num_samples - float(self.num_regressors) - 1.0
        adjusted = 1.0 - (1.0 - score) * (self.num_samples - 1.0) / ops.where(left > 0.0, left, 1.0)
        return ops.where(left > 0.0, adjusted, score)


def _centred(x: Tensor, axis: int) -> Tensor:
    return x - ops.mean(x, axis=axis, keepdims=True)


@exported(MODULE)
def pearson_correlation(y_true: TensorLike, y_pred: TensorLike, axis: int = -1) -> Tensor:
    """Compute the correlation cov(t, p) / (std(t) * std(p)) along an axis.

    NaN where one of them does not vary.

    Args:
        y_true: Tensor of targets, of any shape.
        y_pred: Tensor of predictions, of the shape of `y_true`.
        axis: Integer, the axis of the samples of the correlation.

    Returns:
        Tensor without `axis`, in [-1, 1].

    Example:
        >>> np.round(pearson_correlation([[0.0, 1.0, 2.0]], [[1.0, 2.0, 3.0]]), 4).tolist()
        [1.0]
    """
    y_true, y_pred = pair(y_true, y_pred, "pearson_correlation")
    t, p = _centred(y_true, axis), _centred(y_pred, axis)
    scale = ops.sqrt(ops.mean(ops.square(t), axis=axis)) * ops.sqrt(ops.mean(ops.square(p), axis=axis))
    return ops.mean(t * p, axis=axis) / scale


@exported(MODULE)
def concordance_correlation(y_true: TensorLike, y_pred: TensorLike, axis: int = -1) -> Tensor:
    """Compute 2 cov(t, p) / (var(t) + var(p) + (mean(t) - mean(p))**2) along an axis: 1 only for p = t.

    Args:
        y_true: Tensor of targets, of any shape.
        y_pred: Tensor of predictions, of the shape of `y_true`.
        axis: Integer, the axis of the samples of the correlation.

    Returns:
        Tensor without `axis`, in [-1, 1].

    Example:
        >>> np.round(concordance_correlation([[0.0, 1.0, 2.0]], [[0.0, 1.0, 2.0]]), 4).tolist()
        [1.0]

    Source: Lin 1989.
    """
    y_true, y_pred = pair(y_true, y_pred, "concordance_correlation")
    t, p = _centred(y_true, axis), _centred(y_pred, axis)
    shift = ops.mean(y_true, axis=axis) - ops.mean(y_pred, axis=axis)
    scale = ops.mean(ops.square(t), axis=axis) + ops.mean(ops.square(p), axis=axis) + ops.square(shift)
    return 2.0 * ops.mean(t * p, axis=axis) / (scale + epsilon())


@exported(MODULE)
class PearsonCorrelation(MeanMetricWrapper):
    """Mean over samples of the correlation of targets and predictions; see `pearson_correlation`.

    Args:
        name: Key in the logs.
        dtype: Dtype of the variables and of the result; None for `hornbeam.config.floatx()`.
        axis: Integer, the axis along which targets and predictions are correlated.

    Example:
        >>> PearsonCorrelation(axis=-1)
        <PearsonCorrelation name=pearson_correlation>
    """

    def __init__(
        self, name: str = "pearson_correlation", dtype: DTypeLike | None = None, axis: int = -1
    ) -> None:
        super().__init__(pearson_correlation, name, dtype, axis=axis)
        self.axis = axis


@exported(MODULE)
class ConcordanceCorrelation(MeanMetricWrapper):
    """Mean over samples of the agreement of targets and predictions; see `concordance_correlation`.

    Args:
        name: Key in the logs.
        dtype: Dtype of the variables and of the result; None for `hornbeam.config.floatx()`.
        axis: Integer, the axis along which targets and predictions are correlated.

    Example:
        >>> ConcordanceCorrelation(axis=-1)
        <ConcordanceCorrelation name=concordance_correlation>
    """

    def __init__(
        self, name: str = "concordance_correlation", dtype: DTypeLike | None = None, axis: int = -1
    ) -> None:
        super().__init__(concordance_correlation, name, dtype, axis=axis)
        self.axis = axis
