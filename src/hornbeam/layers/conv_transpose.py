"""Transposed convolutions: the derivative of a convolution, used to make images larger."""

from __future__ import annotations

from typing import Any

from hornbeam import constraints, initializers, ops, regularizers
from hornbeam._internal.validation import check_int, check_sizes
from hornbeam.core.registry import exported
from hornbeam.core.tensor import Tensor
from hornbeam.layers.config import constructor_arguments
from hornbeam.layers.conv import _Convolution


class _ConvTranspose(_Convolution):
    """y = activation(conv_transpose(x, kernel) + bias); kernel (*kernel_size, filters, channels)."""

    def __init__(
        self,
        filters: int,
        output_padding: Any,
        kernel_initializer: Any,
        kernel_regularizer: Any,
        kernel_constraint: Any,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        owner = type(self).__name__
        self.filters = check_int("filters", filters, minimum=1, where=owner)
        self.output_padding = None
        if output_padding is not None:
            self.output_padding = check_sizes(
                "output_padding", output_padding, self.rank, minimum=0, where=owner
            )
            if any(extra >= stride for extra, stride in zip(self.output_padding, self.strides, strict=True)):
                raise ValueError(
                    f"{owner}: output_padding must be smaller than strides, got {self.output_padding} and "
                    f"{self.strides}"
                )
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)

    def build(self, input_shape: Any) -> None:
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

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "activity_regularizer": regularizers.serialize(self.activity_regularizer),
        }


@exported("keras.layers", "Convolution1DTranspose")
class Conv1DTranspose(_ConvTranspose):
    """A transposed convolution over steps: x (batch, steps, channels) -> y (batch, steps', filters).

    steps' = steps * stride with padding="same", (steps - 1) * stride + kernel with "valid".
    kernel (kernel_size, filters, channels). output_padding: further steps at the end.

    Raises ValueError for bad arguments.

    >>> hornbeam.layers.Conv1DTranspose(8, 3, strides=2, padding="same")(np.ones((1, 10, 4))).shape
    (1, 20, 8)
    """

    rank = 1

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        output_padding: Any = None,
        data_format: str | None = None,
        dilation_rate: Any = 1,
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


@exported("keras.layers", "Convolution2DTranspose")
class Conv2DTranspose(_ConvTranspose):
    """A transposed convolution over images: x (batch, height, width, channels) -> y (batch, h', w', filters).

    h' = height * stride with padding="same", (height - 1) * stride + kernel with "valid".
    kernel (*kernel_size, filters, channels). output_padding: further rows and columns at the end.
    (Zeiler et al. 2010, Deconvolutional Networks)

    Raises ValueError for bad arguments.

    >>> hornbeam.layers.Conv2DTranspose(8, 3, strides=2, padding="same")(np.ones((1, 7, 7, 4))).shape
    (1, 14, 14, 8)
    """

    rank = 2

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = (1, 1),
        padding: str = "valid",
        output_padding: Any = None,
        data_format: str | None = None,
        dilation_rate: Any = (1, 1),
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


@exported("keras.layers", "Convolution3DTranspose")
class Conv3DTranspose(_ConvTranspose):
    """A transposed convolution over volumes: x (batch, depth, height, width, channels) -> y (batch, ...,
    filters).

    Sizes as in Conv2DTranspose; kernel (*kernel_size, filters, channels).

    Raises ValueError for bad arguments.

    >>> hornbeam.layers.Conv3DTranspose(2, 3, strides=2, padding="same")(np.ones((1, 2, 2, 2, 4))).shape
    (1, 4, 4, 4, 2)
    """

    rank = 3

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = (1, 1, 1),
        padding: str = "valid",
        data_format: str | None = None,
        output_padding: Any = None,
        dilation_rate: Any = (1, 1, 1),
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
