"""Losses as metrics: their unweighted mean over all samples, for the logs."""

from __future__ import annotations

from hornbeam import losses, ops
from hornbeam._internal.typing import DTypeLike
from hornbeam.core.registry import exported
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import TensorLike
from hornbeam.losses.regression import unit
from hornbeam.losses.shapes import pair
from hornbeam.metrics.metric import MODULE
from hornbeam.metrics.reduction import Mean, MeanMetricWrapper, masked_weights


@exported(MODULE, "mse", "MSE")
class MeanSquaredError(MeanMetricWrapper):
    """Mean squared error, mean((t - p)**2); see `losses.mean_squared_error`.

    Args:
        name: Key in the logs.
        dtype: Dtype of the variables and of the result; None for `hornbeam.config.floatx()`.

    Example:
        >>> m = MeanSquaredError(); m.update_state([[0.0], [1.0]], [[1.0], [1.0]]); float(m.result())
        0.5
    """

    def __init__(self, name: str = "mean_squared_error", dtype: DTypeLike | None = None) -> None:
        super().__init__(losses.mean_squared_error, name, dtype)


@exported(MODULE)
class RootMeanSquaredError(Mean):
    """Root mean squared error, sqrt(mean((t - p)**2)), in the units of the targets.

    Args:
        name: Key in the logs.
        dtype: Dtype of the variables and of the result; None for `hornbeam.config.floatx()`.

    Example:
        >>> m = RootMeanSquaredError(); m.update_state([[3.0]], [[1.0]]); float(m.result())
        2.0
    """

    def __init__(self, name: str = "root_mean_squared_error", dtype: DTypeLike | None = None) -> None:
        super().__init__(name, dtype)

    def update_state(  # type: ignore[override]
        self, y_true: TensorLike, y_pred: TensorLike, sample_weight: TensorLike | None = None
    ) -> None:
        """Add a batch of targets and predictions.

        Args:
            y_true: Tensor of targets, of any shape.
            y_pred: Tensor of predictions, of the shape of `y_true`.
            sample_weight: Tensor (batch,), or of any leading part of the shape of the values, or None.
        """
        y_true, predictions = pair(y_true, ops.cast(y_pred, self.dtype), self.name)
        squares = ops.square(predictions - y_true)
        weights = masked_weights(sample_weight, y_pred, squares, self.dtype, self.name)
        super().update_state(squares, weights)

    def result(self) -> Tensor:
        return ops.sqrt(super().result())


@exported(MODULE, "mae", "MAE")
class MeanAbsoluteError(MeanMetricWrapper):
    """Mean absolute error, mean(|t - p|); see `losses.mean_absolute_error`.

    Args:
        name: Key in the logs.
        dtype: Dtype of the variables and of the result; None for `hornbeam.config.floatx()`.

    Example:
        >>> m = MeanAbsoluteError(); m.update_state([[0.0], [1.0]], [[1.0], [1.0]]); float(m.result())
        0.5
    """

    def __init__(self, name: str = "mean_absolute_error", dtype: DTypeLike | None = None) -> None:
        super().__init__(losses.mean_absolute_error, name, dtype)


@exported(MODULE, "mape", "MAPE")
class MeanAbsolutePercentageError(MeanMetricWrapper):
    """Mean absolute percentage error; see `losses.mean_absolute_percentage_error`.

    Args:
        name: Key in the logs.
        dtype: Dtype of the variables and of the result; None for `hornbeam.config.floatx()`.

    Example:
        >>> m = MeanAbsolutePercentageError(); m.update_state([[2.0]], [[1.0]]); float(m.result())
        50.0
    """

    def __init__(self, name: str = "mean_absolute_percentage_error", dtype: DTypeLike | None = None) -> None:
        super().__init__(losses.mean_absolute_percentage_error, name, dtype)


@exported(MODULE, "msle", "MSLE")
class MeanSquaredLogarithmicError(MeanMetricWrapper):
    """Mean of (log(1 + t) - log(1 + p))**2; see `losses.mean_squared_logarithmic_error`.

    Args:
        name: Key in the logs.
        dtype: Dtype of the variables and of the result; None for `hornbeam.config.floatx()`.

    Example:
        >>> m = MeanSquaredLogarithmicError(); m.update_state([[2.0]], [[2.0]]); float(m.result())
        0.0
    """

    def __init__(self, name: str = "mean_squared_logarithmic_error", dtype: DTypeLike | None = None) -> None:
        super().__init__(losses.mean_squared_logarithmic_error, name, dtype)


