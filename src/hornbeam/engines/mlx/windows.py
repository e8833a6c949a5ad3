"""Products, convolutions and pools."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import mlx.core as mx

from hornbeam.engines.mlx.arrays import lowest
from hornbeam.engines.mlx.elementwise import Array, is_float, wide, widened
from hornbeam.engines.table import Table
from hornbeam.ir.types import Shape
from hornbeam.primitives.contract import AxesPair, Padding, conv_output_size

# -- products ------------------------------------------------------------------------------------------------

_LIMB = 16  # bits; sums of up to 2^21 products of two limbs are exact in float64
_LONGEST = 1 << 21


def _dot(x: Array, y: Array, *, contract: AxesPair, batch: AxesPair) -> Array:
    x_free = [a for a in range(x.ndim) if a not in contract[0] and a not in batch[0]]
    y_free = [a for a in range(y.ndim) if a not in contract[1] and a not in batch[1]]
    batches = [x.shape[a] for a in batch[0]]
    left, right = [x.shape[a] for a in x_free], [y.shape[a] for a in y_free]
    inner = math.prod(x.shape[a] for a in contract[0])
    shape = [*batches, *left, *right]
    if not inner or not math.prod(shape):
        return mx.zeros(shape, x.dtype)
    n = [math.prod(batches)] if batches else []
    rows = _moved(x, [*batch[0], *x_free, *contract[0]]).reshape([*n, math.prod(left), inner])
    columns = _moved(y, [*batch[1], *contract[1], *y_free]).reshape([*n, inner, math.prod(right)])
    product = mx.matmul(rows, columns) if is_float(x) else _integer_product(rows, columns)
    return product.reshape(shape)


def _moved(x: Array, perm: list[int]) -> Array:
    return mx.transpose(x, perm) if perm else x


def _integer_product(x: Array, y: Array) -> Array:
    """Multiply matrices of integers, which MLX does not, by products of their parts in float64."""
    if x.shape[-1] > _LONGEST:
        head = _integer_product(x[..., :_LONGEST], y[..., :_LONGEST, :])
        return head + _integer_product(x[..., _LONGEST:], y[..., _LONGEST:, :])
    limbs = max(1, 8 * x.itemsize // _LIMB)

    def parts(z: Array) -> list[Array]:
        bits = z.astype(mx.int64).view(mx.uint64)
        return [((bits >> (_LIMB * i)) & 0xFFFF).astype(mx.float64) for i in range(limbs)]

    total = mx.array(0, mx.uint64)
    for (i, a), (j, b) in itertools.product(enumerate(parts(x)), enumerate(parts(y))):
        if i + j < limbs:  # the others only change bits that wrap around
            total = total + (mx.matmul(a, b).astype(mx.uint64) << (_LIMB * (i + j)))
    return total.astype(x.dtype)


# -- convolutions --------------------------------------------------------------------------------------------


def _kernel(w: Array) -> Array:
    """View (*K, I, O) as (O, *K, I)."""
    return mx.moveaxis(w, -1, 0)


def _conv(x: Array, w: Array, *, strides: Shape, padding: Padding, dilation: Shape, groups: int) -> Array:
    outputs = _output_sizes(x.shape, w.shape[:-2], strides, padding, dilation)
    if not x.shape[0] or 0 in outputs:
        return mx.zeros((x.shape[0], *outputs, w.shape[-1]), x.dtype)
    low, high = ([pair[side] for pair in padding] for side in (0, 1))
    return _convolution(
        x, _kernel(w), groups, stride=list(strides), padding=(low, high), kernel_dilation=list(dilation)
    )


def _convolution(x: Array, w: Array, groups: int, **options: Any) -> Array:
    """Convolve x (N, *S, I) with w (O, *K, I / groups). MLX has no groups over three axes."""
    if groups == 1 or x.ndim < 5:
        return mx.conv_general(x, w, groups=groups, **options)
    parts = zip(mx.split(x, groups, -1), mx.split(w, groups, 0), strict=True)
    return mx.concatenate([mx.conv_general(*part, **options) for part in parts], -1)


def _output_sizes(
    image: Sequence[int], kernel: Sequence[int], strides: Shape, padding: Padding, dilation: Shape
) -> list[int]:
    return list(map(conv_output_size, image[1:-1], kernel, strides, padding, dilation))


def _conv_input_grad(
    dy: Array, w: Array, *, input_shape: Shape, strides: Shape, padding: Padding, dilation: Shape, groups: int
) -> Array:
    if not dy.size:
        return mx.zeros(input_shape, dy.dtype)
    *kernel, inner, outer = w.shape
    # Channels of x and of dy change places in each group: (*K, I, G * O) to (G * I, *K, O).
    turned = w.reshape(*kernel, inner, groups, outer // groups)
    turned = mx.moveaxis(turned, -2, 0)  # G, *K, I, O
    turned = mx.moveaxis(turned, -2, 1).reshape(groups * inner, *kernel, outer // groups)
    low, high = [], []
    sizes = zip(input_shape[1:-1], dy.shape[1:-1], kernel, strides, padding, dilation, strict=True)
    for size, out, k, stride, (before, _), d in sizes:
        reach = d * (k - 1)
        low.append(reach - before)
        high.append(size + before - ((out - 1) * stride + 1))
    # Negative padding crops what convolutions of MLX do not: the ends of the result.
    cut = [max(-n, 0) for n in low]
    grown = _convolution(
        dy, turned, groups, stride=1, padding=([max(n, 0) for n in low], [max(n, 0) for n in high]),
        kernel_dilation=list(dilation), input_dilation=list(strides), flip=True,
    )  # fmt: skip
    ends = zip(cut, input_shape[1:-1], strict=True)
    inside = (slice(None), *(slice(c, c + n) for c, n in ends))
    return grown[inside]


def _conv_kernel_grad(
    x: Array,
    dy: Array,
    *,
    kernel_shape: Shape,
    strides: Shape,
    padding: Padding,
    dilation: Shape,
    groups: int,
) -> Array:
    if not dy.size:
        return mx.zeros(kernel_shape, x.dtype)
    padded = mx.pad(x, [(0, 0), *padding, (0, 0)])
    n, channels = x.shape[0], x.shape[-1] // groups
    outputs = math.prod(dy.shape[1:-1])
    cotangent = dy.reshape(n * outputs, groups, kernel_shape[-1] // groups).transpose(1, 0, 2)
    taps = []
    for positions in _taps(kernel_shape[:-2], dy.shape[1:-1], strides, dilation):
        patch = padded[positions].reshape(n * outputs, groups, channels).transpose(1, 2, 0)
        taps.append(mx.matmul(patch, cotangent).transpose(1, 0, 2))
    return mx.stack(taps).reshape(kernel_shape)


# -- pools ---------------------------------------------------------------------------------------------------


def _taps(
    window: Sequence[int], outputs: Sequence[int], strides: Shape, dilation: Shape
) -> Iterator[tuple[slice, ...]]:
    """Yield, for every position in the window, the elements of a padded (N, *S, C) that it meets."""
    for at in itertools.product(*map(range, window)):
        places = zip(at, outputs, strides, dilation, strict=True)
        spatial = (slice(k * d, k * d + (n - 1) * s + 1, s) for k, n, s, d in places)
        yield (slice(None), *spatial, slice(None))


class _Pool:
    """The places of a window of a pool over x of a shape (N, *S, C)."""

    def __init__(self, shape: Sequence[int], window: Shape, strides: Shape, padding: Padding) -> None:
        ones = (1,) * len(window)
        self.shape, self.padding = shape, padding
        outputs = _output_sizes(shape, window, strides, padding, ones)
        self.out_shape = (shape[0], *outputs, shape[-1])
        self.taps = list(_taps(window, outputs, strides, ones)) if 0 not in outputs else []

    def views(self, x: Array, value: Any) -> list[Array]:
        """Return the elements at each position of the window, of x padded with `value`."""
        padded = self.pad(x, value)
        return [padded[places] for places in self.taps]

    def pad(self, x: Array, value: Any) -> Array:
        if not any(map(any, self.padding)):
            return x
        return mx.pad(x, [(0, 0), *self.padding, (0, 0)], constant_values=mx.array(value, x.dtype))

    def collect(self, parts: Sequence[Array]) -> Array:
        """Add a part for each position to the elements that it meets."""
        total = self.pad(mx.zeros(self.shape, parts[0].dtype if parts else mx.float32), 0)
        for places, part in zip(self.taps, parts, strict=True):
            total = total.at[places].add(part)
        ends = zip(self.shape[1:-1], self.padding, strict=True)
        inside = (slice(None), *(slice(low, low + n) for n, (low, _) in ends))
        return total[inside]

    def choices(self, x: Array) -> list[Array]:
        """Return, for each position, where it has the first largest element: NaN first, padding never."""
        real = self.views(mx.ones(x.shape, mx.bool_), False)
        best, chosen = mx.zeros(self.out_shape, x.dtype), mx.full(self.out_shape, -1, mx.int32)
        for position, (value, inside) in enumerate(zip(self.views(x, 0), real, strict=True)):
            larger = (value > best) | (mx.isnan(value) & ~mx.isnan(best))
            take = inside & ((chosen < 0) | larger)
            best, chosen = mx.where(take, value, best), mx.where(take, position, chosen)
        return [chosen == position for position in range(len(self.taps))]


def _max_pool(x: Array, **window: Any) -> Array:
    pool = _Pool(x.shape, **window)
    out = mx.full(pool.out_shape, lowest(x.dtype), x.dtype)
    for view in pool.views(x, lowest(x.dtype)):
        out = mx.maximum(out, view)
    return out


def _max_pool_gather(x: Array, t: Array, **window: Any) -> Array:
    pool = _Pool(x.shape, **window)
    out = mx.zeros(pool.out_shape, t.dtype)
    for chosen, view in zip(pool.choices(x), pool.views(t, 0), strict=True):
        out = mx.where(chosen, view, out)
    return out


def _max_pool_scatter(x: Array, dy: Array, **window: Any) -> Array:
    pool = _Pool(x.shape, **window)
    zero, wide_dy = mx.array(0, wide(dy).dtype), wide(dy)
    return pool.collect([mx.where(chosen, wide_dy, zero) for chosen in pool.choices(x)]).astype(x.dtype)


def _sum_pool(x: Array, **window: Any) -> Array:
    pool = _Pool(x.shape, **window)
    out = mx.zeros(pool.out_shape, x.dtype)
    for view in pool.views(x, 0):
        out = out + view
    return out


def _sum_pool_grad(dy: Array, *, input_shape: Shape, **window: Any) -> Array:
    pool = _Pool(input_shape, **window)
    return pool.collect([dy] * len(pool.taps)).astype(dy.dtype)


CONTRACT: Table = {
    "dot_general": widened(_dot),
    "conv": widened(_conv),
    "conv_input_grad": widened(_conv_input_grad),
    "conv_kernel_grad": widened(_conv_kernel_grad),
    "max_pool": _max_pool,
    "max_pool_gather": _max_pool_gather,
    "max_pool_scatter": _max_pool_scatter,
    "sum_pool": widened(_sum_pool),
    "sum_pool_grad": widened(_sum_pool_grad),
}
