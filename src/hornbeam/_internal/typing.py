"""Type aliases of public signatures. Import them under `if TYPE_CHECKING`: they cost nothing at run time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, Union

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
ShapeLike: TypeAlias = Sequence[int | None]
"""Sizes, None where unknown."""
ShapeTree: TypeAlias = Any
"""A `ShapeLike`, or a nested structure of them, as the inputs of a layer are structured."""
Axis: TypeAlias = int | Sequence[int] | None
"""One axis, several, or all of them (None)."""

# Nested values
Tree: TypeAlias = Any
"""Nested lists, tuples, dicts and named tuples of leaves (`hornbeam.tree`)."""
DataLike: TypeAlias = Any
"""Data of `fit`, `evaluate` and `predict`: nested arrays, or an iterable of batches."""
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
SeedLike: TypeAlias = Union[int, "SeedGenerator", None]

# One value for each output of a model: a value, a list in the order of outputs, or a dict by output name.
PerOutput: TypeAlias = Any | Sequence[Any] | Mapping[str, Any]
