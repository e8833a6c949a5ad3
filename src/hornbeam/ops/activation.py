"""Activation functions. All of them keep the shape; integers are computed as floats unless stated."""

from __future__ import annotations

from hornbeam import primitives as p
from hornbeam._internal.typing import Axis
from hornbeam.core.dispatch import operation
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import TensorLike
from hornbeam.ir.node import Node
from hornbeam.ir.primitive import full, ones_like, zeros_like
from hornbeam.ir.types import ShapeError
from hornbeam.ops._common import float_node, many_axes, node_of, one_axis, over_last
from hornbeam.ops.elementwise import clip, sigmoid
from hornbeam.ops.joining import split

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
def relu(x: TensorLike) -> Tensor:
    """Compute the rectified linear unit max(x, 0); its gradient at 0 is 0.

    Args:
        x: Tensor; integers stay integers.

    Returns:
        Tensor of the shape of `x` and in its dtype.

    Example:
        >>> float(hornbeam.ops.relu(-1.0))
        0.0
    """
    node = node_of(x)
    return Tensor(p.relu(p.convert(node, "int32") if node.dtype == "bool" else node))


@operation
def relu6(x: TensorLike) -> Tensor:
    """Compute min(max(x, 0), 6); the gradient at 0 and at 6 is 0.

    Args:
        x: Tensor of floats; integers are computed as floats.

    Returns:
        Tensor of the shape of `x`.

    Example:
        >>> float(hornbeam.ops.relu6(7.0))
        6.0
    """
    node = p.relu(node_of(x))
    six = full(6, node.type)
    return Tensor(p.select(p.ge(node, six), six, node))


@operation
def leaky_relu(x: TensorLike, negative_slope: float = 0.2) -> Tensor:
    """Compute x for x > 0 and negative_slope * x elsewhere.

    Args:
        x: Tensor of floats; integers are computed as floats.
        negative_slope: Factor for negative elements.

    Returns:
        Tensor of the shape of `x`.

    Example:
        >>> float(hornbeam.ops.leaky_relu(-1.0, 0.5))
        -0.5
    """
    node = float_node(x)
    return Tensor(p.select(_positive(node), node, node * negative_slope))


def _expm1_below(x: Node) -> Node:
    """Compute exp(x) - 1 for x <= 0, and 0 above, where the exponential could overflow."""
    return p.expm1(p.select(_positive(x), zeros_like(x), x))


@operation
def elu(x: TensorLike, alpha: float = 1.0) -> Tensor:
    """Compute the exponential linear unit: x for x > 0 and alpha (exp(x) - 1) elsewhere.

    Args:
        x: Tensor of floats; integers are computed as floats.
        alpha: Number, the negative of the limit at -inf.

    Returns:
        Tensor of the shape of `x`.

    Example:
        >>> float(hornbeam.ops.elu(2.0))
        2.0

    Source: Clevert et al., 2015.
    """
    node = float_node(x)
    return Tensor(p.select(_positive(node), node, _expm1_below(node) * alpha))


@operation
def selu(x: TensorLike) -> Tensor:
    """Compute the scaled exponential linear unit 1.0507 * elu(x, 1.6733).

    It keeps mean 0 and variance 1 through deep dense networks.

    Args:
        x: Tensor of floats; integers are computed as floats.

    Returns:
        Tensor of the shape of `x`.

    Example:
        >>> float(hornbeam.ops.selu(0.0))
        0.0

    Source: Klambauer et al., 2017.
    """
    node = float_node(x)
    return Tensor(p.select(_positive(node), node, _expm1_below(node) * _SELU_ALPHA) * _SELU_SCALE)


@operation
def celu(x: TensorLike, alpha: float = 1.0) -> Tensor:
    """Compute the continuously differentiable elu max(x, 0) + min(0, alpha (exp(x / alpha) - 1)).

    Args:
        x: Tensor of floats; integers are computed as floats.
        alpha: Number, the negative of the limit at -inf.

    Returns:
        Tensor of the shape of `x`.

    Raises:
        ValueError: If `alpha` is 0.

    Example:
        >>> float(hornbeam.ops.celu(2.0))
        2.0

    Source: Barron, 2017.
    """
    if not alpha:
        raise ValueError("celu: alpha must not be 0")
    node = float_node(x)
    return Tensor(p.select(_positive(node), node, _expm1_below(node / alpha) * alpha))


@operation
def gelu(x: TensorLike, approximate: bool = True) -> Tensor:
    """Compute x Phi(x), where Phi is the normal distribution function.

    Args:
        x: Tensor of floats; integers are computed as floats.
        approximate: Use 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))); otherwise the error function.

    Returns:
        Tensor of the shape of `x`.

    Example:
        >>> float(hornbeam.ops.gelu(0.0))
        0.0

    Source: Hendrycks & Gimpel, 2016.
    """
    return Tensor(p.gelu(float_node(x), approximate=bool(approximate)))


