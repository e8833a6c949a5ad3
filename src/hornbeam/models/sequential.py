"""`Sequential`: layers one after the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hornbeam import dtype_policies, tree
from hornbeam._internal import warning_policy
from hornbeam._internal.typing import Config, ShapeLike, Tree
from hornbeam.core.registry import deserialize, exported, serialize
from hornbeam.core.symbolic import STRING, KerasTensor
from hornbeam.core.typing import TensorLike
from hornbeam.errors import ArgumentTypeError
from hornbeam.layers import InputLayer, Layer
from hornbeam.models.call_graph import CallGraph, adjust
from hornbeam.models.host import HostSubgraph, has_host_layers, strings_to_array, to_numpy
from hornbeam.models.model import Model
from hornbeam.training.host_inputs import HostInputs


@exported("keras.models")
@exported("keras")
class Sequential(Model):
    """Stack of layers, each of which is called on the output of the layer before.

    The input's shape is given by an `Input` at the front or by `input_shape` of the first layer; otherwise
    the weights are created when the model first sees data.

    Args:
        layers: The layers, or None to `add` them later. A plain function becomes a `Lambda` layer.
        trainable: False freezes all layers.
        name: Name of the model.

    Example:
        >>> model = hornbeam.Sequential([hornbeam.Input((784,)), hornbeam.layers.Dense(10)])
    """

    layers_in_file = "first"

    @classmethod
    def _check_arguments(cls, args: tuple[Any, ...]) -> None:
        """Refuse layers as separate arguments, of which __init__ would take the second for `trainable`."""
        if cls.__init__ is not Sequential.__init__:
            return
        for number, argument in enumerate(args[1:], 2):
            if callable(argument) or isinstance(argument, KerasTensor):
                kind = argument.__name__ if isinstance(argument, type) else type(argument).__name__
                raise ArgumentTypeError(
                    f"Sequential takes its layers as one list, got a {kind} as argument {number}: write "
                    "Sequential([...]) with all layers between the brackets"
                )

    def __init__(
        self,
        layers: Layer | Sequence[Layer | KerasTensor | Callable[..., Any]] | None = None,
        trainable: bool = True,
        name: str | None = None,
    ) -> None:
        Layer.__init__(self, name=name)
        self._hb_stack: list[Layer] = []
        self._hb_tensors = _Tensors()
        self.supports_masking = True
        if layers is not None and not isinstance(layers, (list, tuple)):
            layers = [layers]  # type: ignore[list-item]
        for layer in layers or []:
            self.add(layer)
        if not trainable:
            self.trainable = False

    # -- the stack ---------------------------------------------------------------------------------

    @property
    def layers(self) -> list[Layer]:
        """Layers, without the input."""
        return [layer for layer in self._hb_stack if not isinstance(layer, InputLayer)]

    @layers.setter
    def layers(self, value: object) -> None:
        raise AttributeError("`layers` of a model cannot be set: use add() and pop()")

    def add(self, layer: Layer | KerasTensor | Callable[..., Any], rebuild: bool = True) -> None:
        """Append a layer.

        Args:
            layer: A layer, an `Input`, or a function, which becomes a `Lambda` layer.
            rebuild: Unused: the model is always built as far as shapes are known.

        Raises:
            ArgumentTypeError: For objects that are not layers.
            ValueError: For a name that another layer has, and for an Input that is not the first.
        """
        layer = self._as_layer(layer)
        if any(other is layer for other in self._hb_stack):
            warning_policy.on_warning(
                f"model {self.name!r} has the layer {layer.name!r} already: names must differ, and a layer "
                "can be in a Sequential only once"
            )
        elif any(other.name == layer.name for other in self._hb_stack):
            raise ValueError(
                f"model {self.name!r} has another layer with the name {layer.name!r} already: names must "
                "differ"
            )
        if isinstance(layer, InputLayer) and self._hb_stack:
            raise ValueError(f"model {self.name!r}: the Input must be before all other layers")
        if not self._hb_stack and not isinstance(layer, InputLayer):
            shape = getattr(layer, "_batch_shape_arg", None)
            symbol = getattr(layer, "_symbolic_inputs", None)
            if shape is not None:
                self._hb_push(InputLayer(batch_shape=shape))
            elif isinstance(symbol, KerasTensor):
                self._hb_push(InputLayer(batch_shape=symbol.shape, dtype=symbol.dtype))
        self._hb_push(layer)

    def _as_layer(self, layer: Layer | KerasTensor | Callable[..., Any]) -> Layer:
        if isinstance(layer, KerasTensor):
            history = layer.history
            if history is None or not isinstance(history.callee, InputLayer):
                raise ValueError(
                    f"a Sequential model begins with an Input; {layer!r} is the output of a layer: add the "
                    "layer itself"
                )
            return history.callee
        if isinstance(layer, type) and issubclass(layer, Layer):
            raise ArgumentTypeError(
                f"{layer.__name__} is the class: write {layer.__name__}(...) to make a layer"
            )
        if isinstance(layer, Layer):
            layer._check_initialized()
            return layer
        if not callable(layer):
            several = hasattr(layer, "__iter__") and not isinstance(layer, str)
            hint = ": write Sequential(list(layers))" if several else ""
            raise ArgumentTypeError(f"Sequential takes layers, got {type(layer).__name__}: {layer!r}{hint}")
        from hornbeam.layers import Lambda  # few models need it

        return Lambda(layer)

    def _hb_push(self, layer: Layer) -> None:
        self._hb_stack.append(layer)
        self._hb_trainer.forget_steps()
        if isinstance(layer, InputLayer):
            self._hb_tensors.values = [layer.output]
        elif self._hb_tensors.values:
            self._apply(layer)
            self._after_build()

    def _apply(self, layer: Layer) -> None:
        """Call a layer on the last symbolic output."""
        with self._hb_scope():
            output = layer(self._hb_tensors.values[-1])
        if isinstance(output, (list, tuple)) and len(output) == 1:
            output = output[0]
        if not isinstance(output, KerasTensor):
            raise ValueError(
                f"model {self.name!r}: layer {layer.name!r} gives {type(output).__name__} of tensors; "
                "Sequential needs layers with one output. Use Model(inputs, outputs)"
            )
        self._hb_tensors.values.append(output)

    def _after_build(self) -> None:
        self._mark_built({"input_shape": self._hb_tensors.values[0].shape})
        self._hb_locked = False

    def pop(self, rebuild: bool = True) -> Layer | None:
        """Remove the last layer.

        Args:
            rebuild: Unused: the model stays built as far as shapes are known.

        Returns:
            The removed layer.

        Raises:
            ValueError: If the model has no layer.
        """
        if not self.layers:
            raise ValueError(f"model {self.name!r} has no layer to remove")
        layer = self._hb_stack.pop()
        if self._hb_tensors.values:
            self._hb_tensors.values.pop()
        self.built = bool(self.layers) and bool(self._hb_tensors.values)
        self._hb_trainer.forget_steps()
        return layer

    # -- building and calling ----------------------------------------------------------------------

    def build(self, input_shape: ShapeLike | None = None) -> None:  # type: ignore[override]
        """Create the weights.

        Args:
            input_shape: Shape of the input, batch first, None where unknown.

        Raises:
            ValueError: If the model has no layers, or the shape is missing.
        """
        if self._hb_tensors.values:
            return
        if not self.layers:
            raise ValueError(f"model {self.name!r} has no layers: add() some before it is built or called")
        if input_shape is None:
            raise ValueError(
                f"the input shape of model {self.name!r} is unknown: begin it with Input(shape), or call "
                "build(input_shape)"
            )
        if isinstance(input_shape, dict) or any(isinstance(size, (tuple, list)) for size in input_shape):
            return  # a first layer of several inputs: the layers are built when they are called
        shape = (None, *input_shape[1:])
        self._hb_tensors.values = [KerasTensor(shape, self._first_dtype(), name=f"{self.name}_input")]
        self._hb_tensors.deferred = True
        try:
            for layer in self._hb_stack:
                self._apply(layer)
        except NotImplementedError:  # a layer that cannot tell the shape of its output
            self._hb_tensors = _Tensors()
        except Exception:
            self._hb_tensors = _Tensors()
            raise

    def _first_dtype(self) -> str:
        return STRING if has_host_layers(self.layers[0]) else self.compute_dtype

    def call(self, inputs: TensorLike, training: bool | None = None, mask: TensorLike | None = None) -> Tree:
        """Apply the layers one after the other.

        Args:
            inputs: Tensor, or a list or dict that holds it alone.
            training: Unused: the layers inside read it from the context.
            mask: Mask of the input.

        Returns:
            Output of the last layer.
        """
        x: Any = inputs
        if isinstance(x, HostInputs):
            return self._host_subgraph().run_compiled(x)[0]
        if self._hb_tensors.values and not self._hb_tensors.deferred:
            if isinstance(x, (list, tuple)) and len(x) == 1:
                x = x[0]
            elif isinstance(x, dict) and len(x) == 1:
                x = next(iter(x.values()))
            x = adjust(x, self._hb_tensors.values[0], self.name)
        if mask is not None:
            (x._keras_mask,) = tree.flatten(mask)
        for layer in self.layers:
            x = layer(x)
        return x

    def _hb_inner_graph(self) -> CallGraph | None:
        """Return the graph of calls, None before the shape of the input is known."""
        values = self._hb_tensors.values
        return CallGraph([values[0]], [values[-1]], self.name) if len(values) > 1 else None

    def _host_subgraph(self) -> HostSubgraph:
        tensors = self._hb_tensors
        if tensors.host is None or tensors.host.graph.outputs[0] is not tensors.values[-1]:
            tensors.host = HostSubgraph(CallGraph([tensors.values[0]], [tensors.values[-1]], self.name))
        return tensors.host

    def _compiled_inputs(self) -> Any:
        host = self._host_subgraph() if self._symbolic_inputs is not None else None
        return host.boundary() if host else self._symbolic_inputs

    def _has_host_layers(self) -> bool:
        if len(self._hb_tensors.values) > 1:
            return bool(self._host_subgraph())
        return any(has_host_layers(layer) for layer in self._hb_stack)

    def _run_host_layers(self, x: Tree) -> Any:
        if isinstance(x, HostInputs) or not self._has_host_layers():
            return x
        (value,) = tree.flatten(strings_to_array(x))
        value = to_numpy(value)
        if not self.built:
            self.build((None, *value.shape[1:]))
        if not self._hb_tensors.deferred:
            value = to_numpy(adjust(value, self._hb_tensors.values[0], self.name))
        return self._host_subgraph().run([value])

    def compute_mask(self, inputs: Tree, previous_mask: Tree) -> None:
        """Return None: the layers inside have put masks on the output.

        Args:
            inputs: Unused.
            previous_mask: Unused.
        """
        return None

    # -- structure ---------------------------------------------------------------------------------

    def _hb_symbols(self, attribute: str) -> list[KerasTensor]:
        if not self._hb_tensors.values:
            raise AttributeError(
                f"model {self.name!r} is not built, so it has no {attribute} yet: begin it with Input(shape)"
            )
        return self._hb_tensors.values

    @property
    def inputs(self) -> list[KerasTensor]:
        """Symbolic input in a list."""
        return [self._hb_symbols("inputs")[0]]

    @property
    def outputs(self) -> list[KerasTensor]:
        """Symbolic output in a list."""
        return [self._hb_symbols("outputs")[-1]]

    @property
    def input(self) -> KerasTensor:
        """Symbolic input."""
        return self._hb_symbols("input")[0]

    @property
    def output(self) -> KerasTensor:
        """Symbolic output."""
        return self._hb_symbols("output")[-1]

    @property
    def input_shape(self) -> tuple[int | None, ...]:
        """Shape of the input."""
        return self.input.shape

    @property
    def output_shape(self) -> tuple[int | None, ...]:
        """Shape of the output."""
        return self.output.shape

    @property
    def input_names(self) -> list[str]:
        """Name of the input, in a list."""
        return [self.input.name]

    @property
    def output_names(self) -> list[str]:
        """Name of the last layer, in a list."""
        return [self.layers[-1].name] if self.layers else []

    @property
    def _symbolic_inputs(self) -> Any:
        values = self._hb_tensors.values
        return values[0] if values and not self._hb_tensors.deferred else None

    # -- config ------------------------------------------------------------------------------------

    def get_config(self) -> Config:
        """Return name, layers and the shape that the model was built for, in Keras 3's format."""
        dtype = dtype_policies.serialize(self.dtype_policy)
        config: dict[str, Any] = {"name": self.name, "trainable": self._trainable, "dtype": dtype}
        config["layers"] = [serialize(layer) for layer in self._hb_stack]
        if self.built and self._hb_tensors.values:
            config["build_input_shape"] = tuple(self._hb_tensors.values[0].shape)
        return config

    @classmethod
    def from_config(cls, config: Config, custom_objects: Mapping[str, Any] | None = None) -> Sequential:
        """Build the model that a config describes, with new weights.

        Args:
            config: Result of `get_config`.
            custom_objects: Classes and functions of the user's by name.

        Returns:
            A Sequential model.

        Raises:
            ValueError: If an entry of `layers` is not the config of a layer.
        """
        model = cls(name=config.get("name"))
        for layer in config.get("layers", []):
            if not isinstance(layer, Mapping) or not {"class_name", "config"} <= set(layer):
                raise ValueError(
                    f"the config of model {model.name!r} has {layer!r:.80} among its layers: each must be a "
                    "dict with class_name and config"
                )
            model.add(deserialize(layer, custom_objects))
        if config.get("dtype") is not None:
            model.dtype_policy = dtype_policies.get(config["dtype"])
        shape = config.get("build_input_shape")
        if shape and not model.built:
            model.build(tuple(shape))
        if not config.get("trainable", True):
            model.trainable = False
        return model

    def get_build_config(self) -> Config | None:
        """Return the shape of the input, None for a model that is not built."""
        if not self.built or not self._hb_tensors.values:
            return None
        return {"input_shape": tuple(self._hb_tensors.values[0].shape)}

    def build_from_config(self, config: Config) -> None:
        """Build for the shape in a config.

        Args:
            config: Result of `get_build_config`.
        """
        if config.get("input_shape") and not self.built:
            self.build(tuple(config["input_shape"]))


class _Tensors:
    """Symbolic tensors between the layers; in one object, so that tracking need not look into it."""

    def __init__(self) -> None:
        self.values: list[KerasTensor] = []
        # True if built from the shape of data, without an Input of its own: then data keep their dtype.
        self.deferred = False
        self.host: HostSubgraph | None = None
