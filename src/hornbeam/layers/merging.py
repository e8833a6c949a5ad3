"""Layers that make one tensor of several: sums, products, concatenation, dot products; and the same as
functions.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from hornbeam import ops
from hornbeam.core.registry import exported
from hornbeam.core.tensor import Tensor
from hornbeam.ir.types import ShapeError
from hornbeam.layers.layer import Layer


class _Merge(Layer):
    """Common to layers that combine a list of tensors value by value."""

    minimum = 1

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True

    def combine(self, inputs: list[Tensor]) -> Tensor:
        """One tensor of tensors that broadcast against each other."""
        raise NotImplementedError

    def call(self, inputs: Any) -> Tensor:
        tensors = self._tensors(inputs)
        rank = max(x.ndim for x in tensors)
        # A missing axis goes behind the batch, so that (batch, n) meets (batch, m, n).
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

    def _tensors(self, inputs: Any) -> list[Tensor]:
        if not isinstance(inputs, (list, tuple)) or len(inputs) < self.minimum:
            count = len(inputs) if isinstance(inputs, (list, tuple)) else "no list"
            raise ValueError(
                f"{self.describe()} merges a list of at least {self.minimum} tensors, got {count}"
            )
        return list(inputs)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """True where any input is to be looked at; None if one of them has no mask."""
        if not isinstance(mask, (list, tuple)) or any(m is None for m in mask):
            return None
        return functools.reduce(ops.logical_or, mask)


def _wide_mask(x: Tensor) -> Tensor | None:
    """The mask that a tensor carries, as wide as the tensor."""
    mask = x._keras_mask
    if mask is None:
        return None
    return ops.broadcast_to(ops.reshape(mask, (*mask.shape, *(1,) * (x.ndim - mask.ndim))), x.shape)


def _widened(mask: Any, x: Any) -> Any:
    """A mask as wide as the tensor. By these operations: Keras's order of layers depends on their number."""
    if mask.ndim == x.ndim:
        return mask
    return ops.logical_or(ops.expand_dims(mask, tuple(range(mask.ndim, x.ndim))), ops.zeros_like(x, "bool"))


def _extreme(pick: Callable[[Any, Any], Tensor], inputs: list[Tensor]) -> Tensor:
    """Largest or smallest values, of those that are not masked."""
    found, known = inputs[0], _wide_mask(inputs[0])
    for x in inputs[1:]:
        mask = _wide_mask(x)
        x = x if mask is None else ops.where(mask, x, found)
        found = pick(found if known is None else ops.where(known, found, x), x)
        known = None if mask is None or known is None else ops.logical_or(known, mask)
    return found


@exported("keras.layers")
class Add(_Merge):
    """y = x1 + x2 + ..., of a list of tensors that broadcast. Raises ShapeError if they do not.

    >>> hornbeam.layers.Add()([np.ones((2, 3)), np.ones((2, 3))]).shape
    (2, 3)
    """

    def combine(self, inputs: list[Tensor]) -> Tensor:
        return functools.reduce(ops.add, inputs)


