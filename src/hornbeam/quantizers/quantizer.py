"""`Quantizer`: a function from floats to integers with a scale, which configs and layers take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hornbeam._internal.typing import Config, DTypeLike, Tree
from hornbeam.core.registry import exported
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import Self, TensorLike
from hornbeam.ir.types import dtype_name
from hornbeam.quantizers.absmax import EPSILON, abs_max_quantize


@exported("keras")
@exported("keras.quantizers")
class Quantizer:
    """Base of quantizers. A subclass defines `__call__(x, axis=None, to_numpy=False)`.

    It returns integers and the scale by which the values were multiplied, with size 1 along `axis`.

    Args:
        output_dtype: Dtype of the integers.

    Example:
        >>> class Halves(hornbeam.quantizers.Quantizer):
        ...     def __call__(self, x, axis=None, to_numpy=False):
        ...         return ops.cast(ops.round(x * 2), self.output_dtype), 2.0
    """

    def __init__(self, output_dtype: DTypeLike = "int8") -> None:
        self.output_dtype = dtype_name(output_dtype)

    def __call__(self, x: TensorLike) -> Tree:
        """Return `x`: subclasses quantize it.

        Args:
            x: Tensor.
        """
        return x

    def get_config(self) -> Config:
        """Return the arguments of the constructor; subclasses that are saved define it."""
        raise NotImplementedError(f"{type(self).__name__} does not define get_config()")

    @classmethod
    def from_config(cls, config: Config) -> Self:
        """Build the quantizer that a config describes.

        Args:
            config: Dict of arguments.
        """
        return cls(**config)


@exported("keras.quantizers")
class AbsMaxQuantizer(Quantizer):
    """Quantizer by the largest absolute value (see `abs_max_quantize`).

    Args:
        axis: Axis or axes whose elements share a scale, if the call names none; the last one by default.
        value_range: Smallest and largest integer.
        epsilon: Number that keeps zeros from dividing by zero.
        output_dtype: Dtype of the integers.

    Raises:
        ValueError: If the range exceeds that of int8 with `output_dtype="int8"`.

    Example:
        >>> q, scale = hornbeam.quantizers.AbsMaxQuantizer(axis=0)([[1.0, 4.0], [-2.0, 1.0]])
        >>> q.tolist()
        [[64, 127], [-127, 32]]
    """

    def __init__(
        self,
        axis: int | Sequence[int] | None = None,
        value_range: tuple[int, int] = (-127, 127),
        epsilon: float = EPSILON,
        output_dtype: DTypeLike = "int8",
    ) -> None:
        super().__init__(output_dtype)
        self.axis = None if axis is None else (axis,) if isinstance(axis, int) else tuple(axis)
        self.value_range = (value_range[0], value_range[1])
        self.epsilon = epsilon
        if self.output_dtype == "int8" and not -128 <= value_range[0] < value_range[1] <= 127:
            raise ValueError(
                f"AbsMaxQuantizer: value_range must be in [-128, 127] for int8, got {tuple(value_range)}"
            )

    def __call__(
        self, x: TensorLike, axis: int | Sequence[int] | None = None, to_numpy: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Quantize a tensor.

        Args:
            x: Tensor of floats.
            axis: Axis or axes whose elements share a scale, instead of those of the constructor.
            to_numpy: Ignored, for Keras's signature.

        Returns:
            Integers and scales.
        """
        axes = axis if axis is not None else self.axis if self.axis is not None else -1
        return abs_max_quantize(x, axes, self.value_range, self.output_dtype, self.epsilon)

    def get_config(self) -> Config:
        """Return the arguments of the constructor."""
        config: dict[str, Any] = {
            "value_range": self.value_range,
            "epsilon": self.epsilon,
            "output_dtype": self.output_dtype,
        }
        return config if self.axis is None else {**config, "axis": self.axis}
