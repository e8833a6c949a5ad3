"""ONNX operators that read images between pixels: grids, resizing, deformable windows, regions."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from hornbeam import ops
from hornbeam import primitives as p
from hornbeam.core.convert import as_tensor
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import TensorLike
from hornbeam.errors import GraphError
from hornbeam.ir.limits import count_elements
from hornbeam.ir.sizes import is_unknown, new_size
from hornbeam.onnx.operators.sizes import exact, with_size
from hornbeam.onnx.operators.vocabulary import Call, axis_of, ints, known, node_of, operator
from hornbeam.onnx.operators.windows import numbers_of

HALF = np.float32(0.5)


def _cubic(x: Any, a: float) -> Any:
    """Evaluate Keys's kernel at distances x, of NumPy or as tensors."""
    m: Any = np if isinstance(x, np.ndarray) else ops
    x = m.abs(x)
    inner = ((a + 2) * x - (a + 3)) * x * x + 1
    outer = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return m.where(x <= 1, inner, m.where(x < 2, outer, m.zeros_like(x)))


# -- resizing ------------------------------------------------------------------------------------------------


def _positions(mode: str, size: int, new_size: int, scale: float, region: Sequence[float]) -> np.ndarray:
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
    if mode == "tf_crop_and_resize":
        low, high = (edge * (size - 1) for edge in region)
        return low + index * (high - low) / (new_size - 1) if new_size > 1 else index + (low + high) / 2
    raise GraphError(f"coordinate_transformation_mode={mode!r} is not supported")


_NEAREST: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "round_prefer_floor": lambda x: np.ceil(x - 0.5),
    "round_prefer_ceil": lambda x: np.floor(x + 0.5),
    "floor": np.floor,
    "ceil": np.ceil,
}


def _kernel(call: Call, mode: str) -> tuple[Callable[[Any], Any], int]:
    """Return the kernel, a function of distance, and how far it reaches."""
    a = call.get("cubic_coeff_a", -0.75)
    if mode == "linear":
        return lambda x: np.maximum(1 - np.abs(x), 0), 1
    if mode == "cubic":
        return lambda x: _cubic(x, a), 2
    raise GraphError(f"mode={mode!r} is not supported")


def _resize_axis(x: Tensor, axis: int, positions: np.ndarray, scale: float, call: Call) -> Tensor:
    """Resize one axis of x at the given source positions."""
    mode, last = call.get("mode", "nearest"), x.shape[axis] - 1
    default = "floor" if call.op == "Upsample" or call.opset < 11 else "round_prefer_floor"
    nearest, is_strict = call.get("nearest_mode", default), call.get("exclude_outside", 0)
    if mode == "nearest":
        if nearest not in _NEAREST:
            raise GraphError(f"nearest_mode={nearest!r} is not supported")
        return _take(x, _NEAREST[nearest](positions), axis)
    kernel, reach = _kernel(call, mode)
    # A wider kernel, which averages all pixels that a smaller image drops.
    width = min(scale, 1.0) if call.get("antialias", 0) else 1.0
    reach = math.ceil(reach / width)
    places = np.clip(positions, 0, last) if mode == "linear" and width == 1 else positions
    low, shape = np.floor(places), [-1 if i == axis else 1 for i in range(len(x.shape))]
    offsets = range(1 - reach, reach + 1)
    count_elements(len(offsets) * len(positions))
    factors = np.stack([kernel((places - low - offset) * width) for offset in offsets])
    indices = np.stack([low + offset for offset in offsets])
    if is_strict:
        factors = np.where((indices < 0) | (indices > last), 0, factors)
    if is_strict or width != 1:
        factors = factors / factors.sum(0)
    parts = [
        _take(x, index, axis) * ops.cast(as_tensor(factor.reshape(shape)), x.dtype)
        for index, factor in zip(indices, factors, strict=True)
    ]
    return sum(parts[1:], parts[0])


def _take(x: Tensor, indices: np.ndarray, axis: int) -> Tensor:
    return ops.take(x, np.clip(indices, 0, x.shape[axis] - 1).astype("int32"), axis=axis)


