"""Activation functions. All of them keep shapes; integers are computed as floats unless said otherwise."""

from __future__ import annotations

from typing import Any

from hornbeam import primitives as p
from hornbeam.core.dispatch import operation
from hornbeam.core.tensor import Tensor
from hornbeam.ir.node import Node
from hornbeam.ir.primitive import full, ones_like, zeros_like
from hornbeam.ir.types import ShapeError
from hornbeam.ops._common import Axis, float_node, many_axes, node_of, one_axis, over_last
from hornbeam.ops.elementwise import clip, sigmoid
from hornbeam.ops.shaping import split

# fmt: off
__all__ = [
    "celu", "elu", "gelu", "glu", "hard_shrink", "hard_sigmoid", "hard_silu", "hard_swish", "hard_tanh",
    "leaky_relu", "log_sigmoid", "log_softmax", "relu", "relu6", "selu", "sigmoid", "silu", "soft_shrink",
    "softmax", "softplus", "softsign", "sparse_plus", "sparse_sigmoid", "sparsemax", "squareplus", "swish",
    "tanh_shrink", "threshold",
]
# fmt: on

# Klambauer et al., "Self-Normalizing Neural Networks", 2017: the fixed point with mean 0 and variance 1.
_SELU_ALPHA = 1.6732632423543772848170429916717
_SELU_SCALE = 1.0507009873554804934193349852946


def _positive(x: Node) -> Node:
    return p.gt(x, zeros_like(x))


@operation
def relu(x: Any) -> Tensor:
    """max(x, 0), slope 0 at 0; integers stay integers.

    >>> float(hornbeam.ops.relu(-1.0))
    0.0
    """
    node = node_of(x)
    return Tensor(p.relu(p.convert(node, "int32") if node.dtype == "bool" else node))


@operation
def relu6(x: Any) -> Tensor:
    """min(max(x, 0), 6), slope 0 at 0 and at 6.

    >>> float(hornbeam.ops.relu6(7.0))
    6.0
    """
    node = p.relu(node_of(x))
    six = full(6, node.type)
    return Tensor(p.select(p.ge(node, six), six, node))


@operation
def leaky_relu(x: Any, negative_slope: float = 0.2) -> Tensor:
    """x where x > 0, negative_slope * x elsewhere.

    >>> float(hornbeam.ops.leaky_relu(-1.0, 0.5))
    -0.5
    """
    node = float_node(x)
    return Tensor(p.select(_positive(node), node, node * negative_slope))


def _expm1_below(x: Node) -> Node:
    """exp(x) - 1 where x <= 0, and 0 above, where the exponential could overflow."""
    return p.expm1(p.select(_positive(x), zeros_like(x), x))


@operation
def elu(x: Any, alpha: float = 1.0) -> Tensor:
    """x where x > 0, alpha (exp(x) - 1) elsewhere. Clevert et al., 2015.

    >>> float(hornbeam.ops.elu(2.0))
    2.0
    """
    node = float_node(x)
    return Tensor(p.select(_positive(node), node, _expm1_below(node) * alpha))


@operation
def selu(x: Any) -> Tensor:
    """1.0507 * elu(x, 1.6733): keeps mean 0 and variance 1 through deep dense networks. Klambauer et al.,
    2017.

    >>> float(hornbeam.ops.selu(0.0))
    0.0
    """
    node = float_node(x)
    return Tensor(p.select(_positive(node), node, _expm1_below(node) * _SELU_ALPHA) * _SELU_SCALE)


@operation
def celu(x: Any, alpha: float = 1.0) -> Tensor:
    """max(x, 0) + min(0, alpha (exp(x / alpha) - 1)): elu with a continuous slope. Barron, 2017.

    >>> float(hornbeam.ops.celu(2.0))
    2.0
    """
    if not alpha:
        raise ValueError("celu: alpha must not be 0")
    node = float_node(x)
    return Tensor(p.select(_positive(node), node, _expm1_below(node / alpha) * alpha))


