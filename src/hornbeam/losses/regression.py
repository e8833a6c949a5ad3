"""Losses of numbers: squared, absolute and relative errors, hinges, divergences.

In the formulas t is a target, p a prediction, and the mean is over the last axis, so that (batch, d) gives
(batch,). All functions take y_true and y_pred of one shape, or (N,) with (N, 1), and raise ShapeError if
shapes would only broadcast.
"""

from __future__ import annotations

from hornbeam import ops
from hornbeam._internal.typing import DTypeLike
from hornbeam._internal.validation import check_axes, check_positive
from hornbeam.config import epsilon
from hornbeam.core.registry import exported
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import TensorLike
from hornbeam.losses.loss import MODULE, LossFunctionWrapper
from hornbeam.losses.shapes import pair

_SUM = "sum_over_batch_size"


@exported(MODULE, "mse", "MSE")
def mean_squared_error(y_true: TensorLike, y_pred: TensorLike) -> Tensor:
    """Compute mean((t - p)**2) over the last axis.

    Args:
        y_true: Tensor of targets, of any shape.
        y_pred: Tensor of predictions, of the shape of `y_true`.

    Returns:
        Tensor (batch, ...), the shape of `y_pred` without its last axis.

    Example:
        >>> np.round(mean_squared_error([[0.0, 1.0]], [[1.0, 1.0]]), 4).tolist()
        [0.5]
    """
    y_true, y_pred = pair(y_true, y_pred, "mean_squared_error")
    return ops.mean(ops.square(y_true - y_pred), axis=-1)


@exported(MODULE, "mae", "MAE")
def mean_absolute_error(y_true: TensorLike, y_pred: TensorLike) -> Tensor:
    """Compute mean(|t - p|) over the last axis.

    Args:
        y_true: Tensor of targets, of any shape.
        y_pred: Tensor of predictions, of the shape of `y_true`.

    Returns:
        Tensor (batch, ...), the shape of `y_pred` without its last axis.

    Example:
        >>> np.round(mean_absolute_error([[0.0, 1.0]], [[1.0, 1.0]]), 4).tolist()
        [0.5]
    """
    y_true, y_pred = pair(y_true, y_pred, "mean_absolute_error")
    return ops.mean(ops.abs(y_true - y_pred), axis=-1)


@exported(MODULE, "mape", "MAPE")
def mean_absolute_percentage_error(y_true: TensorLike, y_pred: TensorLike) -> Tensor:
    """Compute 100 * mean(|t - p| / max(|t|, epsilon)) over the last axis, epsilon = `config.epsilon()`.

    Args:
        y_true: Tensor of targets, of any shape.
        y_pred: Tensor of predictions, of the shape of `y_true`.

    Returns:
        Tensor (batch, ...), the shape of `y_pred` without its last axis.

    Example:
        >>> np.round(mean_absolute_percentage_error([[2.0]], [[1.0]]), 4).tolist()
        [50.0]
    """
    y_true, y_pred = pair(y_true, y_pred, "mean_absolute_percentage_error")
    return 100.0 * ops.mean(ops.abs((y_true - y_pred) / ops.maximum(ops.abs(y_true), epsilon())), axis=-1)


@exported(MODULE, "msle", "MSLE")
def mean_squared_logarithmic_error(y_true: TensorLike, y_pred: TensorLike) -> Tensor:
    """Compute mean((log(1 + t) - log(1 + p))**2) over the last axis; negative values count as 0.

    Args:
        y_true: Tensor of targets, of any shape.
        y_pred: Tensor of predictions, of the shape of `y_true`.

    Returns:
        Tensor (batch, ...), the shape of `y_pred` without its last axis.

    Example:
        >>> np.round(mean_squared_logarithmic_error([[2.0]], [[1.0]]), 4).tolist()
        [0.16439999639987946]
    """
    y_true, y_pred = pair(y_true, y_pred, "mean_squared_logarithmic_error")
    logs = [ops.log(ops.maximum(y, epsilon()) + 1.0) for y in (y_pred, y_true)]
    return ops.mean(ops.square(logs[0] - logs[1]), axis=-1)


