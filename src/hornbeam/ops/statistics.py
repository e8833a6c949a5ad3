"""Quantiles, differences, correlations, and reductions that ignore NaN."""

from __future__ import annotations

import math
from collections.abc import Callable

from hornbeam import primitives as p
from hornbeam._internal.typing import Axis, DTypeLike
from hornbeam.core.convert import cast_node
from hornbeam.core.dispatch import operation
from hornbeam.core.operators import matmul
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import TensorLike
from hornbeam.ir.node import Node
from hornbeam.ir.primitive import full, ones_like, zeros_like
from hornbeam.ir.types import ShapeError, is_complex, is_float
from hornbeam.ops import reduction
from hornbeam.ops._common import (
    check_ordered,
    float_dtype,
    float_node,
    many_axes,
    node_of,
    one_axis,
    static_int,
    to_last,
    with_ones,
)
from hornbeam.ops.complex_numbers import conjugate, real

# fmt: off
__all__ = [
    "corrcoef", "diff", "median", "nanargmax", "nanargmin", "nancumprod", "nancumsum", "nanmax", "nanmean",
    "nanmedian", "nanmin", "nanpercentile", "nanprod", "nanquantile", "nanstd", "nansum", "nanvar",
    "percentile", "quantile", "trapezoid",
]
# fmt: on

# -- quantiles -----------------------------------------------------------------------------------------------

_METHODS = ("linear", "lower", "higher", "midpoint", "nearest")


def _quantiles(
    x: TensorLike, q: Node, axis: Axis, method: str, keepdims: bool, skip_nan: bool, name: str
) -> Tensor:
    """Compute quantiles at `q` (any shape) along `axis`: the shape of q, then that of the reduced x."""
    if method not in _METHODS:
        raise ValueError(f"{name}: method must be one of {', '.join(_METHODS)}, got {method!r}")
    node = check_ordered(float_node(x), name)
    work = "float64" if node.dtype == "float64" else "float32"
    axes = many_axes(axis, node.rank, name)
    values = p.convert(node, work)
    # Over no axes each element is alone.
    rows = p.sort(to_last(values, axes) if axes else p.reshape(values, (*node.shape, 1)))
    size, lead = rows.shape[-1], rows.shape[:-1]
    if not size:
        raise ShapeError(f"{name} of an empty tensor: the shape is {node.shape}")
    missing = p.reduce_sum(p.convert(p.ne(rows, rows), work), (rows.rank - 1,))
    counts = size - missing if skip_nan else full(size, missing.type)
    count = math.prod(q.shape)
    grid = (*lead, count)
    places = p.broadcast(p.reshape(p.convert(q, work), (count,)), grid, (len(lead),))
    last = p.maximum(counts - 1.0, zeros_like(counts))
    at = places * p.broadcast(last, grid, tuple(range(len(lead))))
    values = _between(rows, at, method)
    unknown = p.eq(counts, zeros_like(counts)) if skip_nan else p.gt(missing, zeros_like(missing))
    unknown = p.broadcast(unknown, grid, tuple(range(len(lead))))
    values = p.select(unknown, full(math.nan, values.type), values)
    values = p.transpose(values, (len(lead), *range(len(lead))))
    rest = with_ones(node.shape, axes) if keepdims else lead
    return Tensor(p.convert(p.reshape(values, (*q.shape, *rest)), node.dtype))


def _between(rows: Node, at: Node, method: str) -> Node:
    """Interpolate sorted rows at fractional positions."""

    def pick(position: Node) -> Node:
        index = p.convert(position, "int32")
        return p.gather(rows, p.reshape(index, (*index.shape, 1)), batch_dims=rows.rank - 1)

    if method == "nearest":
        return pick(p.round_even(at))
    low, high = p.floor(at), p.ceil(at)
    if method != "linear":
        a, b = pick(low), pick(high)
        return {"lower": a, "higher": b, "midpoint": (a + b) * 0.5}[method]
    a, b = pick(low), pick(high)
    # Do not interpolate between an element and itself, which could be infinity times 0.
    return p.select(p.eq(a, b), a, a + (b - a) * (at - low))


