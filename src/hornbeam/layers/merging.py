"""Layers that merge tensors: sums, products, concatenation, dot products; and the same as functions."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from hornbeam import ops
from hornbeam._internal.typing import Tree
from hornbeam.core.registry import exported
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import Unpack
from hornbeam.ir.sizes import same_shape
from hornbeam.ir.types import ShapeError
from hornbeam.layers.layer import Layer, TensorLayer
from hornbeam.layers.options import RegularizedLayerOptions


class _Merge(TensorLayer):
    """Base of layers that combine a list of tensors elementwise."""

    minimum = 1

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True

    def combine(self, inputs: list[Tensor]) -> Tensor:
        """Combine tensors that broadcast against each other.

        Args:
            inputs: Tensors of one rank.
        """
        raise NotImplementedError

    def call(self, inputs: Sequence[Tensor]) -> Tensor:
        tensors = self._tensors(inputs)
        rank = max(x.ndim for x in tensors)
        # Missing axes are inserted after the batch, so that (batch, n) broadcasts with (batch, m, n).
        tensors = [
            ops.reshape(x, (x.shape[0], *(1,) * (rank - x.ndim), *x.shape[1:])) if x.ndim < rank else x
            for x in tensors
        ]
        shapes = [x.shape for x in tensors]
        for sizes in zip(*shapes, strict=True):
            if len({size for size in sizes if size != 1}) > 1:
                raise ShapeError(
                    f"{self.describe()}: inputs of shapes {shapes} cannot be combined, sizes differ: {sizes}"
                )
        return self.combine(tensors)

    def _tensors(self, inputs: Tree) -> list[Tensor]:
        if not isinstance(inputs, (list, tuple)) or len(inputs) < self.minimum:
            several = isinstance(inputs, (list, tuple))
            received = f"a list of {len(inputs)}" if several else "one tensor: write layer([a, b])"
            raise ValueError(
                f"{self.describe()} merges a list of at least {self.minimum} tensors, got {received}"
            )
        return list(inputs)

    def compute_mask(self, inputs: Sequence[Tensor], mask: Sequence[Tensor | None] | None = None) -> Tree:
        """Return the union of the masks, or None if one of the inputs has no mask.

        Args:
            inputs: List of tensors.
            mask: List of their masks.
        """
        masks = self._masks_of(inputs, mask)
        if masks is None or any(m is None for m in masks):
            return None
        return functools.reduce(ops.logical_or, masks)

    def _masks_of(self, inputs: Any, mask: Any) -> list[Any] | None:
        """Return the masks, if there are any. Raises ValueError unless there is one for each input."""
        if mask is None:
            return None
        if not isinstance(inputs, (list, tuple)) or not isinstance(mask, (list, tuple)):
            raise ValueError(f"{self.describe()}: compute_mask takes a list of inputs and a list of masks")
        if len(inputs) != len(mask):
            raise ValueError(f"{self.describe()}: {len(inputs)} inputs have {len(mask)} masks")
        return list(mask)


def _full_mask(x: Tensor) -> Tensor | None:
    """Broadcast the mask of a tensor to the tensor's shape."""
    mask = x._keras_mask
    if mask is None:
        return None
    return ops.broadcast_to(ops.reshape(mask, (*mask.shape, *(1,) * (x.ndim - mask.ndim))), x.shape)


def _broadcast_mask(mask: Tensor, x: Tensor) -> Tensor:
    """Broadcast a mask to a tensor's shape.

    Keras's order of layers depends on the number of operations, so these are Keras's.
    """
    if mask.ndim == x.ndim:
        return mask
    return ops.logical_or(ops.expand_dims(mask, tuple(range(mask.ndim, x.ndim))), ops.zeros_like(x, "bool"))


def _extreme(pick: Callable[[Any, Any], Tensor], inputs: list[Tensor]) -> Tensor:
    """Return the largest or smallest of the values that are not masked."""
    result, result_mask = inputs[0], _full_mask(inputs[0])
    for x in inputs[1:]:
        mask = _full_mask(x)
        x = x if mask is None else ops.where(mask, x, result)
        result = pick(result if result_mask is None else ops.where(result_mask, result, x), x)
        result_mask = None if mask is None or result_mask is None else ops.logical_or(result_mask, mask)
    return result


@exported("keras.layers")
class Add(_Merge):
    """Add tensors: `y = x1 + x2 + ...`.

    Calls take a list of tensors that broadcast against each other.

    Args:
        **kwargs: Arguments of `Layer`: `name`, `dtype`, `trainable`, ...

    Raises:
        ShapeError: If the shapes do not broadcast.

    Example:
        >>> hornbeam.layers.Add()([np.ones((2, 3)), np.ones((2, 3))]).shape
        (2, 3)
    """

    def combine(self, inputs: list[Tensor]) -> Tensor:
        return functools.reduce(ops.add, inputs)


