"""The TensorFlow engine: XLA compiles graphs, but for what oneDNN computes on CPUs (convolutions, pools).

`set_engine("tensorflow")` takes a GPU if TensorFlow sees one, else the CPU; `"tensorflow:cpu"` and
`"tensorflow:gpu:1"` say which. Buffers are `tf.Tensor`s.
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from hornbeam.engines.base import BindingExecutable, Buffer, Executable
from hornbeam.engines.table import Table, TableEngine, missing_package, require_version
from hornbeam.ir.graph import Graph, Node
from hornbeam.ir.interpret import use_counts
from hornbeam.ir.types import numpy_dtype

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # what TensorFlow tells about the machine
try:
    import tensorflow as tf
except ImportError as error:
    raise missing_package("tensorflow", "TensorFlow", error) from error
require_version("tensorflow", "TensorFlow", tf.__version__, "2.16")

Tensor = Any
_raw = tf.raw_ops
_HALVES = (tf.float16, tf.bfloat16)


class TensorFlowExecutable(BindingExecutable):
    """A graph as one `tf.function`."""

    def __init__(self, engine: TensorFlowEngine, graph: Graph) -> None:
        self._engine = engine
        self._graph = graph
        self._program = tf.function(self._compute, autograph=False)
        self._step = tf.function(self._gathered, autograph=False)

    def _compute(self, inputs: list[Tensor]) -> list[Tensor]:
        return [tf.identity(x) for x in self._engine.parts(self._graph, inputs)]

    def _gathered(self, state: list[Tensor], data: list[Tensor], rows: Tensor) -> list[Tensor]:
        return self._compute([*state, *(tf.gather(x, rows) for x in data)])

    def run(self, inputs: Sequence[Buffer], donate: Sequence[bool] | None = None) -> list[Buffer]:
        """See `Executable.run`. Nothing is written in place, so donated buffers stay as they are."""
        with tf.device(self._engine.device):
            return list(self._program(list(inputs)))

    def run_steps(
        self, state: Sequence[Buffer], data: Sequence[Buffer], indices: np.ndarray
    ) -> tuple[list[Buffer], list[Buffer]]:
        """See `Executable.run_steps`. Batches are gathered on the device."""
        current, logs, given = list(state), [], list(data)
        with tf.device(self._engine.device):
            for rows in tf.constant(indices):
                outputs = list(self._step(current, given, rows))
                current = outputs[: len(current)]
                logs.append(outputs[len(current) :])
            return current, [tf.stack(column) for column in zip(*logs, strict=True)]


class TensorFlowEngine(TableEngine):
    """Runs graphs with TensorFlow on one device. Raises RuntimeError for a device that it does not see."""

    def __init__(self, device: str | None = None) -> None:
        super().__init__()
        self.name = f"tensorflow:{device}" if device else "tensorflow"
        kind, _, index = (device or ("gpu" if tf.config.list_physical_devices("GPU") else "cpu")).partition(
            ":"
        )
        seen = tf.config.list_logical_devices({"cuda": "GPU"}.get(kind, kind.upper()))
        if int(index or 0) >= len(seen):
            raise RuntimeError(f"TensorFlow sees {len(seen)} devices of {kind}, there is no {device}")
        self.device = seen[int(index or 0)].name
        self._on_cpu = seen[0].device_type == "CPU"
        self.table = {**TABLE, **_control(self.evaluate)}

    def compile(self, graph: Graph) -> Executable:
        self.check(graph)
        return TensorFlowExecutable(self, graph)

    def put(self, array: np.ndarray) -> Buffer:
        with tf.device(self.device):
            return tf.constant(np.ascontiguousarray(array).reshape(array.shape))

    def get(self, buffer: Buffer) -> np.ndarray:
        array = np.asarray(buffer.numpy()).view()
        array.flags.writeable = False
        return array

    def multiplies(self, dtype: str) -> bool:
        """See `Engine.multiplies`: XLA computes 16-bit floats in float32 on CPUs."""
        return dtype in ("float32", "float64") or not self._on_cpu

    def _host(self, node: Node) -> Callable[..., Any] | None:
        """What TensorFlow's own kernels compute rather than XLA."""
        if node.name in _DECOMPOSITIONS:
            return _DECOMPOSITIONS[node.name]
        return _HOST[node.name] if self._on_cpu and node.name in _HOST and _is_plain(node) else None

    def _has_host(self, graph: Graph) -> bool:
        return any(
            self._host(node) is not None or (_is_walked(self, node) and self._has_host(node.params["body"]))
            for node in graph.nodes
        )

    def parts(self, graph: Graph, args: Sequence[Tensor]) -> list[Tensor]:
        """The graph's outputs: what XLA compiles, cut at what it does not."""
        values: dict[Node, Tensor] = dict(zip(graph.inputs, args, strict=True))
        uses = use_counts(graph)
        waiting: list[Node] = []

        def compile_waiting() -> None:
            inside = set(waiting)
            given = list(dict.fromkeys(x for n in waiting for x in n.inputs if x not in inside))
            times: dict[Node, int] = {}
            for x in itertools.chain.from_iterable(n.inputs for n in waiting):
                times[x] = times.get(x, 0) + 1
            # Tuples are no tensors: they leave in parts.
            kept = [n for n in waiting if uses[n] > times.get(n, 0)]

            def compute(tensors: list[Any]) -> list[Any]:
                found = self.evaluate(Graph([*given], kept), tensors)
                return [tf.nest.map_structure(tf.identity, x) for x in found]

            compiled = tf.function(compute, autograph=False, jit_compile=True)
            if kept:
                values.update(zip(kept, compiled([values[x] for x in given]), strict=True))
            waiting.clear()

        for node in graph.nodes:
            fn = self._host(node)
            walked = fn is None and _is_walked(self, node) and self._has_host(node.params["body"])
            if fn is None and not walked:
                waiting.append(node)
                continue
            if waiting:
                compile_waiting()
            operands = [values[x] for x in node.inputs]
            if fn is not None:
                values[node] = fn(*operands, **node.params)
            else:
                outputs = self.parts(node.params["body"], operands)
                values[node] = tuple(outputs) if isinstance(node.type, tuple) else outputs[0]
        if waiting:
            compile_waiting()
        return [values[x] for x in graph.outputs]


