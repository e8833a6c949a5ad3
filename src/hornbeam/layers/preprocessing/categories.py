"""Integers to one-hot, multi-hot and count vectors."""

from __future__ import annotations

import numpy as np

from hornbeam import ops
from hornbeam._internal.validation import check_choice, check_int
from hornbeam.core.registry import exported
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import TensorLike, Unpack
from hornbeam.core.variable import current_variable_tracer
from hornbeam.ir.trace import current_level
from hornbeam.layers.layer import TensorLayer
from hornbeam.layers.options import RegularizedLayerOptions
from hornbeam.layers.preprocessing.host import sparse_if


def encode(indices: Tensor, count: int, mode: str, dtype: str, weights: TensorLike | None = None) -> Tensor:
    """Encode integers: "one_hot" gives a vector for each, "multi_hot" and "count" one for axis 1.

    Axis 1 are the integers of a sample; without a batch, axis 0 are.
    """
    if indices.ndim == 0:
        indices = ops.expand_dims(indices, -1)
    hot = ops.one_hot(ops.cast(indices, "int32"), count, dtype=dtype)
    if mode == "one_hot":
        return ops.squeeze(hot, -2) if indices.ndim > 1 and indices.shape[-1] == 1 else hot
    axis = 1 if indices.ndim > 1 else 0
    if mode == "multi_hot":
        return ops.max(hot, axis=axis)
    if weights is not None:
        hot = hot * ops.expand_dims(ops.cast(weights, dtype), -1)
    return ops.sum(hot, axis=axis)


@exported("keras.layers")
class CategoryEncoding(TensorLayer):
    """Encode integers in [0, num_tokens) as vectors (..., num_tokens).

    Calls take `count_weights`, of the input's shape, with output_mode="count".

    Args:
        num_tokens: Number of categories.
        output_mode: "one_hot" (one vector for each integer), "multi_hot" (1 for each integer in a sample) or
            "count" (number of occurrences in a sample).
        sparse: Whether vectors are sparse tensors, which hold the elements that are not 0. In compiled
            functions they are dense.
        **kwargs: Arguments of `Layer`: `name`, `dtype`, `trainable`, ...

    Raises:
        ValueError: If an argument is invalid, or an integer is out of range where values are known.

    Example:
        >>> np.asarray(hornbeam.layers.CategoryEncoding(4)(np.array([[0, 2]])))
        array([[1., 0., 1., 0.]], dtype=float32)
    """

    _not_in_config = frozenset({"sparse"})

    def __init__(
        self,
        num_tokens: int | None = None,
        output_mode: str = "multi_hot",
        sparse: bool = False,
        **kwargs: Unpack[RegularizedLayerOptions],
    ) -> None:
        super().__init__(**kwargs)
        self.sparse = bool(sparse)
        self.num_tokens = check_int("num_tokens", num_tokens, minimum=1, where="CategoryEncoding")
        self.output_mode = check_choice(
            "output_mode", output_mode, ("one_hot", "multi_hot", "count"), where="CategoryEncoding"
        )

    def call(self, inputs: Tensor, count_weights: TensorLike | None = None) -> Tensor:
        if count_weights is not None and self.output_mode != "count":
            raise ValueError(f'{self.describe()}: count_weights need output_mode="count"')
        if not current_level() and current_variable_tracer() is None:
            values = np.asarray(inputs)
            if values.size and (values.min() < 0 or values.max() >= self.num_tokens):
                raise ValueError(
                    f"{self.describe()}: values must be in [0, {self.num_tokens}), "
                    f"got {values.min()} to {values.max()}"
                )
        outputs = encode(inputs, self.num_tokens, self.output_mode, self.compute_dtype, count_weights)
        return sparse_if(self.sparse, outputs)
