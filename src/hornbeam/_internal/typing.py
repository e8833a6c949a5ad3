"""Type aliases of public signatures. Import them under `if TYPE_CHECKING`: they cost nothing at run time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import EllipsisType
from typing import TYPE_CHECKING, Any, Protocol, SupportsIndex, TypeAlias, TypedDict, TypeVar, Union

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from hornbeam.constraints import Constraint
    from hornbeam.core.symbolic import KerasTensor
    from hornbeam.core.tensor import Tensor
    from hornbeam.core.variable import Variable
    from hornbeam.dtype_policies import DTypePolicy
    from hornbeam.initializers import Initializer
    from hornbeam.losses import Loss
    from hornbeam.metrics import Metric
    from hornbeam.optimizers import Optimizer
    from hornbeam.optimizers.schedules import LearningRateSchedule
    from hornbeam.random import SeedGenerator
    from hornbeam.regularizers import Regularizer
    from hornbeam.training.callbacks.base import Callback
    from hornbeam.training.callbacks.callback_list import CallbackList

T = TypeVar("T")

# Values
ArrayLike: TypeAlias = Union["np.ndarray[Any, Any]", "npt.ArrayLike"]
"""Anything NumPy converts to an array: arrays, numbers, nested sequences of numbers."""
TensorLike: TypeAlias = Union["Tensor", "Variable", "KerasTensor", ArrayLike]
"""Anything that functions of `hornbeam.ops` accept: tensors, variables, symbolic tensors, `ArrayLike`."""
DTypeLike: TypeAlias = Union[str, type, "np.dtype[Any]"]
"""A dtype by name ("float32"), as a NumPy dtype, or as a NumPy scalar type."""
DTypePolicyLike: TypeAlias = Union[DTypeLike, "DTypePolicy"]
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

Index: TypeAlias = Union[
    SupportsIndex, slice, EllipsisType, "Tensor", "np.ndarray[Any, Any]", list[Any], tuple[Any, ...], None
]
"""An index as NumPy takes it: an integer, slice, None, `...`, array or mask, or a tuple of them."""


class SupportsDLPack(Protocol):
    """An array that exports its memory."""

    def __dlpack__(self, *args: Any, **kwargs: Any) -> Any: ...


# Nested values
TensorTree: TypeAlias = TensorLike | Sequence["TensorTree"] | Mapping[Any, "TensorTree"] | None
"""Nested lists, tuples, dicts and named tuples of `TensorLike`; None where a value is absent."""
SymbolicTree: TypeAlias = Union["Tensor", Sequence[Any], Mapping[str, Any]]
"""A symbolic tensor, or nested lists, tuples and dicts of them.

Functions of `hornbeam.ops` declare their results as `Tensor`, symbolic ones, too. Not recursive, which jedi
cannot follow.
"""
DataLike: TypeAlias = TensorTree | Iterable[Any]
"""Data of `fit`, `evaluate` and `predict`: nested arrays, or an iterable of batches."""
Tree: TypeAlias = Any
"""Nested lists, tuples, dicts and named tuples of leaves (`hornbeam.tree`).

Any for type checkers, where no other type allows what users write: an override may name the structure that it
takes, and a result has the structure that the caller's function or layer returns. Elsewhere use `TensorTree`.
"""
ShapeTree: TypeAlias = Any
"""A `ShapeLike`, or a nested structure of them, as the inputs of a layer are structured. Any as `Tree` is."""
Config: TypeAlias = dict[str, Any]
"""Result of `get_config()`: arguments by name, in values that JSON can hold."""

# Objects by name, as an instance, as a config, or as a function
ActivationLike: TypeAlias = str | Config | Callable[..., Any] | None
ConstraintLike: TypeAlias = Union[str, Config, "Constraint", Callable[..., Any], None]
InitializerLike: TypeAlias = Union[
    str, Config, "Initializer", "Tensor", "np.ndarray[Any, Any]", Callable[..., Any], None
]
LossLike: TypeAlias = Union[str, Config, "Loss", Callable[..., Any]]
MetricLike: TypeAlias = Union[str, Config, "Metric", Callable[..., Any]]
OptimizerLike: TypeAlias = Union[str, Config, "Optimizer"]
RegularizerLike: TypeAlias = Union[str, Config, "Regularizer", Callable[..., Any], None]
LearningRateLike: TypeAlias = Union[float, "LearningRateSchedule", Callable[[], Any]]
CallbacksLike: TypeAlias = Union["Callback", Iterable["Callback"], "CallbackList", None]
SeedLike: TypeAlias = Union[int, "SeedGenerator", None]

PerOutput: TypeAlias = T | Sequence[T | Sequence[T] | None] | Mapping[str, T | Sequence[T] | None]
"""A value, a list in the order of a model's outputs, or a dict by output name."""

if TYPE_CHECKING:
    Images = TypeVar("Images", KerasTensor, Tensor, np.ndarray[Any, Any])
    """Images as a symbolic tensor, a tensor, or an array: the result is of the same kind."""


# Keyword arguments that layers pass on to `Layer`, for `**kwargs: Unpack[...]`.
class _CommonLayerOptions(TypedDict, total=False):
    trainable: bool
    dtype: DTypePolicyLike | None
    autocast: bool
    input_shape: ShapeLike
    batch_input_shape: ShapeLike
    input_dim: int
    input_dtype: DTypeLike


class LayerOptions(_CommonLayerOptions, total=False):
    """Arguments of `Layer` but `activity_regularizer`."""

    name: str | None


class LowRankOptions(LayerOptions, total=False):
    """Arguments of `Layer` but `activity_regularizer`, and those of layers with low-rank factors."""

    lora_rank: int | None
    lora_alpha: float | None


class RegularizedLayerOptions(LayerOptions, total=False):
    """Arguments of `Layer`."""

    activity_regularizer: RegularizerLike


class UnnamedLayerOptions(_CommonLayerOptions, total=False):
    """Arguments of `Layer` but `name`."""

    activity_regularizer: RegularizerLike
