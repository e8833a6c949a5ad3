"""The JAX engine: XLA compiles whole graphs, for CPUs, GPUs and TPUs.

`set_engine("jax")` takes JAX's default device, `"jax:cpu"`, `"jax:gpu"`, `"jax:tpu:1"` a particular one.
Buffers are `jax.Array`s. JAX's own settings (matmul precision, platforms, caches) apply; 64-bit dtypes are
switched on for our calls alone. Several devices, of one process or many, are in `jax_mesh.py`.
"""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from hornbeam.engines.base import BindingExecutable, Buffer, Executable, MeshEngine, exit_on_uncaught_error
from hornbeam.engines.host import HostCalls
from hornbeam.engines.mesh import Job, Mesh, job_from_environment
from hornbeam.engines.table import Table, TableEngine, missing_package, require_version
from hornbeam.ir.graph import Graph
from hornbeam.ir.types import numpy_dtype

try:
    import jax
    import jax.numpy as jnp
    from jax import lax
    from jax.experimental import multihost_utils
except ImportError as error:
    raise missing_package("jax", "JAX", error) from error
require_version("jax", "JAX", jax.__version__, "0.8")

from hornbeam.engines.jax.host import JaxHost  # noqa: E402
from hornbeam.engines.jax.recurrent import RECURRENT  # noqa: E402

Array = Any
_HALVES = (jnp.float16, jnp.bfloat16)


class JaxExecutable(BindingExecutable):
    """A graph as one XLA program for every set of donated inputs (in practice one)."""

    def __init__(self, engine: TableEngine, graph: Graph) -> None:
        self._graph = graph
        self._engine = engine
        self._programs: dict[tuple[int, ...], Callable[..., list[Array]]] = {}

    def _compute(self, *inputs: Array) -> list[Array]:
        return self._engine.evaluate(self._graph, inputs)

    def run(self, inputs: Sequence[Buffer], donate: Sequence[bool] | None = None) -> list[Buffer]:
        """See `Executable.run`. A buffer that is given twice is not donated."""
        wanted = donated(inputs, donate)
        program = self._programs.get(wanted)
        if program is None:
            program = self._programs[wanted] = jax.jit(self._compute, donate_argnums=wanted)
        with jax.enable_x64(True):
            return program(*inputs)

    @functools.cached_property
    def _step(self) -> Callable[..., tuple[list[Array], list[Array]]]:
        def step(state: list[Array], data: list[Array], rows: Array) -> tuple[list[Array], list[Array]]:
            outputs = self._compute(*state, *(x[rows] for x in data))
            return outputs[: len(state)], outputs[len(state) :]

        return jax.jit(step, donate_argnums=0)

    def run_steps(
        self, state: Sequence[Buffer], data: Sequence[Buffer], indices: np.ndarray
    ) -> tuple[list[Buffer], list[Buffer]]:
        """See `Executable.run_steps`. JAX queues the steps."""
        with jax.enable_x64(True):
            current, logs = list(state), []
            for rows in indices:
                current, log = self._step(current, list(data), rows)
                logs.append(log)
            return current, [jnp.stack(column) for column in zip(*logs, strict=True)]


def donated(inputs: Sequence[Buffer], donate: Sequence[bool] | None) -> tuple[int, ...]:
    """Numbers of the inputs that are given away: marked so, and given once."""
    if not donate:
        return ()
    times = Counter(map(id, inputs))
    return tuple(i for i, yes in enumerate(donate) if yes and times[id(inputs[i])] == 1)


