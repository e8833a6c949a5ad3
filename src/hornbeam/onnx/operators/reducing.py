"""ONNX operators that reduce axes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from hornbeam import ops
from hornbeam.core.tensor import Tensor
from hornbeam.ir.types import is_float
from hornbeam.onnx.operators.vocabulary import Call, axes_of, axis_of, number, operator

Reduction = Callable[[Tensor, tuple[int, ...], bool], Tensor]


def _extreme(
    find: Callable[..., Tensor], x: Tensor, axes: tuple[int, ...], keep: bool, empty: float
) -> Tensor:
    """Return an extreme; of no elements the infinity, or the number, that every element passes."""
    if all(x.shape[axis] for axis in axes):
        return find(x, axes, keep)
    if not is_float(x.dtype):
        limits = (0, 1) if x.dtype == "bool" else (np.iinfo(x.dtype).min, np.iinfo(x.dtype).max)
        empty = limits[0] if empty < 0 else limits[1]
    shape = ops.sum(ops.cast(x, "float32"), axes, keep).shape
    return ops.full(shape, empty, x.dtype)


# The version from which on axes are an input, and the reduction.
REDUCTIONS: dict[str, tuple[int, Reduction]] = {
    "ReduceSum": (13, ops.sum),
    "ReduceMean": (18, ops.mean),
    "ReduceProd": (18, ops.prod),
    "ReduceMax": (18, lambda x, axes, keep: _extreme(ops.max, x, axes, keep, -math.inf)),
    "ReduceMin": (18, lambda x, axes, keep: _extreme(ops.min, x, axes, keep, math.inf)),
    "ReduceL1": (18, lambda x, axes, keep: ops.sum(ops.absolute(x), axes, keep)),
    "ReduceL2": (18, lambda x, axes, keep: ops.sqrt(ops.sum(x * x, axes, keep))),
    "ReduceSumSquare": (18, lambda x, axes, keep: ops.sum(x * x, axes, keep)),
    "ReduceLogSum": (18, lambda x, axes, keep: ops.log(ops.sum(x, axes, keep))),
    "ReduceLogSumExp": (18, ops.logsumexp),
}


def _reduce(since: int, reduction: Reduction) -> Callable[..., Any]:
    def compute(call: Call, x: Tensor, axes: Any = None) -> Tensor:
        none = () if call.get("noop_with_empty_axes", 0) else tuple(range(len(x.shape)))
        # Without axes, elementwise parts such as squares still apply.
        reduced_axes = axes_of(call, axes, len(x.shape), since) or none
        return ops.cast(reduction(x, reduced_axes, bool(call.get("keepdims", 1))), x.dtype)

    return compute


for _name, (_since, _reduction) in REDUCTIONS.items():
    operator(_name, tensors=1)(_reduce(_since, _reduction))


def _position(find: Callable[..., Tensor]) -> Callable[..., Any]:
    def compute(call: Call, x: Tensor) -> Tensor:
        axis = axis_of(call.get("axis", 0), len(x.shape))
        keep = bool(call.get("keepdims", 1))
        if not call.get("select_last_index", 0):
            return ops.cast(find(x, axis, keep), "int64")
        backwards = ops.cast(find(ops.flip(x, axis), axis, keep), "int64")
        return x.shape[axis] - 1 - backwards

    return compute


operator("ArgMax")(_position(ops.argmax))
operator("ArgMin")(_position(ops.argmin))


@operator("TopK", tensors=1)
def top_k(call: Call, x: Tensor, k: Any = None) -> tuple[Tensor, Tensor]:
    """Return the k largest (or smallest) elements along an axis, in order, and their indices."""
    axis = axis_of(call.get("axis", -1), len(x.shape))
    count = call.get("k", 0) if call.opset < 10 else number(k, "k")
    rows = ops.moveaxis(x, axis, -1)
    if call.get("largest", 1):
        values, indices = ops.top_k(rows, count)
    else:
        indices = ops.argsort(rows)[..., :count]
        values = ops.take_along_axis(rows, indices, axis=-1)
    return ops.moveaxis(values, -1, axis), ops.cast(ops.moveaxis(indices, -1, axis), "int64")


@operator("LpNormalization")
def lp_normalization(call: Call, x: Tensor) -> Tensor:
    """Divide x by its norm along an axis."""
    axis = call.get("axis", -1)
    is_first = call.get("p", 2) == 1
    norm = ops.sum(ops.absolute(x), axis, True) if is_first else ops.sqrt(ops.sum(x * x, axis, True))
    return x / ops.where(norm == 0, ops.ones_like(norm), norm)