@operation
def silu(x: TensorLike) -> Tensor:
    """Compute x sigmoid(x), also called swish.

    Args:
        x: Tensor of floats; integers are computed as floats.

    Returns:
        Tensor of the shape of `x`.

    Example:
        >>> float(hornbeam.ops.silu(0.0))
        0.0

    Source: Ramachandran et al., 2017.
    """
    return Tensor(p.silu(float_node(x)))


swish = silu


def softplus_node(x: Node) -> Node:
    """Compute log(1 + exp(x)) without overflow, with the correct gradient everywhere, 0 included."""
    above = p.ge(x, zeros_like(x))
    return p.select(above, x, zeros_like(x)) + p.log1p(p.exp(p.select(above, -x, x)))


@operation
def softplus(x: TensorLike) -> Tensor:
    """Compute log(1 + exp(x)), a smooth relu.

    Args:
        x: Tensor of floats; integers are computed as floats.

    Returns:
        Tensor of the shape of `x`.

    Example:
        >>> round(float(hornbeam.ops.softplus(0.0)), 4)
        0.6931
    """
    return Tensor(softplus_node(float_node(x)))


@operation
def log_sigmoid(x: TensorLike) -> Tensor:
    """Compute log(sigmoid(x)) = -softplus(-x), without overflow.

    Args:
        x: Tensor of floats; integers are computed as floats.

    Returns:
        Tensor of the shape of `x`.

    Example:
        >>> round(float(hornbeam.ops.log_sigmoid(0.0)), 4)
        -0.6931
    """
    return Tensor(-softplus_node(-float_node(x)))


@operation
def softsign(x: TensorLike) -> Tensor:
    """Compute x / (1 + |x|).

    Args:
        x: Tensor of floats; integers are computed as floats.

    Returns:
        Tensor of the shape of `x`.

    Example:
        >>> float(hornbeam.ops.softsign(1.0))
        0.5
    """
    node = float_node(x)
    return Tensor(node / (p.absolute(node) + 1.0))


@operation
def hard_sigmoid(x: TensorLike) -> Tensor:
    """Compute x / 6 + 1/2 limited to [0, 1], a piecewise linear sigmoid.

    Args:
        x: Tensor of floats; integers are computed as floats.

    Returns:
        Tensor of the shape of `x`.

    Example:
        >>> float(hornbeam.ops.hard_sigmoid(0.0))
        0.5
    """
    return clip(Tensor(float_node(x) / 6.0 + 0.5), 0.0, 1.0)


@operation
def hard_silu(x: TensorLike) -> Tensor:
    """Compute x hard_sigmoid(x), also called hard swish.

    Args:
        x: Tensor of floats; integers are computed as floats.

    Returns:
        Tensor of the shape of `x`.

    Example:
        >>> float(hornbeam.ops.hard_silu(3.0))
        3.0

    Source: Howard et al., "Searching for MobileNetV3", 2019.
    """
    node = float_node(x)
    return Tensor(node) * hard_sigmoid(Tensor(node))


hard_swish = hard_silu


@operation
def hard_tanh(x: TensorLike) -> Tensor:
    """Limit x to [-1, 1].

    Args:
        x: Tensor of floats; integers are computed as floats.

    Returns:
        Tensor of the shape of `x`.

    Example:
        >>> float(hornbeam.ops.hard_tanh(2.0))
        1.0
    """
    return clip(Tensor(float_node(x)), -1.0, 1.0)


@operation
def tanh_shrink(x: TensorLike) -> Tensor:
    """Compute x - tanh(x).

    Args:
        x: Tensor of floats; integers are computed as floats.

    Returns:
        Tensor of the shape of `x`.

    Example:
        >>> float(hornbeam.ops.tanh_shrink(0.0))
        0.0
    """
    node = float_node(x)
    return Tensor(node - p.tanh(node))


@operation
def hard_shrink(x: TensorLike, threshold: float = 0.5) -> Tensor:
    """Return x where |x| > threshold, and 0 elsewhere.

    Args:
        x: Tensor of floats; integers are computed as floats.
        threshold: Number, the largest absolute value that becomes 0.

    Returns:
        Tensor of the shape of `x`.

    Example:
        >>> float(hornbeam.ops.hard_shrink(0.4))
        0.0
    """
    node = float_node(x)
    return Tensor(p.select(p.gt(p.absolute(node), full(threshold, node.type)), node, zeros_like(node)))


@operation
def soft_shrink(x: TensorLike, threshold: float = 0.5) -> Tensor:
    """Shrink x toward 0 by a threshold t: x - t for x > t, x + t for x < -t, 0 between.

    Args:
        x: Tensor of floats; integers are computed as floats.
        threshold: Number t >= 0.

    Returns:
        Tensor of the shape of `x`.

    Example:
        >>> float(hornbeam.ops.soft_shrink(1.0))
        0.5
    """
    node = float_node(x)
    limit = full(threshold, node.type)
    below = p.select(p.lt(node, -limit), node + limit, zeros_like(node))
    return Tensor(p.select(p.gt(node, limit), node - limit, below))