class JaxEngine(TableEngine):
    """Runs graphs by `jax.jit` on one device. Raises RuntimeError for a device that JAX does not see."""

    library = "jax"
    host = JaxHost()

    def __init__(self, device: str | None = None) -> None:
        super().__init__()
        self._asked = device or ""
        self.name = f"jax:{device}" if device else "jax"
        self.table = {**TABLE, **control(self.evaluate), "host_call": HostCalls()}
        self._on: dict[Mesh, MeshEngine] = {}
        if device:
            job = job_from_environment()
            if job is not None:  # asking JAX for devices settles who takes part
                self.join(job)
            _ = self.device  # an error now, if it is not there

    @functools.cached_property
    def device(self) -> Any:
        """The device of this process that computes. Asked for late: a job can be joined until then."""
        platform, _, index = self._asked.partition(":")
        devices = jax.local_devices(backend=platform or None)
        if int(index or 0) >= len(devices):
            raise RuntimeError(f"JAX sees {len(devices)} devices of {platform}, there is no {self._asked}")
        return devices[int(index or 0)]

    @property
    def process(self) -> tuple[int, int]:
        """See `Engine.process`."""
        return (jax.process_index(), jax.process_count()) if jax.distributed.is_initialized() else (0, 1)

    def devices(self, kind: str | None = None) -> list[str]:
        """See `Engine.devices`: "platform:id" in JAX's order."""
        return [f"{device.platform}:{device.id}" for device in jax.devices(kind)]

    def join(self, job: Job) -> None:
        """See `Engine.join`. On CPUs processes talk by gloo; on GPUs each takes that of its local number."""
        if jax.distributed.is_initialized():
            if None not in (job.index, job.count) and self.process != (job.index, job.count):
                raise RuntimeError(
                    f"this process is number {self.process[0]} of {self.process[1]} already, it cannot "
                    f"become number {job.index} of {job.count}"
                )
            return
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        try:
            jax.distributed.initialize(job.address, job.count, job.index, job.local)
        except ValueError:
            if job.address is None:  # no job was found
                return
            raise
        except RuntimeError as error:
            if "before" not in str(error):
                raise
            raise RuntimeError(
                "it is too late to join a job: JAX has been computing already. Call "
                "distribution.initialize() before anything else, variables and models included"
            ) from error
        exit_on_uncaught_error()

    def exchange(self, array: np.ndarray) -> np.ndarray:
        """See `Engine.exchange`."""
        if self.process[1] == 1:
            return array[None]
        with jax.enable_x64(True):
            return np.asarray(multihost_utils.process_allgather(array))

    def on_mesh(self, mesh: Mesh) -> MeshEngine:
        """See `Engine.on_mesh`."""
        if mesh not in self._on:
            from hornbeam.engines.jax.mesh import JaxMeshEngine

            self._on[mesh] = JaxMeshEngine(self, mesh)
        return self._on[mesh]

    def compile(self, graph: Graph) -> Executable:
        self.check(graph)
        return JaxExecutable(self, graph)

    def put(self, array: np.ndarray) -> Buffer:
        with jax.enable_x64(True):
            return jax.device_put(np.ascontiguousarray(array).reshape(array.shape), self.device)

    def borrow(self, x: Any) -> Buffer:
        """See `Engine.borrow`."""
        with jax.enable_x64(True):
            return jax.device_put(jnp.from_dlpack(x), self.device)

    def get(self, buffer: Buffer) -> np.ndarray:
        array = np.asarray(buffer)
        array.flags.writeable = False
        return array

    def has_native_arithmetic(self, dtype: str) -> bool:
        """See `Engine.has_native_arithmetic`: XLA computes 16-bit floats in float32 on CPUs."""
        return dtype in ("float32", "float64") or self.device.platform != "cpu"


# -- elementwise ---------------------------------------------------------------------------------------------


def _is_float(x: Array) -> bool:
    return jnp.issubdtype(x.dtype, jnp.floating)


def _wide(x: Array) -> Array:
    """16-bit floats in float32, for what is to be rounded once."""
    return x.astype(jnp.float32) if x.dtype in _HALVES else x


