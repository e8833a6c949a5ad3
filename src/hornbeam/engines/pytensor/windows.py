"""Products, convolutions and pools.

PyTensor's convolutions have no strides and no groups, so they are ours: products of windows that are laid out
in rows, so many at a time as stay in a cache.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytensor.tensor as pt
from pytensor.tensor.blas import BatchedDot

from hornbeam.engines.pytensor.ops import Array, Variable
from hornbeam.engines.table import Table
from hornbeam.ir.types import Shape
from hornbeam.primitives.contract import AxesPair, Padding

# -- products ------------------------------------------------------------------------------------------------

_batched_dot = BatchedDot()


def _dot_general(x: Variable, y: Variable, *, contract: AxesPair, batch: AxesPair) -> Variable:
    x_free = [a for a in range(x.ndim) if a not in contract[0] and a not in batch[0]]
    y_free = [a for a in range(y.ndim) if a not in contract[1] and a not in batch[1]]
    batches = [x.type.shape[a] for a in batch[0]]
    left, right = [x.type.shape[a] for a in x_free], [y.type.shape[a] for a in y_free]
    inner = math.prod(x.type.shape[a] for a in contract[0])
    count = [math.prod(batches)] if batches else []
    rows = pt.reshape(x.dimshuffle([*batch[0], *x_free, *contract[0]]), (*count, math.prod(left), inner))
    columns = y.dimshuffle([*batch[1], *contract[1], *y_free])
    columns = pt.reshape(columns, (*count, inner, math.prod(right)))
    product = (_batched_dot if batches else pt.dot)(rows, columns)
    shape = (*batches, *left, *right)
    return pt.reshape(product, shape, ndim=len(shape))


# -- convolutions --------------------------------------------------------------------------------------------

# Elements of the windows that are multiplied at once.
_CACHED = 1 << 20


class _Window:
    """The geometry of a kernel that slides over a padded input."""

    def __init__(
        self, image: Sequence[int], kernel: Sequence[int], strides: Shape, padding: Padding, dilation: Shape
    ) -> None:
        self.padding = ((0, 0), *padding, (0, 0))
        self.padded = [size + sum(pair) for size, pair in zip(image, self.padding, strict=True)]
        self.kernel = tuple(kernel)
        self.dilation = tuple(dilation)
        self.strides = tuple(strides)
        reaches = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
        sizes = zip(self.padded[1:-1], reaches, strides, strict=True)
        self.output = tuple(max((n - reach) // s + 1, 0) for n, reach, s in sizes)

    def pad(self, x: Array) -> Array:
        """x padded with zeros."""
        return np.pad(x, self.padding) if any(map(any, self.padding)) else x

    def inside(self, padded: Array) -> Array:
        """Remove the padding of `pad`."""
        sizes = zip(self.padded, self.padding, strict=True)
        return padded[tuple(slice(low, size - high) for size, (low, high) in sizes)]

    def taps(self) -> Iterator[tuple[tuple[int, ...], tuple[slice, ...]]]:
        """For each kernel position, the slices of the padded input that it is multiplied with."""
        for at in itertools.product(*map(range, self.kernel)):
            places = zip(at, self.output, self.strides, self.dilation, strict=True)
            spatial = (slice(k * d, k * d + (n - 1) * s + 1, s) for k, n, s, d in places)
            yield at, (slice(None), *spatial, slice(None))

    def rows(self, padded: Array, groups: int) -> Array:
        """Windows as the rows of a matrix for each group: (groups, N * outputs, kernel * channels)."""
        n, channels = padded.shape[0], padded.shape[-1] // groups
        shape = (*self.output, *self.kernel)
        steps = padded.strides[1:-1]
        moves = [s * step for s, step in zip(self.strides, steps, strict=True)]
        reaches = [d * step for d, step in zip(self.dilation, steps, strict=True)]
        last = padded.strides[-1]
        view = np.lib.stride_tricks.as_strided(
            padded,
            (groups, n, *shape, channels),
            (last * channels, padded.strides[0], *moves, *reaches, last),
            writeable=False,
        )
        return view.reshape(groups, n * math.prod(self.output), math.prod(self.kernel) * channels)

    def parts(self, n: int, row: int) -> Iterator[slice]:
        """Images that are computed at once, if a matrix has a row of so many numbers for each position."""
        size = max(1, _CACHED // max(1, math.prod(self.output) * row))
        return (slice(at, min(at + size, n)) for at in range(0, n, size))


def _by_group(w: Array, groups: int) -> Array:
    """A kernel (*K, C, O) as matrices (groups, K * C, O / groups)."""
    flat = w.reshape(math.prod(w.shape[:-1]), groups, w.shape[-1] // groups)
    return flat.transpose(1, 0, 2)


def _grouped(x: Array, groups: int) -> Array:
    """(..., C) as (groups, rows, C / groups)."""
    return x.reshape(math.prod(x.shape[:-1]), groups, x.shape[-1] // groups).transpose(1, 0, 2)


def _conv(x: Array, w: Array, *, groups: int, **sizes: Any) -> Array:
    window = _Window(x.shape, w.shape[:-2], **sizes)
    padded, weights = window.pad(x), _by_group(w, groups)
    out = np.empty((x.shape[0], *window.output, w.shape[-1]), x.dtype)
    if out.size:
        for part in window.parts(len(x), math.prod(w.shape[:-2]) * x.shape[-1]):
            products = np.matmul(window.rows(padded[part], groups), weights)
            out[part] = products.transpose(1, 0, 2).reshape(out[part].shape)
    return out


def _conv_input_grad(dy: Array, w: Array, *, input_shape: Shape, groups: int, **sizes: Any) -> Array:
    window = _Window(input_shape, w.shape[:-2], **sizes)
    total = np.zeros(window.padded, dy.dtype)
    if not dy.size:
        return window.inside(total)
    for part in window.parts(len(dy), max(w.shape[-1], input_shape[-1])):
        rows = _grouped(dy[part], groups)
        for at, places in window.taps():
            products = np.matmul(rows, _by_group(w[at], groups).swapaxes(1, 2))
            target = total[part][places]
            target += products.transpose(1, 0, 2).reshape(target.shape)
    return window.inside(total)


def _conv_kernel_grad(x: Array, dy: Array, *, kernel_shape: Shape, groups: int, **sizes: Any) -> Array:
    window = _Window(x.shape, kernel_shape[:-2], **sizes)
    padded = window.pad(x)
    total = np.zeros((groups, math.prod(kernel_shape[:-1]), kernel_shape[-1] // groups), x.dtype)
    if dy.size:
        for part in window.parts(len(x), math.prod(kernel_shape[:-2]) * x.shape[-1]):
            total += np.matmul(window.rows(padded[part], groups).swapaxes(1, 2), _grouped(dy[part], groups))
    return total.transpose(1, 0, 2).reshape(kernel_shape)


# -- pools ---------------------------------------------------------------------------------------------------


def _around(shape: Sequence[int], window: Shape, strides: Shape, padding: Padding) -> _Window:
    return _Window(shape, window, strides, padding, (1,) * len(window))


def _views(window: _Window, padded: Array) -> list[Array]:
    """For each position in the window the elements that it meets."""
    return [padded[places] for _, places in window.taps()] if 0 not in window.output else []


def _filled(window: _Window, x: Array, value: float) -> Array:
    if not any(map(any, window.padding)):
        return x
    return np.pad(x, window.padding, constant_values=value)


def _max_pool(x: Array, **sizes: Any) -> Array:
    around = _around(x.shape, **sizes)
    out = np.full((x.shape[0], *around.output, x.shape[-1]), -np.inf, x.dtype)
    for view in _views(around, _filled(around, x, -np.inf)):
        np.maximum(out, view, out=out)
    return out


def _choices(x: Array, around: _Window) -> Array:
    """For each window the position of its first largest element, NaN before all; -1 where all is padding."""
    chosen = np.full((x.shape[0], *around.output, x.shape[-1]), -1, np.int32)
    best = np.zeros(chosen.shape, x.dtype)
    real = _views(around, _filled(around, np.ones(x.shape, bool), 0))
    for position, (view, here) in enumerate(zip(_views(around, around.pad(x)), real, strict=True)):
        take = ((~(view <= best) & (best == best)) | (chosen < 0)) & here
        np.copyto(best, view, where=take)
        np.copyto(chosen, np.int32(position), where=take)
    return chosen


def _max_pool_gather(x: Array, t: Array, **sizes: Any) -> Array:
    around = _around(x.shape, **sizes)
    chosen, out = _choices(x, around), np.zeros((x.shape[0], *around.output, x.shape[-1]), t.dtype)
    for position, view in enumerate(_views(around, around.pad(t))):
        np.copyto(out, view, where=chosen == position)
    return out


def _max_pool_scatter(x: Array, dy: Array, **sizes: Any) -> Array:
    around = _around(x.shape, **sizes)
    chosen, total = _choices(x, around), np.zeros(around.padded, dy.dtype)
    for position, view in enumerate(_views(around, total)):
        view += np.where(chosen == position, dy, dy.dtype.type(0))
    return around.inside(total)


def _sum_pool(x: Array, **sizes: Any) -> Array:
    around = _around(x.shape, **sizes)
    out = np.zeros((x.shape[0], *around.output, x.shape[-1]), x.dtype)
    for view in _views(around, around.pad(x)):
        out += view
    return out


def _sum_pool_grad(dy: Array, *, input_shape: Shape, **sizes: Any) -> Array:
    around = _around(input_shape, **sizes)
    total = np.zeros(around.padded, dy.dtype)
    for view in _views(around, total):
        view += dy
    return around.inside(total)


EXPRESSIONS: Table = {"dot_general": _dot_general}
FUNCTIONS: Table = {
    "conv": _conv,
    "conv_input_grad": _conv_input_grad,
    "conv_kernel_grad": _conv_kernel_grad,
    "max_pool": _max_pool,
    "max_pool_gather": _max_pool_gather,
    "max_pool_scatter": _max_pool_scatter,
    "sum_pool": _sum_pool,
    "sum_pool_grad": _sum_pool_grad,
}