@operation
def gelu(x: Any, approximate: bool = True) -> Tensor:
    """x Phi(x), Phi the normal distribution function. Hendrycks & Gimpel, 2016.

    approximate: 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))), else by erf.

    >>> float(hornbeam.ops.gelu(0.0))
    0.0
    """
    return Tensor(p.gelu(float_node(x), approximate=bool(approximate)))


@operation
def silu(x: Any) -> Tensor:
    """x sigmoid(x), also called swish. Ramachandran et al., 2017.

    >>> float(hornbeam.ops.silu(0.0))
    0.0
    """
    node = float_node(x)
    return Tensor(p.mul(node, p.logistic(node)))


swish = silu


def softplus_node(x: Node) -> Node:
    """log(1 + exp(x)) without overflow, with the right slope everywhere, 0 included."""
    above = p.ge(x, zeros_like(x))
    return p.select(above, x, zeros_like(x)) + p.log1p(p.exp(p.select(above, -x, x)))


@operation
def softplus(x: Any) -> Tensor:
    """log(1 + exp(x)): a smooth relu.

    >>> round(float(hornbeam.ops.softplus(0.0)), 4)
    0.6931
    """
    return Tensor(softplus_node(float_node(x)))


@operation
def log_sigmoid(x: Any) -> Tensor:
    """log(sigmoid(x)) = -softplus(-x), without overflow.

    >>> round(float(hornbeam.ops.log_sigmoid(0.0)), 4)
    -0.6931
    """
    return Tensor(-softplus_node(-float_node(x)))


@operation
def softsign(x: Any) -> Tensor:
    """x / (1 + |x|).

    >>> float(hornbeam.ops.softsign(1.0))
    0.5
    """
    node = float_node(x)
    return Tensor(node / (p.absolute(node) + 1.0))


@operation
def hard_sigmoid(x: Any) -> Tensor:
    """x / 6 + 1/2 limited to [0, 1]: a sigmoid of straight lines.

    >>> float(hornbeam.ops.hard_sigmoid(0.0))
    0.5
    """
    return clip(Tensor(float_node(x) / 6.0 + 0.5), 0.0, 1.0)


@operation
def hard_silu(x: Any) -> Tensor:
    """x hard_sigmoid(x), also called hard swish. Howard et al., "Searching for MobileNetV3", 2019.

    >>> float(hornbeam.ops.hard_silu(3.0))
    3.0
    """
    node = float_node(x)
    return Tensor(node) * hard_sigmoid(Tensor(node))


hard_swish = hard_silu


@operation
def hard_tanh(x: Any) -> Tensor:
    """x limited to [-1, 1].

    >>> float(hornbeam.ops.hard_tanh(2.0))
    1.0
    """
    return clip(Tensor(float_node(x)), -1.0, 1.0)


@operation
def tanh_shrink(x: Any) -> Tensor:
    """x - tanh(x).

    >>> float(hornbeam.ops.tanh_shrink(0.0))
    0.0
    """
    node = float_node(x)
    return Tensor(node - p.tanh(node))


@operation
def hard_shrink(x: Any, threshold: float = 0.5) -> Tensor:
    """x where |x| > threshold, 0 elsewhere.

    >>> float(hornbeam.ops.hard_shrink(0.4))
    0.0
    """
    node = float_node(x)
    return Tensor(p.select(p.gt(p.absolute(node), full(threshold, node.type)), node, zeros_like(node)))


@operation
def soft_shrink(x: Any, threshold: float = 0.5) -> Tensor:
    """x moved toward 0 by `threshold`: x - t where x > t, x + t where x < -t, 0 between.

    >>> float(hornbeam.ops.soft_shrink(1.0))
    0.5
    """
    node = float_node(x)
    limit = full(threshold, node.type)
    below = p.select(p.lt(node, -limit), node + limit, zeros_like(node))
    return Tensor(p.select(p.gt(node, limit), node - limit, below))


@operation
def threshold(x: Any, threshold: float, default_value: float) -> Tensor:
    """x where x > threshold, `default_value` elsewhere.

    >>> float(hornbeam.ops.threshold(1.0, 2.0, 9.0))
    9.0
    """
    node = float_node(x)
    return Tensor(p.select(p.gt(node, full(threshold, node.type)), node, full(default_value, node.type)))


