"""Each primitive as ONNX nodes: shapes, reductions, indexing, random bits and control flow.

The others are in `elementwise.py`, `windows.py` and `linalg.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from hornbeam.engines.table import STRUCTURE
from hornbeam.ir.graph import Graph
from hornbeam.ir.sizes import is_one, is_unknown, maximum
from hornbeam.ir.types import Shape, TensorType, is_float, numpy_dtype
from hornbeam.onnx.emitter.elementwise import BINARY, UNARY, convert, is_nan
from hornbeam.onnx.emitter.emit import Emitter, Functions
from hornbeam.onnx.emitter.kernels import compute_dtype
from hornbeam.onnx.emitter.linalg import LINALG
from hornbeam.onnx.emitter.moves import concatenate, pad, slice_axes, slice_axis
from hornbeam.onnx.emitter.values import (
    BIT_CASTS,
    BOOL_REDUCTIONS,
    Value,
    broadcast,
    elementwise,
    reduced,
    reshape,
    transpose,
    where,
    zeros,
)
from hornbeam.onnx.emitter.windows import WINDOWS

# -- shape ---------------------------------------------------------------------------------------------------


def _constant(emitter: Emitter, *, data: bytes, shape: Shape, dtype: str) -> Value:
    return emitter.constant(np.frombuffer(data, numpy_dtype(dtype)).reshape(shape), dtype)


def _iota(emitter: Emitter, *, dtype: str, shape: Shape, axis: int) -> Value:
    size = shape[axis]
    if size <= 1024:
        steps = emitter.constant(np.arange(size).astype(numpy_dtype(dtype)), dtype)
    else:
        first, one = (emitter.constant(np.array(n, np.int64), "int64") for n in (0, 1))
        last = first.like(size)
        steps = emitter.node("Range", [first, last, one], "int64", (size,)).cast(dtype)
    return broadcast(steps, shape, (axis,))


def _size(emitter: Emitter, *, size: Any) -> Value:
    return reshape(emitter.size(size), ()).cast("int32")


def _clamped(x: Value, largest: int | Value) -> Value:
    """Integers of any dtype as int64 between 0 and `largest`."""
    if x.dtype == "uint64":  # beyond int64 they must stay large
        x = elementwise("Min", x, x.like(2**62))
    x = x.cast("int64")
    return elementwise("Min", elementwise("Max", x, 0), largest)


def _begin(x: Value, starts: Sequence[Value], sizes: Shape) -> Value:
    """Start indices of a slice as an int64 vector, clamped to fit."""
    rows = [
        reshape(_clamped(start, n - size), (1,)).contiguous()
        for start, n, size in zip(starts, x.shape, sizes, strict=True)
    ]
    return concatenate(rows, 0)


def _dynamic_slice(x: Value, *starts: Value, sizes: Shape) -> Value:
    if not sizes:
        return x
    begin = _begin(x, starts, sizes)
    end = begin + x.emitter.ints(sizes)
    return x.emitter.node("Slice", [x.contiguous(), begin, end], x.dtype, sizes)


def _dynamic_update_slice(x: Value, update: Value, *starts: Value) -> Value:
    """The update, and where it is, padded to the size of x."""
    if not x.shape:
        return update
    begin = _begin(x, starts, update.shape)
    end = x.emitter.ints([n - size for n, size in zip(x.shape, update.shape, strict=True)]) - begin
    amounts = concatenate([begin, end], 0)
    work = compute_dtype("Pad", x.dtype)
    ones = broadcast(x.emitter.constant(np.array(True), "bool"), update.shape, ()).contiguous()
    inside = x.emitter.node("Pad", [ones, amounts], "bool", x.shape)
    moved = x.emitter.node("Pad", [update.contiguous().cast(work), amounts], work, x.shape).cast(x.dtype)
    return where(inside, moved, x)


def _reverse(x: Value, *, axes: tuple[int, ...]) -> Value:
    turned = [a in axes and not is_one(x.shape[a]) for a in range(x.rank)]
    start = [n - 1 if yes else 0 for n, yes in zip(x.shape, turned, strict=True)]
    stop = [-1 if yes else n for n, yes in zip(x.shape, turned, strict=True)]
    return slice_axes(x, start, stop, [-1 if yes else 1 for yes in turned])


_SHAPE: Functions = {
    "reshape": lambda x, *, shape: reshape(x, shape),
    "transpose": lambda x, *, perm: transpose(x, perm),
    "broadcast": lambda x, *, shape, dims: broadcast(x, shape, dims),
    "pad": lambda x, value, *, low, high, interior: pad(x, value, low, high, interior),
    "slice": lambda x, *, start, stop, step: slice_axes(x, start, stop, step),
    "concatenate": lambda *xs, axis: concatenate(xs, axis),
    "reverse": _reverse,
    "dynamic_slice": _dynamic_slice,
    "dynamic_update_slice": _dynamic_update_slice,
    "select": where,
    "convert": convert,
    "bitcast": lambda x, *, dtype: x.bits(dtype),
}


# -- reductions ----------------------------------------------------------------------------------------------


def _ordered(x: Value) -> Value:
    """uint64 as int64 of the same order; all else as it is."""
    return (x ^ (1 << 63)).bits("int64") if x.dtype == "uint64" else x


def _without(shape: Shape, axes: Sequence[int]) -> Shape:
    return tuple(n for a, n in enumerate(shape) if a not in axes)


def _reduction(operator: str, neutral: Callable[[str], Any]) -> Callable[..., Value]:
    """A reduction over `axes`; of nothing it is `neutral`."""

    def reduce(x: Value, *, axes: tuple[int, ...]) -> Value:
        if not axes:
            return x
        kept = _without(x.shape, axes)
        if not x.size:
            return broadcast(x.like(neutral(x.dtype)), kept, ())
        work = compute_dtype(operator, x.dtype)
        if work == "bool" and x.emitter.opset < BOOL_REDUCTIONS:
            work = "uint8"
        return reduced(operator, x.cast(work), axes).cast(x.dtype)

    return reduce


def _min_or_max(operator: str, neutral: Callable[[str], Any]) -> Callable[..., Value]:
    """Propagates NaN, which ONNX Runtime's own reductions drop."""
    reduce, some = _reduction(operator, neutral), _reduction("ReduceMax", _lowest)

    def extreme(x: Value, *, axes: tuple[int, ...]) -> Value:
        if x.dtype == "uint64":
            return reduce(_ordered(x), axes=axes).bits("uint64") ^ (1 << 63)
        result = reduce(x, axes=axes)
        return where(some(is_nan(x), axes=axes), math.nan, result) if x.floating else result

    return extreme


