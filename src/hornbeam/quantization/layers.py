"""Layers that multiply int8 inputs by int8 weights, with scales that `calibrate` found."""

from __future__ import annotations

from typing import Any

import numpy as np

from hornbeam import layers, ops
from hornbeam.core.registry import exported
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import InitializerLike
from hornbeam.core.variable import Variable
from hornbeam.layers.layer import TensorLayer

# Largest integer. Symmetric: 0 is exact, and padding needs no zero point.
LARGEST = 127


class _Quantized(TensorLayer):
    """Part of all: `y = sums / (inputs_scale * kernel_scale)`, with the sums of products of integers.

    Weights: `kernel` (int8), `kernel_scale` (one of each output), `inputs_scale` (one), and `bias`.
    """

    # `quantize` and `enable_lora` refuse a layer that is quantized.
    _is_quantized = True
    # Axis of the kernel with the outputs.
    _outputs_axis = -1
    _kernel_attribute = "_kernel"
    kernel_scale: Variable
    inputs_scale: Variable

    def _add_int8_kernel(self, shape: tuple[int, ...]) -> Variable:
        kernel = self.add_weight(shape, "zeros", "int8", trainable=False, name="kernel")
        outputs = shape[self._outputs_axis]
        self.kernel_scale = self.add_weight((outputs,), "ones", trainable=False, name="kernel_scale")
        self.inputs_scale = self.add_weight((), "ones", trainable=False, name="inputs_scale")
        return kernel

    def enable_lora(self, *args: Any, **kwargs: Any) -> None:
        """Refuse: gradients do not pass the rounding of the inputs.

        Args:
            *args: Arguments of `Dense.enable_lora`.
            **kwargs: Likewise.

        Raises:
            NotImplementedError: Always.
        """
        raise NotImplementedError(
            f"{self.describe()} is for inference: enable_lora() on the float layer, or quantize it by "
            "model.quantize('int8')"
        )

    def _sums(self, inputs: Tensor, kernel: Tensor) -> Tensor:
        """Multiply integers, which both operands hold as floats."""
        raise NotImplementedError

    def _rescaled_sums(self, inputs: Tensor) -> Tensor:
        # Two operations, where `clip` has four.
        rounded = ops.minimum(ops.maximum(ops.round(inputs * self.inputs_scale), -LARGEST), LARGEST)
        # Converted back: engines without products of integers multiply floats, and the native one, which has
        # them, takes the integers before the conversion.
        integers = ops.cast(ops.cast(rounded, "int8"), "float32")
        kernel = ops.cast(getattr(self, self._kernel_attribute), "float32")
        return self._sums(integers, kernel) * (1 / (self.inputs_scale * self.kernel_scale))

    def _take_float_weights(self, kernel: np.ndarray, bias: np.ndarray | None, inputs_scale: float) -> None:
        """Quantize float weights, with the largest value of each output at 127."""
        outputs = self._outputs_axis % kernel.ndim
        others = tuple(axis for axis in range(kernel.ndim) if axis != outputs)
        largest = np.abs(kernel).max(others, keepdims=True)
        scale = LARGEST / np.where(largest > 0, largest, 1)
        getattr(self, self._kernel_attribute).assign(np.rint(kernel * scale).astype("int8"))
        self.kernel_scale.assign(scale.reshape(-1).astype("float32"))
        self.inputs_scale.assign(np.float32(inputs_scale))
        if bias is not None:
            self.bias.assign(bias)  # type: ignore[attr-defined]


class _QuantizedConv(_Quantized):
    def _add_kernel(self, name: str, shape: tuple[int, ...], kind: str) -> Variable:
        if kind == "bias":
            return super()._add_kernel(name, shape, kind)  # type: ignore[misc]
        return self._add_int8_kernel(shape)

    def call(self, inputs: Tensor) -> Tensor:
        self._check_fit(inputs)  # type: ignore[attr-defined]
        return self._finish(self._rescaled_sums(inputs))  # type: ignore[attr-defined]

    def _sums(self, inputs: Tensor, kernel: Tensor) -> Tensor:
        return self.convolution_op(inputs, kernel)  # type: ignore[attr-defined]


