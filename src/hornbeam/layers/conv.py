"""Convolutions over one, two and three axes, and the base of all convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hornbeam import activations, constraints, initializers, ops, regularizers
from hornbeam._internal.typing import ActivationLike, PartialShape, ShapeLike, ShapeTree
from hornbeam._internal.validation import check_choice, check_int, check_sizes
from hornbeam.config import standard_data_format
from hornbeam.core.registry import exported
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import ConstraintLike, InitializerLike, RegularizerLike, TensorLike, Unpack
from hornbeam.core.variable import Variable
from hornbeam.ir.types import ShapeError
from hornbeam.layers.config import constructor_arguments
from hornbeam.layers.input_spec import InputSpec
from hornbeam.layers.layer import TensorLayer
from hornbeam.layers.low_rank import LowRankLayer, MainWeight
from hornbeam.layers.options import LowRankOptions
from hornbeam.layers.windows import (
    channel_axis,
    check_window,
    show_axis_defaults,
    spatial_sizes,
    window_output,
)


class _Convolution(TensorLayer):
    """Base of all convolutions: sizes, activation, bias, and their checks."""

    rank: int
    paddings: tuple[str, ...] = ("valid", "same")

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        show_axis_defaults(cls, strides=1, dilation_rate=1)

    def __init__(
        self,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int],
        padding: str,
        data_format: str | None,
        dilation_rate: int | Sequence[int],
        activation: ActivationLike,
        use_bias: bool,
        bias_initializer: InitializerLike,
        bias_regularizer: RegularizerLike,
        bias_constraint: ConstraintLike,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        owner = type(self).__name__
        self.kernel_size = check_sizes("kernel_size", kernel_size, self.rank, where=owner)
        self.strides = check_sizes("strides", strides, self.rank, where=owner)
        self.dilation_rate = check_sizes("dilation_rate", dilation_rate, self.rank, where=owner)
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            raise ValueError(
                f"{owner}: strides and dilation_rate cannot both be above 1, "
                f"got strides={self.strides} and dilation_rate={self.dilation_rate}"
            )
        self.padding = check_choice("padding", str(padding).lower(), self.paddings, where=owner)
        self.data_format = standard_data_format(data_format)
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self.bias_initializer = initializers.get(bias_initializer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.bias_constraint = constraints.get(bias_constraint)
        self.input_spec = InputSpec(ndim=self.rank + 2)

    def _channels_of(self, input_shape: ShapeLike) -> int:
        """Return the number of input channels, which the input spec demands from now on."""
        channels = input_shape[channel_axis(self.data_format)]
        if channels is None:
            raise ShapeError(
                f"{self.describe()}: the number of channels must be known when it is built, "
                f"got shape {tuple(input_shape)} with data_format={self.data_format!r}"
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
        """Pad the start with zeros, so that no output depends on later steps. Return the padding to do."""
        if self.padding != "causal":
            return inputs, self.padding
        amount = self.dilation_rate[0] * (self.kernel_size[0] - 1)
        pads = [(amount, 0), (0, 0)] if self.data_format == "channels_last" else [(0, 0), (amount, 0)]
        return ops.pad(inputs, [(0, 0), *pads]), "valid"

    def get_config(self) -> dict[str, Any]:
        activity = regularizers.serialize(self.activity_regularizer)
        return {**super().get_config(), "activity_regularizer": activity}


class _Conv(_Convolution, LowRankLayer):
    """y = activation(conv(x, kernel) + bias); kernel (*kernel_size, channels / groups, filters)."""

    kernel = MainWeight()

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = 1,
        groups: int = 1,
        activation: ActivationLike = None,
        use_bias: bool = True,
        kernel_initializer: InitializerLike = "glorot_uniform",
        bias_initializer: InitializerLike = "zeros",
        kernel_regularizer: RegularizerLike = None,
        bias_regularizer: RegularizerLike = None,
        activity_regularizer: RegularizerLike = None,
        kernel_constraint: ConstraintLike = None,
        bias_constraint: ConstraintLike = None,
        **kwargs: Unpack[LowRankOptions],
    ) -> None:
        own = ("filters", "groups", "kernel_initializer", "kernel_regularizer", "kernel_constraint")
        super().__init__(**constructor_arguments(locals(), omit=own))
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

    def build(self, input_shape: PartialShape) -> None:
        channels = self._channels_of(input_shape)
        if channels % self.groups:
            raise ShapeError(
                f"{self.describe()}: {channels} input channels do not divide into groups={self.groups}"
            )
        self._kernel = self._add_kernel(
            "kernel", (*self.kernel_size, channels // self.groups, self.filters), "kernel"
        )
        self._add_bias(self.filters)
        self._build_lora()

    def convolution_op(self, inputs: Tensor, kernel: TensorLike) -> Tensor:
        """Convolve without bias and activation. Subclasses may override it or call it with another kernel.

        Args:
            inputs: Tensor (batch, ..., channels), or with channels first.
            kernel: Tensor of the shape of `self.kernel`.
        """
        inputs, padding = self._pad_causally(inputs)
        return ops.conv(
            inputs,
            kernel,
            strides=self.strides,
            padding=padding,
            data_format=self.data_format,
            dilation_rate=self.dilation_rate,
        )

    def compute_output_shape(self, input_shape: PartialShape) -> ShapeTree:
        """Return the shape of the output. It depends on arguments alone, so subclasses may ask in `build`.

        Args:
            input_shape: Shape of the input, None where unknown.
        """
        spatial = spatial_sizes(input_shape, self.data_format)
        geometry = self.kernel_size, self.strides, [self.padding] * self.rank, self.dilation_rate
        if None not in spatial:
            check_window(
                self.describe(), spatial, self.kernel_size, self.strides, self.padding, self.dilation_rate
            )
        sizes = [
            None if size is None else window_output(size, *rest)
            for size, *rest in zip(spatial, *geometry, strict=True)
        ]
        if self.data_format == "channels_last":
            return (input_shape[0], *sizes, self.filters)
        return (input_shape[0], self.filters, *sizes)

    def call(self, inputs: Tensor) -> Tensor:
        self._check_fit(inputs)
        return self._finish(self.convolution_op(inputs, self.kernel))


@exported("keras.layers", "Convolution1D")
class Conv1D(_Conv):
    """Convolution over the steps of a sequence.

    Formula: `y[t] = activation(sum_k x[t * stride + k * dilation] @ kernel[k] + bias)`.

    Shapes: x (batch, steps, channels) -> y (batch, steps', filters), or with channels before steps; kernel
    (kernel_size, channels / groups, filters).

    Args:
        filters: Number of output channels.
        kernel_size: Size of the window along each axis; one integer for all axes.
        strides: Steps between windows along each axis; one integer for all axes.
        padding: "valid" (none), "same" (steps' = ceil(steps / stride)) or "causal" (y[t] depends on no step
            after t).
        data_format: "channels_last" (batch, ..., channels) or "channels_first" (batch, channels, ...);
            `keras.config.image_data_format()` by default.
        dilation_rate: Distance between elements of a window along each axis; one integer for all axes. Not
            above 1 together with strides above 1.
        groups: Number of groups of channels that are convolved separately; divides channels and filters.
        activation: Activation function, by name or as a function; none by default.
        use_bias: Whether a bias is added.
        kernel_initializer: Initializer of the kernel.
        bias_initializer: Initializer of the bias.
        kernel_regularizer: Penalty on the kernel that is added to the loss.
        bias_regularizer: Penalty on the bias that is added to the loss.
        activity_regularizer: Penalty on the output that is added to the loss.
        kernel_constraint: Function applied to the kernel after each update.
        bias_constraint: Function applied to the bias after each update.
        **kwargs: `lora_rank` and `lora_alpha` (see `enable_lora`); arguments of `Layer`: `name`, `dtype`,
            `trainable`, ...

    Raises:
        ValueError: If an argument is invalid.
        ShapeError: If the kernel is larger than the input.

    Example:
        >>> hornbeam.layers.Conv1D(8, 3, padding="causal")(np.ones((1, 10, 4))).shape
        (1, 10, 8)
    """

    rank = 1
    paddings = ("valid", "same", "causal")


@exported("keras.layers", "Convolution2D")
class Conv2D(_Conv):
    """Convolution over images.

    Formula: `y[i, j] = activation(sum_{a, b} x[i * stride + a, j * stride + b] @ kernel[a, b] + bias)`.

    Shapes: x (batch, height, width, channels) -> y (batch, h', w', filters), or with channels before height;
    kernel (*kernel_size, channels / groups, filters). h' = floor((height - kernel) / stride) + 1 with
    padding="valid", ceil(height / stride) with "same".

    Args:
        filters: Number of output channels.
        kernel_size: Size of the window along each axis; one integer for all axes.
        strides: Steps between windows along each axis; one integer for all axes.
        padding: "valid" (none) or "same" (output size = ceil(input size / stride)). Case is ignored.
        data_format: "channels_last" (batch, ..., channels) or "channels_first" (batch, channels, ...);
            `keras.config.image_data_format()` by default.
        dilation_rate: Distance between elements of a window along each axis; one integer for all axes. Not
            above 1 together with strides above 1.
        groups: Number of groups of channels that are convolved separately; divides channels and filters.
        activation: Activation function, by name or as a function; none by default.
        use_bias: Whether a bias is added.
        kernel_initializer: Initializer of the kernel.
        bias_initializer: Initializer of the bias.
        kernel_regularizer: Penalty on the kernel that is added to the loss.
        bias_regularizer: Penalty on the bias that is added to the loss.
        activity_regularizer: Penalty on the output that is added to the loss.
        kernel_constraint: Function applied to the kernel after each update.
        bias_constraint: Function applied to the bias after each update.
        **kwargs: `lora_rank` and `lora_alpha` (see `enable_lora`); arguments of `Layer`: `name`, `dtype`,
            `trainable`, ...

    Raises:
        ValueError: If an argument is invalid.
        ShapeError: If the kernel is larger than the input.

    Example:
        >>> hornbeam.layers.Conv2D(32, (3, 3), activation="relu")(np.ones((1, 28, 28, 1))).shape
        (1, 26, 26, 32)

    Source: LeCun et al. 1989.
    """

    rank = 2


@exported("keras.layers", "Convolution3D")
class Conv3D(_Conv):
    """Convolution over volumes.

    Shapes: x (batch, depth, height, width, channels) -> y (batch, d', h', w', filters), or with channels
    before depth; kernel (*kernel_size, channels / groups, filters). Sizes as in `Conv2D`.

    Args:
        filters: Number of output channels.
        kernel_size: Size of the window along each axis; one integer for all axes.
        strides: Steps between windows along each axis; one integer for all axes.
        padding: "valid" (none) or "same" (output size = ceil(input size / stride)). Case is ignored.
        data_format: "channels_last" (batch, ..., channels) or "channels_first" (batch, channels, ...);
            `keras.config.image_data_format()` by default.
        dilation_rate: Distance between elements of a window along each axis; one integer for all axes. Not
            above 1 together with strides above 1.
        groups: Number of groups of channels that are convolved separately; divides channels and filters.
        activation: Activation function, by name or as a function; none by default.
        use_bias: Whether a bias is added.
        kernel_initializer: Initializer of the kernel.
        bias_initializer: Initializer of the bias.
        kernel_regularizer: Penalty on the kernel that is added to the loss.
        bias_regularizer: Penalty on the bias that is added to the loss.
        activity_regularizer: Penalty on the output that is added to the loss.
        kernel_constraint: Function applied to the kernel after each update.
        bias_constraint: Function applied to the bias after each update.
        **kwargs: `lora_rank` and `lora_alpha` (see `enable_lora`); arguments of `Layer`: `name`, `dtype`,
            `trainable`, ...

    Raises:
        ValueError: If an argument is invalid.
        ShapeError: If the kernel is larger than the input.

    Example:
        >>> hornbeam.layers.Conv3D(4, 3)(np.ones((1, 5, 6, 7, 2))).shape
        (1, 3, 4, 5, 4)
    """

    rank = 3