def _lowest(dtype: str) -> bool | int | float:
    return -math.inf if is_float(dtype) else False if dtype == "bool" else np.iinfo(dtype).min


def _highest(dtype: str) -> bool | int | float:
    return math.inf if is_float(dtype) else True if dtype == "bool" else np.iinfo(dtype).max


def _arg(operator: str) -> Callable[..., Value]:
    """The first of equal elements; NaN comes first."""

    def position(x: Value, axis: int, kind: str) -> Value:
        work = x.contiguous().cast(compute_dtype(kind, x.dtype))
        kept = _without(x.shape, (axis,))
        return x.emitter.node(kind, [work], "int64", kept, axis=axis, keepdims=0)

    def arg(x: Value, *, axis: int) -> Value:
        if not x.size:
            return zeros(x, _without(x.shape, (axis,)), "int32")
        result = position(_ordered(x), axis, operator)
        if x.floating:
            missing = is_nan(x)
            some = _reduction("ReduceMax", _lowest)(missing, axes=(axis,))
            result = where(some, position(missing.cast("uint8"), axis, "ArgMax"), result)
        return result.cast("int32")

    return arg


def _step_by_step(x: Value, operator: str, start: float, axis: int, reverse: bool = False) -> Value:
    """The running result of an operator along an axis, by a Scan over it."""
    order = (axis, *(a for a in range(x.rank) if a != axis))
    steps = transpose(x, order).contiguous()
    first = broadcast(x.like(start), steps.shape[1:], ()).contiguous()

    def step(total: Value, element: Value) -> list[Value]:
        return [elementwise(operator, total, element)] * 2

    _, results = x.emitter.scan([first], [steps], step, reverse)
    return transpose(results, np.argsort(order).tolist())


