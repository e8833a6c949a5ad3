"""Creation of tensors: constants, ranges, grids and windows."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, overload

import numpy as np

from hornbeam import primitives as p
from hornbeam._internal.typing import DTypeLike
from hornbeam.config import floatx
from hornbeam.core.convert import as_tensor, broadcast_node, cast, cast_node, unify
from hornbeam.core.dispatch import operation
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import TensorLike
from hornbeam.ir.node import Node
from hornbeam.ir.sizes import is_unknown, maximum
from hornbeam.ir.types import (
    HornbeamTypeError,
    ShapeError,
    dtype_name,
    is_float,
    is_inexact,
    numpy_dtype,
    real_dtype,
)
from hornbeam.ops._common import float_dtype, node_of, one_axis, shape_of, static_int, value_tensor

# fmt: off
__all__ = [
    "arange", "array", "bartlett", "blackman", "copy", "empty", "empty_like", "full", "full_like",
    "geomspace", "hamming", "hanning", "kaiser", "linspace", "logspace", "meshgrid", "ones",
    "ones_like", "zeros", "zeros_like",
]
# fmt: on


@operation
def array(x: TensorLike, dtype: DTypeLike | None = None) -> Tensor:
    """Convert a number, nested lists, a NumPy array or a tensor to a tensor.

    Python floats become `floatx`, Python ints int32; arrays keep their dtype.

    Args:
        x: Value of any shape to convert.
        dtype: Dtype of the result; None for the one of the value.

    Returns:
        Tensor.

    Example:
        >>> hornbeam.ops.array([1, 2]).dtype
        'int32'
    """
    return value_tensor(x, dtype)


@operation
def copy(x: TensorLike) -> Tensor:
    """Return a tensor of the same values; nothing is copied, since tensors never change.

    Args:
        x: Tensor of any shape, or anything that converts to one.

    Returns:
        Tensor.
    """
    return Tensor(node_of(x))


def full(shape: int | Sequence[int], fill_value: TensorLike, dtype: DTypeLike | None = None) -> Tensor:
    """Create a tensor filled with a value.

    Args:
        shape: Integer or sequence of integers, the shape of the result.
        fill_value: Number, or tensor that broadcasts to `shape`.
        dtype: Dtype of the result; None for `hornbeam.config.floatx()`.

    Returns:
        Tensor of `shape`.

    Raises:
        ShapeError: If a size is negative.

    Example:
        >>> hornbeam.ops.full((2, 3), 7.0).shape
        (2, 3)
    """
    sizes = shape_of(shape)
    if any(size < 0 for size in sizes):
        raise ShapeError(f"sizes must not be negative, got {sizes}")
    return Tensor(broadcast_node(cast_node(fill_value, dtype_name(dtype or floatx())), sizes))


def zeros(shape: int | Sequence[int], dtype: DTypeLike | None = None) -> Tensor:
    """Create a tensor of zeros.

    Args:
        shape: Integer or sequence of integers, the shape of the result.
        dtype: Dtype of the result; None for `hornbeam.config.floatx()`.

    Returns:
        Tensor of `shape`.
    """
    return full(shape, 0, dtype or floatx())


def ones(shape: int | Sequence[int], dtype: DTypeLike | None = None) -> Tensor:
    """Create a tensor of ones.

    Args:
        shape: Integer or sequence of integers, the shape of the result.
        dtype: Dtype of the result; None for `hornbeam.config.floatx()`.

    Returns:
        Tensor of `shape`.
    """
    return full(shape, 1, dtype or floatx())


def empty(shape: int | Sequence[int], dtype: DTypeLike | None = None) -> Tensor:
    """Create a tensor whose values are unspecified; here they are zeros.

    Args:
        shape: Integer or sequence of integers, the shape of the result.
        dtype: Dtype of the result; None for `hornbeam.config.floatx()`.

    Returns:
        Tensor of `shape`.
    """
    return zeros(shape, dtype)


@operation
def full_like(x: TensorLike, fill_value: TensorLike, dtype: DTypeLike | None = None) -> Tensor:
    """Create a tensor of the shape of `x` filled with a value.

    Args:
        x: Tensor whose shape is taken.
        fill_value: Number, or tensor that broadcasts to the shape of `x`.
        dtype: Dtype of the result; None for that of `x`.

    Returns:
        Tensor of the shape of `x`.
    """
    like = as_tensor(x)
    return full(like.shape, fill_value, dtype or like.dtype)


@operation
def zeros_like(x: TensorLike, dtype: DTypeLike | None = None) -> Tensor:
    """Create a tensor of zeros of the shape of `x`.

    Args:
        x: Tensor whose shape is taken.
        dtype: Dtype of the result; None for that of `x`.

    Returns:
        Tensor of the shape of `x`.
    """
    return full_like(x, 0, dtype)


@operation
def ones_like(x: TensorLike, dtype: DTypeLike | None = None) -> Tensor:
    """Create a tensor of ones of the shape of `x`.

    Args:
        x: Tensor whose shape is taken.
        dtype: Dtype of the result; None for that of `x`.

    Returns:
        Tensor of the shape of `x`.
    """
    return full_like(x, 1, dtype)


@operation
def empty_like(x: TensorLike, dtype: DTypeLike | None = None) -> Tensor:
    """Create a tensor of the shape of `x` whose values are unspecified; here they are zeros.

    Args:
        x: Tensor whose shape is taken.
        dtype: Dtype of the result; None for that of `x`.

    Returns:
        Tensor of the shape of `x`.
    """
    return full_like(x, 0, dtype)


# -- ranges --------------------------------------------------------------------------------------------------


def arange(
    start: float | np.ndarray | Tensor,
    stop: float | np.ndarray | Tensor | None = None,
    step: float | np.ndarray | Tensor | None = None,
    dtype: DTypeLike | None = None,
) -> Tensor:
    """Create a vector start, start + step, ... below `stop`; `arange(n)` is 0 ... n - 1.

    The bounds must be known numbers, since they determine the shape.

    Args:
        start: Number, the first element; with `start` alone, the end, and the first element is 0.
        stop: Number, the end, which is excluded.
        step: Number, the difference of neighbors; 1 by default.
        dtype: Dtype of the result; None for int32 of integers and `floatx` of floats.

    Returns:
        Tensor of one axis.

    Raises:
        HornbeamTypeError: If a bound or the step is not a number, or the dtype is bool.
        ValueError: If `step` is 0.

    Example:
        >>> np.asarray(hornbeam.ops.arange(3)).tolist()
        [0, 1, 2]
    """
    if stop is None:
        start, stop = 0, start
    step = 1 if step is None else step
    first, last, pace = (
        x.item() if isinstance(x, (Tensor, np.generic, np.ndarray)) else x for x in (start, stop, step)
    )
    for bound in (first, last, pace):
        if isinstance(bound, str):
            raise HornbeamTypeError(f"arange: bounds and step must be numbers, got {bound!r}")
    if not pace:
        raise ValueError("arange: step must not be 0")
    if dtype is None:
        dtypes = [x.dtype for x in (start, stop, step) if isinstance(x, (Tensor, np.generic, np.ndarray))]
        names = [dtype_name(d) for d in dtypes] + [x for x in (first, last, pace) if isinstance(x, float)]
        dtype = floatx() if any(isinstance(n, float) or is_float(n) for n in names) else "int32"
        wide = [n for n in names if isinstance(n, str) and n in ("int64", "float64", "uint32", "uint64")]
        dtype = wide[0] if wide else dtype
    name = dtype_name(dtype)
    if any(map(is_unknown, (first, last, pace))):
        count = maximum(-((first - last) // pace), 0)
    else:
        count = max(math.ceil((last - first) / pace), 0)
    if name == "bool":
        raise HornbeamTypeError("arange does not support bool: create integers and cast")
    if not is_float(name) and (isinstance(first, float) or isinstance(pace, float)):
        return Tensor(p.convert(_ramp(count, first, pace, "float64"), name))
    return Tensor(_ramp(count, first, pace, name))


def _ramp(count: int, first: TensorLike, step: TensorLike, dtype: str) -> Node:
    exact = "float32" if dtype in ("float16", "bfloat16") else dtype
    steps = p.iota(exact, (count,), 0)
    steps = steps if step == 1 else p.mul(steps, p.full(step, steps.type))
    steps = steps if first == 0 else p.add(steps, p.full(first, steps.type))
    return p.convert(steps, dtype)


@overload
def linspace(
    start: TensorLike,
    stop: TensorLike,
    num: int = ...,
    endpoint: bool = ...,
    retstep: Literal[False] = ...,
    dtype: DTypeLike | None = ...,
    axis: int = ...,
) -> Tensor: ...
@overload
def linspace(
    start: TensorLike,
    stop: TensorLike,
    num: int = ...,
    endpoint: bool = ...,
    *,
    retstep: Literal[True],
    dtype: DTypeLike | None = ...,
    axis: int = ...,
) -> tuple[Tensor, Tensor]: ...
@operation
def linspace(
    start: TensorLike,
    stop: TensorLike,
    num: int = 50,
    endpoint: bool = True,
    retstep: bool = False,
    dtype: DTypeLike | None = None,
    axis: int = 0,
) -> Tensor | tuple[Tensor, Tensor]:
    """Create evenly spaced values from `start` to `stop`.

    Args:
        start: Number or tensor of any shape, the first value.
        stop: Number or tensor that broadcasts against `start`, the last value if `endpoint`.
        num: Integer, number of values.
        endpoint: Include `stop`.
        retstep: Return the distance of neighbors, too.
        dtype: Dtype of the result; None for a float dtype.
        axis: Integer, position of the new axis in the result.

    Returns:
        Tensor of floats; with `retstep` a pair of it and the distance.

    Raises:
        ValueError: If `num` is negative.

    Example:
        >>> np.asarray(hornbeam.ops.linspace(0.0, 1.0, 3)).tolist()
        [0.0, 0.5, 1.0]
    """
    count = static_int(num, "num")
    if count < 0:
        raise ValueError(f"linspace: num must not be negative, got {num}")
    dtype = dtype_name(dtype) if dtype is not None else float_dtype(start, stop)
    work = dtype if is_inexact(dtype) else floatx()
    first, last = unify(start, stop, dtype=work)
    parts = max(count - 1 if endpoint else count, 1)
    step = (last - first) / parts
    shape = (count, *first.shape)
    dims = tuple(range(1, len(shape)))
    ramp = p.convert(p.iota(real_dtype(work), shape, 0), work)
    values = p.broadcast(first, shape, dims) + ramp * p.broadcast(step, shape, dims)
    if endpoint and count > 1:  # the exact end, whatever the rounding of the steps
        at_end = p.eq(ramp, p.full(count - 1, ramp.type))
        values = p.select(at_end, p.broadcast(last, shape, dims), values)
    at = one_axis(axis, len(shape), "linspace")
    perm = [*range(1, at + 1), 0, *range(at + 1, len(shape))]
    if not is_inexact(dtype):
        values = p.floor(values)
    result = Tensor(p.convert(p.transpose(values, tuple(perm)), dtype))
    return (result, Tensor(step)) if retstep else result


@operation
def logspace(
    start: TensorLike,
    stop: TensorLike,
    num: int = 50,
    endpoint: bool = True,
    base: TensorLike = 10,
    dtype: DTypeLike | None = None,
    axis: int = 0,
) -> Tensor:
    """Create values evenly spaced on a logarithmic scale: base ** linspace(start, stop).

    Args:
        start: Number or tensor of any shape, the exponent of the first value.
        stop: Number or tensor that broadcasts against `start`, the exponent of the last value if `endpoint`.
        num: Integer, number of values.
        endpoint: Include base ** stop.
        base: Scalar, the base of the powers.
        dtype: Dtype of the result; None for a float dtype.
        axis: Integer, position of the new axis in the result.

    Returns:
        Tensor.

    Example:
        >>> np.asarray(hornbeam.ops.logspace(0.0, 2.0, 3)).round(3).tolist()
        [1.0, 10.0, 100.0]
    """
    from hornbeam.core.operators import power

    exponents = linspace(start, stop, num, endpoint, axis=axis)
    values = power(cast(base, exponents.dtype), exponents)
    return values if dtype is None else cast(values, dtype)


@operation
def geomspace(
    start: TensorLike,
    stop: TensorLike,
    num: int = 50,
    endpoint: bool = True,
    dtype: DTypeLike | None = None,
    axis: int = 0,
) -> Tensor:
    """Create a geometric progression: each value is the same multiple of the one before.

    Args:
        start: Number or tensor of any shape, the first value.
        stop: Number or tensor of the sign of `start`, broadcast against it, the last value if `endpoint`.
        num: Integer, number of values.
        endpoint: Include `stop`.
        dtype: Dtype of the result; None for a float dtype.
        axis: Integer, position of the new axis in the result.

    Returns:
        Tensor.

    Example:
        >>> np.asarray(hornbeam.ops.geomspace(1.0, 4.0, 3)).round(3).tolist()
        [1.0, 2.0, 4.0]
    """
    first, last = unify(start, stop, dtype=float_dtype(start, stop))
    logs = linspace(
        Tensor(p.log(p.absolute(first))), Tensor(p.log(p.absolute(last))), num, endpoint, axis=axis
    )
    at = one_axis(axis, len(logs.shape), "geomspace")
    dims = tuple(i for i in range(logs.ndim) if i != at)
    values = Tensor(p.mul(p.exp(logs.node), p.broadcast(p.sign(first), logs.shape, dims)))
    return values if dtype is None else cast(values, dtype)


@operation
def meshgrid(*x: TensorLike, indexing: str = "xy") -> list[Tensor]:
    """Create the coordinates of a grid from vectors.

    Args:
        *x: Vectors, the coordinates along each axis; other tensors are flattened.
        indexing: "xy" puts the first vector along axis 1 and the second along axis 0; "ij" keeps the order.

    Returns:
        List of tensors, one for each vector, of the shape of the grid.

    Raises:
        ValueError: If `indexing` is unknown.

    Example:
        >>> [t.shape for t in hornbeam.ops.meshgrid([1, 2, 3], [4, 5])]
        [(2, 3), (2, 3)]
    """
    if indexing not in ("xy", "ij"):
        raise ValueError(f'meshgrid: indexing must be "xy" or "ij", got {indexing!r}')
    nodes = [node_of(v) for v in x]
    vectors = [p.reshape(n, (math.prod(n.shape),)) for n in nodes]
    axes = list(range(len(vectors)))
    if indexing == "xy" and len(axes) > 1:
        axes[:2] = [1, 0]
    shape = [0] * len(axes)
    for axis, vector in zip(axes, vectors, strict=True):
        shape[axis] = vector.shape[0]
    return [Tensor(p.broadcast(v, tuple(shape), (axis,))) for axis, v in zip(axes, vectors, strict=True)]


# -- windows of signal processing ----------------------------------------------------------------------------


def _window(x: TensorLike, make: Callable[..., Any]) -> Tensor:
    # NumPy's functions take numbers such as 5.0, too.
    if isinstance(x, Tensor) and is_float(x.dtype) and float(x).is_integer():
        x = int(x)
    count = static_int(x, "the length of a window")
    return as_tensor(np.asarray(make(count)).astype(numpy_dtype(floatx())))


def bartlett(x: TensorLike) -> Tensor:
    """Create the Bartlett window, a triangle that is zero at both ends.

    Args:
        x: Integer, length of the window.

    Returns:
        Tensor (x,) of floats.
    """
    return _window(x, np.bartlett)


def hanning(x: TensorLike) -> Tensor:
    """Create the Hann window 0.5 - 0.5 cos(2 pi n / (x - 1)).

    Args:
        x: Integer, length of the window.

    Returns:
        Tensor (x,) of floats.
    """
    return _window(x, np.hanning)


def hamming(x: TensorLike) -> Tensor:
    """Create the Hamming window 0.54 - 0.46 cos(2 pi n / (x - 1)).

    Args:
        x: Integer, length of the window.

    Returns:
        Tensor (x,) of floats.
    """
    return _window(x, np.hamming)


def blackman(x: TensorLike) -> Tensor:
    """Create the Blackman window 0.42 - 0.5 cos(2 pi n / (x - 1)) + 0.08 cos(4 pi n / (x - 1)).

    Args:
        x: Integer, length of the window.

    Returns:
        Tensor (x,) of floats.
    """
    return _window(x, np.blackman)


def kaiser(x: TensorLike, beta: float) -> Tensor:
    """Create the Kaiser window I0(beta sqrt(1 - (2n / (x - 1) - 1)^2)) / I0(beta).

    Args:
        x: Integer, length of the window.
        beta: Number, the shape of the window: larger values narrow it.

    Returns:
        Tensor (x,) of floats.
    """
    return _window(x, lambda count: np.kaiser(count, float(beta)))
