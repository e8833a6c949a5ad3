"""Initializers with given values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hornbeam._internal.typing import DTypeLike
from hornbeam.config import floatx
from hornbeam.core import registry
from hornbeam.core.convert import as_tensor, cast
from hornbeam.core.registry import exported
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import Self, TensorLike
from hornbeam.initializers.initializer import MODULE, Initializer, Shape
from hornbeam.ir.types import ShapeError
from hornbeam.ops import creation, matrices


@exported(MODULE, "zeros")
class Zeros(Initializer):
    """Initializer of zeros.

    Example:
        >>> float(hornbeam.initializers.Zeros()(()))
        0.0
    """

    def __call__(self, shape: Shape, dtype: DTypeLike | None = None) -> Tensor:
        return creation.zeros(shape, dtype)


@exported(MODULE, "ones")
class Ones(Initializer):
    """Initializer of ones.

    Example:
        >>> float(hornbeam.initializers.Ones()(()))
        1.0
    """

    def __call__(self, shape: Shape, dtype: DTypeLike | None = None) -> Tensor:
        return creation.ones(shape, dtype)


@exported(MODULE, "constant")
class Constant(Initializer):
    """A constant value.

    Args:
        value: Number, or array that broadcasts to the shape.

    Example:
        >>> float(hornbeam.initializers.Constant(3.0)(()))
        3.0
    """

    def __init__(self, value: TensorLike = 0.0) -> None:
        self.value = value

    def __call__(self, shape: Shape, dtype: DTypeLike | None = None) -> Tensor:
        return creation.full(shape, as_tensor(self.value), dtype or floatx())

    def get_config(self) -> dict[str, Any]:
        return {"value": registry.serialize(self.value)}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        return cls(registry.deserialize(config["value"]))


@exported(MODULE, "identity", "IdentityInitializer")
class Identity(Initializer):
    """A multiple of the identity matrix.

    Args:
        gain: Number, a factor of the values.

    Raises:
        ShapeError: If the shape is not that of a matrix, when it is called.

    Example:
        >>> np.asarray(hornbeam.initializers.Identity()((2, 2))).tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = gain

    def __call__(self, shape: Shape, dtype: DTypeLike | None = None) -> Tensor:
        if len(shape) != 2:
            raise ShapeError(f"Identity needs the shape of a matrix, got {tuple(shape)}")
        return cast(self.gain * matrices.eye(shape[0], shape[1], dtype=dtype or floatx()), dtype or floatx())
