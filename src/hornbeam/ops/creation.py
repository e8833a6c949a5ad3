"""Tensors out of nothing: constants, ranges, triangles, grids and windows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from hornbeam import primitives as p
from hornbeam.config import floatx
from hornbeam.core.convert import as_tensor, broadcast_node, cast, cast_node, unify
from hornbeam.core.dispatch import operation
from hornbeam.core.tensor import Tensor
from hornbeam.ir.node import Node
from hornbeam.ir.types import HornbeamTypeError, ShapeError, TensorType, dtype_name, is_float, numpy_dtype
from hornbeam.ops._common import float_dtype, node_of, one_axis, shape_of, static_int, value_tensor

# fmt: off
__all__ = [
    "arange", "array", "bartlett", "blackman", "copy", "diag", "diagflat", "empty", "empty_like", "eye",
    "full", "full_like", "geomspace", "hamming", "hanning", "identity", "kaiser", "linspace", "logspace",
    "meshgrid", "ones", "ones_like", "tri", "tril", "triu", "vander", "zeros", "zeros_like",
]
# fmt: on


@operation
def array(x: Any, dtype: Any = None) -> Tensor:
    """`x` (number, nested lists, NumPy array, tensor) as a tensor of `dtype`.

    Python floats become `floatx`, Python ints int32; arrays keep their dtype.

    >>> hornbeam.ops.array([1, 2]).dtype
    'int32'
    """
    return value_tensor(x, dtype)


@operation
def copy(x: Any) -> Tensor:
    """A tensor of the same values. Tensors never change, so nothing is copied."""
    return Tensor(node_of(x))


def full(shape: Any, fill_value: Any, dtype: Any = None) -> Tensor:
    """A tensor of `shape` filled with `fill_value` (a number or a tensor that broadcasts), in `dtype` or
    `floatx`.

    >>> hornbeam.ops.full((2, 3), 7.0).shape
    (2, 3)
    """
    sizes = shape_of(shape)
    if any(size < 0 for size in sizes):
        raise ShapeError(f"sizes are not negative; got {sizes}")
    return Tensor(broadcast_node(cast_node(fill_value, dtype_name(dtype or floatx())), sizes))


def zeros(shape: Any, dtype: Any = None) -> Tensor:
    """Zeros of `shape`; `dtype` is `floatx` unless given."""
    return full(shape, 0, dtype or floatx())


def ones(shape: Any, dtype: Any = None) -> Tensor:
    """Ones of `shape`; `dtype` is `floatx` unless given."""
    return full(shape, 1, dtype or floatx())


def empty(shape: Any, dtype: Any = None) -> Tensor:
    """A tensor of `shape` for which no values are promised: here, zeros."""
    return zeros(shape, dtype)


@operation
def full_like(x: Any, fill_value: Any, dtype: Any = None) -> Tensor:
    """A tensor of x's shape filled with `fill_value`, in `dtype` or x's."""
    like = as_tensor(x)
    return full(like.shape, fill_value, dtype or like.dtype)


@operation
def zeros_like(x: Any, dtype: Any = None) -> Tensor:
    """Zeros of x's shape, in `dtype` or x's."""
    return full_like(x, 0, dtype)


@operation
def ones_like(x: Any, dtype: Any = None) -> Tensor:
    """Ones of x's shape, in `dtype` or x's."""
    return full_like(x, 1, dtype)


@operation
def empty_like(x: Any, dtype: Any = None) -> Tensor:
    """A tensor of x's shape for which no values are promised: here, zeros."""
    return full_like(x, 0, dtype)


# -- ranges --------------------------------------------------------------------------------------------------