@operator("Resize Upsample", tensors=1)
def resize(
    call: Call, x: Tensor, roi: Any = None, scales: Any = None, sizes: TensorLike | None = None
) -> Tensor:
    """Resize axes: by the nearest pixel, or by linear or cubic interpolation."""
    rank = len(x.shape)
    if call.op == "Upsample":
        factors = [1.0] * (rank - 2) + [call.get("height_scale", 1.0), call.get("width_scale", 1.0)]
        scales = (factors if call.opset == 1 else call.get("scales")) if call.opset < 9 else roi
    elif call.opset < 11:
        scales = roi
    mode = "asymmetric" if call.op == "Upsample" or call.opset < 11 else "half_pixel"
    mode, outside = call.get("coordinate_transformation_mode", mode), call.get("extrapolation_value", 0.0)
    # They have no effect in all modes.
    call.attributes.read |= {"antialias", "cubic_coeff_a", "exclude_outside", "mode", "nearest_mode"}
    axes = [axis_of(a, rank) for a in call.get("axes", list(range(rank)))]
    is_crop = mode == "tf_crop_and_resize"
    region = known(roi, "region").reshape(2, -1) if is_crop else np.zeros((2, len(axes)))
    for i, (axis, factor, target) in enumerate(_targets(call, x, axes, scales, sizes)):
        size = x.shape[axis]
        if is_unknown(size) or is_unknown(target):
            x = x if size == target else with_size(x, axis, target)
        elif target != size or factor != 1 or is_crop:
            places = _positions(mode, size, target, factor, region[:, i].tolist())
            x = _resize_axis(x, axis, places, factor, call)
            beyond = (places < 0) | (places > size - 1)
            if is_crop and beyond.any():
                hole = beyond.reshape([-1 if j == axis else 1 for j in range(rank)])
                x = ops.where(hole, ops.cast(as_tensor(outside), x.dtype), x)
    return x


def _targets(
    call: Call, x: Tensor, axes: Sequence[int], scales: Any, sizes: TensorLike | None
) -> list[tuple[int, float, int]]:
    """Return (axis, factor, new size) for each axis."""
    policy = call.get("keep_aspect_ratio_policy", "stretch")
    old = [x.shape[axis] for axis in axes]
    if sizes is not None and np.size(sizes):
        new_sizes = ints(sizes, "sizes")
        is_open = [is_unknown(n) or is_unknown(o) for n, o in zip(new_sizes, old, strict=True)]
        pairs = zip(new_sizes, old, is_open, strict=True)
        factors = [1.0 if n == o else math.nan if unknown else n / o for n, o, unknown in pairs]
        if policy != "stretch" and any(is_open):
            return [(axis, math.nan, new_size()) for axis in axes]
        if policy != "stretch":
            factor = (min if policy == "not_larger" else max)(factors)
            factors = [factor] * len(factors)
            new_sizes = [math.floor(factor * o + 0.5) for o in old]
        return list(zip(axes, factors, new_sizes, strict=True))
    values = known(np.asarray(scales, "float32") if isinstance(scales, list) else scales, "scales")
    factors = values.reshape(-1).tolist()
    if len(factors) != len(axes) or not all(is_unknown(f) or 0 < f < 1e6 for f in factors):
        raise GraphError(f"expected {len(axes)} positive scales, got {factors}")
    return [(a, f, _scaled_size(n, f)) for a, n, f in zip(axes, old, factors, strict=True)]


def _scaled_size(size: Any, factor: Any) -> Any:
    """Return size * factor without its fraction, in float32 as runtimes do: 5 pixels times 1.4 are 7."""
    if factor == 1 or is_unknown(factor):
        return size if factor == 1 else new_size()
    if not is_unknown(size):
        return math.floor(size * np.float32(factor))
    up, down = (exact(factor), 1) if factor > 1 else (1, exact(1 / factor))
    return size * up // down if isinstance(up, int) and isinstance(down, int) else new_size()


# -- positions from data -------------------------------------------------------------------------------------


def _reflected(position: Tensor, low: float, high: float) -> Tensor:
    """Reflect positions at both borders until they lie between them."""
    if high <= low:
        return ops.zeros_like(position) + low
    distance = ops.abs(position - low)
    rest, turns = ops.mod(distance, high - low), ops.floor(distance / (high - low))
    return ops.where(ops.mod(turns, 2.0) == 0, low + rest, high - rest)


