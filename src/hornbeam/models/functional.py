"""Functional models: `Model(inputs, outputs)`, and `Function`, their computation without training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from hornbeam import tree
from hornbeam._internal.typing import Config, ShapeTree, Tree
from hornbeam._internal.warn import warn_user
from hornbeam.core.operation import Operation
from hornbeam.core.registry import exported
from hornbeam.core.symbolic import STRING, KerasTensor
from hornbeam.core.typing import TensorLike
from hornbeam.data.frames import frame_columns, is_frame
from hornbeam.ir.types import numpy_dtype
from hornbeam.layers import Layer
from hornbeam.models.call_graph import CallGraph, GraphEnds, adjust, match_inputs, with_input_layers
from hornbeam.models.functional_config import functional_config, rebuild
from hornbeam.models.host import HostSubgraph, strings_to_array, to_numpy
from hornbeam.models.model import Model, register_functional, takes_inputs_and_outputs
from hornbeam.training.host_inputs import HostInputs
from hornbeam.training.model_call import run_as_one_node


@exported("keras.src.models.functional")
class Functional(GraphEnds, Model):
    """Model that is given by symbolic inputs and outputs: `Model(inputs, outputs)`.

    Args:
        inputs: A KerasTensor, or a list or dict of them. For an inner tensor of another model this model
            begins there, with an `Input` in its place.
        outputs: A KerasTensor, or a list or dict of them.
        name: Name of the model.
        **kwargs: Options of `Layer`, such as `trainable` and `dtype`.

    Raises:
        ValueError: If outputs depend on tensors that are not among the inputs, or two layers have one name.
    """

    layers_in_file = "first"

    casts_inputs = False

    def __init__(self, inputs: Tree, outputs: Tree, name: str | None = None, **kwargs: Any) -> None:
        trainable = kwargs.pop("trainable", True)
        Layer.__init__(self, name=name, **kwargs)
        for argument, structure in (("inputs", inputs), ("outputs", outputs)):
            for leaf in tree.flatten(structure):
                if not isinstance(leaf, KerasTensor):
                    hint = (
                        ". For layers one after the other write Sequential([...])"
                        if isinstance(leaf, Layer)
                        else ""
                    )
                    raise ValueError(
                        f"{argument} of a functional model must be symbolic tensors (Input, and the outputs "
                        f"of layers for it), got {type(leaf).__name__}{hint}"
                    )
        if len({id(x) for x in tree.flatten(inputs)}) != len(tree.flatten(inputs)):
            raise ValueError(f"model {self.name!r}: an input is listed twice")
        inputs, outputs = with_input_layers(inputs, outputs, self.name)
        self._set_graph(inputs, outputs, self.name)
        self._graph_layers = self._hb_graph.layers
        self._hb_loss_graph: CallGraph | None = None
        self._hb_host = HostSubgraph(self._hb_graph)
        self.built = True
        self.supports_masking = True
        if not trainable:
            self.trainable = False

    # -- structure ---------------------------------------------------------------------------------

    @property
    def layers(self) -> list[Layer]:
        """Layers of the graph, those farthest from the outputs first."""
        return list(self._graph_layers)

    @layers.setter
    def layers(self, value: object) -> None:
        raise AttributeError("`layers` of a model lists its layers and cannot be set: choose another name")

    @property
    def input_shape(self) -> ShapeTree:
        """Shapes of the inputs in their structure."""
        return tree.map_structure(lambda x: x.shape, self.input)

    @property
    def output_shape(self) -> ShapeTree:
        """Shapes of the outputs in their structure."""
        return tree.map_structure(lambda x: x.shape, self.output)

    @property
    def input_names(self) -> list[str]:
        """Names of the inputs."""
        return [self._hb_graph.name_of(x) for x in self.inputs]

    @property
    def output_names(self) -> list[str]:
        """Names of the outputs: those of the layers that compute them, or the keys of a dict."""
        if isinstance(self.output, dict) and len(self.output) == len(self.outputs):
            return [str(path[0]) for path, _ in tree.flatten_with_path(self.output)]
        return [self._hb_graph.name_of(x) for x in self.outputs]

    @property
    def _symbolic_inputs(self) -> Any:
        return self._hb_structure.inputs

    # -- calling -----------------------------------------------------------------------------------

    def call(self, inputs: Tree, training: bool | None = None, mask: Tree = None) -> Tree:
        """Replay the graph on values.

        Args:
            inputs: Values of the inputs: in their structure, as a list in order, or as a dict by name.
            training: Unused: the layers inside read it from the context.
            mask: Masks of the inputs, in the same order.

        Returns:
            Outputs in their structure.
        """
        if isinstance(inputs, HostInputs):
            return self._hb_structured(self._hb_host.run_compiled(inputs))
        tensors = match_inputs(inputs, self.input, self.name)
        masks = tree.flatten(mask) if mask is not None else [None] * len(tensors)
        values: dict[int, Any] = {}
        for symbol, tensor, tensor_mask in zip(self.inputs, tensors, masks, strict=True):
            value = adjust(tensor, symbol, self.name)
            if tensor_mask is not None and value is not None:
                value._keras_mask = tensor_mask
            values[id(symbol)] = value
        if self._hb_loss_graph is None:
            return self._hb_structured(self._hb_graph.run(values))
        results, count = self._hb_loss_graph.run(values), len(self.outputs)
        super().add_loss(results[count:])
        return self._hb_structured(results[:count])

    def __call__(self, *args: Any, **kwargs: Any) -> Tree:
        result = super().__call__(*args, **kwargs)
        # As in Keras a list of one output is a list for symbols, and a tensor for values.
        if isinstance(result, KerasTensor) and isinstance(self.output, (list, tuple)):
            return [result]
        return result

    def run(
        self, output_names: Sequence[str] | None, inputs: Mapping[str, TensorLike | int | float | bool]
    ) -> list[np.ndarray]:
        """Compute outputs from inputs by their names, as sessions of ONNX Runtime do.

        For inputs and outputs without an axis of samples, such as states and sampling rates of ONNX files:
        arrays go to the model as they are, in one call.

        Args:
            output_names: Names of the outputs to return; None for all, in their order.
            inputs: An array or a number for each input, by its name, of its shape; converted to its dtype.

        Returns:
            The outputs, in the order of their names.

        Raises:
            KeyError: For a name that is no input or output, and for inputs that are missing.

        Example:
            >>> x = hornbeam.Input((2,), name="x"); model = hornbeam.Model(x, 2 * x)
            >>> model.run(None, {"x": [[1.0, 2.0]]})[0].tolist()
            [[2.0, 4.0]]
        """
        # A "/" of a file is a "_" in names of layers.
        arrays_by_name = {name.replace("/", "_"): value for name, value in inputs.items()}
        wanted = self.output_names if output_names is None else [n.replace("/", "_") for n in output_names]
        for kind, names, known in (
            ("input", arrays_by_name, self.input_names),
            ("output", wanted, self.output_names),
        ):
            if wrong := [name for name in names if name not in known]:
                raise KeyError(f"{self.describe()} has no {kind} {wrong[0]!r}, it has {', '.join(known)}")
        if missing := [name for name in self.input_names if name not in arrays_by_name]:
            raise KeyError(f"{self.describe()}: the inputs {', '.join(missing)} are missing")
        arrays = [
            np.asarray(arrays_by_name[name], None if symbol.dtype == STRING else numpy_dtype(symbol.dtype))
            for name, symbol in zip(self.input_names, self.inputs, strict=True)
        ]
        outputs = run_as_one_node(self, arrays)
        if outputs is None:
            outputs = tree.flatten(self(arrays[0] if len(arrays) == 1 else arrays))
        values = dict(zip(self.output_names, outputs, strict=True))
        return [np.asarray(values[name]) for name in wanted]

    def _hb_structured(self, results: list[Any]) -> Tree:
        """Return outputs in their structure; one output in a list or a tuple without it."""
        if isinstance(self.output, (list, tuple)) and len(results) == 1:
            return results[0]
        return tree.pack_sequence_as(self.output, results)

    def add_loss(self, loss: Tree) -> None:
        """Add a loss to the one that training minimizes.

        Symbolic tensors must depend on the inputs of this model; they are computed in every call. A file of
        the model does not contain them.

        Args:
            loss: Tensor, or a structure of tensors, symbolic ones outside of `call`. A tensor that is not a
                scalar is summed.

        Raises:
            ValueError: If a symbolic tensor depends on other inputs.

        Example:
            >>> x = hornbeam.Input((3,)); y = hornbeam.layers.Dense(2)(x); model = hornbeam.Model(x, y)
            >>> model.add_loss(hornbeam.ops.mean(y**2)); model.compile("sgd")
        """
        symbols = [part for part in tree.flatten(loss) if isinstance(part, KerasTensor)]
        if not symbols:
            super().add_loss(loss)
            return
        if self._hb_host:
            raise ValueError(
                f"{self.describe()}: add_loss() of symbolic tensors is for models without strings"
            )
        earlier = self.outputs if self._hb_loss_graph is None else self._hb_loss_graph.outputs
        self._hb_loss_graph = CallGraph(self.inputs, [*earlier, *symbols], self.name)
        self._graph_layers = self._hb_loss_graph.layers
        self._hb_trainer.forget_steps()

    def _hb_inner_graph(self) -> CallGraph:
        """Return the graph of calls."""
        return self._hb_graph

    def _compiled_inputs(self) -> Any:
        return self._hb_host.boundary() if self._hb_host else self._symbolic_inputs

    def _run_host_layers(self, x: Tree) -> Any:
        if len(self.inputs) > 1 and is_frame(x):  # each input is a column
            columns = frame_columns(x)
            match_inputs(columns, self.input, self.name)
            x = {symbol.name: columns[symbol.name] for symbol in self.inputs if symbol.name in columns}
        if not self._hb_host or isinstance(x, HostInputs):
            return x
        values = match_inputs(strings_to_array(x), self.input, self.name)
        pairs = zip(values, self.inputs, strict=True)
        return self._hb_host.run([to_numpy(adjust(value, symbol, self.name)) for value, symbol in pairs])

    def compute_mask(self, inputs: Tree, previous_mask: Tree) -> None:
        """Return None: the layers inside have put masks on the outputs.

        Args:
            inputs: Unused.
            previous_mask: Unused.
        """
        return None

    # -- config ------------------------------------------------------------------------------------

    def get_config(self) -> Config:
        """Return layers, their connections, inputs and outputs, in Keras 3's format."""
        if not takes_inputs_and_outputs(type(self)):  # a subclass that builds its graph in __init__
            return super().get_config()
        if self._hb_loss_graph is not None:
            warn_user(
                f"{self.describe()}: the losses that add_loss() added to its symbolic tensors are not saved. "
                "Add them again to the loaded model before training it"
            )
        return functional_config(self)

    def get_build_config(self) -> Config:
        """Return a config without a shape: the graph builds a functional model."""
        return {"input_shape": None}

    def build_from_config(self, config: Config) -> None:
        """Do nothing: the graph builds a functional model.

        Args:
            config: Unused.
        """


