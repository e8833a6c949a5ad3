"""ONNX operators that move, cut, join and make tensors."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from hornbeam import ops
from hornbeam import primitives as p
from hornbeam.core.convert import as_tensor, broadcast_shapes
from hornbeam.core.tensor import Tensor
from hornbeam.ir.limits import count_elements
from hornbeam.ir.types import dtype_name
from hornbeam.layers.onnx_graph.elementwise import dtype_of
from hornbeam.layers.onnx_graph.vocabulary import (
    EVERY,
    Call,
    GraphError,
    axes_of,
    axis_of,
    ints,
    known,
    node_of,
    number,
    operator,
)


@operator("Shape")
def shape(call: Call, x: Any) -> np.ndarray:
    """The sizes of a tensor, which are always known."""
    return np.array(as_tensor(x).shape[call.get("start", 0) : call.attributes.get("end")], "int64")


@operator("Size")
def size(call: Call, x: Any) -> np.ndarray:
    """The number of elements."""
    return np.array(math.prod(as_tensor(x).shape), "int64")


@operator("Reshape", through=1)
def reshape(call: Call, x: Any, sizes: Any) -> Tensor:
    """Another shape; 0 keeps a size, unless `allowzero`, and -1 is what is left."""
    x = as_tensor(x)
    wanted = ints(sizes, "shape")
    if not call.get("allowzero", 0):
        if any(n == 0 and i >= len(x.shape) for i, n in enumerate(wanted)):
            raise GraphError(f"{wanted} keeps a size that {x.shape} does not have")
        wanted = [x.shape[i] if n == 0 else n for i, n in enumerate(wanted)]
    return ops.reshape(x, tuple(wanted))


@operator("Transpose", through=1)
def transpose(call: Call, x: Any) -> Tensor:
    """Axes in another order: turned round, unless told."""
    return ops.transpose(as_tensor(x), call.attributes.get("perm"))


@operator("Flatten", through=1)
def flatten(call: Call, x: Any) -> Tensor:
    """A matrix: the axes before `axis` are rows."""
    x, axis = as_tensor(x), call.get("axis", 1)
    at = axis + len(x.shape) if axis < 0 else axis
    return ops.reshape(x, (math.prod(x.shape[:at]), math.prod(x.shape[at:])))


@operator("Squeeze", through=1)
def squeeze(call: Call, x: Any, axes: Any = None) -> Tensor:
    """Without axes of size 1."""
    x = as_tensor(x)
    over = axes_of(call, axes, len(x.shape), 13)
    return ops.squeeze(x, over) if over is None or over else x


@operator("Unsqueeze", through=1)
def unsqueeze(call: Call, x: Any, axes: Any = None) -> Tensor:
    """With axes of size 1 at the given places of the result."""
    x = as_tensor(x)
    given = call.get("axes") if call.opset < 13 else axes
    count = len(ints(given, "axes"))
    over = axes_of(call, axes, len(x.shape) + count, 13) or ()
    rest = iter(x.shape)
    return ops.reshape(x, tuple(1 if i in over else next(rest) for i in range(len(x.shape) + count)))


@operator("Concat", weights=EVERY, through=len(EVERY))
def concat(call: Call, *xs: Any) -> Tensor:
    """Tensors one after the other along an axis."""
    return ops.concatenate([as_tensor(x) for x in xs], axis=call.get("axis", 1 if call.opset < 4 else 0))


@operator("Split", through=1)
def split(call: Call, x: Any, sizes: Any = None) -> tuple[Tensor, ...]:
    """Parts along an axis: of the given sizes, or as many as there are outputs."""
    x = as_tensor(x)
    axis = axis_of(call.get("axis", 0), len(x.shape))
    given = call.attributes.get("split") if call.opset < 13 else sizes
    if given is not None:
        lengths = ints(given, "sizes")
    else:
        count = call.attributes.get("num_outputs", call.outputs)
        count_elements(200 * count)
        each = -(-x.shape[axis] // count)
        lengths = [min(each, x.shape[axis] - i * each) for i in range(count)]
    if sum(lengths) != x.shape[axis] or min(lengths, default=0) < 0:
        raise GraphError(f"parts of {lengths} of an axis of {x.shape[axis]}")
    return tuple(ops.split(x, [int(n) for n in np.cumsum(lengths)[:-1]], axis=axis)) if lengths[1:] else (x,)


@operator("Slice", through=1)
def slice_(
    call: Call, x: Any, starts: Any = None, ends: Any = None, axes: Any = None, steps: Any = None
) -> Tensor:
    """From `starts` to `ends` along some axes, in steps; places beyond the ends are brought back."""
    x = as_tensor(x)
    if call.opset < 10:
        starts, ends, axes = (call.attributes.get(name) for name in ("starts", "ends", "axes"))
    first, last = ints(starts, "starts"), ints(ends, "ends")
    over = list(range(len(first))) if axes is None else [axis_of(a, len(x.shape)) for a in ints(axes, "axes")]
    step = [1] * len(first) if steps is None else ints(steps, "steps")
    key = [slice(None)] * len(x.shape)
    for axis, low, high, by in zip(over, first, last, step, strict=True):
        length = x.shape[axis]
        # Backwards, an end before the beginning includes it; a negative end that is left counts from behind.
        stop = None if by < 0 and high < -length else high
        key[axis] = slice(max(low, -length), stop, by)
    return x[tuple(key)]


@operator("Expand", through=1)
def expand(call: Call, x: Any, sizes: Any) -> Tensor:
    """Repeated by the rule of broadcasting, whichever side has a 1."""
    x = as_tensor(x)
    return ops.broadcast_to(x, broadcast_shapes(tuple(x.shape), tuple(ints(sizes, "shape"))))


@operator("Tile")
def tile(call: Call, x: Any, repeats: Any) -> Tensor:
    """Repeated along each axis."""
    return ops.tile(as_tensor(x), tuple(ints(repeats, "repeats")))


@operator("Pad")
def pad(call: Call, x: Any, widths: Any = None, value: Any = None, axes: Any = None) -> Tensor:
    """With a margin; negative widths cut."""
    x = as_tensor(x)
    if call.opset < 11:
        widths, value = call.attributes.get("pads"), call.get("value", 0.0)
    rank = len(x.shape)
    over = range(rank) if axes is None else [axis_of(a, rank) for a in ints(axes, "axes")]
    amounts, count = ints(widths, "widths"), len(over)
    if len(amounts) != 2 * count:
        raise GraphError(f"{len(amounts)} widths for {count} axes")
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
def depth_to_space(call: Call, x: Any) -> Tensor:
    """Blocks of channels as blocks of pixels."""
    x, b = as_tensor(x), call.get("blocksize", 0)
    n, c, h, w = x.shape
    if call.get("mode", "DCR") == "DCR":
        order, parts = (0, 3, 4, 1, 5, 2), (n, b, b, c // (b * b), h, w)
    else:
        order, parts = (0, 1, 4, 2, 5, 3), (n, c // (b * b), b, b, h, w)
    return ops.reshape(ops.transpose(ops.reshape(x, parts), order), (n, c // (b * b), h * b, w * b))


@operator("SpaceToDepth")
def space_to_depth(call: Call, x: Any) -> Tensor:
    """Blocks of pixels as blocks of channels."""
    x, b = as_tensor(x), call.get("blocksize", 0)
    n, c, h, w = x.shape
    parts = ops.reshape(x, (n, c, h // b, b, w // b, b))
    return ops.reshape(ops.transpose(parts, (0, 3, 5, 1, 2, 4)), (n, c * b * b, h // b, w // b))


@operator("Trilu")
def trilu(call: Call, x: Any, k: Any = None) -> Tensor:
    """The upper or the lower triangle, 0 elsewhere."""
    diagonal = 0 if k is None else number(k, "diagonal")
    return (ops.triu if call.get("upper", 1) else ops.tril)(as_tensor(x), diagonal)


# -- making --------------------------------------------------------------------------------------------------


@operator("ConstantOfShape")
def constant_of_shape(call: Call, sizes: Any) -> Tensor:
    """One number everywhere."""
    value = call.attributes.get("value", np.zeros(1, "float32"))
    fill = node_of(value.reshape(-1)[:1].reshape(()))
    return Tensor(p.broadcast(fill, tuple(ints(sizes, "shape")), ()))


@operator("Range")
def range_(call: Call, start: Any, limit: Any, delta: Any) -> Tensor:
    """Numbers from `start` to `limit`, without it, in steps."""
    first, last, by = (number(x, "bounds") for x in (start, limit, delta))
    count = max(math.ceil((last - first) / by), 0) if by else 0
    dtype = dtype_name(known(start, "start").dtype)
    at = Tensor(p.iota(dtype, (count,), 0))
    return ops.cast(as_tensor(start).reshape(()) + at * as_tensor(delta).reshape(()), dtype)


@operator("EyeLike")
def eye_like(call: Call, x: Any) -> Tensor:
    """1 on a diagonal, 0 elsewhere."""
    x = as_tensor(x)
    code = call.attributes.get("dtype")
    rows, columns = x.shape
    return ops.eye(rows, columns, call.get("k", 0), x.dtype if code is None else dtype_of(code))


@operator("OneHot")
def one_hot(call: Call, indices: Any, depth: Any, values: Any) -> Tensor:
    """The second value where an index points, the first elsewhere (and everywhere for one out of range)."""
    index, pair = ops.cast(as_tensor(indices), "int64"), as_tensor(values)
    count = int(number(depth, "depth"))
    axis = axis_of(call.get("axis", -1), len(index.shape) + 1)
    index = ops.where(index < 0, index + count, index)
    places = Tensor(p.iota("int64", (count,), 0))
    hit = ops.expand_dims(index, axis) == ops.reshape(
        places, [-1 if i == axis else 1 for i in range(len(index.shape) + 1)]
    )
    return ops.where(hit, pair[1], pair[0])


@operator("NonZero")
def non_zero(call: Call, x: Any) -> np.ndarray:
    """Where elements are not 0; how many there are has to be known."""
    return np.array(np.nonzero(known(x, "operand")), "int64")


# -- choosing ------------------------------------------------------------------------------------------------


@operator("Gather", weights=(0,))
def gather(call: Call, x: Any, indices: Any) -> Tensor:
    """Slices along an axis, in the order of indices."""
    return ops.take(as_tensor(x), as_tensor(indices), axis=call.get("axis", 0))


def _rows_of(x: Tensor, indices: Tensor, axis: int) -> Any:
    """x, and indices for the whole of it, in a form that `p.gather` and `p.scatter` take: (..., rank)."""
    shape = tuple(indices.shape)
    places = [p.iota("int64", shape, i) for i in range(len(shape))]
    index = node_of(ops.cast(indices, "int64"))
    chosen = p.select(p.lt(index, 0), index + x.shape[axis], index)
    places[axis] = chosen
    return p.concatenate(*(p.reshape(place, (*shape, 1)) for place in places), axis=len(shape))


@operator("GatherElements")
def gather_elements(call: Call, x: Any, indices: Any) -> Tensor:
    """The element of each line that an index names."""
    x, indices = as_tensor(x), as_tensor(indices)
    axis = axis_of(call.get("axis", 0), len(x.shape))
    return Tensor(p.gather(x.node, _rows_of(x, indices, axis)))


@operator("GatherND", weights=(0,))
def gather_nd(call: Call, x: Any, indices: Any) -> Tensor:
    """Slices at places, which are the last axis of the indices."""
    x, index = as_tensor(x), _from_front(as_tensor(x), as_tensor(indices), call.get("batch_dims", 0))
    return Tensor(p.gather(x.node, index, batch_dims=call.get("batch_dims", 0)))


def _from_front(x: Tensor, indices: Tensor, batch: int) -> Any:
    depth = indices.shape[-1]
    sizes = np.array(x.shape[batch : batch + depth], "int64")
    index = ops.cast(indices, "int64")
    return ops.where(index < 0, index + as_tensor(sizes), index).node


_MODES = {"none": "set", "add": "add", "mul": "mul", "max": "max", "min": "min"}


@operator("ScatterElements Scatter")
def scatter_elements(call: Call, x: Any, indices: Any, updates: Any) -> Tensor:
    """x with elements of its lines replaced, or combined."""
    x, indices = as_tensor(x), as_tensor(indices)
    axis = axis_of(call.get("axis", 0), len(x.shape))
    return Tensor(p.scatter(x.node, _rows_of(x, indices, axis), node_of(updates), _mode(call)))


@operator("ScatterND")
def scatter_nd(call: Call, x: Any, indices: Any, updates: Any) -> Tensor:
    """x with slices replaced, or combined."""
    x = as_tensor(x)
    return Tensor(p.scatter(x.node, _from_front(x, as_tensor(indices), 0), node_of(updates), _mode(call)))


def _mode(call: Call) -> str:
    reduction = call.get("reduction", "none")
    if reduction not in _MODES:
        raise GraphError(f"reduction={reduction!r} is not there")
    return _MODES[reduction]


# -- resizing ------------------------------------------------------------------------------------------------


HALF = np.float32(0.5)


def _positions(mode: str, size: int, made: int, scale: Any) -> np.ndarray:
    """Where each pixel that is made lies between those that are there, rounded as others round it."""
    count_elements(made)
    at, scale = np.arange(made, dtype=np.float32), np.float32(scale)
    if mode == "asymmetric":
        return at / scale
    if mode == "align_corners":
        return at * (size - 1) / (made - 1) if made > 1 else at * 0
    if mode == "pytorch_half_pixel" and made == 1:
        return at * 0
    if mode == "half_pixel_symmetric":
        adjusted = made / (scale * size)
        return (size / 2) * (1 - adjusted) + (at + HALF) / scale - HALF
    if mode in ("half_pixel", "pytorch_half_pixel"):
        return (at + HALF) / scale - HALF
    raise GraphError(f"coordinate_transformation_mode={mode!r} is not there")


_NEAREST: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "round_prefer_floor": lambda x: np.ceil(x - 0.5),
    "round_prefer_ceil": lambda x: np.floor(x + 0.5),
    "floor": np.floor,
    "ceil": np.ceil,
}


def _cubic(x: np.ndarray, a: float) -> np.ndarray:
    """Keys's kernel at distances x."""
    x = np.abs(x)
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return np.where(x <= 1, near, np.where(x < 2, far, 0))