def sampled(x: Tensor, places: Sequence[Tensor], mode: str, padding: str, is_aligned: bool) -> Tensor:
    """Read x (batch, *sizes, channels) at positions (batch, *shape) along each spatial axis.

    mode: "nearest", "linear" or "cubic". padding: "zeros", "border" or "reflection".
    """
    sizes = x.shape[1:-1]
    edges = [(0.0, n - 1.0) if is_aligned else (-0.5, n - 0.5) for n in sizes]
    if mode not in ("nearest", "linear", "cubic") or padding not in ("zeros", "border", "reflection"):
        raise GraphError(f"mode={mode!r} with padding_mode={padding!r} is not supported")
    if mode != "cubic" and padding == "reflection":
        places = [_reflected(at, *edge) for at, edge in zip(places, edges, strict=True)]
    if mode != "cubic" and padding != "zeros":
        places = [ops.clip(at, 0.0, n - 1.0) for at, n in zip(places, sizes, strict=True)]
    low = [ops.round(at) if mode == "nearest" else ops.floor(at) for at in places]
    offsets = {"nearest": (0,), "linear": (0, 1), "cubic": (-1, 0, 1, 2)}[mode]
    count_elements(len(offsets) ** len(sizes) * math.prod(low[0].shape[1:]))
    total: Any = 0.0
    for corner in itertools.product(offsets, repeat=len(sizes)):
        factor: Any = 1.0
        indices = []
        for at, base, offset, n, edge in zip(places, low, corner, sizes, edges, strict=True):
            index = base + offset
            if mode == "linear":
                factor = factor * (1 - ops.abs(at - index))
            elif mode == "cubic":
                factor = factor * _cubic(at - index, -0.75)
            if padding == "zeros":
                factor = factor * ops.cast(ops.logical_and(index >= 0, index <= n - 1), at.dtype)
            elif padding == "reflection" and mode == "cubic":
                index = _reflected(index, *edge)
            indices.append(ops.cast(ops.clip(index, 0, n - 1), "int64"))
        value = Tensor(p.gather(x.node, ops.stack(indices, axis=-1).node, batch_dims=1))
        total = total + (value if mode == "nearest" and padding != "zeros" else value * _factor(factor, x))
    return total


def _factor(factor: Tensor, x: Tensor) -> Tensor:
    return ops.cast(ops.expand_dims(factor, -1), x.dtype)


@operator("GridSample")
def grid_sample(call: Call, x: Tensor, grid: Tensor) -> Tensor:
    """Read an image at the positions of a grid, from -1 to 1 (Jaderberg et al. 2015)."""
    is_aligned, mode = bool(call.get("align_corners", 0)), call.get("mode", "linear")
    mode = {"bilinear": "linear", "bicubic": "cubic"}.get(mode, mode)
    places = []
    for i, n in enumerate(x.shape[2:]):
        at = (grid[..., len(x.shape) - 3 - i] + 1) / 2  # the last axis comes first
        places.append(at * (n - 1) if is_aligned else at * n - 0.5)
    padding = call.get("padding_mode", "zeros")
    return ops.moveaxis(sampled(ops.moveaxis(x, 1, -1), places, mode, padding, is_aligned), -1, 1)


@operator("AffineGrid", tensors=1)
def affine_grid(call: Call, theta: Tensor, size: TensorLike) -> Tensor:
    """Apply affine maps to the positions of all pixels, from -1 to 1."""
    sizes = ints(size, "size")[2:]
    count_elements(math.prod(sizes))
    is_aligned = call.get("align_corners", 0)
    lines = [np.linspace(-1, 1, n) if is_aligned else (2 * np.arange(n) + 1) / n - 1 for n in map(int, sizes)]
    points = np.stack([*np.meshgrid(*lines, indexing="ij")[::-1], np.ones(sizes)], -1)
    flat = as_tensor(points.reshape(-1, len(sizes) + 1).astype(theta.dtype))
    rows = ops.matmul(ops.expand_dims(flat, 0), ops.transpose(theta, (0, 2, 1)))
    return ops.reshape(rows, (theta.shape[0], *sizes, len(sizes)))


