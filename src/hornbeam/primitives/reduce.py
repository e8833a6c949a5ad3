"""Reductions and cumulative operations.

Reductions drop their axes. Over no elements they give their neutral value (0, 1, -inf or the lowest
integer, ...). Sums and products of float16 and bfloat16 accumulate in float32; integers wrap. The gradient
of reduce_max and reduce_min is shared evenly among ties; that of cummax and cummin goes to the last of
equal elements.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from hornbeam.ir.node import Node
from hornbeam.ir.primitive import (
    PRIMITIVES,
    Sample,
    bind,
    elementwise_cost,
    full,
    movement_bytes,
    primitive,
    zeros_like,
)
from hornbeam.ir.types import (
    BOOL,
    NUMERIC,
    Shape,
    ShapeError,
    TensorType,
    ValueType,
    dtype_name,
    is_float,
    numpy_dtype,
)
from hornbeam.primitives.elementwise import convert, eq, select
from hornbeam.primitives.numerics import Array, highest, lowest, quiet, rounded, single
from hornbeam.primitives.shape import broadcast, iota, pad, reshape, reverse, transpose

# fmt: off
__all__ = [
    "argmax", "argmin", "cummax", "cummin", "cumprod", "cumsum", "reduce_and", "reduce_max", "reduce_min",
    "reduce_or", "reduce_prod", "reduce_sum",
]
# fmt: on

Axes = tuple[int, ...]
Reduction = Callable[[Node, Axes], Node]
Reducer = Callable[[Array, Axes], Array]


def _check_axes(name: str, x: TensorType, axes: Axes) -> None:
    if list(axes) != sorted(set(axes)) or any(not 0 <= axis < x.rank for axis in axes):
        raise ShapeError(f"{name} of {x} needs increasing axes below {x.rank}, got {axes}")


def _check_axis(name: str, x: TensorType, axis: int) -> None:
    if not 0 <= axis < x.rank:
        raise ShapeError(f"{name} of {x} has no axis {axis}")


def _without(shape: Shape, axes: Sequence[int]) -> Shape:
    return tuple(size for axis, size in enumerate(shape) if axis not in axes)


def _spread(x: Node, shape: Shape, axes: Axes) -> Node:
    """Broadcast the reduced x along the reduced axes."""
    return broadcast(x, shape, tuple(axis for axis in range(len(shape)) if axis not in axes))


def _cost(types: Sequence[TensorType], out: ValueType, **params: Any) -> tuple[int, int]:
    """Cost of one FLOP per operand element."""
    return types[0].size, movement_bytes(types, out)


# ---------------------------------------------------------------- reductions


def _reduction(
    name: str,
    doc: str,
    reference: Reducer,
    vjp: Callable[..., Node] | None,
    dtypes: tuple[str, ...] = NUMERIC,
) -> Reduction:
    """Register `name` and return its function. `vjp(ct, out, x, axes)` is the cotangent of x."""

    def type_rule(x: TensorType, *, axes: Axes) -> TensorType:
        _check_axes(name, x, axes)
        return TensorType(_without(x.shape, axes), x.dtype)

    target = primitive(
        name,
        type_rule=type_rule,
        reference=rounded(lambda x, *, axes: reference(x, axes)),
        vjp=(lambda ct, out, x, *, axes: (vjp(ct, out, x, axes),)) if vjp else None,
        cost=_cost,
        dtypes=dtypes,
        samples=[
            Sample(((3, 5),), {"axes": (1,)}),
            Sample(((3, 5),), {"axes": (0,)}),
            Sample(((2, 3, 5),), {"axes": (0, 2)}),
            Sample(((2, 3, 5),), {"axes": (1,)}),
            Sample(((1, 7),), {"axes": (0, 1)}),
            Sample(((4,),), {"axes": ()}),
            Sample(((),), {"axes": ()}),
            Sample(((0, 3),), {"axes": (0,)}, derivative=not name.endswith(("max", "min"))),
            Sample(((2, 133),), {"axes": (1,)}, derivative=False),
            Sample(
                ((20,),), {"axes": (0,)}, make=lambda rng, dtype: [_nan_last(rng, dtype)], derivative=False
            ),
        ],
    )

    def apply(x: Node, axes: Axes) -> Node:
        return bind(target, x, axes=axes) if axes else x

    apply.__name__, apply.__doc__ = name, doc
    return apply


def _nan_last(rng: np.random.Generator, dtype: str) -> Array:
    values = rng.uniform(0, 2, 20)
    if is_float(dtype):
        values[-1] = np.nan
    return values.astype(numpy_dtype(dtype))


def _total(fn: Callable[..., Array]) -> Reducer:
    return lambda x, axes: fn(x, axis=axes, dtype=x.dtype)


def _extreme(fn: Callable[..., Array], neutral: Callable[[str], Any]) -> Reducer:
    return lambda x, axes: fn(x, axis=axes, initial=neutral(dtype_name(x.dtype)))


def _extreme_vjp(ct: Node, out: Node, x: Node, axes: Axes) -> Node:
    hit = eq(x, _spread(out, x.shape, axes))
    part = ct / reduce_sum(convert(hit, x.dtype), axes)
    return select(hit, _spread(part, x.shape, axes), zeros_like(x))


def _prod_vjp(ct: Node, out: Node, x: Node, axes: Axes) -> Node:
    """Give every element the product of all others, without division: correct for zeros too."""
    kept = tuple(axis for axis in range(x.rank) if axis not in axes)
    perm = kept + axes
    rows = transpose(x, perm)
    flat = reshape(rows, (*(x.shape[axis] for axis in kept), math.prod(x.shape[axis] for axis in axes)))
    last = flat.rank - 1
    before = _shifted(cumprod(flat, last), last, 1, 1)
    after = _shifted(cumprod(flat, last, reverse=True), last, -1, 1)
    others = transpose(reshape(before * after, rows.shape), tuple(perm.index(axis) for axis in range(x.rank)))
    return _spread(ct, x.shape, axes) * others


def _shifted(x: Node, axis: int, distance: int, fill: float) -> Node:
    """Shift x by `distance` along `axis`, filling with `fill`."""
    low = tuple(distance if a == axis else 0 for a in range(x.rank))
    return pad(x, fill, low, tuple(-n for n in low))


reduce_sum = _reduction(
    "reduce_sum", "Sum over `axes`.", _total(np.sum), lambda ct, out, x, axes: _spread(ct, x.shape, axes)
)
reduce_prod = _reduction("reduce_prod", "Product over `axes`.", _total(np.prod), _prod_vjp)
reduce_max = _reduction(
    "reduce_max", "Largest over `axes`; NaN if there is one.", _extreme(np.max, lowest), _extreme_vjp
)
reduce_min = _reduction(
    "reduce_min", "Smallest over `axes`; NaN if there is one.", _extreme(np.min, highest), _extreme_vjp
)
reduce_and = _reduction(
    "reduce_and", "Whether all over `axes` hold.", lambda x, axes: np.all(x, axis=axes), None, BOOL
)
reduce_or = _reduction(
    "reduce_or", "Whether any over `axes` holds.", lambda x, axes: np.any(x, axis=axes), None, BOOL
)


# ---------------------------------------------------------------- argmax, argmin


def _arg(name: str, doc: str, reference: Callable[..., Array]) -> Callable[[Node, int], Node]:
    def type_rule(x: TensorType, *, axis: int) -> TensorType:
        _check_axis(name, x, axis)
        if not x.shape[axis]:
            raise ShapeError(f"{name} of {x} along axis {axis} has no elements to choose from")
        return TensorType(_without(x.shape, (axis,)), "int32")

    target = primitive(
        name,
        type_rule=type_rule,
        reference=quiet(lambda x, *, axis: reference(single(x), axis=axis).astype(np.int32)),
        vjp=None,
        cost=_cost,
        dtypes=NUMERIC,
        samples=[
            Sample(((3, 5),), {"axis": 1}),
            Sample(((3, 5),), {"axis": 0}),
            Sample(((2, 3, 4),), {"axis": 1}),
            Sample(((67,),), {"axis": 0}),
            Sample(((1,),), {"axis": 0}),
            Sample(((0, 3),), {"axis": 1}),
            Sample(((4, 20),), {"axis": 1}, make=lambda rng, dtype: [_ties(rng, dtype)]),
        ],
    )

    def apply(x: Node, axis: int) -> Node:
        return bind(target, x, axis=axis)

    apply.__name__, apply.__doc__ = name, doc
    return apply


def _ties(rng: np.random.Generator, dtype: str) -> Array:
    values = rng.integers(0, 3, (4, 20)).astype(np.float64)
    if is_float(dtype):
        values[0, 7:9] = np.nan
        values[1, :] = -np.inf
    return values.astype(numpy_dtype(dtype))


argmax = _arg(
    "argmax", "int32 index of the largest along `axis`; the first of equals, NaN before all.", np.argmax
)
argmin = _arg(
    "argmin", "int32 index of the smallest along `axis`; the first of equals, NaN before all.", np.argmin
)


# ---------------------------------------------------------------- cumulative

Cumulative = Callable[..., Node]


def _cumulative(
    name: str,
    doc: str,
    reference: Callable[..., Array],
    vjp: Callable[[Node, Node, Node, int, bool], Node],
) -> Cumulative:
    """Register `name` and return its function. `vjp(ct, out, x, axis, reverse)` is the cotangent of x."""

    def type_rule(x: TensorType, *, axis: int, reverse: bool) -> TensorType:
        _check_axis(name, x, axis)
        return x

    def run(x: Array, *, axis: int, reverse: bool) -> Array:
        out = reference(np.flip(x, axis) if reverse else x, axis=axis, dtype=x.dtype)
        return np.flip(out, axis) if reverse else out

    target = primitive(
        name,
        type_rule=type_rule,
        reference=rounded(run),
        vjp=lambda ct, out, x, *, axis, reverse: (vjp(ct, out, x, axis, reverse),),
        cost=elementwise_cost,
        dtypes=NUMERIC,
        samples=[
            Sample(((3, 5),), {"axis": 1, "reverse": False}),
            Sample(((3, 5),), {"axis": 0, "reverse": True}),
            Sample(((2, 3, 4),), {"axis": 1, "reverse": False}),
            Sample(((1,),), {"axis": 0, "reverse": True}),
            Sample(((0, 3),), {"axis": 0, "reverse": False}),
            Sample(((2, 67),), {"axis": 1, "reverse": False}, derivative=False),
        ],
    )

    def apply(x: Node, axis: int, reverse: bool = False) -> Node:
        return bind(target, x, axis=axis, reverse=reverse)

    apply.__name__, apply.__doc__ = name, doc
    return apply


def _cumprod_vjp(ct: Node, out: Node, x: Node, axis: int, backwards: bool) -> Node:
    """Compute the derivative without division, so that it is correct for zeros too.

    The cotangent of x[i] is (product before i) * s[i], where s[i] = ct[i] + x[i + 1] * s[i + 1]. This linear
    recurrence is solved by doubling (Hillis & Steele 1986) in log2(n) elementwise steps.
    """
    if backwards:
        flip = (axis,)
        return reverse(
            _cumprod_vjp(reverse(ct, flip), reverse(out, flip), reverse(x, flip), axis, False), flip
        )
    total, factor = ct, _shifted(x, axis, -1, 0)
    distance = 1
    while distance < x.shape[axis]:
        total = total + factor * _shifted(total, axis, -distance, 0)
        factor = factor * _shifted(factor, axis, -distance, 0)
        distance *= 2
    return _shifted(out, axis, 1, 1) * total


def _cumulative_extreme_vjp(ct: Node, out: Node, x: Node, axis: int, backwards: bool) -> Node:
    """Add each output's cotangent to the element it equals, the last such one so far."""
    if backwards:
        flip = (axis,)
        return reverse(
            _cumulative_extreme_vjp(reverse(ct, flip), reverse(out, flip), reverse(x, flip), axis, False),
            flip,
        )
    position = iota("int32", x.shape, axis)
    source = cummax(select(eq(x, out), position, zeros_like(position)), axis)
    perm = (*(a for a in range(x.rank) if a != axis), axis)
    shape = tuple(x.shape[a] for a in perm)
    rows = (math.prod(shape[:-1]), shape[-1])
    indices = reshape(transpose(source, perm), (*rows, 1))
    updates = reshape(transpose(ct, perm), rows)
    # index.py is imported after this file, so its scatter is looked up when a derivative is taken.
    summed = PRIMITIVES["scatter"](
        full(0, TensorType(rows, ct.dtype)), indices, updates, mode="add", batch_dims=1
    )
    return transpose(reshape(summed, shape), tuple(perm.index(a) for a in range(x.rank)))


cumsum: Cumulative = _cumulative(
    "cumsum",
    "Sum of all elements up to here along `axis`.",
    np.cumsum,
    lambda ct, out, x, axis, backwards: cumsum(ct, axis, not backwards),
)
cumprod = _cumulative("cumprod", "Product of all elements up to here along `axis`.", np.cumprod, _cumprod_vjp)
cummax = _cumulative(
    "cummax", "Largest element up to here along `axis`.", np.maximum.accumulate, _cumulative_extreme_vjp
)
cummin = _cumulative(
    "cummin", "Smallest element up to here along `axis`.", np.minimum.accumulate, _cumulative_extreme_vjp
)
