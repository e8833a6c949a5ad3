"""Operations on sparse tensors: rules that compute with the values alone.

Functions that keep 0 apply to the values; sums and products with dense tensors gather and add rows. What has
no rule here is computed on the dense value (see `core/sparse.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from hornbeam import primitives as p
from hornbeam._internal.typing import Axis
from hornbeam.core.convert import as_tensor, broadcast_shapes, cast, leaf_of, result_dtype
from hornbeam.core.operators import absolute, add, matmul, multiply, negative, subtract, true_divide
from hornbeam.core.sparse import RULES, SPARSE_WHEN, SparseTensor
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import TensorLike
from hornbeam.ir.node import Node
from hornbeam.ir.primitive import full
from hornbeam.ir.types import ShapeError, TensorType
from hornbeam.ops import activation, complex_numbers, elementwise, finiteness, joining, reduction, shaping
from hornbeam.ops._common import many_axes, one_axis, shape_of, wide_dtype, with_ones

__all__: list[str] = []


def _rule(
    *functions: Callable[..., Any], sparse: Callable[[Iterable[bool]], bool] | None = all
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a rule of operations. sparse: which operands must be sparse for a sparse result, or None."""

    def register(rule: Callable[..., Any]) -> Callable[..., Any]:
        for fn in functions:
            RULES[fn.__wrapped__] = rule  # type: ignore[attr-defined]
            if sparse is not None:
                SPARSE_WHEN[fn.__wrapped__] = sparse  # type: ignore[attr-defined]
        return rule

    return register


def _first(sparse: Iterable[bool]) -> bool:
    """Return True if the first operand is sparse, and it alone."""
    return list(sparse)[:2] in ([True], [True, False])


