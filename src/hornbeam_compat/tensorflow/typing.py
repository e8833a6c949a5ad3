"""Types of arguments and results of the functions of `tf`, and of those that Keras 1 and 2 had."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any, TypeAlias, Union

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from hornbeam import KerasTensor, Tensor, Variable
    from hornbeam_compat.tensorflow.ragged import RaggedTensor
    from hornbeam_compat.tensorflow.strings import StringTensor

# What is accepted.
TensorLike: TypeAlias = Union["Tensor", "Variable", "KerasTensor", "np.ndarray", "npt.ArrayLike"]
"""What becomes a tensor: tensors, variables, arrays, numbers, strings, and lists of them."""
Tensors: TypeAlias = Union[Sequence["TensorLike"], "Tensor", "np.ndarray"]
"""Several tensors: a list of them, or the rows of one."""
RaggedLike: TypeAlias = Union["TensorLike", "RaggedTensor"]
"""What becomes a tensor, or has rows of several lengths."""
DTypeLike: TypeAlias = Union[str, type, "np.dtype[Any]"]
"""A dtype by name, as a NumPy dtype, or as a Python or NumPy scalar type."""
Sizes: TypeAlias = Sequence[Any]
"""Sizes, which are None or symbolic where they are unknown."""
ShapeLike: TypeAlias = Union[Sizes, "Tensor", "np.ndarray", int]
"""Sizes as a sequence or a tensor; one size."""
AxisLike: TypeAlias = Union[Sequence[int], int, "Tensor", "np.ndarray", None]
"""One axis, several, or all of them (None)."""
FilePath: TypeAlias = Union[str, "PathLike[str]"]
"""A path of the file system."""

Message: TypeAlias = Any
"""A message of protobuf, whose class is created when the program runs."""

# What is returned.
Tree: TypeAlias = Any
"""What functions of the user take or return: nested lists, tuples and dicts. No more is known."""
TextOrTensor: TypeAlias = Union["Tensor", "StringTensor"]
"""A tensor of numbers or of strings."""
RaggedOrTensor: TypeAlias = Union["Tensor", "StringTensor", "RaggedTensor"]
"""A tensor of numbers or of strings, with rows of one length or of several."""
