"""Penalties on weights, added to the loss."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, overload

from hornbeam import ops
from hornbeam._internal.lazy_imports import explain_missing
from hornbeam._internal.typing import Config
from hornbeam._internal.validation import check_choice
from hornbeam.core import registry
from hornbeam.core.configurable import Configurable
from hornbeam.core.registry import exported
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import RegularizerLike, TensorLike
from hornbeam.ir.types import ShapeError

# fmt: off
__all__ = [
    "L1", "L1L2", "L2", "OrthogonalRegularizer", "Regularizer", "deserialize", "get", "l1", "l1_l2", "l2",
    "orthogonal_regularizer", "serialize",
]
# fmt: on

_MODULE = "keras.regularizers"


@exported(_MODULE)
class Regularizer(Configurable):
    """Base class of penalties: a function of a weight that returns a scalar.

    Subclasses define `__call__` and `get_config`.
    """

    _must_define_config = True

    def __call__(self, x: Tensor) -> Tensor:
        """Compute the penalty.

        Args:
            x: Tensor, the weight.

        Returns:
            Scalar tensor.
        """
        raise NotImplementedError(
            f"{type(self).__name__} must define __call__(x), which returns a scalar penalty"
        )


def _factor(name: str, value: object) -> float:
    """Return a factor, 0 for None as in Keras. Raises ValueError unless it is finite and >= 0."""
    number = 0.0 if value is None else value
    if isinstance(number, bool) or not isinstance(number, (int, float)) or not 0 <= number < math.inf:
        raise ValueError(f"{name} must be a number that is not negative, got {value!r}")
    return float(number)


@exported(_MODULE, "l1_l2")
class L1L2(Regularizer):
    """Penalty l1 sum(|x|) + l2 sum(x^2).

    Args:
        l1: Number >= 0, the factor of the absolute values.
        l2: Number >= 0, the factor of the squares.

    Raises:
        ValueError: If a factor is negative or not finite.

    Example:
        >>> float(hornbeam.regularizers.L1L2(l1=1.0, l2=1.0)(hornbeam.ops.array([2.0])))
        6.0
    """

    def __init__(self, l1: float = 0.0, l2: float = 0.0) -> None:
        self.l1 = _factor("l1", l1)
        self.l2 = _factor("l2", l2)

    def __call__(self, x: TensorLike) -> Tensor:
        total = ops.zeros((), dtype=ops.dtype(x))
        if self.l1:
            total = total + self.l1 * ops.sum(ops.abs(x))
        if self.l2:
            total = total + self.l2 * ops.sum(ops.square(x))
        return total


@exported(_MODULE, "l1")
class L1(Regularizer):
    """Penalty l1 sum(|x|), which drives weights to exactly 0.

    Args:
        l1: Number >= 0, the factor of the absolute values.

    Raises:
        ValueError: If `l1` is negative or not finite.

    Example:
        >>> float(hornbeam.regularizers.L1(1.0)(hornbeam.ops.array([2.0, -1.0])))
        3.0
    """

    def __init__(self, l1: float = 0.01) -> None:
        self.l1 = _factor("l1", l1)

    def __call__(self, x: TensorLike) -> Tensor:
        return self.l1 * ops.sum(ops.abs(x))


@exported(_MODULE, "l2")
class L2(Regularizer):
    """Penalty l2 sum(x^2), which keeps weights small.

    Args:
        l2: Number >= 0, the factor of the squares.

    Raises:
        ValueError: If `l2` is negative or not finite.

    Example:
        >>> float(hornbeam.regularizers.L2(1.0)(hornbeam.ops.array([2.0, -1.0])))
        5.0
    """

    def __init__(self, l2: float = 0.01) -> None:
        self.l2 = _factor("l2", l2)

    def __call__(self, x: TensorLike) -> Tensor:
        return self.l2 * ops.sum(ops.square(x))


@exported(_MODULE, "orthogonal_regularizer")
class OrthogonalRegularizer(Regularizer):
    """Penalty factor * mean |cosine| over pairs of different rows (or columns): 0 if they are orthogonal.

    Args:
        factor: Number >= 0.
        mode: "rows" or "columns" of the matrix.

    Raises:
        ValueError: If `factor` is negative or `mode` is unknown.

    Example:
        >>> float(hornbeam.regularizers.OrthogonalRegularizer(1.0)(hornbeam.ops.eye(2)))
        0.0
    """

    def __init__(self, factor: float = 0.01, mode: str = "rows") -> None:
        self.factor = _factor("factor", factor)
        self.mode = check_choice("mode", mode, ("rows", "columns"))

    def __call__(self, x: TensorLike) -> Tensor:
        x = ops.convert_to_tensor(x)
        if len(x.shape) != 2:
            raise ShapeError(f"OrthogonalRegularizer needs a matrix, got shape {x.shape}")
        vectors = ops.normalize(x if self.mode == "rows" else ops.transpose(x), axis=1)
        size = vectors.shape[0]
        cosines = ops.matmul(vectors, ops.transpose(vectors)) * (1.0 - ops.eye(size, dtype=vectors.dtype))
        return self.factor * 0.5 * ops.sum(ops.abs(cosines)) / max(size * (size - 1) / 2, 1.0)


l1, l2, l1_l2, orthogonal_regularizer = L1, L2, L1L2, OrthogonalRegularizer


def serialize(regularizer: RegularizerLike) -> str | Config:
    """Convert a regularizer to a config.

    Args:
        regularizer: Regularizer.

    Returns:
        Dict.
    """
    return registry.serialize(regularizer)


def deserialize(config: str | Config, custom_objects: dict[str, Any] | None = None) -> Regularizer:
    """Build the regularizer that a name or config describes.

    Args:
        config: Config or name.
        custom_objects: Classes and functions by name, in addition to the registered ones.

    Returns:
        Regularizer.

    Raises:
        UnknownObjectError: If a name is unknown.
    """
    return registry.resolve(config, _MODULE, "regularizer", custom_objects)


@overload
def get(identifier: None) -> None: ...
@overload
def get(identifier: str | Config | Regularizer | type[Regularizer]) -> Regularizer: ...
@overload
def get(identifier: Callable[..., Any]) -> Callable[..., Tensor]: ...
def get(identifier: RegularizerLike | type[Regularizer]) -> Regularizer | Callable[..., Tensor] | None:
    """Return the regularizer for an identifier.

    Args:
        identifier: Name such as "l2", config, class, callable, or None.

    Returns:
        Regularizer, or None for None.

    Raises:
        UnknownObjectError: If the name is unknown; the message suggests the nearest one.
    """
    return registry.resolve(identifier, _MODULE, "regularizer")


explain_missing(__name__)
