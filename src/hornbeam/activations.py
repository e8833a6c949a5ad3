"""Activation functions by name, with Keras's signatures. The formulas are in `ops/activation.py`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from hornbeam import primitives as p
from hornbeam._internal.lazy_imports import explain_missing
from hornbeam.core import registry
from hornbeam.core.dispatch import operation
from hornbeam.core.registry import exported
from hornbeam.core.tensor import Tensor
from hornbeam.ir.primitive import full
from hornbeam.ops import activation as nn
from hornbeam.ops._common import float_node, node_of
from hornbeam.ops.elementwise import clip, exp, tanh

if TYPE_CHECKING:
    from hornbeam._internal.typing import ActivationLike, Config
    from hornbeam.core.typing import TensorLike

# fmt: off
__all__ = [
    "celu", "deserialize", "elu", "exponential", "gelu", "get", "glu", "hard_shrink", "hard_sigmoid",
    "hard_silu", "hard_swish", "hard_tanh", "leaky_relu", "linear", "log_sigmoid", "log_softmax", "mish",
    "relu", "relu6", "selu", "serialize", "sigmoid", "silu", "soft_shrink", "softmax", "softplus",
    "softsign", "sparse_plus", "sparse_sigmoid", "sparsemax", "squareplus", "swish", "tanh", "tanh_shrink",
    "threshold",
]
# fmt: on

T = TypeVar("T")
_MODULE = "keras.activations"

celu = exported(_MODULE)(nn.celu)
elu = exported(_MODULE)(nn.elu)
glu = exported(_MODULE)(nn.glu)
hard_shrink = exported(_MODULE)(nn.hard_shrink)
hard_sigmoid = exported(_MODULE)(nn.hard_sigmoid)
hard_silu = hard_swish = exported(_MODULE, "hard_swish")(nn.hard_silu)
hard_tanh = exported(_MODULE)(nn.hard_tanh)
leaky_relu = exported(_MODULE)(nn.leaky_relu)
log_sigmoid = exported(_MODULE)(nn.log_sigmoid)
log_softmax = exported(_MODULE)(nn.log_softmax)
relu6 = exported(_MODULE)(nn.relu6)
selu = exported(_MODULE)(nn.selu)
sigmoid = exported(_MODULE)(nn.sigmoid)
silu = swish = exported(_MODULE, "swish")(nn.silu)
soft_shrink = exported(_MODULE)(nn.soft_shrink)
softmax = exported(_MODULE)(nn.softmax)
softplus = exported(_MODULE)(nn.softplus)
softsign = exported(_MODULE)(nn.softsign)
sparse_plus = exported(_MODULE)(nn.sparse_plus)
sparse_sigmoid = exported(_MODULE)(nn.sparse_sigmoid)
sparsemax = exported(_MODULE)(nn.sparsemax)
squareplus = exported(_MODULE)(nn.squareplus)
tanh = exported(_MODULE)(tanh)
tanh_shrink = exported(_MODULE)(nn.tanh_shrink)
threshold = exported(_MODULE)(nn.threshold)


@exported(_MODULE)
@operation
def relu(
    x: TensorLike, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0
) -> Tensor:
    """Compute the rectified linear unit max(x, 0), or a variant with a gradient, a limit or a threshold.

    f(x) = max_value if x >= max_value, x if threshold < x < max_value, else negative_slope (x - threshold).

    Args:
        x: Tensor of floats; integers are computed as floats.
        negative_slope: Factor below `threshold`.
        max_value: Number, the largest result, or None.
        threshold: Number up to which `negative_slope` applies.

    Returns:
        Tensor of the shape of `x`.

    Example:
        >>> float(hornbeam.activations.relu(-2.0, negative_slope=0.5))
        -1.0
    """
    if not negative_slope and not threshold:
        result = nn.relu(x)
        if max_value is None:
            return result
        node = node_of(result)
    else:
        node = node_of(x) if not negative_slope else float_node(x)
        limit = full(threshold, node.type)
        below = (node - limit) * negative_slope if negative_slope else full(0, node.type)
        node = p.select(p.gt(node, limit), node, below)
    if max_value is not None:
        top = full(max_value, node.type)
        node = p.select(p.ge(node, top), top, node)
    return Tensor(node)


@exported(_MODULE)
def gelu(x: TensorLike, approximate: bool = False) -> Tensor:
    """Compute x Phi(x), where Phi is the normal distribution function.

    Args:
        x: Tensor of floats; integers are computed as floats.
        approximate: Use the approximation by tanh; otherwise the error function.

    Returns:
        Tensor of the shape of `x`.

    Example:
        >>> float(hornbeam.activations.gelu(0.0))
        0.0

    Source: Hendrycks & Gimpel, "Gaussian Error Linear Units", 2016.
    """
    return nn.gelu(x, approximate)


@exported(_MODULE)
def mish(x: TensorLike) -> Tensor:
    """Compute x tanh(softplus(x)).

    Args:
        x: Tensor of floats; integers are computed as floats.

    Returns:
        Tensor of the shape of `x`.

    Example:
        >>> float(hornbeam.activations.mish(0.0))
        0.0

    Source: Misra, "Mish", 2019.
    """
    return _mish(x)


@operation
def _mish(x: TensorLike) -> Tensor:
    node = float_node(x)
    return Tensor(p.mul(node, p.tanh(nn.softplus_node(node))))


@exported(_MODULE)
def hard_sigmoid_of_keras_2(x: TensorLike) -> Tensor:
    """Compute x / 5 + 1/2 limited to [0, 1], the hard_sigmoid of Keras 1 and 2, for their files.

    Args:
        x: Tensor of floats; integers are computed as floats.

    Returns:
        Tensor of the shape of `x`.

    Example:
        >>> float(hornbeam.activations.hard_sigmoid_of_keras_2(5.0))
        1.0
    """
    return clip(Tensor(float_node(x) * 0.2 + 0.5), 0.0, 1.0)


@exported(_MODULE)
def exponential(x: TensorLike) -> Tensor:
    """Compute exp(x).

    Args:
        x: Tensor of floats; integers are computed as floats.

    Returns:
        Tensor of the shape of `x`.

    Example:
        >>> float(hornbeam.activations.exponential(0.0))
        1.0
    """
    return exp(x)


@exported(_MODULE)
def linear(x: T) -> T:
    """Return x: no activation.

    Args:
        x: Tensor.

    Returns:
        `x`.
    """
    return x


def serialize(activation: Callable[..., Any]) -> str | Config:
    """Convert an activation to a config.

    Args:
        activation: Activation function, or object that is one (a layer).

    Returns:
        Name, or dict for an object.
    """
    return registry.serialize(activation)


def deserialize(config: str | Config, custom_objects: dict[str, Any] | None = None) -> Callable[..., Tensor]:
    """Build the activation that a name or config describes.

    Args:
        config: Config or name.
        custom_objects: Classes and functions by name, in addition to the registered ones.

    Returns:
        Activation.

    Raises:
        UnknownObjectError: If a name is unknown.
    """
    return registry.resolve(config, _MODULE, "activation", custom_objects)


def get(identifier: ActivationLike) -> Callable[..., Tensor]:
    """Return the activation for an identifier.

    Args:
        identifier: Name, config, callable, or None for `linear`.

    Returns:
        Activation.

    Raises:
        UnknownObjectError: If the name is unknown; the message suggests the nearest one.
        TypeError: If it is a class, such as `layers.ReLU`.

    Example:
        >>> hornbeam.activations.get("relu") is hornbeam.activations.relu
        True
    """
    if isinstance(identifier, type):
        raise TypeError(
            f"activation={identifier.__name__} is the class: write {identifier.__name__}(), or the name of a "
            "function such as 'relu'"
        )
    return linear if identifier is None else registry.resolve(identifier, _MODULE, "activation")


explain_missing(__name__)
