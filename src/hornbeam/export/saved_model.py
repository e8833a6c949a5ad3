"""TensorFlow's SavedModel, with Keras's names."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from hornbeam import tree
from hornbeam._internal.typing import Tree
from hornbeam.core.lazy import buffer_of, evaluate
from hornbeam.core.variable import Variable
from hornbeam.engines import get_engine
from hornbeam.export.patterns.walk import Walk
from hornbeam.export.signature import signature_of
from hornbeam.export.tensorflow_rules import RULES
from hornbeam.export.unknown_sizes import input_types, trace_for_export
from hornbeam.ir.complex_pairs import lower
from hornbeam.ir.trace import expanded
from hornbeam.ir.types import numpy_dtype
from hornbeam.layers.host_checks import noted_indices
from hornbeam.models.host import has_host_layers

if TYPE_CHECKING:
    from hornbeam.layers import Layer
    from hornbeam.models import Model

__all__ = ["ExportArchive"]


class ExportArchive:
    """Writer of a SavedModel, from endpoints (functions on tensors) and variables.

    Call `add_endpoint` for each function, then `write_out`. The artifact consists of TensorFlow operations
    alone and is loaded by `tf.saved_model.load`, TensorFlow Serving, and Keras's TFSMLayer. Sizes of inputs
    that are None stay unknown; the first size of all inputs is the same.

    Args:
        format: "saved_model".
        **kwargs: Not supported; a ValueError is raised.

    Raises:
        ImportError: If TensorFlow is not installed; the message has the command that installs it.

    References:
        https://keras.io/api/models/model_saving_apis/export

    >>> archive = ExportArchive()  # doctest: +SKIP
    >>> archive.track_and_add_endpoint("serve", model, [InputSpec(shape=(None, 3))])  # doctest: +SKIP
    """

    def __init__(self, format: str = "saved_model", **kwargs: Any) -> None:
        if format != "saved_model" or kwargs:
            raise ValueError(f'format must be "saved_model", got {format!r} with {kwargs}')
        engine: Any = get_engine("tensorflow")
        self._engine, self._tf = engine, engine.tf
        from hornbeam.export.tensorflow_operators import file_library

        self._library = file_library(engine)
        self._root = self._tf.__internal__.tracking.AutoTrackable()
        self._tf_variables: dict[Variable, Any] = {}
        self._endpoints: dict[str, Any] = {}
        self._collections: dict[str, list[Any]] = {}

    # -- variables -------------------------------------------------------------------------------------------

    def _tf_variable(self, variable: Variable) -> Any:
        """Return the TensorFlow variable of a Hornbeam variable, created on first use."""
        if variable not in self._tf_variables:
            value = buffer_of(variable.value.node, self._engine)
            self._tf_variables[variable] = self._tf.Variable(
                value, trainable=variable.trainable, name=variable.path.replace(" ", "_")
            )
        return self._tf_variables[variable]

    @property
    def variables(self) -> list[Any]:
        """TensorFlow variables that were tracked, or that endpoints read."""
        return list(self._tf_variables.values())

    @property
    def trainable_variables(self) -> list[Any]:
        """Variables that training changes."""
        return [v for v in self.variables if v.trainable]

    @property
    def non_trainable_variables(self) -> list[Any]:
        """Variables that training does not change."""
        return [v for v in self.variables if not v.trainable]

    def track(self, resource: Layer) -> None:
        """Add all variables of a layer or model to the artifact; those that endpoints read are added anyway.

        Args:
            resource: A built layer or model.

        Raises:
            ValueError: For other objects, or one that is not built.
        """
        if not hasattr(resource, "variables") or not hasattr(resource, "built"):
            raise ValueError(f"track() takes a layer or a model, got {resource!r}")
        if not resource.built:
            raise ValueError(f"{resource.describe()} is not built: call it on data, or build(shape), first")
        for variable in resource.variables:
            self._tf_variable(variable)

    def add_variable_collection(self, name: str, variables: Sequence[Variable]) -> None:
        """Add variables as a list attribute of the loaded artifact.

        Args:
            name: Name of the attribute.
            variables: List of variables.

        Raises:
            ValueError: If `variables` is not a list of variables.
        """
        if not isinstance(variables, (list, tuple, set)) or not all(
            isinstance(v, Variable) for v in variables
        ):
            raise ValueError(f"{name!r} must be a list of variables, got {variables!r}")
        self._collections[name] = [self._tf_variable(v) for v in variables]

    # -- endpoints -------------------------------------------------------------------------------------------

    def add_endpoint(
        self, name: str, fn: Callable[..., Any], input_signature: Tree = None, **kwargs: Any
    ) -> Callable[..., Any]:
        """Add a function as a method and signature of the artifact.

        Args:
            name: Name of the method and signature.
            fn: Function on tensors. If `input_signature` is None, a `tf.function` that was called; it becomes
                a method, and a signature only if it has one itself.
            input_signature: A structure for each argument, of InputSpec, KerasTensor, `tf.TensorSpec` or
                tensors.
            **kwargs: Not supported; a TypeError is raised.

        Returns:
            The endpoint as a `tf.function`.

        Raises:
            ValueError: For a name in use, and for a function that computes something else for small sizes
                than for large ones.
        """
        if kwargs:
            raise TypeError(f"add_endpoint has no argument {next(iter(kwargs))!r}")
        if name in self._endpoints:
            raise ValueError(f"the endpoint {name!r} already exists")
        if input_signature is None:
            if not hasattr(fn, "get_concrete_function"):
                raise ValueError(
                    f"endpoint {name!r} needs input_signature, such as [hornbeam.InputSpec(shape=(None, 3))]"
                )
            self._endpoints[name] = fn
            return fn
        specs = tree.map_structure(self._spec, list(input_signature))
        self._endpoints[name] = self._tf.function(
            self._on_tf_tensors(name, fn, specs), input_signature=specs, autograph=False
        )
        return self._endpoints[name]

    def track_and_add_endpoint(
        self, name: str, resource: Layer, input_signature: Tree, **kwargs: Any
    ) -> Callable[..., Any]:
        """Track a layer or model, and add an endpoint that calls it for inference.

        Args:
            name: Name of the endpoint.
            resource: A built layer or model.
            input_signature: A structure for each argument, see `add_endpoint`.
            **kwargs: Not supported; a TypeError is raised.

        Returns:
            The endpoint as a `tf.function`.

        Raises:
            ValueError: As `track` and `add_endpoint`, and for layers for strings.
        """
        self.track(resource)
        if has_host_layers(resource):
            raise ValueError(
                f"{resource.describe()} has layers for strings, which are not part of a graph. Export the "
                "part of the model after them."
            )
        return self.add_endpoint(name, lambda *xs: resource(*xs, training=False), input_signature, **kwargs)

    def _spec(self, x: Tree) -> Any:
        if isinstance(x, self._tf.TensorSpec):
            return x
        if not hasattr(x, "shape") or x.shape is None:
            raise ValueError(f"input_signature must consist of InputSpecs with a shape, got {x!r}")
        shape = tuple(x.shape) if hasattr(x, "axes") or not len(x.shape) else (None, *x.shape[1:])
        name = getattr(x, "name", None)
        name = name.replace("/", "_") if isinstance(name, str) and name else None
        return self._tf.TensorSpec(shape, numpy_dtype(str(x.dtype or "float32")), name=name)

    def _on_tf_tensors(self, name: str, fn: Callable[..., Any], specs: Any) -> Callable[..., Any]:
        """Convert a function to one on TensorFlow tensors."""
        flat = tree.flatten(specs)
        types = input_types([(tuple(spec.shape), spec.dtype.name) for spec in flat])
        with noted_indices(are_checked=True):  # gather of TensorFlow refuses indices out of range
            trace = trace_for_export(
                lambda *xs: fn(*tree.pack_sequence_as(specs, xs)), types, f"endpoint {name!r}"
            )
        evaluate(trace.constants)
        constants = [self._engine.get(buffer_of(node, self._engine)) for node in trace.constants]
        traced = trace.traced
        weights = [self._tf_variable(v) for v in traced.variables]
        updated = [self._tf_variable(v) for v in traced.updated]
        graph = expanded(lower(trace.graph), lambda node: node.name == "custom_gradient")
        count = len(weights)
        arrays = dict(zip(graph.inputs[count:], constants, strict=False))

        def computed(*args: Any) -> Any:
            tf, library = self._tf, self._library
            walk = Walk(library, RULES)
            reads = []
            for variable, weight in zip(traced.variables, weights, strict=True):
                with library.named(variable.path):
                    reads.append(weight.value())
            inputs = [*reads, *map(tf.convert_to_tensor, (*constants, *tree.flatten(list(args))))]
            values = walk(graph, inputs, arrays, graph.inputs[:count])
            for variable, value in zip(updated, values, strict=False):
                variable.assign(value)
            return traced.pack([tf.identity(x) for x in values[len(updated) :]])

        return computed

    # -- writing ---------------------------------------------------------------------------------------------

    def write_out(
        self, filepath: str | os.PathLike[str], options: object = None, verbose: bool = True
    ) -> None:
        """Write the SavedModel. The first endpoint is "serving_default" too.

        Args:
            filepath: The folder.
            options: A `tf.saved_model.SaveOptions`.
            verbose: True to print the names of the endpoints.

        Raises:
            ValueError: If no endpoint was added.
        """
        if not self._endpoints:
            raise ValueError("no endpoint was added. Call add_endpoint() first.")
        for name, value in {**self._endpoints, **self._collections}.items():
            setattr(self._root, name, value)
        for name in ("variables", "trainable_variables", "non_trainable_variables"):
            setattr(self._root, name, getattr(self, name))
        signatures = {k: f for k, f in self._endpoints.items() if f.input_signature is not None}
        if signatures:
            signatures.setdefault("serving_default", next(iter(signatures.values())))
        self._tf.saved_model.save(self._root, str(filepath), signatures=signatures, options=options)
        if verbose:
            print(f"Saved to {filepath}, with the endpoints {', '.join(self._endpoints)}")


def export_saved_model(
    model: Model, filepath: str | os.PathLike[str], verbose: bool | None, input_signature: Tree
) -> None:
    """Write the inference of a model as the endpoint "serve" of a SavedModel."""
    signature = signature_of(model) if input_signature is None else input_signature
    archive = ExportArchive()
    archive.track_and_add_endpoint("serve", model, signature)
    archive.write_out(filepath, verbose=verbose is not False)