def _on_values(fn: Callable[..., Any]) -> Callable[..., Any]:
    def rule(x: Any, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(x, SparseTensor) or any(isinstance(a, Tensor) for a in (*args, *kwargs.values())):
            return NotImplemented
        return x.with_values(fn(x.values, *args, **kwargs))

    return rule


for _fn in (
    cast, absolute, negative, complex_numbers.conjugate, complex_numbers.imag, complex_numbers.real,
    elementwise.arcsin, elementwise.arcsinh, elementwise.arctan, elementwise.arctanh, elementwise.ceil,
    elementwise.deg2rad, elementwise.erf, elementwise.expm1, elementwise.fabs, elementwise.floor,
    elementwise.log1p, finiteness.nan_to_num, elementwise.rad2deg, elementwise.round, elementwise.sign,
    elementwise.sin, elementwise.sinh, elementwise.sqrt, elementwise.square, elementwise.tan,
    elementwise.tanh, elementwise.trunc, activation.relu, activation.relu6, activation.silu,
):  # fmt: skip
    _rule(_fn)(_on_values(_fn))


# -- arithmetic ----------------------------------------------------------------------------------------------


def _at_places(x: TensorLike, like: SparseTensor) -> Tensor | None:
    """Return the elements of a dense x, broadcast against `like`, at its places; None if x is larger."""
    tensor = as_tensor(x)
    if not tensor.shape:
        return tensor
    if broadcast_shapes(tensor.shape, like.shape) != like.shape:
        return None
    places = like.indices[:, like.ndim - tensor.ndim :] * (np.array(tensor.shape) != 1)
    return Tensor(p.gather(tensor.node, leaf_of(places.astype(np.int32))))


def _matching(x: SparseTensor, y: SparseTensor) -> SparseTensor:
    """Return y at the places of x."""
    ours, theirs = (np.ravel_multi_index(tuple(z.indices.T), z.shape) for z in (x, y))
    if not len(theirs):
        return x.with_values(Tensor(full(0, TensorType(x.values.shape, y.dtype))))
    at = np.minimum(np.searchsorted(theirs, ours), len(theirs) - 1)
    result = Tensor(leaf_of(theirs[at] == ours))
    picked = Tensor(p.gather(y.values.node, leaf_of(at.reshape(-1, 1).astype(np.int32))))
    return x.with_values(multiply(picked, cast(result, y.dtype)))


@_rule(multiply, sparse=any)
def _multiply(x1: TensorLike, x2: TensorLike) -> Any:
    if isinstance(x1, SparseTensor) and isinstance(x2, SparseTensor):
        if x1.shape != x2.shape:
            return NotImplemented
        return x1.with_values(multiply(x1.values, _matching(x1, x2).values))
    sparse, dense = (x1, x2) if isinstance(x1, SparseTensor) else (x2, x1)
    assert isinstance(sparse, SparseTensor)
    if isinstance(dense, (int, float, complex)):
        return sparse.with_values(multiply(sparse.values, dense))
    factors = _at_places(dense, sparse)
    return NotImplemented if factors is None else sparse.with_values(multiply(sparse.values, factors))


@_rule(true_divide, elementwise.divide, sparse=_first)
def _divide(x1: TensorLike, x2: TensorLike) -> Any:
    if not isinstance(x1, SparseTensor) or isinstance(x2, SparseTensor):
        return NotImplemented
    if isinstance(x2, (int, float, complex)):
        return x1.with_values(true_divide(x1.values, x2))
    divisors = _at_places(x2, x1)
    return NotImplemented if divisors is None else x1.with_values(true_divide(x1.values, divisors))


def _sum_of(x: Any, y: Any, sign: Callable[[Tensor], Tensor]) -> Any:
    if not (isinstance(x, SparseTensor) and isinstance(y, SparseTensor) and x.shape == y.shape):
        return NotImplemented
    dtype = result_dtype(x, y)
    values = joining.concatenate([cast(x.values, dtype), sign(cast(y.values, dtype))], 0)
    return SparseTensor.result_class(np.concatenate([x.indices, y.indices]), values, x.shape)


_rule(add)(lambda x1, x2: _sum_of(x1, x2, lambda y: y))
_rule(subtract)(lambda x1, x2: _sum_of(x1, x2, negative))


@_rule(matmul)
def _matmul(x1: TensorLike, x2: TensorLike) -> Any:
    """Add the rows of the dense operand, each times a value, or its columns."""
    if isinstance(x1, SparseTensor) and isinstance(x2, SparseTensor):
        return _matmul_sparse(x1, x2)
    if isinstance(x2, SparseTensor):
        if x2.ndim != 2 or as_tensor(x1).ndim != 2:
            return NotImplemented
        return shaping.transpose(_matmul(_transpose(x2), shaping.transpose(x1)))
    assert isinstance(x1, SparseTensor)
    dense = as_tensor(x2)
    if x1.ndim != 2 or dense.ndim not in (1, 2):
        return NotImplemented
    if x1.shape[1] != dense.shape[0]:
        raise ShapeError(f"matmul of {x1.shape} and {dense.shape}: the inner sizes differ")
    dtype = result_dtype(x1, dense)
    rows, columns = x1.indices.T
    picked = p.gather(cast(dense, dtype).node, leaf_of(columns[:, None].astype(np.int32)))
    values = cast(x1.values, dtype).node
    terms = picked * p.broadcast(values, picked.shape, (0,))
    return Tensor(_added(terms, rows[:, None], (x1.shape[0], *dense.shape[1:])))


def _matmul_sparse(x: SparseTensor, y: SparseTensor) -> Any:
    """Add up the products of all pairs of elements x[i, k] and y[k, j]."""
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[0]:
        return NotImplemented
    # Elements of y are in the order of their rows: those of row k are counts[k] from starts[k].
    counts = np.bincount(y.indices[:, 0], minlength=y.shape[0])
    starts = np.cumsum(counts) - counts
    inner = x.indices[:, 1]
    ours = np.repeat(np.arange(len(inner)), counts[inner])
    begin = np.cumsum(counts[inner]) - counts[inner]
    theirs = np.arange(len(ours)) - np.repeat(begin - starts[inner], counts[inner])
    dtype = result_dtype(x, y)
    factors = [
        p.gather(cast(z.values, dtype).node, leaf_of(at[:, None].astype(np.int32)))
        for z, at in ((x, ours), (y, theirs))
    ]
    places = np.stack([x.indices[ours, 0], y.indices[theirs, 1]], 1)
    return SparseTensor.result_class(places, Tensor(factors[0] * factors[1]), (x.shape[0], y.shape[1]))


def _added(terms: Node, places: np.ndarray, shape: tuple[int, ...]) -> Node:
    """Add terms into zeros of `shape`, at places along its first axes."""
    zeros = full(0, TensorType(shape, terms.dtype))
    return p.scatter(zeros, leaf_of(places.astype(np.int32)), terms, "add")


@_rule(reduction.sum, sparse=None)
def _sum(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    if not isinstance(x, SparseTensor):
        return NotImplemented
    axes = many_axes(axis, x.ndim, "sum")
    kept = [a for a in range(x.ndim) if a not in axes]
    values = cast(x.values, wide_dtype(x.dtype)).node
    if not kept:
        total = p.reduce_sum(values, (0,))
    else:
        total = _added(values, x.indices[:, kept], tuple(x.shape[a] for a in kept))
    return Tensor(p.reshape(total, with_ones(x.shape, axes)) if keepdims else total)


@_rule(reduction.mean, sparse=None)
def _mean(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    if not isinstance(x, SparseTensor):
        return NotImplemented
    count = np.prod([x.shape[a] for a in many_axes(axis, x.ndim, "mean")])
    return true_divide(_sum(x, axis, keepdims), float(count))


# -- shapes --------------------------------------------------------------------------------------------------


def _transpose(x: SparseTensor, axes: Sequence[int] | None = None) -> SparseTensor:
    perm = [one_axis(a, x.ndim, "transpose") for a in axes] if axes is not None else list(range(x.ndim))[::-1]
    if sorted(perm) != list(range(x.ndim)):
        raise ShapeError(f"transpose of {x.shape} needs a permutation of {x.ndim} axes, got {axes}")
    return SparseTensor.result_class(x.indices[:, perm], x.values, tuple(x.shape[a] for a in perm))


def _reshaped(x: SparseTensor, shape: tuple[int, ...]) -> SparseTensor:
    flat = np.ravel_multi_index(tuple(x.indices.T), x.shape)
    return SparseTensor.result_class(np.stack(np.unravel_index(flat, shape), 1), x.values, shape)


@_rule(shaping.reshape)
def _reshape(x: Any, newshape: Any) -> Any:
    shape = shape_of(newshape)
    known = int(np.prod([n for n in shape if n != -1], dtype=np.int64))
    if not isinstance(x, SparseTensor) or not shape or shape.count(-1) > 1 or not known:
        return NotImplemented
    shape = tuple(x.size // known if n == -1 else n for n in shape)
    return _reshaped(x, shape) if int(np.prod(shape)) == x.size else NotImplemented


@_rule(shaping.expand_dims)
def _expand_dims(x: Any, axis: Any) -> Any:
    if not isinstance(x, SparseTensor) or not isinstance(axis, int):
        return NotImplemented
    shape = list(x.shape)
    shape.insert(one_axis(axis, x.ndim + 1, "expand_dims"), 1)
    return _reshaped(x, tuple(shape))


@_rule(shaping.squeeze)
def _squeeze(x: Any, axis: Any = None) -> Any:
    if not isinstance(x, SparseTensor):
        return NotImplemented
    axes = (
        [a for a, n in enumerate(x.shape) if n == 1] if axis is None else many_axes(axis, x.ndim, "squeeze")
    )
    shape = tuple(n for a, n in enumerate(x.shape) if a not in axes)
    return _reshaped(x, shape) if shape and all(x.shape[a] == 1 for a in axes) else NotImplemented


@_rule(joining.concatenate)
def _concatenate(xs: Sequence[Any], axis: int = 0) -> Any:
    if not all(isinstance(x, SparseTensor) for x in xs):
        return NotImplemented
    axis = one_axis(axis, xs[0].ndim, "concatenate")
    rest = {(*x.shape[:axis], *x.shape[axis + 1 :]) for x in xs}
    if len(rest) > 1:
        raise ShapeError(f"concatenate along axis {axis} needs equal other axes, got {[x.shape for x in xs]}")
    dtype, at, places = result_dtype(*xs), 0, []
    for x in xs:
        moved = x.indices.copy()
        moved[:, axis] += at
        at += x.shape[axis]
        places.append(moved)
    values = joining.concatenate([cast(x.values, dtype) for x in xs], 0)
    shape = (*xs[0].shape[:axis], at, *xs[0].shape[axis + 1 :])
    return SparseTensor.result_class(np.concatenate(places), values, shape)


_rule(shaping.transpose)(
    lambda x, axes=None: _transpose(x, axes) if isinstance(x, SparseTensor) else NotImplemented
)
