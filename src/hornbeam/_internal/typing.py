"""Type aliases of public signatures. The module takes a millisecond to import, and needs no guard.

Those that name a class of the library are in the module of that class: `TensorLike` and others of tensors in
`core/typing.py`, `LossLike` in `losses/loss.py`, the options of layers in `layers/options.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar, Union

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

T = TypeVar("T")

# Values
ArrayLike: TypeAlias = Union["np.ndarray[Any, Any]", "npt.ArrayLike"]
"""Anything NumPy converts to an array: arrays, numbers, nested sequences of numbers."""
DTypeLike: TypeAlias = Union[str, type, "np.dtype[Any]"]
"""A dtype by name ("float32"), as a NumPy dtype, or as a NumPy scalar type."""
Shape: TypeAlias = tuple[int, ...]
"""Sizes that are all known."""
PartialShape: TypeAlias = tuple[int | Any, ...]
"""Sizes, None where unknown: `Any`, since code for a known size need not check each of them."""
ShapeLike: TypeAlias = Sequence[int | None]
"""Sizes, None where unknown."""
Axis: TypeAlias = int | Sequence[int] | None
"""One axis, several, or all of them (None)."""
Sizes: TypeAlias = int | Sequence[int]
"""One size for all spatial axes, or one for each: windows, strides, dilation rates."""


class SupportsDLPack(Protocol):
    """An array that exports its memory."""

    def __dlpack__(self, *args: Any, **kwargs: Any) -> Any: ...


# Nested values
Tree: TypeAlias = Any
"""Nested lists, tuples, dicts and named tuples of leaves (`hornbeam.tree`).

Any for type checkers, where no other type allows what users write: an override may name the structure that it
takes, and a result has the structure that the caller's function or layer returns. Elsewhere use `TensorTree`
of `core/typing.py`.
"""
ShapeTree: TypeAlias = Any
"""A `ShapeLike`, or a nested structure of them, as the inputs of a layer are structured. Any as `Tree` is."""
Config: TypeAlias = dict[str, Any]
"""Result of `get_config()`: arguments by name, in values that JSON can hold."""
ActivationLike: TypeAlias = str | Config | Callable[..., Any] | None
"""An activation by name, as a config, or as a function."""
PerOutput: TypeAlias = T | Sequence[T | Sequence[T] | None] | Mapping[str, T | Sequence[T] | None]
"""A value, a list in the order of a model's outputs, or a dict by output name."""