def _widened(fn: Callable[..., Array]) -> Callable[..., Array]:
    """`fn` of 16-bit floats in float32, its result rounded once."""

    def widened(x: Array, *rest: Array, **params: Any) -> Array:
        return fn(_wide(x), *map(_wide, rest), **params).astype(x.dtype)

    return widened


def _divide(x: Array, y: Array) -> Array:
    if _is_float(x):
        return x / y
    return jnp.where(y == 0, 0, lax.div(x, jnp.where(y == 0, 1, y).astype(y.dtype))).astype(x.dtype)


def _remainder(x: Array, y: Array) -> Array:
    if _is_float(x):
        return lax.rem(x, y)
    return jnp.where(y == 0, 0, lax.rem(x, jnp.where(y == 0, 1, y).astype(y.dtype))).astype(x.dtype)


def _power(x: Array, y: Array) -> Array:
    if _is_float(x):
        return lax.pow(x, y)
    result, base, rest = jnp.ones_like(x), x, y
    for _ in range(8 * x.dtype.itemsize):
        result = jnp.where(rest & 1 != 0, result * base, result)
        base, rest = base * base, rest >> 1
    if jnp.issubdtype(x.dtype, jnp.unsignedinteger):
        return result
    reciprocal = jnp.where(x == 1, 1, jnp.where(x == -1, jnp.where(y & 1 != 0, x, 1), 0)).astype(x.dtype)
    return jnp.where(y < 0, reciprocal, result)


def _digamma(x: Array) -> Array:
    """JAX has NaN at zeros, where the limit has the other sign."""
    return jnp.where(x == 0, -jnp.copysign(jnp.inf, x), lax.digamma(x)).astype(x.dtype)


def _shift_right(x: Array, y: Array) -> Array:
    signed = jnp.issubdtype(x.dtype, jnp.signedinteger)
    return (lax.shift_right_arithmetic if signed else lax.shift_right_logical)(x, y)


def _convert(x: Array, *, dtype: str) -> Array:
    target = numpy_dtype(dtype)
    if dtype == "bool":
        return x != 0
    if not _is_float(x) or not np.issubdtype(target, np.integer):
        return x.astype(target)
    limits = np.iinfo(target)
    whole = jnp.trunc(x.astype(jnp.float64))
    inside = (whole > float(limits.min)) & (whole < float(limits.max))
    clipped = jnp.where(whole >= float(limits.max), target.type(limits.max), target.type(limits.min))
    clipped = jnp.where(jnp.isnan(whole), target.type(0), clipped)
    return jnp.where(inside, jnp.where(inside, whole, 0).astype(target), clipped)


_UNARY: Table = {
    "neg": jnp.negative, "sign": jnp.sign, "abs": jnp.abs, "floor": jnp.floor, "ceil": jnp.ceil,
    "round": jnp.rint, "exp": jnp.exp, "expm1": jnp.expm1, "log": jnp.log, "log1p": jnp.log1p,
    "sqrt": jnp.sqrt, "rsqrt": lax.rsqrt, "logistic": jax.nn.sigmoid, "sin": jnp.sin, "cos": jnp.cos,
    "tan": _widened(jnp.tan), "asin": _widened(jnp.arcsin), "acos": _widened(jnp.arccos),
    "atan": _widened(jnp.arctan), "sinh": _widened(jnp.sinh), "cosh": _widened(jnp.cosh), "tanh": jnp.tanh,
    "asinh": _widened(jnp.arcsinh), "acosh": _widened(jnp.arccosh), "atanh": _widened(jnp.arctanh),
    "erf": lax.erf, "erf_inv": lax.erf_inv, "lgamma": lax.lgamma, "digamma": _digamma,
    "logical_not": jnp.invert, "is_finite": jnp.isfinite,
    "relu": lambda x, **_: jax.nn.relu(x),
}  # fmt: skip
_BINARY: Table = {
    "add": lax.add, "sub": lax.sub, "mul": lax.mul, "div": _divide, "rem": _remainder, "pow": _power,
    "atan2": lax.atan2, "max": lax.max, "min": lax.min, "and": lax.bitwise_and, "or": lax.bitwise_or,
    "xor": lax.bitwise_xor, "shift_left": lax.shift_left, "shift_right": _shift_right, "eq": lax.eq,
    "ne": lax.ne, "lt": lax.lt, "le": lax.le, "gt": lax.gt, "ge": lax.ge,
}  # fmt: skip