@exported(MODULE)
def huber(y_true: TensorLike, y_pred: TensorLike, delta: float = 1.0) -> Tensor:
    """Compute the mean of e**2 / 2 for |e| <= delta and delta * |e| - delta**2 / 2 beyond, e = t - p.

    Args:
        y_true: Tensor of targets, of any shape.
        y_pred: Tensor of predictions, of the shape of `y_true`.
        delta: Positive number, the error at which the loss becomes linear.

    Returns:
        Tensor (batch, ...), the shape of `y_pred` without its last axis.

    Example:
        >>> np.round(huber([[0.0, 3.0]], [[0.5, 0.0]], delta=1.0), 4).tolist()
        [1.3125]

    Source: Huber 1964.
    """
    y_true, y_pred = pair(y_true, y_pred, "huber")
    error = ops.abs(y_pred - y_true)
    return ops.mean(
        ops.where(error <= delta, 0.5 * ops.square(error), delta * error - 0.5 * delta**2), axis=-1
    )


@exported(MODULE, "logcosh")
def log_cosh(y_true: TensorLike, y_pred: TensorLike) -> Tensor:
    """Compute mean(log(cosh(p - t))) over the last axis.

    It is about e**2 / 2 for small errors and |e| - log 2 for large ones.

    Args:
        y_true: Tensor of targets, of any shape.
        y_pred: Tensor of predictions, of the shape of `y_true`.

    Returns:
        Tensor (batch, ...), the shape of `y_pred` without its last axis.

    Example:
        >>> np.round(log_cosh([[0.0, 3.0]], [[0.5, 0.0]]), 4).tolist()
        [1.2146999835968018]
    """
    y_true, y_pred = pair(y_true, y_pred, "log_cosh")
    error = ops.abs(y_pred - y_true)
    return ops.mean(error + ops.log1p(ops.exp(-2.0 * error)) - 0.6931471805599453, axis=-1)


@exported(MODULE, "kld", "KLD", "kullback_leibler_divergence")
def kl_divergence(y_true: TensorLike, y_pred: TensorLike) -> Tensor:
    """Compute sum(t * log(t / p)) over the last axis, both limited to [epsilon, 1].

    Args:
        y_true: Tensor of targets, of any shape.
        y_pred: Tensor of predictions, of the shape of `y_true`.

    Returns:
        Tensor (batch, ...), the shape of `y_pred` without its last axis.

    Example:
        >>> np.round(kl_divergence([[0.2, 0.8]], [[0.5, 0.5]]), 4).tolist()
        [0.19269999861717224]

    Source: Kullback & Leibler 1951.
    """
    y_true, y_pred = pair(y_true, y_pred, "kl_divergence")
    y_true, y_pred = ops.clip(y_true, epsilon(), 1.0), ops.clip(y_pred, epsilon(), 1.0)
    return ops.sum(y_true * ops.log(y_true / y_pred), axis=-1)


@exported(MODULE)
def poisson(y_true: TensorLike, y_pred: TensorLike) -> Tensor:
    """Compute mean(p - t * log(p + epsilon)) over the last axis, for counts t with expectation p.

    Args:
        y_true: Tensor of targets, of any shape.
        y_pred: Tensor of predictions, of the shape of `y_true`.

    Returns:
        Tensor (batch, ...), the shape of `y_pred` without its last axis.

    Example:
        >>> np.round(poisson([[2.0]], [[1.5]]), 4).tolist()
        [0.6891000270843506]
    """
    y_true, y_pred = pair(y_true, y_pred, "poisson")
    return ops.mean(y_pred - y_true * ops.log(y_pred + epsilon()), axis=-1)


@exported(MODULE)
def cosine_similarity(y_true: TensorLike, y_pred: TensorLike, axis: int = -1) -> Tensor:
    """Compute the negative cosine of the angle between targets and predictions: -1 is best, 1 worst.

    Args:
        y_true: Tensor of targets, of any shape.
        y_pred: Tensor of predictions, of the shape of `y_true`.
        axis: Integer, the axis of the vectors.

    Returns:
        Tensor (batch, ...), the shape of `y_pred` without `axis`.

    Example:
        >>> np.round(cosine_similarity([[0.0, 1.0]], [[1.0, 1.0]]), 4).tolist()
        [-0.707099974155426]
    """
    y_true, y_pred = pair(y_true, y_pred, "cosine_similarity")
    return -ops.sum(unit(y_true, axis) * unit(y_pred, axis), axis=axis)