@operator("DeformConv", weights=(1, 3))
def deform_conv(
    call: Call, x: Tensor, w: Tensor, offset: Tensor, b: Tensor | None = None, mask: Tensor | None = None
) -> Tensor:
    """Convolve at positions that are moved by the data, with factors (Dai et al. 2017, Zhu et al. 2018)."""
    if len(x.shape) != 4:
        raise GraphError("two spatial axes are supported")
    call.only(kernel_shape=list(w.shape[2:]))
    strides, dilation = numbers_of(call, "strides", 2), numbers_of(call, "dilations", 2)
    pads, groups, sets = numbers_of(call, "pads", 4, 0), call.get("group", 1), call.get("offset_group", 1)
    batch, channels = x.shape[:2]
    rows, columns = offset.shape[2:]
    taps = w.shape[2] * w.shape[3]
    moves = ops.reshape(offset, (batch * sets, taps, 2, rows, columns))
    grid = np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij")
    window = np.meshgrid(np.arange(w.shape[2]), np.arange(w.shape[3]), indexing="ij")
    places = [
        moves[:, :, i]
        + as_tensor(
            (grid[i] * strides[i] - pads[i] + window[i].reshape(-1, 1, 1) * dilation[i]).astype(x.dtype)
        )
        for i in range(2)
    ]
    images = ops.moveaxis(ops.reshape(x, (batch * sets, channels // sets, *x.shape[2:])), 1, -1)
    values = sampled(images, places, "linear", "zeros", is_aligned=True)
    if mask is not None:
        values = values * ops.reshape(mask, (batch * sets, taps, rows, columns, 1))
    # (batch, sets, taps, rows, columns, channels of a set) to (batch, groups, rows, columns, channels, taps)
    values = ops.reshape(values, (batch, sets, taps, rows, columns, channels // sets))
    shape = (batch, groups, channels // groups, rows, columns, taps)
    values = ops.reshape(ops.transpose(values, (0, 1, 5, 3, 4, 2)), shape)
    kernel = ops.reshape(w, (groups, w.shape[0] // groups, w.shape[1], taps))
    y = ops.reshape(ops.einsum("ngchwt,goct->ngohw", values, kernel), (batch, w.shape[0], rows, columns))
    return y if b is None else y + ops.reshape(b, (-1, 1, 1))


@operator("RoiAlign", tensors=2)
def roi_align(call: Call, x: Tensor, boxes: Tensor, indices: TensorLike) -> Tensor:
    """Average an image in the cells of boxes, by bilinear interpolation (He et al. 2017)."""
    call.only(mode="avg")
    modern = call.opset >= 16
    mode = call.get("coordinate_transformation_mode", "half_pixel" if modern else "output_half_pixel")
    shape, scale = (call.get("output_height", 1), call.get("output_width", 1)), call.get("spatial_scale", 1.0)
    shift = 0.5 if mode == "half_pixel" else 0.0
    count = call.get("sampling_ratio", 0)
    corners = ops.cast(boxes, "float32") * scale - shift
    if not count:
        raise GraphError("sampling_ratio=0, a number of samples that depends on each box, is not supported")
    count_elements(math.prod(shape) * count * count)
    centers = []
    for i in range(2):
        low, high = corners[:, 1 - i], corners[:, 3 - i]
        length = high - low if shift else ops.maximum(high - low, 1.0)
        steps = (np.arange(shape[i] * count) + 0.5) / (shape[i] * count)
        at = low[:, None] + length[:, None] * as_tensor(steps.astype("float32"))
        size = x.shape[2 + i]
        # Beyond one pixel outside of the image a sample is 0; nearer ones are those of the border.
        at = ops.where(
            ops.logical_or(at < -1, at > size), as_tensor(np.float32(-9.0)), ops.clip(at, 0, size - 1)
        )
        centers.append(at)
    grid = (boxes.shape[0], shape[0] * count, shape[1] * count)
    places = [ops.broadcast_to(at, grid) for at in (centers[0][:, :, None], centers[1][:, None])]
    images = ops.take(ops.moveaxis(x, 1, -1), Tensor(node_of(indices)), axis=0)
    values = sampled(images, places, "linear", "zeros", is_aligned=True)
    cells = ops.reshape(values, (boxes.shape[0], shape[0], count, shape[1], count, x.shape[1]))
    return ops.moveaxis(ops.mean(cells, axis=(2, 4)), -1, 1)