@operation
def squareplus(x: Any, b: float = 4) -> Tensor:
    """(x + sqrt(x^2 + b)) / 2: a softplus without exponentials. Barron, 2021.

    >>> float(hornbeam.ops.squareplus(0.0))
    1.0
    """
    node = float_node(x)
    return Tensor((node + p.sqrt(node * node + float(b))) * 0.5)


@operation
def sparse_plus(x: Any) -> Tensor:
    """0 up to -1, (x + 1)^2 / 4 between, x from 1 on: a softplus that reaches 0.

    >>> float(hornbeam.ops.sparse_plus(0.0))
    0.25
    """
    node = float_node(x)
    one = ones_like(node)
    middle = (node + 1.0) * (node + 1.0) * 0.25
    return Tensor(p.select(p.le(node, -one), zeros_like(node), p.select(p.lt(node, one), middle, node)))


@operation
def sparse_sigmoid(x: Any) -> Tensor:
    """0 up to -1, (x + 1) / 2 between, 1 from 1 on: a sigmoid that reaches 0 and 1.

    >>> float(hornbeam.ops.sparse_sigmoid(0.0))
    0.5
    """
    return clip(Tensor((float_node(x) + 1.0) * 0.5), 0.0, 1.0)


@operation
def glu(x: Any, axis: int = -1) -> Tensor:
    """a sigmoid(b), where a and b are the two halves of x along `axis`. Dauphin et al., 2016.

    Raises ShapeError if the axis has an odd size.

    >>> hornbeam.ops.glu(hornbeam.ops.ones((2, 4))).shape
    (2, 2)
    """
    node = float_node(x)
    at = one_axis(axis, node.rank, "glu")
    if node.shape[at] % 2:
        raise ShapeError(f"glu halves axis {axis}, which has the odd size {node.shape[at]}")
    a, b = split(Tensor(node), 2, at)
    return a * sigmoid(b)


# -- along an axis --------------------------------------------------------------------------------------


def _axes(axis: Axis, rank: int, name: str) -> tuple[int, ...]:
    if axis is None or not rank:
        raise ShapeError(
            f"{name} needs an axis of a tensor with at least one, got axis {axis} of {rank} axes"
        )
    return many_axes(axis, rank, name)


@operation
def softmax(x: Any, axis: Axis = -1) -> Tensor:
    """exp(x) / sum(exp(x)) along `axis` (several are taken as one), without overflow.

    >>> np.asarray(hornbeam.ops.softmax([1.0, 1.0])).tolist()
    [0.5, 0.5]
    """
    node = float_node(x)
    return Tensor(over_last(p.softmax, node, _axes(axis, node.rank, "softmax")))


@operation
def log_softmax(x: Any, axis: Axis = -1) -> Tensor:
    """x - log(sum(exp(x))) along `axis` (several are taken as one), without overflow.

    >>> np.asarray(hornbeam.ops.log_softmax([1.0, 1.0])).round(4)
    array([-0.6931, -0.6931], dtype=float32)
    """
    node = float_node(x)
    return Tensor(over_last(p.log_softmax, node, _axes(axis, node.rank, "log_softmax")))


def _sparsemax(z: Node) -> Node:
    last = z.rank - 1
    falling = p.reverse(p.sort(z), (last,))
    sums = p.cumsum(falling, last) - 1.0
    count = p.iota(z.dtype, z.shape, last) + 1.0
    inside = p.gt(falling * count, sums)
    support = p.reduce_sum(p.convert(inside, z.dtype), (last,))
    total = p.reduce_sum(p.select(inside, falling, zeros_like(falling)), (last,)) - 1.0
    return p.relu(z - p.keep(total / support, z, (last,)))


@operation
def sparsemax(x: Any, axis: int = -1) -> Tensor:
    """The point of the probability simplex nearest to x along `axis`: a softmax with exact zeros.

    Martins & Astudillo, "From Softmax to Sparsemax", 2016.

    >>> np.asarray(hornbeam.ops.sparsemax([2.0, 0.0])).tolist()
    [1.0, 0.0]
    """
    node = float_node(x)
    return Tensor(over_last(_sparsemax, node, _axes(axis, node.rank, "sparsemax")))
