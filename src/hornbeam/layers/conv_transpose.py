"""Transposed convolutions: the gradient of a convolution, used to enlarge images."""

from __future__ import annotations

from collections.abc import Sequence

from hornbeam import constraints, initializers, ops, regularizers
from hornbeam._internal.typing import ActivationLike, PartialShape
from hornbeam._internal.validation import check_int, check_sizes
from hornbeam.core.registry import exported
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import ConstraintLike, InitializerLike, RegularizerLike, Unpack
from hornbeam.layers.config import constructor_arguments
from hornbeam.layers.conv import _Convolution
from hornbeam.layers.options import LayerOptions


class _ConvTranspose(_Convolution):
    """y = activation(conv_transpose(x, kernel) + bias); kernel (*kernel_size, filters, channels)."""

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str = "valid",
        output_padding: int | Sequence[int] | None = None,
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = 1,
        activation: ActivationLike = None,
        use_bias: bool = True,
        kernel_initializer: InitializerLike = "glorot_uniform",
        bias_initializer: InitializerLike = "zeros",
        kernel_regularizer: RegularizerLike = None,
        bias_regularizer: RegularizerLike = None,
        activity_regularizer: RegularizerLike = None,
        kernel_constraint: ConstraintLike = None,
        bias_constraint: ConstraintLike = None,
        **kwargs: Unpack[LayerOptions],
    ) -> None:
        own = ["filters", "output_padding", "kernel_initializer", "kernel_regularizer", "kernel_constraint"]
        super().__init__(**constructor_arguments(locals(), omit=own))
        owner = type(self).__name__
        self.filters = check_int("filters", filters, minimum=1, where=owner)
        self.output_padding = None
        if output_padding is not None:
            self.output_padding = check_sizes(
                "output_padding", output_padding, self.rank, minimum=0, where=owner
            )
            if any(extra >= stride for extra, stride in zip(self.output_padding, self.strides, strict=True)):
                raise ValueError(
                    f"{owner}: output_padding must be smaller than strides, "
                    f"got {self.output_padding} and {self.strides}"
                )
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)

    def build(self, input_shape: PartialShape) -> None:
        channels = self._channels_of(input_shape)
        self.kernel = self._add_kernel("kernel", (*self.kernel_size, self.filters, channels), "kernel")
        self._add_bias(self.filters)

    def call(self, inputs: Tensor) -> Tensor:
        return self._finish(
            ops.conv_transpose(
                inputs,
                self.kernel,
                strides=self.strides,
                padding=self.padding,
                output_padding=self.output_padding,
                data_format=self.data_format,
                dilation_rate=self.dilation_rate,
            )
        )


@exported("keras.layers", "Convolution1DTranspose")
class Conv1DTranspose(_ConvTranspose):
    """Transposed convolution over the steps of a sequence.

    Shapes: x (batch, steps, channels) -> y (batch, steps', filters); kernel (kernel_size, filters, channels).
    steps' = steps * stride with padding="same", (steps - 1) * stride + kernel with "valid".

    Args:
        filters: Number of output channels.
        kernel_size: Size of the window along each axis; one integer for all axes.
        strides: Steps between windows along each axis; one integer for all axes.
        padding: "valid" or "same". Case is ignored.
        output_padding: Elements added at the end of each axis of the output, below the strides; inferred by
            default.
        data_format: "channels_last" (batch, ..., channels) or "channels_first" (batch, channels, ...);
            `keras.config.image_data_format()` by default.
        dilation_rate: Distance between elements of a window along each axis; one integer for all axes. Not
            above 1 together with strides above 1.
        activation: Activation function, by name or as a function; none by default.
        use_bias: Whether a bias is added.
        kernel_initializer: Initializer of the kernel.
        bias_initializer: Initializer of the bias.
        kernel_regularizer: Penalty on the kernel that is added to the loss.
        bias_regularizer: Penalty on the bias that is added to the loss.
        activity_regularizer: Penalty on the output that is added to the loss.
        kernel_constraint: Function applied to the kernel after each update.
        bias_constraint: Function applied to the bias after each update.
        **kwargs: Arguments of `Layer`: `name`, `dtype`, `trainable`, ...

    Raises:
        ValueError: If an argument is invalid.

    Example:
        >>> hornbeam.layers.Conv1DTranspose(8, 3, strides=2, padding="same")(np.ones((1, 10, 4))).shape
        (1, 20, 8)
    """

    rank = 1


