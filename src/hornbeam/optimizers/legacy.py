"""`keras.optimizers.legacy`: names of the optimizers of Keras 2, whose errors name the replacement."""

from __future__ import annotations

from typing import Any

from hornbeam._internal.lazy_imports import explain_missing

__all__ = ["SGD", "Adagrad", "Adam", "Ftrl", "Optimizer", "RMSprop"]


def _gone(name: str) -> type:
    def refuse(self: object, *args: Any, **kwargs: Any) -> None:
        raise ImportError(
            f"optimizers.legacy.{name} belongs to Keras 2: use hornbeam.optimizers.{name}, which has the "
            "same rule (schedules take the place of the argument `decay`)"
        )

    doc = f"Keras 2's {name}: making one raises ImportError, which names `hornbeam.optimizers.{name}`."
    return type(name, (), {"__init__": refuse, "__doc__": doc, "__module__": __name__})


SGD = _gone("SGD")
Adagrad = _gone("Adagrad")
Adam = _gone("Adam")
Ftrl = _gone("Ftrl")
Optimizer = _gone("Optimizer")
RMSprop = _gone("RMSprop")


explain_missing(__name__)
