"""Convolutions that keep the channels apart: depthwise, and separable (depthwise, then across channels)."""

from __future__ import annotations

from typing import Any

from hornbeam import constraints, initializers, ops, regularizers
from hornbeam._internal.validation import check_int
from hornbeam.core.registry import exported
from hornbeam.core.tensor import Tensor
from hornbeam.layers.config import constructor_arguments
from hornbeam.layers.conv import _Convolution


class _Depthwise(_Convolution):
    """Common to both: a kernel (*kernel_size, channels, depth_multiplier) applied to every channel by
    itself.
    """

    def __init__(
        self,
        depth_multiplier: int,
        depthwise_initializer: Any,
        depthwise_regularizer: Any,
        depthwise_constraint: Any,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.depth_multiplier = check_int(
            "depth_multiplier", depth_multiplier, minimum=1, where=type(self).__name__
        )
        self.depthwise_initializer = initializers.get(depthwise_initializer)
        self.depthwise_regularizer = regularizers.get(depthwise_regularizer)
        self.depthwise_constraint = constraints.get(depthwise_constraint)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "activity_regularizer": regularizers.serialize(self.activity_regularizer),
        }


class _DepthwiseConv(_Depthwise):
    def build(self, input_shape: Any) -> None:
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
        pointwise_initializer: Any,
        pointwise_regularizer: Any,
        pointwise_constraint: Any,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.filters = check_int("filters", filters, minimum=1, where=type(self).__name__)
        self.pointwise_initializer = initializers.get(pointwise_initializer)
        self.pointwise_regularizer = regularizers.get(pointwise_regularizer)
        self.pointwise_constraint = constraints.get(pointwise_constraint)

    def build(self, input_shape: Any) -> None:
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
    """Each channel of x (batch, steps, channels) is convolved by itself: y (batch, steps', channels *
    depth_multiplier).

    kernel (kernel_size, channels, depth_multiplier).

    Raises ValueError for bad arguments, ShapeError if the kernel is larger than the input.

    >>> hornbeam.layers.DepthwiseConv1D(3)(np.ones((1, 10, 4))).shape
    (1, 8, 4)
    """

    rank = 1

    def __init__(
        self,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        depth_multiplier: int = 1,
        data_format: str | None = None,
        dilation_rate: Any = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        depthwise_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**constructor_arguments(locals()))


@exported("keras.layers")
class DepthwiseConv2D(_DepthwiseConv):
    """Each channel of an image is convolved by itself: y (batch, h', w', channels * depth_multiplier).

    kernel (*kernel_size, channels, depth_multiplier); output channel c * depth_multiplier + m comes from
    channel c.

    Raises ValueError for bad arguments, ShapeError if the kernel is larger than the input.

    >>> hornbeam.layers.DepthwiseConv2D(3)(np.ones((1, 8, 8, 4))).shape
    (1, 6, 6, 4)
    """

    rank = 2

    def __init__(
        self,
        kernel_size: Any,
        strides: Any = (1, 1),
        padding: str = "valid",
        depth_multiplier: int = 1,
        data_format: str | None = None,
        dilation_rate: Any = (1, 1),
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        depthwise_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**constructor_arguments(locals()))


@exported("keras.layers", "SeparableConvolution1D")
class SeparableConv1D(_SeparableConv):
    """A depthwise convolution over steps, then a matrix product over channels: y (batch, steps', filters).

    depthwise_kernel (kernel_size, channels, depth_multiplier), pointwise_kernel (1, channels *
    depth_multiplier, filters). padding may be "causal".

    Raises ValueError for bad arguments, ShapeError if the kernel is larger than the input.

    >>> hornbeam.layers.SeparableConv1D(8, 3)(np.ones((1, 10, 4))).shape
    (1, 8, 8)
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
        depth_multiplier: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        pointwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        pointwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        depthwise_constraint: Any = None,
        pointwise_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**constructor_arguments(locals()))


@exported("keras.layers", "SeparableConvolution2D")
class SeparableConv2D(_SeparableConv):
    """A depthwise convolution over images, then a matrix product over channels: y (batch, h', w', filters).

    depthwise_kernel (*kernel_size, channels, depth_multiplier), pointwise_kernel (1, 1, channels *
    depth_multiplier, filters). (Chollet 2017, Xception)

    Raises ValueError for bad arguments, ShapeError if the kernel is larger than the input.

    >>> hornbeam.layers.SeparableConv2D(8, 3)(np.ones((1, 8, 8, 4))).shape
    (1, 6, 6, 8)
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
        depth_multiplier: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        pointwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        pointwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        depthwise_constraint: Any = None,
        pointwise_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**constructor_arguments(locals()))