class _QuantizedDepthwiseConv(_QuantizedConv):
    _outputs_axis = -2
    _kernel_attribute = "kernel"

    def _sums(self, inputs: Tensor, kernel: Tensor) -> Tensor:
        options = {
            name: getattr(self, name) for name in ("strides", "padding", "data_format", "dilation_rate")
        }
        return ops.depthwise_conv(inputs, kernel, **options)


@exported("hornbeam.quantization")
class QuantizedDense(_Quantized, layers.Dense):
    """`Dense` that multiplies integers of 8 bits.

    Formula: `q = clip(round(x * inputs_scale), -127, 127)`; `y = activation(q @ kernel / (inputs_scale *
    kernel_scale) + bias)`.

    Shapes: x (..., features) -> y (..., units); kernel (features, units) of int8, kernel_scale and bias
    (units,), inputs_scale ().

    Takes the arguments of `Dense`. Weights come from `hornbeam.quantization.calibrate` or a file.

    Example:
        >>> hornbeam.quantization.layers.QuantizedDense(4)(np.ones((2, 3))).shape
        (2, 4)
    """

    def _add_main_weight(self, shape: tuple[int, ...], initializer: InitializerLike = None) -> None:
        self._kernel = self._add_int8_kernel(shape)

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        return self._finish(self._rescaled_sums(inputs), inputs)

    def _sums(self, inputs: Tensor, kernel: Tensor) -> Tensor:
        return self._product(inputs, kernel)


@exported("hornbeam.quantization")
class QuantizedConv1D(_QuantizedConv, layers.Conv1D):
    """`Conv1D` that multiplies integers of 8 bits, as `QuantizedConv2D` does.

    Takes the arguments of `Conv1D`. Weights come from `hornbeam.quantization.calibrate` or a file.

    Example:
        >>> hornbeam.quantization.layers.QuantizedConv1D(8, 3)(np.ones((1, 10, 4))).shape
        (1, 8, 8)
    """


@exported("hornbeam.quantization")
class QuantizedConv2D(_QuantizedConv, layers.Conv2D):
    """`Conv2D` that multiplies integers of 8 bits.

    Formula: `q = clip(round(x * inputs_scale), -127, 127)`; `y = activation(conv(q, kernel) / (inputs_scale *
    kernel_scale) + bias)`.

    Shapes: as `Conv2D`; kernel of int8, kernel_scale and bias (filters,), inputs_scale ().

    Takes the arguments of `Conv2D`. Weights come from `hornbeam.quantization.calibrate` or a file.

    Example:
        >>> hornbeam.quantization.layers.QuantizedConv2D(8, 3)(np.ones((1, 28, 28, 1))).shape
        (1, 26, 26, 8)
    """


@exported("hornbeam.quantization")
class QuantizedDepthwiseConv1D(_QuantizedDepthwiseConv, layers.DepthwiseConv1D):
    """`DepthwiseConv1D` that multiplies integers of 8 bits, with a scale of each channel.

    Takes the arguments of `DepthwiseConv1D`. Weights come from `hornbeam.quantization.calibrate` or a file.

    Example:
        >>> hornbeam.quantization.layers.QuantizedDepthwiseConv1D(3)(np.ones((1, 10, 4))).shape
        (1, 8, 4)
    """


@exported("hornbeam.quantization")
class QuantizedDepthwiseConv2D(_QuantizedDepthwiseConv, layers.DepthwiseConv2D):
    """`DepthwiseConv2D` that multiplies integers of 8 bits, with a scale of each channel.

    Takes the arguments of `DepthwiseConv2D`. Weights come from `hornbeam.quantization.calibrate` or a file.

    Example:
        >>> hornbeam.quantization.layers.QuantizedDepthwiseConv2D(3)(np.ones((1, 9, 9, 4))).shape
        (1, 7, 7, 4)
    """
