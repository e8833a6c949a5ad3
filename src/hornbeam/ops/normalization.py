"""Normalization by means and variances."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from hornbeam import primitives as p
from hornbeam._internal.typing import Axis
from hornbeam._internal.warn import warn_user
from hornbeam.config import epsilon as default_epsilon
from hornbeam.core.convert import broadcast_node, broadcast_shapes, cast_node
from hornbeam.core.dispatch import operation
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import TensorLike
from hornbeam.ir.node import Node
from hornbeam.ir.primitive import full
from hornbeam.ir.sizes import same_shape
from hornbeam.ir.types import ShapeError, TensorType, is_complex
from hornbeam.ops._common import HALF, float_node, many_axes, one_axis, to_last, with_ones
from hornbeam.ops.linalg import vector_norm
from hornbeam.ops.reduction import mean_node, var_node

# fmt: off
__all__ = [
    "batch_normalization", "layer_normalization", "moments", "normalize", "rms_normalization",
]
# fmt: on


@operation
def moments(
    x: TensorLike, axes: Axis, keepdims: bool = False, synchronized: bool = False
) -> tuple[Tensor, Tensor]:
    """Compute mean and variance (divided by the count) over axes.

    Half precision is computed in float32; results that it cannot hold become its largest number.

    Args:
        x: Tensor of any shape, or anything that converts to one.
        axes: Integer or sequence of integers; None for all.
        keepdims: Keep the reduced axes with size 1.
        synchronized: Accepted, without effect: statistics are those of one process.

    Returns:
        Pair of tensors (mean, variance).

    Example:
        >>> [float(t) for t in hornbeam.ops.moments([1.0, 3.0], 0)]
        [2.0, 1.0]
    """
    node = float_node(x)
    over = many_axes(axes, node.rank, "moments")
    wide = p.convert(node, "float32") if node.dtype in HALF else node
    statistics = p.moments(wide, over) if over else (mean_node(wide, over), var_node(wide, over))
    results = [p.convert(_held(n, node.dtype), node.dtype) for n in statistics]
    if keepdims:
        results = [p.reshape(n, with_ones(node.shape, over)) for n in results]
    return Tensor(results[0]), Tensor(results[1])


def _held(node: Node, dtype: str) -> Node:
    """Limit float32 values to what `dtype` holds; only float16 is narrower."""
    if dtype != "float16":
        return node
    largest = float(np.finfo(dtype).max)
    return p.minimum(p.maximum(node, full(-largest, node.type)), full(largest, node.type))


def _along(vector: TensorLike, like: Node, axis: int, name: str) -> Node:
    node = cast_node(vector, like.dtype)
    if not same_shape(node.shape, (like.shape[axis],)):
        raise ShapeError(
            f"batch_normalization: {name} has shape {node.shape}, axis {axis} has size {like.shape[axis]}"
        )
    return node


@operation
def batch_normalization(
    x: TensorLike,
    mean: TensorLike,
    variance: TensorLike,
    axis: int,
    offset: TensorLike | None = None,
    scale: TensorLike | None = None,
    epsilon: float = 1e-3,
) -> Tensor:
    """Compute scale (x - mean) / sqrt(variance + epsilon) + offset along an axis.

    Args:
        x: Tensor of any shape, or anything that converts to one.
        mean, variance: Tensors of one axis of the size of `axis`.
        axis: Integer, the axis of the features.
        offset: Tensor of one axis that is added, or None.
        scale: Tensor of one axis that multiplies, or None.
        epsilon: Number that is added to the variance.

    Returns:
        Tensor of the shape of `x`.

    Example:
        >>> np.asarray(hornbeam.ops.batch_normalization([[3.0]], [1.0], [4.0], -1, epsilon=0.0)).tolist()
        [[1.0]]

    Source: Ioffe & Szegedy, "Batch Normalization", 2015.
    """
    node = float_node(x)
    at = one_axis(axis, node.rank, "batch_normalization")
    factor = p.rsqrt(_along(variance, node, at, "variance") + float(epsilon))
    if scale is not None:
        factor = factor * _along(scale, node, at, "scale")
    # One multiplication and one addition per element; the rest is computed on the vectors.
    shift = -(_along(mean, node, at, "mean") * factor)
    if offset is not None:
        shift = shift + _along(offset, node, at, "offset")
    return Tensor(node * p.broadcast(factor, node.shape, (at,)) + p.broadcast(shift, node.shape, (at,)))


def _trailing(node: Node, axis: Axis, name: str) -> tuple[Node, tuple[int, ...], tuple[int, ...]]:
    """Merge `axis` into one last axis; also return the axes and the inverse permutation."""
    axes = many_axes(axis, node.rank, name)
    rest = tuple(i for i in range(node.rank) if i not in axes)
    order = (*rest, *axes)
    return to_last(node, axes), axes, tuple(order.index(i) for i in range(node.rank))


def _weights(
    value: TensorLike | None, node: Node, axes: tuple[int, ...], dtype: str, default: Node, name: str
) -> Node:
    if value is None:
        return default
    w = cast_node(value, dtype)
    if math.prod(w.shape) != default.shape[0]:
        raise ShapeError(f"{name} has shape {w.shape}, the normalized axes of {node.shape} are {axes}")
    return p.reshape(w, default.shape)


@operation
def layer_normalization(
    x: TensorLike,
    gamma: TensorLike | None = None,
    beta: TensorLike | None = None,
    axis: Axis = -1,
    epsilon: float | None = None,
    **kwargs: Any,
) -> Tensor:
    """Compute gamma (x - mean(x)) / sqrt(var(x) + epsilon) + beta over the axes of each sample.

    Half precision is computed in float32.

    Args:
        x: Tensor of any shape, or anything that converts to one.
        gamma: Tensor of the shape of the normalized axes that multiplies, or None.
        beta: Tensor of the shape of the normalized axes that is added, or None.
        axis: Integer or sequence of integers, the normalized axes; None for all.
        epsilon: Number that is added to the variance; None for `hornbeam.config.epsilon()`.
        **kwargs: `rms_scaling=True`, which is deprecated: gamma x / sqrt(var(x) + epsilon).

    Returns:
        Tensor of the shape of `x`.

    Raises:
        TypeError: If an argument is unknown.

    Example:
        >>> np.asarray(hornbeam.ops.layer_normalization([1.0, 3.0])).round(3).tolist()
        [-1.0, 1.0]

    Source: Ba, Kiros & Hinton, "Layer Normalization", 2016.
    """
    scale_only = kwargs.pop("rms_scaling", False)
    if kwargs:
        raise TypeError(f"layer_normalization: unknown arguments {sorted(kwargs)}; see rms_normalization")
    node = float_node(x)
    work = "float32" if node.dtype in HALF else node.dtype
    rows, axes, back = _trailing(p.convert(node, work), axis, "layer_normalization")
    vector = TensorType(rows.shape[-1:], work)
    g = _weights(gamma, node, axes, work, full(1, vector), "layer_normalization: gamma")
    b = _weights(beta, node, axes, work, full(0, vector), "layer_normalization: beta")
    small = float(default_epsilon() if epsilon is None else epsilon)
    if scale_only:
        warn_user(
            "layer_normalization: rms_scaling=True divides by the standard deviation, not by the root of the "
            "mean square: use ops.rms_normalization"
        )
        last = (rows.rank - 1,)
        factor = p.keep(p.rsqrt(var_node(rows, last) + small), rows, last)
        result = rows * factor * p.broadcast(g, rows.shape, last)
    else:
        result = p.layer_norm(rows, g, b, epsilon=small)
    return Tensor(p.convert(_untrail(result, node, axes, back), node.dtype))


def _untrail(result: Node, node: Node, axes: tuple[int, ...], back: tuple[int, ...]) -> Node:
    order = (*(i for i in range(node.rank) if i not in axes), *axes)
    reshaped = p.reshape(result, tuple(node.shape[i] for i in order))
    return p.transpose(reshaped, back)


@operation
def rms_normalization(
    x: TensorLike, scale: TensorLike | None = None, axis: Axis = -1, epsilon: float | None = None
) -> Tensor:
    """Compute scale x / sqrt(mean(x^2) + epsilon) over axes; half precision is computed in float32.

    Args:
        x: Tensor of any shape, or anything that converts to one.
        scale: Tensor that multiplies, of the shape of the normalized axes, or with as many axes as `x` and
            broadcast against it; or None.
        axis: Integer or sequence of integers, the normalized axes; None for all.
        epsilon: Number that is added to the mean; None for `hornbeam.config.epsilon()`.

    Returns:
        Tensor of the shape of `x`.

    Example:
        >>> np.asarray(hornbeam.ops.rms_normalization([3.0, 3.0])).round(3).tolist()
        [1.0, 1.0]

    Source: Zhang & Sennrich, "Root Mean Square Layer Normalization", 2019.
    """
    node = float_node(x)
    work = "float32" if node.dtype in HALF else node.dtype
    rows, axes, back = _trailing(p.convert(node, work), axis, "rms_normalization")
    small = float(default_epsilon() if epsilon is None else epsilon)
    vector = full(1, TensorType(rows.shape[-1:], work))
    weights = None if scale is None else cast_node(scale, work)
    if (
        weights is not None
        and weights.rank == node.rank > len(axes)
        and same_shape(broadcast_shapes(weights.shape, node.shape), node.shape)
    ):
        result = _untrail(p.rms_norm(rows, vector, epsilon=small), node, axes, back)
        return Tensor(p.convert(result * broadcast_node(weights, node.shape), node.dtype))
    w = _weights(
        None if weights is None else Tensor(weights), node, axes, work, vector, "rms_normalization: scale"
    )
    result = p.rms_norm(rows, w, epsilon=small)
    return Tensor(p.convert(_untrail(result, node, axes, back), node.dtype))


@operation
def normalize(x: TensorLike, axis: Axis = -1, order: float | str = 2, epsilon: float | None = None) -> Tensor:
    """Scale vectors to norm 1: x / max(||x||, epsilon) over axes.

    Args:
        x: Tensor of any shape, or anything that converts to one.
        axis: Integer or sequence of integers, the axes of the vectors; None for all.
        order: Number >= 1 or "inf", the order of the norm.
        epsilon: Number, the least divisor; None for `hornbeam.config.epsilon()`.

    Returns:
        Tensor of the shape of `x`.

    Example:
        >>> np.asarray(hornbeam.ops.normalize([3.0, 4.0])).round(2)
        array([0.6, 0.8], dtype=float32)
    """
    node = float_node(x)
    size = p.magnitude(node) if is_complex(node.dtype) else node
    small = float(default_epsilon() if epsilon is None else epsilon)
    axes = many_axes(axis, node.rank, "normalize")
    if order == 2:
        total = p.reduce_sum(size * size, axes)
        factor = p.rsqrt(p.maximum(total, full(small * small, total.type)))
        return Tensor(node * p.convert(p.keep(factor, node, axes), node.dtype))
    norm = vector_norm(size, order, axes)
    divisor = p.keep(p.maximum(norm, full(small, norm.type)), node, axes)
    return Tensor(node / p.convert(divisor, node.dtype))