def _fractions(q: TensorLike, scale: float) -> Node:
    node = float_node(q)
    return node * scale if scale != 1.0 else node


@operation
def quantile(
    x: TensorLike, q: TensorLike, axis: Axis = None, method: str = "linear", keepdims: bool = False
) -> Tensor:
    """Compute quantiles over axes: the values below which the fractions `q` of the elements lie.

    NaN if an element is NaN.

    Args:
        x: Tensor of any shape, or anything that converts to one.
        q: Number or tensor of numbers in [0, 1], the fractions.
        axis: Integer or sequence of integers, the axes to reduce; None for all.
        method: How to interpolate between two elements: "linear", "lower", "higher", "midpoint" or "nearest".
        keepdims: Keep the reduced axes with size 1.

    Returns:
        Tensor of the shape of `q` followed by the reduced shape of `x`.

    Example:
        >>> float(hornbeam.ops.quantile([1.0, 2.0, 4.0], 0.75))
        3.0
    """
    return _quantiles(x, _fractions(q, 1.0), axis, method, keepdims, False, "quantile")


@operation
def percentile(
    x: TensorLike, q: TensorLike, axis: Axis = None, method: str = "linear", keepdims: bool = False
) -> Tensor:
    """Compute percentiles over axes: `quantile` with `q` in percent.

    Args:
        x: Tensor of any shape, or anything that converts to one.
        q: Number or tensor of numbers in [0, 100], the percentages.
        axis: Integer or sequence of integers, the axes to reduce; None for all.
        method: How to interpolate between two elements: "linear", "lower", "higher", "midpoint" or "nearest".
        keepdims: Keep the reduced axes with size 1.

    Returns:
        Tensor of the shape of `q` followed by the reduced shape of `x`.

    Example:
        >>> float(hornbeam.ops.percentile([1.0, 2.0, 4.0], 75))
        3.0
    """
    return _quantiles(x, _fractions(q, 0.01), axis, method, keepdims, False, "percentile")


