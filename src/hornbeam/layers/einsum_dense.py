"""EinsumDense: a Dense layer over any axes, and the shapes that its equation implies."""

from __future__ import annotations

import math
import re
import string
from typing import TYPE_CHECKING, Any, NamedTuple

from hornbeam import activations, constraints, initializers, ops, regularizers
from hornbeam._internal.typing import ActivationLike, Config, PartialShape, ShapeLike, ShapeTree
from hornbeam.core.registry import exported
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import ConstraintLike, InitializerLike, RegularizerLike, Unpack
from hornbeam.ir.types import ShapeError
from hornbeam.layers.options import RegularizedLayerOptions
from hornbeam.layers.products import ProductLayer
from hornbeam.quantizers.formats import WeightLayout

if TYPE_CHECKING:
    from hornbeam.quantizers import QuantizationConfig


@exported("keras.layers")
class EinsumDense(ProductLayer):
    """Densely connected layer over any axes.

    Formula: `y = activation(einsum(equation, x, kernel) + bias)`.

    Args:
        equation: Equation of the input and the kernel, such as "abc,cd->abd"; "..." matches leading axes.
        output_shape: Sizes of the output without the batch, None where they equal those of the input.
        activation: Activation function, by name or as a function; none by default.
        bias_axes: Axes (letters) of the output that the bias has, such as "d"; no bias by default.
        kernel_initializer: Initializer of the kernel.
        bias_initializer: Initializer of the bias.
        kernel_regularizer: Penalty on the kernel that is added to the loss.
        bias_regularizer: Penalty on the bias that is added to the loss.
        kernel_constraint: Function applied to the kernel after each update.
        bias_constraint: Function applied to the bias after each update.
        lora_rank: Rank of factors that are trained instead of the kernel (see `enable_lora`).
        lora_alpha: Numerator of their factor `lora_alpha / lora_rank`; `lora_rank` by default.
        gptq_unpacked_column_size: Ignored, for Keras's signature: it follows from the shape.
        quantization_config: Config of `hornbeam.quantizers` for a layer whose `dtype` quantizes, such as
            "int8_from_float32"; see `quantize`.
        **kwargs: Arguments of `Layer`: `name`, `dtype`, `trainable`, ...

    Raises:
        ValueError: If the equation is not of the form "ab,bc->ac" or does not fit the input.

    Example:
        >>> layer = hornbeam.layers.EinsumDense("abc,cd->abd", output_shape=(None, 64), bias_axes="d")
        >>> layer(np.ones((2, 3, 8))).shape
        (2, 3, 64)
    """

    _not_in_config = frozenset({"lora_rank", "lora_alpha", "gptq_unpacked_column_size"})
    _zero_name = "zero_point"

    def __init__(
        self,
        equation: str,
        output_shape: int | ShapeLike,
        activation: ActivationLike = None,
        bias_axes: str | None = None,
        kernel_initializer: InitializerLike = "glorot_uniform",
        bias_initializer: InitializerLike = "zeros",
        kernel_regularizer: RegularizerLike = None,
        bias_regularizer: RegularizerLike = None,
        kernel_constraint: ConstraintLike = None,
        bias_constraint: ConstraintLike = None,
        lora_rank: int | None = None,
        lora_alpha: float | None = None,
        gptq_unpacked_column_size: int | None = None,
        quantization_config: QuantizationConfig | Config | None = None,
        **kwargs: Unpack[RegularizedLayerOptions],
    ) -> None:
        super().__init__(lora_rank, lora_alpha, **kwargs)
        self.equation = equation
        self.output_shape = (output_shape,) if isinstance(output_shape, int) else tuple(output_shape)
        self.partial_output_shape = self.output_shape  # Keras's name
        self.activation = activations.get(activation)
        self.bias_axes = bias_axes
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)
        self._take_quantization(quantization_config)

    def build(self, input_shape: PartialShape) -> None:
        kernel_shape, bias_shape = einsum_shapes(
            self.equation, self.bias_axes, input_shape, self.output_shape
        )
        self._rank = len(input_shape)
        self.full_output_shape = EinsumDense.compute_output_shape(self, input_shape)
        self._add_main_weight(kernel_shape, self._fitted_initializer())
        self.bias = None
        if bias_shape is not None:
            self.bias = self.add_weight(
                bias_shape,
                self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
                name="bias",
            )
        self._build_lora()

    def _fitted_initializer(self) -> Any:
        """Return the kernel's initializer, with the axes that the equation makes inputs and outputs."""
        initializer = self.kernel_initializer
        if not isinstance(initializer, initializers.VarianceScaling):
            return initializer
        kernel, outputs = re.split(",|->", self.equation.replace(" ", ""))[1:]
        kept = [axis for axis, letter in enumerate(kernel) if letter in outputs]
        return initializer.with_axes([a for a in range(len(kernel)) if a not in kept], kept)

    def compute_output_shape(self, input_shape: PartialShape) -> ShapeTree:
        """Return the shape of the output. It depends on arguments alone, so subclasses may ask in `build`.

        Args:
            input_shape: Shape of the input, None where unknown.
        """
        letters = einsum_letters(self.equation, len(input_shape))
        sizes = dict(zip(letters.inputs, input_shape, strict=True))
        kernel_shape, _ = einsum_shapes(self.equation, None, input_shape, self.output_shape)
        sizes.update(zip(letters.kernel, kernel_shape, strict=True))
        return tuple(sizes[letter] for letter in letters.output)

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        return self._finish(self._product(inputs, self._plain_weight()), inputs)

    def _product(self, inputs: Tensor, kernel: Any) -> Tensor:
        return ops.einsum(self.equation, inputs, kernel)

    def _lora_product(self, inputs: Tensor) -> Tensor:
        letters = einsum_letters(self.equation, inputs.ndim)
        last = letters.kernel[-1]
        if last in letters.inputs or last != letters.output[-1]:
            return super()._lora_product(inputs)
        a, b = self._lora_factors
        return ops.matmul(ops.einsum(self.equation, inputs, a), b) * self._lora_scale

    def _layouts(self, shape: tuple[int, ...]) -> list[WeightLayout]:
        letters = einsum_letters(self.equation, self._rank)
        reduced = tuple(i for i, letter in enumerate(letters.kernel) if letter not in letters.output)
        rows = math.prod(shape[axis] for axis in reduced)
        sizes = dict(zip(letters.kernel, shape, strict=True))
        stored = tuple(sizes.get(letter, 1) for letter in letters.output)
        return [
            WeightLayout(
                "kernel",
                "_kernel",
                shape,
                reduced,
                (rows, math.prod(shape) // rows),
                stored,
                to_stored=lambda scale, axes: letters.align(scale, letters.kernel),
                from_stored=lambda scale, axes: letters.restore(scale),
            )
        ]

    def _reduced_inputs(self, inputs: Tensor) -> tuple[int, ...]:
        letters = einsum_letters(self.equation, inputs.ndim)
        summed = [letter for letter in letters.inputs if letter not in letters.output]
        order = letters.kernel + letters.inputs  # that of the kernel's rows
        return tuple(letters.inputs.index(letter) for letter in sorted(summed, key=order.index))

    def _is_matrix_product(self) -> bool:
        letters = einsum_letters(self.equation, self._rank)
        summed = [letter for letter in letters.kernel if letter not in letters.output]
        shared = set(letters.inputs) & set(letters.kernel)
        return (
            letters.kernel.startswith("".join(summed))
            and shared == set(summed)
            and set(letters.inputs) - set(letters.output) == set(summed)
        )

    def _align_inputs(self, scale: Tensor) -> Tensor:
        letters = einsum_letters(self.equation, scale.ndim)
        return letters.align(scale, letters.inputs)

    def _align_kernel(self, scale: Tensor, rank: int) -> Tensor:
        """Return scales with as many axes as the output: "..." may stand for more axes than in `build`."""
        if rank == scale.ndim:
            return scale
        letters = einsum_letters(self.equation, self._rank)
        other = einsum_letters(self.equation, self._rank + rank - scale.ndim)
        return other.align(letters.restore(scale), other.kernel)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "activity_regularizer": regularizers.serialize(self.activity_regularizer),
        }