# -- hooks of Model --------------------------------------------------------------------------------


_variants: dict[type, type] = {}


def _functional_class(cls: type) -> type:
    """Return the class of the functional model that `cls(inputs, outputs)` becomes."""
    if cls is Model:
        return Functional
    if issubclass(cls, Functional):
        return cls
    if cls not in _variants:
        _variants[cls] = type(
            cls.__name__, (cls, Functional), {"_plain_class": cls, "__module__": cls.__module__}
        )
    return _variants[cls]


def _functional_from_config(cls: type, config: Config) -> Any:
    """Build the functional model of class `cls` that a config describes."""
    inputs, outputs, options = rebuild(config)
    constructor: Callable[..., Any] = Functional if cls in (Model, Functional) else cls
    model = constructor(inputs=inputs, outputs=outputs, name=config.get("name"), **options)
    if not config.get("trainable", True):
        model.trainable = False
    return model


register_functional(Functional, _functional_class, _functional_from_config)


# -- functions -------------------------------------------------------------------------------------


@exported("keras")
class Function(GraphEnds, Operation):
    """Computation between symbolic inputs and outputs as a function; a model without training.

    Args:
        inputs: A KerasTensor, or a list or dict of them.
        outputs: A KerasTensor, or a list or dict of them.
        name: Name of the operation.

    Raises:
        ValueError: If there are no outputs.

    Example:
        >>> x = hornbeam.Input((3,)); f = Function(x, hornbeam.ops.sum(x, axis=1))
        >>> f(np.array([[1.0, 2.0, 3.0]])).tolist()
        [6.0]
    """

    def __init__(self, inputs: Tree, outputs: Tree, name: str | None = None) -> None:
        super().__init__(name)
        if not tree.flatten(outputs):
            raise ValueError(f"{self.name}: a Function needs at least one output, got outputs={outputs!r}")
        self._set_graph(inputs, outputs, self.name)

    def call(self, inputs: Tree) -> Tree:
        """Compute the outputs.

        Args:
            inputs: Values of the inputs: in their structure, as a list in order, or as a dict by name.

        Returns:
            Outputs in their structure.
        """
        tensors = match_inputs(inputs, self.input, self.name)
        values = {id(s): adjust(t, s, self.name) for s, t in zip(self._hb_graph.inputs, tensors, strict=True)}
        return tree.pack_sequence_as(self.output, self._hb_graph.run(values))

    def compute_output_shape(self, input_shape: Tree) -> Tree:
        """Compute the shapes of the outputs.

        Args:
            input_shape: Shape of the input, or a list or dict of shapes for several inputs.

        Returns:
            Shapes in the structure of the outputs.
        """
        shapes = input_shape if isinstance(self.input, (list, tuple, dict)) else [input_shape]
        shapes = list(shapes.values()) if isinstance(shapes, dict) else list(shapes)
        symbols = [KerasTensor(s, x.dtype) for s, x in zip(shapes, self.inputs, strict=True)]
        outputs = self.compute_output_spec(tree.pack_sequence_as(self.input, symbols))
        return tree.map_structure(lambda x: x.shape, outputs)

    def get_config(self) -> Config:
        """Raise NotImplementedError: a `Model` of the same inputs and outputs has a config."""
        raise NotImplementedError("a Function has no config: make a Model of its inputs and outputs")


__all__ = ["CallGraph", "Function", "Functional"]
