"""ONNX operators that move, cut, concatenate and create tensors."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

from hornbeam import ops
from hornbeam import primitives as p
from hornbeam.core.convert import as_tensor, broadcast_shapes
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import TensorLike
from hornbeam.errors import GraphError
from hornbeam.ir.limits import count_elements
from hornbeam.ir.sizes import is_unknown, new_size
from hornbeam.ir.types import numpy_dtype
from hornbeam.onnx.operators.elementwise import dtype_of
from hornbeam.onnx.operators.sizes import exact, sizes_tensor, with_size
from hornbeam.onnx.operators.strings import as_numbers
from hornbeam.onnx.operators.vocabulary import (
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
def reshape(call: Call, x: Tensor, sizes: TensorLike | None = None) -> Tensor:
    """Reshape; 0 keeps a size, unless `allowzero`, and -1 is inferred."""
    target = ints(call.get("shape", []) if sizes is None else sizes, "shape")
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
    before = (slice(None),) * axis
    ends = itertools.accumulate(lengths)
    parts = [(*before, slice(end - n, end)) for n, end in zip(lengths, ends, strict=True)]
    return tuple(x[part] for part in parts)


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
def tile(call: Call, x: Tensor, repeats: TensorLike, axis: TensorLike | None = None) -> Tensor:
    """Repeat along each axis; before version 6 along one."""
    counts = ints(repeats, "repeats")
    if axis is not None:
        counts = [counts[0] if i == number(axis, "axis") else 1 for i in range(len(x.shape))]
    return ops.tile(x, tuple(counts))


@operator("Pad", tensors=1)
def pad(call: Call, x: Tensor, widths: Any = None, value: Any = None, axes: Any = None) -> Tensor:
    """Pad; negative widths crop."""
    if call.opset < 11:
        widths = call.get("pads" if call.opset > 1 else "paddings")
        value = call.get("value", 0.0)
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
    for axis, size in enumerate(x.shape):
        if is_unknown(low[axis] + high[axis]):
            x, low[axis], high[axis] = with_size(x, axis, size + low[axis] + high[axis]), 0, 0
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
    order = (0, 3, 5, 1, 2, 4) if call.get("mode", "DCR") == "DCR" else (0, 1, 3, 5, 2, 4)
    return ops.reshape(ops.transpose(parts, order), (n, c * b * b, h // b, w // b))


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
    first, last, by = (exact(number(x, "bounds")) for x in (start, limit, delta))
    if any(map(is_unknown, (first, last, by))):
        fractions = any(isinstance(x, float) for x in (first, last)) or not isinstance(by, int)
        count = new_size() if fractions else max(-((first - last) // by), 0)
    else:
        count = max(math.ceil((last - first) / by), 0) if by else 0
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
    count = exact(number(depth, "depth"))
    axis = axis_of(call.get("axis", -1), len(index.shape) + 1)
    index = ops.where(index < 0, index + count, index)
    positions = Tensor(p.iota("int64", (count,), 0))
    hit = ops.expand_dims(index, axis) == ops.reshape(
        positions, [-1 if i == axis else 1 for i in range(len(index.shape) + 1)]
    )
    return ops.where(hit, pair[1], pair[0])


WINDOWS = {"HannWindow": (0.5, 0.5), "HammingWindow": (25 / 46, 21 / 46), "BlackmanWindow": (0.42, 0.5, 0.08)}


@operator("HannWindow HammingWindow BlackmanWindow", tensors=0)
def window(call: Call, length: TensorLike) -> np.ndarray:
    """Return a sum of cosines over the length of a window."""
    count, dtype = int(number(length, "size")), dtype_of(call.get("output_datatype", 1))
    count_elements(count)
    angle = 2 * np.pi * np.arange(count) / max(count if call.get("periodic", 1) else count - 1, 1)
    terms = [(-1) ** i * factor * np.cos(i * angle) for i, factor in enumerate(WINDOWS[call.op])]
    return np.sum(terms, axis=0).astype(numpy_dtype(dtype))


@operator("MelWeightMatrix", tensors=0)
def mel_weights(call: Call, bins: Any, length: Any, rate: Any, low: Any, high: Any) -> np.ndarray:
    """Return triangles (length / 2 + 1, bins) over frequencies, evenly spaced on the mel scale."""
    count, size = int(number(bins, "num_mel_bins")), int(number(length, "dft_length"))
    edges = [2595 * np.log10(1 + number(x, "edge") / 700) for x in (low, high)]
    # The standard's formula divides the range by bins + 2, so that the last triangle ends before its edge.
    hertz = 700 * (10 ** (np.linspace(edges[0], edges[1], count + 2, endpoint=False) / 2595) - 1)
    count_elements(count * size)
    bin_of = np.floor((size + 1) * hertz / number(rate, "sample_rate")).astype("int64")
    at = np.arange(size // 2 + 1)[:, None]
    left, middle, right = bin_of[:-2], bin_of[1:-1], bin_of[2:]
    rising = (at - left) / np.maximum(middle - left, 1)
    falling = (right - at) / np.maximum(right - middle, 1)
    weights = np.clip(np.where(at < middle, rising, np.where(at > middle, falling, 1)), 0, 1)
    return weights.astype(numpy_dtype(dtype_of(call.get("output_datatype", 1))))


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


@operator("TfIdfVectorizer", tensors=0)
def tfidf(call: Call, x: TensorLike) -> Tensor:
    """Count runs of numbers or strings from a list, with up to some elements skipped, or weigh them."""
    mode, pool = call.get("mode", "TF"), np.array(call.get("pool_int64s", []), "int64")
    if strings := call.get("pool_strings", []):
        pool, x = as_numbers([np.array(strings, object), known(x, "text")])[1]
    x = as_tensor(x)
    shortest, longest = call.get("min_gram_length", 1), call.get("max_gram_length", 1)
    starts, places = [*call.get("ngram_counts", []), len(pool)], call.get("ngram_indexes", [])
    weights = np.array(call.get("weights") or [1.0] * len(places), "float32")
    skips, rows = call.get("max_skip_count", 0), x if len(x.shape) == 2 else ops.expand_dims(x, 0)
    counts = []
    for n, (start, stop) in enumerate(itertools.pairwise(starts), 1):
        grams = pool[start:stop].reshape(-1, n)
        total = ops.zeros((rows.shape[0], len(grams)), "float32")
        for skip in range(skips + 1 if n > 1 else 1) if shortest <= n <= longest else ():
            index = np.arange(max(rows.shape[1] - (n - 1) * (skip + 1), 0))[:, None] + np.arange(n) * (
                skip + 1
            )
            count_elements(index.size * len(grams))
            runs = ops.take(rows, index, axis=1)  # (rows, runs, n)
            same = ops.all(ops.expand_dims(runs, 2) == as_tensor(grams.astype(x.dtype)), axis=-1)
            total = total + ops.sum(ops.cast(same, "float32"), axis=1)
        counts.append(total)
    matches = ops.concatenate(counts, axis=1)
    matches = matches if mode == "TF" else ops.cast(matches > 0, "float32") if mode == "IDF" else matches
    order = np.argsort(places)
    y = ops.take(matches if mode == "TF" else matches * as_tensor(weights), order, axis=1)
    return y if len(x.shape) == 2 else y[0]
