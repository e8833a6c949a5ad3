"""Normalizations by means and variances, as composites."""

from __future__ import annotations

import math
from typing import Any

from hornbeam.ir.autodiff import outputs_of
from hornbeam.ir.node import Node
from hornbeam.ir.primitive import Cotangents, Sample
from hornbeam.ir.sizes import is_unknown
from hornbeam.ir.types import FLOATS
from hornbeam.primitives import elementwise, reduce, shape
from hornbeam.primitives.composite import composite, keep

__all__ = ["group_norm", "layer_norm", "moments", "rms_norm"]


def _divided(x: Node, size: int) -> Node:
    """Divide by a size, by one multiplication if it is known."""
    return x / size if is_unknown(size) else x * (1.0 / size)


# -- rows ----------------------------------------------------------------------------------------------------


def _along_rows(x: Node, like: Node) -> Node:
    """Broadcast a vector over the last axis."""
    return keep(x, like, tuple(range(like.rank - 1)))


def _layer_norm_body(x: Node, gamma: Node, beta: Node, *, epsilon: float) -> Node:
    axes, size = (x.rank - 1,), x.shape[-1]
    mean = _divided(reduce.reduce_sum(x, axes), size)
    centred = x - keep(mean, x, axes)
    variance = _divided(reduce.reduce_sum(centred * centred, axes), size)
    scale = elementwise.rsqrt(variance + epsilon)
    return centred * keep(scale, x, axes) * _along_rows(gamma, x) + _along_rows(beta, x)


layer_norm = composite(
    "layer_norm",
    _layer_norm_body,
    dtypes=FLOATS,
    samples=(
        Sample(((4, 5), (5,), (5,)), {"epsilon": 1e-3}),
        Sample(((2, 3, 6), (6,), (6,)), {"epsilon": 1e-5}),
    ),
)


def _rms_norm_body(x: Node, gamma: Node, *, epsilon: float) -> Node:
    axes = (x.rank - 1,)
    mean = _divided(reduce.reduce_sum(x * x, axes), x.shape[-1])
    return x * keep(elementwise.rsqrt(mean + epsilon), x, axes) * _along_rows(gamma, x)


rms_norm = composite(
    "rms_norm",
    _rms_norm_body,
    dtypes=FLOATS,
    samples=(
        Sample(((4, 5), (5,)), {"epsilon": 1e-3}),
        Sample(((2, 3, 6), (6,)), {"epsilon": 1e-5}),
    ),
)


# -- moments -------------------------------------------------------------------------------------------------


def _moments_body(x: Node, *, axes: tuple[int, ...]) -> tuple[Node, Node]:
    count = math.prod(x.shape[axis] for axis in axes)
    mean = reduce.reduce_sum(x, axes) / count
    centred = x - keep(mean, x, axes)
    return mean, reduce.reduce_sum(centred * centred, axes) / count


def _moments_vjp(cts: Any, out: Node, x: Node, *, axes: tuple[int, ...], **_: Any) -> Cotangents:
    # The derivative of the variance by the mean is 0, since deviations sum to 0: that sum is left out.
    mean, variance = cts
    count = math.prod(x.shape[axis] for axis in axes)
    parts = []
    if mean is not None:
        parts.append(keep(mean / count, x, axes))
    if variance is not None:
        share = variance * 2.0 / count if is_unknown(count) else variance * (2.0 / count)
        parts.append((x - keep(outputs_of(out)[0], x, axes)) * keep(share, x, axes))
    return (parts[0] + parts[1] if len(parts) == 2 else parts[0],)


_MOMENTS = composite(
    "moments",
    _moments_body,
    vjp=_moments_vjp,
    dtypes=FLOATS,
    samples=(
        Sample(((4, 5),), {"axes": (0,)}),
        Sample(((2, 3, 6),), {"axes": (0, 1)}),
        Sample(((3, 4),), {"axes": (0, 1)}),
        Sample(((2, 5, 3),), {"axes": (1,)}),
    ),
)


def moments(x: Node, axes: tuple[int, ...]) -> tuple[Node, Node]:
    """Compute mean and population variance over `axes`, the variance from the deviations."""
    mean, variance = outputs_of(_MOMENTS(x, axes=axes))
    return mean, variance


# -- groups --------------------------------------------------------------------------------------------------


