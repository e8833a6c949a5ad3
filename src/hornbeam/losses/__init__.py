"""Losses, with Keras's names: a function per sample, and a class that weights, masks and reduces."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, overload

from hornbeam._internal.lazy_imports import explain_missing
from hornbeam._internal.typing import Config
from hornbeam.core import registry
from hornbeam.core.tensor import Tensor
from hornbeam.losses.crossentropy import (
    CTC,
    BinaryCrossentropy,
    BinaryFocalCrossentropy,
    CategoricalCrossentropy,
    CategoricalFocalCrossentropy,
    CategoricalGeneralizedCrossEntropy,
    SparseCategoricalCrossentropy,
    binary_crossentropy,
    binary_focal_crossentropy,
    categorical_crossentropy,
    categorical_focal_crossentropy,
    categorical_generalized_cross_entropy,
    ctc,
    sparse_categorical_crossentropy,
)
from hornbeam.losses.loss import Loss, LossFunctionWrapper
from hornbeam.losses.regression import (
    CategoricalHinge,
    CosineSimilarity,
    Hinge,
    Huber,
    KLDivergence,
    LogCosh,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    Poisson,
    SquaredHinge,
    categorical_hinge,
    cosine_similarity,
    hinge,
    huber,
    kl_divergence,
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
    poisson,
    squared_hinge,
)
from hornbeam.losses.similarity import Circle, Dice, Tversky, circle, dice, tversky

if TYPE_CHECKING:
    from hornbeam.losses.loss import LossLike

# Names of Keras that are missing, with the reason: none.
_MISSING: dict[str, str] = {}

# Short names of Keras 2.
mse = MSE = mean_squared_error
mae = MAE = mean_absolute_error
mape = MAPE = mean_absolute_percentage_error
msle = MSLE = mean_squared_logarithmic_error
bce = BCE = binary_crossentropy
kld = KLD = kullback_leibler_divergence = kl_divergence
logcosh = log_cosh


def serialize(loss: LossLike) -> str | Config:
    """Convert a loss to a config.

    Args:
        loss: Loss or loss function.

    Returns:
        Dict for an object, name for a function of this module.
    """
    return registry.serialize(loss)


def deserialize(
    name: str | Config, custom_objects: Mapping[str, Any] | None = None
) -> Loss | Callable[..., Tensor]:
    """Build the loss that a config or a name describes.

    Args:
        name: Config or name.
        custom_objects: Classes and functions by name, in addition to the registered ones.

    Returns:
        Loss or function.

    Raises:
        UnknownObjectError: If a name is unknown.
    """
    return get(name) if isinstance(name, str) else registry.deserialize(name, custom_objects)


@overload
def get(identifier: None) -> None: ...
@overload
def get(identifier: Loss | type[Loss]) -> Loss: ...
@overload
def get(identifier: str | Config | Callable[..., Any]) -> Callable[..., Tensor]: ...
def get(identifier: LossLike | type | None) -> Loss | Callable[..., Tensor] | None:
    """Return the loss for an identifier; the name of a function returns the function.

    Args:
        identifier: Name such as "mse" or "Huber", config, class, function, loss, or None.

    Returns:
        Loss, function, or None.

    Raises:
        UnknownObjectError: If the name is unknown; the message suggests the nearest one.
        ValueError: If the identifier is not a loss.

    Example:
        >>> get("mse") is mean_squared_error
        True
    """
    loss = registry.resolve(identifier, "keras.losses", "loss")
    if loss is not None and not isinstance(loss, Loss) and (inspect.isclass(loss) or not callable(loss)):
        raise ValueError(f"{identifier!r} is not a loss: pass a name such as 'mse', a function or a Loss")
    return loss


__all__ = [
    "CTC", "BinaryCrossentropy", "BinaryFocalCrossentropy", "CategoricalCrossentropy",
    "CategoricalFocalCrossentropy", "CategoricalGeneralizedCrossEntropy", "CategoricalHinge", "Circle",
    "CosineSimilarity", "Dice", "Hinge", "Huber", "KLDivergence", "LogCosh", "Loss", "LossFunctionWrapper",
    "MeanAbsoluteError", "MeanAbsolutePercentageError", "MeanSquaredError", "MeanSquaredLogarithmicError",
    "Poisson", "SparseCategoricalCrossentropy", "SquaredHinge", "Tversky", "binary_crossentropy",
    "binary_focal_crossentropy", "categorical_crossentropy", "categorical_focal_crossentropy",
    "categorical_generalized_cross_entropy", "categorical_hinge", "circle", "cosine_similarity", "ctc",
    "deserialize", "dice", "get", "hinge", "huber", "kl_divergence", "log_cosh", "mean_absolute_error",
    "mean_absolute_percentage_error", "mean_squared_error", "mean_squared_logarithmic_error", "poisson",
    "serialize", "sparse_categorical_crossentropy", "squared_hinge", "tversky",
]  # fmt: skip


explain_missing(__name__, _MISSING)