def _cumulative(operator: str) -> Callable[..., Value]:
    def cumulative(x: Value, *, axis: int, reverse: bool) -> Value:
        if not x.size:
            return x
        if operator == "CumProd" and x.emitter.opset < BIT_CASTS:
            return _step_by_step(x, "Mul", 1, axis, reverse)
        work = x.contiguous().cast(compute_dtype(operator, x.dtype))
        at = x.emitter.constant(np.array(axis, np.int64), "int64")
        result = x.emitter.node(operator, [work, at], work.dtype, x.shape, reverse=int(reverse))
        return result.cast(x.dtype)

    return cumulative


def _running(operator: str) -> Callable[..., Value]:
    """Largest or smallest so far, in log2(n) steps of doubling reach (Hillis & Steele 1986)."""

    def running(x: Value, *, axis: int, reverse: bool) -> Value:
        if reverse:
            return _reverse(running(_reverse(x, axes=(axis,)), axis=axis, reverse=False), axes=(axis,))
        if is_unknown(x.shape[axis]):
            start = _lowest(x.dtype) if operator == "Max" else _highest(x.dtype)
            return _step_by_step(x, operator, start, axis)
        size, distance = x.shape[axis], 1
        while distance < size:
            head, tail, before = (
                slice_axis(x, axis, *ends) for ends in ((0, distance), (distance, size), (0, size - distance))
            )
            x = concatenate([head, elementwise(operator, tail, before)], axis)
            distance *= 2
        return x

    return running


def _sortable(x: Value) -> Value:
    """Integers (or narrow ones) in the order of x, NaN last, zeros equal."""
    if not x.floating:
        return _ordered(x)
    wide = x.cast(compute_dtype("TopK", x.dtype))
    integer = "int64" if wide.dtype == "float64" else "int32"
    bits = where(wide.equals(0), 0, wide).bits(integer)
    largest = np.iinfo(integer).max
    return where(is_nan(wide), largest, where(bits < 0, bits ^ largest, bits))


def _argsort(x: Value, *, axis: int) -> Value:
    if not x.size:
        return zeros(x, x.shape, "int32")
    if not x.floating or x.emitter.prefers_bits:
        return _order(_sortable(x), axis).cast("int32")
    # By value first, then NaN behind all others.
    missing = is_nan(x)
    order = _order(where(missing, math.inf, x), axis)
    last = _gather_elements(missing.cast("int32"), order, axis)
    return _gather_elements(order, _order(last, axis), axis).cast("int32")


def _order(key: Value, axis: int) -> Value:
    """Indices that sort along an axis; equal elements keep their order."""
    key = key.contiguous().cast(compute_dtype("TopK", key.dtype))
    types = [TensorType(key.shape, key.dtype), TensorType(key.shape, "int64")]
    count = key.emitter.ints((key.shape[axis],))
    return key.emitter.nodes("TopK", [key, count], types, axis=axis, largest=0, sorted=1)[1]


def _gather_elements(x: Value, indices: Value, axis: int) -> Value:
    """The elements of x at `indices` along an axis."""
    return x.emitter.node(
        "GatherElements", [x.contiguous(), indices.contiguous()], x.dtype, x.shape, axis=axis
    )


