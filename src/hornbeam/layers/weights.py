"""The weights of layers: made, listed, counted, set, saved and loaded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np

from hornbeam import constraints, initializers, regularizers
from hornbeam.core.variable import Variable, eager_scope
from hornbeam.ir.types import ShapeError, dtype_name, is_float
from hornbeam.layers.context import only_shapes
from hornbeam.layers.tracking import Tracked

W = TypeVar("W", bound="Weighted")


class Weighted(Tracked):
    """The part of a layer that deals with its weights and with those of the layers inside."""

    built: bool
    _trainable: bool

    @property
    def path(self) -> str:
        """Where the layer stands."""
        raise NotImplementedError

    @property
    def variable_dtype(self) -> str:
        """Dtype of the weights."""
        raise NotImplementedError

    def describe(self) -> str:
        """The layer's path and class, for messages."""
        raise NotImplementedError

    def add_weight(
        self,
        *args: Any,
        shape: Any = None,
        initializer: Any = None,
        dtype: Any = None,
        trainable: bool = True,
        autocast: bool = True,
        regularizer: Any = None,
        constraint: Any = None,
        aggregation: str = "none",
        overwrite_with_gradient: bool = False,
        name: str | None = None,
    ) -> Variable:
        """Make a variable of this layer.

        shape: sizes, () by default. initializer: Glorot uniform for floats, zeros otherwise, by default.
        dtype: the policy's by default. regularizer: a loss on it. constraint: applied after each update.
        By position come a name (if it is a string), the shape, the initializer and the dtype.

        Raises ShapeError if a size is unknown.
        """
        if args and isinstance(args[0], str):
            name, *args = args  # type: ignore[assignment]
        if len(args) > 3:
            raise TypeError(
                f"add_weight takes at most name, shape, initializer, dtype by position, got {args}"
            )
        shape, initializer, dtype = (*args, *(shape, initializer, dtype)[len(args) :])
        if overwrite_with_gradient:
            raise NotImplementedError(
                "overwrite_with_gradient belongs to quantized training, which is not there"
            )
        if self._locked:
            raise ValueError(
                f"{self.describe()} is built: weight {name!r} cannot be added. Add weights in __init__() or "
                "build()"
            )
        shape = () if shape is None else (shape,) if isinstance(shape, int) else tuple(shape)
        if None in shape:
            raise ShapeError(
                f"{self.describe()}: weight {name!r} would have shape {shape}; sizes that weights depend on "
                "must be known when the layer is built: give them in Input(shape=...)"
            )
        dtype = dtype_name(dtype) if dtype is not None else self.variable_dtype
        made = initializers.get(initializer or ("glorot_uniform" if is_float(dtype) else "zeros"))
        if only_shapes():
            made = initializers.get("zeros")
        with eager_scope():
            variable = Variable(made, shape, dtype, trainable, autocast, aggregation, name=name or "variable")
        variable.path = f"{self.path}/{variable.name}"
        variable.regularizer = regularizers.get(regularizer)
        variable.constraint = constraints.get(constraint)
        self._own[variable] = trainable
        if not self._trainable:
            variable.trainable = False
        return variable

    add_variable = add_weight

    def _flatten_layers(self, include_self: bool = True, recursive: bool = True) -> list[Any]:
        """This layer and those inside it, each once, outer ones first."""
        found: dict[int, Any] = {id(self): self}

        def visit(layer: Any) -> None:
            for child in layer._sublayers():
                if id(child) not in found:
                    found[id(child)] = child
                    if recursive:
                        visit(child)

        visit(self)
        return list(found.values())[0 if include_self else 1 :]

    @property
    def trainable(self) -> bool:
        """Whether the weights are trained; setting it sets it for all layers inside."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        for layer in self._flatten_layers():
            layer._trainable = bool(value)
            for variable, made_trainable in layer._own_variables().items():
                if made_trainable:
                    variable.trainable = bool(value)

    def _own_weights(self) -> list[Variable]:
        own = self._own_variables()
        return [
            *(v for v, trainable in own.items() if trainable),
            *(v for v, trainable in own.items() if not trainable),
        ]

    @property
    def weights(self) -> list[Variable]:
        """Own weights, trainable ones first, then those of the layers inside."""
        return list(dict.fromkeys(v for layer in self._flatten_layers() for v in layer._own_weights()))

    @property
    def variables(self) -> list[Variable]:
        """Weights, random states and variables of metrics, here and in the layers inside."""
        found = dict.fromkeys(self.weights)
        for layer in self._flatten_layers():
            found.update(dict.fromkeys(generator.state for generator in layer._seed_generators()))
            found.update(dict.fromkeys(v for metric in layer._own_metrics() for v in metric.variables))
        return list(found)

    @property
    def trainable_weights(self) -> list[Variable]:
        """The weights that training changes."""
        return [v for v in self.weights if v.trainable] if self.trainable else []

    @property
    def non_trainable_weights(self) -> list[Variable]:
        """The weights that training by gradients leaves alone, such as moving averages."""
        return [v for v in self.weights if not v.trainable] if self.trainable else self.weights

    @property
    def trainable_variables(self) -> list[Variable]:
        """The same as `trainable_weights`."""
        return self.trainable_weights

    @property
    def non_trainable_variables(self) -> list[Variable]:
        """All variables that training by gradients leaves alone, random states and metrics included."""
        return [v for v in self.variables if not v.trainable] if self.trainable else self.variables

    @property
    def metrics(self) -> list[Any]:
        """Metrics of this layer and of those inside."""
        found = [metric for layer in self._flatten_layers() for metric in layer._own_metrics()]
        return list({id(metric): metric for metric in found}.values())

    @property
    def metrics_variables(self) -> list[Variable]:
        """Variables of the metrics."""
        return [v for metric in self.metrics for v in metric.variables]

    def get_weights(self) -> list[np.ndarray]:
        """Values of `weights` as arrays."""
        return [np.array(v.numpy()) for v in self.weights]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Set the values of `weights`, in their order.

        Raises ValueError if the number of arrays or a shape is wrong; then nothing is changed.
        """
        own = self.weights
        if len(own) != len(weights):
            why = (
                ""
                if self.built
                else " The layer is not built yet: call it on data, or build(input_shape), first."
            )
            raise ValueError(
                f"{self.describe()} has {len(own)} weights, set_weights got {len(weights)} arrays.{why}"
            )
        for variable, value in zip(own, weights, strict=True):
            if np.shape(value) != variable.shape:
                raise ShapeError(
                    f"weight {variable.path!r} has shape {variable.shape}, set_weights got {np.shape(value)}"
                )
        for variable, value in zip(own, weights, strict=True):
            variable.assign(value)

    def count_params(self) -> int:
        """Number of values in all weights. Raises ValueError if the layer is not built."""
        if not self.built:
            raise ValueError(
                f"{self.describe()} is not built, so its weights are not known: call it, or "
                "build(input_shape)"
            )
        return sum(v.type.size for v in self.weights)

    def save_own_variables(self, store: Any) -> None:
        """Put the layer's own weights into a mapping, under "0", "1", ..."""
        for index, variable in enumerate(self._own_weights()):
            store[str(index)] = variable.numpy()

    def load_own_variables(self, store: Any) -> None:
        """Take the layer's own weights from a mapping that `save_own_variables` filled.

        Raises ValueError if their number or a shape is wrong.
        """
        own = self._own_weights()
        if len(store.keys()) != len(own):
            why = "" if self.built else " The layer is not built: build it before loading."
            raise ValueError(
                f"{self.describe()} has {len(own)} variables, the file holds {len(store.keys())}.{why}"
            )
        for index, variable in enumerate(own):
            value = np.asarray(store[str(index)])
            if value.shape != variable.shape:
                raise ShapeError(
                    f"weight {variable.path!r} has shape {variable.shape}, the file holds {value.shape}"
                )
            variable.assign(value)
