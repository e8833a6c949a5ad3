"""Primitives that move elements: reshape, transpose, broadcast, pad, slice, ..."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np

from hornbeam.ir.node import Node
from hornbeam.ir.primitive import PRIMITIVES, Sample, bind, full, movement_cost, primitive, zeros_like
from hornbeam.ir.sizes import certainly_exceeds, is_one, merged_shape, same_shape, same_size
from hornbeam.ir.types import (
    NUMERIC,
    HornbeamTypeError,
    Shape,
    ShapeError,
    TensorType,
    is_integer,
    numpy_dtype,
)
from hornbeam.primitives.numerics import Array, quiet

# fmt: off
__all__ = [
    "broadcast", "concatenate", "dynamic_slice", "dynamic_update_slice", "iota", "pad", "reshape",
    "reverse", "slice_", "transpose",
]
# fmt: on


def _sum(x: Node, axes: Sequence[int]) -> Node:
    # reduce.py imports this file, so the one reduction needed here is looked up when a derivative is taken.
    return PRIMITIVES["reduce_sum"](x, axes=tuple(axes)) if axes else x


# ---------------------------------------------------------------- reshape


def _reshape_type(x: TensorType, *, shape: Shape) -> TensorType:
    if min(shape, default=0) < 0 or math.prod(shape) != x.size:
        raise ShapeError(f"reshape needs a shape of {x.size} elements for {x}, got {shape}")
    return TensorType(shape, x.dtype)


RESHAPE = primitive(
    "reshape",
    type_rule=_reshape_type,
    reference=lambda x, *, shape: x.reshape(shape),
    vjp=lambda ct, out, x, *, shape: (reshape(ct, x.shape),),
    cost=movement_cost,
    samples=[
        Sample(((3, 4),), {"shape": (2, 6)}),
        Sample(((2, 3, 5),), {"shape": (30,)}),
        Sample(((),), {"shape": (1, 1)}),
        Sample(((1,),), {"shape": ()}),
        Sample(((0, 3),), {"shape": (2, 0)}),
    ],
)


def reshape(x: Node, shape: Shape) -> Node:
    """Reshape in row-major order. A reshape of a reshape is one reshape."""
    if x.primitive is RESHAPE:
        x = x.inputs[0]
    return x if x.shape == shape else bind(RESHAPE, x, shape=shape)


# ---------------------------------------------------------------- transpose


def _transpose_type(x: TensorType, *, perm: tuple[int, ...]) -> TensorType:
    if sorted(perm) != list(range(x.rank)):
        raise ShapeError(f"transpose of {x} needs a permutation of {x.rank} axes, got {perm}")
    return TensorType(tuple(x.shape[axis] for axis in perm), x.dtype)


def _inverse(perm: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(perm.index(axis) for axis in range(len(perm)))


TRANSPOSE = primitive(
    "transpose",
    type_rule=_transpose_type,
    reference=lambda x, *, perm: np.ascontiguousarray(x.transpose(perm)).reshape([x.shape[a] for a in perm]),
    vjp=lambda ct, out, x, *, perm: (transpose(ct, _inverse(perm)),),
    cost=movement_cost,
    samples=[
        Sample(((3, 5),), {"perm": (1, 0)}),
        Sample(((2, 3, 4),), {"perm": (2, 0, 1)}),
        Sample(((2, 3, 4, 5),), {"perm": (0, 3, 1, 2)}),
        Sample(((1, 7),), {"perm": (1, 0)}),
        Sample(((0, 3),), {"perm": (1, 0)}),
        Sample(((33, 65),), {"perm": (1, 0)}, derivative=False),
    ],
)


def transpose(x: Node, perm: tuple[int, ...]) -> Node:
    """Permute axes: axis i of the result is axis perm[i] of x. A transpose of a transpose is one."""
    if x.primitive is TRANSPOSE:
        perm = tuple(x.params["perm"][axis] for axis in perm)
        x = x.inputs[0]
    return x if perm == tuple(range(x.rank)) else bind(TRANSPOSE, x, perm=perm)


# ---------------------------------------------------------------- broadcast


def _broadcast_type(x: TensorType, *, shape: Shape, dims: tuple[int, ...]) -> TensorType:
    increasing = all(a < b for a, b in itertools.pairwise(dims))
    if len(dims) != x.rank or not increasing or any(not 0 <= d < len(shape) for d in dims):
        raise ShapeError(
            f"broadcast of {x} to {shape} needs {x.rank} increasing axes of the result, got {dims}"
        )
    if not all(size == 1 or same_size(size, shape[d]) for size, d in zip(x.shape, dims, strict=True)):
        raise ShapeError(f"broadcast of {x} to {shape} along {dims}: sizes must be equal or 1")
    return TensorType(shape, x.dtype)


def _spread(x: Array, shape: Shape, dims: tuple[int, ...]) -> Array:
    full_rank = [1] * len(shape)
    for size, axis in zip(x.shape, dims, strict=True):
        full_rank[axis] = size
    return np.broadcast_to(x.reshape(full_rank), shape).copy()


def _broadcast_vjp(ct: Node, out: Node, x: Node, *, shape: Shape, dims: tuple[int, ...]) -> tuple[Node]:
    kept = [axis for size, axis in zip(x.shape, dims, strict=True) if size == shape[axis] or not is_one(size)]
    return (reshape(_sum(ct, [axis for axis in range(len(shape)) if axis not in kept]), x.shape),)


BROADCAST = primitive(
    "broadcast",
    type_rule=_broadcast_type,
    reference=lambda x, *, shape, dims: _spread(x, shape, dims),
    vjp=_broadcast_vjp,
    cost=movement_cost,
    samples=[
        Sample(((3,),), {"shape": (2, 3), "dims": (1,)}),
        Sample(((3,),), {"shape": (3, 2), "dims": (0,)}),
        Sample(((3, 1),), {"shape": (2, 3, 4), "dims": (1, 2)}),
        Sample(((1, 4),), {"shape": (3, 4), "dims": (0, 1)}),
        Sample(((),), {"shape": (2, 3), "dims": ()}),
        Sample(((1,),), {"shape": (0,), "dims": (0,)}),
        Sample(((2, 5),), {"shape": (2, 3, 5, 2), "dims": (0, 2)}),
    ],
)


def broadcast(x: Node, shape: Shape, dims: tuple[int, ...]) -> Node:
    """Broadcast x to `shape`; its axis i becomes axis dims[i], where its size is equal or 1."""
    if x.shape == shape:
        return x
    return bind(BROADCAST, x, shape=shape, dims=dims)


# ---------------------------------------------------------------- pad

Amounts = tuple[int, ...]


def _padded_size(size: int, low: int, high: int, interior: int) -> int:
    return size + max(size - 1, 0) * interior + low + high


def _pad_type(
    x: TensorType, value: TensorType, *, low: Amounts, high: Amounts, interior: Amounts
) -> TensorType:
    if value.shape != () or value.dtype != x.dtype:
        raise ShapeError(f"pad needs a scalar of dtype {x.dtype}, got {value}")
    if not len(low) == len(high) == len(interior) == x.rank or min(interior, default=0) < 0:
        raise ShapeError(f"pad of {x} needs {x.rank} amounts, interior >= 0, got {low}, {high}, {interior}")
    shape = tuple(map(_padded_size, x.shape, low, high, interior))
    if min(shape, default=0) < 0:
        raise ShapeError(f"pad of {x} by {low}, {high}, {interior} would give the shape {shape}")
    return TensorType(shape, x.dtype)


def pad_array(x: Array, value: Array, low: Amounts, high: Amounts, interior: Amounts) -> Array:
    """Pad `x` with `value` around it and between its elements; negative amounts crop."""
    spread = np.full(
        [_padded_size(n, 0, 0, i) for n, i in zip(x.shape, interior, strict=True)], value, x.dtype
    )
    spread[tuple(slice(None, None, i + 1) for i in interior)] = x
    around = [(max(a, 0), max(b, 0)) for a, b in zip(low, high, strict=True)]
    grown = np.full([n + a + b for n, (a, b) in zip(spread.shape, around, strict=True)], value, x.dtype)
    grown[tuple(slice(a, a + n) for n, (a, _) in zip(spread.shape, around, strict=True))] = spread
    stops = [n + min(b, 0) for n, b in zip(grown.shape, high, strict=True)]
    return grown[tuple(slice(max(-a, 0), stop) for a, stop in zip(low, stops, strict=True))].copy()


def _pad_vjp(
    ct: Node, out: Node, x: Node, value: Node, *, low: Amounts, high: Amounts, interior: Amounts
) -> tuple[Node, Node]:
    zero = full(0, value.type)
    inner = pad(ct, zero, tuple(-n for n in low), tuple(-n for n in high), (0,) * x.rank)
    mask = pad(zeros_like(x), full(1, value.type), low, high, interior)
    steps = tuple(n + 1 for n in interior)
    return slice_(inner, (0,) * x.rank, inner.shape, steps), _sum(ct * mask, range(ct.rank))


PAD = primitive(
    "pad",
    type_rule=_pad_type,
    reference=quiet(pad_array),
    vjp=_pad_vjp,
    cost=movement_cost,
    samples=[
        Sample(((3, 4), ()), {"low": (1, 0), "high": (2, 1), "interior": (0, 0)}),
        Sample(((4, 3), ()), {"low": (0, 2), "high": (1, 0), "interior": (1, 2)}),
        Sample(((5, 4), ()), {"low": (-1, 1), "high": (-2, -1), "interior": (0, 0)}),
        Sample(((5,), ()), {"low": (-2,), "high": (3,), "interior": (1,)}),
        Sample(((2, 1, 3), ()), {"low": (0, 1, 0), "high": (0, 1, 2), "interior": (0, 0, 0)}),
        Sample(((0, 2), ()), {"low": (1, 0), "high": (2, 0), "interior": (1, 0)}),
        Sample(((), ()), {"low": (), "high": (), "interior": ()}),
    ],
)


def pad(x: Node, value: Node | float, low: Amounts, high: Amounts, interior: Amounts | None = None) -> Node:
    """Pad each axis with `value` before, after and between elements; negative `low` and `high` crop."""
    interior = (0,) * x.rank if interior is None else interior
    if not (any(low) or any(high) or any(interior)):
        return x
    scalar = value if isinstance(value, Node) else full(value, TensorType((), x.dtype))
    return bind(PAD, x, scalar, low=low, high=high, interior=interior)


# ---------------------------------------------------------------- slice


def _slice_type(x: TensorType, *, start: Shape, stop: Shape, step: Shape) -> TensorType:
    if not len(start) == len(stop) == len(step) == x.rank:
        raise ShapeError(f"slice of {x} needs {x.rank} bounds, got {start}, {stop}, {step}")
    fits = all(0 <= a <= b <= n for a, b, n in zip(start, stop, x.shape, strict=True))
    if not fits or min(step, default=1) < 1:
        raise ShapeError(
            f"slice of {x} needs 0 <= start <= stop <= size and step > 0, got {start}, {stop}, {step}"
        )
    sizes = tuple(-((a - b) // s) for a, b, s in zip(start, stop, step, strict=True))
    return TensorType(sizes, x.dtype)


def _slice_vjp(ct: Node, out: Node, x: Node, *, start: Shape, stop: Shape, step: Shape) -> tuple[Node]:
    low = tuple(a if n else 0 for a, n in zip(start, ct.shape, strict=True))
    ends = (a + (n - 1) * s + 1 if n else 0 for a, n, s in zip(start, ct.shape, step, strict=True))
    high = tuple(size - end for size, end in zip(x.shape, ends, strict=True))
    return (pad(ct, 0, low, high, tuple(s - 1 for s in step)),)


SLICE = primitive(
    "slice",
    type_rule=_slice_type,
    reference=quiet(lambda x, *, start, stop, step: x[tuple(map(slice, start, stop, step))].copy()),
    vjp=_slice_vjp,
    cost=movement_cost,
    samples=[
        Sample(((4, 5),), {"start": (1, 0), "stop": (3, 5), "step": (1, 1)}),
        Sample(((7, 5),), {"start": (1, 0), "stop": (7, 4), "step": (2, 3)}),
        Sample(((3, 4, 2),), {"start": (0, 1, 1), "stop": (3, 2, 2), "step": (1, 1, 1)}),
        Sample(((6,),), {"start": (2,), "stop": (2,), "step": (1,)}),
        Sample(((),), {"start": (), "stop": (), "step": ()}),
    ],
)


def slice_(x: Node, start: Shape, stop: Shape, step: Shape | None = None) -> Node:
    """Compute x[start:stop:step] on every axis."""
    step = (1,) * x.rank if step is None else step
    # A step beyond the end selects one element, like a step of 1.
    if (
        stop == x.shape
        and not any(start)
        and all(s == 1 or n <= 1 for s, n in zip(step, x.shape, strict=True))
    ):
        return x
    return bind(SLICE, x, start=start, stop=stop, step=step)


# ---------------------------------------------------------------- concatenate


def _concatenate_type(*xs: TensorType, axis: int) -> TensorType:
    if not xs:
        raise ShapeError("concatenate needs at least one operand")
    first = xs[0]
    if not 0 <= axis < first.rank:
        raise ShapeError(f"concatenate of {first} has no axis {axis}")
    for x in xs:
        if x.dtype != first.dtype:
            raise HornbeamTypeError(f"concatenate needs operands of one dtype, got {', '.join(map(str, xs))}")
        if x.rank != first.rank or not same_shape(_others(x, axis), _others(first, axis)):
            raise ShapeError(
                f"concatenate along axis {axis} needs equal other axes, got {', '.join(map(str, xs))}"
            )
    others = merged_shape(*(_others(x, axis) for x in xs))
    return TensorType((*others[:axis], sum(x.shape[axis] for x in xs), *others[axis:]), first.dtype)


def _others(x: TensorType, axis: int) -> Shape:
    return x.shape[:axis] + x.shape[axis + 1 :]


def _concatenate_vjp(ct: Node, out: Node, *xs: Node, axis: int) -> list[Node]:
    parts, at = [], 0
    for x in xs:
        start, stop = [0] * ct.rank, list(ct.shape)
        start[axis], stop[axis] = at, at + x.shape[axis]
        parts.append(slice_(ct, tuple(start), tuple(stop)))
        at += x.shape[axis]
    return parts


CONCATENATE = primitive(
    "concatenate",
    type_rule=_concatenate_type,
    reference=lambda *xs, axis: np.concatenate(xs, axis),
    vjp=_concatenate_vjp,
    cost=movement_cost,
    samples=[
        Sample(((2, 3), (4, 3)), {"axis": 0}),
        Sample(((2, 3), (2, 1), (2, 4)), {"axis": 1}),
        Sample(((2, 3, 2), (2, 0, 2)), {"axis": 1}),
        Sample(((5,),), {"axis": 0}),
    ],
)


def concatenate(*xs: Node, axis: int) -> Node:
    """Concatenate the operands along `axis`."""
    return xs[0] if len(xs) == 1 else bind(CONCATENATE, *xs, axis=axis)


# ---------------------------------------------------------------- reverse


def _reverse_type(x: TensorType, *, axes: tuple[int, ...]) -> TensorType:
    if list(axes) != sorted(set(axes)) or any(not 0 <= axis < x.rank for axis in axes):
        raise ShapeError(f"reverse of {x} needs increasing axes below {x.rank}, got {axes}")
    return x


REVERSE = primitive(
    "reverse",
    type_rule=_reverse_type,
    reference=quiet(lambda x, *, axes: np.flip(x, axes).copy()),
    vjp=lambda ct, out, x, *, axes: (reverse(ct, axes),),
    cost=movement_cost,
    samples=[
        Sample(((3, 4),), {"axes": (0,)}),
        Sample(((2, 3, 5),), {"axes": (0, 2)}),
        Sample(((1, 0),), {"axes": (0, 1)}),
        Sample(((),), {"axes": ()}),
    ],
)


def reverse(x: Node, axes: tuple[int, ...]) -> Node:
    """Reverse the order of elements along `axes`."""
    return bind(REVERSE, x, axes=axes) if axes else x


# ---------------------------------------------------------------- iota


def _iota_type(*, dtype: str, shape: Shape, axis: int) -> TensorType:
    if dtype not in NUMERIC:
        raise HornbeamTypeError(f"iota needs a numeric dtype, got {dtype}")
    if not 0 <= axis < len(shape):
        raise ShapeError(f"iota of shape {shape} has no axis {axis}")
    return TensorType(shape, dtype)


def _iota(*, dtype: str, shape: Shape, axis: int) -> Array:
    return _spread(np.arange(shape[axis]).astype(numpy_dtype(dtype)), shape, (axis,))


IOTA = primitive(
    "iota",
    type_rule=_iota_type,
    reference=_iota,
    vjp=lambda ct, out, **params: (),
    cost=movement_cost,
    samples=[
        Sample((), {"dtype": dtype, "shape": shape, "axis": axis})
        for dtype in NUMERIC
        for shape, axis in (((5,), 0), ((3, 4), 1), ((2, 1, 3), 0), ((0,), 0))
    ],
)


def iota(dtype: str, shape: Shape, axis: int) -> Node:
    """Count 0, 1, 2, ... along `axis`, equal along all others."""
    return bind(IOTA, dtype=dtype, shape=shape, axis=axis)


# ---------------------------------------------------------------- dynamic slices


def _check_window(name: str, x: TensorType, sizes: Shape, starts: Sequence[TensorType]) -> None:
    if (
        len(starts) != x.rank
        or len(sizes) != x.rank
        or any(s < 0 or certainly_exceeds(s, n) for s, n in zip(sizes, x.shape, strict=True))
    ):
        raise ShapeError(
            f"{name} of {x} needs {x.rank} starts and sizes that fit, got {len(starts)} and {sizes}"
        )
    if any(s.shape != () or not is_integer(s.dtype) for s in starts):
        raise HornbeamTypeError(f"{name} needs integer scalars as starts, got {', '.join(map(str, starts))}")


def _dynamic_slice_type(x: TensorType, *starts: TensorType, sizes: Shape) -> TensorType:
    _check_window("dynamic_slice", x, sizes, starts)
    return TensorType(sizes, x.dtype)


def _window(shape: Shape, starts: Sequence[Array], sizes: Shape) -> tuple[slice, ...]:
    first = [min(max(int(start), 0), n - size) for start, n, size in zip(starts, shape, sizes, strict=True)]
    return tuple(slice(at, at + size) for at, size in zip(first, sizes, strict=True))


DYNAMIC_SLICE = primitive(
    "dynamic_slice",
    type_rule=_dynamic_slice_type,
    reference=quiet(lambda x, *starts, sizes: x[_window(x.shape, starts, sizes)].copy()),
    vjp=lambda ct, out, x, *starts, sizes: (
        dynamic_update_slice(zeros_like(x), ct, *starts),
        *(None for _ in starts),
    ),
    cost=movement_cost,
    samples=[
        Sample(((4, 5), (), ()), {"sizes": (2, 3)}, domain=(0, 0.5), dtypes=(None, "int32", "int32")),
        Sample(((4, 5), (), ()), {"sizes": (2, 5)}, domain=(-1, 2), dtypes=(None, "int64", "int32")),
        Sample(((7,), ()), {"sizes": (1,)}, domain=(0, 1), dtypes=(None, "uint8")),
        Sample(((),), {"sizes": ()}),
    ],
)


def dynamic_slice(x: Node, *starts: Node, sizes: Shape) -> Node:
    """Slice the window of `sizes` at `starts`, which are clamped so that it fits."""
    return x if sizes == x.shape else bind(DYNAMIC_SLICE, x, *starts, sizes=sizes)


def _update_type(x: TensorType, update: TensorType, *starts: TensorType) -> TensorType:
    if update.dtype != x.dtype:
        raise HornbeamTypeError(f"dynamic_update_slice needs operands of one dtype, got {x} and {update}")
    _check_window("dynamic_update_slice", x, update.shape, starts)
    return x


def _update(x: Array, update: Array, *starts: Array) -> Array:
    out = np.array(x)
    out[_window(x.shape, starts, update.shape)] = update
    return out


DYNAMIC_UPDATE_SLICE = primitive(
    "dynamic_update_slice",
    type_rule=_update_type,
    reference=quiet(_update),
    vjp=lambda ct, out, x, update, *starts: (
        dynamic_update_slice(ct, zeros_like(update), *starts),
        dynamic_slice(ct, *starts, sizes=update.shape),
        *(None for _ in starts),
    ),
    cost=movement_cost,
    samples=[
        Sample(((4, 5), (2, 3), (), ()), domain=(-1, 2), dtypes=(None, None, "int32", "int32")),
        Sample(((6,), (1,), ()), domain=(0, 1), dtypes=(None, None, "int64")),
        Sample(((2, 3), (2, 3), (), ()), domain=(-1, 1), dtypes=(None, None, "int32", "int32")),
        Sample(((), ())),
    ],
)


def dynamic_update_slice(x: Node, update: Node, *starts: Node) -> Node:
    """Replace the window of x at `starts` (clamped so that it fits) by `update`."""
    return update if update.shape == x.shape else bind(DYNAMIC_UPDATE_SLICE, x, update, *starts)