def _is_walked(engine: TensorFlowEngine, node: Node) -> bool:
    return node.primitive is not None and node.primitive.composite and engine.lower(node) is None


# -- elementwise ---------------------------------------------------------------------------------------------


def _widened(fn: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """`fn` of 16-bit floats in float32, its result rounded once."""

    def widened(x: Tensor, *rest: Tensor, **params: Any) -> Tensor:
        if x.dtype not in _HALVES:
            return fn(x, *rest, **params)
        return tf.cast(fn(tf.cast(x, tf.float32), *(tf.cast(y, tf.float32) for y in rest), **params), x.dtype)

    return widened


def _through(carrier: Callable[[Any], Any], fn: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """`fn` of integers in a wider dtype, where TensorFlow has it for few; results wrap."""

    def carried(x: Tensor, *rest: Tensor, **params: Any) -> Tensor:
        wide = carrier(x.dtype)
        if wide == x.dtype:
            return fn(x, *rest, **params)
        return tf.cast(fn(tf.cast(x, wide), *(tf.cast(y, wide) for y in rest), **params), x.dtype)

    return carried


def _long(dtype: Any) -> Any:
    return tf.int64 if dtype.is_integer and dtype not in (tf.int32, tf.int64) else dtype


def _zero(x: Tensor) -> Tensor:
    return tf.zeros_like(x)


def _neg(x: Tensor) -> Tensor:
    return _zero(x) - x if x.dtype.is_unsigned else tf.negative(x)


def _sign(x: Tensor) -> Tensor:
    if x.dtype.is_floating:
        return tf.where(tf.math.is_nan(x), x, tf.sign(x))
    below = tf.cast(x < _zero(x), x.dtype)
    return tf.cast(x > _zero(x), x.dtype) - below


def _abs(x: Tensor) -> Tensor:
    return x if x.dtype.is_unsigned else tf.abs(x)


def _minus_one(x: Tensor) -> Tensor:
    return tf.zeros_like(x, tf.bool) if x.dtype.is_unsigned else x == tf.constant(-1, x.dtype)


def _safe(y: Tensor) -> Tensor:
    """Integer divisors without 0 and -1, at which a processor stops."""
    return tf.where((y == _zero(y)) | _minus_one(y), tf.ones_like(y), y)


def _divide(x: Tensor, y: Tensor) -> Tensor:
    if x.dtype.is_floating:
        return x / y
    quotient = tf.where(_minus_one(y), _zero(x) - x, _raw.TruncateDiv(x=x, y=_safe(y)))
    return tf.where(y == _zero(y), _zero(x), quotient)


def _remainder(x: Tensor, y: Tensor) -> Tensor:
    if x.dtype.is_floating:
        return _raw.TruncateMod(x=x, y=y)
    safe = _safe(y)
    rest = x - _raw.TruncateDiv(x=x, y=safe) * safe
    return tf.where((y == _zero(y)) | _minus_one(y), _zero(x), rest)


def _power(x: Tensor, y: Tensor) -> Tensor:
    if x.dtype.is_floating:
        return tf.pow(x, y)
    one, zero = tf.ones_like(x), _zero(x)

    def odd(z: Tensor) -> Tensor:
        return tf.bitwise.bitwise_and(z, one) != zero

    result, base, rest = one, x, y
    for _ in range(8 * x.dtype.size):
        result = tf.where(odd(rest), result * base, result)
        base, rest = base * base, tf.bitwise.right_shift(rest, one)
    reciprocal = tf.where(x == one, one, tf.where(_minus_one(x), tf.where(odd(y), x, one), zero))
    return tf.where(y < zero, reciprocal, result)


def _shift(fn: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """`fn` on amounts within the bit width; beyond (and below 0) all bits are gone and the sign is left."""

    def shifted(x: Tensor, y: Tensor) -> Tensor:
        width = 8 * x.dtype.size
        inside = (y >= _zero(y)) & (y < tf.constant(width, y.dtype))
        far = fn(fn(x, tf.zeros_like(x) + tf.constant(width - 1, x.dtype)), tf.ones_like(x))
        return tf.where(inside, fn(x, tf.where(inside, y, _zero(y))), far)

    return shifted


def _logic(of_bits: Callable[..., Tensor], of_truth: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return lambda x, *rest: (of_truth if x.dtype == tf.bool else of_bits)(x, *rest)


def _ordered(fn: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """`fn` of truth values as of small integers."""

    def compared(x: Tensor, y: Tensor) -> Tensor:
        if x.dtype != tf.bool:
            return fn(x, y)
        out = fn(tf.cast(x, tf.int32), tf.cast(y, tf.int32))
        return out if out.dtype == tf.bool else tf.cast(out, tf.bool)

    return compared


def _extreme(fn: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """`fn`, the larger or the smaller of two; XLA may lose a NaN on the way."""

    def extreme(x: Tensor, y: Tensor) -> Tensor:
        out = fn(x, y)
        if not x.dtype.is_floating:
            return out
        return tf.where(tf.math.is_nan(x), x, tf.where(tf.math.is_nan(y), y, out))

    return _ordered(extreme)


_maximum, _minimum = _extreme(tf.maximum), _extreme(tf.minimum)


def _digamma(x: Tensor) -> Tensor:
    """TensorFlow has NaN at zeros, where the limit has the other sign."""
    signed = tf.where(_raw.Atan2(y=x, x=-tf.ones_like(x)) < 0, math.inf, -math.inf)
    return tf.where(x == 0, tf.cast(signed, x.dtype), tf.math.digamma(x))


def _convert(x: Tensor, *, dtype: str) -> Tensor:
    target = tf.as_dtype(numpy_dtype(dtype))
    if target == tf.bool:
        return x != _zero(x)
    if not x.dtype.is_floating or not target.is_integer:
        return tf.cast(x, target)
    limits = np.iinfo(dtype)
    wide = tf.cast(x, tf.float64)
    whole = tf.where(wide < 0, tf.math.ceil(wide), tf.floor(wide))
    inside = (whole > float(limits.min)) & (whole < float(limits.max))
    low, high, zero = (tf.constant(v, target) for v in (limits.min, limits.max, 0))
    clipped = tf.where(whole >= float(limits.max), high, low)
    clipped = tf.where(tf.math.is_nan(whole), zero, clipped)
    return tf.where(inside, tf.cast(tf.where(inside, whole, 0.0), target), clipped)


def _bitcast(x: Tensor, *, dtype: str) -> Tensor:
    return tf.bitcast(x, numpy_dtype(dtype))


_math, _bits = tf.math, tf.bitwise
_UNARY: Table = {
    "neg": _neg, "sign": _sign, "abs": _abs, "floor": tf.floor, "ceil": _math.ceil, "round": tf.round,
    "exp": tf.exp, "expm1": _math.expm1, "log": _math.log, "log1p": _math.log1p, "sqrt": tf.sqrt,
    "rsqrt": _math.rsqrt, "logistic": tf.sigmoid, "sin": tf.sin, "cos": tf.cos, "tan": tf.tan,
    "asin": tf.asin, "acos": tf.acos, "atan": tf.atan, "sinh": tf.sinh, "cosh": tf.cosh, "tanh": tf.tanh,
    "asinh": _math.asinh, "acosh": tf.acosh, "atanh": _math.atanh, "erf": _math.erf, "erf_inv": _math.erfinv,
    "lgamma": _math.lgamma, "digamma": _digamma, "logical_not": _logic(_bits.invert, tf.logical_not),
    "is_finite": _math.is_finite, "relu": lambda x, **_: tf.where(x < _zero(x), _zero(x), x),
}  # fmt: skip
_BINARY: Table = {
    "add": _logic(tf.add, tf.logical_or), "sub": tf.subtract, "mul": _logic(tf.multiply, tf.logical_and),
    "div": _divide, "rem": _remainder, "pow": _power, "atan2": tf.atan2, "max": _maximum, "min": _minimum,
    "and": _logic(_bits.bitwise_and, tf.logical_and),
    "or": _logic(_bits.bitwise_or, tf.logical_or), "xor": _logic(_bits.bitwise_xor, _math.logical_xor),
    "shift_left": _shift(_bits.left_shift), "shift_right": _shift(_bits.right_shift), "eq": tf.equal,
    "ne": tf.not_equal, "lt": _ordered(tf.less), "le": _ordered(tf.less_equal), "gt": _ordered(tf.greater),
    "ge": _ordered(tf.greater_equal),
}  # fmt: skip
# 16-bit floats that are computed in float32 and rounded once, as the specification is.
for _name in (
    "tan",
    "asin",
    "acos",
    "atan",
    "sinh",
    "cosh",
    "asinh",
    "acosh",
    "atanh",
    "erf_inv",
    "lgamma",
    "pow",
):
    for _part in (_UNARY, _BINARY):
        if _name in _part:
            _part[_name] = _widened(_part[_name])  # type: ignore[index]


# -- shape ---------------------------------------------------------------------------------------------------


def _constant(*, data: bytes, shape: tuple[int, ...], dtype: str) -> Tensor:
    return tf.constant(np.frombuffer(data, numpy_dtype(dtype)).reshape(shape))


def _iota(*, dtype: str, shape: tuple[int, ...], axis: int) -> Tensor:
    steps = tf.cast(tf.range(shape[axis], dtype=tf.int64), numpy_dtype(dtype))
    return tf.broadcast_to(tf.reshape(steps, [-1 if a == axis else 1 for a in range(len(shape))]), shape)


def _broadcast(x: Tensor, *, shape: tuple[int, ...], dims: tuple[int, ...]) -> Tensor:
    sizes = [1] * len(shape)
    for size, axis in zip(x.shape, dims, strict=True):
        sizes[axis] = size
    return tf.broadcast_to(tf.reshape(x, sizes), shape)


def _pad(x: Tensor, value: Tensor, *, low: Any, high: Any, interior: Any) -> Tensor:
    for axis, between in enumerate(interior):
        size = x.shape[axis]
        if between and size:
            after = [[0, 0]] * (axis + 1) + [[0, between]] + [[0, 0]] * (x.shape.rank - axis - 1)
            x = tf.pad(tf.expand_dims(x, axis + 1), after, constant_values=value)
            wide = [*x.shape[:axis], size * (between + 1), *x.shape[axis + 2 :]]
            x = tf.gather(tf.reshape(x, wide), tf.range(wide[axis] - between), axis=axis)
    grown = [[max(a, 0), max(b, 0)] for a, b in zip(low, high, strict=True)]
    if any(map(any, grown)):
        x = tf.pad(x, grown, constant_values=value)
    return x[tuple(slice(max(-a, 0), n - max(-b, 0)) for n, a, b in zip(x.shape, low, high, strict=True))]


def _starts(starts: Sequence[Tensor], shape: Any, sizes: Sequence[int]) -> list[Tensor]:
    """Starts as int32, moved so that the block lies inside."""
    ends = [n - size for n, size in zip(shape, sizes, strict=True)]
    return [_inside_range(start, end) for start, end in zip(starts, ends, strict=True)]


def _inside_range(index: Tensor, last: int) -> Tensor:
    top = tf.constant(min(last, index.dtype.max), index.dtype)
    return tf.cast(tf.maximum(tf.minimum(index, top), tf.zeros_like(index)), tf.int32)


def _dynamic_slice(x: Tensor, *starts: Tensor, sizes: tuple[int, ...]) -> Tensor:
    return tf.slice(x, tf.stack(_starts(starts, x.shape, sizes)), sizes) if sizes else x


def _update(x: Tensor, update: Tensor, *starts: Tensor) -> Tensor:
    inside = tf.constant(True)
    if not update.shape.num_elements():
        return x
    for axis, start in enumerate(_starts(starts, x.shape, update.shape)):
        place, size = tf.range(x.shape[axis]) - start, update.shape[axis]
        update = tf.gather(update, tf.clip_by_value(place, 0, size - 1), axis=axis)
        here = tf.reshape((place >= 0) & (place < size), [-1] + [1] * (x.shape.rank - axis - 1))
        inside = inside & here
    return tf.where(inside, update, x)


def _strided(x: Tensor, *, start: Any, stop: Any, step: Any) -> Tensor:
    return x[tuple(map(slice, start, stop, step))] if start else x


_SHAPE: Table = {
    "constant": _constant,
    "iota": _iota,
    "reshape": lambda x, *, shape: tf.reshape(x, shape),
    "transpose": lambda x, *, perm: tf.transpose(x, perm),
    "broadcast": _broadcast,
    "pad": _pad,
    "slice": _strided,
    "concatenate": lambda *xs, axis: tf.concat(xs, axis),
    "reverse": lambda x, *, axes: tf.reverse(x, axes) if axes else x,
    "dynamic_slice": _dynamic_slice,
    "dynamic_update_slice": _update,
    "select": tf.where,
    "convert": _convert,
    "bitcast": _bitcast,
}


# -- reductions ----------------------------------------------------------------------------------------------


def _over(fn: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """A reduction over `axes`; TensorFlow's are not defined for all dtypes, but int64 is among them."""
    return _through(_long, _widened(lambda x, *, axes: fn(x, list(axes)) if axes else x))


def _extremes(fn: Callable[..., Tensor], of_nothing: Callable[[Any], Any]) -> Callable[..., Tensor]:
    """The largest or smallest over axes; NaN if there is one."""

    def extremes(x: Tensor, *, axes: tuple[int, ...]) -> Tensor:
        if not axes:
            return x
        if not x.shape.num_elements():
            kept = [size for axis, size in enumerate(x.shape) if axis not in axes]
            return tf.fill(kept, tf.constant(of_nothing(x.dtype), x.dtype))
        if x.dtype == tf.uint64:
            return _unsigned(fn(_sort_key(x), list(axes)))
        out = _through(_long, fn)(x, axis=list(axes))
        if not x.dtype.is_floating:
            return out
        return tf.where(tf.reduce_any(tf.math.is_nan(x), list(axes)), tf.constant(math.nan, x.dtype), out)

    return extremes


def _lowest(dtype: Any) -> Any:
    return -math.inf if dtype.is_floating else dtype.min


def _highest(dtype: Any) -> Any:
    return math.inf if dtype.is_floating else dtype.max


def _position(x: Tensor, axis: int, largest: bool) -> Tensor:
    """Of the first largest (smallest) along an axis, NaN before all."""
    best = (tf.reduce_max if largest else tf.reduce_min)(x, axis, keepdims=True)
    found = x == best
    if x.dtype.is_floating:
        nans = tf.math.is_nan(x)
        found = tf.where(tf.reduce_any(nans, axis, keepdims=True), nans, found)
    return tf.argmax(tf.cast(found, tf.int32), axis, output_type=tf.int32)


def _cumulative(fn: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return _through(_long, _widened(lambda x, *, axis, reverse: fn(x, axis, reverse=reverse)))


def _running(pick: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Running maxima or minima, by blocks that double."""

    def running(x: Tensor, *, axis: int, reverse: bool) -> Tensor:
        x = tf.reverse(x, [axis]) if reverse else x
        size, reach = x.shape[axis], 1
        while reach < size:
            before, rest = tf.split(x, [reach, size - reach], axis)
            earlier = tf.split(x, [size - reach, reach], axis)[0]
            x, reach = tf.concat([before, pick(rest, earlier)], axis), 2 * reach
        return tf.reverse(x, [axis]) if reverse else x

    return running


def _sort_key(x: Tensor) -> Tensor:
    """Signed integers in the order of x: -0 equal to 0, NaN last."""
    if x.dtype.is_floating:
        x = tf.cast(x, tf.float32) if x.dtype in _HALVES else x
        whole = {tf.float32: tf.int32, tf.float64: tf.int64}[x.dtype]
        bits = tf.bitcast(tf.where(x == 0, _zero(x), x), whole)
        ordered = tf.where(bits < 0, tf.bitwise.bitwise_xor(bits, tf.constant(whole.max, whole)), bits)
        return tf.where(tf.math.is_nan(x), tf.constant(whole.max, whole), ordered)
    if x.dtype == tf.uint64:
        return tf.bitwise.bitwise_xor(tf.bitcast(x, tf.int64), tf.constant(tf.int64.min, tf.int64))
    return tf.cast(x, tf.int64)


def _unsigned(key: Tensor) -> Tensor:
    """The uint64 numbers that `_sort_key` made these of."""
    return tf.bitcast(tf.bitwise.bitwise_xor(key, tf.constant(tf.int64.min, tf.int64)), tf.uint64)


def _argsort(x: Tensor, *, axis: int) -> Tensor:
    key = _sort_key(x)
    if not x.shape.num_elements():
        return tf.zeros(x.shape, tf.int32)
    moved = [a for a in range(x.shape.rank) if a != axis] + [axis]
    # All bits turned round, the smallest is the largest; of equals the first comes first.
    last = tf.bitwise.invert(tf.transpose(key, moved))
    return tf.transpose(tf.math.top_k(last, x.shape[axis]).indices, np.argsort(moved))


_REDUCE: Table = {
    "reduce_sum": _over(tf.reduce_sum),
    "reduce_prod": _over(tf.reduce_prod),
    "reduce_max": _extremes(tf.reduce_max, _lowest),
    "reduce_min": _extremes(tf.reduce_min, _highest),
    "reduce_and": lambda x, *, axes: tf.reduce_all(x, list(axes)),
    "reduce_or": lambda x, *, axes: tf.reduce_any(x, list(axes)),
    "argmax": lambda x, *, axis: _position(x, axis, True),
    "argmin": lambda x, *, axis: _position(x, axis, False),
    "cumsum": _cumulative(tf.cumsum),
    "cumprod": _cumulative(tf.math.cumprod),
    "cummax": _running(_maximum),
    "cummin": _running(_minimum),
    "argsort": _argsort,
}


# -- gather, scatter -----------------------------------------------------------------------------------------


def _rows(shape: Sequence[int], indices: Tensor, batch_dims: int) -> Tensor:
    """Numbers of the addressed rows, of x as (rows, rest), clamped into range; one per row of `indices`."""
    *grid, depth = indices.shape
    number = tf.zeros(grid, tf.int32)
    for axis in range(batch_dims):
        number = number * shape[axis] + _iota(dtype="int32", shape=tuple(grid), axis=axis)
    for i in range(depth):
        size = shape[batch_dims + i]
        number = number * size + _inside_range(indices[..., i], max(size - 1, 0))
    return tf.reshape(number, [-1])


def _gather(x: Tensor, indices: Tensor, *, batch_dims: int) -> Tensor:
    depth = batch_dims + indices.shape[-1]
    flat = tf.reshape(x, [math.prod(x.shape[:depth]), *x.shape[depth:]])
    taken = tf.gather(flat, _rows(x.shape, indices, batch_dims))
    return tf.reshape(taken, [*indices.shape[:-1], *x.shape[depth:]])


def _combine(x: Tensor, rows: Tensor, updates: Tensor, mode: str) -> Tensor:
    """x (rows, rest) with `updates` (n, rest) combined at `rows` (n)."""
    count = x.shape[0]
    if mode == "set":  # later rows win, whatever order the device writes in
        winner = tf.math.unsorted_segment_max(tf.range(rows.shape[0]), rows, count)
        hit = (winner >= 0)[:, None]
        return tf.where(hit, tf.gather(updates, tf.maximum(winner, 0)), x)
    if mode == "mul":
        return x * tf.math.unsorted_segment_prod(updates, rows, count)
    fn = {
        "add": tf.tensor_scatter_nd_add, "max": tf.tensor_scatter_nd_max, "min": tf.tensor_scatter_nd_min
    }[mode]  # fmt: skip
    return fn(x, rows[:, None], updates)


def _scatter(x: Tensor, indices: Tensor, updates: Tensor, *, mode: str, batch_dims: int) -> Tensor:
    depth = batch_dims + indices.shape[-1]
    rows = _rows(x.shape, indices, batch_dims)
    if not rows.shape[0] or not x.shape.num_elements():
        return x
    flat = tf.reshape(x, [math.prod(x.shape[:depth]), math.prod(x.shape[depth:])])
    parts = tf.reshape(updates, [rows.shape[0], flat.shape[1]])
    if x.dtype == tf.bool:
        mode = {"add": "max", "mul": "min"}.get(mode, mode)
    wide = tf.float32 if x.dtype in _HALVES else tf.int32 if x.dtype == tf.bool else _long(x.dtype)
    if mode == "set" and x.dtype != tf.bool:
        wide = x.dtype
    if x.dtype == tf.uint64 and mode in ("max", "min"):  # int64 in the order of uint64
        return tf.reshape(_unsigned(_combine(_sort_key(flat), rows, _sort_key(parts), mode)), x.shape)
    out = tf.cast(_combine(tf.cast(flat, wide), rows, tf.cast(parts, wide), mode), x.dtype)
    return tf.reshape(out, x.shape)


_INDEX: Table = {"gather": _gather, "scatter": _scatter}


# -- products, convolutions, pools ---------------------------------------------------------------------------


def _dot(x: Tensor, y: Tensor, *, contract: Any, batch: Any) -> Tensor:
    x_free = [a for a in range(x.shape.rank) if a not in contract[0] and a not in batch[0]]
    y_free = [a for a in range(y.shape.rank) if a not in contract[1] and a not in batch[1]]
    batches = [x.shape[a] for a in batch[0]]
    left, right = [x.shape[a] for a in x_free], [y.shape[a] for a in y_free]
    inner = math.prod(x.shape[a] for a in contract[0])
    n = [math.prod(batches)] if batches else []
    rows = tf.reshape(tf.transpose(x, [*batch[0], *x_free, *contract[0]]), [*n, math.prod(left), inner])
    columns = tf.transpose(y, [*batch[1], *contract[1], *y_free])
    product = tf.matmul(rows, tf.reshape(columns, [*n, inner, math.prod(right)]))
    return tf.reshape(product, [*batches, *left, *right])


class _Window:
    """A convolution with at least two spatial axes, in the terms of TensorFlow's own operations."""

    def __init__(self, strides: Any, padding: Any, dilation: Any, groups: int) -> None:
        lonely = len(strides) == 1
        self.lonely = lonely
        self.strides = [1, *([1] * lonely), *strides, 1]
        self.dilations = [1, *([1] * lonely), *dilation, 1]
        self.padding = [[0, 0], *([[0, 0]] * lonely), *([list(pair) for pair in padding]), [0, 0]]
        self.deep = len(strides) == 3

    def flat(self, shape: Sequence[int], at: int) -> list[int]:
        """A shape with the axis of size 1 that a convolution over one axis gets."""
        return [*shape[:at], *([1] * self.lonely), *shape[at:]]

    def image(self, x: Tensor) -> Tensor:
        return tf.reshape(x, self.flat(x.shape, 1))

    def options(self) -> dict[str, Any]:
        """Three-dimensional ones take no amounts of padding: what they see is padded."""
        if self.deep:
            return {"strides": self.strides, "dilations": self.dilations, "padding": "VALID"}
        amounts = [amount for pair in self.padding for amount in pair]
        return {
            "strides": self.strides, "dilations": self.dilations, "padding": "EXPLICIT",
            "explicit_paddings": amounts,
        }  # fmt: skip

    def grown(self, shape: Sequence[int]) -> list[int]:
        """The shape that an input has when it is convolved."""
        sizes = self.flat(shape, 1)
        return [n + sum(pair) for n, pair in zip(sizes, self.padding, strict=True)] if self.deep else sizes


def _conv(x: Tensor, w: Tensor, **params: Any) -> Tensor:
    window = _Window(**params)
    kernel = tf.reshape(w, window.flat(w.shape, 0))
    if window.deep:
        out = _raw.Conv3D(input=tf.pad(x, window.padding), filter=kernel, **window.options())
    else:
        out = _raw.Conv2D(input=window.image(x), filter=kernel, **window.options())
    return tf.squeeze(out, 1) if window.lonely else out


def _conv_input_grad(dy: Tensor, w: Tensor, *, input_shape: Any, **params: Any) -> Tensor:
    window = _Window(**params)
    fn = _raw.Conv3DBackpropInputV2 if window.deep else _raw.Conv2DBackpropInput
    kernel = tf.reshape(w, window.flat(w.shape, 0))
    sizes = tf.constant(window.grown(input_shape), tf.int32)
    dx = fn(input_sizes=sizes, filter=kernel, out_backprop=window.image(dy), **window.options())
    if window.deep:
        dx = tf.slice(dx, [low for low, _ in window.padding], input_shape)
    return tf.reshape(dx, input_shape)


def _conv_kernel_grad(x: Tensor, dy: Tensor, *, kernel_shape: Any, **params: Any) -> Tensor:
    window = _Window(**params)
    sizes = tf.constant(window.flat(kernel_shape, 0), tf.int32)
    if window.deep:
        given = tf.pad(x, window.padding)
        return _raw.Conv3DBackpropFilterV2(
            input=given, filter_sizes=sizes, out_backprop=dy, **window.options()
        )
    dw = _raw.Conv2DBackpropFilter(
        input=window.image(x), filter_sizes=sizes, out_backprop=window.image(dy), **window.options()
    )
    return tf.reshape(dw, kernel_shape)


def _views(x: Tensor, fill: Any, window: Any, strides: Any, padding: Any) -> list[Tensor]:
    """For every window position, the elements of the padded x that it meets."""
    padded = tf.pad(x, [[0, 0], *map(list, padding), [0, 0]], constant_values=tf.constant(fill, x.dtype))
    sizes = [(n - k) // s + 1 for n, k, s in zip(padded.shape[1:-1], window, strides, strict=True)]

    def view(at: Sequence[int]) -> Tensor:
        reaches = zip(at, sizes, strides, strict=True)
        spatial = [slice(k, k + (n - 1) * s + 1, s) for k, n, s in reaches]
        return padded[tuple([slice(None), *spatial])]

    return [view(at) for at in itertools.product(*map(range, window))]


def _spread(parts: Sequence[Tensor], shape: Any, window: Any, strides: Any, padding: Any) -> Tensor:
    """The transpose of `_views`: parts added up where they came from."""
    total = tf.zeros(shape, parts[0].dtype)
    zero = tf.constant(0, parts[0].dtype)
    for at, part in zip(itertools.product(*map(range, window)), parts, strict=True):
        low, high = [0], [0]
        for k, s, n, m, pair in zip(at, strides, shape[1:-1], part.shape[1:-1], padding, strict=True):
            low.append(k - pair[0])
            high.append(n - (k - pair[0]) - ((m - 1) * s + 1))
        total += _pad(part, zero, low=[*low, 0], high=[*high, 0], interior=[0, *(s - 1 for s in strides), 0])
    return total


def _choices(x: Tensor, window: Any) -> list[Tensor]:
    """For every window position, where it holds the element that its window chooses."""
    values = _views(x, 0, **window)
    valid = _views(tf.ones_like(x, tf.bool), False, **window)
    best, chosen = _zero(values[0]), tf.fill(values[0].shape, -1)
    for place, (value, real) in enumerate(zip(values, valid, strict=True)):
        larger = (value > best) | (tf.math.is_nan(value) & ~tf.math.is_nan(best))
        take = real & ((chosen < 0) | larger)
        best, chosen = tf.where(take, value, best), tf.where(take, place, chosen)
    return [chosen == place for place in range(len(values))]


def _max_pool(x: Tensor, **window: Any) -> Tensor:
    views = _views(x, -math.inf, **window)
    out = views[0]
    for view in views[1:]:
        out = _maximum(out, view)
    return out


def _max_pool_gather(x: Tensor, t: Tensor, **window: Any) -> Tensor:
    pairs = zip(_choices(x, window), _views(t, 0, **window), strict=True)
    return tf.add_n([tf.where(chosen, view, _zero(view)) for chosen, view in pairs])


def _max_pool_scatter(x: Tensor, dy: Tensor, **window: Any) -> Tensor:
    parts = [tf.where(chosen, dy, _zero(dy)) for chosen in _choices(x, window)]
    return _spread(parts, x.shape, **window)


def _sum_pool(x: Tensor, **window: Any) -> Tensor:
    return tf.add_n(_views(x, 0, **window))


def _sum_pool_grad(dy: Tensor, *, input_shape: Any, **window: Any) -> Tensor:
    return _spread([dy] * math.prod(window["window"]), input_shape, **window)


_CONTRACT: Table = {
    "dot_general": _through(_long, _widened(_dot)),
    "conv": _widened(_conv),
    "conv_input_grad": _widened(_conv_input_grad),
    "conv_kernel_grad": _widened(_conv_kernel_grad),
    "max_pool": _max_pool,
    "max_pool_gather": _max_pool_gather,
    "max_pool_scatter": _widened(_max_pool_scatter),
    "sum_pool": _widened(_sum_pool),
    "sum_pool_grad": _widened(_sum_pool_grad),
}


# -- what oneDNN and Eigen compute ---------------------------------------------------------------------------


def _is_plain(node: Node) -> bool:
    """Convolutions and pools over two axes that TensorFlow has kernels for: no groups, no dilation."""
    operand, params = node.inputs[0], node.params
    if operand.dtype != "float32" or len(params["strides"]) != 2 or 0 in operand.shape:
        return False
    if "window" in params:
        return not any(map(any, params["padding"]))
    return params["groups"] == 1 and set(params["dilation"]) == {1}


def _pool_options(window: Any) -> dict[str, Any]:
    return {"ksize": [1, *window["window"], 1], "strides": [1, *window["strides"], 1], "padding": "VALID"}


def _fast_max_pool_scatter(x: Tensor, dy: Tensor, **window: Any) -> Tensor:
    options = _pool_options(window)
    return _raw.MaxPoolGrad(orig_input=x, orig_output=_raw.MaxPool(input=x, **options), grad=dy, **options)


def _fast_sum_pool(x: Tensor, **window: Any) -> Tensor:
    return _raw.AvgPool(value=x, **_pool_options(window)) * float(math.prod(window["window"]))


def _fast_sum_pool_grad(dy: Tensor, *, input_shape: Any, **window: Any) -> Tensor:
    scaled = dy * float(math.prod(window["window"]))
    return _raw.AvgPoolGrad(
        orig_input_shape=tf.constant(input_shape, tf.int32), grad=scaled, **_pool_options(window)
    )


_HOST: Table = {
    "conv": _conv,
    "conv_input_grad": _conv_input_grad,
    "conv_kernel_grad": _conv_kernel_grad,
    "max_pool": lambda x, **window: _raw.MaxPool(input=x, **_pool_options(window)),
    "max_pool_scatter": _fast_max_pool_scatter,
    "sum_pool": _fast_sum_pool,
    "sum_pool_grad": _fast_sum_pool_grad,
}


# -- linear algebra ------------------------------------------------------------------------------------------


def _triangular_solve(a: Tensor, b: Tensor, *, lower: bool, transpose: bool, unit_diagonal: bool) -> Tensor:
    if unit_diagonal:
        a = tf.linalg.set_diag(a, tf.ones(a.shape[:-1], a.dtype))
    return tf.linalg.triangular_solve(a, b, lower=lower, adjoint=transpose)


def _lu(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Gaussian elimination, a column a turn: TensorFlow's own wants square matrices that have an inverse."""
    *batch, m, n = x.shape
    if not x.shape.num_elements():
        none = tf.zeros([*batch, min(m, n)], tf.int32)
        return x, none, tf.broadcast_to(tf.range(m), [*batch, m])
    rows, columns = tf.range(m), tf.range(n)

    def turn(i: Tensor, x: Tensor, pivots: Tensor, order: Tensor) -> tuple[Tensor, ...]:
        column = tf.gather(x, i, axis=-1)
        p = tf.argmax(tf.where(rows < i, tf.constant(-1, x.dtype), tf.abs(column)), -1, tf.int32)
        here, there = rows == i, rows == p[..., None]
        swapped = tf.where(here, p[..., None], tf.where(there, i, rows))
        x = tf.gather(x, swapped, axis=-2, batch_dims=len(batch))
        order = tf.gather(order, swapped, axis=-1, batch_dims=len(batch))
        column, row = tf.gather(x, i, axis=-1), tf.gather(x, i, axis=-2)
        pivot = tf.gather(column, i, axis=-1)[..., None]
        below = (rows > i) & (pivot != 0)
        factors = tf.where(below, column / tf.where(pivot == 0, tf.ones_like(pivot), pivot), _zero(column))
        rest = tf.where(columns > i, row, _zero(row))
        x = x - factors[..., :, None] * rest[..., None, :]
        x = tf.where((columns == i) & below[..., :, None], factors[..., :, None], x)
        return i + 1, x, tf.where(tf.range(min(m, n)) == i, p[..., None], pivots), order

    start = (
        tf.constant(0), x, tf.zeros([*batch, min(m, n)], tf.int32), tf.broadcast_to(rows, [*batch, m])
    )  # fmt: skip
    _, packed, pivots, order = tf.while_loop(
        lambda i, *_: i < min(m, n), turn, start, maximum_iterations=min(m, n)
    )
    return packed, pivots, order


def _svd(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    s, u, v = tf.linalg.svd(x)
    return u, s, tf.linalg.matrix_transpose(v)


def _walked_tuple(fn: Callable[..., Any]) -> Callable[..., tuple[Tensor, ...]]:
    return lambda x: tuple(fn(x))


_DECOMPOSITIONS: Table = {
    "qr": _walked_tuple(tf.linalg.qr),
    "svd": _svd,
    "eigh": _walked_tuple(tf.linalg.eigh),
}
_LINALG: Table = {
    "cholesky": tf.linalg.cholesky, "triangular_solve": _triangular_solve, "lu": _lu, **_DECOMPOSITIONS
}  # fmt: skip


# -- random bits, control flow -------------------------------------------------------------------------------


def _random_bits(key: Tensor, *, shape: tuple[int, ...]) -> Tensor:
    """Threefry-2x32 with 20 rounds; see `primitives/random.py`."""
    size = math.prod(shape)
    block = tf.range((size + 1) // 2, dtype=tf.int64)
    xor, left, right = tf.bitwise.bitwise_xor, tf.bitwise.left_shift, tf.bitwise.right_shift

    def word(value: int) -> Tensor:
        return tf.constant(value, tf.uint32)

    keys = (key[0], key[1], xor(xor(key[0], key[1]), word(0x1BD11BDA)))
    x = tf.cast(right(block, tf.constant(32, tf.int64)), tf.uint32) + keys[0]
    y = tf.cast(block, tf.uint32) + keys[1]
    for injection in range(1, 6):
        for distance in ((17, 29, 16, 24), (13, 15, 26, 6))[injection % 2]:
            x = x + y
            y = xor(tf.bitwise.bitwise_or(left(y, word(distance)), right(y, word(32 - distance))), x)
        x = x + keys[injection % 3]
        y = y + keys[(injection + 1) % 3] + word(injection)
    return tf.reshape(tf.reshape(tf.stack([x, y], -1), [-1])[:size], shape)


_PLUMBING: Table = {
    "random_bits": _random_bits,
    "project": lambda values, *, index: values[index],
    "stop_gradient": lambda x: x,
    "optimization_barrier": lambda *values: values,
}


def _control(walk: Callable[[Graph, Sequence[Tensor]], list[Tensor]]) -> Table:
    """Control flow by TensorFlow's own; `walk` evaluates a body."""

    def cond(pred: Tensor, *operands: Tensor, true_graph: Graph, false_graph: Graph) -> tuple[Tensor, ...]:
        def branch(graph: Graph) -> Callable[[], tuple[Tensor, ...]]:
            return lambda: tuple(map(tf.identity, walk(graph, operands)))

        return tuple(tf.cond(pred, branch(true_graph), branch(false_graph)))

    def while_loop(*values: Tensor, cond_graph: Graph, body_graph: Graph) -> tuple[Tensor, ...]:
        count = len(body_graph.outputs)
        fixed = values[count:]
        return tuple(
            tf.while_loop(
                lambda *carry: walk(cond_graph, (*carry, *fixed))[0],
                lambda *carry: tuple(walk(body_graph, (*carry, *fixed))),
                values[:count],
            )
        )

    def scan(
        *values: Tensor, body: Graph, length: int, carries: int, sequences: int, reverse: bool
    ) -> tuple[Tensor, ...]:
        steps, fixed = values[carries : carries + sequences], values[carries + sequences :]
        rows = (*body.outputs[carries:], *body.outputs[:carries])
        kept = [tf.TensorArray(numpy_dtype(row.dtype), length, element_shape=row.shape) for row in rows]

        def step(count: Tensor, carry: Sequence[Tensor], kept: Sequence[Any]) -> tuple[Any, Any, Any]:
            at = length - 1 - count if reverse else count
            results = walk(body, (*carry, *(tf.gather(x, at) for x in steps), *fixed))
            rows = (*results[carries:], *carry)
            written = [array.write(at, row) for array, row in zip(kept, rows, strict=True)]
            return count + 1, list(results[:carries]), written

        start = (tf.constant(0), list(values[:carries]), kept)
        _, carry, stacked = tf.while_loop(
            lambda count, *_: count < length, step, start, maximum_iterations=length
        )
        return (*carry, *(array.stack() for array in stacked))

    return {"cond": cond, "while_loop": while_loop, "scan": scan}


TABLE: Table = {
    **_UNARY, **_BINARY, **_SHAPE, **_REDUCE, **_INDEX, **_CONTRACT, **_LINALG, **_PLUMBING
}  # fmt: skip