class EinsumLetters(NamedTuple):
    """Letters of the axes of an EinsumDense, with letters in the place of "..."."""

    inputs: str
    kernel: str
    output: str

    def align(self, scale: Tensor, letters: str) -> Tensor:
        """Bring scales, with size 1 along summed axes, from the axes `letters` to those of the output."""
        summed = tuple(i for i, letter in enumerate(letters) if letter not in self.output)
        kept = [letter for letter in letters if letter in self.output]
        order = [kept.index(letter) for letter in self.output if letter in kept]
        new = tuple(i for i, letter in enumerate(self.output) if letter not in kept)
        return ops.expand_dims(ops.transpose(ops.squeeze(scale, axis=summed), order), axis=new)

    def restore(self, scale: Tensor) -> Tensor:
        """Bring scales of the kernel from the axes of the output back to its own."""
        absent = tuple(i for i, letter in enumerate(self.output) if letter not in self.kernel)
        present = [letter for letter in self.output if letter in self.kernel]
        kept = [letter for letter in self.kernel if letter in self.output]
        summed = tuple(i for i, letter in enumerate(self.kernel) if letter not in self.output)
        ordered = ops.transpose(ops.squeeze(scale, axis=absent), [present.index(letter) for letter in kept])
        return ops.expand_dims(ordered, axis=summed)