# -- shape ---------------------------------------------------------------------------------------------------


def _constant(*, data: bytes, shape: tuple[int, ...], dtype: str) -> Array:
    return jnp.asarray(np.frombuffer(data, numpy_dtype(dtype)).reshape(shape))


def _broadcast(x: Array, *, shape: tuple[int, ...], dims: tuple[int, ...]) -> Array:
    return lax.broadcast_in_dim(x, shape, dims)


def _pad(x: Array, value: Array, *, low: Any, high: Any, interior: Any) -> Array:
    return lax.pad(x, value, list(zip(low, high, interior, strict=True)))


_SHAPE: Table = {
    "constant": _constant,
    "reshape": lambda x, *, shape: lax.reshape(x, shape),
    "transpose": lambda x, *, perm: lax.transpose(x, perm),
    "broadcast": _broadcast,
    "pad": _pad,
    "slice": lambda x, *, start, stop, step: lax.slice(x, start, stop, step),
    "concatenate": lambda *xs, axis: lax.concatenate(xs, axis),
    "reverse": lambda x, *, axes: lax.rev(x, axes),
    "iota": lambda *, dtype, shape, axis: lax.broadcasted_iota(numpy_dtype(dtype), shape, axis),
    "dynamic_slice": lambda x, *starts, sizes: lax.dynamic_slice(x, _starts(starts), sizes),
    "dynamic_update_slice": lambda x, update, *starts: lax.dynamic_update_slice(x, update, _starts(starts)),
    "select": lambda condition, x, y: lax.select(condition, x, y),
    "convert": _convert,
    "bitcast": lambda x, *, dtype: lax.bitcast_convert_type(x, numpy_dtype(dtype)),
}


def _small(x: Array) -> Array:
    """Integers as int64; those that do not fit (large uint64) as a large number."""
    limit = min(np.iinfo(np.int32).max, int(jnp.iinfo(x.dtype).max))
    return jnp.minimum(x, np.asarray(limit, x.dtype)).astype(jnp.int64)


def _starts(starts: Sequence[Array]) -> list[Array]:
    """Starts at 0 or above: JAX would count negative ones from the end."""
    return [jnp.clip(_small(start), 0) for start in starts]


# -- reductions ----------------------------------------------------------------------------------------------


def _lowest(dtype: Any) -> Any:
    return dtype.type(-np.inf if jnp.issubdtype(dtype, jnp.floating) else jnp.iinfo(dtype).min)


def _highest(dtype: Any) -> Any:
    return dtype.type(np.inf if jnp.issubdtype(dtype, jnp.floating) else jnp.iinfo(dtype).max)


def _cumulative(fn: Callable[..., Array]) -> Callable[..., Array]:
    return _widened(lambda x, *, axis, reverse: fn(x, axis=axis, reverse=reverse))


_REDUCE: Table = {
    "reduce_sum": _widened(lambda x, *, axes: jnp.sum(x, axes, dtype=x.dtype)),
    "reduce_prod": _widened(lambda x, *, axes: jnp.prod(x, axes, dtype=x.dtype)),
    "reduce_max": lambda x, *, axes: jnp.max(x, axes, initial=_lowest(x.dtype)),
    "reduce_min": lambda x, *, axes: jnp.min(x, axes, initial=_highest(x.dtype)),
    "reduce_and": lambda x, *, axes: jnp.all(x, axes),
    "reduce_or": lambda x, *, axes: jnp.any(x, axes),
    "argmax": lambda x, *, axis: lax.argmax(x, axis, jnp.int32),
    "argmin": lambda x, *, axis: lax.argmin(x, axis, jnp.int32),
    "cumsum": _cumulative(lax.cumsum),
    "cumprod": _cumulative(lax.cumprod),
    "cummax": _cumulative(lax.cummax),
    "cummin": _cumulative(lax.cummin),
    "argsort": lambda x, *, axis: jnp.argsort(x, axis, stable=True).astype(jnp.int32),
}