class _Groups:
    """Statistics of groups of channels in each sample, as values (batch, channels)."""

    def __init__(self, x: Node, groups: int, axis: int, epsilon: float) -> None:
        self.x, self.axis = x, axis
        batch, channels = x.shape[0], x.shape[axis]
        self.positions = tuple(i for i in range(1, x.rank) if i != axis)
        self.cut = (batch, groups, channels // groups)
        self.count = math.prod(x.shape[1:]) // groups
        # Mean and variance of each channel first: their sums are over adjacent axes.
        if self.positions:
            mean, variance = (shape.reshape(m, self.cut) for m in moments(x, self.positions))
        else:
            mean, variance = shape.reshape(x, self.cut), None
        group_mean = self._mean(mean)
        deviation = mean - group_mean
        spread = deviation * deviation if variance is None else variance + deviation * deviation
        self.scale = self._per_channel(elementwise.rsqrt(self._mean(spread) + epsilon))
        self.centred = x - self.broadcast(self._per_channel(group_mean))

    def _mean(self, x: Node) -> Node:
        return keep(_divided(reduce.reduce_sum(x, (2,)), self.cut[2]), x, (2,))

    def _per_channel(self, x: Node) -> Node:
        return shape.reshape(x, (self.cut[0], self.cut[1] * self.cut[2]))

    def mean(self, x: Node) -> Node:
        """Mean over the elements of a group, of sums over positions."""
        total = reduce.reduce_sum(shape.reshape(x, self.cut), (2,))
        return self._per_channel(shape.broadcast(_divided(total, self.count), self.cut, (0, 1)))

    def sum(self, x: Node) -> Node:
        """Sum over positions."""
        total = reduce.reduce_sum(x, self.positions) if self.positions else x
        return shape.reshape(total, (self.cut[0], self.cut[1] * self.cut[2]))

    def broadcast(self, x: Node) -> Node:
        """Broadcast over positions."""
        return shape.broadcast(x, self.x.shape, (0, self.axis))


def _group_norm_body(x: Node, gamma: Node, beta: Node, *, groups: int, axis: int, epsilon: float) -> Node:
    g = _Groups(x, groups, axis, epsilon)
    factor = g.scale * keep(gamma, g.scale, (0,))
    return g.centred * g.broadcast(factor) + shape.broadcast(beta, x.shape, (axis,))


def _group_norm_grad_body(
    x: Node, gamma: Node, ct: Node, *, groups: int, axis: int, epsilon: float
) -> tuple[Node, Node, Node]:
    # All sums over positions are of ct and of ct times deviations: one pass.
    g = _Groups(x, groups, axis, epsilon)
    total, product = g.sum(ct), g.sum(ct * g.centred)
    weights = keep(gamma, g.scale, (0,))
    mean = g.mean(total * weights) * g.scale
    by_deviation = g.mean(product * weights) * g.scale * g.scale * g.scale
    dx = ct * g.broadcast(g.scale * weights) - g.centred * g.broadcast(by_deviation) - g.broadcast(mean)
    return dx, reduce.reduce_sum(product * g.scale, (0,)), reduce.reduce_sum(total, (0,))


# The operands of `group_norm` without beta, and the gradient of the result -> gradients of x, gamma and beta.
_group_norm_grad = composite(
    "group_norm_grad",
    _group_norm_grad_body,
    dtypes=FLOATS,
    samples=(
        Sample(((2, 3, 3, 4), (4,), (2, 3, 3, 4)), {"groups": 2, "axis": 3, "epsilon": 1e-3}),
        Sample(((2, 6, 5), (6,), (2, 6, 5)), {"groups": 3, "axis": 1, "epsilon": 1e-3}),
    ),
)


def _group_norm_vjp(
    ct: Node, out: Node, x: Node, gamma: Node, beta: Node, *, body: Any, **params: Any
) -> Cotangents:
    return outputs_of(_group_norm_grad(x, gamma, ct, **params))


group_norm = composite(
    "group_norm",
    _group_norm_body,
    vjp=_group_norm_vjp,
    dtypes=FLOATS,
    samples=(
        Sample(((2, 3, 3, 4), (4,), (4,)), {"groups": 2, "axis": 3, "epsilon": 1e-3}),
        Sample(((2, 6, 5), (6,), (6,)), {"groups": 3, "axis": 1, "epsilon": 1e-3}),
        Sample(((3, 4), (4,), (4,)), {"groups": 2, "axis": 1, "epsilon": 1e-3}),
        Sample(((2, 3, 4, 2), (4,), (4,)), {"groups": 1, "axis": 2, "epsilon": 1e-3}),
    ),
)