def arange(start: Any, stop: Any = None, step: Any = None, dtype: Any = None) -> Tensor:
    """start, start + step, ... up to but without `stop`; `arange(n)` is 0 ... n - 1.

    The bounds must be known numbers, since they decide the shape. dtype: int32 of ints, `floatx` of floats.

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
            raise HornbeamTypeError(f"arange: bounds and step are numbers, got {bound!r}")
    if not pace:
        raise ValueError("arange: step must not be 0")
    if dtype is None:
        given = [x.dtype for x in (start, stop, step) if isinstance(x, (Tensor, np.generic, np.ndarray))]
        names = [dtype_name(d) for d in given] + [x for x in (first, last, pace) if isinstance(x, float)]
        dtype = floatx() if any(isinstance(n, float) or is_float(n) for n in names) else "int32"
        wide = [n for n in names if isinstance(n, str) and n in ("int64", "float64", "uint32", "uint64")]
        dtype = wide[0] if wide else dtype
    name = dtype_name(dtype)
    count = max(math.ceil((last - first) / pace), 0)
    if name == "bool":
        raise HornbeamTypeError("arange has no bool version: count with integers and cast")
    if not is_float(name) and (isinstance(first, float) or isinstance(pace, float)):
        return Tensor(p.convert(_ramp(count, first, pace, "float64"), name))
    return Tensor(_ramp(count, first, pace, name))


def _ramp(count: int, first: Any, step: Any, dtype: str) -> Node:
    exact = "float32" if dtype in ("float16", "bfloat16") else dtype
    steps = p.iota(exact, (count,), 0)
    steps = steps if step == 1 else p.mul(steps, p.full(step, steps.type))
    steps = steps if first == 0 else p.add(steps, p.full(first, steps.type))
    return p.convert(steps, dtype)


def linspace(
    start: Any,
    stop: Any,
    num: int = 50,
    endpoint: bool = True,
    retstep: bool = False,
    dtype: Any = None,
    axis: int = 0,
) -> Any:
    """`num` evenly spaced values from `start` to `stop`, which is the last one if `endpoint`.

    start, stop: numbers or tensors that broadcast; the new axis is put at `axis`. Returns a float tensor, and
    with `retstep` also the distance of the values.

    >>> np.asarray(hornbeam.ops.linspace(0.0, 1.0, 3)).tolist()
    [0.0, 0.5, 1.0]
    """
    count = static_int(num, "num")
    if count < 0:
        raise ValueError(f"linspace: num must not be negative, got {num}")
    dtype = dtype_name(dtype) if dtype is not None else float_dtype(start, stop)
    work = dtype if is_float(dtype) else floatx()
    first, last = unify(start, stop, dtype=work)
    parts = max(count - 1 if endpoint else count, 1)
    step = (last - first) / float(parts)
    shape = (count, *first.shape)
    dims = tuple(range(1, len(shape)))
    ramp = p.iota(work, shape, 0)
    values = p.broadcast(first, shape, dims) + ramp * p.broadcast(step, shape, dims)
    if endpoint and count > 1:  # the end exactly, whatever rounding makes of the steps
        at_end = p.eq(ramp, p.full(count - 1, ramp.type))
        values = p.select(at_end, p.broadcast(last, shape, dims), values)
    at = one_axis(axis, len(shape), "linspace")
    perm = [*range(1, at + 1), 0, *range(at + 1, len(shape))]
    if not is_float(dtype):
        values = p.floor(values)
    made = Tensor(p.convert(p.transpose(values, tuple(perm)), dtype))
    return (made, Tensor(step)) if retstep else made


def logspace(
    start: Any,
    stop: Any,
    num: int = 50,
    endpoint: bool = True,
    base: Any = 10,
    dtype: Any = None,
    axis: int = 0,
) -> Tensor:
    """base ** linspace(start, stop): `num` values evenly spaced on a logarithmic scale.

    >>> np.asarray(hornbeam.ops.logspace(0.0, 2.0, 3)).round(3).tolist()
    [1.0, 10.0, 100.0]
    """
    from hornbeam.core.operators import power

    exponents = linspace(start, stop, num, endpoint, axis=axis)
    values = power(cast(base, exponents.dtype), exponents)
    return values if dtype is None else cast(values, dtype)


def geomspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, dtype: Any = None, axis: int = 0
) -> Tensor:
    """`num` values from `start` to `stop`, each the same multiple of the one before. Both ends have one sign.

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


# -- matrices ------------------------------------------------------------------------------------------------


def _below(rows: int, columns: int, k: int) -> Node:
    """bool (rows, columns): on or below the k-th diagonal."""
    shape = (rows, columns)
    return p.ge(p.iota("int32", shape, 0) + k, p.iota("int32", shape, 1))


