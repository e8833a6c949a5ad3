"""The variables of an optimizer: creating them, their values, their part of a file."""

from __future__ import annotations

import functools
from collections.abc import Mapping, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from hornbeam._internal.typing import DTypeLike
from hornbeam._internal.warn import warn_user
from hornbeam.config import floatx
from hornbeam.core.convert import leaf_of
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import InitializerLike
from hornbeam.core.variable import Variable
from hornbeam.ir.types import numpy_dtype

if TYPE_CHECKING:
    from hornbeam.distribution import TensorLayout


class OptimizerVariables:
    """Part of an optimizer that holds its variables."""

    # Of the optimizer that this is a part of.
    name: str
    built: bool
    _variables: list[Variable]

    @property
    def variables(self) -> list[Variable]:
        """Variables: iteration, learning rate (if a number), averages, accumulators, slots."""
        return list(self._variables)

    def add_variable(
        self,
        shape: Sequence[int],
        initializer: float | InitializerLike = "zeros",
        dtype: DTypeLike | None = None,
        aggregation: str = "none",
        layout: TensorLayout | Variable | None = None,
        name: str | None = None,
    ) -> Variable:
        """Create a variable of the optimizer.

        Args:
            shape: Sequence of integers.
            initializer: Number, array, or what `initializers.get` takes.
            dtype: Dtype; None for `hornbeam.config.floatx()`.
            aggregation: Accepted for Keras's signature.
            layout: `TensorLayout`, variable whose layout is shared, or None.
            name: Name of the variable.

        Returns:
            Variable.
        """
        dtype = dtype or floatx()
        if isinstance(initializer, (int, float)) or initializer == "zeros":
            value = float(initializer) if isinstance(initializer, (int, float)) else 0.0
            start: Any = functools.partial(_filled, value)
        elif isinstance(initializer, (str, dict)):
            from hornbeam import initializers

            start = initializers.get(initializer)
        else:
            start = initializer
        variable = Variable(
            start, tuple(shape), dtype, trainable=False, aggregation=aggregation, layout=layout, name=name
        )
        variable.path = f"{self.name}/{variable.name}"
        self._variables.append(variable)
        return variable

    def add_variable_from_reference(
        self,
        reference_variable: Variable,
        name: str | None = None,
        initializer: float | InitializerLike = "zeros",
    ) -> Variable:
        """Create a variable with the shape, dtype and layout of another one, named after it.

        Args:
            reference_variable: Variable.
            name: Name of the state, appended to the path of `reference_variable`.
            initializer: Number, array, or what `initializers.get` takes.

        Returns:
            Variable.
        """
        label = f"{reference_variable.path.replace('/', '_')}_{name or 'var'}"
        shape, dtype = reference_variable.shape, reference_variable.dtype
        return self.add_variable(shape, initializer, dtype, layout=reference_variable, name=label)

    @overload
    def add_optimizer_variables(  # type: ignore[overload-overlap]  # a name is a sequence of names, too
        self,
        trainable_variables: Sequence[Variable],
        name: str,
        initializer: float | InitializerLike | Sequence[float | InitializerLike] = ...,
    ) -> list[Variable]: ...
    @overload
    def add_optimizer_variables(
        self,
        trainable_variables: Sequence[Variable],
        name: Sequence[str],
        initializer: float | InitializerLike | Sequence[float | InitializerLike] = ...,
    ) -> tuple[list[Variable], ...]: ...
    def add_optimizer_variables(
        self,
        trainable_variables: Sequence[Variable],
        name: str | Sequence[str],
        initializer: float | InitializerLike | Sequence[float | InitializerLike] = "zeros",
    ) -> list[Variable] | tuple[list[Variable], ...]:
        """Create a state (or, for a list of names, several) for each trained variable.

        Args:
            trainable_variables: Sequence of variables.
            name: Name of the state, or a list of names.
            initializer: Number, array, what `initializers.get` takes, or a list of these, one for each name.

        Returns:
            List of variables, or for a list of names a tuple of lists.
        """
        names = [name] if isinstance(name, str) else list(name)
        starts: list[Any] = (
            list(initializer) if isinstance(initializer, (list, tuple)) else [initializer] * len(names)
        )
        columns: tuple[list[Variable], ...] = tuple([] for _ in names)
        for variable in trainable_variables:
            for column, label, start in zip(columns, names, starts, strict=True):
                column.append(self.add_variable_from_reference(variable, label, start))
        return columns[0] if isinstance(name, str) else columns

    def get_weights(self) -> list[np.ndarray]:
        """Return the values of `variables` as arrays."""
        return [np.array(variable.numpy()) for variable in self.variables]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Set the values of `variables`.

        Args:
            weights: Sequence of arrays.

        Raises:
            ValueError: If their number is wrong.
            ShapeError: If a shape is wrong.
        """
        if not self.built:
            raise ValueError(
                f"{self.name} is not built: call build(model.trainable_variables) before set_weights()"
            )
        if len(weights) != len(self.variables):
            raise ValueError(f"{self.name} has {len(self.variables)} variables, got {len(weights)} weights")
        for variable, weight in zip(self.variables, weights, strict=True):
            variable.assign(weight)

    def save_own_variables(self, store: MutableMapping[str, Any]) -> None:
        """Write the state to a group of a file, as "0", "1", ...

        Args:
            store: Mapping of names to arrays, such as an HDF5 group.
        """
        for index, variable in enumerate(self.variables):
            store[str(index)] = variable.numpy()

    def load_own_variables(self, store: Mapping[str, Any]) -> None:
        """Read the state from a group of a file; warn and read nothing if the number of variables differs.

        Args:
            store: Mapping of names to arrays, such as an HDF5 group.
        """
        if len(store) != len(self.variables):
            warn_user(
                f"the state of {self.name} was not loaded: it has {len(self.variables)} variables, the file "
                f"{len(store)}. Training will go on with a fresh optimizer state"
            )
            return
        for index, variable in enumerate(self.variables):
            variable.assign(np.asarray(store[str(index)]))


def _filled(value: float, shape: Sequence[int], dtype: str) -> Tensor:
    """Return a tensor of one value, for the initial value of a variable: created when its size is allowed."""
    kind = numpy_dtype(dtype)
    # Not copied: the system gives memory for zeros when they are written.
    return Tensor(leaf_of(np.full(shape, value, kind) if value else np.zeros(shape, kind)))
