"""Metrics, with Keras's names: state that updates add to, and a result over all batches."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, overload

from hornbeam._internal.lazy_imports import explain_missing
from hornbeam._internal.naming import to_snake_case
from hornbeam._internal.typing import Config, ShapeLike
from hornbeam.core import registry
from hornbeam.losses import (
    binary_crossentropy,
    binary_focal_crossentropy,
    categorical_crossentropy,
    categorical_focal_crossentropy,
    categorical_hinge,
    hinge,
    huber,
    kl_divergence,
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
    poisson,
    sparse_categorical_crossentropy,
    squared_hinge,
)
from hornbeam.metrics.accuracy import (
    Accuracy,
    BinaryAccuracy,
    CategoricalAccuracy,
    SparseCategoricalAccuracy,
    SparseTopKCategoricalAccuracy,
    TopKCategoricalAccuracy,
    binary_accuracy,
    categorical_accuracy,
    kind_of_labels,
    sparse_categorical_accuracy,
    sparse_top_k_categorical_accuracy,
    top_k_categorical_accuracy,
)
from hornbeam.metrics.auc import AUC
from hornbeam.metrics.confusion import (
    FalseNegatives,
    FalsePositives,
    Precision,
    PrecisionAtRecall,
    Recall,
    RecallAtPrecision,
    SensitivityAtSpecificity,
    SpecificityAtSensitivity,
    TrueNegatives,
    TruePositives,
)
from hornbeam.metrics.iou import BinaryIoU, IoU, MeanIoU, OneHotIoU, OneHotMeanIoU
from hornbeam.metrics.losses_as_metrics import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    CategoricalHinge,
    CosineSimilarity,
    Hinge,
    KLDivergence,
    LogCoshError,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    Poisson,
    RootMeanSquaredError,
    SparseCategoricalCrossentropy,
    SquaredHinge,
)
from hornbeam.metrics.metric import MODULE, Metric
from hornbeam.metrics.reduction import Mean, MeanMetricWrapper, Sum
from hornbeam.metrics.scores import (
    ConcordanceCorrelation,
    F1Score,
    FBetaScore,
    PearsonCorrelation,
    R2Score,
    concordance_correlation,
    pearson_correlation,
)

if TYPE_CHECKING:
    from hornbeam.metrics.metric import MetricLike

# Names of Keras that are missing, with the reason: none.
_MISSING: dict[str, str] = {}

_BY_KIND: dict[tuple[str, str], type[Metric]] = {
    ("accuracy", "binary"): BinaryAccuracy,
    ("accuracy", "categorical"): CategoricalAccuracy,
    ("accuracy", "sparse_categorical"): SparseCategoricalAccuracy,
    ("crossentropy", "binary"): BinaryCrossentropy,
    ("crossentropy", "categorical"): CategoricalCrossentropy,
    ("crossentropy", "sparse_categorical"): SparseCategoricalCrossentropy,
}
_SHAPED = {"accuracy": "accuracy", "acc": "accuracy", "crossentropy": "crossentropy", "ce": "crossentropy"}


def for_string(name: str, y_true_shape: ShapeLike, y_pred_shape: ShapeLike, **options: Any) -> Metric:
    """Return the metric that `compile(metrics=[name])` means for targets and predictions of given shapes.

    "accuracy" (or "acc") and "crossentropy" (or "ce") become the binary, categorical or sparse variant and
    keep the name that was written; every other name goes to `get`.

    Args:
        name: Name of the metric.
        y_true_shape: Shape of the targets.
        y_pred_shape: Shape of the predictions.
        **options: Further arguments of the metric.

    Returns:
        Metric.

    Raises:
        ShapeError: If the shapes fit no variant.
        UnknownObjectError: If the name is unknown.

    Example:
        >>> for_string("accuracy", (None, 10), (None, 10))
        <CategoricalAccuracy name=accuracy>
    """
    if name.lower() not in _SHAPED:
        return get(name)
    kind = kind_of_labels(y_true_shape, y_pred_shape)
    return _BY_KIND[_SHAPED[name.lower()], kind](name=name, **options)


def serialize(metric: MetricLike) -> str | Config:
    """Convert a metric to a config; its totals are not included.

    Args:
        metric: Metric or metric function.

    Returns:
        Dict for an object, name for a function of this module.
    """
    return registry.serialize(metric)


def deserialize(
    config: str | Config, custom_objects: Mapping[str, Any] | None = None
) -> Metric | Callable[..., Any]:
    """Build the metric that a config or a name describes.

    Args:
        config: Config or name.
        custom_objects: Classes and functions by name, in addition to the registered ones.

    Returns:
        Metric or function.

    Raises:
        UnknownObjectError: If a name is unknown.
    """
    return get(config) if isinstance(config, str) else registry.deserialize(config, custom_objects)


@overload
def get(identifier: None) -> None: ...
@overload
def get(identifier: str | Config | Metric | type[Metric]) -> Metric: ...
@overload
def get(identifier: Callable[..., Any]) -> Callable[..., Any]: ...
def get(identifier: MetricLike | type | None) -> Metric | Callable[..., Any] | None:
    """Return the metric for an identifier.

    Args:
        identifier: Name such as "mse" or "auc", config, class, metric, function, or None.

    Returns:
        Metric, function, or None.

    Raises:
        UnknownObjectError: If the name is unknown; the message suggests the nearest one.
        ValueError: If the identifier is not a metric.

    Example:
        >>> get("mse")
        <MeanSquaredError name=mean_squared_error>
    """
    if isinstance(identifier, str):
        identifier = _class_named(identifier) or identifier
    metric = registry.resolve(identifier, MODULE, "metric")
    if (
        metric is not None
        and not isinstance(metric, Metric)
        and (inspect.isclass(metric) or not callable(metric))
    ):
        raise ValueError(
            f"{identifier!r} is not a metric: pass a name such as 'accuracy', a function or a Metric"
        )
    return metric


def _class_named(name: str) -> type[Metric] | None:
    """Return the class with a name that a class and a function share in snake case."""
    for known in registry.names_in(MODULE):
        target = registry._TABLE[MODULE, known]
        if (
            inspect.isclass(target)
            and issubclass(target, Metric)
            and name in (known, to_snake_case(known), known.lower())
        ):
            return target
    return None


__all__ = [
    "AUC", "Accuracy", "BinaryAccuracy", "BinaryCrossentropy", "BinaryIoU", "CategoricalAccuracy",
    "CategoricalCrossentropy", "CategoricalHinge", "ConcordanceCorrelation", "CosineSimilarity", "F1Score",
    "FBetaScore", "FalseNegatives", "FalsePositives", "Hinge", "IoU", "KLDivergence", "LogCoshError", "Mean",
    "MeanAbsoluteError", "MeanAbsolutePercentageError", "MeanIoU", "MeanMetricWrapper", "MeanSquaredError",
    "MeanSquaredLogarithmicError", "Metric", "OneHotIoU", "OneHotMeanIoU", "PearsonCorrelation", "Poisson",
    "Precision", "PrecisionAtRecall", "R2Score", "Recall", "RecallAtPrecision", "RootMeanSquaredError",
    "SensitivityAtSpecificity", "SparseCategoricalAccuracy", "SparseCategoricalCrossentropy",
    "SparseTopKCategoricalAccuracy", "SpecificityAtSensitivity", "SquaredHinge", "Sum",
    "TopKCategoricalAccuracy", "TrueNegatives", "TruePositives", "binary_accuracy", "binary_crossentropy",
    "binary_focal_crossentropy", "categorical_accuracy", "categorical_crossentropy",
    "categorical_focal_crossentropy", "categorical_hinge", "concordance_correlation", "deserialize",
    "for_string", "get", "hinge", "huber", "kl_divergence", "log_cosh", "mean_absolute_error",
    "mean_absolute_percentage_error", "mean_squared_error", "mean_squared_logarithmic_error",
    "pearson_correlation", "poisson", "serialize", "sparse_categorical_accuracy",
    "sparse_categorical_crossentropy", "sparse_top_k_categorical_accuracy", "squared_hinge",
    "top_k_categorical_accuracy",
]  # fmt: skip


explain_missing(__name__, _MISSING)