@operation
def median(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Compute the median over axes: the middle element, or the mean of the two middle elements.

    Args:
        x: Tensor of any shape, or anything that converts to one.
        axis: Integer or sequence of integers, the axes to reduce; None for all.
        keepdims: Keep the reduced axes with size 1.

    Returns:
        Tensor of the reduced shape, of floats.

    Example:
        >>> float(hornbeam.ops.median([3.0, 1.0, 2.0]))
        2.0
    """
    return _quantiles(x, float_node(0.5), axis, "linear", keepdims, False, "median")


@operation
def nanquantile(
    x: TensorLike, q: TensorLike, axis: Axis = None, method: str = "linear", keepdims: bool = False
) -> Tensor:
    """Compute quantiles over axes of the elements that are not NaN; NaN where all are.

    Args:
        x: Tensor of any shape, or anything that converts to one.
        q: Number or tensor of numbers in [0, 1], the fractions.
        axis: Integer or sequence of integers, the axes to reduce; None for all.
        method: How to interpolate between two elements: "linear", "lower", "higher", "midpoint" or "nearest".
        keepdims: Keep the reduced axes with size 1.

    Returns:
        Tensor of the shape of `q` followed by the reduced shape of `x`.
    """
    return _quantiles(x, _fractions(q, 1.0), axis, method, keepdims, True, "nanquantile")


@operation
def nanpercentile(
    x: TensorLike, q: TensorLike, axis: Axis = None, method: str = "linear", keepdims: bool = False
) -> Tensor:
    """Compute percentiles over axes of the elements that are not NaN; NaN where all are.

    Args:
        x: Tensor of any shape, or anything that converts to one.
        q: Number or tensor of numbers in [0, 100], the percentages.
        axis: Integer or sequence of integers, the axes to reduce; None for all.
        method: How to interpolate between two elements: "linear", "lower", "higher", "midpoint" or "nearest".
        keepdims: Keep the reduced axes with size 1.

    Returns:
        Tensor of the shape of `q` followed by the reduced shape of `x`.
    """
    return _quantiles(x, _fractions(q, 0.01), axis, method, keepdims, True, "nanpercentile")


@operation
def nanmedian(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Compute the median over axes of the elements that are not NaN; NaN where all are.

    Args:
        x: Tensor of any shape, or anything that converts to one.
        axis: Integer or sequence of integers, the axes to reduce; None for all.
        keepdims: Keep the reduced axes with size 1.

    Returns:
        Tensor of the reduced shape, of floats.
    """
    return _quantiles(x, float_node(0.5), axis, "linear", keepdims, True, "nanmedian")


# -- reductions that skip NaN --------------------------------------------------------------------------------


def _without_nan(x: TensorLike, value: float) -> tuple[Node, Node]:
    """Replace NaN by `value`; also return the mask of NaN."""
    node = node_of(x)
    missing = p.ne(node, node)
    if not is_float(node.dtype):
        return node, missing
    return p.select(missing, full(value, node.type), node), missing


@operation
def nansum(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Sum over axes with 0 in place of NaN.

    Args:
        x: Tensor of any shape, or anything that converts to one.
        axis: Integer or sequence of integers, the axes to reduce; None for all.
        keepdims: Keep the reduced axes with size 1.

    Returns:
        Tensor of the reduced shape.

    Example:
        >>> float(hornbeam.ops.nansum([1.0, float("nan")]))
        1.0
    """
    return reduction.sum(Tensor(_without_nan(x, 0)[0]), axis, keepdims)


@operation
def nanprod(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Multiply over axes with 1 in place of NaN.

    Args:
        x: Tensor of any shape, or anything that converts to one.
        axis: Integer or sequence of integers, the axes to reduce; None for all.
        keepdims: Keep the reduced axes with size 1.

    Returns:
        Tensor of the reduced shape.
    """
    return reduction.prod(Tensor(_without_nan(x, 1)[0]), axis, keepdims)


@operation
def nanmean(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Compute the mean over axes of the elements that are not NaN; NaN where all are.

    Args:
        x: Tensor of any shape, or anything that converts to one.
        axis: Integer or sequence of integers, the axes to reduce; None for all.
        keepdims: Keep the reduced axes with size 1.

    Returns:
        Tensor of the reduced shape, of floats.

    Example:
        >>> float(hornbeam.ops.nanmean([1.0, 3.0, float("nan")]))
        2.0
    """
    node = float_node(x)
    present = p.convert(p.eq(node, node), node.dtype)
    return nansum(Tensor(node), axis, keepdims) / reduction.sum(Tensor(present), axis, keepdims)


@operation
def nanvar(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Compute the variance over axes of the elements that are not NaN; NaN where all are.

    Args:
        x: Tensor of any shape, or anything that converts to one.
        axis: Integer or sequence of integers, the axes to reduce; None for all.
        keepdims: Keep the reduced axes with size 1.

    Returns:
        Tensor of the reduced shape, of floats.
    """
    # Replace NaN by zeros before any computation, so that gradients are finite.
    node, missing = _without_nan(Tensor(float_node(x)), 0.0)
    present = Tensor(p.select(missing, zeros_like(node), ones_like(node)))
    mean = reduction.sum(Tensor(node), axis, True) / reduction.sum(present, axis, True)
    centred = (Tensor(node) - mean) * present
    squares = real(centred * conjugate(centred))
    return reduction.sum(squares, axis, keepdims) / real(reduction.sum(present, axis, keepdims))


@operation
def nanstd(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Compute the standard deviation over axes of the elements that are not NaN; NaN where all are.

    Args:
        x: Tensor of any shape, or anything that converts to one.
        axis: Integer or sequence of integers, the axes to reduce; None for all.
        keepdims: Keep the reduced axes with size 1.

    Returns:
        Tensor of the reduced shape, of floats.
    """
    return Tensor(p.sqrt(nanvar(x, axis, keepdims).node))


def _nan_extreme(
    rule: Callable[..., Tensor], x: TensorLike, value: float, axis: Axis, keepdims: bool
) -> Tensor:
    node, missing = _without_nan(x, value)
    result = rule(Tensor(node), axis, keepdims)
    if not is_float(node.dtype):
        return result
    nothing = reduction.all(Tensor(missing), axis, keepdims).node
    return Tensor(p.select(nothing, full(math.nan, result.node.type), result.node))


@operation
def nanmax(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Compute the maximum over axes of the elements that are not NaN; NaN where all are.

    Args:
        x: Tensor of any shape, or anything that converts to one.
        axis: Integer or sequence of integers, the axes to reduce; None for all.
        keepdims: Keep the reduced axes with size 1.

    Returns:
        Tensor of the reduced shape, in the dtype of `x`.
    """
    return _nan_extreme(reduction.max, x, -math.inf, axis, keepdims)


@operation
def nanmin(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Compute the minimum over axes of the elements that are not NaN; NaN where all are.

    Args:
        x: Tensor of any shape, or anything that converts to one.
        axis: Integer or sequence of integers, the axes to reduce; None for all.
        keepdims: Keep the reduced axes with size 1.

    Returns:
        Tensor of the reduced shape, in the dtype of `x`.
    """
    return _nan_extreme(reduction.min, x, math.inf, axis, keepdims)


def _nan_position(
    rule: Callable[..., Tensor], x: TensorLike, value: float, axis: int | None, keepdims: bool
) -> Tensor:
    node, missing = _without_nan(x, value)
    index = rule(Tensor(node), axis, keepdims).node
    nothing = reduction.all(Tensor(missing), axis, keepdims).node
    return Tensor(p.select(nothing, full(-1, index.type), index))


@operation
def nanargmax(x: TensorLike, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """Return the index of the maximum along an axis of the elements that are not NaN; -1 where all are.

    Args:
        x: Tensor of any shape, or anything that converts to one.
        axis: Integer, the axis; None for the flattened tensor.
        keepdims: Keep the reduced axes with size 1.

    Returns:
        Tensor of the reduced shape, int32.
    """
    return _nan_position(reduction.argmax, x, -math.inf, axis, keepdims)


@operation
def nanargmin(x: TensorLike, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """Return the index of the minimum along an axis of the elements that are not NaN; -1 where all are.

    Args:
        x: Tensor of any shape, or anything that converts to one.
        axis: Integer, the axis; None for the flattened tensor.
        keepdims: Keep the reduced axes with size 1.

    Returns:
        Tensor of the reduced shape, int32.
    """
    return _nan_position(reduction.argmin, x, math.inf, axis, keepdims)


@operation
def nancumsum(x: TensorLike, axis: int | None = None, dtype: DTypeLike | None = None) -> Tensor:
    """Compute the cumulative sum along an axis with 0 in place of NaN.

    Args:
        x: Tensor of any shape, or anything that converts to one.
        axis: Integer, the axis; None for the flattened tensor.
        dtype: Dtype of the result; None for that of the widened `x`.

    Returns:
        Tensor of the shape of `x`, or a vector if `axis` is None.
    """
    return reduction.cumsum(Tensor(_without_nan(x, 0)[0]), axis, dtype)


@operation
def nancumprod(x: TensorLike, axis: int | None = None, dtype: DTypeLike | None = None) -> Tensor:
    """Compute the cumulative product along an axis with 1 in place of NaN.

    Args:
        x: Tensor of any shape, or anything that converts to one.
        axis: Integer, the axis; None for the flattened tensor.
        dtype: Dtype of the result; None for that of the widened `x`.

    Returns:
        Tensor of the shape of `x`, or a vector if `axis` is None.
    """
    return reduction.cumprod(Tensor(_without_nan(x, 1)[0]), axis, dtype)


# -- differences and correlations ----------------------------------------------------------------------------


def _neighbors(node: Node, axis: int) -> tuple[Node, Node]:
    """Return all but the last and all but the first along `axis`."""
    size = node.shape[axis]
    low = tuple(1 if i == axis else 0 for i in range(node.rank))
    high = tuple(size - 1 if i == axis else n for i, n in enumerate(node.shape))
    return p.slice_(node, (0,) * node.rank, high), p.slice_(node, low, node.shape)


@operation
def diff(a: TensorLike, n: int = 1, axis: int = -1) -> Tensor:
    """Compute the differences of neighbors along an axis.

    Args:
        a: Tensor of at least one axis.
        n: Integer, how many times the difference is taken.
        axis: Integer, the axis.

    Returns:
        Tensor of the shape of `a`, `n` smaller along `axis`.

    Raises:
        ValueError: If `n` is negative.

    Example:
        >>> np.asarray(hornbeam.ops.diff([1, 4, 9])).tolist()
        [3, 5]
    """
    node, times = node_of(a), static_int(n, "n")
    at = one_axis(axis, node.rank, "diff")
    if times < 0:
        raise ValueError(f"diff: n must not be negative, got {n}")
    for _ in range(times):
        if not node.shape[at]:
            break
        before, after = _neighbors(node, at)
        node = p.ne(after, before) if node.dtype == "bool" else p.sub(after, before)
    return Tensor(node)


@operation
def trapezoid(y: TensorLike, x: TensorLike | None = None, dx: float = 1.0, axis: int = -1) -> Tensor:
    """Integrate along an axis by the trapezoidal rule.

    Args:
        y: Tensor of any shape, the values of the integrand.
        x: Tensor of the positions of the values, or None for a constant distance.
        dx: Number, the distance of neighbors if `x` is None.
        axis: Integer, the axis.

    Returns:
        Tensor of floats without `axis`.

    Example:
        >>> float(hornbeam.ops.trapezoid([1.0, 2.0, 3.0]))
        4.0
    """
    node = float_node(y) if x is None else cast_node(y, float_dtype(y, x))
    at = one_axis(axis, node.rank, "trapezoid")
    before, after = _neighbors(node, at)
    height = (before + after) * 0.5
    if x is None:
        return reduction.sum(Tensor(height), at) * Tensor(cast_node(dx, node.dtype))
    places = cast_node(x, node.dtype)
    if places.rank == 1:
        step = p.broadcast(diff(Tensor(places)).node, height.shape, (at,))
    else:
        step = diff(Tensor(places), axis=at).node
    return reduction.sum(Tensor(height) * Tensor(step), at)


def _within_one(x: Node) -> Node:
    return p.minimum(p.maximum(x, -ones_like(x)), ones_like(x))


@operation
def corrcoef(x: TensorLike) -> Tensor:
    """Compute the correlation coefficients of the rows.

    Args:
        x: Tensor (variables, observations).

    Returns:
        Tensor (variables, variables) with 1 on the diagonal.

    Raises:
        ShapeError: If `x` is neither a vector nor a matrix.

    Example:
        >>> np.asarray(hornbeam.ops.corrcoef([[1.0, 2.0], [2.0, 1.0]])).round(3).tolist()
        [[1.0, -1.0], [-1.0, 1.0]]
    """
    node = float_node(x)
    if node.rank not in (1, 2):
        raise ShapeError(f"corrcoef needs (variables, observations), got shape {node.shape}")
    rows = Tensor(p.reshape(node, (1, *node.shape)) if node.rank == 1 else node)
    centred = rows - reduction.mean(rows, 1, keepdims=True)
    products = matmul(centred, conjugate(Tensor(p.transpose(centred.node, (1, 0))))).node
    size = products.shape[0]
    hit = p.eq(p.iota("int32", products.shape, 0), p.iota("int32", products.shape, 1))
    variances = p.reduce_sum(p.select(hit, products, zeros_like(products)), (1,))
    scale = p.convert(p.rsqrt(real(Tensor(variances)).node), products.dtype)
    result = products * p.broadcast(scale, products.shape, (0,)) * p.broadcast(scale, products.shape, (1,))
    if is_complex(result.dtype):
        result = p.complex_(_within_one(p.real(result)), _within_one(p.imag(result)))
    else:
        result = _within_one(result)
    return Tensor(p.reshape(result, ()) if node.rank == 1 and size == 1 else result)
