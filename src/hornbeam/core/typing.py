"""Type aliases of what is, holds or becomes a tensor. The module imports no tensor at run time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import EllipsisType
from typing import TYPE_CHECKING, Any, Protocol, SupportsIndex, TypeAlias, TypeVar, Union

from hornbeam._internal.typing import ArrayLike, Config

if TYPE_CHECKING:
    import numpy as np
    from typing_extensions import Self as Self
    from typing_extensions import Unpack as Unpack

    from hornbeam.core.symbolic import KerasTensor
    from hornbeam.core.tensor import Tensor
    from hornbeam.core.variable import Variable
else:
    Self = Unpack = None  # annotations are not evaluated, and Python 3.10 has neither

TensorLike: TypeAlias = Union["Tensor", "Variable", "KerasTensor", ArrayLike]
"""Anything that functions of `hornbeam.ops` accept: tensors, variables, symbolic tensors, `ArrayLike`."""
Index: TypeAlias = Union[
    SupportsIndex, slice, EllipsisType, "Tensor", "np.ndarray[Any, Any]", list[Any], tuple[Any, ...], None
]
"""An index as NumPy takes it: an integer, slice, None, `...`, array or mask, or a tuple of them."""

TensorTree: TypeAlias = TensorLike | Sequence["TensorTree"] | Mapping[Any, "TensorTree"] | None
"""Nested lists, tuples, dicts and named tuples of `TensorLike`; None where a value is absent."""
SymbolicTree: TypeAlias = Union["Tensor", Sequence[Any], Mapping[str, Any]]
"""A symbolic tensor, or nested lists, tuples and dicts of them.

Functions of `hornbeam.ops` declare their results as `Tensor`, symbolic ones, too. Not recursive, which jedi
cannot follow.
"""
DataLike: TypeAlias = TensorTree | Iterable[Any]
"""Data of `fit`, `evaluate` and `predict`: nested arrays, or an iterable of batches."""
InitializerLike: TypeAlias = Union[str, Config, "Tensor", "np.ndarray[Any, Any]", Callable[..., Any], None]
"""Initial values, by name, as a config, or as a function of shape and dtype, such as an `Initializer`."""

ConstraintLike: TypeAlias = str | Config | Callable[..., Any] | None
"""A projection by name, as a config, or as a function of a weight, such as a `Constraint`."""

RegularizerLike: TypeAlias = str | Config | Callable[..., Any] | None
"""A penalty by name, as a config, or as a function of a weight, such as a `Regularizer`."""


class LayoutLike(Protocol):
    """Sharding of a variable, such as a `hornbeam.distribution.TensorLayout`."""

    @property
    def axes(self) -> tuple[str | None, ...]:
        """Name of the mesh axis of each dimension, or None."""


Images = TypeVar("Images", "KerasTensor", "Tensor", "np.ndarray[Any, Any]")
"""Images as a symbolic tensor, a tensor, or an array: the result is of the same kind."""
