"""Reductions: sums, means, maxima, logic, cumulative sums, and positions of maxima."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from hornbeam import primitives as p
from hornbeam._internal.typing import Axis, DTypeLike
from hornbeam.core.convert import cast, cast_node
from hornbeam.core.dispatch import operation
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import TensorLike
from hornbeam.ir.node import Node
from hornbeam.ir.sizes import same_shape
from hornbeam.ir.types import ShapeError, dtype_name, is_complex
from hornbeam.ops._common import (
    HALF,
    float_dtype,
    float_node,
    many_axes,
    node_of,
    one_axis,
    size_along,
    to_last,
    wide_dtype,
    with_ones,
)
from hornbeam.ops.elementwise import maximum, minimum
from hornbeam.ops.finiteness import isclose

# fmt: off
__all__ = [
    "all", "allclose", "amax", "amin", "any", "argmax", "argmin", "average", "count_nonzero", "cumprod",
    "cumsum", "logsumexp", "max", "mean", "min", "prod", "ptp", "std", "sum", "var",
]
# fmt: on

Reduce = Callable[[Node, tuple[int, ...]], Node]


def _reduce(rule: Reduce, node: Node, axis: Axis, keepdims: bool, name: str) -> Node:
    axes = many_axes(axis, node.rank, name)
    # Over no axes sums, maxima and so on are the element itself; a variance is not.
    result = rule(node, axes) if axes or name in ("var", "std") else node
    return p.reshape(result, with_ones(node.shape, axes)) if keepdims else result


def mean_node(node: Node, axes: tuple[int, ...]) -> Node:
    """Compute the mean of a float node; half precision is summed and divided in float32."""
    values = p.convert(node, "float32") if node.dtype in HALF else node
    count = size_along(node, axes)
    total = p.reduce_sum(values, axes) if axes else values
    # An empty mean is 0 / 0: NaN, as in NumPy.
    return p.convert(total / count, node.dtype)


def var_node(node: Node, axes: tuple[int, ...]) -> Node:
    """Compute the mean squared distance from the mean; half precision in float32, complex numbers real."""
    values = p.convert(node, "float32") if node.dtype in HALF else node
    centred = values - p.keep(mean_node(values, axes), values, axes)
    if is_complex(node.dtype):
        return mean_node(p.real(centred * p.conj(centred)), axes)
    return p.convert(mean_node(centred * centred, axes), node.dtype)


@operation
def sum(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Sum over axes.

    Integers narrower than 32 bits and booleans are summed as int32 or uint32; half-precision floats
    accumulate in float32.

    Args:
        x: Tensor of any shape, or anything that converts to one.
        axis: Integer or sequence of integers, the axes to reduce; None for all.
        keepdims: Keep the reduced axes with size 1.

    Returns:
        Tensor of the reduced shape.

    Raises:
        ShapeError: If an axis is out of range.

    Example:
        >>> float(hornbeam.ops.sum([1.0, 2.0]))
        3.0
    """
    node = node_of(x)
    return Tensor(_reduce(p.reduce_sum, p.convert(node, wide_dtype(node.dtype)), axis, keepdims, "sum"))


@operation
def prod(x: TensorLike, axis: Axis = None, keepdims: bool = False, dtype: DTypeLike | None = None) -> Tensor:
    """Multiply over axes; narrow integers are widened as in `sum`.

    Args:
        x: Tensor of any shape, or anything that converts to one.
        axis: Integer or sequence of integers, the axes to reduce; None for all.
        keepdims: Keep the reduced axes with size 1.
        dtype: Dtype of the result; None for that of the widened `x`.

    Returns:
        Tensor of the reduced shape.

    Example:
        >>> int(hornbeam.ops.prod([2, 3]))
        6
    """
    node = node_of(x)
    node = p.convert(node, wide_dtype(node.dtype) if dtype is None else dtype_name(dtype))
    return Tensor(_reduce(p.reduce_prod, node, axis, keepdims, "prod"))


