"""tf.dtypes: dtypes with TensorFlow's attributes, and types of tensors."""

from __future__ import annotations

import builtins
import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from hornbeam import Tensor
from hornbeam.backend import standardize_dtype
from hornbeam.ops import cast
from hornbeam_compat.tensorflow.typing import DTypeLike

__all__ = [
    "DType", "as_dtype", "bfloat16", "bool", "cast", "complex64", "complex128", "double", "float16",
    "float32", "float64", "half", "int8", "int16", "int32", "int64", "string", "uint8", "uint16", "uint32",
    "uint64",
]  # fmt: skip


class DType(str):
    """Dtype, equal to its name, which is the `dtype` of a Hornbeam tensor."""

    __slots__ = ()

    @property
    def name(self) -> str:
        return str(self)

    @property
    def as_numpy_dtype(self) -> type[np.generic]:
        return np.object_ if self == "string" else np.dtype(str(self)).type

    @property
    def is_floating(self) -> builtins.bool:
        return "float" in self

    @property
    def is_integer(self) -> builtins.bool:
        return "int" in self

    @property
    def is_complex(self) -> builtins.bool:
        return self.startswith("complex")

    @property
    def is_bool(self) -> builtins.bool:
        return self == "bool"

    @property
    def size(self) -> int:
        return np.dtype(str(self)).itemsize

    @property
    def max(self) -> float:
        return _limits(self).max

    @property
    def min(self) -> float:
        return _limits(self).min

    def __repr__(self) -> str:
        return f"tf.{self}"


def _limits(dtype: DType) -> np.finfo[Any] | np.iinfo[Any]:
    return np.finfo(str(dtype)) if dtype.is_floating else np.iinfo(str(dtype))


bfloat16, float16, float32, float64 = map(DType, ("bfloat16", "float16", "float32", "float64"))
half, double = float16, float64
complex64, complex128, bool, string = map(DType, ("complex64", "complex128", "bool", "string"))
int8, int16, int32, int64 = map(DType, ("int8", "int16", "int32", "int64"))
uint8, uint16, uint32, uint64 = map(DType, ("uint8", "uint16", "uint32", "uint64"))


def as_dtype(type_value: DTypeLike) -> DType:
    """Convert a name, a NumPy dtype or a Python type to a DType."""
    if type_value in (str, bytes, "string") or (
        isinstance(type_value, np.dtype) and type_value.kind in "SUO"
    ):
        return string
    return DType(standardize_dtype(type_value))


class Dimension(int):
    """Size of an axis, with TensorFlow's attribute."""

    value = property(int)


class UnknownDimension:
    """Size that is not known."""

    value = None


class TensorShape(tuple[Any, ...]):
    """Shape: a tuple of sizes, with None for unknown ones, and TensorFlow's methods."""

    __slots__ = ()

    def __new__(cls, dims: Iterable[Any] | int = ()) -> TensorShape:
        return super().__new__(cls, (dims,) if isinstance(dims, int) else tuple(dims))

    @property
    def rank(self) -> int:
        return len(self)

    ndims = rank

    @property
    def dims(self) -> list[Dimension | UnknownDimension]:
        return [UnknownDimension() if size is None else Dimension(size) for size in self]

    def as_list(self) -> list[int | None]:
        return list(self)

    def is_fully_defined(self) -> builtins.bool:
        return None not in self

    def num_elements(self) -> int | None:
        return math.prod(self) if self.is_fully_defined() else None

    def is_compatible_with(self, other: Iterable[Any] | int) -> builtins.bool:
        """Return True if the sizes that both know are equal."""
        sizes = TensorShape(other)
        return len(self) == len(sizes) and all(
            a is None or b is None or a == b for a, b in zip(self, sizes, strict=True)
        )

    def assert_is_compatible_with(self, other: Iterable[Any] | int) -> None:
        """Raise ValueError if a size differs."""
        if not self.is_compatible_with(other):
            raise ValueError(f"the shapes {self} and {TensorShape(other)} are incompatible")

    def merge_with(self, other: Iterable[Any]) -> TensorShape:
        """Return the sizes that either knows. Raise ValueError if one differs."""
        self.assert_is_compatible_with(other)
        return TensorShape([b if a is None else a for a, b in zip(self, other, strict=True)])

    def assert_has_rank(self, rank: int) -> None:
        """Raise ValueError for another number of axes."""
        if len(self) != rank:
            raise ValueError(f"the shape {self} must have rank {rank}")

    def with_rank(self, rank: int) -> TensorShape:
        """Return this shape. Raise ValueError for another number of axes."""
        self.assert_has_rank(rank)
        return self

    def concatenate(self, other: Iterable[Any]) -> TensorShape:
        return TensorShape((*self, *other))

    def __getitem__(self, key: Any) -> Any:
        part = super().__getitem__(key)
        return TensorShape(part) if isinstance(key, slice) else part

    __add__ = concatenate

    def __radd__(self, other: Iterable[Any]) -> TensorShape:
        return TensorShape((*other, *self))

    def __repr__(self) -> str:
        return f"TensorShape({list(self)})"

    def __str__(self) -> str:
        return f"({', '.join(map(str, self))}{',' if len(self) == 1 else ''})"


class TypeSpec:
    """Base class of the types of values, equal if their texts are."""

    def __eq__(self, other: object) -> builtins.bool:
        return type(other) is type(self) and repr(other) == repr(self)

    def __hash__(self) -> int:
        return hash(repr(self))


class TensorSpec(TypeSpec):
    """Shape and dtype of a tensor, for `input_signature` and `output_signature`.

    Args:
        shape: Sizes, with None for unknown ones; None for an unknown rank.
        dtype: Dtype.
        name: Name, or None.
    """

    def __init__(
        self, shape: Iterable[Any] | int | None, dtype: DTypeLike = float32, name: str | None = None
    ) -> None:
        self.shape = None if shape is None else TensorShape(shape)
        self.dtype = as_dtype(dtype)
        self.name = name

    @classmethod
    def from_tensor(cls, tensor: Tensor, name: str | None = None) -> TensorSpec:
        return cls(tensor.shape, tensor.dtype, name)

    def __eq__(self, other: object) -> builtins.bool:
        return isinstance(other, TensorSpec) and (self.shape, self.dtype) == (other.shape, other.dtype)

    def __hash__(self) -> int:
        return hash((self.shape, self.dtype))

    def __repr__(self) -> str:
        return f"TensorSpec(shape={self.shape}, dtype={self.dtype!r}, name={self.name!r})"
