"""Projections that are applied to weights after each update."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, overload

from hornbeam import ops
from hornbeam._internal.lazy_imports import explain_missing
from hornbeam._internal.typing import Config
from hornbeam._internal.validation import check_axes, check_number
from hornbeam.config import epsilon
from hornbeam.core import registry
from hornbeam.core.configurable import Configurable
from hornbeam.core.registry import exported
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import ConstraintLike, TensorLike
from hornbeam.ops._common import many_axes

# fmt: off
__all__ = [
    "Constraint", "MaxNorm", "MinMaxNorm", "NonNeg", "UnitNorm", "deserialize", "get", "max_norm",
    "min_max_norm", "non_neg", "serialize", "unit_norm",
]
# fmt: on

_MODULE = "keras.constraints"


@exported(_MODULE)
class Constraint(Configurable):
    """Base class of projections: a function of a weight that returns the nearest valid weight.

    Subclasses define `__call__` and `get_config`. The base class itself allows every weight.
    """

    def __call__(self, w: Tensor) -> Tensor:
        """Project a weight.

        Args:
            w: Tensor, the weight.

        Returns:
            Tensor of its shape.
        """
        return w


def _norms(constraint: MaxNorm | UnitNorm | MinMaxNorm, w: TensorLike) -> Tensor:
    axes = many_axes(constraint.axis, ops.ndim(w), type(constraint).__name__)
    return ops.sqrt(ops.sum(ops.square(w), axis=axes, keepdims=True))


@exported(_MODULE, "max_norm")
class MaxNorm(Constraint):
    """Scale vectors with a norm above `max_value` down to that norm.

    Args:
        max_value: Number >= 0, the largest norm.
        axis: Integer or sequence of integers, the axes of the vectors: 0 for the input weights of each unit
            of a Dense layer, [0, 1, 2] for each filter of a Conv2D.

    Example:
        >>> np.asarray(hornbeam.constraints.MaxNorm(1.0)(hornbeam.ops.array([[3.0], [4.0]]))).round(3)
        array([[0.6],
               [0.8]], dtype=float32)
    """

    def __init__(self, max_value: float = 2, axis: int | Sequence[int] | None = 0) -> None:
        self.max_value = check_number("max_value", max_value, 0)
        self.axis = check_axes("axis", axis, where="MaxNorm")

    def __call__(self, w: TensorLike) -> Tensor:
        norms = _norms(self, w)
        return ops.multiply(w, ops.clip(norms, 0, self.max_value) / (epsilon() + norms))


@exported(_MODULE, "non_neg")
class NonNeg(Constraint):
    """Set negative weights to 0.

    Example:
        >>> np.asarray(hornbeam.constraints.NonNeg()(hornbeam.ops.array([-1.0, 2.0]))).tolist()
        [0.0, 2.0]
    """

    def __call__(self, w: TensorLike) -> Tensor:
        return ops.where(ops.convert_to_tensor(w) >= 0, w, ops.zeros_like(w))


@exported(_MODULE, "unit_norm")
class UnitNorm(Constraint):
    """Scale vectors to norm 1.

    Args:
        axis: Integer or sequence of integers, the axes of the vectors: 0 for the input weights of each unit
            of a Dense layer, [0, 1, 2] for each filter of a Conv2D.

    Example:
        >>> np.asarray(hornbeam.constraints.UnitNorm()(hornbeam.ops.array([[3.0], [4.0]]))).round(3)
        array([[0.6],
               [0.8]], dtype=float32)
    """

    def __init__(self, axis: int | Sequence[int] | None = 0) -> None:
        self.axis = check_axes("axis", axis, where="UnitNorm")

    def __call__(self, w: TensorLike) -> Tensor:
        return ops.divide(w, epsilon() + _norms(self, w))


@exported(_MODULE, "min_max_norm")
class MinMaxNorm(Constraint):
    """Move the norms of vectors toward [min_value, max_value].

    Args:
        min_value: Number, the least norm.
        max_value: Number, the largest norm.
        rate: Number in [0, 1], the fraction of the distance by which a norm moves.
        axis: Integer or sequence of integers, the axes of the vectors: 0 for the input weights of each unit
            of a Dense layer, [0, 1, 2] for each filter of a Conv2D.

    Example:
        >>> np.asarray(hornbeam.constraints.MinMaxNorm(1.0, 2.0)(hornbeam.ops.array([[0.3], [0.4]]))).round(3)
        array([[0.6],
               [0.8]], dtype=float32)
    """

    def __init__(
        self,
        min_value: float = 0.0,
        max_value: float = 1.0,
        rate: float = 1.0,
        axis: int | Sequence[int] | None = 0,
    ) -> None:
        self.min_value = min_value
        self.max_value = max_value
        self.rate = rate
        self.axis = check_axes("axis", axis, where="MinMaxNorm")

    def __call__(self, w: TensorLike) -> Tensor:
        norms = _norms(self, w)
        target = self.rate * ops.clip(norms, self.min_value, self.max_value) + (1 - self.rate) * norms
        return ops.multiply(w, target / (epsilon() + norms))


max_norm, non_neg, unit_norm, min_max_norm = MaxNorm, NonNeg, UnitNorm, MinMaxNorm


def serialize(constraint: ConstraintLike) -> str | Config:
    """Convert a constraint to a config.

    Args:
        constraint: Constraint.

    Returns:
        Dict.
    """
    return registry.serialize(constraint)


def deserialize(config: str | Config, custom_objects: dict[str, Any] | None = None) -> Constraint:
    """Build the constraint that a name or config describes.

    Args:
        config: Config or name.
        custom_objects: Classes and functions by name, in addition to the registered ones.

    Returns:
        Constraint.

    Raises:
        UnknownObjectError: If a name is unknown.
    """
    return registry.resolve(config, _MODULE, "constraint", custom_objects)


@overload
def get(identifier: None) -> None: ...
@overload
def get(identifier: str | Config | Constraint | type[Constraint]) -> Constraint: ...
@overload
def get(identifier: Callable[..., Any]) -> Callable[..., Tensor]: ...
def get(identifier: ConstraintLike | type[Constraint]) -> Constraint | Callable[..., Tensor] | None:
    """Return the constraint for an identifier.

    Args:
        identifier: Name such as "max_norm", config, class, callable, or None.

    Returns:
        Constraint, or None for None.

    Raises:
        UnknownObjectError: If the name is unknown; the message suggests the nearest one.
    """
    return registry.resolve(identifier, _MODULE, "constraint")


explain_missing(__name__)