_REDUCE: Functions = {
    "reduce_sum": _reduction("ReduceSum", lambda _: 0),
    "reduce_prod": _reduction("ReduceProd", lambda _: 1),
    "reduce_max": _min_or_max("ReduceMax", _lowest),
    "reduce_min": _min_or_max("ReduceMin", _highest),
    "reduce_and": _reduction("ReduceMin", _highest),
    "reduce_or": _reduction("ReduceMax", _lowest),
    "argmax": _arg("ArgMax"),
    "argmin": _arg("ArgMin"),
    "cumsum": _cumulative("CumSum"),
    "cumprod": _cumulative("CumProd"),
    "cummax": _running("Max"),
    "cummin": _running("Min"),
    "argsort": _argsort,
}


# -- gather, scatter -----------------------------------------------------------------------------------------


def _places(x: Value, indices: Value, batch_dims: int) -> Value:
    """`indices` as int64, clamped into the axes of x that they address."""
    sizes = x.shape[batch_dims : batch_dims + indices.shape[-1]]
    return _clamped(indices, x.emitter.ints([maximum(size - 1, 0) for size in sizes]))


def _gather(x: Value, indices: Value, *, batch_dims: int) -> Value:
    depth, rows = indices.shape[-1], indices.shape[:-1]
    shape = rows + x.shape[batch_dims + depth :]
    if not math.prod(shape):
        return zeros(x, shape)
    if not depth:
        if batch_dims:
            expanded = reshape(x.contiguous(), (*x.shape[:batch_dims], 1, *x.shape[batch_dims:]))
            return _gather(expanded, zeros(x, (*rows, 1), "int64"), batch_dims=batch_dims)
        return broadcast(x, shape, tuple(range(len(rows), len(shape))))
    places = _places(x, indices, batch_dims).contiguous()
    if depth == 1 and not batch_dims:
        return x.emitter.node("Gather", [x.contiguous(), reshape(places, rows)], x.dtype, shape, axis=0)
    return x.emitter.node("GatherND", [x.contiguous(), places], x.dtype, shape, batch_dims=batch_dims)


def _row_numbers(x: Value, indices: Value, batch_dims: int) -> Value:
    """Numbers of the addressed rows, of x as (rows, rest); one per row of `indices`."""
    rows = indices.shape[:-1]
    places = _places(x, indices, batch_dims)
    number = zeros(x, rows, "int64")
    for axis in range(batch_dims):
        at = _iota(x.emitter, dtype="int64", shape=rows, axis=axis)
        number = number * x.shape[axis] + at
    for i in range(indices.shape[-1]):
        column = slice_axis(places, places.rank - 1, i, i + 1)
        number = number * x.shape[batch_dims + i] + reshape(column, rows)
    return number


_MODES = {"set": "none", "add": "add", "mul": "mul", "max": "max", "min": "min"}