@exported("keras.layers")
class Subtract(_Merge):
    """y = x1 - x2, of exactly two tensors that broadcast. Raises ValueError for another number.

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
    """y = x1 * x2 * ..., of a list of tensors that broadcast. Raises ShapeError if they do not.

    >>> hornbeam.layers.Multiply()([np.ones((2, 3)), np.ones((2, 3))]).shape
    (2, 3)
    """

    def combine(self, inputs: list[Tensor]) -> Tensor:
        masks = [_wide_mask(x) for x in inputs]
        factors = [x if m is None else ops.where(m, x, 1.0) for x, m in zip(inputs, masks, strict=True)]
        product = functools.reduce(ops.multiply, factors)
        if any(m is None for m in masks):
            return product
        return ops.where(functools.reduce(ops.logical_or, masks), product, 0.0)


@exported("keras.layers")
class Average(_Merge):
    """y = (x1 + x2 + ... + xn) / n, of a list of tensors that broadcast. Raises ShapeError if they do not.

    >>> hornbeam.layers.Average()([np.ones((2, 3)), np.ones((2, 3))]).shape
    (2, 3)
    """

    def combine(self, inputs: list[Tensor]) -> Tensor:
        return functools.reduce(ops.add, inputs) / len(inputs)


@exported("keras.layers")
class Maximum(_Merge):
    """y = max(x1, x2, ...) value by value, of tensors that broadcast. Raises ShapeError if they do not.

    >>> hornbeam.layers.Maximum()([np.ones((2, 3)), np.ones((2, 3))]).shape
    (2, 3)
    """

    def combine(self, inputs: list[Tensor]) -> Tensor:
        return _extreme(ops.maximum, inputs)


@exported("keras.layers")
class Minimum(_Merge):
    """y = min(x1, x2, ...) value by value, of tensors that broadcast. Raises ShapeError if they do not.

    >>> hornbeam.layers.Minimum()([np.ones((2, 3)), np.ones((2, 3))]).shape
    (2, 3)
    """

    def combine(self, inputs: list[Tensor]) -> Tensor:
        return _extreme(ops.minimum, inputs)


@exported("keras.layers")
class Concatenate(_Merge):
    """The tensors of a list behind each other along `axis`; all other sizes must agree.

    Raises ShapeError if they do not.

    >>> hornbeam.layers.Concatenate()([np.ones((2, 3)), np.ones((2, 5))]).shape
    (2, 8)
    """

    def __init__(self, axis: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = axis

    def call(self, inputs: Any) -> Tensor:
        tensors = self._tensors(inputs)
        shapes = [x.shape for x in tensors]
        rank = len(shapes[0])
        axis = self.axis + rank if self.axis < 0 else self.axis
        others = {(*shape[:axis], *shape[axis + 1 :]) for shape in shapes}
        if not 0 <= axis < rank or len(others) > 1 or len({len(shape) for shape in shapes}) > 1:
            raise ShapeError(
                f"{self.describe()}: inputs of shapes {shapes} must have the same rank and agree in all axes "
                f"but axis={self.axis}"
            )
        return ops.concatenate(tensors, axis=axis)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        if not isinstance(mask, (list, tuple)) or all(m is None for m in mask):
            return None
        axis = self.axis + inputs[0].ndim if self.axis < 0 else self.axis
        # As wide as the tensor, for the features may be what is concatenated.
        wide = [
            ops.ones_like(x, "bool") if m is None else _widened(m, x)
            for x, m in zip(inputs, mask, strict=True)
        ]
        joined = ops.concatenate(wide, axis=axis)
        return ops.any(joined, axis=tuple(range(2, joined.ndim))) if joined.ndim > 2 else joined


@exported("keras.layers")
class Dot(_Merge):
    """Dot products of two tensors, sample by sample, over `axes` (one for both, or a pair).

    x1 (batch, a, n), x2 (batch, b, n) with axes=2 -> y (batch, a, b). normalize: make the vectors unit long
    first, so that y is the cosine of their angle.

    Raises ShapeError if the sizes of the axes differ, ValueError for the batch axis.

    >>> hornbeam.layers.Dot(axes=1)([np.ones((2, 3)), np.ones((2, 3))]).shape
    (2, 1)
    """

    def __init__(self, axes: Any, normalize: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        good = isinstance(axes, int) or (
            isinstance(axes, (list, tuple)) and len(axes) == 2 and all(isinstance(axis, int) for axis in axes)
        )
        if not good:
            raise ValueError(f"Dot: axes must be a whole number or a pair of them, got {axes!r}")
        self.axes = axes
        self.normalize = normalize

    def call(self, inputs: Any) -> Tensor:
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

    def compute_mask(self, inputs: Any, mask: Any = None) -> None:
        return None


def _batch_dot(x: Tensor, y: Tensor, ax: int, ay: int) -> Tensor:
    letters = "abcdefghijklmnopqrstuvwxyz"
    left = ["Z", *letters[: x.ndim - 1]]
    right = ["Z", *letters[x.ndim : x.ndim + y.ndim - 1]]
    left[ax] = right[ay] = "Y"
    out = [letter for letter in (*left, *right[1:]) if letter != "Y"]
    return ops.einsum(f"{''.join(left)},{''.join(right)}->{''.join(out)}", x, y)


def _as_function(cls: Callable[..., Layer], name: str) -> Callable[..., Tensor]:
    def function(inputs: Sequence[Any], **kwargs: Any) -> Tensor:
        return cls(**kwargs)(inputs)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"`{cls.__name__}(**kwargs)(inputs)`: the layer as a function.\n\n{cls.__doc__}"
    return function


add = _as_function(Add, "add")
subtract = _as_function(Subtract, "subtract")
multiply = _as_function(Multiply, "multiply")
average = _as_function(Average, "average")
maximum = _as_function(Maximum, "maximum")
minimum = _as_function(Minimum, "minimum")


def concatenate(inputs: Sequence[Any], axis: int = -1, **kwargs: Any) -> Tensor:
    """`Concatenate(axis)(inputs)`: the tensors of a list behind each other along `axis`."""
    return Concatenate(axis=axis, **kwargs)(inputs)


def dot(inputs: Sequence[Any], axes: Any = -1, **kwargs: Any) -> Tensor:
    """`Dot(axes)(inputs)`: dot products of two tensors, sample by sample."""
    return Dot(axes=axes, **kwargs)(inputs)
