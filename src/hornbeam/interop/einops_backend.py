"""Backend of einops for Hornbeam's tensors. Defining the class registers it: einops looks at subclasses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from einops._backends import AbstractBackend, UnknownSize

from hornbeam import ops
from hornbeam._internal.typing import ArrayLike
from hornbeam.core.tensor import Tensor
from hornbeam.core.variable import Variable


class HornbeamBackend(AbstractBackend):
    """Operations of einops on tensors, variables and symbolic tensors."""

    framework_name = "hornbeam"

    def is_appropriate_type(self, tensor: object) -> bool:
        """Return True for tensors of Hornbeam."""
        return isinstance(tensor, (Tensor, Variable))

    def from_numpy(self, x: ArrayLike) -> Tensor:
        """Return a Tensor."""
        return ops.convert_to_tensor(x)

    def to_numpy(self, x: Tensor) -> Any:
        """Return a NumPy array."""
        return ops.convert_to_numpy(x)

    def arange(self, start: int, stop: int) -> Tensor:
        """Return the integers from `start` to `stop`."""
        return ops.arange(start, stop)

    def shape(self, x: Tensor) -> Any:
        """Return the sizes; in a layer's call those that are unknown are symbols."""
        return tuple(UnknownSize() if size is None else size for size in ops.shape(x))

    def reshape(self, x: Tensor, shape: Sequence[int]) -> Tensor:
        """Reshape.

        Raises:
            ValueError: If several sizes of a symbolic tensor are unknown.
        """
        sizes = [-1 if isinstance(size, UnknownSize) else size for size in shape]
        if sum(isinstance(size, UnknownSize) for size in shape) > 1:
            raise ValueError(
                f"einops cannot rearrange a symbolic tensor of shape {x.shape}: several sizes are unknown. "
                "Use the layer, einops.layers.keras.Rearrange(pattern)(x)"
            )
        return ops.reshape(x, sizes)

    def transpose(self, x: Tensor, axes: Sequence[int]) -> Tensor:
        """Permute the axes."""
        return ops.transpose(x, axes)

    def reduce(self, x: Tensor, operation: str, axes: Sequence[int]) -> Tensor:
        """Reduce by the operation "min", "max", "sum", "mean", "prod", "any" or "all"."""
        result: Tensor = getattr(ops, operation)(x, axis=tuple(axes))
        return result

    def stack_on_zeroth_dimension(self, tensors: Sequence[Tensor]) -> Tensor:
        """Stack on a new first axis."""
        return ops.stack(tensors)

    def add_axis(self, x: Tensor, new_position: int) -> Tensor:
        """Insert an axis of size 1."""
        return ops.expand_dims(x, new_position)

    def tile(self, x: Tensor, repeats: Sequence[int]) -> Tensor:
        """Repeat along each axis."""
        return ops.tile(x, repeats)

    def concat(self, tensors: Sequence[Tensor], axis: int) -> Tensor:
        """Concatenate along an axis."""
        return ops.concatenate(tensors, axis=axis)

    def is_float_type(self, x: Tensor) -> bool:
        """Return True for floats: einops averages no integers."""
        return "float" in str(x.dtype)

    def layers(self) -> Any:
        """Return the layers of einops for Keras."""
        from einops.layers import keras

        return keras

    def einsum(self, pattern: str, *x: Tensor) -> Tensor:
        """Return the sum of products."""
        return ops.einsum(pattern, *x)
