"""ONNX operators that move, cut, concatenate and create tensors."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from hornbeam import ops
from hornbeam import primitives as p
from hornbeam.core.convert import as_tensor, broadcast_shapes
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import TensorLike
from hornbeam.errors import GraphError
from hornbeam.ir.limits import count_elements
from hornbeam.ir.sizes import is_unknown
from hornbeam.layers.onnx_graph.elementwise import dtype_of
from hornbeam.layers.onnx_graph.sizes import sizes_tensor
from hornbeam.layers.onnx_graph.vocabulary import (
    EVERY,
    Call,
    axes_of,
    axis_of,
    ints,
    known,
    node_of,
    number,
    operator,
)


@operator("Shape")
def shape(call: Call, x: Tensor) -> TensorLike:
    """Return the sizes of a tensor, which are always known when the model runs."""
    return _sizes(x.shape[call.get("start", 0) : call.attributes.get("end")])


def _sizes(sizes: tuple[int, ...]) -> TensorLike:
    return sizes_tensor(sizes) if any(map(is_unknown, sizes)) else np.array(sizes, "int64")


@operator("Size")
def size(call: Call, x: Tensor) -> TensorLike:
    """Return the number of elements."""
    count = math.prod(x.shape)
    return ops.reshape(sizes_tensor((count,)), ()) if is_unknown(count) else np.array(count, "int64")


@operator("Reshape", through=1, tensors=1)
def reshape(call: Call, x: Tensor, sizes: TensorLike) -> Tensor:
    """Reshape; 0 keeps a size, unless `allowzero`, and -1 is inferred."""
    target = ints(sizes, "shape")
    if not call.get("allowzero", 0):
        if any(n == 0 and i >= len(x.shape) for i, n in enumerate(target)):
            raise GraphError(f"{target} keeps a size that {x.shape} does not have")
        target = [x.shape[i] if n == 0 else n for i, n in enumerate(target)]
    return ops.reshape(x, tuple(target))


@operator("Transpose", through=1)
def transpose(call: Call, x: Tensor) -> Tensor:
    """Transpose axes, reversed by default."""
    return ops.transpose(x, call.attributes.get("perm"))


@operator("Flatten", through=1)
def flatten(call: Call, x: Tensor) -> Tensor:
    """Flatten to a matrix: the axes before `axis` are rows."""
    axis = call.get("axis", 1)
    at = axis + len(x.shape) if axis < 0 else axis
    return ops.reshape(x, (math.prod(x.shape[:at]), math.prod(x.shape[at:])))


@operator("Squeeze", through=1, tensors=1)
def squeeze(call: Call, x: Tensor, axes: Any = None) -> Tensor:
    """Remove axes of size 1."""
    over = axes_of(call, axes, len(x.shape), 13)
    return ops.squeeze(x, over) if over is None or over else x


@operator("Unsqueeze", through=1, tensors=1)
def unsqueeze(call: Call, x: Tensor, axes: Any = None) -> Tensor:
    """Insert axes of size 1 at the given positions of the result."""
    new_axes = call.get("axes") if call.opset < 13 else axes
    count = len(ints(new_axes, "axes"))
    over = axes_of(call, axes, len(x.shape) + count, 13) or ()
    sizes = iter(x.shape)
    return ops.reshape(x, tuple(1 if i in over else next(sizes) for i in range(len(x.shape) + count)))


@operator("Concat", weights=EVERY, through=len(EVERY))
def concat(call: Call, *xs: Tensor) -> Tensor:
    """Concatenate tensors along an axis."""
    return ops.concatenate(list(xs), axis=call.get("axis", 1 if call.opset < 4 else 0))


@operator("Split", through=1, tensors=1)
def split(call: Call, x: Tensor, sizes: TensorLike | None = None) -> tuple[Tensor, ...]:
    """Split along an axis: into the given sizes, or as many as there are outputs."""
    axis = axis_of(call.get("axis", 0), len(x.shape))
    split_sizes = call.attributes.get("split") if call.opset < 13 else sizes
    if split_sizes is not None:
        lengths = ints(split_sizes, "sizes")
    else:
        count = call.attributes.get("num_outputs", call.outputs)
        count_elements(200 * count)
        length = -(-x.shape[axis] // count)
        lengths = [min(length, x.shape[axis] - i * length) for i in range(count)]
    if sum(lengths) != x.shape[axis] or min(lengths, default=0) < 0:
        raise GraphError(f"sizes {lengths} do not add up to the axis of {x.shape[axis]}")
    return tuple(ops.split(x, [int(n) for n in np.cumsum(lengths)[:-1]], axis=axis)) if lengths[1:] else (x,)


@operator("Slice", through=1, tensors=1)
def slice_(
    call: Call, x: Tensor, starts: Any = None, ends: Any = None, axes: Any = None, steps: Any = None
) -> Tensor:
    """Slice some axes from `starts` to `ends` in steps; bounds are clamped."""
    if call.opset < 10:
        starts, ends, axes = (call.attributes.get(name) for name in ("starts", "ends", "axes"))
    first, last = ints(starts, "starts"), ints(ends, "ends")
    over = list(range(len(first))) if axes is None else [axis_of(a, len(x.shape)) for a in ints(axes, "axes")]
    step = [1] * len(first) if steps is None else ints(steps, "steps")
    key = [slice(None)] * len(x.shape)
    for axis, low, high, by in zip(over, first, last, step, strict=True):
        length = x.shape[axis]
        # With negative steps, an end before index 0 includes index 0; other negative ends count from the end.
        stop = None if by < 0 and high < -length else high
        key[axis] = slice(max(low, -length), stop, by)
    return x[tuple(key)]


@operator("Expand", through=1, tensors=1)
def expand(call: Call, x: Tensor, sizes: TensorLike) -> Tensor:
    """Broadcast to a shape, in both directions."""
    return ops.broadcast_to(x, broadcast_shapes(tuple(x.shape), tuple(ints(sizes, "shape"))))


@operator("Tile", tensors=1)
def tile(call: Call, x: Tensor, repeats: TensorLike) -> Tensor:
    """Repeat along each axis."""
    return ops.tile(x, tuple(ints(repeats, "repeats")))


@operator("Pad", tensors=1)
def pad(call: Call, x: Tensor, widths: Any = None, value: Any = None, axes: Any = None) -> Tensor:
    """Pad; negative widths crop."""
    if call.opset < 11:
        widths, value = call.attributes.get("pads"), call.get("value", 0.0)
    rank = len(x.shape)
    over = range(rank) if axes is None else [axis_of(a, rank) for a in ints(axes, "axes")]
    amounts, count = ints(widths, "widths"), len(over)
    if len(amounts) != 2 * count:
        raise GraphError(f"expected {2 * count} widths for {count} axes, got {len(amounts)}")
    low, high = [0] * rank, [0] * rank
    for axis, before, after in zip(over, amounts[:count], amounts[count:], strict=True):
        low[axis], high[axis] = before, after
    mode = call.get("mode", "constant")
    if mode == "constant":
        fill = ops.cast(ops.reshape(as_tensor(0 if value is None else value), ()), x.dtype)
        return Tensor(p.pad(x.node, fill.node, tuple(low), tuple(high)))
    cut = tuple(slice(max(-a, 0), n - max(-b, 0)) for a, b, n in zip(low, high, x.shape, strict=True))
    return ops.pad(x[cut], [(max(a, 0), max(b, 0)) for a, b in zip(low, high, strict=True)], mode)


@operator("DepthToSpace")
def depth_to_space(call: Call, x: Tensor) -> Tensor:
    """Move blocks of channels to blocks of pixels."""
    b = call.get("blocksize", 0)
    n, c, h, w = x.shape
    if call.get("mode", "DCR") == "DCR":
        order, parts = (0, 3, 4, 1, 5, 2), (n, b, b, c // (b * b), h, w)
    else:
        order, parts = (0, 1, 4, 2, 5, 3), (n, c // (b * b), b, b, h, w)
    return ops.reshape(ops.transpose(ops.reshape(x, parts), order), (n, c // (b * b), h * b, w * b))


@operator("SpaceToDepth")
def space_to_depth(call: Call, x: Tensor) -> Tensor:
    """Move blocks of pixels to blocks of channels."""
    b = call.get("blocksize", 0)
    n, c, h, w = x.shape
    parts = ops.reshape(x, (n, c, h // b, b, w // b, b))
    return ops.reshape(ops.transpose(parts, (0, 3, 5, 1, 2, 4)), (n, c * b * b, h // b, w // b))


@operator("Trilu", tensors=1)
def trilu(call: Call, x: Tensor, k: Any = None) -> Tensor:
    """Return the upper or lower triangle, 0 elsewhere."""
    diagonal = 0 if k is None else number(k, "diagonal")
    return (ops.triu if call.get("upper", 1) else ops.tril)(x, diagonal)


# -- creation ------------------------------------------------------------------------------------------------


@operator("ConstantOfShape", tensors=0)
def constant_of_shape(call: Call, sizes: TensorLike) -> Tensor:
    """Create a tensor of one number."""
    value = call.attributes.get("value", np.zeros(1, "float32"))
    fill = node_of(value.reshape(-1)[:1].reshape(()))
    return Tensor(p.broadcast(fill, tuple(ints(sizes, "shape")), ()))


@operator("Range", tensors=0)
def range_(call: Call, start: TensorLike, limit: TensorLike, delta: TensorLike) -> Tensor:
    """Create numbers from `start` up to `limit`, excluded, in steps."""
    first, last, by = (number(x, "bounds") for x in (start, limit, delta))
    length = last - first
    count = max(-(-length // by) if is_unknown(length) else math.ceil(length / by), 0) if by else 0
    dtype = as_tensor(start).dtype
    at = Tensor(p.iota(dtype, (count,), 0))
    return ops.cast(as_tensor(start).reshape(()) + at * as_tensor(delta).reshape(()), dtype)


@operator("EyeLike")
def eye_like(call: Call, x: Tensor) -> Tensor:
    """Create a matrix of ones on a diagonal, zeros elsewhere."""
    code = call.attributes.get("dtype")
    rows, columns = x.shape
    return ops.eye(rows, columns, call.get("k", 0), x.dtype if code is None else dtype_of(code))


@operator("OneHot", tensors=1)
def one_hot(call: Call, indices: Tensor, depth: TensorLike, values: TensorLike) -> Tensor:
    """Return the second value at indices, the first elsewhere (and everywhere for one out of range)."""
    index, pair = ops.cast(indices, "int64"), as_tensor(values)
    count = int(number(depth, "depth"))
    axis = axis_of(call.get("axis", -1), len(index.shape) + 1)
    index = ops.where(index < 0, index + count, index)
    positions = Tensor(p.iota("int64", (count,), 0))
    hit = ops.expand_dims(index, axis) == ops.reshape(
        positions, [-1 if i == axis else 1 for i in range(len(index.shape) + 1)]
    )
    return ops.where(hit, pair[1], pair[0])


@operator("NonZero", tensors=0)
def non_zero(call: Call, x: TensorLike) -> np.ndarray:
    """Return the indices of elements that are not 0, whose number has to be known."""
    return np.array(np.nonzero(known(x, "operand")), "int64")


# -- indexing ------------------------------------------------------------------------------------------------


@operator("Gather", weights=(0,))
def gather(call: Call, x: Tensor, indices: Tensor) -> Tensor:
    """Gather slices along an axis."""
    return ops.take(x, indices, axis=call.get("axis", 0))


def _full_indices(x: Tensor, indices: Tensor, axis: int) -> Any:
    """Return indices (..., rank) for `p.gather` and `p.scatter` from those along one axis."""
    shape = tuple(indices.shape)
    columns = [p.iota("int64", shape, i) for i in range(len(shape))]
    index = node_of(ops.cast(indices, "int64"))
    columns[axis] = p.select(p.lt(index, 0), index + x.shape[axis], index)
    return p.concatenate(*(p.reshape(column, (*shape, 1)) for column in columns), axis=len(shape))


@operator("GatherElements")
def gather_elements(call: Call, x: Tensor, indices: Tensor) -> Tensor:
    """Gather one element along an axis for each index."""
    axis = axis_of(call.get("axis", 0), len(x.shape))
    return Tensor(p.gather(x.node, _full_indices(x, indices, axis)))


@operator("GatherND", weights=(0,))
def gather_nd(call: Call, x: Tensor, indices: Tensor) -> Tensor:
    """Gather slices at positions, the last axis of the indices."""
    index = _non_negative(x, indices, call.get("batch_dims", 0))
    return Tensor(p.gather(x.node, index, batch_dims=call.get("batch_dims", 0)))


def _non_negative(x: Tensor, indices: Tensor, batch: int) -> Any:
    depth = indices.shape[-1]
    index = ops.cast(indices, "int64")
    return ops.where(index < 0, index + as_tensor(_sizes(x.shape[batch : batch + depth])), index).node


_MODES = {"none": "set", "add": "add", "mul": "mul", "max": "max", "min": "min"}


@operator("ScatterElements Scatter")
def scatter_elements(call: Call, x: Tensor, indices: Tensor, updates: Tensor) -> Tensor:
    """Replace or combine elements along an axis."""
    axis = axis_of(call.get("axis", 0), len(x.shape))
    return Tensor(p.scatter(x.node, _full_indices(x, indices, axis), updates.node, _mode(call)))


@operator("ScatterND")
def scatter_nd(call: Call, x: Tensor, indices: Tensor, updates: Tensor) -> Tensor:
    """Replace or combine slices."""
    return Tensor(p.scatter(x.node, _non_negative(x, indices, 0), updates.node, _mode(call)))


def _mode(call: Call) -> str:
    reduction = call.get("reduction", "none")
    if reduction not in _MODES:
        raise GraphError(f"reduction={reduction!r} is not supported")
    return _MODES[reduction]


# -- resizing ------------------------------------------------------------------------------------------------


HALF = np.float32(0.5)


def _positions(mode: str, size: int, new_size: int, scale: float) -> np.ndarray:
    """Return the source positions of output pixels, rounded as other implementations do."""
    count_elements(new_size)
    index, step = np.arange(new_size, dtype=np.float32), np.float32(scale)
    if mode == "asymmetric":
        return index / step
    if mode == "align_corners":
        return index * (size - 1) / (new_size - 1) if new_size > 1 else index * 0
    if mode == "pytorch_half_pixel" and new_size == 1:
        return index * 0
    if mode == "half_pixel_symmetric":
        adjusted = new_size / (step * size)
        return (size / 2) * (1 - adjusted) + (index + HALF) / step - HALF
    if mode in ("half_pixel", "pytorch_half_pixel"):
        return (index + HALF) / step - HALF
    raise GraphError(f"coordinate_transformation_mode={mode!r} is not supported")


_NEAREST: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "round_prefer_floor": lambda x: np.ceil(x - 0.5),
    "round_prefer_ceil": lambda x: np.floor(x + 0.5),
    "floor": np.floor,
    "ceil": np.ceil,
}


def _cubic(x: np.ndarray, a: float) -> np.ndarray:
    """Evaluate Keys's kernel at distances x."""
    x = np.abs(x)
    inner = ((a + 2) * x - (a + 3)) * x * x + 1
    outer = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return np.where(x <= 1, inner, np.where(x < 2, outer, 0))


