"""Means and sums, and the wrapper that makes a metric from a function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from hornbeam import ops
from hornbeam._internal.origin import is_own
from hornbeam._internal.typing import DTypeLike
from hornbeam._internal.validation import check_callable
from hornbeam.core import registry
from hornbeam.core.registry import exported
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import Self, TensorLike
from hornbeam.ir.sizes import same_shape
from hornbeam.losses.shapes import as_weights
from hornbeam.metrics.metric import MODULE, Metric
from hornbeam.ops._common import HALF


def per_sample(
    values: TensorLike, sample_weight: TensorLike | None, reduce: Callable[..., Tensor], dtype: str, name: str
) -> tuple[Tensor, Tensor | None]:
    """Return weighted values, one per sample, and their weights (None for weights of 1).

    Axes after the batch are reduced by `reduce`. Weights have the shape of a leading part of the values'
    shape. They are multiplied by the mask of the values, if any; without weights all values count, as in
    Keras.
    """
    mask = getattr(values, "_keras_mask", None)
    values = ops.cast(values, dtype)
    weights = (
        None
        if sample_weight is None
        else as_weights(ops.cast(sample_weight, dtype), values.shape, "sample_weight", name)
    )
    if weights is not None:
        if mask is not None and same_shape(values.shape[: len(mask.shape)], tuple(mask.shape)):
            weights = weights * as_weights(ops.cast(mask, dtype), values.shape, "mask", name)
        weights = ops.broadcast_to(weights, values.shape)
        values = values * weights
    trailing_axes = tuple(range(1, len(values.shape)))
    if trailing_axes:
        values = reduce(values, axis=trailing_axes)
        weights = None if weights is None else reduce(weights, axis=trailing_axes)
    return values, weights


def masked_weights(
    sample_weight: TensorLike | None, y_pred: TensorLike, values: Tensor, dtype: str, name: str
) -> TensorLike | None:
    """Return weights of `values` that are 0 where the mask of the predictions excludes them."""
    mask = getattr(y_pred, "_keras_mask", None)
    if mask is None or values.shape[: len(mask.shape)] != tuple(mask.shape):
        return sample_weight
    present = ops.cast(mask, dtype)
    if sample_weight is None:
        return present
    weights = as_weights(ops.cast(sample_weight, dtype), values.shape, "sample_weight", name)
    return weights * as_weights(present, values.shape, "mask", name)


@exported(MODULE)
class Sum(Metric):
    """Weighted sum of all values.

    Args:
        name: Key in the logs.
        dtype: Dtype of the variables and of the result; None for `hornbeam.config.floatx()`.

    Example:
        >>> m = Sum(); m.update_state([1.0, 3.0]); float(m.result())
        4.0
    """

    def __init__(self, name: str = "sum", dtype: DTypeLike | None = None) -> None:
        super().__init__(dtype, name)
        self.total = self.add_variable((), name="total")

    def update_state(self, values: TensorLike, sample_weight: TensorLike | None = None) -> None:
        """Add a batch of values.

        Args:
            values: Tensor (batch, ...).
            sample_weight: Tensor (batch,), or of any leading part of the shape of the values, or None.
        """
        values, _ = per_sample(values, sample_weight, ops.sum, self.dtype, self.name)
        self.total.assign_add(ops.sum(values))

    def result(self) -> Tensor:
        return self.total.value


@exported(MODULE)
class Mean(Metric):
    """Weighted mean of all values; 0 before the first update.

    Args:
        name: Key in the logs.
        dtype: Dtype of the variables and of the result; None for `hornbeam.config.floatx()`.

    Example:
        >>> m = Mean(); m.update_state([1.0, 3.0]); float(m.result())
        2.0
    """

    def __init__(self, name: str = "mean", dtype: DTypeLike | None = None) -> None:
        super().__init__(dtype, name)
        self.total = self.add_variable((), name="total")
        self.count = self.add_variable((), name="count")

    def update_state(self, values: TensorLike, sample_weight: TensorLike | None = None) -> None:
        """Add a batch of values.

        Args:
            values: Tensor (batch, ...), or a scalar, which counts as one value.
            sample_weight: Tensor (batch,), or of any leading part of the shape of the values, or None.
        """
        values, weights = per_sample(values, sample_weight, ops.mean, self.dtype, self.name)
        self.total.assign_add(ops.sum(values))
        self.count.assign_add(values.size if weights is None else ops.sum(weights))

    def result(self) -> Tensor:
        return ops.divide_no_nan(self.total, self.count)


@exported(MODULE)
class MeanMetricWrapper(Mean):
    """Mean of a function `fn(y_true, y_pred, **kwargs)` over all samples.

    Values that the mask of the predictions excludes do not count.

    Args:
        fn: Function of targets and predictions that returns one value per sample.
        name: Key in the logs; None for the name of `fn`.
        dtype: Dtype of the variables and of the result; None for `hornbeam.config.floatx()`.
        **kwargs: Further arguments of `fn`.

    Example:
        >>> MeanMetricWrapper(hornbeam.losses.mean_squared_error, name="mse")
        <MeanMetricWrapper name=mse>
    """

    def __init__(
        self, fn: Callable[..., Any], name: str | None = None, dtype: DTypeLike | None = None, **kwargs: Any
    ) -> None:
        check_callable("fn", fn)
        super().__init__(name or str(getattr(fn, "__name__", "mean_metric_wrapper")), dtype)
        self._fn = fn
        self._fn_kwargs = kwargs

    def update_state(  # type: ignore[override]
        self, y_true: TensorLike, y_pred: TensorLike, sample_weight: TensorLike | None = None
    ) -> None:
        """Add a batch of targets and predictions.

        Args:
            y_true: Tensor of targets, of any shape.
            y_pred: Tensor of predictions, of the shape of `y_true`.
            sample_weight: Tensor (batch,), or of any leading part of the shape of the values, or None.

        Raises:
            ValueError: If the function of the metric returns None.
        """
        predictions = _precise(y_pred, self.dtype) if is_own(self._fn) else y_pred
        result = self._fn(y_true, predictions, **self._fn_kwargs)
        if result is None:
            raise ValueError(f"the metric {self.name!r} returned None: is a `return` missing?")
        values = ops.convert_to_tensor(result)
        weights = masked_weights(sample_weight, y_pred, values, self.dtype, self.name)
        super().update_state(values, weights)

    def get_config(self) -> dict[str, Any]:
        config = {"fn": self._fn} if type(self) is MeanMetricWrapper else {}
        return {**self._base_config(), **config, **self._fn_kwargs}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        arguments = {key: registry.deserialize(value) for key, value in config.items()}
        if isinstance(arguments.get("fn"), str):
            arguments["fn"] = function_named(arguments["fn"])
        return cls(**arguments)


def _precise(y_pred: TensorLike, dtype: str) -> Tensor:
    """Convert predictions of half precision, whose errors it does not hold, to the dtype of the metric."""
    y_pred = ops.convert_to_tensor(y_pred)
    return ops.cast(y_pred, dtype) if y_pred.dtype in HALF else y_pred


def function_named(name: str) -> Callable[..., Any]:
    """Return a function of targets and predictions by name."""
    for module in (MODULE, "keras.losses"):
        if name in registry.names_in(module):
            return registry.resolve(name, module, "metric")
    return registry.resolve(name, MODULE, "metric")
