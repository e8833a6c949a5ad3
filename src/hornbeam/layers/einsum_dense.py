"""EinsumDense: a Dense layer over any axes, and the reading of its equation."""

from __future__ import annotations

import re
from typing import Any

from hornbeam import activations, constraints, initializers, ops, regularizers
from hornbeam._internal.validation import check_unsupported
from hornbeam.core.registry import exported
from hornbeam.core.tensor import Tensor
from hornbeam.ir.types import ShapeError
from hornbeam.layers.core import QUANTIZATION
from hornbeam.layers.layer import Layer


@exported("keras.layers")
class EinsumDense(Layer):
    """y = activation(einsum(equation, x, kernel) + bias): a Dense layer over any axes.

    equation: such as "abc,cd->abd"; "..." may stand for leading axes. output_shape: sizes of the output
    without the batch, None where they are the input's. bias_axes: letters of the output that the bias has,
    e.g. "d".

    Raises ValueError for an equation that is not of the form "ab,bc->ac" or does not fit the input.

    >>> layer = hornbeam.layers.EinsumDense("abc,cd->abd", output_shape=(None, 64), bias_axes="d")
    >>> layer(np.ones((2, 3, 8))).shape
    (2, 3, 64)
    """

    _not_in_config = frozenset({"lora_rank", "lora_alpha", "gptq_unpacked_column_size"})

    def __init__(
        self,
        equation: str,
        output_shape: Any,
        activation: Any = None,
        bias_axes: str | None = None,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        lora_rank: int | None = None,
        lora_alpha: float | None = None,
        gptq_unpacked_column_size: int | None = None,
        quantization_config: Any = None,
        **kwargs: Any,
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

    def build(self, input_shape: Any) -> None:
        kernel_shape, bias_shape = einsum_shapes(
            self.equation, self.bias_axes, input_shape, self.output_shape
        )
        self.kernel = self.add_weight(
            kernel_shape,
            self.kernel_initializer,
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
    equation: str, bias_axes: str | None, input_shape: Any, output_shape: Any
) -> tuple[tuple[int, ...], tuple[int, ...] | None]:
    """Shapes of the kernel and of the bias (None without) of an EinsumDense.

    Raises ValueError for an equation of another form, ShapeError if it does not fit the shapes.
    """
    match = re.fullmatch(
        r"(\.\.\.)?([a-zA-Z]+)(\.\.\.)?,([a-zA-Z]+)->(\.\.\.)?([a-zA-Z]+)(\.\.\.)?", equation.replace(" ", "")
    )
    if match is None:
        raise ValueError(f"EinsumDense: equation must have the form 'ab,bc->ac', got {equation!r}")
    lead, ins, tail, kernel, _, outs, _ = match.groups()
    full_output = tuple(output_shape) if lead else (input_shape[0], *output_shape)
    if (not lead and not tail and len(input_shape) != len(ins)) or len(input_shape) < len(ins):
        raise ShapeError(
            f"EinsumDense: {equation!r} takes an input of rank {len(ins)}, got shape {tuple(input_shape)}"
        )
    if len(full_output) < len(outs):
        raise ShapeError(
            f"EinsumDense: {equation!r} gives rank {len(outs)}, "
            f"output_shape={tuple(output_shape)} says otherwise"
        )
    known = dict(zip(ins, input_shape[-len(ins) :] if lead else input_shape, strict=False))
    spare = len(full_output) - len(outs)
    for letter, size in zip(outs, full_output[spare:] if lead else full_output, strict=False):
        if size is not None and known.get(letter) not in (None, size):
            raise ShapeError(
                f"EinsumDense: axis {letter!r} of {equation!r} is {known[letter]} in the input and {size} in "
                "output_shape"
            )
        known[letter] = size if size is not None else known.get(letter)
    for letter in kernel:
        if letter not in known:
            raise ValueError(
                f"EinsumDense: letter {letter!r} of the kernel in {equation!r} is in neither input nor output"
            )
    kernel_shape = tuple(known[letter] for letter in kernel)
    if not bias_axes:
        return kernel_shape, None
    absent = [letter for letter in bias_axes if letter not in outs]
    if absent:
        raise ValueError(
            f"EinsumDense: bias_axes {bias_axes!r} has {absent[0]!r}, which the output {outs!r} has not"
        )
    first = min(outs.index(letter) for letter in bias_axes)
    after = len(input_shape) - len(ins) if tail else 0
    return kernel_shape, (*(known[x] if x in bias_axes else 1 for x in outs[first:]), *(1,) * after)
