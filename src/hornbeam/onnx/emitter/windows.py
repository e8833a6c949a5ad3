"""Products, convolutions and pools as ONNX nodes.

ONNX's own Conv wants channels first and float32. What it does not do is written as a sum over the kernel's
positions, the taps: for each, the places of the padded input that it meets.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hornbeam.ir.sizes import is_unknown
from hornbeam.ir.types import Shape
from hornbeam.onnx.emitter.elementwise import widened
from hornbeam.onnx.emitter.emit import Functions
from hornbeam.onnx.emitter.kernels import compute_dtype
from hornbeam.onnx.emitter.moves import concatenate, pad, slice_axes, slice_axis
from hornbeam.onnx.emitter.values import Value, broadcast, elementwise, reshape, transpose, where, zeros
from hornbeam.primitives.contract import AxesPair

Padding = Sequence[tuple[int, int]]


# -- products ------------------------------------------------------------------------------------------------


def _free(rank: int, *used: Sequence[int]) -> tuple[int, ...]:
    return tuple(a for a in range(rank) if not any(a in axes for axes in used))


def _matrix(x: Value, rows: Sequence[int], columns: Sequence[int]) -> tuple[Value, bool]:
    """x as a matrix of the given axes, and whether it is that matrix transposed: x is then not moved."""
    shape = [math.prod(x.shape[a] for a in axes) for axes in (rows, columns)]
    if [*columns, *rows] == list(range(x.rank)) and [*rows, *columns] != list(range(x.rank)):
        return reshape(x, (shape[1], shape[0])), True
    return reshape(transpose(x, [*rows, *columns]), (shape[0], shape[1])), False


def dot(x: Value, y: Value, *, contract: AxesPair, batch: AxesPair) -> Value:
    """See `dot_general`."""
    x_free, y_free = _free(x.rank, contract[0], batch[0]), _free(y.rank, contract[1], batch[1])
    batches = [x.shape[a] for a in batch[0]]
    left, right = [x.shape[a] for a in x_free], [y.shape[a] for a in y_free]
    shape = (*batches, *left, *right)
    inner = math.prod(x.shape[a] for a in contract[0])
    if not inner or not math.prod(shape):
        return zeros(x, shape)
    work = compute_dtype("MatMul", x.dtype)
    a, b = x.cast(work), y.cast(work)
    rows, columns = math.prod(left), math.prod(right)
    if not batches and a.floating:
        (first, turned), (second, straight) = _matrix(a, x_free, contract[0]), _matrix(b, y_free, contract[1])
        flags: dict[str, Any] = {"transA": int(turned), "transB": int(not straight)}
        result = x.emitter.node(
            "Gemm", [first.contiguous(), second.contiguous()], work, (rows, columns), **flags
        )
        return reshape(result, shape).cast(x.dtype)
    lead = tuple(batches)
    first = reshape(transpose(a, [*batch[0], *x_free, *contract[0]]), (*lead, rows, inner)).contiguous()
    second = reshape(transpose(b, [*batch[1], *contract[1], *y_free]), (*lead, inner, columns)).contiguous()
    result = x.emitter.node("MatMul", [first, second], work, (*lead, rows, columns))
    return reshape(result, shape).cast(x.dtype)


def reduce_sum(x: Value, axes: Sequence[int]) -> Value:
    """The sum of floats over `axes`."""
    kept = tuple(n for a, n in enumerate(x.shape) if a not in axes)
    return x.emitter.node("ReduceSum", [x.contiguous(), x.emitter.ints(axes)], x.dtype, kept, keepdims=0)


# -- taps ----------------------------------------------------------------------------------------------------


def _pad_widths(padding: Padding) -> tuple[list[int], list[int]]:
    return [0, *(low for low, _ in padding), 0], [0, *(high for _, high in padding), 0]


def _padded(x: Value, padding: Padding, value: float = 0) -> Value:
    low, high = _pad_widths(padding)
    return pad(x, x.like(value), low, high, [0] * x.rank)


def _inside(x: Value, padding: Padding) -> Value:
    """The padded x without its padding."""
    low, high = _pad_widths(padding)
    return pad(x, x.like(0), [-n for n in low], [-n for n in high], [0] * x.rank)


def _tap(x: Value, at: Sequence[int], output: Sequence[int], strides: Sequence[int]) -> Value:
    """The elements of the padded x at one position of the window, on the axes after the first."""
    start, steps = [0, *at], [1, *strides]
    stop = [x.shape[0], *(k + (n - 1) * s + 1 for k, n, s in zip(at, output, strides, strict=True))]
    rest = x.shape[len(start) :]
    return slice_axes(x, [*start, *(0 for _ in rest)], [*stop, *rest], [*steps, *(1 for _ in rest)])


def _untap(part: Value, at: Sequence[int], spatial: Sequence[int], strides: Sequence[int]) -> Value:
    """The transpose of `_tap`: zeros of the padded x's size, but for `part`."""
    low = [0, *at, 0]
    ends = (k + (n - 1) * s + 1 for k, n, s in zip(at, part.shape[1:-1], strides, strict=True))
    high = [0, *(size - end for size, end in zip(spatial, ends, strict=True)), 0]
    return pad(part, part.like(0), low, high, [0, *(s - 1 for s in strides), 0])