@exported("keras.layers")
class Subtract(_Merge):
    """Subtract the second of two tensors from the first: `y = x1 - x2`.

    Calls take a list of two tensors that broadcast against each other.

    Args:
        **kwargs: Arguments of `Layer`: `name`, `dtype`, `trainable`, ...

    Raises:
        ValueError: If the number of tensors is not 2.

    Example:
        >>> hornbeam.layers.Subtract()([np.ones((2, 3)), np.ones((2, 3))]).shape
        (2, 3)
    """

    minimum = 2

    def combine(self, inputs: list[Tensor]) -> Tensor:
        if len(inputs) != 2:
            raise ValueError(f"{self.describe()} takes exactly 2 tensors, got {len(inputs)}")
        return ops.subtract(inputs[0], inputs[1])


@exported("keras.layers")
class Multiply(_Merge):
    """Multiply tensors: `y = x1 * x2 * ...`.

    Calls take a list of tensors that broadcast against each other.

    Args:
        **kwargs: Arguments of `Layer`: `name`, `dtype`, `trainable`, ...

    Raises:
        ShapeError: If the shapes do not broadcast.

    Example:
        >>> hornbeam.layers.Multiply()([np.ones((2, 3)), np.ones((2, 3))]).shape
        (2, 3)
    """

    def combine(self, inputs: list[Tensor]) -> Tensor:
        masks: list[Any] = [_full_mask(x) for x in inputs]
        factors = [x if m is None else ops.where(m, x, 1.0) for x, m in zip(inputs, masks, strict=True)]
        product = functools.reduce(ops.multiply, factors)
        if any(m is None for m in masks):
            return product
        return ops.where(functools.reduce(ops.logical_or, [m for m in masks if m is not None]), product, 0.0)


@exported("keras.layers")
class Average(_Merge):
    """Average tensors elementwise.

    Formula: `y = (x1 + x2 + ... + xn) / n`.

    Calls take a list of tensors that broadcast against each other.

    Args:
        **kwargs: Arguments of `Layer`: `name`, `dtype`, `trainable`, ...

    Raises:
        ShapeError: If the shapes do not broadcast.

    Example:
        >>> hornbeam.layers.Average()([np.ones((2, 3)), np.ones((2, 3))]).shape
        (2, 3)
    """

    def combine(self, inputs: list[Tensor]) -> Tensor:
        return functools.reduce(ops.add, inputs) / len(inputs)


@exported("keras.layers")
class Maximum(_Merge):
    """Compute the elementwise maximum of tensors: `y = max(x1, x2, ...)`.

    Calls take a list of tensors that broadcast against each other.

    Args:
        **kwargs: Arguments of `Layer`: `name`, `dtype`, `trainable`, ...

    Raises:
        ShapeError: If the shapes do not broadcast.

    Example:
        >>> hornbeam.layers.Maximum()([np.ones((2, 3)), np.ones((2, 3))]).shape
        (2, 3)
    """

    def combine(self, inputs: list[Tensor]) -> Tensor:
        return _extreme(ops.maximum, inputs)


@exported("keras.layers")
class Minimum(_Merge):
    """Compute the elementwise minimum of tensors: `y = min(x1, x2, ...)`.

    Calls take a list of tensors that broadcast against each other.

    Args:
        **kwargs: Arguments of `Layer`: `name`, `dtype`, `trainable`, ...

    Raises:
        ShapeError: If the shapes do not broadcast.

    Example:
        >>> hornbeam.layers.Minimum()([np.ones((2, 3)), np.ones((2, 3))]).shape
        (2, 3)
    """

    def combine(self, inputs: list[Tensor]) -> Tensor:
        return _extreme(ops.minimum, inputs)


@exported("keras.layers")
class Concatenate(_Merge):
    """Concatenate a list of tensors along an axis. All other sizes must agree.

    Args:
        axis: Axis of the concatenation.
        **kwargs: Arguments of `Layer`: `name`, `dtype`, `trainable`, ...

    Raises:
        ShapeError: If other sizes differ.

    Example:
        >>> hornbeam.layers.Concatenate()([np.ones((2, 3)), np.ones((2, 5))]).shape
        (2, 8)
    """

    def __init__(self, axis: int = -1, **kwargs: Unpack[RegularizedLayerOptions]) -> None:
        super().__init__(**kwargs)
        self.axis = axis

    def call(self, inputs: Sequence[Tensor]) -> Tensor:
        tensors = self._tensors(inputs)
        shapes = [x.shape for x in tensors]
        rank = len(shapes[0])
        axis = self.axis + rank if self.axis < 0 else self.axis
        others = [(*shape[:axis], *shape[axis + 1 :]) for shape in shapes]
        same_ranks = all(len(shape) == rank for shape in shapes)
        if not 0 <= axis < rank or not same_ranks or not all(same_shape(o, others[0]) for o in others):
            raise ShapeError(
                f"{self.describe()}: inputs of shapes {shapes} must have the same rank and agree in all axes "
                f"but axis={self.axis}"
            )
        return ops.concatenate(tensors, axis=axis)

    def compute_mask(self, inputs: Sequence[Tensor], mask: Sequence[Tensor | None] | None = None) -> Tree:
        masks = self._masks_of(inputs, mask)
        if masks is None or all(m is None for m in masks):
            return None
        axis = self.axis + inputs[0].ndim if self.axis < 0 else self.axis
        # Masks as large as the tensors, as the axis may be that of the features.
        full_masks = [
            ops.ones_like(x, "bool") if m is None else _broadcast_mask(m, x)
            for x, m in zip(inputs, masks, strict=True)
        ]
        joined = ops.concatenate(full_masks, axis=axis)
        return ops.any(joined, axis=tuple(range(2, joined.ndim))) if joined.ndim > 2 else joined