def _scatter(x: Value, indices: Value, updates: Value, *, mode: str, batch_dims: int) -> Value:
    if not updates.size or not x.size:
        return x
    depth = batch_dims + indices.shape[-1]
    work = compute_dtype("ScatterElements", x.dtype)
    if x.dtype == "bool":
        mode = {"add": "max", "mul": "min"}.get(mode, mode)
    count, width = math.prod(indices.shape[:-1]), math.prod(x.shape[depth:])
    flat = reshape(x.cast(work), (x.size // width, width)).contiguous()
    rows = reshape(_row_numbers(x, indices, batch_dims), (count,))
    numbers = broadcast(rows, (count, width), (0,)).contiguous()
    parts = reshape(updates.cast(work), (count, width)).contiguous()
    result = x.emitter.node(
        "ScatterElements", [flat, numbers, parts], work, flat.shape, axis=0, reduction=_MODES[mode]
    )
    return reshape(result, x.shape).cast(x.dtype)


_INDEX: Functions = {"gather": _gather, "scatter": _scatter}


# -- random bits, control flow -------------------------------------------------------------------------------


def _random_bits(key: Value, *, shape: Shape) -> Value:
    """Threefry-2x32 with 20 rounds; see `primitives/random.py`."""
    size = math.prod(shape)
    if not size:
        return zeros(key, shape)
    count = (size + 1) // 2
    first, second = (slice_axis(key, 0, i, i + 1) for i in (0, 1))
    keys = (first, second, first ^ second ^ 0x1BD11BDA)
    # Fewer than 2**32 blocks: the high word of the counter is 0.
    x = broadcast(keys[0], (count,), ())
    y = _iota(key.emitter, dtype="uint32", shape=(count,), axis=0) + keys[1]
    for injection in range(1, 6):
        for distance in ((17, 29, 16, 24), (13, 15, 26, 6))[injection % 2]:
            x = x + y
            # Products and sums are faster than shifts and ors.
            y = (y * (1 << distance) + elementwise("BitShift", y, 32 - distance, direction="RIGHT")) ^ x
        x = x + keys[injection % 3]
        y = y + (keys[(injection + 1) % 3] + injection)
    words = concatenate([reshape(x, (count, 1)), reshape(y, (count, 1))], 1)
    return reshape(slice_axis(reshape(words, (2 * count,)), 0, 0, size), shape)


def _cond(
    emitter: Emitter, pred: Value, *operands: Value, true_graph: Graph, false_graph: Graph
) -> tuple[Value, ...]:
    branches = {}
    for name, graph in (("then_branch", true_graph), ("else_branch", false_graph)):
        branches[name], types = emitter.subgraph([], lambda graph=graph: emitter.walk(graph, operands))
    return emitter.nodes("If", [pred], types, **branches)


_LOOP_HEAD = (TensorType((), "int64"), TensorType((), "bool"))


def _while_loop(emitter: Emitter, *values: Value, cond_graph: Graph, body_graph: Graph) -> tuple[Value, ...]:
    count = len(body_graph.outputs)
    carry, fixed = values[:count], values[count:]

    def step(number: Value, going: Value, *carry: Value) -> list[Value]:
        carried = emitter.walk(body_graph, (*carry, *fixed))
        return [emitter.walk(cond_graph, (*carried, *fixed))[0], *carried]

    body, types = emitter.subgraph([*_LOOP_HEAD, *(x.type for x in carry)], step)
    going = emitter.walk(cond_graph, values)[0]
    return emitter.nodes("Loop", [None, going, *carry], types[1:], body=body)


def _scan(
    emitter: Emitter, *values: Value, body: Graph, length: int, carries: int, sequences: int, reverse: bool
) -> tuple[Value, ...]:
    carry, xs = values[:carries], values[carries : carries + sequences]
    fixed = values[carries + sequences :]
    if not length:
        kept = [*body.outputs[carries:], *body.inputs[:carries]]
        nothing = [np.empty((0, *x.shape), numpy_dtype(x.dtype)) for x in kept]
        return (*carry, *(emitter.constant(array, x.dtype) for array, x in zip(nothing, kept, strict=True)))

    def step(*args: Value) -> list[Value]:
        step_args = args[: carries + sequences]
        return [*emitter.walk(body, (*step_args, *fixed)), *args[:carries]]

    # ONNX scans over something.
    over = xs or (zeros(carry[0], (length,), "bool"),)
    return emitter.scan(carry, over, step, reverse)


TABLE: Functions = {
    **UNARY, **BINARY, **_SHAPE, **_REDUCE, **_INDEX, **WINDOWS, **LINALG, **STRUCTURE,
    "random_bits": _random_bits,
}  # fmt: skip
MAKERS: Functions = {
    "constant": _constant, "size": _size, "iota": _iota, "cond": _cond, "while_loop": _while_loop,
    "scan": _scan,
}  # fmt: skip