def _kernel(call: Call, mode: str) -> tuple[Callable[[np.ndarray], np.ndarray], tuple[int, ...]]:
    """What pixels weigh by their distance, and which pixels are near."""
    if mode == "linear":
        return lambda x: 1 - np.abs(x), (0, 1)
    if mode == "cubic":
        a = call.get("cubic_coeff_a", -0.75)
        return lambda x: _cubic(x, a), (-1, 0, 1, 2)
    raise GraphError(f"mode={mode!r} is not there")


def _resized(x: Tensor, axis: int, at: np.ndarray, call: Call) -> Tensor:
    """x along one axis at the given places."""
    mode, last = call.get("mode", "nearest"), x.shape[axis] - 1
    if mode == "nearest":
        usual = "floor" if call.op == "Upsample" or call.opset < 11 else "round_prefer_floor"
        nearest = _NEAREST.get(call.get("nearest_mode", usual))
        if nearest is None:
            raise GraphError(f"nearest_mode={call.get('nearest_mode')!r} is not there")
        return _taken(x, nearest(at), axis)
    kernel, offsets = _kernel(call, mode)
    at = np.clip(at, 0, last) if mode == "linear" else at
    low = np.floor(at)
    parts, shape = [], [-1 if i == axis else 1 for i in range(len(x.shape))]
    for offset in offsets:
        factor = ops.cast(as_tensor(kernel(at - low - offset).reshape(shape)), x.dtype)
        parts.append(_taken(x, low + offset, axis) * factor)
    return sum(parts[1:], parts[0])


