"""TensorFlow's SavedModel, with Keras's names."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hornbeam import tree
from hornbeam.core.jit import Traced, trace_for
from hornbeam.core.lazy import buffer_of, evaluate
from hornbeam.core.variable import Variable
from hornbeam.engines import get_engine
from hornbeam.export.signature import signature_of
from hornbeam.ir.complex_pairs import lower
from hornbeam.ir.types import TensorType, is_float, numpy_dtype
from hornbeam.models.host import has_host_layers

if TYPE_CHECKING:
    from hornbeam._internal.typing import Tree
    from hornbeam.layers import Layer
    from hornbeam.models import Model

__all__ = ["ExportArchive"]

# A batch of any size is computed in chunks of these numbers of rows, largest first.
_CHUNKS = (64, 8, 1)


class ExportArchive:
    """Writer of a SavedModel, from endpoints (functions on tensors) and variables.

    Call `add_endpoint` for each function, then `write_out`. The artifact consists of TensorFlow operations
    alone and is loaded by `tf.saved_model.load`, TensorFlow Serving, and Keras's TFSMLayer. Graphs of
    Hornbeam have static shapes. If the first size is None, for batches of any size, graphs of 64, 8 and 1
    rows are written, and a batch is computed in such chunks. That is correct if a row's result depends on
    that row alone, which is checked on random rows; all other sizes must be known.

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
            ValueError: For a name in use, for an unknown size other than the first, and, if the first size is
                None, for a function whose rows depend on each other or that has results without rows.
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
        shapes = [tuple(spec.shape) for spec in flat]
        if any(None in shape[1:] for shape in shapes):
            raise ValueError(
                f"endpoint {name!r}: only the first size may be unknown, got {shapes}. Pass input_signature."
            )
        free = [i for i, shape in enumerate(shapes) if shape and shape[0] is None]

        def traced_for(rows: int) -> _Traced:
            types = [
                TensorType((rows, *s[1:]) if i in free else s, spec.dtype.name)
                for i, (s, spec) in enumerate(zip(shapes, flat, strict=True))
            ]
            traced = trace_for(self._engine, lambda *xs: fn(*tree.pack_sequence_as(specs, xs)), types)
            return _Traced(self._engine, traced, types, self._tf_variable)

        if not free:
            function = traced_for(0)
            return lambda *args: function.pack(function(tree.flatten(list(args))))
        functions = [traced_for(rows) for rows in _CHUNKS]
        _check_rows(name, functions[0], functions[-1], free)
        return lambda *args: functions[0].pack(self._in_chunks(functions, free, tree.flatten(list(args))))

    def _in_chunks(self, functions: Sequence[_Traced], free: Sequence[int], args: list[Any]) -> list[Any]:
        """Compute a batch of any size in chunks of fixed sizes."""
        tf = self._tf
        rest = tf.shape(args[free[0]])[0]
        begin, columns = tf.constant(0), []
        for function in functions:
            size = function.out_types[0].shape[0]
            count = rest // size
            end = begin + count * size
            chunks = [tf.reshape(args[i][begin:end], (count, *function.types[i].shape)) for i in free]
            specs = [tf.TensorSpec(t.shape, numpy_dtype(t.dtype)) for t in function.out_types]
            results = tf.map_fn(
                functools.partial(function.chunk, args, free), chunks, fn_output_signature=specs
            )
            columns.append([tf.reshape(y, (count * size, *y.shape[2:])) for y in results])
            begin, rest = end, rest - count * size
        return [tf.concat(column, 0) for column in zip(*columns, strict=True)]

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


class _Traced:
    """A traced function for one set of shapes, on TensorFlow variables and tensors."""

    def __init__(
        self, engine: Any, traced: Traced, types: list[TensorType], tf_variable: Callable[[Variable], Any]
    ) -> None:
        evaluate(traced.captured)
        self.engine, self.traced, self.types = engine, traced, types
        self.captured = [engine.get(buffer_of(node, engine)) for node in traced.captured]
        self.weights = [tf_variable(v) for v in traced.variables]
        self.updated = [tf_variable(v) for v in traced.updated]
        self.out_types: list[Any] = [x.type for x in traced.outputs]
        self.pack = traced.pack

    def chunk(self, args: Sequence[Any], free: Sequence[int], rows: Sequence[Any]) -> list[Any]:
        """Compute the results, with the arguments at `free` replaced by `rows`."""
        chunk = list(args)
        for i, x in zip(free, rows, strict=True):
            chunk[i] = x
        return self(chunk)

    def __call__(self, arrays: Sequence[Any]) -> list[Any]:
        inputs = [v.read_value() for v in self.weights]
        inputs += map(self.engine.tf.convert_to_tensor, (*self.captured, *arrays))
        values = self.engine.inlined(lower(self.traced.graph), inputs)
        for variable, value in zip(self.updated, values, strict=False):
            variable.assign(value)
        return [self.engine.tf.identity(x) for x in values[len(self.updated) :]]


def _check_rows(name: str, batch_function: _Traced, row_function: _Traced, free: Sequence[int]) -> None:
    """Raise ValueError unless random rows have the same results alone as together."""
    fix = "Fix the batch size in input_signature to allow it."
    rows = _CHUNKS[0]
    if batch_function.updated:
        raise ValueError(f"endpoint {name!r} assigns variables, which is not possible in chunks. {fix}")
    if any(t.shape[:1] != (rows,) for t in batch_function.out_types):
        results = ", ".join(map(str, batch_function.out_types))
        raise ValueError(f"endpoint {name!r} has a result without rows, of {results}. {fix}")
    rng = np.random.default_rng(0)
    args = [
        (rng.normal(size=t.shape) if is_float(t.dtype) else rng.integers(0, 2, t.shape)).astype(
            numpy_dtype(t.dtype)
        )
        for t in batch_function.types
    ]
    together = [np.asarray(y).astype("float64") for y in batch_function(args)]
    for row in (0, rows // 2, rows - 1):
        alone = row_function.chunk(args, free, [args[i][row : row + 1] for i in free])
        for y, single in zip(together, alone, strict=True):
            near = 1e-3 * np.abs(y).max(initial=0)
            if not np.allclose(y[row], np.asarray(single)[0], rtol=1e-3, atol=near, equal_nan=True):
                raise ValueError(
                    f"endpoint {name!r}: a row's result depends on other rows, so it cannot be computed in "
                    f"chunks. {fix}"
                )


def export_saved_model(
    model: Model, filepath: str | os.PathLike[str], verbose: bool | None, input_signature: Tree
) -> None:
    """Write the inference of a model as the endpoint "serve" of a SavedModel."""
    signature = signature_of(model) if input_signature is None else input_signature
    archive = ExportArchive()
    archive.track_and_add_endpoint("serve", model, signature)
    archive.write_out(filepath, verbose=verbose is not False)
