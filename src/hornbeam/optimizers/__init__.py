"""Optimizers and learning-rate schedules, with Keras's names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hornbeam.core import registry
from hornbeam.optimizers import legacy as legacy
from hornbeam.optimizers import schedules as schedules
from hornbeam.optimizers.optimizer import Optimizer
from hornbeam.optimizers.rules import SGD, Adadelta, Adagrad, Adam, Adamax, AdamW, Lion, Nadam, RMSprop
from hornbeam.optimizers.rules_special import Adafactor, Ftrl, Lamb, Muon, ScheduleFreeAdamW
from hornbeam.optimizers.wrappers import LossScaleOptimizer, MultiOptimizer, OptimizerMap

__all__ = [
    "SGD",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Ftrl",
    "Lamb",
    "Lion",
    "LossScaleOptimizer",
    "MultiOptimizer",
    "Muon",
    "Nadam",
    "Optimizer",
    "OptimizerMap",
    "RMSprop",
    "ScheduleFreeAdamW",
    "deserialize",
    "get",
    "legacy",
    "schedules",
    "serialize",
]


def serialize(optimizer: Optimizer) -> dict[str, Any]:
    """The optimizer as a config (its state is not part of it)."""
    return registry.serialize(optimizer)


def deserialize(config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Optimizer:
    """The optimizer that a config describes. Raises UnknownObjectError for unknown names."""
    return registry.deserialize(config, custom_objects)


def get(identifier: Any) -> Optimizer:
    """The optimizer meant by a name ("adam"), a config, a class or an optimizer.

    Raises UnknownObjectError with the nearest known name, ValueError for what is no optimizer.
    """
    made = registry.resolve(identifier, "keras.optimizers", "optimizer")
    if not isinstance(made, Optimizer):
        raise ValueError(f"{identifier!r} is not an optimizer: pass a name such as 'adam' or an Optimizer")
    return made
