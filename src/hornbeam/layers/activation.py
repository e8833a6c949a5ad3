"""Activation functions as layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hornbeam import activations, constraints, initializers, ops, regularizers
from hornbeam._internal.typing import ActivationLike, PartialShape
from hornbeam._internal.validation import check_axes, check_number
from hornbeam.core.registry import exported
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import ConstraintLike, InitializerLike, RegularizerLike, Unpack
from hornbeam.ir.sizes import certainly_differ
from hornbeam.ir.types import ShapeError
from hornbeam.layers.input_spec import InputSpec
from hornbeam.layers.layer import TensorLayer
from hornbeam.layers.options import RegularizedLayerOptions


class _Elementwise(TensorLayer):
    """A layer that keeps the shape and passes masks on."""

    _is_stateless = True

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True


@exported("keras.layers")
class Activation(_Elementwise):
    """Apply an activation function: `y = activation(x)`.

    Args:
        activation: Function of `hornbeam.activations` by name, or any function of a tensor.
        **kwargs: Arguments of `Layer`: `name`, `dtype`, `trainable`, ...

    Raises:
        UnknownObjectError: If the name is unknown; the message has the nearest known name.

    Example:
        >>> np.asarray(hornbeam.layers.Activation("relu")(np.array([-1.0, 2.0])))
        array([0., 2.], dtype=float32)
    """

    def __init__(self, activation: ActivationLike, **kwargs: Unpack[RegularizedLayerOptions]) -> None:
        super().__init__(**kwargs)
        self.activation = activations.get(activation)

    def call(self, inputs: Tensor) -> Tensor:
        return self.activation(inputs)


@exported("keras.layers")
class ReLU(_Elementwise):
    """Rectified linear unit with a threshold and an upper bound.

    Formula: `y = min(x, max_value)` for x >= threshold, else `negative_slope * (x - threshold)`.

    Args:
        max_value: Upper bound of the output; none by default.
        negative_slope: Slope below the threshold.
        threshold: Smallest input that is passed on.
        **kwargs: Arguments of `Layer`: `name`, `dtype`, `trainable`, ...

    Raises:
        ValueError: If an argument is negative.

    Example:
        >>> np.asarray(hornbeam.layers.ReLU(max_value=1.0)(np.array([-1.0, 2.0])))
        array([0., 1.], dtype=float32)
    """

    def __init__(
        self,
        max_value: float | None = None,
        negative_slope: float = 0.0,
        threshold: float = 0.0,
        **kwargs: Unpack[RegularizedLayerOptions],
    ) -> None:
        super().__init__(**kwargs)
        self.max_value = (
            None
            if max_value is None
            else float(check_number("max_value", max_value, minimum=0, where="ReLU"))
        )
        self.negative_slope = float(check_number("negative_slope", negative_slope, minimum=0, where="ReLU"))
        self.threshold = float(check_number("threshold", threshold, minimum=0, where="ReLU"))

    def call(self, inputs: Tensor) -> Tensor:
        return activations.relu(inputs, self.negative_slope, self.max_value, self.threshold)


@exported("keras.layers")
class LeakyReLU(_Elementwise):
    """Leaky rectified linear unit: `y = x` for x >= 0, else `negative_slope * x`.

    Args:
        negative_slope: Slope of the negative part, 0.3 by default as in Keras.
        **kwargs: `alpha`, the name of `negative_slope` in Keras 2; other arguments of `Layer`.

    Raises:
        ValueError: If `negative_slope` is negative.

    Example:
        >>> np.asarray(hornbeam.layers.LeakyReLU(0.5)(np.array([-1.0, 2.0])))
        array([-0.5,  2. ], dtype=float32)

    Source: Maas et al. 2013.
    """

    def __init__(self, negative_slope: float = 0.3, **kwargs: Any) -> None:
        negative_slope = kwargs.pop("alpha", negative_slope)  # the name in Keras 2
        super().__init__(**kwargs)
        self.negative_slope = float(
            check_number("negative_slope", negative_slope, minimum=0, where="LeakyReLU")
        )

    def call(self, inputs: Tensor) -> Tensor:
        return activations.leaky_relu(inputs, self.negative_slope)


@exported("keras.layers")
class PReLU(_Elementwise):
    """Leaky ReLU with trained slopes of the negative part: `y = x` for x >= 0, else `alpha * x`.

    Shapes: alpha has the input's shape without the batch, with size 1 on `shared_axes`.

    Args:
        alpha_initializer: Initializer of `alpha`.
        alpha_regularizer: Penalty on `alpha` that is added to the loss.
        alpha_constraint: Function applied to `alpha` after each update.
        shared_axes: Axes along which `alpha` is the same, counted with the batch as axis 0.
        **kwargs: Arguments of `Layer`: `name`, `dtype`, `trainable`, ...

    Example:
        >>> hornbeam.layers.PReLU(shared_axes=[1, 2])(np.ones((1, 4, 4, 3))).shape
        (1, 4, 4, 3)

    Source: He et al. 2015, Delving Deep into Rectifiers.
    """

    def __init__(
        self,
        alpha_initializer: InitializerLike = "Zeros",
        alpha_regularizer: RegularizerLike = None,
        alpha_constraint: ConstraintLike = None,
        shared_axes: int | Sequence[int] | None = None,
        **kwargs: Unpack[RegularizedLayerOptions],
    ) -> None:
        super().__init__(**kwargs)
        self.alpha_initializer = initializers.get(alpha_initializer)
        self.alpha_regularizer = regularizers.get(alpha_regularizer)
        self.alpha_constraint = constraints.get(alpha_constraint)
        check_axes("shared_axes", shared_axes, where="PReLU")
        self.shared_axes = [shared_axes] if isinstance(shared_axes, int) else shared_axes

    def build(self, input_shape: PartialShape) -> None:
        shape = [1 if axis in (self.shared_axes or ()) else size for axis, size in enumerate(input_shape)][1:]
        self.alpha = self.add_weight(
            shape,
            self.alpha_initializer,
            regularizer=self.alpha_regularizer,
            constraint=self.alpha_constraint,
            name="alpha",
        )
        sizes = {
            axis: size
            for axis, size in enumerate(input_shape)
            if axis and axis not in (self.shared_axes or ())
        }
        self.input_spec = InputSpec(ndim=len(input_shape), axes=sizes)

    def call(self, inputs: Tensor) -> Tensor:
        return activations.relu(inputs) - self.alpha * activations.relu(-inputs)


@exported("keras.layers")
class ELU(_Elementwise):
    """Exponential linear unit: `y = x` for x >= 0, else `alpha * (exp(x) - 1)`.

    Args:
        alpha: Negative limit of the output is `-alpha`.
        **kwargs: Arguments of `Layer`: `name`, `dtype`, `trainable`, ...

    Example:
        >>> hornbeam.layers.ELU()(np.array([-1.0, 2.0])).shape
        (2,)

    Source: Clevert et al. 2016.
    """

    def __init__(self, alpha: float = 1.0, **kwargs: Unpack[RegularizedLayerOptions]) -> None:
        super().__init__(**kwargs)
        self.alpha = alpha

    def call(self, inputs: Tensor) -> Tensor:
        return activations.elu(inputs, alpha=self.alpha)


@exported("keras.layers")
class Softmax(_Elementwise):
    """Softmax: `y = exp(x) / sum(exp(x))` along an axis or several.

    Calls take `mask`, which broadcasts to the input: where it is False the output is 0.

    Args:
        axis: Axis or axes that sum to 1.
        **kwargs: Arguments of `Layer`: `name`, `dtype`, `trainable`, ...

    Example:
        >>> np.asarray(hornbeam.layers.Softmax()(np.zeros(2)))
        array([0.5, 0.5], dtype=float32)
    """

    def __init__(self, axis: int | Sequence[int] = -1, **kwargs: Unpack[RegularizedLayerOptions]) -> None:
        super().__init__(**kwargs)
        self.axis = check_axes("axis", axis, where="Softmax")

    def call(self, inputs: Tensor, mask: Tensor | None = None) -> Tensor:
        if mask is None:
            return self._softmax(inputs)
        sizes = zip(reversed(mask.shape), reversed(inputs.shape), strict=False)
        if mask.ndim > inputs.ndim or any(m != 1 and certainly_differ(m, n) for m, n in sizes):
            raise ShapeError(
                f"{self.describe()}: the mask has shape {mask.shape}, which does not broadcast to the inputs "
                f"{inputs.shape}"
            )
        keep = mask if mask.dtype == "bool" else mask > 0.5
        low = -3e4 if inputs.dtype == "float16" else -1e9
        # Also 0 where all values along the axis are masked.
        return ops.where(keep, self._softmax(ops.where(keep, inputs, low)), 0.0)

    def _softmax(self, inputs: Tensor) -> Tensor:
        if isinstance(self.axis, (list, tuple)):
            if len(self.axis) > 1:
                return ops.exp(inputs - ops.logsumexp(inputs, axis=tuple(self.axis), keepdims=True))
            return activations.softmax(inputs, axis=self.axis[0])
        return activations.softmax(inputs, axis=self.axis)
