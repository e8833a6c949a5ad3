"""Losses as metrics: their unweighted mean over all samples, in the logs beside the loss."""

from __future__ import annotations

from typing import Any

from hornbeam import losses, ops
from hornbeam.core.registry import exported
from hornbeam.core.tensor import Tensor
from hornbeam.losses.regression import unit
from hornbeam.losses.shapes import pair
from hornbeam.metrics.metric import MODULE
from hornbeam.metrics.reduction import Mean, MeanMetricWrapper


@exported(MODULE, "mse", "MSE")
class MeanSquaredError(MeanMetricWrapper):
    """mean((t - p)**2) over all elements; see `losses.mean_squared_error`.

    >>> m = MeanSquaredError(); m.update_state([[0.0], [1.0]], [[1.0], [1.0]]); float(m.result())
    0.5
    """

    def __init__(self, name: str = "mean_squared_error", dtype: Any = None) -> None:
        super().__init__(losses.mean_squared_error, name, dtype)


@exported(MODULE)
class RootMeanSquaredError(Mean):
    """sqrt(mean((t - p)**2)) over all elements: in the units of the targets.

    >>> m = RootMeanSquaredError(); m.update_state([[3.0]], [[1.0]]); float(m.result())
    2.0
    """

    def __init__(self, name: str = "root_mean_squared_error", dtype: Any = None) -> None:
        super().__init__(name, dtype)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:  # type: ignore[override]
        """Take in targets and predictions of a batch."""
        mask = getattr(y_pred, "_keras_mask", None)
        y_true, y_pred = pair(y_true, ops.cast(y_pred, self.dtype), self.name)
        squares = ops.square(y_pred - y_true)
        squares._keras_mask = mask
        super().update_state(squares, sample_weight)

    def result(self) -> Tensor:
        return ops.sqrt(super().result())


@exported(MODULE, "mae", "MAE")
class MeanAbsoluteError(MeanMetricWrapper):
    """mean(|t - p|) over all elements; see `losses.mean_absolute_error`.

    >>> m = MeanAbsoluteError(); m.update_state([[0.0], [1.0]], [[1.0], [1.0]]); float(m.result())
    0.5
    """

    def __init__(self, name: str = "mean_absolute_error", dtype: Any = None) -> None:
        super().__init__(losses.mean_absolute_error, name, dtype)


@exported(MODULE, "mape", "MAPE")
class MeanAbsolutePercentageError(MeanMetricWrapper):
    """100 * mean(|t - p| / |t|); see `losses.mean_absolute_percentage_error`.

    >>> m = MeanAbsolutePercentageError(); m.update_state([[2.0]], [[1.0]]); float(m.result())
    50.0
    """

    def __init__(self, name: str = "mean_absolute_percentage_error", dtype: Any = None) -> None:
        super().__init__(losses.mean_absolute_percentage_error, name, dtype)


@exported(MODULE, "msle", "MSLE")
class MeanSquaredLogarithmicError(MeanMetricWrapper):
    """mean((log(1 + t) - log(1 + p))**2); see `losses.mean_squared_logarithmic_error`.

    >>> m = MeanSquaredLogarithmicError(); m.update_state([[2.0]], [[2.0]]); float(m.result())
    0.0
    """

    def __init__(self, name: str = "mean_squared_logarithmic_error", dtype: Any = None) -> None:
        super().__init__(losses.mean_squared_logarithmic_error, name, dtype)


@exported(MODULE)
class LogCoshError(MeanMetricWrapper):
    """mean(log(cosh(p - t))); see `losses.log_cosh`.

    >>> m = LogCoshError(); m.update_state([[2.0]], [[2.0]]); round(float(m.result()), 6)
    0.0
    """

    def __init__(self, name: str = "logcosh", dtype: Any = None) -> None:
        super().__init__(losses.log_cosh, name, dtype)


@exported(MODULE)
class KLDivergence(MeanMetricWrapper):
    """sum(t * log(t / p)) of two distributions; see `losses.kl_divergence`.

    >>> m = KLDivergence(); m.update_state([[0.5, 0.5]], [[0.5, 0.5]]); float(m.result())
    0.0
    """

    def __init__(self, name: str = "kl_divergence", dtype: Any = None) -> None:
        super().__init__(losses.kl_divergence, name, dtype)


