"""Activations as layers."""

from __future__ import annotations

from typing import Any

from hornbeam import activations, constraints, initializers, ops, regularizers
from hornbeam._internal.validation import check_axes
from hornbeam.core.registry import exported
from hornbeam.core.tensor import Tensor
from hornbeam.layers.input_spec import InputSpec
from hornbeam.layers.layer import Layer


class _Elementwise(Layer):
    """A layer that keeps the shape and hands masks on."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True


def _not_negative(owner: str, name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0:
        raise ValueError(f"{owner}: {name} must be a number that is not negative, got {value!r}")
    return float(value)


@exported("keras.layers")
class Activation(_Elementwise):
    """y = activation(x), for a function of `hornbeam.activations` by name, or any callable.

    Raises UnknownObjectError for an unknown name, with the nearest known one.

    >>> np.asarray(hornbeam.layers.Activation("relu")(np.array([-1.0, 2.0])))
    array([0., 2.], dtype=float32)
    """

    def __init__(self, activation: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.activation = activations.get(activation)

    def call(self, inputs: Tensor) -> Tensor:
        return self.activation(inputs)


@exported("keras.layers")
class ReLU(_Elementwise):
    """y = min(x, max_value) for x >= threshold, else negative_slope * (x - threshold).

    Raises ValueError if an argument is negative.

    >>> np.asarray(hornbeam.layers.ReLU(max_value=1.0)(np.array([-1.0, 2.0])))
    array([0., 1.], dtype=float32)
    """

    def __init__(
        self,
        max_value: float | None = None,
        negative_slope: float = 0.0,
        threshold: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.max_value = None if max_value is None else _not_negative("ReLU", "max_value", max_value)
        self.negative_slope = _not_negative("ReLU", "negative_slope", negative_slope)
        self.threshold = _not_negative("ReLU", "threshold", threshold)

    def call(self, inputs: Tensor) -> Tensor:
        return activations.relu(inputs, self.negative_slope, self.max_value, self.threshold)


@exported("keras.layers")
class LeakyReLU(_Elementwise):
    """y = x for x >= 0, else negative_slope * x (Maas et al. 2013). Note the default slope of 0.3.

    >>> np.asarray(hornbeam.layers.LeakyReLU(0.5)(np.array([-1.0, 2.0])))
    array([-0.5,  2. ], dtype=float32)
    """

    def __init__(self, negative_slope: float = 0.3, **kwargs: Any) -> None:
        negative_slope = kwargs.pop("alpha", negative_slope)  # its name in Keras 2
        super().__init__(**kwargs)
        self.negative_slope = _not_negative("LeakyReLU", "negative_slope", negative_slope)

    def call(self, inputs: Tensor) -> Tensor:
        return activations.leaky_relu(inputs, self.negative_slope)


@exported("keras.layers")
class PReLU(_Elementwise):
    """y = x for x >= 0, else alpha * x with learned slopes alpha (He et al. 2015, Delving Deep into
    Rectifiers).

    alpha has the input's shape without the batch, and size 1 on `shared_axes` (counted with the batch as axis
    0).

    >>> hornbeam.layers.PReLU(shared_axes=[1, 2])(np.ones((1, 4, 4, 3))).shape
    (1, 4, 4, 3)
    """

    def __init__(
        self,
        alpha_initializer: Any = "Zeros",
        alpha_regularizer: Any = None,
        alpha_constraint: Any = None,
        shared_axes: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.alpha_initializer = initializers.get(alpha_initializer)
        self.alpha_regularizer = regularizers.get(alpha_regularizer)
        self.alpha_constraint = constraints.get(alpha_constraint)
        check_axes("shared_axes", shared_axes, where="PReLU")
        self.shared_axes = [shared_axes] if isinstance(shared_axes, int) else shared_axes

    def build(self, input_shape: Any) -> None:
        shape = [1 if axis in (self.shared_axes or ()) else size for axis, size in enumerate(input_shape)][1:]
        self.alpha = self.add_weight(
            shape,
            self.alpha_initializer,
            regularizer=self.alpha_regularizer,
            constraint=self.alpha_constraint,
            name="alpha",
        )
        free = {
            axis: size
            for axis, size in enumerate(input_shape)
            if axis and axis not in (self.shared_axes or ())
        }
        self.input_spec = InputSpec(ndim=len(input_shape), axes=free)

    def call(self, inputs: Tensor) -> Tensor:
        return activations.relu(inputs) - self.alpha * activations.relu(-inputs)


@exported("keras.layers")
class ELU(_Elementwise):
    """y = x for x >= 0, else alpha * (exp(x) - 1) (Clevert et al. 2016).

    >>> hornbeam.layers.ELU()(np.array([-1.0, 2.0])).shape
    (2,)
    """

    def __init__(self, alpha: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.alpha = alpha

    def call(self, inputs: Tensor) -> Tensor:
        return activations.elu(inputs, alpha=self.alpha)


@exported("keras.layers")
class Softmax(_Elementwise):
    """y = exp(x) / sum(exp(x)) along `axis` (one or several); masked places (mask False) get 0.

    >>> np.asarray(hornbeam.layers.Softmax()(np.zeros(2)))
    array([0.5, 0.5], dtype=float32)
    """

    def __init__(self, axis: Any = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = check_axes("axis", axis, where="Softmax")

    def call(self, inputs: Tensor, mask: Any = None) -> Tensor:
        if mask is not None:
            inputs = inputs + (1.0 - ops.cast(mask, inputs.dtype)) * (
                -3e4 if inputs.dtype == "float16" else -1e9
            )
        if isinstance(self.axis, (list, tuple)):
            if len(self.axis) > 1:
                return ops.exp(inputs - ops.logsumexp(inputs, axis=tuple(self.axis), keepdims=True))
            return activations.softmax(inputs, axis=self.axis[0])
        return activations.softmax(inputs, axis=self.axis)
