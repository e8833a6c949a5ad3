"""Convolutions: one base for checks and bias, and below it plain, transposed, depthwise and separable
ones.
"""

from __future__ import annotations

from typing import Any

from hornbeam import activations, constraints, initializers, ops, regularizers
from hornbeam._internal.validation import check_choice, check_int, check_sizes
from hornbeam.config import standard_data_format
from hornbeam.core.registry import exported
from hornbeam.core.tensor import Tensor
from hornbeam.core.variable import Variable
from hornbeam.ir.types import ShapeError
from hornbeam.layers.config import constructor_arguments
from hornbeam.layers.input_spec import InputSpec
from hornbeam.layers.layer import Layer
from hornbeam.layers.windows import channel_axis, check_window, spatial_sizes


class _Convolution(Layer):
    """What all convolutions share: sizes, activation, bias, and the checks of them."""

    rank: int
    paddings: tuple[str, ...] = ("valid", "same")

    def __init__(
        self,
        kernel_size: Any,
        strides: Any,
        padding: str,
        data_format: str | None,
        dilation_rate: Any,
        activation: Any,
        use_bias: bool,
        bias_initializer: Any,
        bias_regularizer: Any,
        bias_constraint: Any,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        owner = type(self).__name__
        self.kernel_size = check_sizes("kernel_size", kernel_size, self.rank, where=owner)
        self.strides = check_sizes("strides", strides, self.rank, where=owner)
        self.dilation_rate = check_sizes("dilation_rate", dilation_rate, self.rank, where=owner)
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            raise ValueError(
                f"{owner}: strides and dilation_rate cannot both be above 1, got strides={self.strides} and "
                f"dilation_rate={self.dilation_rate}"
            )
        self.padding = check_choice("padding", str(padding).lower(), self.paddings, where=owner)
        self.data_format = standard_data_format(data_format)
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self.bias_initializer = initializers.get(bias_initializer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.bias_constraint = constraints.get(bias_constraint)
        self.input_spec = InputSpec(ndim=self.rank + 2)

    def _channels_of(self, input_shape: Any) -> int:
        """Number of input channels; from now on inputs must have as many."""
        channels = input_shape[channel_axis(self.data_format)]
        if channels is None:
            raise ShapeError(
                f"{self.describe()}: the number of channels must be known when it is built, got shape "
                f"{tuple(input_shape)} with data_format={self.data_format!r}"
            )
        axis = -1 if self.data_format == "channels_last" else 1
        self.input_spec = InputSpec(ndim=self.rank + 2, axes={axis: channels})
        return channels

    def _add_kernel(self, name: str, shape: tuple[int, ...], kind: str) -> Variable:
        return self.add_weight(
            shape,
            getattr(self, f"{kind}_initializer"),
            regularizer=getattr(self, f"{kind}_regularizer"),
            constraint=getattr(self, f"{kind}_constraint"),
            name=name,
        )

    def _add_bias(self, channels: int) -> None:
        self.bias = self._add_kernel("bias", (channels,), "bias") if self.use_bias else None

    def _finish(self, outputs: Tensor) -> Tensor:
        if self.bias is not None:
            bias = self.bias
            shape = (-1,) if self.data_format == "channels_last" else (-1, *(1,) * self.rank)
            outputs = outputs + ops.reshape(bias, shape)
        return outputs if self.activation is None else self.activation(outputs)

    def _check_fit(self, inputs: Tensor) -> None:
        spatial = spatial_sizes(inputs.shape, self.data_format)
        check_window(
            self.describe(), spatial, self.kernel_size, self.strides, self.padding, self.dilation_rate
        )

    def _pad_causally(self, inputs: Tensor) -> tuple[Tensor, str]:
        """Zeros in front, so that no output sees later steps; returns what padding remains to be done."""
        if self.padding != "causal":
            return inputs, self.padding
        low = self.dilation_rate[0] * (self.kernel_size[0] - 1)
        steps = [(low, 0), (0, 0)] if self.data_format == "channels_last" else [(0, 0), (low, 0)]
        return ops.pad(inputs, [(0, 0), *steps]), "valid"


class _Conv(_Convolution):
    """y = activation(conv(x, kernel) + bias); kernel (*kernel_size, channels / groups, filters)."""

    def __init__(
        self,
        filters: int,
        groups: int,
        kernel_initializer: Any,
        kernel_regularizer: Any,
        kernel_constraint: Any,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        owner = type(self).__name__
        self.filters = check_int("filters", filters, minimum=1, where=owner)
        self.groups = check_int("groups", groups, minimum=1, where=owner)
        if self.filters % self.groups:
            raise ValueError(
                f"{owner}: filters must be a multiple of groups, got filters={filters}, groups={groups}"
            )
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)

    def build(self, input_shape: Any) -> None:
        channels = self._channels_of(input_shape)
        if channels % self.groups:
            raise ShapeError(
                f"{self.describe()}: {channels} input channels do not divide into groups={self.groups}"
            )
        self.kernel = self._add_kernel(
            "kernel", (*self.kernel_size, channels // self.groups, self.filters), "kernel"
        )
        self._add_bias(self.filters)

    def convolution_op(self, inputs: Tensor, kernel: Any) -> Tensor:
        """The convolution alone, by any kernel of this one's shape: subclasses override or use it."""
        inputs, padding = self._pad_causally(inputs)
        return ops.conv(
            inputs,
            kernel,
            strides=self.strides,
            padding=padding,
            data_format=self.data_format,
            dilation_rate=self.dilation_rate,
        )

    def call(self, inputs: Tensor) -> Tensor:
        self._check_fit(inputs)
        return self._finish(self.convolution_op(inputs, self.kernel))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "activity_regularizer": regularizers.serialize(self.activity_regularizer),
        }


@exported("keras.layers", "Convolution1D")
class Conv1D(_Conv):
    """y[t] = activation(sum_k x[t * stride + k * dilation] @ kernel[k] + bias).

    x (batch, steps, channels) -> y (batch, steps', filters); kernel (kernel_size, channels / groups,
    filters). padding: "valid" (none), "same" (steps' = ceil(steps / stride)), "causal" (y[t] sees nothing
    after t). data_format="channels_first": x (batch, channels, steps).

    Raises ValueError for bad arguments, ShapeError if the kernel is larger than the input.

    >>> hornbeam.layers.Conv1D(8, 3, padding="causal")(np.ones((1, 10, 4))).shape
    (1, 10, 8)
    """

    rank = 1
    paddings = ("valid", "same", "causal")

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        groups: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**constructor_arguments(locals()))


@exported("keras.layers", "Convolution2D")
class Conv2D(_Conv):
    """y[i, j] = activation(sum_{a, b} x[i * stride + a, j * stride + b] @ kernel[a, b] + bias).

    x (batch, height, width, channels) -> y (batch, h', w', filters); kernel (*kernel_size, channels / groups,
    filters). h' = floor((height - kernel) / stride) + 1 with padding="valid", ceil(height / stride) with
    "same". data_format="channels_first": x (batch, channels, height, width), y likewise. (LeCun et al. 1989)

    Raises ValueError for bad arguments, ShapeError if the kernel is larger than the input.

    >>> hornbeam.layers.Conv2D(32, (3, 3), activation="relu")(np.ones((1, 28, 28, 1))).shape
    (1, 26, 26, 32)
    """

    rank = 2

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = (1, 1),
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = (1, 1),
        groups: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**constructor_arguments(locals()))


@exported("keras.layers", "Convolution3D")
class Conv3D(_Conv):
    """A convolution over volumes: x (batch, depth, height, width, channels) -> y (batch, d', h', w',
    filters).

    kernel (*kernel_size, channels / groups, filters); sizes and paddings as in Conv2D.

    Raises ValueError for bad arguments, ShapeError if the kernel is larger than the input.

    >>> hornbeam.layers.Conv3D(4, 3)(np.ones((1, 5, 6, 7, 2))).shape
    (1, 3, 4, 5, 4)
    """

    rank = 3

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = (1, 1, 1),
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = (1, 1, 1),
        groups: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**constructor_arguments(locals()))
