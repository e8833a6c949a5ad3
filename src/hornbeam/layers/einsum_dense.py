"""EinsumDense: a Dense layer over any axes, and the shapes that its equation implies."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from hornbeam import activations, constraints, initializers, ops, regularizers
from hornbeam._internal.validation import check_unsupported
from hornbeam.core.registry import exported
from hornbeam.core.tensor import Tensor
from hornbeam.ir.types import ShapeError
from hornbeam.layers.core import QUANTIZATION
from hornbeam.layers.layer import TensorLayer

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from hornbeam._internal.typing import (
        ActivationLike,
        Config,
        ConstraintLike,
        InitializerLike,
        PartialShape,
        RegularizedLayerOptions,
        RegularizerLike,
        ShapeLike,
    )


@exported("keras.layers")
class EinsumDense(TensorLayer):
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
        lora_rank: Not supported; must be None.
        lora_alpha: Ignored without `lora_rank`.
        gptq_unpacked_column_size: Ignored, for Keras's signature: quantization is not supported.
        quantization_config: Not supported; must be None.
        **kwargs: Arguments of `Layer`: `name`, `dtype`, `trainable`, ...

    Raises:
        ValueError: If the equation is not of the form "ab,bc->ac" or does not fit the input.

    Example:
        >>> layer = hornbeam.layers.EinsumDense("abc,cd->abd", output_shape=(None, 64), bias_axes="d")
        >>> layer(np.ones((2, 3, 8))).shape
        (2, 3, 64)
    """

    _not_in_config = frozenset({"lora_rank", "lora_alpha", "gptq_unpacked_column_size"})

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
        quantization_config: Config | None = None,
        **kwargs: Unpack[RegularizedLayerOptions],
    ) -> None:
        check_unsupported(
            "EinsumDense", QUANTIZATION, lora_rank=lora_rank, quantization_config=quantization_config
        )
        super().__init__(**kwargs)
        self.equation = equation
        self.output_shape = (output_shape,) if isinstance(output_shape, int) else tuple(output_shape)
        self.activation = activations.get(activation)
        self.bias_axes = bias_axes
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)
        self.quantization_config = quantization_config

    def build(self, input_shape: PartialShape) -> None:
        kernel_shape, bias_shape = einsum_shapes(
            self.equation, self.bias_axes, input_shape, self.output_shape
        )
        self.kernel = self.add_weight(
            kernel_shape,
            self._fitted_initializer(),
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
            name="kernel",
        )
        self.bias = None
        if bias_shape is not None:
            self.bias = self.add_weight(
                bias_shape,
                self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
                name="bias",
            )

    def _fitted_initializer(self) -> Any:
        """Return the kernel's initializer, with the axes that the equation makes inputs and outputs."""
        initializer = self.kernel_initializer
        if not isinstance(initializer, initializers.VarianceScaling):
            return initializer
        kernel, outputs = re.split(",|->", self.equation.replace(" ", ""))[1:]
        kept = [axis for axis, letter in enumerate(kernel) if letter in outputs]
        return initializer.with_axes([a for a in range(len(kernel)) if a not in kept], kept)

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        outputs = ops.einsum(self.equation, inputs, self.kernel)
        if self.bias is not None:
            outputs = outputs + self.bias
        return outputs if self.activation is None else self.activation(outputs)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "activity_regularizer": regularizers.serialize(self.activity_regularizer),
        }


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
