"""Formats of quantized weights: which variables a layer has, and how floats are stored in them and read.

Variables, their shapes and their order in files are those of Keras 3.15.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from hornbeam import ops
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import TensorLike
from hornbeam.core.variable import Variable
from hornbeam.quantizers.absmax import abs_max_quantize_grouped_with_zero_point
from hornbeam.quantizers.configs import QuantizationConfig
from hornbeam.quantizers.packing import pack_int4, unpack_int4
from hornbeam.quantizers.quantizer import AbsMaxQuantizer


def dequantize_groups(
    integers: TensorLike, scale: Tensor, zero: Tensor, groups: Tensor, axis: int = -1
) -> Tensor:
    """Return `(q - zero) * scale`, where row or column `i` has the parameters of group `groups[i]`.

    Args:
        integers: Matrix of integers.
        scale: Scales of the groups along `axis`.
        zero: Zero points, of the shape of `scale`.
        groups: Vector of the group of each position along `axis`, in any dtype.
        axis: Axis along which positions belong to groups.

    Returns:
        Tensor of the dtype of `scale`.
    """
    index = ops.cast(groups, "int32")
    scales = ops.take(scale, index, axis=axis)
    zeros = ops.cast(ops.take(zero, index, axis=axis), scales.dtype)
    return (ops.cast(integers, scales.dtype) - zeros) * scales


@dataclass(frozen=True)
class WeightLayout:
    """The products that a weight of a layer takes part in, which determine its quantization.

    Attributes:
        name: Name of the weight.
        attribute: Attribute of the layer that holds it.
        shape: Its shape.
        reduced: Axes over which products sum; their elements share a scale.
        matrix: Its shape as a matrix, in which pairs of int4 are packed.
        group_axis: Axis of the matrix that is divided into groups.
        packed_axis: Axis of the matrix along which pairs are packed.
        scale_shape: Shape of the stored scales of int8.
        to_stored: Function from scales with size 1 along `reduced` to the stored ones.
        from_stored: Its inverse.
    """

    name: str
    attribute: str
    shape: tuple[int, ...]
    reduced: tuple[int, ...]
    matrix: tuple[int, int]
    scale_shape: tuple[int, ...]
    group_axis: int = 0
    packed_axis: int = 1
    to_stored: Callable[[Tensor, tuple[int, ...]], Tensor] = ops.squeeze
    from_stored: Callable[[Tensor, tuple[int, ...]], Tensor] = ops.expand_dims


class WeightOwner(Protocol):
    """Owner of the variables of a format: a layer, whose attributes they become."""

    def add_weight(self, *args: object, trainable: bool = True, name: str | None = None) -> Variable:
        """See `Layer.add_weight`."""


class WeightFormat:
    """Variables that hold one quantized weight of a layer."""

    def __init__(self, layer: WeightOwner, layout: WeightLayout) -> None:
        self.layer, self.layout = layer, layout

    def _add(
        self, attribute: str, name: str, shape: tuple[int, ...], initializer: str, dtype: str | None = None
    ) -> None:
        weight = self.layer.add_weight(shape, initializer, dtype, trainable=False, name=name)
        setattr(self.layer, attribute, weight)

    def get(self, suffix: str = "") -> Variable:
        """Return the variable of integers, or the one with a suffix."""
        attribute = f"{self.layout.name}_{suffix}" if suffix else self.layout.attribute
        return getattr(self.layer, attribute)

    def encode(self, value: Tensor) -> dict[Variable, Tensor]:
        """Return the values of the variables that stand for a float weight."""
        raise NotImplementedError

    def decode(self) -> Tensor:
        """Return the float weight that the variables stand for."""
        raise NotImplementedError

    def integers(self) -> Any:
        """Return the stored integers, one in an element."""
        raise NotImplementedError

    def write(self, values: dict[Variable, Tensor]) -> None:
        """Assign the result of `encode`."""
        for variable, value in values.items():
            variable.assign(value)


class Int8(WeightFormat):
    """Integers of 8 bits, and a scale for each output."""

    def __init__(self, layer: WeightOwner, layout: WeightLayout, config: QuantizationConfig | None) -> None:
        super().__init__(layer, layout)
        own = None if config is None else config.weight_quantizer
        self.quantizer: Any = own or AbsMaxQuantizer(axis=layout.reduced)
        self._add(layout.attribute, layout.name, layout.shape, "zeros", "int8")
        self._add(f"{layout.name}_scale", f"{layout.name}_scale", layout.scale_shape, "ones")

    def encode(self, value: Tensor) -> dict[Variable, Tensor]:
        integers, scale = self.quantizer(value)
        return {self.get(): integers, self.get("scale"): self.layout.to_stored(scale, self.layout.reduced)}

    def integers(self) -> Any:
        return self.get()

    def decode(self) -> Tensor:
        scale = self.layout.from_stored(self.get("scale"), self.layout.reduced)
        return ops.cast(self.get(), scale.dtype) / scale

    def rows(self, indices: Tensor) -> Tensor:
        """Return rows of the float matrix, each of which has its scale."""
        scale = ops.take(self.get("scale"), indices, axis=0)
        return ops.cast(ops.take(self.get(), indices, axis=0), scale.dtype) / ops.expand_dims(scale, -1)


class Int4(WeightFormat):
    """Pairs of integers of 4 bits, with a scale for each output, or scale and zero point for each group."""

    def __init__(
        self,
        layer: WeightOwner,
        layout: WeightLayout,
        config: QuantizationConfig | None,
        block_size: int | None,
        zero_dtype: str | None = "int8",
        has_groups: bool = True,
    ) -> None:
        super().__init__(layer, layout)
        own = None if config is None else config.weight_quantizer
        self.quantizer: Any = own or AbsMaxQuantizer(axis=layout.group_axis, value_range=(-8, 7))
        self.block_size = block_size
        name, size = layout.name, layout.matrix[layout.group_axis]
        packed, scale_shape = list(layout.matrix), list(layout.matrix)
        packed[layout.packed_axis] = -(-packed[layout.packed_axis] // 2)
        scale_shape[layout.group_axis : layout.group_axis + 1] = (
            [] if block_size is None else [math.ceil(size / block_size)]
        )
        self._add(layout.attribute, name, tuple(packed), "zeros", "int8")
        self._add(f"{name}_scale", f"{name}_scale", tuple(scale_shape), "ones")
        if block_size is not None:
            self._add(f"{name}_zero", f"{name}_zero", tuple(scale_shape), "zeros", zero_dtype)
            if has_groups:
                self._add("g_idx", "g_idx", (size,), "zeros", "float32")
                layer.g_idx.assign(ops.arange(size) // block_size)  # type: ignore[attr-defined]

    def encode(self, value: Tensor) -> dict[Variable, Tensor]:
        matrix, axis = ops.reshape(value, self.layout.matrix), self.layout.group_axis
        if self.block_size is None:
            integers, scale = self.quantizer(matrix)
            parts = {self.get("scale"): ops.squeeze(scale, axis=axis)}
        else:
            columns = matrix if axis == 0 else ops.transpose(matrix)
            result = abs_max_quantize_grouped_with_zero_point(columns, self.block_size)
            integers, scale, zero = result if axis == 0 else map(ops.transpose, result)
            parts = {self.get("scale"): scale, self.get("zero"): zero}
        return {self.get(): pack_int4(integers, self.layout.packed_axis)[0], **parts}

    def _unpacked(self, packed: Any, axis: int) -> Tensor:
        return unpack_int4(packed, self.layout.matrix[self.layout.packed_axis], axis)

    def integers(self) -> Any:
        return ops.reshape(self._unpacked(self.get(), self.layout.packed_axis), self.layout.shape)

    def decode(self) -> Tensor:
        integers, axis = self._unpacked(self.get(), self.layout.packed_axis), self.layout.group_axis
        scale = self.get("scale")
        if self.block_size is None:
            matrix = ops.cast(integers, scale.dtype) / ops.expand_dims(scale, axis)
        else:
            groups = self.layer.g_idx  # type: ignore[attr-defined]
            matrix = dequantize_groups(integers, scale, self.get("zero"), groups, axis)
        return ops.reshape(matrix, self.layout.shape)

    def rows(self, indices: Tensor) -> Tensor:
        """Return rows of the float matrix, each of which has its scales."""
        integers = self._unpacked(ops.take(self.get(), indices, axis=0), -1)
        scale = ops.take(self.get("scale"), indices, axis=0)
        if self.block_size is None:
            return ops.cast(integers, scale.dtype) / ops.expand_dims(scale, -1)
        zero = ops.take(self.get("zero"), indices, axis=0)
        return dequantize_groups(integers, scale, zero, self.layer.g_idx)  # type: ignore[attr-defined]


class Grouped(WeightFormat):
    """Unsigned integers with a scale and a zero point for each output and group of inputs: GPTQ and AWQ.

    The transposed matrix is stored, (columns, rows), in pairs of 4 bits if a weight has so many. Until data
    were looked at, the layer keeps its float weight.
    """

    def __init__(
        self,
        layer: WeightOwner,
        layout: WeightLayout,
        mode: str,
        weight_bits: int,
        group_size: int,
        zero_name: str,
    ) -> None:
        super().__init__(layer, layout)
        rows, columns = layout.matrix
        self.mode, self.weight_bits, self.group_size = mode, weight_bits, group_size
        groups = 1 if group_size == -1 else math.ceil(rows / group_size)
        stored = (columns + 1) // 2 if weight_bits == 4 else columns
        self._add(f"quantized_{layout.name}", layout.name, (stored, rows), "zeros", "uint8")
        self._add(f"{layout.name}_scale", f"{layout.name}_scale", (columns, groups), "ones")
        self._add(f"{layout.name}_zero", zero_name, (columns, groups), "zeros", "uint8")
        if mode == "awq":
            self._add("awq_scales", "awq_scales", (rows,), "ones")
        self._add("g_idx", "g_idx", (rows,), "zeros", "float32")
        # Without a float weight, the quantized one comes from a file.
        self.set_calibrated(not hasattr(layer, layout.attribute))

    @property
    def calibrated(self) -> bool:
        """False until the weights were quantized with data."""
        return bool(getattr(self.layer, f"is_{self.mode}_calibrated"))

    def set_calibrated(self, value: bool) -> None:
        """Set the layer's `is_gptq_calibrated` or `is_awq_calibrated`."""
        setattr(self.layer, f"is_{self.mode}_calibrated", value)

    def encoded(
        self, integers: Tensor, scale: Tensor, zero: Tensor, groups: Tensor, awq_scales: Tensor | None = None
    ) -> dict[Variable, Tensor]:
        """Return the values of the variables that stand for a result of GPTQ or AWQ, (columns, rows)."""
        layer: Any = self.layer
        integers = ops.cast(integers, "uint8")
        packed = pack_int4(integers, 0, "uint8")[0] if self.weight_bits == 4 else integers
        values = {
            getattr(layer, f"quantized_{self.layout.name}"): packed,
            self.get("scale"): scale,
            self.get("zero"): zero,
            layer.g_idx: groups,
        }
        return values if awq_scales is None else {**values, layer.awq_scales: awq_scales}

    def integers(self) -> Any:
        if not self.calibrated:
            return self.get()
        stored = getattr(self.layer, f"quantized_{self.layout.name}")
        return unpack_int4(stored, self.layout.matrix[1], 0, "uint8") if self.weight_bits == 4 else stored

    def decode(self) -> Tensor:
        if not self.calibrated:
            return self.get()
        layer: Any = self.layer
        stored = self.integers()
        matrix = ops.transpose(dequantize_groups(stored, self.get("scale"), self.get("zero"), layer.g_idx))
        if self.mode == "awq":
            matrix = matrix / ops.expand_dims(layer.awq_scales, -1)
        return ops.reshape(matrix, self.layout.shape)