def unit(x: Tensor, axis: int) -> Tensor:
    """Scale `x` to length 1 along `axis`; zero stays zero."""
    return x * ops.rsqrt(ops.maximum(ops.sum(ops.square(x), axis=axis, keepdims=True), 1e-12))


def _plus_minus(y_true: Tensor) -> Tensor:
    """Convert labels to -1 and 1; if all of them are 0 or 1 these mean negative and positive."""
    binary = ops.all(ops.logical_or(ops.equal(y_true, 0.0), ops.equal(y_true, 1.0)))
    return ops.where(binary, 2.0 * y_true - 1.0, y_true)


@exported(MODULE)
def hinge(y_true: TensorLike, y_pred: TensorLike) -> Tensor:
    """Compute mean(max(0, 1 - t * p)) over the last axis.

    Args:
        y_true: Tensor of any shape, of labels -1 and 1 (or 0 and 1, if all of them are).
        y_pred: Tensor of predictions, of the shape of `y_true`.

    Returns:
        Tensor (batch, ...), the shape of `y_pred` without its last axis.

    Example:
        >>> np.round(hinge([[-1.0, 1.0]], [[0.5, 0.5]]), 4).tolist()
        [1.0]
    """
    y_true, y_pred = pair(y_true, y_pred, "hinge")
    return ops.mean(ops.maximum(1.0 - _plus_minus(y_true) * y_pred, 0.0), axis=-1)


@exported(MODULE)
def squared_hinge(y_true: TensorLike, y_pred: TensorLike) -> Tensor:
    """Compute mean(max(0, 1 - t * p)**2) over the last axis.

    Args:
        y_true: Tensor of any shape, of labels -1 and 1 (or 0 and 1, if all of them are).
        y_pred: Tensor of predictions, of the shape of `y_true`.

    Returns:
        Tensor (batch, ...), the shape of `y_pred` without its last axis.

    Example:
        >>> np.round(squared_hinge([[-1.0, 1.0]], [[0.5, 0.5]]), 4).tolist()
        [1.25]
    """
    y_true, y_pred = pair(y_true, y_pred, "squared_hinge")
    return ops.mean(ops.square(ops.maximum(1.0 - _plus_minus(y_true) * y_pred, 0.0)), axis=-1)


@exported(MODULE)
def categorical_hinge(y_true: TensorLike, y_pred: TensorLike) -> Tensor:
    """Compute max(0, 1 + largest wrong prediction - prediction of the true class).

    Args:
        y_true: Tensor (..., classes), one-hot.
        y_pred: Tensor of predictions, of the shape of `y_true`.

    Returns:
        Tensor (batch, ...), the shape of `y_pred` without its last axis.

    Example:
        >>> np.round(categorical_hinge([[0.0, 1.0]], [[0.3, 0.9]]), 4).tolist()
        [0.4000000059604645]
    """
    y_true, y_pred = pair(y_true, y_pred, "categorical_hinge")
    right = ops.sum(y_true * y_pred, axis=-1)
    wrong = ops.max((1.0 - y_true) * y_pred, axis=-1)
    return ops.maximum(wrong - right + 1.0, 0.0)


# -- classes -----------------------------------------------------------------------------------------------


@exported(MODULE)
class MeanSquaredError(LossFunctionWrapper):
    """Mean squared error, mean((t - p)**2); see `mean_squared_error`.

    Args:
        reduction: "sum_over_batch_size", "mean", "sum", "mean_with_sample_weight", "none" or None; see
            `Loss`.
        name: Name of the loss.
        dtype: Dtype of the arithmetic and of the result; None for `hornbeam.config.floatx()`.

    Example:
        >>> round(float(MeanSquaredError()([[0.0, 1.0]], [[1.0, 1.0]])), 4)
        0.5
    """

    def __init__(
        self, reduction: str | None = _SUM, name: str = "mean_squared_error", dtype: DTypeLike | None = None
    ) -> None:
        super().__init__(mean_squared_error, reduction, name, dtype)


