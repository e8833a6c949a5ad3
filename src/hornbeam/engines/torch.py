"""The PyTorch engine: graphs run operation by operation on PyTorch's kernels, on CPUs and GPUs.

`set_engine("torch")` takes a GPU if PyTorch sees one, else the CPU; `"torch:cpu"` and `"torch:cuda:1"` say
which. Buffers are `torch.Tensor`s. PyTorch stores unsigned integers of more than 8 bits but hardly computes
with them: inside of a graph uint16 travels as int32 and uint32 as int64; uint64 is refused.
"""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from hornbeam.engines import get_engine
from hornbeam.engines.base import BindingExecutable, Buffer, Executable, MissingPrimitiveError
from hornbeam.engines.table import Table, TableEngine, missing_package, require_version
from hornbeam.ir.graph import Graph, Node, placeholder
from hornbeam.ir.interpret import where
from hornbeam.ir.primitive import PRIMITIVES
from hornbeam.ir.types import TensorType, numpy_dtype

try:
    import torch
    import torch.nn.functional as F
    from torch.utils.weak import WeakTensorKeyDictionary
except ImportError as error:
    raise missing_package("torch", "PyTorch", error) from error
require_version("torch", "PyTorch", torch.__version__, "2.3")

Tensor = Any
_BFLOAT16 = numpy_dtype("bfloat16")
# What unsigned integers travel as inside of a graph.
_CARRIERS = {"uint16": torch.int32, "uint32": torch.int64}
_CARRIED = {torch.uint16: torch.int32, torch.uint32: torch.int64}


class TorchExecutable(BindingExecutable):
    """A graph that is walked with PyTorch's functions."""

    def __init__(self, engine: TorchEngine, graph: Graph) -> None:
        self._engine = engine
        self._graph = graph
        self._outputs = [_torch_dtype(node.dtype) for node in graph.outputs]

    def run(self, inputs: Sequence[Buffer], donate: Sequence[bool] | None = None) -> list[Buffer]:
        """See `Executable.run`. Nothing is written in place, so donated buffers stay as they are."""
        with torch.no_grad():
            values = self._engine.evaluate(self._graph, [_carried(x) for x in inputs])
            return [x.to(dtype).contiguous() for x, dtype in zip(values, self._outputs, strict=True)]

    def run_steps(
        self, state: Sequence[Buffer], data: Sequence[Buffer], indices: np.ndarray
    ) -> tuple[list[Buffer], list[Buffer]]:
        """See `Executable.run_steps`. Batches are gathered on the device."""
        current, logs = list(state), []
        for rows in torch.from_numpy(np.ascontiguousarray(indices)).to(self._engine.device):
            outputs = self.run([*current, *(x[rows] for x in data)])
            current = outputs[: len(current)]
            logs.append(outputs[len(current) :])
        return current, [torch.stack(column) for column in zip(*logs, strict=True)]


class TorchEngine(TableEngine):
    """Runs graphs with PyTorch on one device. Raises RuntimeError for a device that PyTorch does not see."""

    def __init__(self, device: str | None = None) -> None:
        super().__init__()
        self.name = f"torch:{device}" if device else "torch"
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        torch.empty(0, device=self.device)  # an error now, if it is not there
        self.table = {**TABLE, **_creation(self.device), **_control(self.evaluate)}

    @property
    def threads(self) -> int:
        """How many threads work on one run."""
        return torch.get_num_threads()

    def compile(self, graph: Graph) -> Executable:
        self.check(graph)
        return TorchExecutable(self, graph)

    def check(self, graph: Graph) -> None:
        """As `TableEngine.check`; uint64 is refused too."""
        super().check(graph)
        for node in (*graph.inputs, *graph.nodes):
            types = node.type if isinstance(node.type, tuple) else (node.type,)
            if any(t.dtype == "uint64" for t in types):
                raise MissingPrimitiveError(
                    f"the {self.name} engine does not compute with uint64{where(node)}"
                )

    def lower(self, node: Node) -> Callable[..., Any] | None:
        """The function for a node; results of carried unsigned types wrap as theirs do."""
        fn = super().lower(node)
        if node.name == "select" and self.device.type == "cpu" and _is_zero(node.inputs[2]):
            return _kept
        if fn is None or not isinstance(node.type, TensorType) or node.type.dtype not in _CARRIERS:
            return fn
        if node.name in _WITHIN:
            return fn
        return _wrapping(fn, (1 << 8 * np.dtype(node.type.dtype).itemsize) - 1)

    def put(self, array: np.ndarray) -> Buffer:
        array = np.ascontiguousarray(array).reshape(array.shape)
        bits = array.view(np.int16) if array.dtype == _BFLOAT16 else array
        with warnings.catch_warnings():  # of arrays that may not be written to: nobody does
            warnings.simplefilter("ignore", UserWarning)
            tensor = torch.from_numpy(bits)
        return (tensor.view(torch.bfloat16) if bits is not array else tensor).to(self.device)

    def borrow(self, x: Any) -> Buffer:
        """See `Engine.borrow`."""
        return torch.from_dlpack(x.detach() if isinstance(x, torch.Tensor) else x).to(self.device)

    def get(self, buffer: Buffer) -> np.ndarray:
        tensor = buffer.cpu()
        half = tensor.dtype == torch.bfloat16
        array = (tensor.view(torch.int16) if half else tensor).numpy()
        array = array.view(_BFLOAT16) if half else array.view()
        array.flags.writeable = False
        return array

    def multiplies(self, dtype: str) -> bool:
        """See `Engine.multiplies`: on a CPU only what oneDNN has instructions for."""
        if dtype in ("float32", "float64") or self.device.type != "cpu":
            return True
        return dtype == "bfloat16" and torch.ops.mkldnn._is_mkldnn_bf16_supported()


