"""Layers that multiply inputs by a kernel, with kernels of all modes: Dense and EinsumDense."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from hornbeam import ops
from hornbeam.core.grad import vjp
from hornbeam.core.tensor import Tensor
from hornbeam.core.variable import Variable
from hornbeam.layers.low_rank import MainWeight
from hornbeam.layers.quantizable import QuantizableLayer
from hornbeam.quantizers.float8 import (
    FORMATS,
    compute_float8_amax_history,
    compute_float8_scale,
    quantize_and_dequantize,
)
from hornbeam.quantizers.formats import Int8


class ProductLayer(QuantizableLayer):
    """`y = activation(product(x, kernel) + bias)`. A subclass defines the product."""

    kernel = MainWeight()
    bias: Variable | None
    activation: Callable[..., Tensor]
    _files = {  # noqa: RUF012
        "int8": ["_kernel", "bias", "kernel_scale"],
        "int4": ["_kernel", "bias", "kernel_scale", "kernel_zero", "g_idx"],
        "float8": [
            "_kernel", "bias", "inputs_scale", "inputs_amax_history", "kernel_scale", "kernel_amax_history",
            "outputs_grad_scale", "outputs_grad_amax_history",
        ],
        "gptq": ["bias", "quantized_kernel", "kernel_scale", "kernel_zero", "g_idx"],
        "awq": ["bias", "quantized_kernel", "kernel_scale", "kernel_zero", "awq_scales", "g_idx"],
    }  # fmt: skip

    def _product(self, inputs: Tensor, kernel: Any) -> Tensor:
        """Multiply inputs by a kernel."""
        raise NotImplementedError

    def _reduced_inputs(self, inputs: Tensor) -> tuple[int, ...]:
        """Return the axes of the inputs over which the product sums."""
        raise NotImplementedError

    def _align_inputs(self, scale: Tensor) -> Tensor:
        """Bring scales of the inputs, with size 1 along the reduced axes, to the axes of the output."""
        raise NotImplementedError

    def _align_kernel(self, scale: Tensor, rank: int) -> Tensor:
        """Bring stored scales of the kernel to the axes of an output of this rank."""
        return scale

    def _is_matrix_product(self) -> bool:
        """True if the product is that of matrices: with the inputs as rows, and the kernel reshaped."""
        return True

    def _rows(self, inputs: Tensor) -> np.ndarray:
        """Return the inputs as a matrix whose columns belong to the rows of the kernel's matrix."""
        summed = self._reduced_inputs(inputs)
        summed = tuple(axis % inputs.ndim for axis in summed)
        kept = [axis for axis in range(inputs.ndim) if axis not in summed]
        size = math.prod(inputs.shape[axis] for axis in summed)
        return np.asarray(inputs, "float32").transpose(*kept, *summed).reshape(-1, size)

    def _lora_product(self, inputs: Tensor) -> Tensor:
        """Multiply inputs by the low-rank change of the kernel."""
        return self._product(inputs, self._lora_change())

    def _finish(self, outputs: Tensor, inputs: Tensor, bias: Any = None) -> Tensor:
        if self.lora_enabled:
            outputs = ops.cast(outputs + self._lora_product(inputs), self.compute_dtype)
        if self.bias is not None:
            outputs = outputs + (self.bias if bias is None else bias)
        return outputs if self.activation is None else self.activation(outputs)

    # -- integers --------------------------------------------------------------------------------------------

    def _int8_call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        return self._finish(self._straight_through(self._int8_product, inputs), inputs)

    def _int4_call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        return self._finish(self._straight_through(self._int4_product, inputs), inputs)

    def _gptq_call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        return self._finish(self._product(inputs, self._decoded()), inputs)

    _awq_call = _gptq_call

    def _straight_through(self, product: Callable[[Tensor], Tensor], inputs: Tensor) -> Tensor:
        """Multiply by a quantized kernel; the gradient is that of the float kernel, without rounding.

        Source: Bengio et al. 2013, Estimating or Propagating Gradients Through Stochastic Neurons.
        """
        if self.inputs_quantizer is None:
            return product(inputs)

        def run(x: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
            def gradient(upstream: Tensor) -> Tensor:
                return vjp(self._unrounded_product, x)[1](upstream)[0]

            return product(x), gradient

        return ops.custom_gradient(run)(inputs)

    def _unrounded_product(self, inputs: Tensor) -> Tensor:
        """Multiply inputs, as they are, by the quantized kernel."""
        (format,) = self._formats
        if not isinstance(format, Int8):
            return self._product(inputs, self._decoded())
        # The outputs are scaled, not the kernel: a custom gradient reads the integers, and need not be passed
        # a kernel of floats, which would be computed even where the gradient is not asked for.
        outputs = self._product(inputs, ops.cast(format.get(), inputs.dtype))
        return outputs / self._align_kernel(format.get("scale"), outputs.ndim)

    def _int8_product(self, inputs: Tensor) -> Tensor:
        (format,) = self._formats
        assert isinstance(format, Int8)
        if self.inputs_quantizer is None:
            return self._unrounded_product(inputs)
        integers, dtype = format.get(), self.compute_dtype
        quantized, scale = self.inputs_quantizer(inputs, axis=self._reduced_inputs(inputs))
        # Products of integers as floats: exact up to 2^24, where int32 would be rounded to floats below, and
        # several times faster on CPUs. The native engine multiplies the integers.
        outputs = self._product(ops.cast(quantized, "float32"), ops.cast(integers, "float32"))
        outputs = ops.cast(outputs, dtype)
        kernel_scale = self._align_kernel(format.get("scale"), outputs.ndim)
        return outputs / (self._align_inputs(scale) * kernel_scale)

    def _int4_product(self, inputs: Tensor) -> Tensor:
        kernel = self._decoded()
        if self.inputs_quantizer is None:
            return self._product(inputs, kernel)
        quantized, scale = self.inputs_quantizer(inputs, axis=self._reduced_inputs(inputs))
        return self._product(ops.cast(quantized, kernel.dtype), kernel) / self._align_inputs(scale)

    # -- float8 ----------------------------------------------------------------------------------------------

    def _build_float8(self) -> None:
        policy = self.dtype_policy.at(self.path)
        length = getattr(policy, "amax_history_length", 1024)
        for name in ("inputs", "kernel", "outputs_grad"):
            for suffix, shape, initializer in (("scale", (), "ones"), ("amax_history", (length,), "zeros")):
                weight = self.add_weight(
                    shape,
                    initializer,
                    "float32",
                    autocast=False,
                    overwrite_with_gradient=True,
                    name=f"{name}_{suffix}",
                )
                setattr(self, f"{name}_{suffix}", weight)

    def _float8_call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        if self.lora_enabled:
            raise NotImplementedError(f"{self.describe()}: float8 does not go with LoRA")
        rounded = (
            self._rounded(x, *self._amax(name), training=bool(training))
            for x, name in ((inputs, "inputs"), (self._main_variable, "kernel"))
        )
        outputs = self._with_rounded_gradient(self._product(*rounded), *self._amax("outputs_grad"))
        bias: Any = self.bias
        if bias is not None and self.compute_dtype == "float32":
            bias = ops.cast(ops.cast(bias, "bfloat16"), "float32")  # as Keras rounds it
        return self._finish(outputs, inputs, bias)

    def _amax(self, name: str) -> tuple[Any, Any]:
        return getattr(self, f"{name}_scale"), getattr(self, f"{name}_amax_history")

    def _rounded(self, x: Any, scale: Variable, history: Variable, training: bool) -> Tensor:
        """Round to e4m3. In training, the "gradients" of scale and history are their new values."""

        def run(x: Tensor, scale: Tensor, history: Tensor) -> tuple[Tensor, Callable[[Tensor], Any]]:
            def gradients(upstream: Tensor) -> tuple[Tensor, Tensor, Tensor]:
                if not training:
                    return upstream, scale, history
                return upstream, *_updated(x, scale, history, "float8_e4m3fn")

            return quantize_and_dequantize(x, scale, "float8_e4m3fn", self.compute_dtype), gradients

        return ops.custom_gradient(run)(x, scale, history)

    def _with_rounded_gradient(self, outputs: Tensor, scale: Variable, history: Variable) -> Tensor:
        """Return the outputs; their gradient is rounded to e5m2."""

        def run(x: Tensor, scale: Tensor, history: Tensor) -> tuple[Tensor, Callable[[Tensor], Any]]:
            def gradients(upstream: Tensor) -> tuple[Tensor, Tensor, Tensor]:
                rounded = quantize_and_dequantize(upstream, scale, "float8_e5m2", self.compute_dtype)
                return rounded, *_updated(upstream, scale, history, "float8_e5m2")

            return x, gradients

        return ops.custom_gradient(run)(outputs, scale, history)


def _updated(x: Tensor, scale: Tensor, history: Tensor, dtype: str) -> tuple[Tensor, Tensor]:
    """Return the next scale, from the largest values so far, and the history with that of `x`."""
    new_scale = compute_float8_scale(ops.max(history), scale, FORMATS[dtype].largest)
    return new_scale, compute_float8_amax_history(x, history)
