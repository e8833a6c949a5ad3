"""Optimizers and learning-rate schedules, with Keras's names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, overload

from hornbeam._internal.lazy_imports import explain_missing
from hornbeam.core import registry
from hornbeam.optimizers import legacy as legacy
from hornbeam.optimizers import schedules as schedules
from hornbeam.optimizers.optimizer import Optimizer
from hornbeam.optimizers.rules import SGD, Adadelta, Adagrad, Adam, Adamax, AdamW, Lion, Nadam, RMSprop
from hornbeam.optimizers.rules_special import Adafactor, Ftrl, Lamb, Muon, ScheduleFreeAdamW
from hornbeam.optimizers.wrappers import LossScaleOptimizer, MultiOptimizer, OptimizerMap

if TYPE_CHECKING:
    from hornbeam.optimizers.optimizer import OptimizerLike

__all__ = [
    "SGD", "Adadelta", "Adafactor", "Adagrad", "Adam", "AdamW", "Adamax", "Ftrl", "Lamb", "Lion",
    "LossScaleOptimizer", "MultiOptimizer", "Muon", "Nadam", "Optimizer", "OptimizerMap", "RMSprop",
    "ScheduleFreeAdamW", "deserialize", "get", "legacy", "schedules", "serialize",
]  # fmt: skip


def serialize(optimizer: Optimizer) -> dict[str, Any]:
    """Convert an optimizer to a config; its state is not included.

    Args:
        optimizer: Optimizer.

    Returns:
        Dict.
    """
    return registry.serialize(optimizer)


def deserialize(config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Optimizer:
    """Build the optimizer that a config describes.

    Args:
        config: Dict of arguments.
        custom_objects: Classes and functions by name, in addition to the registered ones.

    Returns:
        Optimizer.

    Raises:
        UnknownObjectError: If a name is unknown.
    """
    return registry.deserialize(config, custom_objects)


@overload
def get(identifier: None) -> None: ...


@overload
def get(identifier: OptimizerLike | type[Optimizer]) -> Optimizer: ...


def get(identifier: OptimizerLike | type[Optimizer] | None) -> Optimizer | None:
    """Return the optimizer for an identifier.

    Args:
        identifier: Name such as "adam", config, class or optimizer; None for none.

    Returns:
        Optimizer, or None for None.

    Raises:
        UnknownObjectError: If the name is unknown; the message suggests the nearest one.
        ValueError: If the identifier is not an optimizer.
    """
    optimizer = registry.resolve(identifier, "keras.optimizers", "optimizer")
    if identifier is None:
        return None
    if not isinstance(optimizer, Optimizer):
        raise ValueError(f"{identifier!r} is not an optimizer: pass a name such as 'adam' or an Optimizer")
    return optimizer


explain_missing(__name__)
