"""Contractions: dot_general and the three convolutions, which are each other's derivatives.

float16 and bfloat16 accumulate in float32 and are rounded once. Integers wrap.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from hornbeam.ir.node import Node
from hornbeam.ir.primitive import Sample, bind, movement_bytes, primitive
from hornbeam.ir.sizes import merged_size, same_shape
from hornbeam.ir.types import FLOATS, NUMERIC, HornbeamTypeError, Shape, ShapeError, TensorType
from hornbeam.primitives.numerics import Array, rounded
from hornbeam.primitives.shape import transpose

__all__ = ["conv", "conv_input_grad", "conv_kernel_grad", "dot_general"]

Axes = tuple[int, ...]
AxesPair = tuple[Axes, Axes]
Padding = tuple[tuple[int, int], ...]


# ---------------------------------------------------------------- dot_general


def _free(rank: int, *used: Axes) -> Axes:
    return tuple(axis for axis in range(rank) if not any(axis in axes for axes in used))


def _dot_type(x: TensorType, y: TensorType, *, contract: AxesPair, batch: AxesPair) -> TensorType:
    if x.dtype != y.dtype:
        raise HornbeamTypeError(f"dot_general needs operands of one dtype, got {x} and {y}")
    for operand, contracted, batched in ((x, contract[0], batch[0]), (y, contract[1], batch[1])):
        axes = contracted + batched
        if len(set(axes)) != len(axes) or any(not 0 <= axis < operand.rank for axis in axes):
            raise ShapeError(f"dot_general of {operand} needs distinct axes below {operand.rank}, got {axes}")
    for role, (left, right) in (("contract", contract), ("batch", batch)):
        if not same_shape([x.shape[a] for a in left], [y.shape[a] for a in right]):
            raise ShapeError(f"dot_general of {x} and {y}: {role} axes {left} and {right} differ in size")
    batches = tuple(merged_size(x.shape[a], y.shape[b]) for a, b in zip(*batch, strict=True))
    left = tuple(x.shape[axis] for axis in _free(x.rank, contract[0], batch[0]))
    right = tuple(y.shape[axis] for axis in _free(y.rank, contract[1], batch[1]))
    return TensorType(batches + left + right, x.dtype)


def _dot(x: Array, y: Array, *, contract: AxesPair, batch: AxesPair) -> Array:
    x_free, y_free = _free(x.ndim, contract[0], batch[0]), _free(y.ndim, contract[1], batch[1])
    batches = [x.shape[a] for a in batch[0]]
    left, right = [x.shape[a] for a in x_free], [y.shape[a] for a in y_free]
    inner = math.prod(x.shape[a] for a in contract[0])
    rows = x.transpose(batch[0] + x_free + contract[0]).reshape(math.prod(batches), math.prod(left), inner)
    columns = y.transpose(batch[1] + contract[1] + y_free).reshape(
        math.prod(batches), inner, math.prod(right)
    )
    return np.matmul(rows, columns).reshape(batches + left + right)


def _dot_vjp(
    ct: Node, out: Node, x: Node, y: Node, *, contract: AxesPair, batch: AxesPair
) -> tuple[Node, Node]:
    count = len(batch[0])
    x_free, y_free = _free(x.rank, contract[0], batch[0]), _free(y.rank, contract[1], batch[1])
    x_axes = tuple(range(count, count + len(x_free)))
    y_axes = tuple(range(count + len(x_free), ct.rank))
    batches = tuple(range(count))
    x_part = dot_general(ct, y, contract=(y_axes, y_free), batch=(batches, batch[1]))
    y_part = dot_general(ct, x, contract=(x_axes, x_free), batch=(batches, batch[0]))
    # The contracted axes are in the order of the other operand.
    x_order = batch[0] + x_free + tuple(contract[0][contract[1].index(a)] for a in sorted(contract[1]))
    y_order = batch[1] + y_free + tuple(contract[1][contract[0].index(a)] for a in sorted(contract[0]))
    return (
        transpose(x_part, tuple(x_order.index(axis) for axis in range(x.rank))),
        transpose(y_part, tuple(y_order.index(axis) for axis in range(y.rank))),
    )


def _dot_cost(
    types: Sequence[TensorType], out: TensorType, *, contract: AxesPair, batch: AxesPair
) -> tuple[int, int]:
    inner = math.prod(types[0].shape[axis] for axis in contract[0])
    return 2 * out.size * inner, movement_bytes(types, out)


DOT_GENERAL = primitive(
    "dot_general",
    type_rule=_dot_type,
    reference=rounded(_dot),
    vjp=_dot_vjp,
    cost=_dot_cost,
    dtypes=NUMERIC,
    samples=[
        Sample(((3, 4), (4, 5)), {"contract": ((1,), (0,)), "batch": ((), ())}),
        Sample(((4, 3), (5, 4)), {"contract": ((0,), (1,)), "batch": ((), ())}),
        Sample(((4,), (4,)), {"contract": ((0,), (0,)), "batch": ((), ())}),
        Sample(((2, 3, 4), (2, 4, 5)), {"contract": ((2,), (1,)), "batch": ((0,), (0,))}),
        Sample(((3, 2, 4), (5, 4, 2)), {"contract": ((2,), (1,)), "batch": ((1,), (2,))}),
        Sample(((2, 3, 4, 2), (4, 5, 2, 3)), {"contract": ((1, 2), (3, 0)), "batch": ((0,), (2,))}),
        Sample(((2,), (3,)), {"contract": ((), ()), "batch": ((), ())}),
        Sample(((2, 3), (2, 3)), {"contract": ((), ()), "batch": ((0, 1), (0, 1))}),
        Sample(((), ()), {"contract": ((), ()), "batch": ((), ())}),
        Sample(((1, 1), (1, 7)), {"contract": ((0,), (0,)), "batch": ((), ())}),
        Sample(((3, 0), (0, 2)), {"contract": ((1,), (0,)), "batch": ((), ())}),
        Sample(((17, 35), (35, 33)), {"contract": ((1,), (0,)), "batch": ((), ())}, derivative=False),
    ],
)


def dot_general(x: Node, y: Node, contract: AxesPair, batch: AxesPair = ((), ())) -> Node:
    """Sum products over `contract` axes for all `batch` axes: out is batch, free axes of x, of y."""
    return bind(DOT_GENERAL, x, y, contract=contract, batch=batch)


# ---------------------------------------------------------------- convolution


def conv_output_size(size: int, kernel: int, stride: int, padding: tuple[int, int], dilation: int) -> int:
    """Count the positions at which a dilated kernel fits into a padded axis."""
    reach = dilation * (kernel - 1) + 1
    return max((size + sum(padding) - reach) // stride + 1, 0)


def _conv_shape(x: Shape, w: Shape, strides: Shape, padding: Padding, dilation: Shape, groups: int) -> Shape:
    """Return the shape of conv of x (N, *S, C) with w (*K, C/groups, O), or raise ShapeError."""
    rank = len(x) - 2
    if rank not in (1, 2, 3) or len(w) != rank + 2:
        raise ShapeError(
            f"conv needs x (N, *S, C) and w (*K, C/groups, O) with 1 to 3 axes in S, got {x} and {w}"
        )
    if not len(strides) == len(padding) == len(dilation) == rank:
        raise ShapeError(
            f"conv over {rank} axes got strides {strides}, padding {padding}, dilation {dilation}"
        )
    if min(*strides, *dilation, *w[:rank], groups) < 1 or min(min(pair) for pair in padding) < 0:
        raise ShapeError(
            f"conv needs strides, dilation, kernel, groups > 0 and padding >= 0, "
            f"got {strides}, {dilation}, {w[:rank]}, {groups}, {padding}"
        )
    if x[-1] != w[-2] * groups or w[-1] % groups:
        raise ShapeError(f"conv in {groups} groups: channels of x {x} and w {w} do not fit")
    return (x[0], *map(conv_output_size, x[1:-1], w[:rank], strides, padding, dilation), w[-1])


def _conv_type(x: TensorType, w: TensorType, **window: Any) -> TensorType:
    if x.dtype != w.dtype:
        raise HornbeamTypeError(f"conv needs operands of one dtype, got {x} and {w}")
    return TensorType(_conv_shape(x.shape, w.shape, **window), x.dtype)


def _expect(name: str, dy: TensorType, expected: TensorType) -> None:
    if dy.dtype != expected.dtype:
        raise HornbeamTypeError(f"{name} needs dy of type {expected}, got {dy}")
    if not same_shape(dy.shape, expected.shape):
        raise ShapeError(f"{name} needs dy of type {expected}, got {dy}")


def _input_grad_type(dy: TensorType, w: TensorType, *, input_shape: Shape, **window: Any) -> TensorType:
    _expect("conv_input_grad", dy, TensorType(_conv_shape(input_shape, w.shape, **window), w.dtype))
    return TensorType(input_shape, dy.dtype)


def _kernel_grad_type(x: TensorType, dy: TensorType, *, kernel_shape: Shape, **window: Any) -> TensorType:
    _expect("conv_kernel_grad", dy, TensorType(_conv_shape(x.shape, kernel_shape, **window), x.dtype))
    return TensorType(kernel_shape, x.dtype)


def _grouped(x: Array, groups: int) -> Array:
    """Reshape (..., C) to (groups, rows, C / groups)."""
    return np.moveaxis(x.reshape(math.prod(x.shape[:-1]), groups, x.shape[-1] // groups), 1, 0)


def _joined(rows: Array, shape: Sequence[int]) -> Array:
    """Invert `_grouped`."""
    return np.moveaxis(rows, 0, 1).reshape(shape)


def _everywhere(positions: tuple[slice, ...]) -> tuple[slice, ...]:
    """Index the spatial axes of (N, *S, C) by `positions`."""
    return (slice(None), *positions, slice(None))


def _pad_spatial(x: Array, padding: Padding) -> Array:
    return np.pad(x, ((0, 0), *padding, (0, 0)))


def _taps(
    kernel: Shape, output: Shape, strides: Shape, dilation: Shape
) -> list[tuple[Shape, tuple[slice, ...]]]:
    """Yield, for every kernel position, the positions of the padded input at it, one per output."""
    return [
        (
            at,
            tuple(
                slice(k * d, k * d + (n - 1) * s + 1, s)
                for k, n, s, d in zip(at, output, strides, dilation, strict=True)
            ),
        )
        for at in itertools.product(*map(range, kernel))
        if 0 not in output
    ]


def _conv(x: Array, w: Array, *, strides: Shape, padding: Padding, dilation: Shape, groups: int) -> Array:
    shape = _conv_shape(x.shape, w.shape, strides, padding, dilation, groups)
    padded, out = _pad_spatial(x, padding), np.zeros(shape, x.dtype)
    for at, positions in _taps(w.shape[:-2], shape[1:-1], strides, dilation):
        patch = padded[_everywhere(positions)]
        weights = np.moveaxis(w[at].reshape(w.shape[-2], groups, w.shape[-1] // groups), 1, 0)
        out += _joined(_grouped(patch, groups) @ weights, shape)
    return out


def _conv_input_grad(
    dy: Array, w: Array, *, input_shape: Shape, strides: Shape, padding: Padding, dilation: Shape, groups: int
) -> Array:
    spatial = [n + low + high for n, (low, high) in zip(input_shape[1:-1], padding, strict=True)]
    padded = np.zeros((input_shape[0], *spatial, input_shape[-1]), dy.dtype)
    rows = _grouped(dy, groups)
    for at, positions in _taps(w.shape[:-2], dy.shape[1:-1], strides, dilation):
        weights = np.moveaxis(w[at].reshape(w.shape[-2], groups, w.shape[-1] // groups), 1, 0)
        patch = rows @ weights.swapaxes(1, 2)
        padded[_everywhere(positions)] += _joined(patch, (*dy.shape[:-1], input_shape[-1]))
    inside = tuple(slice(low, low + n) for n, (low, _) in zip(input_shape[1:-1], padding, strict=True))
    return padded[_everywhere(inside)]


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
    padded, out = _pad_spatial(x, padding), np.zeros(kernel_shape, x.dtype)
    rows = _grouped(dy, groups)
    for at, positions in _taps(kernel_shape[:-2], dy.shape[1:-1], strides, dilation):
        patch = _grouped(padded[_everywhere(positions)], groups)
        out[at] = np.moveaxis(patch.swapaxes(1, 2) @ rows, 0, 1).reshape(kernel_shape[-2:])
    return out


def _conv_cost(types: Sequence[TensorType], out: TensorType, **params: Any) -> tuple[int, int]:
    """Cost of 2 FLOPs per output position and kernel weight (padding counted as data)."""
    if "input_shape" in params:
        dy, w = types[0].shape, types[1].shape
    elif "kernel_shape" in params:
        dy, w = types[1].shape, params["kernel_shape"]
    else:
        dy, w = out.shape, types[1].shape
    return 2 * math.prod(dy) * math.prod(w[:-1]), movement_bytes(types, out)


def _window(
    strides: Shape, padding: Padding, dilation: Shape | None = None, groups: int = 1
) -> dict[str, Any]:
    dilation = (1,) * len(strides) if dilation is None else dilation
    return {"strides": strides, "padding": padding, "dilation": dilation, "groups": groups}


# (shape of x, shape of w, window): 1 to 3 axes, strides, dilation, groups, depthwise, uneven padding, size 1.
_CASES: list[tuple[Shape, Shape, dict[str, Any]]] = [
    ((2, 5, 3), (3, 3, 4), _window((1,), ((1, 1),))),
    ((1, 7, 2), (2, 1, 4), _window((2,), ((0, 1),), (2,), 2)),
    ((2, 4, 5, 3), (3, 3, 3, 2), _window((1, 1), ((1, 1), (1, 1)))),
    ((1, 6, 5, 4), (3, 2, 2, 6), _window((2, 1), ((0, 1), (1, 0)), (1, 2), 2)),
    ((1, 5, 4, 3), (2, 3, 1, 3), _window((1, 2), ((0, 0), (1, 2)), groups=3)),
    ((2, 3, 3, 2), (1, 1, 2, 5), _window((1, 1), ((0, 0), (0, 0)))),
    ((1, 3, 4, 3, 2), (2, 2, 2, 2, 3), _window((1, 2, 1), ((0, 0), (1, 0), (0, 1)))),
    ((1, 1, 1, 1), (1, 1, 1, 1), _window((1, 1), ((0, 0), (0, 0)))),
    ((0, 4, 4, 2), (3, 3, 2, 3), _window((1, 1), ((1, 1), (1, 1)))),
    ((1, 7, 7, 2), (3, 3, 2, 2), _window((3, 3), ((1, 1), (1, 1)))),
    ((1, 3, 4, 3, 4), (2, 2, 2, 2, 6), _window((1, 2, 1), ((0, 0), (1, 0), (0, 1)), (1, 1, 2), groups=2)),
]


CONV = primitive(
    "conv",
    type_rule=_conv_type,
    reference=rounded(_conv),
    vjp=lambda ct, out, x, w, **window: (
        conv_input_grad(ct, w, x.shape, **window),
        conv_kernel_grad(x, ct, w.shape, **window),
    ),
    cost=_conv_cost,
    dtypes=FLOATS,
    samples=[Sample((x, w), window) for x, w, window in _CASES],
)


def conv(
    x: Node, w: Node, strides: Shape, padding: Padding, dilation: Shape | None = None, groups: int = 1
) -> Node:
    """Cross-correlate x (N, *S, C) with w (*K, C/groups, O): (N, *S', O); padding ((low, high), ...)."""
    return bind(CONV, x, w, **_window(strides, padding, dilation, groups))


CONV_INPUT_GRAD = primitive(
    "conv_input_grad",
    type_rule=_input_grad_type,
    reference=rounded(_conv_input_grad),
    vjp=lambda ct, out, dy, w, *, input_shape, **window: (
        conv(ct, w, **window),
        conv_kernel_grad(ct, dy, w.shape, **window),
    ),
    cost=_conv_cost,
    dtypes=FLOATS,
    samples=[
        Sample((_conv_shape(x, w, **window), w), {"input_shape": x, **window}) for x, w, window in _CASES
    ],
)


def conv_input_grad(
    dy: Node,
    w: Node,
    input_shape: Shape,
    strides: Shape,
    padding: Padding,
    dilation: Shape | None = None,
    groups: int = 1,
) -> Node:
    """Transpose `conv` in x: the gradient, given dy (N, *S', O), of an input of `input_shape`."""
    return bind(
        CONV_INPUT_GRAD, dy, w, input_shape=input_shape, **_window(strides, padding, dilation, groups)
    )


CONV_KERNEL_GRAD = primitive(
    "conv_kernel_grad",
    type_rule=_kernel_grad_type,
    reference=rounded(_conv_kernel_grad),
    vjp=lambda ct, out, x, dy, *, kernel_shape, **window: (
        conv_input_grad(dy, ct, x.shape, **window),
        conv(x, ct, **window),
    ),
    cost=_conv_cost,
    dtypes=FLOATS,
    samples=[
        Sample((x, _conv_shape(x, w, **window)), {"kernel_shape": w, **window}) for x, w, window in _CASES
    ],
)


def conv_kernel_grad(
    x: Node,
    dy: Node,
    kernel_shape: Shape,
    strides: Shape,
    padding: Padding,
    dilation: Shape | None = None,
    groups: int = 1,
) -> Node:
    """Transpose `conv` in w: the gradient, given x and dy (N, *S', O), of a kernel of `kernel_shape`."""
    return bind(
        CONV_KERNEL_GRAD, x, dy, kernel_shape=kernel_shape, **_window(strides, padding, dilation, groups)
    )