def _taken(x: Tensor, places: np.ndarray, axis: int) -> Tensor:
    return ops.take(x, np.clip(places, 0, x.shape[axis] - 1).astype("int32"), axis=axis)


@operator("Resize Upsample")
def resize(call: Call, x: Any, roi: Any = None, scales: Any = None, sizes: Any = None) -> Tensor:
    """Other sizes along the axes: the nearest pixel, or what lies between pixels by lines or cubes."""
    x = as_tensor(x)
    call.only(antialias=0, exclude_outside=0)
    if call.op == "Upsample":
        scales = call.attributes.get("scales") if call.opset < 9 else roi
    elif call.opset < 11:
        scales = roi
    mode = "asymmetric" if call.op == "Upsample" or call.opset < 11 else "half_pixel"
    mode = call.get("coordinate_transformation_mode", mode)
    axes = call.attributes.get("axes", range(len(x.shape)))
    for axis, factor, made in _targets(call, x, axes, scales, sizes):
        if made != x.shape[axis] or factor != 1:
            x = _resized(x, axis, _positions(mode, x.shape[axis], made, factor), call)
    return x


def _targets(call: Call, x: Tensor, axes: Any, scales: Any, sizes: Any) -> list[tuple[int, float, int]]:
    """For each axis its factor and its new size."""
    if sizes is not None and np.size(sizes):
        wanted = ints(sizes, "sizes")
        old = [x.shape[axis] for axis in axes]
        policy = call.get("keep_aspect_ratio_policy", "stretch")
        factors = [n / o for n, o in zip(wanted, old, strict=True)]
        if policy != "stretch":
            factor = (min if policy == "not_larger" else max)(factors)
            factors = [factor] * len(factors)
            wanted = [math.floor(factor * o + 0.5) for o in old]
        return list(zip([axis_of(a, len(x.shape)) for a in axes], factors, wanted, strict=True))
    given = known(np.asarray(scales, "float32") if isinstance(scales, list) else scales, "scales").reshape(-1)
    factors = [float(factor) for factor in given]
    if len(factors) != len(axes) or not all(0 < factor < 1e6 for factor in factors):
        raise GraphError(f"scales {factors} for {len(axes)} axes")
    return [(a % len(x.shape), f, math.floor(x.shape[a] * f)) for a, f in zip(axes, factors, strict=True)]
