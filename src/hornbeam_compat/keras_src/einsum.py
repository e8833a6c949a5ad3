"""Equations of attention and of dense layers over any axes, in the form in which Keras's layers keep them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from hornbeam.extensions.layers import attention_equations as _build_attention_equation
from hornbeam.extensions.layers import einsum_letters, einsum_shapes
from hornbeam.extensions.layers import projected_shape as _get_output_shape
from hornbeam.extensions.layers import projection_equation as _build_proj_equation

__all__ = [
    "_analyze_einsum_string",
    "_analyze_quantization_info",
    "_build_attention_equation",
    "_build_proj_equation",
    "_get_output_shape",
]


class EinsumShapes(NamedTuple):
    """Shapes of a dense layer over any axes, and the axes of its kernel that are inputs and outputs."""

    kernel: list[int]
    bias: list[int] | None
    output: list[int | None]
    input_axes: list[int]
    output_axes: list[int]


class EinsumAxes(NamedTuple):
    """Axes by which scales of inputs and of the kernel are brought to the form of the output."""

    input_reduced: list[int]
    kernel_reduced: list[int]
    input_transpose: list[int]
    kernel_transpose: list[int]
    input_expand: list[int]
    kernel_expand: list[int]
    input_squeeze: list[int]
    kernel_squeeze: list[int]
    gradient_equation: str
    kernel_reverse_transpose: list[int]


def _analyze_einsum_string(
    equation: str, bias_axes: str | None, input_shape: Sequence[Any], output_shape: int | Sequence[Any]
) -> EinsumShapes:
    """Return the shapes that an equation implies.

    Args:
        equation: Equation such as "abc,cd->abd".
        bias_axes: Letters of the output that the bias has, or None.
        input_shape: Shape of the input, the batch first.
        output_shape: Sizes of the output without the batch.
    """
    sizes = (output_shape,) if isinstance(output_shape, int) else tuple(output_shape)
    kernel, bias = einsum_shapes(equation, bias_axes, tuple(input_shape), sizes)
    letters = einsum_letters(equation, len(input_shape))
    known = dict(zip(letters.inputs, input_shape, strict=True))
    left = equation.replace(" ", "").startswith("...")
    elided = len(letters.inputs) - len(equation.replace(" ", "").split(",")[0].replace("...", ""))
    front = [known[letter] for letter in letters.output[: max(elided, 1) if left else 1]]
    back = [] if left or not elided else [known[letter] for letter in letters.output[-elided:]]
    outputs = [axis for axis, letter in enumerate(letters.kernel) if letter in letters.output]
    inputs = [axis for axis in range(len(letters.kernel)) if axis not in outputs]
    return EinsumShapes(
        list(kernel), None if bias is None else list(bias), [*front, *sizes, *back], inputs, outputs
    )


class _Arrangement(NamedTuple):
    reduced: list[int]
    transpose: list[int]
    expand: list[int]
    squeeze: list[int]


def _arrangement(operand: str, output: str) -> _Arrangement:
    """Return the axes that bring an operand to the axes of the output: summed ones fill the gaps."""
    reduced = [axis for axis, letter in enumerate(operand) if letter not in output]
    expand = [axis for axis, letter in enumerate(output) if letter not in operand]
    transpose = [operand.index(letter) for letter in output if letter in operand]
    squeeze: list[int] = []
    at = 0
    for axis in reduced:
        if expand:
            at = expand.pop(0)
        else:
            squeeze.append(axis)
        transpose.insert(at, axis)
    return _Arrangement(reduced, transpose, expand, squeeze)


def _analyze_quantization_info(equation: str, input_shape: Sequence[Any]) -> EinsumAxes:
    """Return the axes by which a quantized layer arranges its scales.

    Args:
        equation: Equation such as "abc,cd->abd".
        input_shape: Shape of the input.
    """
    letters = einsum_letters(equation, len(input_shape))
    inputs = _arrangement(letters.inputs, letters.output)
    kernel = _arrangement(letters.kernel, letters.output)
    reverse = sorted(range(len(kernel.transpose)), key=kernel.transpose.__getitem__)
    return EinsumAxes(
        inputs.reduced, kernel.reduced, inputs.transpose, kernel.transpose, inputs.expand, kernel.expand,
        inputs.squeeze, kernel.squeeze, f"{letters.output},{letters.kernel}->{letters.inputs}", reverse,
    )  # fmt: skip