@exported("keras.layers", "Convolution2DTranspose")
class Conv2DTranspose(_ConvTranspose):
    """Transposed convolution over images.

    Shapes: x (batch, height, width, channels) -> y (batch, h', w', filters); kernel (*kernel_size, filters,
    channels). h' = height * stride with padding="same", (height - 1) * stride + kernel with "valid".

    Args:
        filters: Number of output channels.
        kernel_size: Size of the window along each axis; one integer for all axes.
        strides: Steps between windows along each axis; one integer for all axes.
        padding: "valid" or "same". Case is ignored.
        output_padding: Elements added at the end of each axis of the output, below the strides; inferred by
            default.
        data_format: "channels_last" (batch, ..., channels) or "channels_first" (batch, channels, ...);
            `keras.config.image_data_format()` by default.
        dilation_rate: Distance between elements of a window along each axis; one integer for all axes. Not
            above 1 together with strides above 1.
        activation: Activation function, by name or as a function; none by default.
        use_bias: Whether a bias is added.
        kernel_initializer: Initializer of the kernel.
        bias_initializer: Initializer of the bias.
        kernel_regularizer: Penalty on the kernel that is added to the loss.
        bias_regularizer: Penalty on the bias that is added to the loss.
        activity_regularizer: Penalty on the output that is added to the loss.
        kernel_constraint: Function applied to the kernel after each update.
        bias_constraint: Function applied to the bias after each update.
        **kwargs: Arguments of `Layer`: `name`, `dtype`, `trainable`, ...

    Raises:
        ValueError: If an argument is invalid.

    Example:
        >>> hornbeam.layers.Conv2DTranspose(8, 3, strides=2, padding="same")(np.ones((1, 7, 7, 4))).shape
        (1, 14, 14, 8)

    Source: Zeiler et al. 2010, Deconvolutional Networks.
    """

    rank = 2


@exported("keras.layers", "Convolution3DTranspose")
class Conv3DTranspose(_ConvTranspose):
    """Transposed convolution over volumes.

    Shapes: x (batch, depth, height, width, channels) -> y (batch, d', h', w', filters); kernel (*kernel_size,
    filters, channels). Sizes as in `Conv2DTranspose`.

    Args:
        filters: Number of output channels.
        kernel_size: Size of the window along each axis; one integer for all axes.
        strides: Steps between windows along each axis; one integer for all axes.
        padding: "valid" or "same". Case is ignored.
        output_padding: Elements added at the end of each axis of the output, below the strides; inferred by
            default.
        data_format: "channels_last" (batch, ..., channels) or "channels_first" (batch, channels, ...);
            `keras.config.image_data_format()` by default.
        dilation_rate: Distance between elements of a window along each axis; one integer for all axes. Not
            above 1 together with strides above 1.
        activation: Activation function, by name or as a function; none by default.
        use_bias: Whether a bias is added.
        kernel_initializer: Initializer of the kernel.
        bias_initializer: Initializer of the bias.
        kernel_regularizer: Penalty on the kernel that is added to the loss.
        bias_regularizer: Penalty on the bias that is added to the loss.
        activity_regularizer: Penalty on the output that is added to the loss.
        kernel_constraint: Function applied to the kernel after each update.
        bias_constraint: Function applied to the bias after each update.
        **kwargs: Arguments of `Layer`: `name`, `dtype`, `trainable`, ...

    Raises:
        ValueError: If an argument is invalid.

    Example:
        >>> hornbeam.layers.Conv3DTranspose(2, 3, strides=2, padding="same")(np.ones((1, 2, 2, 2, 4))).shape
        (1, 4, 4, 4, 2)
    """

    rank = 3

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = (1, 1, 1),
        padding: str = "valid",
        data_format: str | None = None,
        output_padding: int | Sequence[int] | None = None,
        dilation_rate: int | Sequence[int] = (1, 1, 1),
        activation: ActivationLike = None,
        use_bias: bool = True,
        kernel_initializer: InitializerLike = "glorot_uniform",
        bias_initializer: InitializerLike = "zeros",
        kernel_regularizer: RegularizerLike = None,
        bias_regularizer: RegularizerLike = None,
        activity_regularizer: RegularizerLike = None,
        kernel_constraint: ConstraintLike = None,
        bias_constraint: ConstraintLike = None,
        **kwargs: Unpack[LayerOptions],
    ) -> None:
        super().__init__(**constructor_arguments(locals()))