@exported("keras.layers")
class Dot(_Merge):
    """Compute dot products of two tensors, sample by sample.

    Shapes: x1 (batch, a, n), x2 (batch, b, n) with axes=2 -> y (batch, a, b).

    Args:
        axes: Axis to sum over, one for both tensors or a pair.
        normalize: Whether vectors are scaled to length 1 first, so that y is their cosine similarity.
        **kwargs: Arguments of `Layer`: `name`, `dtype`, `trainable`, ...

    Raises:
        ShapeError: If the sizes of the axes differ.
        ValueError: If an axis is the batch axis.

    Example:
        >>> hornbeam.layers.Dot(axes=1)([np.ones((2, 3)), np.ones((2, 3))]).shape
        (2, 1)
    """

    def __init__(
        self, axes: int | Sequence[int], normalize: bool = False, **kwargs: Unpack[RegularizedLayerOptions]
    ) -> None:
        super().__init__(**kwargs)
        is_valid = isinstance(axes, int) or (
            isinstance(axes, (list, tuple)) and len(axes) == 2 and all(isinstance(axis, int) for axis in axes)
        )
        if not is_valid:
            raise ValueError(f"Dot: axes must be an integer or a pair of them, got {axes!r}")
        self.axes = axes
        self.normalize = normalize

    def call(self, inputs: Sequence[Tensor]) -> Tensor:
        if not isinstance(inputs, (list, tuple)) or len(inputs) != 2:
            raise ValueError(f"{self.describe()} takes a list of exactly 2 tensors")
        x, y = inputs
        pair = (self.axes, self.axes) if isinstance(self.axes, int) else self.axes
        ax, ay = (axis + z.ndim if axis < 0 else axis for axis, z in zip(pair, (x, y), strict=True))
        if 0 in (ax, ay):
            raise ValueError(f"{self.describe()}: axes {self.axes} name the batch axis")
        if x.shape[ax] != y.shape[ay]:
            raise ShapeError(
                f"{self.describe()}: axes {self.axes} of shapes {x.shape} and {y.shape} differ in size"
            )
        if self.normalize:
            x, y = ops.normalize(x, axis=ax), ops.normalize(y, axis=ay)
        product = _batch_dot(x, y, ax, ay)
        return product if product.ndim > 1 else ops.expand_dims(product, 1)

    def compute_mask(self, inputs: Sequence[Tensor], mask: Sequence[Tensor | None] | None = None) -> None:
        return None


def _batch_dot(x: Tensor, y: Tensor, ax: int, ay: int) -> Tensor:
    letters = "abcdefghijklmnopqrstuvwxyz"
    left = ["Z", *letters[: x.ndim - 1]]
    right = ["Z", *letters[x.ndim : x.ndim + y.ndim - 1]]
    left[ax] = right[ay] = "Y"
    out = [letter for letter in (*left, *right[1:]) if letter != "Y"]
    return ops.einsum(f"{''.join(left)},{''.join(right)}->{''.join(out)}", x, y)


def _function_doc(cls: type[Layer]) -> str:
    title = (cls.__doc__ or "").splitlines()[0]
    return (
        f"{title}\n\nThe same as `{cls.__name__}(**kwargs)(inputs)`.\n\n"
        "Args:\n    inputs: List of tensors that broadcast against each other.\n"
        f"    **kwargs: Arguments of `{cls.__name__}`.\n"
    )


def _as_function(cls: type[Layer], name: str) -> Callable[..., Tensor]:
    def function(inputs: Sequence[Any], **kwargs: Any) -> Tensor:
        return cls(**kwargs)(inputs)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = _function_doc(cls)
    return function


add = _as_function(Add, "add")
subtract = _as_function(Subtract, "subtract")
multiply = _as_function(Multiply, "multiply")
average = _as_function(Average, "average")
maximum = _as_function(Maximum, "maximum")
minimum = _as_function(Minimum, "minimum")


def concatenate(inputs: Sequence[Any], axis: int = -1, **kwargs: Any) -> Tensor:
    """Concatenate a list of tensors along an axis: `Concatenate(axis, **kwargs)(inputs)`.

    Args:
        inputs: List of tensors.
        axis: Axis of the concatenation.
        **kwargs: Arguments of `Concatenate`.
    """
    return Concatenate(axis=axis, **kwargs)(inputs)


def dot(inputs: Sequence[Any], axes: int | Sequence[int] = -1, **kwargs: Any) -> Tensor:
    """Compute dot products of two tensors, sample by sample: `Dot(axes, **kwargs)(inputs)`.

    Args:
        inputs: List of two tensors.
        axes: Axis to sum over, one for both tensors or a pair.
        **kwargs: Arguments of `Dot`.
    """
    return Dot(axes=axes, **kwargs)(inputs)