@exported(MODULE)
class LogCoshError(MeanMetricWrapper):
    """Mean of log(cosh(p - t)); see `losses.log_cosh`.

    Args:
        name: Key in the logs.
        dtype: Dtype of the variables and of the result; None for `hornbeam.config.floatx()`.

    Example:
        >>> m = LogCoshError(); m.update_state([[2.0]], [[2.0]]); round(float(m.result()), 6)
        0.0
    """

    def __init__(self, name: str = "logcosh", dtype: DTypeLike | None = None) -> None:
        super().__init__(losses.log_cosh, name, dtype)


@exported(MODULE)
class KLDivergence(MeanMetricWrapper):
    """Divergence sum(t * log(t / p)) of two distributions; see `losses.kl_divergence`.

    Args:
        name: Key in the logs.
        dtype: Dtype of the variables and of the result; None for `hornbeam.config.floatx()`.

    Example:
        >>> m = KLDivergence(); m.update_state([[0.5, 0.5]], [[0.5, 0.5]]); float(m.result())
        0.0
    """

    def __init__(self, name: str = "kl_divergence", dtype: DTypeLike | None = None) -> None:
        super().__init__(losses.kl_divergence, name, dtype)


@exported(MODULE)
class Poisson(MeanMetricWrapper):
    """Mean of p - t * log(p); see `losses.poisson`.

    Args:
        name: Key in the logs.
        dtype: Dtype of the variables and of the result; None for `hornbeam.config.floatx()`.

    Example:
        >>> m = Poisson(); m.update_state([[0.0]], [[1.0]]); float(m.result())
        1.0
    """

    def __init__(self, name: str = "poisson", dtype: DTypeLike | None = None) -> None:
        super().__init__(losses.poisson, name, dtype)


@exported(MODULE)
class Hinge(MeanMetricWrapper):
    """Mean of max(0, 1 - t * p); see `losses.hinge`.

    Args:
        name: Key in the logs.
        dtype: Dtype of the variables and of the result; None for `hornbeam.config.floatx()`.

    Example:
        >>> m = Hinge(); m.update_state([[-1.0]], [[-0.5]]); float(m.result())
        0.5
    """

    def __init__(self, name: str = "hinge", dtype: DTypeLike | None = None) -> None:
        super().__init__(losses.hinge, name, dtype)


@exported(MODULE)
class SquaredHinge(MeanMetricWrapper):
    """Mean of max(0, 1 - t * p)**2; see `losses.squared_hinge`.

    Args:
        name: Key in the logs.
        dtype: Dtype of the variables and of the result; None for `hornbeam.config.floatx()`.

    Example:
        >>> m = SquaredHinge(); m.update_state([[-1.0]], [[-0.5]]); float(m.result())
        0.25
    """

    def __init__(self, name: str = "squared_hinge", dtype: DTypeLike | None = None) -> None:
        super().__init__(losses.squared_hinge, name, dtype)


@exported(MODULE)
class CategoricalHinge(MeanMetricWrapper):
    """Margin of the true class over the best wrong one; see `losses.categorical_hinge`.

    Args:
        name: Key in the logs.
        dtype: Dtype of the variables and of the result; None for `hornbeam.config.floatx()`.

    Example:
        >>> m = CategoricalHinge(); m.update_state([[0.0, 1.0]], [[0.0, 1.0]]); float(m.result())
        0.0
    """

    def __init__(self, name: str = "categorical_hinge", dtype: DTypeLike | None = None) -> None:
        super().__init__(losses.categorical_hinge, name, dtype)


def cosine_similarity(y_true: TensorLike, y_pred: TensorLike, axis: int = -1) -> Tensor:
    """Compute the cosine of the angle between targets and predictions: 1 is best (the loss is its negative).

    Args:
        y_true: Tensor of targets, of any shape.
        y_pred: Tensor of predictions, of the shape of `y_true`.
        axis: Integer, the axis of the vectors.

    Returns:
        Tensor without `axis`.
    """
    y_true, y_pred = pair(y_true, y_pred, "cosine_similarity")
    return ops.sum(unit(y_true, axis) * unit(y_pred, axis), axis=axis)