# What gives no number that its operands' carriers would have to wrap.
_WITHIN = frozenset(
    {"and", "broadcast", "concatenate", "constant", "or", "random_bits", "reshape", "select", "shift_right"}
    | {"slice", "transpose", "xor"}
)


def _torch_dtype(name: str) -> torch.dtype:
    return getattr(torch, name)


def _carried(x: Tensor) -> Tensor:
    carrier = _CARRIED.get(x.dtype)
    return x if carrier is None else x.to(carrier)


@functools.cache
def _wrapping(fn: Callable[..., Tensor], mask: int) -> Callable[..., Tensor]:
    return lambda *args, **params: fn(*args, **params) & mask


# -- elementwise ---------------------------------------------------------------------------------------------


def _widened(fn: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """`fn` of 16-bit floats in float32, its result rounded once."""

    def widened(x: Tensor, *rest: Tensor, **params: Any) -> Tensor:
        if x.dtype not in (torch.float16, torch.bfloat16):
            return fn(x, *rest, **params)
        return fn(x.float(), *(y.float() for y in rest), **params).to(x.dtype)

    return widened


def _minus_one(x: Tensor) -> Tensor:
    return x == -1 if x.dtype.is_signed else torch.zeros_like(x, dtype=torch.bool)


def _safe(y: Tensor) -> Tensor:
    """Integer divisors without 0 and -1: the processor stops at x / 0 and at the lowest integer / -1."""
    return torch.where((y == 0) | _minus_one(y), torch.ones_like(y), y)


def _divide(x: Tensor, y: Tensor) -> Tensor:
    if x.is_floating_point():
        return x / y
    quotient = torch.div(x, _safe(y), rounding_mode="trunc")
    quotient = torch.where(_minus_one(y), torch.zeros_like(x) - x, quotient)
    return torch.where(y == 0, torch.zeros_like(x), quotient)


def _remainder(x: Tensor, y: Tensor) -> Tensor:
    if x.is_floating_point():  # PyTorch's fmod by infinity is NaN
        return torch.where(torch.isinf(y) & torch.isfinite(x), x, torch.fmod(x, y))
    return torch.where((y == 0) | _minus_one(y), torch.zeros_like(x), torch.fmod(x, _safe(y)))


def _power(x: Tensor, y: Tensor) -> Tensor:
    if x.is_floating_point():
        return torch.pow(x, y)
    result, base, rest = torch.ones_like(x), x, y
    for _ in range(8 * x.element_size()):
        result = torch.where(rest & 1 != 0, result * base, result)
        base, rest = base * base, rest >> 1
    one, zero = torch.ones_like(x), torch.zeros_like(x)
    reciprocal = torch.where(x == 1, one, torch.where(_minus_one(x), torch.where(y & 1 != 0, x, one), zero))
    return torch.where(y < 0, reciprocal, result)


def _shift(fn: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """`fn` on amounts within the bit width; beyond (and below 0) all bits are gone and the sign is left."""

    def shifted(x: Tensor, y: Tensor) -> Tensor:
        width = 8 * x.element_size()
        inside = (y >= 0) & (y < width)
        far = fn(fn(x, torch.full_like(x, width - 1)), torch.ones_like(x))
        return torch.where(inside, fn(x, torch.where(inside, y, torch.zeros_like(y))), far)

    return shifted


def _is_zero(node: Node) -> bool:
    """Whether a node is a constant of zero bits."""
    source = node.inputs[0] if node.name == "broadcast" else node
    return source.name == "constant" and not any(source.params["data"])


_SAME_SIZE = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def _kept(condition: Tensor, x: Tensor, zero: Tensor) -> Tensor:
    """x where the condition holds, else 0, by its bits: on CPUs `torch.where` takes several times as long."""
    bits = _SAME_SIZE[x.element_size()]
    if x.dtype == torch.bool:
        return condition & x
    return condition.to(bits).neg_().bitwise_and_(x.view(bits)).view(x.dtype)


def _sign(x: Tensor) -> Tensor:
    return torch.where(torch.isnan(x), x, torch.sign(x)) if x.is_floating_point() else torch.sign(x)


def _convert(x: Tensor, *, dtype: str) -> Tensor:
    if dtype == "bool":
        return x != 0
    target = _CARRIERS.get(dtype) or _torch_dtype(dtype)
    if not x.is_floating_point() or target.is_floating_point:
        return x.to(target)
    limits = np.iinfo(dtype)
    whole = torch.trunc(x.double())
    inside = (whole > float(limits.min)) & (whole < float(limits.max))
    low, high, zero = (torch.tensor(v, dtype=target, device=x.device) for v in (limits.min, limits.max, 0))
    clipped = torch.where(whole >= float(limits.max), high, low)
    clipped = torch.where(torch.isnan(whole), zero, clipped)
    return torch.where(inside, torch.where(inside, whole, 0.0).to(target), clipped)


def _bitcast(x: Tensor, *, dtype: str) -> Tensor:
    size = np.dtype(numpy_dtype(dtype)).itemsize
    if x.element_size() != size:  # a carried unsigned integer
        x = x.to({2: torch.int16, 4: torch.int32}[size])
    if dtype not in _CARRIERS:
        return x.view(_torch_dtype(dtype))
    return x.view({2: torch.int16, 4: torch.int32}[size]).to(_CARRIERS[dtype])


_UNARY: Table = {
    "neg": torch.neg, "sign": _sign, "abs": torch.abs, "floor": torch.floor, "ceil": torch.ceil,
    "round": torch.round, "exp": torch.exp, "expm1": torch.expm1, "log": torch.log, "log1p": torch.log1p,
    "sqrt": torch.sqrt, "rsqrt": torch.rsqrt, "logistic": torch.sigmoid, "sin": torch.sin, "cos": torch.cos,
    "tan": torch.tan, "asin": torch.asin, "acos": torch.acos, "atan": torch.atan, "sinh": torch.sinh,
    "cosh": torch.cosh, "tanh": torch.tanh, "asinh": torch.asinh, "acosh": torch.acosh, "atanh": torch.atanh,
    "erf": torch.erf, "erf_inv": torch.erfinv, "lgamma": torch.lgamma, "digamma": torch.digamma,
    "logical_not": torch.bitwise_not, "is_finite": torch.isfinite, "relu": lambda x, **_: torch.relu(x),
}  # fmt: skip
_BINARY: Table = {
    "add": torch.add, "sub": torch.sub, "mul": torch.mul, "div": _divide, "rem": _remainder, "pow": _power,
    "atan2": torch.atan2, "max": torch.maximum, "min": torch.minimum, "and": torch.bitwise_and,
    "or": torch.bitwise_or, "xor": torch.bitwise_xor, "shift_left": _shift(torch.bitwise_left_shift),
    "shift_right": _shift(torch.bitwise_right_shift), "eq": torch.eq, "ne": torch.ne, "lt": torch.lt,
    "le": torch.le, "gt": torch.gt, "ge": torch.ge,
}  # fmt: skip


# -- shape ---------------------------------------------------------------------------------------------------


def _creation(device: torch.device) -> Table:
    """What makes values of nothing, on a device."""

    @functools.lru_cache(maxsize=4096)
    def constant(*, data: bytes, shape: tuple[int, ...], dtype: str) -> Tensor:
        array = np.frombuffer(data, numpy_dtype(dtype)).reshape(shape)
        bits = torch.from_numpy((array.view(np.int16) if dtype == "bfloat16" else array).copy())
        return _carried(bits.view(torch.bfloat16) if dtype == "bfloat16" else bits).to(device)

    def iota(*, dtype: str, shape: tuple[int, ...], axis: int) -> Tensor:
        kind = _CARRIERS.get(dtype) or _torch_dtype(dtype)
        steps = torch.arange(shape[axis], device=device).to(kind)
        return steps.reshape([-1 if a == axis else 1 for a in range(len(shape))]).expand(shape)

    return {"constant": constant, "iota": iota}


def _broadcast(x: Tensor, *, shape: tuple[int, ...], dims: tuple[int, ...]) -> Tensor:
    sizes = [1] * len(shape)
    for size, axis in zip(x.shape, dims, strict=True):
        sizes[axis] = size
    return x.reshape(sizes).expand(shape)


def _pad(x: Tensor, value: Tensor, *, low: Any, high: Any, interior: Any) -> Tensor:
    if any(interior):
        sizes = [n + max(n - 1, 0) * i for n, i in zip(x.shape, interior, strict=True)]
        spread = value.expand(sizes).clone()
        spread[tuple(slice(None, None, i + 1) for i in interior)] = x
        x = spread
    sizes = [n + max(a, 0) + max(b, 0) for n, a, b in zip(x.shape, low, high, strict=True)]
    if sizes != list(x.shape):
        grown = value.expand(sizes).clone()
        grown[tuple(slice(max(a, 0), max(a, 0) + n) for n, a in zip(x.shape, low, strict=True))] = x
        x = grown
    return x[tuple(slice(max(-a, 0), n + min(b, 0)) for n, a, b in zip(x.shape, low, high, strict=True))]


def _begin(x: Tensor, starts: Sequence[Tensor], sizes: Sequence[int]) -> tuple[slice, ...]:
    places = (
        min(max(int(start), 0), n - size) for start, n, size in zip(starts, x.shape, sizes, strict=True)
    )
    return tuple(slice(at, at + size) for at, size in zip(places, sizes, strict=True))


def _update(x: Tensor, update: Tensor, *starts: Tensor) -> Tensor:
    out = x.clone()
    out[_begin(x, starts, update.shape)] = update
    return out


_SHAPE: Table = {
    "reshape": lambda x, *, shape: x.reshape(shape),
    "transpose": lambda x, *, perm: x.permute(perm),
    "broadcast": _broadcast,
    "pad": _pad,
    "slice": lambda x, *, start, stop, step: x[tuple(map(slice, start, stop, step))],
    "concatenate": lambda *xs, axis: torch.cat(xs, axis),
    "reverse": lambda x, *, axes: torch.flip(x, axes),
    "dynamic_slice": lambda x, *starts, sizes: x[_begin(x, starts, sizes)],
    "dynamic_update_slice": _update,
    "select": torch.where,
    "convert": _convert,
    "bitcast": _bitcast,
}


# -- reductions ----------------------------------------------------------------------------------------------


def _over(fn: Callable[..., Tensor], neutral: Callable[[torch.dtype], Any]) -> Callable[..., Tensor]:
    """A reduction over `axes` (PyTorch takes no axes for all axes); of nothing it is `neutral`."""

    def reduction(x: Tensor, *, axes: tuple[int, ...]) -> Tensor:
        if not axes:
            return x
        if not x.numel():
            kept = [size for axis, size in enumerate(x.shape) if axis not in axes]
            return torch.full(kept, neutral(x.dtype), dtype=x.dtype, device=x.device)
        return fn(x, axes)

    return reduction


def _lowest(dtype: torch.dtype) -> Any:
    return -math.inf if dtype.is_floating_point else torch.iinfo(dtype).min


def _highest(dtype: torch.dtype) -> Any:
    return math.inf if dtype.is_floating_point else torch.iinfo(dtype).max


def _product(x: Tensor, *, axes: tuple[int, ...]) -> Tensor:
    for axis in reversed(axes):
        x = torch.prod(x, axis, dtype=x.dtype)
    return x


def _cumulative(fn: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def cumulative(x: Tensor, *, axis: int, reverse: bool) -> Tensor:
        if not x.numel():
            return x
        out = fn(x.flip(axis) if reverse else x, axis)
        return out.flip(axis) if reverse else out

    return _widened(cumulative)


_REDUCE: Table = {
    "reduce_sum": _widened(_over(lambda x, axes: torch.sum(x, axes, dtype=x.dtype), lambda _: 0)),
    "reduce_prod": _widened(_product),
    "reduce_max": _over(torch.amax, _lowest),
    "reduce_min": _over(torch.amin, _highest),
    "reduce_and": _over(lambda x, axes: torch.all(x, axes), lambda _: True),
    "reduce_or": _over(lambda x, axes: torch.any(x, axes), lambda _: False),
    "argmax": lambda x, *, axis: torch.argmax(x, axis).to(torch.int32),
    "argmin": lambda x, *, axis: torch.argmin(x, axis).to(torch.int32),
    "cumsum": _cumulative(lambda x, axis: torch.cumsum(x, axis, dtype=x.dtype)),
    "cumprod": _cumulative(lambda x, axis: torch.cumprod(x, axis, dtype=x.dtype)),
    "cummax": _cumulative(lambda x, axis: torch.cummax(x, axis).values),
    "cummin": _cumulative(lambda x, axis: torch.cummin(x, axis).values),
    "argsort": lambda x, *, axis: torch.argsort(x, dim=axis, stable=True).to(torch.int32),
}


# -- gather, scatter -----------------------------------------------------------------------------------------


def _rows(shape: Sequence[int], indices: Tensor, batch_dims: int) -> Tensor:
    """Numbers of the addressed rows, of x as (rows, rest), clamped into range; one per row of `indices`."""
    grid, depth = indices.shape[:-1], indices.shape[-1]
    number = torch.zeros(grid, dtype=torch.int64, device=indices.device)
    for axis in range(batch_dims):
        at = torch.arange(grid[axis], device=indices.device)
        number = number * shape[axis] + at.reshape([-1 if a == axis else 1 for a in range(len(grid))])
    for i in range(depth):
        size = shape[batch_dims + i]
        number = number * size + indices[..., i].long().clamp(0, max(size - 1, 0))
    return number.reshape(-1)


def _gather(x: Tensor, indices: Tensor, *, batch_dims: int) -> Tensor:
    depth = batch_dims + indices.shape[-1]
    flat = x.reshape(math.prod(x.shape[:depth]), *x.shape[depth:])
    rows = _rows(x.shape, indices, batch_dims)
    return flat.index_select(0, rows).reshape(*indices.shape[:-1], *x.shape[depth:])


def _combine(x: Tensor, rows: Tensor, updates: Tensor, mode: str) -> Tensor:
    """x (rows, rest) with `updates` (n, rest) combined at `rows` (n)."""
    if mode == "set":  # later rows win, whatever order the device writes in
        numbers = torch.arange(len(rows), device=x.device)
        none = torch.full((len(x),), -1, dtype=torch.int64, device=x.device)
        winner = none.scatter_reduce(0, rows, numbers, "amax")
        return torch.where((winner >= 0)[:, None], updates.index_select(0, winner.clamp(min=0)), x)
    if mode == "add":
        return x.index_add(0, rows, updates)
    how = {"mul": "prod", "max": "amax", "min": "amin"}[mode]
    return x.scatter_reduce(0, rows[:, None].expand(updates.shape), updates, how)


def _scatter(x: Tensor, indices: Tensor, updates: Tensor, *, mode: str, batch_dims: int) -> Tensor:
    depth = batch_dims + indices.shape[-1]
    rows = _rows(x.shape, indices, batch_dims)
    if not rows.numel() or not x.numel():
        return x
    flat = x.reshape(math.prod(x.shape[:depth]), math.prod(x.shape[depth:]))
    parts = updates.reshape(len(rows), flat.shape[1])
    if x.dtype == torch.bool:
        mode = {"add": "max", "mul": "min"}.get(mode, mode)
        return (_combine(flat.to(torch.uint8), rows, parts.to(torch.uint8), mode) != 0).reshape(x.shape)
    return _combine(flat, rows, parts, mode).reshape(x.shape)


def _scatter_rounded(x: Tensor, indices: Tensor, updates: Tensor, **params: Any) -> Tensor:
    if x.dtype not in (torch.float16, torch.bfloat16):
        return _scatter(x, indices, updates, **params)
    return _scatter(x.float(), indices, updates.float(), **params).to(x.dtype)


_INDEX: Table = {"gather": _gather, "scatter": _scatter_rounded}


# -- products, convolutions, pools ---------------------------------------------------------------------------


def _dot(x: Tensor, y: Tensor, *, contract: Any, batch: Any) -> Tensor:
    x_free = [a for a in range(x.dim()) if a not in contract[0] and a not in batch[0]]
    y_free = [a for a in range(y.dim()) if a not in contract[1] and a not in batch[1]]
    batches = [x.shape[a] for a in batch[0]]
    left, right = [x.shape[a] for a in x_free], [y.shape[a] for a in y_free]
    inner = math.prod(x.shape[a] for a in contract[0])
    n = [math.prod(batches)] if batches else []
    rows = x.permute([*batch[0], *x_free, *contract[0]]).reshape([*n, math.prod(left), inner])
    columns = y.permute([*batch[1], *contract[1], *y_free]).reshape([*n, inner, math.prod(right)])
    return torch.matmul(rows, columns).reshape([*batches, *left, *right])


def _first(x: Tensor) -> Tensor:
    """(N, *S, C) as (N, C, *S), on the same memory: PyTorch calls that channels_last."""
    return x.movedim(-1, 1)


def _last(x: Tensor) -> Tensor:
    return x.movedim(1, -1)


def _around(padding: Any) -> list[int]:
    """What F.pad takes, from the last axis to the first."""
    return [amount for pair in reversed(padding) for amount in pair]


def _even(padding: Any) -> bool:
    return all(low == high for low, high in padding)


def _convolved(x: Tensor, padding: Any) -> tuple[Tensor, list[int]]:
    """x, padded where the amounts differ, and the amounts that are left to the convolution."""
    if _even(padding):
        return x, [low for low, _ in padding]
    return F.pad(x, _around(padding)), [0] * len(padding)


def _unfilled(like: Tensor, shape: Any, padding: Any) -> tuple[Tensor, list[int]]:
    """As `_convolved`, of an x of which only shape and layout count."""
    n, *spatial, channels = shape
    if _even(padding):
        return _first(like.new_empty(shape)), [low for low, _ in padding]
    grown = [size + low + high for size, (low, high) in zip(spatial, padding, strict=True)]
    return _first(like.new_empty((n, *grown, channels))), [0] * len(padding)


_CONVOLUTIONS = (F.conv1d, F.conv2d, F.conv3d)


def _kernel(w: Tensor) -> Tensor:
    """(*K, I, O) as (O, I, *K)."""
    return w.permute(w.dim() - 1, w.dim() - 2, *range(w.dim() - 2))


def _conv(x: Tensor, w: Tensor, *, strides: Any, padding: Any, dilation: Any, groups: int) -> Tensor:
    inside, amounts = _convolved(_first(x), padding)
    fn = _CONVOLUTIONS[len(strides) - 1]
    return _last(fn(inside, _kernel(w), None, strides, amounts, dilation, groups))


def _conv_gradients(
    dy: Tensor, x: Tensor, w: Tensor, amounts: Any, wanted: Any, *, strides: Any, dilation: Any, groups: int
) -> tuple[Tensor, Tensor]:
    """PyTorch's own derivatives of a convolution. Of what is not differentiated only the shape counts."""
    dx, dw, _ = torch.ops.aten.convolution_backward(
        _first(dy), x, w, None, strides, amounts, dilation, False, [0] * len(strides), groups, wanted
    )
    return dx, dw


def _conv_input_grad(dy: Tensor, w: Tensor, *, input_shape: Any, padding: Any, **window: Any) -> Tensor:
    x, amounts = _unfilled(dy, input_shape, padding)
    dx, _ = _conv_gradients(dy, x, _kernel(w), amounts, [True, False, False], **window)
    return _last(dx if _even(padding) else _inside(dx, input_shape, padding))


def _conv_kernel_grad(x: Tensor, dy: Tensor, *, kernel_shape: Any, padding: Any, **window: Any) -> Tensor:
    inside, amounts = _convolved(_first(x), padding)
    w = _kernel(x.new_empty(kernel_shape))
    _, dw = _conv_gradients(dy, inside, w, amounts, [False, True, False], **window)
    return dw.permute(*range(2, dw.dim()), 1, 0)


_POOLS = (F.max_pool1d, F.max_pool2d, F.max_pool3d)


# The way back takes the places that the way forward found: x -> (window, what `_pooled` gave).
_known_places: Any = WeakTensorKeyDictionary()


def _pooled(x: Tensor, window: Any) -> tuple[Tensor, Tensor, Tensor]:
    """The padded x as (N, C, *S), its maxima, and their places in its flattened spatial axes."""
    known = _known_places.get(x)
    if known is not None and known[0] == window:
        return _padded(x, window["padding"], -math.inf), *known[1]
    padded = _padded(x, window["padding"], -math.inf)
    fn = _POOLS[len(window["window"]) - 1]
    found = fn(padded, window["window"], window["strides"], return_indices=True)
    _known_places[x] = window, found
    return padded, *found


def _padded(x: Tensor, padding: Any, value: float) -> Tensor:
    """(N, *S, C) as (N, C, *S), padded; F.pad copies also where there is nothing to pad."""
    return F.pad(_first(x), _around(padding), value=value) if any(map(any, padding)) else _first(x)


def _max_pool(x: Tensor, **window: Any) -> Tensor:
    return _last(_pooled(x, window)[1])


def _max_pool_gather(x: Tensor, t: Tensor, **window: Any) -> Tensor:
    _, out, places = _pooled(x, window)
    padded = _padded(t, window["padding"], 0)
    taken = torch.gather(padded.flatten(2), 2, places.flatten(2))
    return _last(taken.reshape(out.shape))


_POOL_GRADIENTS = {
    2: torch.ops.aten.max_pool2d_with_indices_backward,
    3: torch.ops.aten.max_pool3d_with_indices_backward,
}


def _max_pool_scatter(x: Tensor, dy: Tensor, **window: Any) -> Tensor:
    padded, _, places = _pooled(x, window)
    backward = _POOL_GRADIENTS.get(len(window["window"]))
    if backward is not None:
        still = [0] * (x.dim() - 2)
        sizes = window["window"], window["strides"], still, [1] * (x.dim() - 2), False
        return _last(_inside(backward(_first(dy), padded, *sizes, places), x.shape, window["padding"]))
    flat = torch.zeros_like(padded, memory_format=torch.contiguous_format).flatten(2)
    spread = flat.scatter_add(2, places.flatten(2), _first(dy).flatten(2)).reshape(padded.shape)
    return _last(_inside(spread, x.shape, window["padding"]))


def _inside(x: Tensor, shape: Sequence[int], padding: Any) -> Tensor:
    """(N, C, *S) without the padding around `shape`, which is (N, *S, C)."""
    for axis, (size, (low, _)) in enumerate(zip(shape[1:-1], padding, strict=True), start=2):
        x = x.narrow(axis, low, size)
    return x


def _flat_window(window: Any) -> tuple[list[int], list[int]]:
    """Window and strides with at least two axes: PyTorch's sums over one axis always divide."""
    lonely = [1] * (len(window["window"]) == 1)
    return [*window["window"], *lonely], [*window["strides"], *lonely]


def _sum_pool(x: Tensor, **window: Any) -> Tensor:
    padded = _padded(x, window["padding"], 0)
    sizes, strides = _flat_window(window)
    fn = F.avg_pool3d if len(sizes) == 3 else F.avg_pool2d
    if x.dim() == 3:
        return _last(fn(padded[..., None], sizes, strides, divisor_override=1)[..., 0])
    return _last(fn(padded, sizes, strides, divisor_override=1))


def _sum_pool_grad(dy: Tensor, *, input_shape: Any, **window: Any) -> Tensor:
    like = F.pad(_first(dy.new_zeros(()).expand(input_shape)), _around(window["padding"]))
    sizes, strides = _flat_window(window)
    backward = torch.ops.aten.avg_pool3d_backward if len(sizes) == 3 else torch.ops.aten.avg_pool2d_backward
    given = _first(dy)
    lonely = dy.dim() == 3
    if lonely:
        like, given = like[..., None], given[..., None]
    dx = backward(given.contiguous(), like.contiguous(), sizes, strides, [0] * len(sizes), False, True, 1)
    return _last(_inside(dx[..., 0] if lonely else dx, input_shape, window["padding"]))


_CONTRACT: Table = {
    "dot_general": _dot,
    "conv": _conv,
    "conv_input_grad": _conv_input_grad,
    "conv_kernel_grad": _conv_kernel_grad,
    "max_pool": _max_pool,
    "max_pool_gather": _max_pool_gather,
    "max_pool_scatter": _widened(_max_pool_scatter),
    "sum_pool": _widened(_sum_pool),
    "sum_pool_grad": _widened(_sum_pool_grad),
}


# -- linear algebra ------------------------------------------------------------------------------------------


def _cholesky(x: Tensor) -> Tensor:
    factor, info = torch.linalg.cholesky_ex(x)
    return torch.where((info != 0)[..., None, None], torch.full_like(factor, math.nan), factor)


def _triangular_solve(a: Tensor, b: Tensor, *, lower: bool, transpose: bool, unit_diagonal: bool) -> Tensor:
    matrix = a.mT if transpose else a
    return torch.linalg.solve_triangular(matrix, b, upper=lower == transpose, unitriangular=unit_diagonal)


def _lu(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    packed, pivots = torch.linalg.lu_factor(x)
    swaps = torch.lu_unpack(packed, pivots, unpack_data=False)[0]
    order = swaps.argmax(-2) if x.shape[-2] else pivots
    return packed, (pivots - 1).to(torch.int32), order.to(torch.int32)


_LINALG: Table = {
    "cholesky": _cholesky,
    "triangular_solve": _triangular_solve,
    "lu": _lu,
    "qr": lambda x: tuple(torch.linalg.qr(x)),
    "svd": lambda x: tuple(torch.linalg.svd(x, full_matrices=False)),
    "eigh": lambda x: tuple(torch.linalg.eigh(x)),
}


# -- random bits, control flow -------------------------------------------------------------------------------

_WORD = 0xFFFFFFFF


def _random_bits(key: Tensor, *, shape: tuple[int, ...]) -> Tensor:
    """Threefry-2x32 with 20 rounds; see `primitives/random.py`. Words travel as int64."""
    if key.device.type == "cpu":
        return torch.from_numpy(_native_bits(key.numpy().astype(np.uint32), shape).astype(np.int64))
    size = math.prod(shape)
    block = torch.arange((size + 1) // 2, device=key.device)
    keys = (key[0], key[1], key[0] ^ key[1] ^ 0x1BD11BDA)
    x, y = ((block >> 32) + keys[0]) & _WORD, (block + keys[1]) & _WORD
    for injection in range(1, 6):
        for distance in ((17, 29, 16, 24), (13, 15, 26, 6))[injection % 2]:
            x = (x + y) & _WORD
            y = (((y << distance) | (y >> (32 - distance))) & _WORD) ^ x
        x = (x + keys[injection % 3]) & _WORD
        y = (y + keys[(injection + 1) % 3] + injection) & _WORD
    return torch.stack([x, y], -1).reshape(-1)[:size].reshape(shape)


def _native_bits(key: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Bits by our own kernel: PyTorch takes some 150 passes over memory for them."""
    native = get_engine("native")
    given = placeholder(TensorType((2,), "uint32"), 0)
    executable = native.executable(Graph([given], [PRIMITIVES["random_bits"](given, shape=shape)]))
    return native.get(executable.run([native.put(key)])[0])


_PLUMBING: Table = {
    "random_bits": _random_bits,
    "project": lambda values, *, index: values[index],
    "stop_gradient": lambda x: x,
    "optimization_barrier": lambda *values: values,
}


def _control(walk: Callable[[Graph, Sequence[Tensor]], list[Tensor]]) -> Table:
    """Control flow in Python: the condition is read from the device."""

    def cond(pred: Tensor, *operands: Tensor, true_graph: Graph, false_graph: Graph) -> tuple[Tensor, ...]:
        return tuple(walk(true_graph if bool(pred) else false_graph, operands))

    def while_loop(*values: Tensor, cond_graph: Graph, body_graph: Graph) -> tuple[Tensor, ...]:
        count = len(body_graph.outputs)
        carry, fixed = list(values[:count]), values[count:]
        while bool(walk(cond_graph, (*carry, *fixed))[0]):
            carry = walk(body_graph, (*carry, *fixed))
        return tuple(carry)

    def scan(
        *values: Tensor, body: Graph, length: int, carries: int, sequences: int, reverse: bool
    ) -> tuple[Tensor, ...]:
        carry, fixed = values[:carries], values[carries + sequences :]
        steps = [x.unbind(0) for x in values[carries : carries + sequences]]
        kept: list[tuple[Tensor, ...]] = []
        for step in reversed(range(length)) if reverse else range(length):
            results = walk(body, (*carry, *(x[step] for x in steps), *fixed))
            kept.append((*results[carries:], *carry))
            carry = tuple(results[:carries])
        if reverse:
            kept.reverse()
        return (*carry, *(torch.stack(column) for column in zip(*kept, strict=True)))

    return {"cond": cond, "while_loop": while_loop, "scan": scan}


TABLE: Table = {
    **_UNARY, **_BINARY, **_SHAPE, **_REDUCE, **_INDEX, **_CONTRACT, **_LINALG, **_PLUMBING
}  # fmt: skip