@exported(MODULE)
class MeanAbsoluteError(LossFunctionWrapper):
    """Mean absolute error, mean(|t - p|); see `mean_absolute_error`.

    Args:
        reduction: "sum_over_batch_size", "mean", "sum", "mean_with_sample_weight", "none" or None; see
            `Loss`.
        name: Name of the loss.
        dtype: Dtype of the arithmetic and of the result; None for `hornbeam.config.floatx()`.

    Example:
        >>> round(float(MeanAbsoluteError()([[0.0, 1.0]], [[1.0, 1.0]])), 4)
        0.5
    """

    def __init__(
        self, reduction: str | None = _SUM, name: str = "mean_absolute_error", dtype: DTypeLike | None = None
    ) -> None:
        super().__init__(mean_absolute_error, reduction, name, dtype)


@exported(MODULE)
class MeanAbsolutePercentageError(LossFunctionWrapper):
    """Mean absolute percentage error, 100 * mean(|t - p| / |t|); see `mean_absolute_percentage_error`.

    Args:
        reduction: "sum_over_batch_size", "mean", "sum", "mean_with_sample_weight", "none" or None; see
            `Loss`.
        name: Name of the loss.
        dtype: Dtype of the arithmetic and of the result; None for `hornbeam.config.floatx()`.

    Example:
        >>> round(float(MeanAbsolutePercentageError()([[2.0]], [[1.0]])), 4)
        50.0
    """

    def __init__(
        self,
        reduction: str | None = _SUM,
        name: str = "mean_absolute_percentage_error",
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__(mean_absolute_percentage_error, reduction, name, dtype)


@exported(MODULE)
class MeanSquaredLogarithmicError(LossFunctionWrapper):
    """Mean of (log(1 + t) - log(1 + p))**2; see `mean_squared_logarithmic_error`.

    Args:
        reduction: "sum_over_batch_size", "mean", "sum", "mean_with_sample_weight", "none" or None; see
            `Loss`.
        name: Name of the loss.
        dtype: Dtype of the arithmetic and of the result; None for `hornbeam.config.floatx()`.

    Example:
        >>> round(float(MeanSquaredLogarithmicError()([[2.0]], [[1.0]])), 4)
        0.1644
    """

    def __init__(
        self,
        reduction: str | None = _SUM,
        name: str = "mean_squared_logarithmic_error",
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__(mean_squared_logarithmic_error, reduction, name, dtype)


@exported(MODULE)
class Huber(LossFunctionWrapper):
    """Loss that is squared for errors up to `delta` and linear beyond; see `huber`.

    Args:
        delta: Positive number, the error at which the loss becomes linear.
        reduction: "sum_over_batch_size", "mean", "sum", "mean_with_sample_weight", "none" or None; see
            `Loss`.
        name: Name of the loss.
        dtype: Dtype of the arithmetic and of the result; None for `hornbeam.config.floatx()`.

    Example:
        >>> round(float(Huber(delta=2.0)([[0.0, 3.0]], [[0.5, 0.0]])), 4)
        2.0625
    """

    def __init__(
        self,
        delta: float = 1.0,
        reduction: str | None = _SUM,
        name: str = "huber_loss",
        dtype: DTypeLike | None = None,
    ) -> None:
        check_positive("delta", delta)
        super().__init__(huber, reduction, name, dtype, delta=delta)


@exported(MODULE)
class LogCosh(LossFunctionWrapper):
    """Mean of log(cosh(p - t)); see `log_cosh`.

    Args:
        reduction: "sum_over_batch_size", "mean", "sum", "mean_with_sample_weight", "none" or None; see
            `Loss`.
        name: Name of the loss.
        dtype: Dtype of the arithmetic and of the result; None for `hornbeam.config.floatx()`.

    Example:
        >>> round(float(LogCosh()([[0.0, 3.0]], [[0.5, 0.0]])), 4)
        1.2147
    """

    def __init__(
        self, reduction: str | None = _SUM, name: str = "log_cosh", dtype: DTypeLike | None = None
    ) -> None:
        super().__init__(log_cosh, reduction, name, dtype)


@exported(MODULE)
class KLDivergence(LossFunctionWrapper):
    """Divergence sum(t * log(t / p)) of two distributions; see `kl_divergence`.

    Args:
        reduction: "sum_over_batch_size", "mean", "sum", "mean_with_sample_weight", "none" or None; see
            `Loss`.
        name: Name of the loss.
        dtype: Dtype of the arithmetic and of the result; None for `hornbeam.config.floatx()`.

    Example:
        >>> round(float(KLDivergence()([[0.2, 0.8]], [[0.5, 0.5]])), 4)
        0.1927
    """

    def __init__(
        self, reduction: str | None = _SUM, name: str = "kl_divergence", dtype: DTypeLike | None = None
    ) -> None:
        super().__init__(kl_divergence, reduction, name, dtype)


@exported(MODULE)
class Poisson(LossFunctionWrapper):
    """Loss of counts, mean(p - t * log(p)); see `poisson`.

    Args:
        reduction: "sum_over_batch_size", "mean", "sum", "mean_with_sample_weight", "none" or None; see
            `Loss`.
        name: Name of the loss.
        dtype: Dtype of the arithmetic and of the result; None for `hornbeam.config.floatx()`.

    Example:
        >>> round(float(Poisson()([[2.0]], [[1.5]])), 4)
        0.6891
    """

    def __init__(
        self, reduction: str | None = _SUM, name: str = "poisson", dtype: DTypeLike | None = None
    ) -> None:
        super().__init__(poisson, reduction, name, dtype)


@exported(MODULE)
class CosineSimilarity(LossFunctionWrapper):
    """Negative cosine of the angle between targets and predictions; see `cosine_similarity`.

    Args:
        axis: Integer, the axis of the vectors.
        reduction: "sum_over_batch_size", "mean", "sum", "mean_with_sample_weight", "none" or None; see
            `Loss`.
        name: Name of the loss.
        dtype: Dtype of the arithmetic and of the result; None for `hornbeam.config.floatx()`.

    Example:
        >>> round(float(CosineSimilarity(axis=-1)([[0.0, 1.0]], [[1.0, 1.0]])), 4)
        -0.7071
    """

    def __init__(
        self,
        axis: int = -1,
        reduction: str | None = _SUM,
        name: str = "cosine_similarity",
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__(cosine_similarity, reduction, name, dtype, axis=check_axes("axis", axis))


@exported(MODULE)
class Hinge(LossFunctionWrapper):
    """Mean of max(0, 1 - t * p) for labels -1 and 1; see `hinge`.

    Args:
        reduction: "sum_over_batch_size", "mean", "sum", "mean_with_sample_weight", "none" or None; see
            `Loss`.
        name: Name of the loss.
        dtype: Dtype of the arithmetic and of the result; None for `hornbeam.config.floatx()`.

    Example:
        >>> round(float(Hinge()([[-1.0, 1.0]], [[0.5, 0.5]])), 4)
        1.0
    """

    def __init__(
        self, reduction: str | None = _SUM, name: str = "hinge", dtype: DTypeLike | None = None
    ) -> None:
        super().__init__(hinge, reduction, name, dtype)


@exported(MODULE)
class SquaredHinge(LossFunctionWrapper):
    """Mean of max(0, 1 - t * p)**2 for labels -1 and 1; see `squared_hinge`.

    Args:
        reduction: "sum_over_batch_size", "mean", "sum", "mean_with_sample_weight", "none" or None; see
            `Loss`.
        name: Name of the loss.
        dtype: Dtype of the arithmetic and of the result; None for `hornbeam.config.floatx()`.

    Example:
        >>> round(float(SquaredHinge()([[-1.0, 1.0]], [[0.5, 0.5]])), 4)
        1.25
    """

    def __init__(
        self, reduction: str | None = _SUM, name: str = "squared_hinge", dtype: DTypeLike | None = None
    ) -> None:
        super().__init__(squared_hinge, reduction, name, dtype)


@exported(MODULE)
class CategoricalHinge(LossFunctionWrapper):
    """Margin of the true class over the best wrong one, for one-hot targets; see `categorical_hinge`.

    Args:
        reduction: "sum_over_batch_size", "mean", "sum", "mean_with_sample_weight", "none" or None; see
            `Loss`.
        name: Name of the loss.
        dtype: Dtype of the arithmetic and of the result; None for `hornbeam.config.floatx()`.

    Example:
        >>> round(float(CategoricalHinge()([[0.0, 1.0]], [[0.3, 0.9]])), 4)
        0.4
    """

    def __init__(
        self, reduction: str | None = _SUM, name: str = "categorical_hinge", dtype: DTypeLike | None = None
    ) -> None:
        super().__init__(categorical_hinge, reduction, name, dtype)
