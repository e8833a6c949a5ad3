"""Depthwise and separable convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hornbeam import constraints, initializers, ops, regularizers
from hornbeam._internal.typing import ActivationLike, PartialShape
from hornbeam._internal.validation import check_int
from hornbeam.core.registry import exported
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import ConstraintLike, InitializerLike, RegularizerLike, Unpack
from hornbeam.layers.config import constructor_arguments
from hornbeam.layers.conv import _Convolution
from hornbeam.layers.options import LayerOptions


class _Depthwise(_Convolution):
    """Base of both: a kernel (*kernel_size, channels, depth_multiplier) applied to each channel alone."""

    def __init__(
        self,
        depth_multiplier: int,
        depthwise_initializer: InitializerLike,
        depthwise_regularizer: RegularizerLike,
        depthwise_constraint: ConstraintLike,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.depth_multiplier = check_int(
            "depth_multiplier", depth_multiplier, minimum=1, where=type(self).__name__
        )
        self.depthwise_initializer = initializers.get(depthwise_initializer)
        self.depthwise_regularizer = regularizers.get(depthwise_regularizer)
        self.depthwise_constraint = constraints.get(depthwise_constraint)


class _DepthwiseConv(_Depthwise):
    def __init__(
        self,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str = "valid",
        depth_multiplier: int = 1,
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = 1,
        activation: ActivationLike = None,
        use_bias: bool = True,
        depthwise_initializer: InitializerLike = "glorot_uniform",
        bias_initializer: InitializerLike = "zeros",
        depthwise_regularizer: RegularizerLike = None,
        bias_regularizer: RegularizerLike = None,
        activity_regularizer: RegularizerLike = None,
        depthwise_constraint: ConstraintLike = None,
        bias_constraint: ConstraintLike = None,
        **kwargs: Unpack[LayerOptions],
    ) -> None:
        super().__init__(**constructor_arguments(locals()))

    def build(self, input_shape: PartialShape) -> None:
        channels = self._channels_of(input_shape)
        self.kernel = self._add_kernel(
            "kernel", (*self.kernel_size, channels, self.depth_multiplier), "depthwise"
        )
        self._add_bias(channels * self.depth_multiplier)

    def call(self, inputs: Tensor) -> Tensor:
        self._check_fit(inputs)
        return self._finish(
            ops.depthwise_conv(
                inputs,
                self.kernel,
                strides=self.strides,
                padding=self.padding,
                data_format=self.data_format,
                dilation_rate=self.dilation_rate,
            )
        )


class _SeparableConv(_Depthwise):
    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = 1,
        depth_multiplier: int = 1,
        activation: ActivationLike = None,
        use_bias: bool = True,
        depthwise_initializer: InitializerLike = "glorot_uniform",
        pointwise_initializer: InitializerLike = "glorot_uniform",
        bias_initializer: InitializerLike = "zeros",
        depthwise_regularizer: RegularizerLike = None,
        pointwise_regularizer: RegularizerLike = None,
        bias_regularizer: RegularizerLike = None,
        activity_regularizer: RegularizerLike = None,
        depthwise_constraint: ConstraintLike = None,
        pointwise_constraint: ConstraintLike = None,
        bias_constraint: ConstraintLike = None,
        **kwargs: Unpack[LayerOptions],
    ) -> None:
        own = ("filters", "pointwise_initializer", "pointwise_regularizer", "pointwise_constraint")
        super().__init__(**constructor_arguments(locals(), omit=own))
        self.filters = check_int("filters", filters, minimum=1, where=type(self).__name__)
        self.pointwise_initializer = initializers.get(pointwise_initializer)
        self.pointwise_regularizer = regularizers.get(pointwise_regularizer)
        self.pointwise_constraint = constraints.get(pointwise_constraint)

    def build(self, input_shape: PartialShape) -> None:
        channels = self._channels_of(input_shape)
        spread = channels * self.depth_multiplier
        self.depthwise_kernel = self._add_kernel(
            "depthwise_kernel", (*self.kernel_size, channels, self.depth_multiplier), "depthwise"
        )
        self.pointwise_kernel = self._add_kernel(
            "pointwise_kernel", (*(1,) * self.rank, spread, self.filters), "pointwise"
        )
        self._add_bias(self.filters)

    def call(self, inputs: Tensor) -> Tensor:
        self._check_fit(inputs)
        inputs, padding = self._pad_causally(inputs)
        return self._finish(
            ops.separable_conv(
                inputs,
                self.depthwise_kernel,
                self.pointwise_kernel,
                strides=self.strides,
                padding=padding,
                data_format=self.data_format,
                dilation_rate=self.dilation_rate,
            )
        )


@exported("keras.layers")
class DepthwiseConv1D(_DepthwiseConv):
    """Convolution of each channel of a sequence by itself.

    Shapes: x (batch, steps, channels) -> y (batch, steps', channels * depth_multiplier); kernel (kernel_size,
    channels, depth_multiplier).

    Args:
        kernel_size: Size of the window along each axis; one integer for all axes.
        strides: Steps between windows along each axis; one integer for all axes.
        padding: "valid" (none), "same" (steps' = ceil(steps / stride)) or "causal" (no output depends on
            later steps).
        depth_multiplier: Number of outputs for each input channel.
        data_format: "channels_last" (batch, ..., channels) or "channels_first" (batch, channels, ...);
            `keras.config.image_data_format()` by default.
        dilation_rate: Distance between elements of a window along each axis; one integer for all axes. Not
            above 1 together with strides above 1.
        activation: Activation function, by name or as a function; none by default.
        use_bias: Whether a bias is added.
        depthwise_initializer: Initializer of the depthwise kernel.
        bias_initializer: Initializer of the bias.
        depthwise_regularizer: Penalty on the depthwise kernel that is added to the loss.
        bias_regularizer: Penalty on the bias that is added to the loss.
        activity_regularizer: Penalty on the output that is added to the loss.
        depthwise_constraint: Function applied to the depthwise kernel after each update.
        bias_constraint: Function applied to the bias after each update.
        **kwargs: Arguments of `Layer`: `name`, `dtype`, `trainable`, ...

    Raises:
        ValueError: If an argument is invalid.
        ShapeError: If the kernel is larger than the input.

    Example:
        >>> hornbeam.layers.DepthwiseConv1D(3)(np.ones((1, 10, 4))).shape
        (1, 8, 4)
    """

    rank = 1


@exported("keras.layers")
class DepthwiseConv2D(_DepthwiseConv):
    """Convolution of each channel of an image by itself.

    Shapes: x (batch, height, width, channels) -> y (batch, h', w', channels * depth_multiplier); kernel
    (*kernel_size, channels, depth_multiplier). Output channel c * depth_multiplier + m depends on channel c.

    Args:
        kernel_size: Size of the window along each axis; one integer for all axes.
        strides: Steps between windows along each axis; one integer for all axes.
        padding: "valid" (none) or "same" (output size = ceil(input size / stride)). Case is ignored.
        depth_multiplier: Number of outputs for each input channel.
        data_format: "channels_last" (batch, ..., channels) or "channels_first" (batch, channels, ...);
            `keras.config.image_data_format()` by default.
        dilation_rate: Distance between elements of a window along each axis; one integer for all axes. Not
            above 1 together with strides above 1.
        activation: Activation function, by name or as a function; none by default.
        use_bias: Whether a bias is added.
        depthwise_initializer: Initializer of the depthwise kernel.
        bias_initializer: Initializer of the bias.
        depthwise_regularizer: Penalty on the depthwise kernel that is added to the loss.
        bias_regularizer: Penalty on the bias that is added to the loss.
        activity_regularizer: Penalty on the output that is added to the loss.
        depthwise_constraint: Function applied to the depthwise kernel after each update.
        bias_constraint: Function applied to the bias after each update.
        **kwargs: Arguments of `Layer`: `name`, `dtype`, `trainable`, ...

    Raises:
        ValueError: If an argument is invalid.
        ShapeError: If the kernel is larger than the input.

    Example:
        >>> hornbeam.layers.DepthwiseConv2D(3)(np.ones((1, 8, 8, 4))).shape
        (1, 6, 6, 4)
    """

    rank = 2


@exported("keras.layers", "SeparableConvolution1D")
class SeparableConv1D(_SeparableConv):
    """Depthwise convolution over steps, followed by a matrix product over channels.

    Shapes: x (batch, steps, channels) -> y (batch, steps', filters); depthwise_kernel (kernel_size, channels,
    depth_multiplier), pointwise_kernel (1, channels * depth_multiplier, filters).

    Args:
        filters: Number of output channels.
        kernel_size: Size of the window along each axis; one integer for all axes.
        strides: Steps between windows along each axis; one integer for all axes.
        padding: "valid" (none), "same" (steps' = ceil(steps / stride)) or "causal" (no output depends on
            later steps).
        data_format: "channels_last" (batch, ..., channels) or "channels_first" (batch, channels, ...);
            `keras.config.image_data_format()` by default.
        dilation_rate: Distance between elements of a window along each axis; one integer for all axes. Not
            above 1 together with strides above 1.
        depth_multiplier: Number of outputs for each input channel.
        activation: Activation function, by name or as a function; none by default.
        use_bias: Whether a bias is added.
        depthwise_initializer: Initializer of the depthwise kernel.
        pointwise_initializer: Initializer of the pointwise kernel.
        bias_initializer: Initializer of the bias.
        depthwise_regularizer: Penalty on the depthwise kernel that is added to the loss.
        pointwise_regularizer: Penalty on the pointwise kernel that is added to the loss.
        bias_regularizer: Penalty on the bias that is added to the loss.
        activity_regularizer: Penalty on the output that is added to the loss.
        depthwise_constraint: Function applied to the depthwise kernel after each update.
        pointwise_constraint: Function applied to the pointwise kernel after each update.
        bias_constraint: Function applied to the bias after each update.
        **kwargs: Arguments of `Layer`: `name`, `dtype`, `trainable`, ...

    Raises:
        ValueError: If an argument is invalid.
        ShapeError: If the kernel is larger than the input.

    Example:
        >>> hornbeam.layers.SeparableConv1D(8, 3)(np.ones((1, 10, 4))).shape
        (1, 8, 8)
    """

    rank = 1
    paddings = ("valid", "same", "causal")


@exported("keras.layers", "SeparableConvolution2D")
class SeparableConv2D(_SeparableConv):
    """Depthwise convolution over images, followed by a matrix product over channels.

    Shapes: x (batch, height, width, channels) -> y (batch, h', w', filters); depthwise_kernel (*kernel_size,
    channels, depth_multiplier), pointwise_kernel (1, 1, channels * depth_multiplier, filters).

    Args:
        filters: Number of output channels.
        kernel_size: Size of the window along each axis; one integer for all axes.
        strides: Steps between windows along each axis; one integer for all axes.
        padding: "valid" (none) or "same" (output size = ceil(input size / stride)). Case is ignored.
        data_format: "channels_last" (batch, ..., channels) or "channels_first" (batch, channels, ...);
            `keras.config.image_data_format()` by default.
        dilation_rate: Distance between elements of a window along each axis; one integer for all axes. Not
            above 1 together with strides above 1.
        depth_multiplier: Number of outputs for each input channel.
        activation: Activation function, by name or as a function; none by default.
        use_bias: Whether a bias is added.
        depthwise_initializer: Initializer of the depthwise kernel.
        pointwise_initializer: Initializer of the pointwise kernel.
        bias_initializer: Initializer of the bias.
        depthwise_regularizer: Penalty on the depthwise kernel that is added to the loss.
        pointwise_regularizer: Penalty on the pointwise kernel that is added to the loss.
        bias_regularizer: Penalty on the bias that is added to the loss.
        activity_regularizer: Penalty on the output that is added to the loss.
        depthwise_constraint: Function applied to the depthwise kernel after each update.
        pointwise_constraint: Function applied to the pointwise kernel after each update.
        bias_constraint: Function applied to the bias after each update.
        **kwargs: Arguments of `Layer`: `name`, `dtype`, `trainable`, ...

    Raises:
        ValueError: If an argument is invalid.
        ShapeError: If the kernel is larger than the input.

    Example:
        >>> hornbeam.layers.SeparableConv2D(8, 3)(np.ones((1, 8, 8, 4))).shape
        (1, 6, 6, 8)

    Source: Chollet 2017, Xception.
    """

    rank = 2