def _kernel(call: Call, mode: str) -> tuple[Callable[[np.ndarray], np.ndarray], tuple[int, ...]]:
    """Return the kernel, a function of distance, and the offsets of the pixels that it covers."""
    if mode == "linear":
        return lambda x: 1 - np.abs(x), (0, 1)
    if mode == "cubic":
        a = call.get("cubic_coeff_a", -0.75)
        return lambda x: _cubic(x, a), (-1, 0, 1, 2)
    raise GraphError(f"mode={mode!r} is not supported")


def _resize_axis(x: Tensor, axis: int, positions: np.ndarray, call: Call) -> Tensor:
    """Resize one axis of x at the given source positions."""
    mode, last = call.get("mode", "nearest"), x.shape[axis] - 1
    if mode == "nearest":
        default = "floor" if call.op == "Upsample" or call.opset < 11 else "round_prefer_floor"
        nearest = _NEAREST.get(call.get("nearest_mode", default))
        if nearest is None:
            raise GraphError(f"nearest_mode={call.get('nearest_mode')!r} is not supported")
        return _take(x, nearest(positions), axis)
    kernel, offsets = _kernel(call, mode)
    positions = np.clip(positions, 0, last) if mode == "linear" else positions
    low = np.floor(positions)
    parts, shape = [], [-1 if i == axis else 1 for i in range(len(x.shape))]
    for offset in offsets:
        factor = ops.cast(as_tensor(kernel(positions - low - offset).reshape(shape)), x.dtype)
        parts.append(_take(x, low + offset, axis) * factor)
    return sum(parts[1:], parts[0])