# -- gather, scatter -----------------------------------------------------------------------------------------


def _addresses(shape: tuple[int, ...], indices: Array, batch_dims: int) -> tuple[Array, ...]:
    """Index arrays of the leading axes, clamped, one entry per row of `indices`."""
    grid = indices.shape[:-1]
    batch = [lax.broadcasted_iota(jnp.int64, grid, axis) for axis in range(batch_dims)]
    sizes = shape[batch_dims : batch_dims + indices.shape[-1]]
    small = _small(indices)
    return (*batch, *(jnp.clip(small[..., i], 0, max(size - 1, 0)) for i, size in enumerate(sizes)))


def _gather(x: Array, indices: Array, *, batch_dims: int) -> Array:
    addresses = _addresses(x.shape, indices, batch_dims)
    if not addresses:
        return jnp.broadcast_to(x, indices.shape[:-1] + x.shape)
    return x.at[addresses].get(mode="promise_in_bounds")


def _set_last(x: Array, addresses: tuple[Array, ...], updates: Array) -> Array:
    """Later rows win, whatever order the device writes in: each place takes the row of the largest number."""
    rows = addresses[0].shape
    numbers = jnp.arange(math.prod(rows), dtype=jnp.int32).reshape(rows)
    winner = jnp.full(x.shape[: len(addresses)], -1, jnp.int32).at[addresses].max(numbers)
    flat = updates.reshape(math.prod(rows), *x.shape[len(addresses) :])
    if not flat.shape[0]:
        return x
    taken = flat[jnp.maximum(winner, 0)]
    return jnp.where((winner >= 0).reshape(winner.shape + (1,) * (x.ndim - winner.ndim)), taken, x)


def _scatter(x: Array, indices: Array, updates: Array, *, mode: str, batch_dims: int) -> Array:
    addresses = _addresses(x.shape, indices, batch_dims)
    if not addresses:  # every row addresses all of x
        x, indices, updates = x[None], jnp.zeros((*indices.shape[:-1], 1), jnp.int32), updates
        return _scatter(x, indices, updates, mode=mode, batch_dims=0)[0]
    if mode == "set":
        return _set_last(x, addresses, updates)
    if x.dtype == jnp.bool_:
        x, updates = x.astype(jnp.uint8), updates.astype(jnp.uint8)
        pick = {"add": "max", "max": "max", "mul": "min", "min": "min"}[mode]
        return getattr(x.at[addresses], pick)(updates) != 0
    name = {"add": "add", "mul": "multiply", "max": "max", "min": "min"}[mode]
    wide = getattr(_wide(x).at[addresses], name)(_wide(updates), mode="promise_in_bounds")
    return wide.astype(x.dtype)


# -- products, convolutions, pools ---------------------------------------------------------------------------


def _dot(x: Array, y: Array, *, contract: Any, batch: Any) -> Array:
    wide = jnp.float32 if x.dtype in _HALVES else x.dtype
    return lax.dot_general(x, y, (contract, batch), preferred_element_type=wide).astype(x.dtype)


def _conv(x: Array, w: Array, *, strides: Any, padding: Any, dilation: Any, groups: int) -> Array:
    space = "DHW"[3 - len(strides) :]
    return lax.conv_general_dilated(
        x, w, strides, padding, rhs_dilation=dilation, feature_group_count=groups,
        dimension_numbers=(f"N{space}C", f"{space}IO", f"N{space}C"),
    )  # fmt: skip


