"""Projections that are applied to weights after each update."""

from __future__ import annotations

from typing import Any

from hornbeam import ops
from hornbeam._internal.validation import check_axes, check_number
from hornbeam.config import epsilon
from hornbeam.core import registry
from hornbeam.core.registry import exported
from hornbeam.core.tensor import Tensor

# fmt: off
__all__ = [
    "Constraint", "MaxNorm", "MinMaxNorm", "NonNeg", "UnitNorm", "deserialize", "get", "max_norm",
    "min_max_norm", "non_neg", "serialize", "unit_norm",
]
# fmt: on

_MODULE = "keras.constraints"


@exported(_MODULE)
class Constraint:
    """A function of a weight that returns the nearest allowed one. Subclasses define `__call__` and
    `get_config`."""

    def __call__(self, w: Any) -> Tensor:
        raise NotImplementedError(
            f"{type(self).__name__} must define __call__(w), which returns the allowed weight"
        )

    def get_config(self) -> dict[str, Any]:
        """What the constructor needs to make one like it."""
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """A constraint like the one whose `get_config` gave `config`."""
        return cls(**config)


def _norms(w: Any, axis: Any) -> Tensor:
    return ops.sqrt(ops.sum(ops.square(w), axis=axis, keepdims=True))


@exported(_MODULE, "max_norm")
class MaxNorm(Constraint):
    """Shrinks the vectors along `axis` whose norm is above `max_value` to that norm.

    axis: 0 for the input weights of each unit of a Dense layer, [0, 1, 2] for each filter of a Conv2D.

    >>> np.asarray(hornbeam.constraints.MaxNorm(1.0)(hornbeam.ops.array([[3.0], [4.0]]))).round(3)
    array([[0.6],
           [0.8]], dtype=float32)
    """

    def __init__(self, max_value: float = 2, axis: Any = 0) -> None:
        self.max_value = check_number("max_value", max_value, 0)
        self.axis = check_axes("axis", axis)

    def __call__(self, w: Any) -> Tensor:
        norms = _norms(w, self.axis)
        return w * (ops.clip(norms, 0, self.max_value) / (epsilon() + norms))

    def get_config(self) -> dict[str, Any]:
        return {"max_value": self.max_value, "axis": self.axis}


@exported(_MODULE, "non_neg")
class NonNeg(Constraint):
    """Negative weights become 0.

    >>> np.asarray(hornbeam.constraints.NonNeg()(hornbeam.ops.array([-1.0, 2.0]))).tolist()
    [0.0, 2.0]
    """

    def __call__(self, w: Any) -> Tensor:
        return ops.where(ops.convert_to_tensor(w) >= 0, w, ops.zeros_like(w))


@exported(_MODULE, "unit_norm")
class UnitNorm(Constraint):
    """Scales the vectors along `axis` to norm 1.

    >>> np.asarray(hornbeam.constraints.UnitNorm()(hornbeam.ops.array([[3.0], [4.0]]))).round(3)
    array([[0.6],
           [0.8]], dtype=float32)
    """

    def __init__(self, axis: Any = 0) -> None:
        self.axis = axis

    def __call__(self, w: Any) -> Tensor:
        return w / (epsilon() + _norms(w, self.axis))

    def get_config(self) -> dict[str, Any]:
        return {"axis": self.axis}


@exported(_MODULE, "min_max_norm")
class MinMaxNorm(Constraint):
    """Moves the norms of the vectors along `axis` into [min_value, max_value], by the part `rate` of the way.

    >>> np.asarray(hornbeam.constraints.MinMaxNorm(1.0, 2.0)(hornbeam.ops.array([[0.3], [0.4]]))).round(3)
    array([[0.6],
           [0.8]], dtype=float32)
    """

    def __init__(
        self, min_value: float = 0.0, max_value: float = 1.0, rate: float = 1.0, axis: Any = 0
    ) -> None:
        self.min_value = min_value
        self.max_value = max_value
        self.rate = rate
        self.axis = axis

    def __call__(self, w: Any) -> Tensor:
        norms = _norms(w, self.axis)
        wanted = self.rate * ops.clip(norms, self.min_value, self.max_value) + (1 - self.rate) * norms
        return w * (wanted / (epsilon() + norms))

    def get_config(self) -> dict[str, Any]:
        return {
            "min_value": self.min_value,
            "max_value": self.max_value,
            "rate": self.rate,
            "axis": self.axis,
        }


max_norm, non_neg, unit_norm, min_max_norm = MaxNorm, NonNeg, UnitNorm, MinMaxNorm


def serialize(constraint: Any) -> Any:
    """The config of a constraint."""
    return registry.serialize(constraint)


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """The constraint that a name or config stands for. Raises UnknownObjectError for an unknown one."""
    return registry.resolve(config, _MODULE, "constraint", custom_objects)


def get(identifier: Any) -> Any:
    """The constraint for a name ("max_norm"), config, class or callable; None for None.

    Raises UnknownObjectError, with the nearest name, for an unknown one.
    """
    return registry.resolve(identifier, _MODULE, "constraint")
