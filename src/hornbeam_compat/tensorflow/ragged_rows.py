"""Ragged tensors in datasets: their rows and types."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from hornbeam.extensions.tensors import Composite
from hornbeam_compat.tensorflow.dtypes import TensorShape, TypeSpec, as_dtype
from hornbeam_compat.tensorflow.typing import DTypeLike, RaggedOrTensor, Sizes, TextOrTensor, Tree


class RaggedRow(Composite):
    """Row of a ragged tensor in a dataset: a tensor for functions, and ragged again in a batch.

    Args:
        value: Tensor, or tensor of strings.
        stack_rows: Function that returns the ragged tensor of such values.
    """

    def __init__(self, value: TextOrTensor, stack_rows: Callable[[list[Any]], Any]) -> None:
        self.value, self._stack_rows = value, stack_rows

    def stack(self, values: Sequence[RaggedRow]) -> RaggedOrTensor:
        """Return the ragged tensor of these rows."""
        return self._stack_rows([part.value for part in values])

    def row(self, index: int) -> Tree:
        """Return a value."""
        return self.value[index].numpy()

    def row_count(self) -> int:
        """Return the number of values."""
        return len(self.value)

    def spec(self) -> RaggedTensorSpec:
        """Return the type: no axis of a single row is ragged."""
        return RaggedTensorSpec((None, *self.value.shape[1:]), self.value.dtype, 0)

    def for_user(self) -> TextOrTensor:
        """Return the tensor."""
        return self.value

    def numpy(self) -> np.ndarray:
        """Return the values as an array."""
        return self.value.numpy()


class RaggedTensorSpec(TypeSpec):
    """Sizes, dtype and number of ragged axes of a ragged tensor.

    Args:
        shape: Sizes, with None for unknown ones and for ragged axes.
        dtype: Dtype.
        ragged_rank: Number of ragged axes. All but the first and the last if None.
        row_splits_dtype: Dtype of the splits.
    """

    def __init__(
        self, shape: Sizes | None = None, dtype: DTypeLike = "float32", ragged_rank: int | None = None,
        row_splits_dtype: DTypeLike = "int64",
    ) -> None:  # fmt: skip
        self.shape = None if shape is None else TensorShape(shape)
        self.dtype = as_dtype(np.dtype(object) if dtype == "object" else dtype)
        self.row_splits_dtype = as_dtype(row_splits_dtype)
        rank = None if self.shape is None else len(self.shape) - 1
        self.ragged_rank = rank if ragged_rank is None else ragged_rank

    value_type: Any = None  # RaggedTensor, whose module sets it

    def row(self) -> RaggedTensorSpec:
        """Return the type of a row."""
        return RaggedTensorSpec(self.shape[1:], self.dtype, self.ragged_rank - 1)  # type: ignore[index, operator]

    def batch(self, size: int | None) -> RaggedTensorSpec:
        """Return the type of a batch."""
        return RaggedTensorSpec((size, *self.shape), self.dtype, self.ragged_rank + 1)  # type: ignore[misc, operator]

    def __repr__(self) -> str:
        return (
            f"RaggedTensorSpec({self.shape!r}, {self.dtype!r}, {self.ragged_rank}, {self.row_splits_dtype!r})"
        )