def _like(shape: tuple[int, ...], x: Array) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, x.dtype)


def _conv_input_grad(dy: Array, w: Array, *, input_shape: Any, **window: Any) -> Array:
    return jax.linear_transpose(lambda x: _conv(x, w, **window), _like(input_shape, dy))(dy)[0]


def _conv_kernel_grad(x: Array, dy: Array, *, kernel_shape: Any, **window: Any) -> Array:
    return jax.linear_transpose(lambda w: _conv(x, w, **window), _like(kernel_shape, dy))(dy)[0]


def _around(window: Any) -> dict[str, Any]:
    """The window over all of (N, *S, C)."""
    return {
        "window_dimensions": (1, *window["window"], 1),
        "window_strides": (1, *window["strides"], 1),
        "padding": ((0, 0), *window["padding"], (0, 0)),
    }


def _max_pool(x: Array, **window: Any) -> Array:
    return lax.reduce_window(x, _lowest(x.dtype), lax.max, **_around(window))


def _sum_pool(x: Array, **window: Any) -> Array:
    return lax.reduce_window(x, x.dtype.type(0), lax.add, **_around(window))


def _sum_pool_grad(dy: Array, *, input_shape: Any, **window: Any) -> Array:
    return jax.linear_transpose(lambda x: _sum_pool(x, **window), _like(input_shape, dy))(dy)[0]


def _chosen(x: Array, window: Any) -> Array:
    """For every window, the row-major place in x's spatial axes of its first largest element (NaN first)."""
    spatial = x.shape[1:-1]
    places = jnp.broadcast_to(
        jnp.arange(math.prod(spatial), dtype=jnp.int32).reshape(1, *spatial, 1), x.shape
    )

    def better(a: tuple[Array, Array], b: tuple[Array, Array]) -> tuple[Array, Array]:
        (x, i), (y, j) = a, b
        first = (i >= 0) & ((j < 0) | (i < j))
        same = (x == y) | (jnp.isnan(x) & jnp.isnan(y))
        larger = (x > y) | (jnp.isnan(x) & ~jnp.isnan(y))
        take = (i >= 0) & ((j < 0) | larger | (same & first))
        return jnp.where(take, x, y), jnp.where(take, i, j)

    start = (jnp.array(-np.inf, x.dtype), jnp.array(-1, jnp.int32))
    return lax.reduce_window((x, places), start, better, **_around(window))[1]


def _max_pool_gather(x: Array, t: Array, **window: Any) -> Array:
    chosen = _chosen(x, window)
    n, *spatial, channels = x.shape
    flat = t.reshape(n, math.prod(spatial), channels)
    picks = chosen.reshape(n, math.prod(chosen.shape[1:-1]), channels)
    taken = jnp.take_along_axis(flat, jnp.maximum(picks, 0), axis=1, mode="promise_in_bounds")
    return jnp.where(picks >= 0, taken, 0).astype(t.dtype).reshape(chosen.shape)


def _max_pool_scatter(x: Array, dy: Array, **window: Any) -> Array:
    return jax.vjp(lambda x: _max_pool(x, **window), x)[1](dy)[0]


_CONTRACT: Table = {
    "dot_general": _dot,
    "conv": _widened(_conv),
    "conv_input_grad": _widened(_conv_input_grad),
    "conv_kernel_grad": _widened(_conv_kernel_grad),
    "max_pool": _max_pool,
    "max_pool_gather": _max_pool_gather,
    "max_pool_scatter": _widened(_max_pool_scatter),
    "sum_pool": _widened(_sum_pool),
    "sum_pool_grad": _widened(_sum_pool_grad),
}


# -- linear algebra ------------------------------------------------------------------------------------------


