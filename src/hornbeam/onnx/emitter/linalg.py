"""Factorizations as ONNX nodes: one Scan over the columns each. ONNX has no operator for any.

The columns come in as unit vectors: a product with one picks a column, and masks follow from it.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from hornbeam.ir.sizes import is_unknown
from hornbeam.ir.types import Shape
from hornbeam.onnx.emitter.emit import Functions
from hornbeam.onnx.emitter.kernels import NoKernelError
from hornbeam.onnx.emitter.moves import slice_axis
from hornbeam.onnx.emitter.values import Value, broadcast, elementwise, reshape, where, zeros
from hornbeam.onnx.emitter.values import transpose as turned
from hornbeam.onnx.emitter.windows import reduce_sum


def _of_matrices(fn: Callable[..., Any]) -> Callable[..., Any]:
    """`fn` of (batch, rows, columns) in float64, for operands (..., rows, columns)."""

    @functools.wraps(fn)
    def apply(*operands: Value, **params: Any) -> Any:
        lead, dtype = operands[0].shape[:-2], operands[0].dtype
        if any(is_unknown(n) for x in operands for n in x.shape[-2:]):
            raise NoKernelError(f"ONNX needs matrices of known sizes for {fn.__name__.strip('_')}")
        flat = [reshape(x.cast("float64"), (math.prod(lead), *x.shape[-2:])).contiguous() for x in operands]
        results = fn(*flat, **params)
        many = results if isinstance(results, tuple) else (results,)
        back = tuple(reshape(x, (*lead, *x.shape[1:])).cast(dtype) for x in many)
        return back if isinstance(results, tuple) else back[0]

    return apply


def _constant(like: Value, array: np.ndarray) -> Value:
    return like.emitter.constant(np.asarray(array, np.float64), "float64").contiguous()


def _eye(like: Value, rows: int, columns: int) -> Value:
    return _constant(like, np.eye(rows, columns))


def _across(x: Value, shape: Shape, axis: int) -> Value:
    """A vector, or one for every matrix, repeated along all axes of `shape` but its own."""
    return broadcast(x, shape, (axis,) if x.rank == 1 else (0, axis))


def _scaled(x: Value, factor: Value) -> Value:
    """(batch, n) times (batch,)."""
    return x * broadcast(factor, x.shape, (0,))


def _outer(x: Value, y: Value) -> Value:
    shape = (x.shape[0], x.shape[1], y.shape[1])
    return _across(x, shape, 1) * _across(y, shape, 2)


def _column(x: Value, unit: Value) -> Value:
    return reduce_sum(x * _across(unit, x.shape, 2), (2,))


def _row(x: Value, unit: Value) -> Value:
    return reduce_sum(x * _across(unit, x.shape, 1), (1,))


def _entry(x: Value, unit: Value) -> Value:
    """The element of each (batch, n) at the 1 of the unit vector."""
    return reduce_sum(x * broadcast(unit, x.shape, (1,)), (1,))


@_of_matrices
def _cholesky(x: Value) -> Value:
    """Column by column, each subtracted from what remains of x."""
    size = x.shape[-1]
    if not x.size:
        return x
    below = _constant(x, np.triu(np.ones((size, size))))

    def step(left: Value, unit: Value, mask: Value) -> list[Value]:
        column = _column(left, unit)
        root = elementwise("Sqrt", where(_entry(column, unit) > 0, _entry(column, unit), math.nan))
        factor = _scaled(column * _across(mask, column.shape, 1), 1 / root)
        return [left - _outer(factor, factor), factor]

    _, columns = x.emitter.scan([x], [_eye(x, size, size), below], step)
    factor = turned(columns, (1, 2, 0))
    # A single column that does not exist makes the whole factor NaN.
    spoiled = reduce_sum(factor * 0, (1, 2))
    lower = broadcast(_constant(x, np.tril(np.ones((size, size)))), x.shape, (1, 2)).equals(1)
    failed = broadcast(~spoiled.equals(0), x.shape, (0,))
    return where(failed, math.nan, where(lower, factor, 0))


@_of_matrices
def _triangular_solve(a: Value, b: Value, *, lower: bool, transpose: bool, unit_diagonal: bool) -> Value:
    """Solve row by row, subtracting each from what remains of b."""
    size = a.shape[-1]
    if not a.size or not b.size:
        return b
    pick = _row if transpose else _column
    forwards = lower != transpose
    ones = np.ones((size, size))
    later = _constant(a, np.triu(ones, 1) if forwards else np.tril(ones, -1))

    def step(left: Value, unit: Value, mask: Value) -> list[Value]:
        column, solution = pick(a, unit), _row(left, unit)
        if not unit_diagonal:
            solution = solution / broadcast(_entry(column, unit), solution.shape, (0,))
        return [left - _outer(column * _across(mask, column.shape, 1), solution), solution]

    _, rows = a.emitter.scan([b], [_eye(a, size, size), later], step, reverse=not forwards)
    return turned(rows, (1, 0, 2))


@_of_matrices
def _packed(x: Value) -> tuple[Value, Value, Value]:
    """The factors of `lu` in one matrix, the pivot row of each step, and the permutation of rows."""
    batch, rows, columns = x.shape
    count = min(rows, columns)
    if not x.size:
        return x, zeros(x, (batch, count)), zeros(x, (batch, rows))
    ones = np.ones((count, rows))
    masks = [_constant(x, np.triu(ones, offset)) for offset in (0, 1)]
    after = _constant(x, np.triu(np.ones((count, columns)), 1))

    def step(
        left: Value, order: Value, axis_unit: Value, unit: Value, remaining: Value, below: Value, rest: Value
    ) -> list[Value]:
        column = _column(left, axis_unit)
        sizes = where(_across(remaining, column.shape, 1).equals(1), elementwise("Abs", column), -1)
        best = x.emitter.node("ArgMax", [sizes.contiguous()], "int64", (batch,), axis=1, keepdims=0)
        numbers = _constant(x, np.arange(rows))
        pivot_rows = broadcast(numbers, sizes.shape, (1,)).equals(
            broadcast(best.cast("float64"), sizes.shape, (0,))
        )
        at = broadcast(unit, sizes.shape, (1,)).equals(1)
        left = _exchanged(left, at, pivot_rows)
        order = reshape(_exchanged(reshape(order, (batch, rows, 1)), at, pivot_rows), (batch, rows))
        column, row = _column(left, axis_unit), _row(left, unit)
        pivot = _entry(column, unit)
        safe = where(pivot.equals(0), 1, pivot)
        lower = _across(below, column.shape, 1).equals(1)
        factor = where(lower, column / broadcast(safe, column.shape, (0,)), 0)
        left = left - _outer(factor, row * _across(rest, row.shape, 1))
        inside = broadcast(lower, left.shape, (0, 1)) & broadcast(axis_unit, left.shape, (2,)).equals(1)
        return [where(inside, broadcast(factor, left.shape, (0, 1)), left), order, best.cast("float64")]

    order = broadcast(_constant(x, np.arange(rows)), (batch, rows), (1,)).contiguous()
    units = [_eye(x, count, columns), _eye(x, count, rows), *masks, after]
    packed, order, pivots = x.emitter.scan([x, order], units, step)
    return packed, turned(pivots, (1, 0)), order


def _exchanged(x: Value, first: Value, second: Value) -> Value:
    """x (batch, n, m) with two rows exchanged, each given by a mask (batch, n)."""
    rows = [
        broadcast(reduce_sum(where(broadcast(mask, x.shape, (0, 1)), x, 0), (1,)), x.shape, (0, 2))
        for mask in (first, second)
    ]
    swapped = where(broadcast(second, x.shape, (0, 1)), rows[0], x)
    return where(broadcast(first, x.shape, (0, 1)), rows[1], swapped)


def _lu(x: Value) -> tuple[Value, Value, Value]:
    packed, pivots, order = _packed(x.cast("float64"))
    return packed.cast(x.dtype), pivots.cast("int32"), order.cast("int32")


@_of_matrices
def _qr(x: Value) -> tuple[Value, Value]:
    """Householder reflections: forward on x, which yields r, then backward on the identity matrix, for q."""
    batch, rows, columns = x.shape
    count = min(rows, columns)
    if not x.size:
        return zeros(x, (batch, rows, count)), zeros(x, (batch, count, columns))
    below = _constant(x, np.triu(np.ones((count, rows))))

    def forwards(left: Value, axis_unit: Value, unit: Value, mask: Value) -> list[Value]:
        column = _column(left, axis_unit)
        tail = column * _across(mask, column.shape, 1)
        head, norm = _entry(tail, unit), elementwise("Sqrt", reduce_sum(tail * tail, (1,)))
        length = where(head < 0, -norm, norm)
        normal = tail + _scaled(broadcast(unit, tail.shape, (1,)), length)
        square = reduce_sum(normal * normal, (1,))
        scaled = _scaled(normal, where(square > 0, 2 / square, 0))
        return [_reflected(left, normal, scaled), normal, scaled]

    units = [_eye(x, count, columns), _eye(x, count, rows), below]
    left, normals, scaled = x.emitter.scan([x], units, forwards)
    start = broadcast(_eye(x, rows, count), (batch, rows, count), (1, 2)).contiguous()
    (q,) = x.emitter.scan([start], [normals, scaled], lambda *args: [_reflected(*args)], reverse=True)
    upper = broadcast(_constant(x, np.triu(np.ones((rows, columns)))), x.shape, (1, 2)).equals(1)
    return q, slice_axis(where(upper, left, 0), 1, 0, count)


def _reflected(x: Value, normal: Value, scaled: Value) -> Value:
    return x - _outer(scaled, reduce_sum(x * _across(normal, x.shape, 1), (1,)))


LINALG: Functions = {"cholesky": _cholesky, "triangular_solve": _triangular_solve, "lu": _lu, "qr": _qr}