@operation
def threshold(x: TensorLike, threshold: float, default_value: float) -> Tensor:
    """Return x where x > threshold, and a default elsewhere.

    Args:
        x: Tensor of floats; integers are computed as floats.
        threshold: Number to compare with.
        default_value: Number in place of elements up to the threshold.

    Returns:
        Tensor of the shape of `x`.

    Example:
        >>> float(hornbeam.ops.threshold(1.0, 2.0, 9.0))
        9.0
    """
    node = float_node(x)
    return Tensor(p.select(p.gt(node, full(threshold, node.type)), node, full(default_value, node.type)))


@operation
def squareplus(x: TensorLike, b: float = 4) -> Tensor:
    """Compute (x + sqrt(x^2 + b)) / 2, a softplus without exponentials.

    Args:
        x: Tensor of floats; integers are computed as floats.
        b: Number >= 0, the width of the smooth part.

    Returns:
        Tensor of the shape of `x`.

    Example:
        >>> float(hornbeam.ops.squareplus(0.0))
        1.0

    Source: Barron, 2021.
    """
    node = float_node(x)
    return Tensor((node + p.sqrt(node * node + float(b))) * 0.5)


@operation
def sparse_plus(x: TensorLike) -> Tensor:
    """Compute 0 for x <= -1, (x + 1)^2 / 4 between, x for x >= 1: a softplus that reaches 0.

    Args:
        x: Tensor of floats; integers are computed as floats.

    Returns:
        Tensor of the shape of `x`.

    Example:
        >>> float(hornbeam.ops.sparse_plus(0.0))
        0.25
    """
    node = float_node(x)
    one = ones_like(node)
    middle = (node + 1.0) * (node + 1.0) * 0.25
    return Tensor(p.select(p.le(node, -one), zeros_like(node), p.select(p.lt(node, one), middle, node)))


@operation
def sparse_sigmoid(x: TensorLike) -> Tensor:
    """Compute 0 for x <= -1, (x + 1) / 2 between, 1 for x >= 1: a sigmoid that reaches 0 and 1.

    Args:
        x: Tensor of floats; integers are computed as floats.

    Returns:
        Tensor of the shape of `x`.

    Example:
        >>> float(hornbeam.ops.sparse_sigmoid(0.0))
        0.5
    """
    return clip(Tensor((float_node(x) + 1.0) * 0.5), 0.0, 1.0)


@operation
def glu(x: TensorLike, axis: int = -1) -> Tensor:
    """Compute the gated linear unit a sigmoid(b), where a and b are the two halves of x along an axis.

    Args:
        x: Tensor of floats; integers are computed as floats.
        axis: Integer, the axis of even size that is halved.

    Returns:
        Tensor of the shape of `x`, half as large along `axis`.

    Raises:
        ShapeError: If the axis has an odd size.

    Example:
        >>> hornbeam.ops.glu(hornbeam.ops.ones((2, 4))).shape
        (2, 2)

    Source: Dauphin et al., 2016.
    """
    node = float_node(x)
    at = one_axis(axis, node.rank, "glu")
    if node.shape[at] % 2:
        raise ShapeError(f"glu: axis {axis} must have an even size, got {node.shape[at]}")
    a, b = split(Tensor(node), 2, at)
    return a * sigmoid(b)


# -- along an axis --------------------------------------------------------------------------------------


def _axes(axis: Axis, rank: int, name: str) -> tuple[int, ...]:
    if not rank:
        raise ShapeError(f"{name} needs a tensor with at least one axis, got a scalar")
    return many_axes(axis, rank, name)


@operation
def softmax(x: TensorLike, axis: Axis = -1) -> Tensor:
    """Compute exp(x) / sum(exp(x)) along an axis, without overflow.

    Args:
        x: Tensor of floats; integers are computed as floats.
        axis: Integer or sequence of integers; several axes are treated as one. None for all.

    Returns:
        Tensor of the shape of `x`; its elements sum to 1 along `axis`.

    Example:
        >>> np.asarray(hornbeam.ops.softmax([1.0, 1.0])).tolist()
        [0.5, 0.5]
    """
    node = float_node(x)
    return Tensor(over_last(p.softmax, node, _axes(axis, node.rank, "softmax")))


@operation
def log_softmax(x: TensorLike, axis: Axis = -1) -> Tensor:
    """Compute x - log(sum(exp(x))) along an axis, without overflow.

    Args:
        x: Tensor of floats; integers are computed as floats.
        axis: Integer or sequence of integers; several axes are treated as one. None for all.

    Returns:
        Tensor of the shape of `x`.

    Example:
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
def sparsemax(x: TensorLike, axis: int = -1) -> Tensor:
    """Project onto the probability simplex along an axis: a softmax with exact zeros.

    Args:
        x: Tensor of floats; integers are computed as floats.
        axis: Integer, the axis whose elements sum to 1.

    Returns:
        Tensor of the shape of `x`.

    Example:
        >>> np.asarray(hornbeam.ops.sparsemax([2.0, 0.0])).tolist()
        [1.0, 0.0]

    Source: Martins & Astudillo, "From Softmax to Sparsemax", 2016.
    """
    node = float_node(x)
    return Tensor(over_last(_sparsemax, node, _axes(axis, node.rank, "sparsemax")))
