"""The base of all metrics: variables that updates add to, and a result computed from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hornbeam._internal.call_errors import ArgumentChecks
from hornbeam._internal.naming import to_snake_case, unique_name
from hornbeam._internal.typing import Config, DTypeLike, Tree
from hornbeam.config import floatx
from hornbeam.core import registry
from hornbeam.core.configurable import own_arguments
from hornbeam.core.registry import exported
from hornbeam.core.typing import InitializerLike, Self
from hornbeam.core.variable import Variable
from hornbeam.ir.types import dtype_name, numpy_dtype
from hornbeam.metrics.stateless import StatelessMethods

if TYPE_CHECKING:
    from typing import TypeAlias

    from hornbeam.distribution import TensorLayout

    MetricLike: TypeAlias = str | Config | "Metric" | Callable[..., Any]

MODULE = "keras.metrics"


@exported(MODULE)
class Metric(StatelessMethods, ArgumentChecks):
    """Base class of metrics: `update_state(...)` and `result()`, which work eagerly and compiled.

    Args:
        dtype: Dtype of the variables and of the result; None for `hornbeam.config.floatx()`.
        name: Key in the logs; None for one from the class name.

    Example:
        >>> class Positives(Metric):
        ...     def __init__(self, **kwargs):
        ...         super().__init__(**kwargs)
        ...         self.count = self.add_variable((), name="count")
        ...     def update_state(self, y_true, y_pred, sample_weight=None):
        ...         self.count.assign_add(ops.sum(ops.cast(y_pred > 0, self.dtype)))
        ...     def result(self): return self.count.value
    """

    _called_with = "y_true, y_pred"

    def __init__(self, dtype: DTypeLike | None = None, name: str | None = None) -> None:
        self.name = name or unique_name(to_snake_case(type(self).__name__))
        self._dtype = dtype_name(getattr(dtype, "compute_dtype", dtype) if dtype is not None else floatx())
        self._variables: list[Variable] = []

    @property
    def dtype(self) -> str:
        """Dtype of the variables."""
        return self._dtype

    def add_variable(
        self,
        shape: Sequence[int] = (),
        initializer: float | InitializerLike = "zeros",
        dtype: DTypeLike | None = None,
        aggregation: str = "sum",
        layout: TensorLayout | Variable | None = None,
        name: str | None = None,
    ) -> Variable:
        """Create a variable of the metric.

        Args:
            shape: Sequence of integers.
            initializer: Number, array, or what `initializers.get` takes.
            dtype: Dtype; None for that of the metric.
            aggregation: Accepted for Keras's signature.
            layout: `TensorLayout` of the variable, or None.
            name: Name of the variable.

        Returns:
            Variable.
        """
        dtype = dtype or self.dtype
        from hornbeam import initializers

        start: float | InitializerLike
        if initializer is None or isinstance(initializer, (int, float)):
            start = initializers.Constant(initializer or 0)
        elif isinstance(initializer, (str, dict)):
            start = initializers.get(initializer)
        else:
            start = initializer
        variable = Variable(
            start, tuple(shape), dtype, trainable=False, aggregation=aggregation, layout=layout, name=name
        )
        variable.path = f"{self.name}/{variable.name}"
        self._variables.append(variable)
        return variable

    def add_weight(
        self,
        shape: Sequence[int] = (),
        initializer: float | InitializerLike = "zeros",
        dtype: DTypeLike | None = None,
        name: str | None = None,
    ) -> Variable:
        """Create a variable: `add_variable` under its older name.

        Args:
            shape: Sequence of integers.
            initializer: Number, array, or what `initializers.get` takes.
            dtype: Dtype; None for that of the metric.
            name: Name of the variable.

        Returns:
            Variable.
        """
        return self.add_variable(shape, initializer, dtype, name=name)

    @property
    def variables(self) -> list[Variable]:
        """Variables of the metric, then those of metrics that it holds, in attributes or lists of them."""
        held = [part for value in vars(self).values() for part in _parts(value)]
        own = [part for part in held if isinstance(part, Variable)]
        inner = [v for part in held if isinstance(part, Metric) for v in part.variables]
        return list(dict.fromkeys([*self._variables, *own, *inner]))

    def update_state(self, *args: Any, **kwargs: Any) -> None:
        """Add a batch.

        Args:
            *args: Tensors of the batch, such as targets and predictions.
            **kwargs: Further arguments, such as `sample_weight`.
        """
        raise NotImplementedError(f"{type(self).__name__} must define update_state()")

    def result(self) -> Tree:
        """Compute the metric over all batches since the last reset.

        Returns:
            Scalar tensor, or a dict of them.
        """
        raise NotImplementedError(f"{type(self).__name__} must define result()")

    def reset_state(self) -> None:
        """Set every variable to zero."""
        for variable in self.variables:
            variable.assign(np.zeros(variable.shape, numpy_dtype(variable.type.dtype)))

    def __call__(self, *args: Any, **kwargs: Any) -> Tree:
        """Add a batch and return the result.

        Args:
            *args: Arguments of `update_state`.
            **kwargs: Keyword arguments of `update_state`.

        Returns:
            Result over all batches since the last reset.
        """
        self.update_state(*args, **kwargs)
        return self.result()

    def get_config(self) -> dict[str, Any]:
        """Return the arguments from which an equal metric is built; its totals are not included."""
        return {**self._base_config(), **own_arguments(self, Metric)}

    def _base_config(self) -> dict[str, Any]:
        return {"name": self.name, "dtype": self._dtype}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Build the metric that `get_config` described.

        Args:
            config: Dict of arguments.

        Returns:
            Metric.
        """
        return cls(**{key: registry.deserialize(value) for key, value in config.items()})

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}>"


def _parts(value: object) -> list[Variable | Metric]:
    """Return the variables and metrics in an attribute: itself, or in nested lists, tuples and dicts."""
    if isinstance(value, (Variable, Metric)):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    return [part for item in inner for part in _parts(item)]