def _take(x: Tensor, indices: np.ndarray, axis: int) -> Tensor:
    return ops.take(x, np.clip(indices, 0, x.shape[axis] - 1).astype("int32"), axis=axis)


@operator("Resize Upsample", tensors=1)
def resize(
    call: Call, x: Tensor, roi: Any = None, scales: Any = None, sizes: TensorLike | None = None
) -> Tensor:
    """Resize axes: by the nearest pixel, or by linear or cubic interpolation."""
    call.only(antialias=0, exclude_outside=0)
    if call.op == "Upsample":
        scales = call.attributes.get("scales") if call.opset < 9 else roi
    elif call.opset < 11:
        scales = roi
    mode = "asymmetric" if call.op == "Upsample" or call.opset < 11 else "half_pixel"
    mode = call.get("coordinate_transformation_mode", mode)
    axes = call.attributes.get("axes", range(len(x.shape)))
    for axis, factor, new_size in _targets(call, x, axes, scales, sizes):
        if new_size != x.shape[axis] or factor != 1:
            x = _resize_axis(x, axis, _positions(mode, x.shape[axis], new_size, factor), call)
    return x


def _targets(
    call: Call, x: Tensor, axes: Any, scales: Any, sizes: TensorLike | None
) -> list[tuple[int, float, int]]:
    """Return (axis, factor, new size) for each axis."""
    if sizes is not None and np.size(sizes):
        new_sizes = ints(sizes, "sizes")
        old = [x.shape[axis] for axis in axes]
        policy = call.get("keep_aspect_ratio_policy", "stretch")
        factors = [1.0 if n == o else n / o for n, o in zip(new_sizes, old, strict=True)]
        if policy != "stretch":
            factor = (min if policy == "not_larger" else max)(factors)
            factors = [factor] * len(factors)
            new_sizes = [math.floor(factor * o + 0.5) for o in old]
        return list(zip([axis_of(a, len(x.shape)) for a in axes], factors, new_sizes, strict=True))
    values = known(np.asarray(scales, "float32") if isinstance(scales, list) else scales, "scales")
    factors = [float(factor) for factor in values.reshape(-1)]
    if len(factors) != len(axes) or not all(0 < factor < 1e6 for factor in factors):
        raise GraphError(f"expected {len(axes)} positive scales, got {factors}")
    # In float32, as runtimes do: 5 pixels times 1.4 are 7.
    new_sizes = [
        x.shape[a] if f == 1 else math.floor(x.shape[a] * np.float32(f))
        for a, f in zip(axes, factors, strict=True)
    ]
    return list(zip([a % len(x.shape) for a in axes], factors, new_sizes, strict=True))