def eye(N: int, M: int | None = None, k: int = 0, dtype: Any = None) -> Tensor:
    """(N, M) with ones on the k-th diagonal, zeros elsewhere; M is N and dtype `floatx` unless given.

    >>> np.asarray(hornbeam.ops.eye(2)).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    shape = (static_int(N, "N"), static_int(N if M is None else M, "M"))
    hit = p.eq(p.iota("int32", shape, 0) + static_int(k, "k"), p.iota("int32", shape, 1))
    return Tensor(p.convert(hit, dtype_name(dtype or floatx())))


def identity(n: int, dtype: Any = None) -> Tensor:
    """The (n, n) identity matrix; `dtype` is `floatx` unless given."""
    return eye(n, dtype=dtype)


def tri(N: int, M: int | None = None, k: int = 0, dtype: Any = None) -> Tensor:
    """(N, M) with ones on and below the k-th diagonal, zeros above.

    >>> np.asarray(hornbeam.ops.tri(2)).tolist()
    [[1.0, 0.0], [1.0, 1.0]]
    """
    below = _below(static_int(N, "N"), static_int(N if M is None else M, "M"), static_int(k, "k"))
    return Tensor(p.convert(below, dtype_name(dtype or floatx())))


def _triangle(x: Any, k: int, lower: bool, name: str) -> Tensor:
    node = node_of(x)
    if node.rank < 2:
        raise ShapeError(f"{name} needs a matrix, got shape {node.shape}")
    rows, columns = node.shape[-2:]
    below = _below(rows, columns, k if lower else k - 1)
    mask = broadcast_node(below if lower else p.logical_not(below), node.shape)
    return Tensor(p.select(mask, node, p.zeros_like(node)))


@operation
def tril(x: Any, k: int = 0) -> Tensor:
    """x (..., n, m) with zeros above the k-th diagonal. Raises ShapeError for less than two axes."""
    return _triangle(x, k, True, "tril")


@operation
def triu(x: Any, k: int = 0) -> Tensor:
    """x (..., n, m) with zeros below the k-th diagonal. Raises ShapeError for less than two axes."""
    return _triangle(x, k, False, "triu")


def _on_diagonal(vector: Node, k: int) -> Node:
    size = vector.shape[0] + abs(k)
    low, high = (max(-k, 0), max(k, 0))
    placed = p.pad(vector, 0, (low,), (size - vector.shape[0] - low,))
    rows = p.broadcast(placed, (size, size), (0,))
    hit = p.eq(p.iota("int32", (size, size), 0) + (high - low), p.iota("int32", (size, size), 1))
    return p.select(hit, rows, p.zeros_like(rows))


@operation
def diag(x: Any, k: int = 0) -> Tensor:
    """A vector put on the k-th diagonal of a square matrix, or the k-th diagonal of a matrix.

    >>> np.asarray(hornbeam.ops.diag([1, 2])).tolist()
    [[1, 0], [0, 2]]
    """
    from hornbeam.ops.shaping import diagonal

    node = node_of(x)
    if node.rank == 1:
        return Tensor(_on_diagonal(node, k))
    if node.rank == 2:
        return diagonal(x, k)
    raise ShapeError(f"diag needs a vector or a matrix, got shape {node.shape}")


@operation
def diagflat(x: Any, k: int = 0) -> Tensor:
    """The flattened x on the k-th diagonal of a square matrix."""
    node = node_of(x)
    return Tensor(_on_diagonal(p.reshape(node, (math.prod(node.shape),)), k))


@operation
def vander(x: Any, N: int | None = None, increasing: bool = False) -> Tensor:
    """Vandermonde matrix (n, N): the powers N - 1 ... 0 of a vector, rising if `increasing`.

    >>> np.asarray(hornbeam.ops.vander([2, 3], 3)).tolist()
    [[4, 2, 1], [9, 3, 1]]
    """
    node = node_of(x)
    if node.rank != 1:
        raise ShapeError(f"vander needs a vector, got shape {node.shape}")
    count = node.shape[0] if N is None else static_int(N, "N")
    shape = (node.shape[0], count)
    if not count:
        return Tensor(p.full(0, TensorType(shape, node.dtype)))
    base = p.broadcast(node, shape, (0,))
    first = p.eq(p.iota("int32", shape, 1), p.full(0, TensorType(shape, "int32")))
    powers = p.cumprod(p.select(first, p.ones_like(base), base), 1)
    return Tensor(powers if increasing else p.reverse(powers, (1,)))


@operation
def meshgrid(*x: Any, indexing: str = "xy") -> list[Tensor]:
    """Coordinates of a grid: one tensor per vector, each of the shape of the grid.

    indexing: "xy" puts the first vector along axis 1 and the second along axis 0, "ij" keeps the order of
    axes.

    >>> [t.shape for t in hornbeam.ops.meshgrid([1, 2, 3], [4, 5])]
    [(2, 3), (2, 3)]
    """
    if indexing not in ("xy", "ij"):
        raise ValueError(f'meshgrid: indexing must be "xy" or "ij", got {indexing!r}')
    nodes = [node_of(v) for v in x]
    if any(n.rank > 1 for n in nodes):
        raise ShapeError(f"meshgrid needs vectors, got shapes {[n.shape for n in nodes]}")
    vectors = [p.reshape(n, (math.prod(n.shape),)) for n in nodes]
    axes = list(range(len(vectors)))
    if indexing == "xy" and len(axes) > 1:
        axes[:2] = [1, 0]
    shape = [0] * len(axes)
    for axis, vector in zip(axes, vectors, strict=True):
        shape[axis] = vector.shape[0]
    return [Tensor(p.broadcast(v, tuple(shape), (axis,))) for axis, v in zip(axes, vectors, strict=True)]


# -- windows of signal processing ----------------------------------------------------------------------------


def _window(x: Any, make: Any) -> Tensor:
    count = static_int(x, "the length of a window")
    return as_tensor(np.asarray(make(count)).astype(numpy_dtype(floatx())))


def bartlett(x: Any) -> Tensor:
    """The triangular window of length x, zero at both ends."""
    return _window(x, np.bartlett)


def hanning(x: Any) -> Tensor:
    """The Hann window of length x: 0.5 - 0.5 cos(2 pi n / (x - 1))."""
    return _window(x, np.hanning)


def hamming(x: Any) -> Tensor:
    """The Hamming window of length x: 0.54 - 0.46 cos(2 pi n / (x - 1))."""
    return _window(x, np.hamming)


def blackman(x: Any) -> Tensor:
    """The Blackman window of length x: 0.42 - 0.5 cos(2 pi n / (x - 1)) + 0.08 cos(4 pi n / (x - 1))."""
    return _window(x, np.blackman)


def kaiser(x: Any, beta: Any) -> Tensor:
    """The Kaiser window of length x and shape `beta`: I0(beta sqrt(1 - (2n/(x-1) - 1)^2)) / I0(beta)."""
    return _window(x, lambda count: np.kaiser(count, float(beta)))