def _triangular_solve(a: Array, b: Array, *, lower: bool, transpose: bool, unit_diagonal: bool) -> Array:
    return lax.linalg.triangular_solve(
        a, b, left_side=True, lower=lower, transpose_a=transpose, unit_diagonal=unit_diagonal
    )


def _eigh(x: Array) -> tuple[Array, Array]:
    v, w = lax.linalg.eigh(x, lower=True, symmetrize_input=False)
    return w, v


_LINALG: Table = {
    "cholesky": lambda x: lax.linalg.cholesky(x, symmetrize_input=False),
    "triangular_solve": _triangular_solve,
    "lu": lambda x: tuple(lax.linalg.lu(x)),
    "qr": lambda x: tuple(lax.linalg.qr(x, full_matrices=False)),
    "svd": lambda x: tuple(lax.linalg.svd(x, full_matrices=False)),
    "eigh": _eigh,
}


# -- random bits, control flow -------------------------------------------------------------------------------


def _random_bits(key: Array, *, shape: tuple[int, ...]) -> Array:
    """Threefry-2x32 with 20 rounds; see `primitives/random.py`."""
    size = math.prod(shape)
    block = jnp.arange((size + 1) // 2, dtype=jnp.uint64)
    keys = (key[0], key[1], key[0] ^ key[1] ^ np.uint32(0x1BD11BDA))
    x = (block >> 32).astype(jnp.uint32) + keys[0]
    y = block.astype(jnp.uint32) + keys[1]
    for injection in range(1, 6):
        for distance in ((17, 29, 16, 24), (13, 15, 26, 6))[injection % 2]:
            x = x + y
            y = ((y << distance) | (y >> (32 - distance))) ^ x
        x = x + keys[injection % 3]
        y = y + keys[(injection + 1) % 3] + np.uint32(injection)
    return jnp.stack([x, y], axis=-1).reshape(-1)[:size].reshape(shape)


_PLUMBING: Table = {
    "random_bits": _random_bits,
    "project": lambda values, *, index: values[index],
    "stop_gradient": lambda x: x,
    "optimization_barrier": lambda *values: tuple(lax.optimization_barrier(values)),
}


def control(walk: Callable[[Graph, Sequence[Array]], list[Array]]) -> Table:
    """Control flow by XLA's own; `walk` evaluates a body."""

    def cond(pred: Array, *operands: Array, true_graph: Graph, false_graph: Graph) -> tuple[Array, ...]:
        def branch(graph: Graph) -> Callable[..., tuple[Array, ...]]:
            return lambda *args: tuple(walk(graph, args))

        return lax.cond(pred, branch(true_graph), branch(false_graph), *operands)

    def while_loop(*values: Array, cond_graph: Graph, body_graph: Graph) -> tuple[Array, ...]:
        count = len(body_graph.outputs)
        fixed = values[count:]
        return lax.while_loop(
            lambda carry: walk(cond_graph, (*carry, *fixed))[0],
            lambda carry: tuple(walk(body_graph, (*carry, *fixed))),
            values[:count],
        )

    def scan(
        *values: Array, body: Graph, length: int, carries: int, sequences: int, reverse: bool
    ) -> tuple[Array, ...]:
        xs, fixed = values[carries : carries + sequences], values[carries + sequences :]

        def step(carry: tuple[Array, ...], x: tuple[Array, ...]) -> tuple[Any, Any]:
            results = walk(body, (*carry, *x, *fixed))
            return tuple(results[:carries]), (*results[carries:], *carry)

        carry, stacked = lax.scan(step, values[:carries], xs, length=length, reverse=reverse)
        return (*carry, *stacked)

    return {"cond": cond, "while_loop": while_loop, "scan": scan}


_INDEX: Table = {"gather": _gather, "scatter": _scatter}

TABLE: Table = {
    **_UNARY, **_BINARY, **_SHAPE, **_REDUCE, **_INDEX, **_CONTRACT, **_LINALG, **_PLUMBING, **RECURRENT
}  # fmt: skip