@exported(MODULE)
class Poisson(MeanMetricWrapper):
    """mean(p - t * log(p)); see `losses.poisson`.

    >>> m = Poisson(); m.update_state([[0.0]], [[1.0]]); float(m.result())
    1.0
    """

    def __init__(self, name: str = "poisson", dtype: Any = None) -> None:
        super().__init__(losses.poisson, name, dtype)


@exported(MODULE)
class Hinge(MeanMetricWrapper):
    """mean(max(0, 1 - t * p)); see `losses.hinge`.

    >>> m = Hinge(); m.update_state([[-1.0]], [[-0.5]]); float(m.result())
    0.5
    """

    def __init__(self, name: str = "hinge", dtype: Any = None) -> None:
        super().__init__(losses.hinge, name, dtype)


@exported(MODULE)
class SquaredHinge(MeanMetricWrapper):
    """mean(max(0, 1 - t * p)**2); see `losses.squared_hinge`.

    >>> m = SquaredHinge(); m.update_state([[-1.0]], [[-0.5]]); float(m.result())
    0.25
    """

    def __init__(self, name: str = "squared_hinge", dtype: Any = None) -> None:
        super().__init__(losses.squared_hinge, name, dtype)


@exported(MODULE)
class CategoricalHinge(MeanMetricWrapper):
    """Margin of the right class over the best wrong one; see `losses.categorical_hinge`.

    >>> m = CategoricalHinge(); m.update_state([[0.0, 1.0]], [[0.0, 1.0]]); float(m.result())
    0.0
    """

    def __init__(self, name: str = "categorical_hinge", dtype: Any = None) -> None:
        super().__init__(losses.categorical_hinge, name, dtype)


def cosine_similarity(y_true: Any, y_pred: Any, axis: int = -1) -> Tensor:
    """The cosine between targets and predictions along `axis`: 1 is best (the loss is minus this)."""
    y_true, y_pred = pair(y_true, y_pred, "cosine_similarity")
    return ops.sum(unit(y_true, axis) * unit(y_pred, axis), axis=axis)


@exported(MODULE)
class CosineSimilarity(MeanMetricWrapper):
    """The cosine between targets and predictions: 1 for the same direction, -1 for the opposite one.

    >>> m = CosineSimilarity(); m.update_state([[0.0, 1.0]], [[0.0, 2.0]]); float(m.result())
    1.0
    """

    def __init__(self, name: str = "cosine_similarity", dtype: Any = None, axis: int = -1) -> None:
        super().__init__(cosine_similarity, name, dtype, axis=axis)


@exported(MODULE, "bce", "BCE")
class BinaryCrossentropy(MeanMetricWrapper):
    """mean(-t * log p - (1 - t) * log(1 - p)); see `losses.binary_crossentropy`.

    >>> m = BinaryCrossentropy(); m.update_state([[1.0]], [[0.5]]); round(float(m.result()), 3)
    0.693
    """

    def __init__(
        self,
        name: str = "binary_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        label_smoothing: float = 0,
    ) -> None:
        options = {"from_logits": from_logits, "label_smoothing": label_smoothing}
        super().__init__(losses.binary_crossentropy, name, dtype, **options)


@exported(MODULE)
class CategoricalCrossentropy(MeanMetricWrapper):
    """-sum(t * log p) for one-hot targets; see `losses.categorical_crossentropy`.

    >>> m = CategoricalCrossentropy(); m.update_state([[0.0, 1.0]], [[0.5, 0.5]]); round(float(m.result()), 3)
    0.693
    """

    def __init__(
        self,
        name: str = "categorical_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        label_smoothing: float = 0,
        axis: int = -1,
    ) -> None:
        options = {"from_logits": from_logits, "label_smoothing": label_smoothing, "axis": axis}
        super().__init__(losses.categorical_crossentropy, name, dtype, **options)


@exported(MODULE)
class SparseCategoricalCrossentropy(MeanMetricWrapper):
    """-log p of the right class, for class numbers; see `losses.sparse_categorical_crossentropy`.

    >>> m = SparseCategoricalCrossentropy(); m.update_state([1], [[0.5, 0.5]]); round(float(m.result()), 3)
    0.693
    """

    def __init__(
        self,
        name: str = "sparse_categorical_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        ignore_class: int | None = None,
        axis: int = -1,
    ) -> None:
        options = {"from_logits": from_logits, "ignore_class": ignore_class, "axis": axis}
        super().__init__(losses.sparse_categorical_crossentropy, name, dtype, **options)