def _offsets(kernel: Sequence[int], dilation: Sequence[int]) -> list[tuple[int, ...]]:
    """Start of each kernel position, in row-major order."""
    return list(itertools.product(*(range(0, k * d, d) for k, d in zip(kernel, dilation, strict=True))))


def _total(parts: list[Value]) -> Value:
    return sum(parts[1:], parts[0])


def _padded_sizes(spatial: Sequence[int], padding: Padding) -> list[int]:
    return [n + low + high for n, (low, high) in zip(spatial, padding, strict=True)]


# -- convolution ---------------------------------------------------------------------------------------------


def _first(x: Value) -> Value:
    """(N, *S, C) as (N, C, *S)."""
    return transpose(x, (0, x.rank - 1, *range(1, x.rank - 1)))


def _last(x: Value) -> Value:
    return transpose(x, (0, *range(2, x.rank), 1))


def _kernel(w: Value) -> Value:
    """(*K, I, O) as (O, I, *K)."""
    return transpose(w, (w.rank - 1, w.rank - 2, *range(w.rank - 2)))


def _output(x: Shape, w: Shape, strides: Shape, padding: Padding, dilation: Shape) -> tuple[int, ...]:
    sizes = zip(_padded_sizes(x[1:-1], padding), w[:-2], strides, dilation, strict=True)
    return tuple(max((n - d * (k - 1) - 1) // s + 1, 0) for n, k, s, d in sizes)


def _is_known(padding: Padding) -> bool:
    """True if the padding is known, so that it can be an attribute of a node."""
    return not any(is_unknown(n) for pair in padding for n in pair)


def _window(strides: Shape, padding: Padding, dilation: Shape, groups: int) -> dict[str, Any]:
    pads = [low for low, _ in padding] + [high for _, high in padding]
    return {"strides": list(strides), "pads": pads, "dilations": list(dilation), "group": groups}


def _grouped(x: Value, groups: int) -> Value:
    """(..., C) as (..., groups, C / groups)."""
    return reshape(x, (*x.shape[:-1], groups, x.shape[-1] // groups))


def _weights(w: Value, number: int, groups: int) -> Value:
    """The kernel at one position: (I, groups, O / groups)."""
    flat = reshape(w, (math.prod(w.shape[:-2]), *w.shape[-2:]))
    return reshape(slice_axis(flat, 0, number, number + 1), (w.shape[-2], groups, w.shape[-1] // groups))


def _ungrouped(x: Value) -> Value:
    """(groups, ..., C / groups) as (..., C)."""
    turned = transpose(x, (*range(1, x.rank - 1), 0, x.rank - 1))
    return reshape(turned, (*turned.shape[:-2], turned.shape[-2] * turned.shape[-1]))


def conv(
    x: Value, w: Value, *bias: Value, strides: Shape, padding: Padding, dilation: Shape, groups: int
) -> Value:
    """The convolution of float32, with a bias or without, or without of other floats."""
    spatial = _output(x.shape, w.shape, strides, padding, dilation)
    shape = (x.shape[0], *spatial, w.shape[-1])
    if not math.prod(shape) or not x.size:
        return zeros(x, shape)
    if x.dtype == "float32":
        if not _is_known(padding):
            x, padding = _padded(x, padding), [(0, 0)] * len(padding)
        nchw = (shape[0], shape[-1], *spatial)
        window = _window(strides, padding, dilation, groups)
        operands = [_first(x).contiguous(), _kernel(w).contiguous(), *bias]
        return _last(x.emitter.node("Conv", operands, "float32", nchw, **window))
    padded, last = _padded(x, padding), x.rank
    return _total(
        [
            _ungrouped(
                dot(
                    _grouped(_tap(padded, at, spatial, strides), groups),
                    _weights(w, number, groups),
                    contract=((last,), (0,)),
                    batch=((last - 1,), (1,)),
                )
            )
            for number, at in enumerate(_offsets(w.shape[:-2], dilation))
        ]
    )


def conv_transpose(
    dy: Value,
    w: Value,
    *bias: Value,
    input_shape: Shape,
    strides: Shape,
    padding: Padding,
    dilation: Shape,
    groups: int,
) -> Value:
    """The transposed convolution, with a bias or without."""
    if not dy.size or not math.prod(input_shape):
        return zeros(dy, input_shape)
    padded_sizes = _padded_sizes(input_shape[1:-1], padding)
    if dy.dtype == "float32" and set(strides) == {1} and _is_flippable(w, padding, dilation):
        return _conv_flipped(dy, w, *bias, padding=padding, dilation=dilation, groups=groups)
    sizes = zip(dy.shape[1:-1], strides, w.shape[:-2], dilation, strict=True)
    reached = [(n - 1) * s + (k - 1) * d + 1 for n, s, k, d in sizes]
    missing = [size - n for size, n in zip(padded_sizes, reached, strict=True)]
    if dy.dtype == "float32" and _is_known(padding) and not any(map(is_unknown, missing)):
        pads = [(low, max(high - m, 0)) for (low, high), m in zip(padding, missing, strict=True)]
        extra = [max(m - high, 0) for (_, high), m in zip(padding, missing, strict=True)]
        shape = (input_shape[0], input_shape[-1], *input_shape[1:-1])
        result = dy.emitter.node(
            "ConvTranspose", [_first(dy).contiguous(), _kernel(w).contiguous(), *bias], "float32", shape,
            **_window(strides, pads, dilation, groups), output_padding=extra,
        )  # fmt: skip
        return _last(result)
    last = dy.rank
    parts = [
        _untap(
            _ungrouped(
                dot(
                    _grouped(dy, groups),
                    _weights(w, number, groups),
                    contract=((last,), (2,)),
                    batch=((last - 1,), (1,)),
                )
            ),
            at,
            padded_sizes,
            strides,
        )
        for number, at in enumerate(_offsets(w.shape[:-2], dilation))
    ]
    result = _inside(_total(parts), padding)
    return result + broadcast(bias[0], result.shape, (result.rank - 1,)) if bias else result


def _is_flippable(w: Value, padding: Padding, dilation: Shape) -> bool:
    reach = [d * (k - 1) for k, d in zip(w.shape[:-2], dilation, strict=True)]
    return all(max(pair) <= n for pair, n in zip(padding, reach, strict=True))


def _conv_flipped(dy: Value, w: Value, *bias: Value, padding: Padding, dilation: Shape, groups: int) -> Value:
    """With steps of 1 it is a convolution with the kernel turned round, which runs faster."""
    axes = range(w.rank - 2)
    backwards = slice_axes(
        w,
        [*(w.shape[a] - 1 for a in axes), 0, 0],
        [*(-1 for _ in axes), *w.shape[-2:]],
        [*(-1 for _ in axes), 1, 1],
    )
    swapped = transpose(_grouped(backwards, groups), (*axes, w.rank, w.rank - 1, w.rank - 2))
    turned = reshape(swapped, (*w.shape[:-2], w.shape[-1] // groups, groups * w.shape[-2]))
    reach = [d * (k - 1) for k, d in zip(w.shape[:-2], dilation, strict=True)]
    pads = [(n - low, n - high) for (low, high), n in zip(padding, reach, strict=True)]
    return conv(dy, turned, *bias, strides=(1,) * len(reach), padding=pads, dilation=dilation, groups=groups)


def _conv_kernel_grad(
    x: Value,
    dy: Value,
    *,
    kernel_shape: Shape,
    strides: Shape,
    padding: Padding,
    dilation: Shape,
    groups: int,
) -> Value:
    """Sum over samples of the product of patches, (taps x channels, positions), and cotangents."""
    if not dy.size or not x.size:
        return zeros(x, kernel_shape)
    offsets, spatial, count = _offsets(kernel_shape[:-2], dilation), dy.shape[1:-1], x.shape[0]
    if kernel_shape[-2] == 1 and kernel_shape[-1] == groups:
        padded, over = _padded(x, padding), tuple(range(x.rank - 1))
        rows = [reduce_sum(_tap(padded, at, spatial, strides) * dy, over) for at in offsets]
        return reshape(concatenate(rows, 0), kernel_shape)
    places, depth = math.prod(spatial), kernel_shape[-2]
    low, high = ([0, *amounts[:-1]] for amounts in _pad_widths(padding))
    padded = pad(_first(x), x.like(0), low, high, [0] * x.rank)
    output, steps, shape = (x.shape[-1], *spatial), (1, *strides), (count, groups, depth, places)
    taps = [reshape(_tap(padded, (0, *at), output, steps), shape) for at in offsets]
    patches = concatenate(taps, 2)
    cotangents = transpose(reshape(dy, (count, places, groups, dy.shape[-1] // groups)), (0, 2, 1, 3))
    products = reduce_sum(dot(patches, cotangents, contract=((3,), (2,)), batch=((0, 1), (0, 1))), (0,))
    apart = reshape(products, (groups, len(offsets), depth, dy.shape[-1] // groups))
    return reshape(transpose(apart, (1, 2, 0, 3)), kernel_shape)


# -- pools ---------------------------------------------------------------------------------------------------


def _pooled(x: Value, window: Sequence[int], strides: Sequence[int], padding: Padding) -> tuple[int, ...]:
    sizes = zip(_padded_sizes(x.shape[1:-1], padding), window, strides, strict=True)
    return tuple(max((n - k) // s + 1, 0) for n, k, s in sizes)


def _views(
    x: Value, *, window: Sequence[int], strides: Sequence[int], padding: Padding, value: float
) -> list[Value]:
    """For every position of the window, what it meets of the padded x."""
    output = _pooled(x, window, strides, padding)
    padded = _padded(x, padding, value)
    return [_tap(padded, at, output, strides) for at in _offsets(window, [1] * len(window))]


def pool(
    operator: str,
    x: Value,
    *,
    window: Shape,
    strides: Shape,
    padding: Padding,
    attributes: Mapping[str, int] | None = None,
) -> Value:
    """ONNX's own pool. NaN is lost there, where the largest of a window is sought."""
    shape = (x.shape[0], x.shape[-1], *_pooled(x, window, strides, padding))
    pads = [low for low, _ in padding] + [high for _, high in padding]
    options: dict[str, Any] = {
        "kernel_shape": list(window),
        "strides": list(strides),
        "pads": pads,
        **(attributes or {}),
    }
    return _last(x.emitter.node(operator, [_first(x).contiguous()], x.dtype, shape, **options))


def _empty(x: Value, window: dict[str, Any]) -> Value | None:
    shape = (x.shape[0], *_pooled(x, **window), x.shape[-1])
    return None if math.prod(shape) else zeros(x, shape)


def _folded(operator: str, value: float) -> Any:
    """A pool that combines the elements of each window, one axis after the other."""

    def pool(x: Value, **window: Any) -> Value:
        nothing = _empty(x, window)
        if nothing is not None:
            return nothing
        padded = _padded(x, window["padding"], value)
        for axis, (size, stride) in enumerate(zip(window["window"], window["strides"], strict=True)):
            sizes, steps = [1] * len(window["window"]), [1] * len(window["window"])
            sizes[axis], steps[axis] = size, stride
            none = [(0, 0)] * len(sizes)
            views = _views(padded, window=sizes, strides=steps, padding=none, value=value)
            padded = views[0]
            for view in views[1:]:
                padded = elementwise(operator, padded, view)
        return padded

    return pool


_max_pool = _folded("Max", -math.inf)


def _choices(x: Value, window: dict[str, Any]) -> list[Value]:
    """For every window position, a mask of the windows whose first maximum it is; NaN comes first."""
    largest = _max_pool(x, **window)
    views = _views(x, **window, value=-math.inf)
    real = None
    if not all(n == 0 for pair in window["padding"] for n in pair):
        inside = x.emitter.constant(np.array(True), "bool")
        real = _views(broadcast(inside, (1, *x.shape[1:-1], 1), ()), **window, value=0)
    chosen, earlier = [], None
    for number, view in enumerate(views):
        hit = view.equals(largest) | view.mapped("IsNaN", "bool")
        if real is not None:
            hit = hit & real[number]
        chosen.append(hit if earlier is None else hit & ~earlier)
        earlier = hit if earlier is None else earlier | hit
    return chosen


def _max_pool_gather(x: Value, t: Value, **window: Any) -> Value:
    nothing = _empty(x, window)
    if nothing is not None:
        return nothing
    out = zeros(t, (x.shape[0], *_pooled(x, **window), x.shape[-1]))
    for chosen, view in zip(_choices(x, window), _views(t, **window, value=0), strict=True):
        out = where(chosen, view, out)
    return out


def _overlap_add(parts: list[Value], like: Shape, window: Shape, strides: Shape, padding: Padding) -> Value:
    """The transpose of `_views`: one part for every position of the window, summed where windows meet."""
    offsets = _offsets(window, [1] * len(window))
    padded_sizes = _padded_sizes(like[1:-1], padding)
    if tuple(window) != tuple(strides):
        apart = [_untap(x, at, padded_sizes, strides) for x, at in zip(parts, offsets, strict=True)]
        return _inside(_total(apart), padding)
    # Disjoint windows tile the input: their rows are joined, beginning with the last axis.
    n, *output, channels = parts[0].shape
    inner = channels
    for size, count in zip(reversed(window), reversed(output), strict=True):
        rows = [reshape(x, (x.size // (count * inner), count, inner)) for x in parts]
        rows = [
            reshape(concatenate(rows[i : i + size], 2), (rows[0].shape[0], count * size * inner))
            for i in range(0, len(rows), size)
        ]
        parts, inner = rows, count * size * inner
    filled = [count * size for count, size in zip(output, window, strict=True)]
    joined = reshape(parts[0], (n, *filled, channels))
    low = [0, *(-low for low, _ in padding), 0]
    high = [0, *(a - b - high for a, b, (_, high) in zip(padded_sizes, filled, padding, strict=True)), 0]
    return pad(joined, joined.like(0), low, high, [0] * joined.rank)


def _max_pool_scatter(x: Value, dy: Value, **window: Any) -> Value:
    if not dy.size:
        return zeros(x, x.shape)
    parts = [where(chosen, dy, 0).contiguous() for chosen in _choices(x, window)]
    return _overlap_add(parts, x.shape, **window)


def _sum_pool_grad(dy: Value, *, input_shape: Shape, **window: Any) -> Value:
    if not dy.size:
        return zeros(dy, input_shape)
    if all(n == 1 for n in dy.shape[1:-1]) and tuple(window["window"]) == tuple(input_shape[1:-1]):
        return broadcast(reshape(dy, (dy.shape[0], dy.shape[-1])), input_shape, (0, len(input_shape) - 1))
    count = math.prod(window["window"])
    return _overlap_add([dy.contiguous()] * count, input_shape, **window)


WINDOWS: Functions = {
    "dot_general": dot,
    "conv": widened(conv),
    "conv_input_grad": widened(conv_transpose),
    "conv_kernel_grad": widened(_conv_kernel_grad),
    "max_pool": widened(_max_pool),
    "max_pool_gather": widened(_max_pool_gather),
    "max_pool_scatter": widened(_max_pool_scatter),
    "sum_pool": widened(_folded("Add", 0)),
    "sum_pool_grad": widened(_sum_pool_grad),
}