@exported(MODULE)
class CosineSimilarity(MeanMetricWrapper):
    """Cosine of the angle between targets and predictions: 1 for the same direction, -1 for the opposite.

    Args:
        name: Key in the logs.
        dtype: Dtype of the variables and of the result; None for `hornbeam.config.floatx()`.
        axis: Integer, the axis of the vectors.

    Example:
        >>> m = CosineSimilarity(); m.update_state([[0.0, 1.0]], [[0.0, 2.0]]); float(m.result())
        1.0
    """

    def __init__(
        self, name: str = "cosine_similarity", dtype: DTypeLike | None = None, axis: int = -1
    ) -> None:
        super().__init__(cosine_similarity, name, dtype, axis=axis)


@exported(MODULE, "bce", "BCE")
class BinaryCrossentropy(MeanMetricWrapper):
    """Cross-entropy mean(-t * log p - (1 - t) * log(1 - p)); see `losses.binary_crossentropy`.

    Args:
        name: Key in the logs.
        dtype: Dtype of the variables and of the result; None for `hornbeam.config.floatx()`.
        from_logits: Whether predictions are logits instead of probabilities.
        label_smoothing: Number in [0, 1]; targets are moved by this fraction toward the uniform distribution.

    Example:
        >>> m = BinaryCrossentropy(); m.update_state([[1.0]], [[0.5]]); round(float(m.result()), 3)
        0.693
    """

    def __init__(
        self,
        name: str = "binary_crossentropy",
        dtype: DTypeLike | None = None,
        from_logits: bool = False,
        label_smoothing: float = 0,
    ) -> None:
        options = {"from_logits": from_logits, "label_smoothing": label_smoothing}
        super().__init__(losses.binary_crossentropy, name, dtype, **options)


@exported(MODULE)
class CategoricalCrossentropy(MeanMetricWrapper):
    """Cross-entropy for one-hot targets; see `losses.categorical_crossentropy`.

    Args:
        name: Key in the logs.
        dtype: Dtype of the variables and of the result; None for `hornbeam.config.floatx()`.
        from_logits: Whether predictions are logits instead of probabilities.
        label_smoothing: Number in [0, 1]; targets are moved by this fraction toward the uniform distribution.
        axis: Integer, the axis of the classes.

    Example:
        >>> m = CategoricalCrossentropy(); m.update_state([[0.0, 1.0]], [[0.5, 0.5]])
        >>> round(float(m.result()), 3)
        0.693
    """

    def __init__(
        self,
        name: str = "categorical_crossentropy",
        dtype: DTypeLike | None = None,
        from_logits: bool = False,
        label_smoothing: float = 0,
        axis: int = -1,
    ) -> None:
        options = {"from_logits": from_logits, "label_smoothing": label_smoothing, "axis": axis}
        super().__init__(losses.categorical_crossentropy, name, dtype, **options)


@exported(MODULE)
class SparseCategoricalCrossentropy(MeanMetricWrapper):
    """Cross-entropy for class indices; see `losses.sparse_categorical_crossentropy`.

    Args:
        name: Key in the logs.
        dtype: Dtype of the variables and of the result; None for `hornbeam.config.floatx()`.
        from_logits: Whether predictions are logits instead of probabilities.
        ignore_class: Integer, the class whose samples do not count, or None.
        axis: Integer, the axis of the classes.

    Example:
        >>> m = SparseCategoricalCrossentropy(); m.update_state([1], [[0.5, 0.5]])
        >>> round(float(m.result()), 3)
        0.693
    """

    def __init__(
        self,
        name: str = "sparse_categorical_crossentropy",
        dtype: DTypeLike | None = None,
        from_logits: bool = False,
        ignore_class: int | None = None,
        axis: int = -1,
    ) -> None:
        options = {"from_logits": from_logits, "ignore_class": ignore_class, "axis": axis}
        super().__init__(losses.sparse_categorical_crossentropy, name, dtype, **options)