@operation
def mean(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Compute the mean over axes; NaN of an empty axis.

    Integers give `floatx`; half precision is summed in float32.

    Args:
        x: Tensor of any shape, or anything that converts to one.
        axis: Integer or sequence of integers, the axes to reduce; None for all.
        keepdims: Keep the reduced axes with size 1.

    Returns:
        Tensor of the reduced shape, of floats.

    Example:
        >>> float(hornbeam.ops.mean([1.0, 2.0]))
        1.5
    """
    return Tensor(_reduce(mean_node, float_node(x), axis, keepdims, "mean"))


@operation
def var(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Compute the variance mean((x - mean(x))^2) over axes, divided by the count (ddof 0).

    Args:
        x: Tensor of any shape, or anything that converts to one.
        axis: Integer or sequence of integers, the axes to reduce; None for all.
        keepdims: Keep the reduced axes with size 1.

    Returns:
        Tensor of the reduced shape, of floats.

    Example:
        >>> float(hornbeam.ops.var([1.0, 3.0]))
        1.0
    """
    return Tensor(_reduce(var_node, float_node(x), axis, keepdims, "var"))


@operation
def std(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Compute the standard deviation over axes: the square root of the variance.

    Args:
        x: Tensor of any shape, or anything that converts to one.
        axis: Integer or sequence of integers, the axes to reduce; None for all.
        keepdims: Keep the reduced axes with size 1.

    Returns:
        Tensor of the reduced shape, of floats.

    Example:
        >>> float(hornbeam.ops.std([1.0, 3.0]))
        1.0
    """
    return Tensor(_reduce(lambda n, axes: p.sqrt(var_node(n, axes)), float_node(x), axis, keepdims, "std"))


@operation
def average(x: TensorLike, axis: Axis = None, weights: TensorLike | None = None) -> Tensor:
    """Compute the weighted mean sum(x * weights) / sum(weights) over axes.

    Args:
        x: Tensor of any shape, or anything that converts to one.
        axis: Integer or sequence of integers, the axes to reduce; None for all.
        weights: Tensor of the shape of `x`, or vector along one `axis`; None for the plain mean.

    Returns:
        Tensor of the reduced shape, of floats.

    Raises:
        ShapeError: If the weights have neither the shape of `x` nor that of one axis.

    Example:
        >>> float(hornbeam.ops.average([1.0, 3.0], weights=[3.0, 1.0]))
        1.5
    """
    if weights is None:
        return mean(Tensor(float_node(x)), axis)
    dtype = float_dtype(x, weights)
    values, w = Tensor(cast_node(x, dtype)), Tensor(cast_node(weights, dtype))
    if not same_shape(w.shape, values.shape):
        if not isinstance(axis, int) or w.ndim != 1:
            raise ShapeError(f"average: weights of shape {w.shape} need x's shape {values.shape} or one axis")
        at = one_axis(axis, values.ndim, "average")
        if w.shape[0] != values.shape[at]:
            raise ShapeError(f"average: {w.shape[0]} weights for an axis of size {values.shape[at]}")
        w = Tensor(p.broadcast(w.node, values.shape, (at,)))
    return sum(values * w, axis) / sum(w, axis)


def _extreme(
    rule: Reduce, logic: Reduce, combine: Callable[[Any, Any], Tensor], name: str
) -> Callable[..., Tensor]:
    """Make a maximum or minimum: of truth values, by logic; with an initial value, of empty tensors too."""

    def apply(x: TensorLike, axis: Axis, keepdims: bool, initial: TensorLike | None = None) -> Tensor:
        node = node_of(x)
        axes = many_axes(axis, node.rank, name)
        if initial is None and axes and not size_along(node, axes):
            raise ShapeError(f"{name} of an empty tensor: the shape is {node.shape}, the axes are {axes}")
        result = _reduce(logic if node.dtype == "bool" else rule, node, axis, keepdims, name)
        return Tensor(result) if initial is None else combine(Tensor(result), cast(initial, node.dtype))

    return apply


_max = _extreme(p.reduce_max, p.reduce_or, maximum, "max")
_min = _extreme(p.reduce_min, p.reduce_and, minimum, "min")


@operation
def max(x: TensorLike, axis: Axis = None, keepdims: bool = False, initial: float | None = None) -> Tensor:
    """Compute the maximum over axes; NaN if an element is NaN.

    Args:
        x: Tensor of any shape, or anything that converts to one.
        axis: Integer or sequence of integers, the axes to reduce; None for all.
        keepdims: Keep the reduced axes with size 1.
        initial: Number, the least value of the result, or None.

    Returns:
        Tensor of the reduced shape, in the dtype of `x`.

    Raises:
        ShapeError: If a reduced axis is empty and `initial` is None.

    Example:
        >>> float(hornbeam.ops.max([1.0, 2.0]))
        2.0
    """
    return _max(x, axis, keepdims, initial)


@operation
def min(x: TensorLike, axis: Axis = None, keepdims: bool = False, initial: float | None = None) -> Tensor:
    """Compute the minimum over axes; NaN if an element is NaN.

    Args:
        x: Tensor of any shape, or anything that converts to one.
        axis: Integer or sequence of integers, the axes to reduce; None for all.
        keepdims: Keep the reduced axes with size 1.
        initial: Number, the largest value of the result, or None.

    Returns:
        Tensor of the reduced shape, in the dtype of `x`.

    Raises:
        ShapeError: If a reduced axis is empty and `initial` is None.

    Example:
        >>> float(hornbeam.ops.min([1.0, 2.0]))
        1.0
    """
    return _min(x, axis, keepdims, initial)


@operation
def amax(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Compute the maximum over axes: `max` under NumPy's older name.

    Args:
        x: Tensor of any shape, or anything that converts to one.
        axis: Integer or sequence of integers, the axes to reduce; None for all.
        keepdims: Keep the reduced axes with size 1.

    Returns:
        Tensor of the reduced shape, in the dtype of `x`.
    """
    return _max(x, axis, keepdims)


@operation
def amin(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Compute the minimum over axes: `min` under NumPy's older name.

    Args:
        x: Tensor of any shape, or anything that converts to one.
        axis: Integer or sequence of integers, the axes to reduce; None for all.
        keepdims: Keep the reduced axes with size 1.

    Returns:
        Tensor of the reduced shape, in the dtype of `x`.
    """
    return _min(x, axis, keepdims)


@operation
def ptp(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Compute the range over axes: maximum minus minimum.

    Args:
        x: Tensor of any shape, or anything that converts to one.
        axis: Integer or sequence of integers, the axes to reduce; None for all.
        keepdims: Keep the reduced axes with size 1.

    Returns:
        Tensor of the reduced shape, in the dtype of `x`.

    Example:
        >>> float(hornbeam.ops.ptp([1.0, 4.0]))
        3.0
    """
    return _max(x, axis, keepdims) - _min(x, axis, keepdims)


@operation
def all(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Test if all elements over axes are true; nonzero is true.

    Args:
        x: Tensor of any shape, or anything that converts to one.
        axis: Integer or sequence of integers, the axes to reduce; None for all.
        keepdims: Keep the reduced axes with size 1.

    Returns:
        Tensor of the reduced shape, of booleans.

    Example:
        >>> bool(hornbeam.ops.all([True, False]))
        False
    """
    return Tensor(_reduce(p.reduce_and, cast_node(x, "bool"), axis, keepdims, "all"))


@operation
def any(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Test if any element over axes is true; nonzero is true.

    Args:
        x: Tensor of any shape, or anything that converts to one.
        axis: Integer or sequence of integers, the axes to reduce; None for all.
        keepdims: Keep the reduced axes with size 1.

    Returns:
        Tensor of the reduced shape, of booleans.

    Example:
        >>> bool(hornbeam.ops.any([True, False]))
        True
    """
    return Tensor(_reduce(p.reduce_or, cast_node(x, "bool"), axis, keepdims, "any"))


@operation
def allclose(
    x1: TensorLike, x2: TensorLike, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Tensor:
    """Test if |x1 - x2| <= atol + rtol |x2| everywhere.

    Args:
        x1: Tensor of any shape, or anything that converts to one.
        x2: Tensor or anything that converts to one, broadcast against `x1`.
        rtol: Relative tolerance.
        atol: Absolute tolerance.
        equal_nan: Count NaN as close to NaN.

    Returns:
        Boolean scalar.

    Example:
        >>> bool(hornbeam.ops.allclose([1.0], [1.0]))
        True
    """
    return all(isclose(x1, x2, rtol, atol, equal_nan))


@operation
def count_nonzero(x: TensorLike, axis: Axis = None) -> Tensor:
    """Count the nonzero elements over axes.

    Args:
        x: Tensor of any shape, or anything that converts to one.
        axis: Integer or sequence of integers, the axes to reduce; None for all.

    Returns:
        Tensor of the reduced shape, int32.

    Example:
        >>> int(hornbeam.ops.count_nonzero([0, 3, 4]))
        2
    """
    return sum(Tensor(p.convert(cast_node(x, "bool"), "int32")), axis)


def _position(
    rule: Callable[[Node, int], Node], x: TensorLike, axis: int | None, keepdims: bool, name: str
) -> Tensor:
    node = node_of(x)
    node = p.convert(node, "int32") if node.dtype == "bool" else node
    if axis is None:
        axes = many_axes(None, node.rank, name)
        flat = p.reshape(node, (math.prod(node.shape),))
        index = rule(flat, 0)
    else:
        axes = (one_axis(axis, node.rank, name),)
        index = rule(node, axes[0])
    return Tensor(p.reshape(index, with_ones(node.shape, axes)) if keepdims else index)


@operation
def argmax(x: TensorLike, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """Return the index of the maximum along an axis; of equal elements the first.

    Args:
        x: Tensor of any shape, or anything that converts to one.
        axis: Integer, the axis; None for the flattened tensor.
        keepdims: Keep the reduced axes with size 1.

    Returns:
        Tensor of the reduced shape, int32.

    Example:
        >>> int(hornbeam.ops.argmax([1.0, 3.0, 2.0]))
        1
    """
    return _position(p.argmax, x, axis, keepdims, "argmax")


@operation
def argmin(x: TensorLike, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """Return the index of the minimum along an axis; of equal elements the first.

    Args:
        x: Tensor of any shape, or anything that converts to one.
        axis: Integer, the axis; None for the flattened tensor.
        keepdims: Keep the reduced axes with size 1.

    Returns:
        Tensor of the reduced shape, int32.

    Example:
        >>> int(hornbeam.ops.argmin([1.0, 0.0, 2.0]))
        1
    """
    return _position(p.argmin, x, axis, keepdims, "argmin")


def _cumulative(
    rule: Callable[..., Node], x: TensorLike, axis: int | None, dtype: DTypeLike | None, name: str
) -> Tensor:
    node = node_of(x)
    if dtype is not None:
        node = p.convert(node, dtype_name(dtype))
    elif node.dtype == "bool":
        node = p.convert(node, "int32")
    if axis is None:
        node = p.reshape(node, (math.prod(node.shape),))
    return Tensor(rule(node, one_axis(0 if axis is None else axis, node.rank, name)))


@operation
def cumsum(x: TensorLike, axis: int | None = None, dtype: DTypeLike | None = None) -> Tensor:
    """Compute the cumulative sum along an axis.

    Args:
        x: Tensor of any shape, or anything that converts to one.
        axis: Integer, the axis; None for the flattened tensor.
        dtype: Dtype of the result; None for that of the widened `x`.

    Returns:
        Tensor of the shape of `x`, or a vector if `axis` is None.

    Example:
        >>> np.asarray(hornbeam.ops.cumsum([1, 2, 3])).tolist()
        [1, 3, 6]
    """
    return _cumulative(p.cumsum, x, axis, dtype, "cumsum")


@operation
def cumprod(x: TensorLike, axis: int | None = None, dtype: DTypeLike | None = None) -> Tensor:
    """Compute the cumulative product along an axis.

    Args:
        x: Tensor of any shape, or anything that converts to one.
        axis: Integer, the axis; None for the flattened tensor.
        dtype: Dtype of the result; None for that of the widened `x`.

    Returns:
        Tensor of the shape of `x`, or a vector if `axis` is None.

    Example:
        >>> np.asarray(hornbeam.ops.cumprod([1, 2, 3])).tolist()
        [1, 2, 6]
    """
    return _cumulative(p.cumprod, x, axis, dtype, "cumprod")


@operation
def logsumexp(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Compute log(sum(exp(x))) over axes, without overflow.

    Args:
        x: Tensor of any shape, or anything that converts to one.
        axis: Integer or sequence of integers, the axes to reduce; None for all.
        keepdims: Keep the reduced axes with size 1.

    Returns:
        Tensor of the reduced shape, of floats.

    Example:
        >>> round(float(hornbeam.ops.logsumexp([0.0, 0.0])), 4)
        0.6931
    """
    node = float_node(x)
    return Tensor(_reduce(lambda n, axes: p.logsumexp(to_last(n, axes)), node, axis, keepdims, "logsumexp"))
