"""Weights of layers: created, listed, counted, set, saved and loaded."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any

import numpy as np

from hornbeam import constraints, initializers, regularizers
from hornbeam._internal.call_errors import explain_arguments
from hornbeam._internal.typing import ArrayLike, DTypeLike, ShapeLike
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import ConstraintLike, InitializerLike, RegularizerLike
from hornbeam.core.variable import Variable, eager_scope
from hornbeam.errors import ArgumentTypeError
from hornbeam.ir.sizes import known_or_none
from hornbeam.ir.types import ShapeError, dtype_name, is_float
from hornbeam.layers.context import is_shapes_only
from hornbeam.layers.tracking import Tracked, sublayers


class Weighted(Tracked):
    """Base of `Layer` for its weights and those of its sublayers."""

    built: bool
    _trainable: bool

    @property
    def path(self) -> str:
        """Names of the enclosing layers and of this one, joined by "/"."""
        raise NotImplementedError

    @property
    def variable_dtype(self) -> str:
        """Dtype of the weights."""
        raise NotImplementedError

    def describe(self) -> str:
        """Return the layer's path and class, for messages."""
        raise NotImplementedError

    @explain_arguments
    def add_weight(
        self,
        *args: Any,
        shape: ShapeLike | int | None = None,
        initializer: InitializerLike = None,
        dtype: DTypeLike | None = None,
        trainable: bool = True,
        autocast: bool = True,
        regularizer: RegularizerLike = None,
        constraint: ConstraintLike = None,
        aggregation: str = "none",
        overwrite_with_gradient: bool = False,
        name: str | None = None,
    ) -> Variable:
        """Create a variable of this layer.

        Args:
            *args: By position: a name (if it is a string), the shape, the initializer and the dtype.
            shape: Sizes, () by default.
            initializer: Initializer of the values: Glorot uniform for floats and zeros otherwise by default.
            dtype: Dtype, the one of the policy by default.
            trainable: Whether the weight is trained.
            autocast: Whether the weight is cast to the compute dtype in `call`.
            regularizer: Penalty on the weight that is added to the loss.
            constraint: Function applied to the weight after each update.
            aggregation: Combination of the replicas of a variable: "none", "mean", "sum" or
                "only_first_replica".
            overwrite_with_gradient: Whether optimizers assign the gradient itself, as a new value.
            name: Name of the weight.

        Raises:
            ShapeError: If a size is unknown.
            ValueError: If the layer is built already.
        """
        if args and isinstance(args[0], str):
            name, *args = args  # type: ignore[assignment]
        if len(args) > 3:
            raise TypeError(
                f"add_weight takes at most name, shape, initializer, dtype by position, got {args}"
            )
        if len(args) > 1 and isinstance(args[1], (int, np.integer)):
            sizes = ", ".join(map(str, args))
            raise TypeError(
                f"add_weight takes the shape as one tuple: add_weight(({sizes})), not add_weight({sizes}), "
                f"where {args[1]} is the initializer"
            )
        for argument, value in zip(
            ("shape", "initializer", "dtype"), (shape, initializer, dtype), strict=True
        ):
            if value is not None and len(args) > ("shape", "initializer", "dtype").index(argument):
                raise ArgumentTypeError(
                    f"add_weight got {argument} twice: by position and as {argument}={value!r}"
                )
        by_position: tuple[Any, ...] = tuple(args)
        shape, initializer, dtype = by_position + (shape, initializer, dtype)[len(args) :]
        if self._hb_locked:
            raise ValueError(
                f"{self.describe()} is built: weight {name!r} cannot be added. "
                "Add weights in __init__() or build()"
            )
        shape = () if shape is None else (shape,) if isinstance(shape, int) else tuple(shape)
        shape = known_or_none(shape)
        if None in shape:
            raise ShapeError(
                f"{self.describe()}: weight {name!r} would have shape {shape}; sizes that weights depend on "
                "must be known when the layer is built: give them in Input(shape=...)"
            )
        dtype = dtype_name(dtype) if dtype is not None else self.variable_dtype
        function = initializers.get(initializer or ("glorot_uniform" if is_float(dtype) else "zeros"))
        if is_shapes_only():
            function = initializers.get("zeros")
        with eager_scope():
            variable = Variable(
                function, shape, dtype, trainable, autocast, aggregation, name=name or "variable"
            )
        variable.path = f"{self.path}/{variable.name}"
        variable.regularizer = regularizers.get(regularizer)
        variable.constraint = constraints.get(constraint)
        variable.overwrite_with_gradient = overwrite_with_gradient
        self._tracked_variables[variable] = trainable
        if not self._trainable:
            variable.trainable = False
        return variable

    add_variable = add_weight

    def _flatten_layers(self, include_self: bool = True, recursive: bool = True) -> list[Any]:
        """Return this layer and its sublayers, each once, outer layers first."""
        layers: dict[int, Any] = {id(self): self}

        def visit(layer: Weighted) -> None:
            for child in sublayers(layer):
                if id(child) not in layers:
                    layers[id(child)] = child
                    if recursive:
                        visit(child)

        visit(self)
        return list(layers.values())[0 if include_self else 1 :]

    @property
    def trainable(self) -> bool:
        """True if the weights are trained. Setting it sets it for all sublayers."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        if isinstance(value, str):
            raise TypeError(f"trainable must be True or False, got {value!r}")
        for layer in self._flatten_layers():
            layer._set_own_trainable(bool(value))

    def _set_own_trainable(self, value: bool) -> None:
        """Set `trainable` of this layer and its own weights, without those of sublayers."""
        self._trainable = value
        for variable, created_trainable in self._own_variables().items():
            if created_trainable:
                variable.trainable = value and not self._is_frozen(variable)

    def _is_frozen(self, variable: Variable) -> bool:
        """True for a weight of this layer that stays untrained when the layer is trained, as in LoRA."""
        return False

    def _own_weights(self) -> list[Variable]:
        variables = self._own_variables()
        return [
            *(v for v, trainable in variables.items() if trainable),
            *(v for v, trainable in variables.items() if not trainable),
        ]

    @property
    def weights(self) -> list[Variable]:
        """Weights of this layer, trainable ones first, then those of the sublayers."""
        return list(dict.fromkeys(v for layer in self._flatten_layers() for v in layer._own_weights()))

    @property
    def variables(self) -> list[Variable]:
        """Weights and random states, here and in the sublayers; not `metrics_variables`."""
        variables = dict.fromkeys(self.weights)
        for layer in self._flatten_layers():
            variables.update(dict.fromkeys(generator.state for generator in layer._seed_generators()))
        return list(variables)

    @property
    def trainable_weights(self) -> list[Variable]:
        """Weights that training changes."""
        return [v for v in self.weights if v.trainable] if self.trainable else []

    @property
    def non_trainable_weights(self) -> list[Variable]:
        """Weights that gradients do not change, such as moving averages."""
        return [v for v in self.weights if not v.trainable] if self.trainable else self.weights

    @property
    def trainable_variables(self) -> list[Variable]:
        """The same as `trainable_weights`."""
        return self.trainable_weights

    @property
    def non_trainable_variables(self) -> list[Variable]:
        """Variables that gradients do not change, random states included."""
        return [v for v in self.variables if not v.trainable] if self.trainable else self.variables

    @property
    def metrics(self) -> list[Any]:
        """Metrics of this layer and of the sublayers."""
        metrics = [metric for layer in self._flatten_layers() for metric in layer._own_metrics()]
        return list({id(metric): metric for metric in metrics}.values())

    @property
    def metrics_variables(self) -> list[Variable]:
        """Variables of the metrics."""
        return [v for metric in self.metrics for v in metric.variables]

    def get_weights(self) -> list[np.ndarray]:
        """Return the values of `weights` as arrays."""
        return [np.array(v.numpy()) for v in self.weights]

    def set_weights(self, weights: Sequence[ArrayLike]) -> None:
        """Set the values of `weights`.

        Args:
            weights: Arrays in the order and with the shapes of `self.weights`.

        Raises:
            ValueError: If the number of arrays or a shape is wrong; then nothing is changed.
        """
        variables = self.weights
        if len(variables) != len(weights):
            hint = " The layer is not built yet: call it on data, or build(input_shape), first."
            raise ValueError(
                f"{self.describe()} has {len(variables)} weights, "
                f"set_weights got {len(weights)} arrays.{'' if self.built else hint}"
            )
        for variable, value in zip(variables, weights, strict=True):
            if np.shape(value) != variable.shape:
                raise ShapeError(
                    f"weight {variable.path!r} has shape {variable.shape}, set_weights got {np.shape(value)}"
                )
        for variable, value in zip(variables, weights, strict=True):
            variable.assign(value)

    def count_params(self) -> int:
        """Count the values in all weights.

        Raises:
            ValueError: If the layer is not built.
        """
        if not self.built:
            raise ValueError(
                f"{self.describe()} is not built, so its weights are not known: "
                "call it, or build(input_shape)"
            )
        return sum(v.type.size for v in self.weights)

    def _stored_weights(self, merged: bool = True) -> dict[Variable, Tensor]:
        """Return the own weights in the order of a file, with the values that it gets.

        Args:
            merged: Whether low-rank factors are added to their weights, as in files of Keras, instead of
                being weights of their own.
        """
        return {variable: variable for variable in self._own_weights()}

    def _on_weights_loaded(self) -> None:
        """Called when the own weights, in the merged form, were loaded."""

    def save_own_variables(self, store: MutableMapping[str, np.ndarray]) -> None:
        """Save the weights of this layer, without those of sublayers, under "0", "1", ...

        Args:
            store: Mapping that receives the arrays.
        """
        for index, value in enumerate(self._stored_weights().values()):
            store[str(index)] = value.numpy()

    def load_own_variables(self, store: Mapping[str, np.ndarray]) -> None:
        """Load the weights that `save_own_variables` saved.

        Args:
            store: Mapping of the arrays.

        Raises:
            ValueError: If the number of arrays or a shape is wrong.
        """
        variables = list(self._stored_weights())
        if len(store.keys()) != len(variables):
            hint = "" if self.built else " The layer is not built: build it before loading."
            raise ValueError(
                f"{self.describe()} has {len(variables)} variables, the file holds {len(store.keys())}.{hint}"
            )
        for index, variable in enumerate(variables):
            value = np.asarray(store[str(index)])
            if value.shape != variable.shape:
                raise ShapeError(
                    f"weight {variable.path!r} has shape {variable.shape}, the file holds {value.shape}"
                )
            variable.assign(value)
        self._on_weights_loaded()


def flatten_layers(layer: Weighted, include_self: bool = True) -> list[Any]:
    """Return a layer and all layers inside of it, each once, outer layers first."""
    return layer._flatten_layers(include_self)


def own_weights(layer: Weighted) -> list[Variable]:
    """Return the weights of a layer itself, without those of sublayers, trainable ones first."""
    return layer._own_weights()


def set_own_trainable(layer: Weighted, value: bool) -> None:
    """Set `trainable` of a layer and its own weights, without those of sublayers."""
    layer._set_own_trainable(value)