def einsum_letters(equation: str, rank: int) -> EinsumLetters:
    """Return the letters of the axes for an input of this rank."""
    left, output = equation.replace(" ", "").split("->")
    inputs, kernel = left.split(",")
    free = [letter for letter in string.ascii_letters if letter not in equation]
    elided = "".join(free[: rank - len(inputs.replace("...", ""))]) if "..." in inputs else ""
    return EinsumLetters(inputs.replace("...", elided), kernel, output.replace("...", elided))


def einsum_shapes(
    equation: str, bias_axes: str | None, input_shape: ShapeLike, output_shape: ShapeLike
) -> tuple[tuple[int, ...], tuple[int, ...] | None]:
    """Compute the shapes of the kernel and of the bias (or None) of an EinsumDense.

    Raises ValueError for an equation of another form, ShapeError if it does not fit the shapes.
    """
    match = re.fullmatch(
        r"(\.\.\.)?([a-zA-Z]+)(\.\.\.)?,([a-zA-Z]+)->(\.\.\.)?([a-zA-Z]+)(\.\.\.)?", equation.replace(" ", "")
    )
    if match is None:
        raise ValueError(f"EinsumDense: equation must have the form 'ab,bc->ac', got {equation!r}")
    has_leading, inputs, has_trailing, kernel, _, outputs, _ = match.groups()
    full_output = tuple(output_shape) if has_leading else (input_shape[0], *output_shape)
    has_ellipsis = has_leading or has_trailing
    if len(input_shape) < len(inputs) or (not has_ellipsis and len(input_shape) != len(inputs)):
        raise ShapeError(
            f"EinsumDense: {equation!r} takes an input of rank {len(inputs)}, got shape {tuple(input_shape)}"
        )
    if len(full_output) < len(outputs):
        raise ShapeError(
            f"EinsumDense: {equation!r} gives rank {len(outputs)}, got output_shape={tuple(output_shape)}"
        )
    sizes = dict(zip(inputs, input_shape[-len(inputs) :] if has_leading else input_shape, strict=False))
    num_leading = len(full_output) - len(outputs)
    for letter, size in zip(outputs, full_output[num_leading:] if has_leading else full_output, strict=False):
        if size is not None and sizes.get(letter) not in (None, size):
            raise ShapeError(
                f"EinsumDense: axis {letter!r} of {equation!r} is {sizes[letter]} in the input and {size} in "
                "output_shape"
            )
        sizes[letter] = size if size is not None else sizes.get(letter)
    for letter in kernel:
        if letter not in sizes:
            raise ValueError(
                f"EinsumDense: letter {letter!r} of the kernel in {equation!r} is in neither input nor output"
            )
    kernel_shape = tuple(sizes[letter] for letter in kernel)
    if not bias_axes:
        return kernel_shape, None
    absent = [letter for letter in bias_axes if letter not in outputs]
    if absent:
        raise ValueError(
            f"EinsumDense: bias_axes {bias_axes!r} has {absent[0]!r}, not an axis of the output {outputs!r}"
        )
    first = min(outputs.index(letter) for letter in bias_axes)
    num_trailing = len(input_shape) - len(inputs) if has_trailing else 0
    return kernel_shape, (*(sizes[x] if x in bias_axes else 1 for x in outputs[first:]), *(1,) * num_trailing)
