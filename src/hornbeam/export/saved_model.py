"""TensorFlow's SavedModel, with Keras's names."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from hornbeam import tree
from hornbeam.core.jit import Traced, trace_for
from hornbeam.core.lazy import buffer_of, evaluate
from hornbeam.core.variable import Variable
from hornbeam.engines import get_engine
from hornbeam.export.signature import signature_of
from hornbeam.ir.types import TensorType, is_float, numpy_dtype
from hornbeam.models.host import has_host_layers

__all__ = ["ExportArchive"]

# How many rows a batch of any size is computed by: in as many of the first as go into it, the rest in the
# next, and so on.
_PIECES = (64, 8, 1)


class ExportArchive:
    """What goes into a SavedModel: endpoints, which are functions on tensors, and the variables they read.

    `add_endpoint` for each function, then `write_out`. What is written has TensorFlow's operations alone and
    is loaded by `tf.saved_model.load`, TensorFlow Serving, and Keras's TFSMLayer. A graph of Hornbeam's has
    known sizes. Where the first size is None, for a batch of any size, graphs of 64, 8 and 1 rows are
    written, through which a batch goes in pieces. That is right if a row's result depends on that row alone,
    which is tried on random rows; all other sizes must be known.

    format: "saved_model". Raises ImportError without TensorFlow, with the command that installs it.
    Source: https://keras.io/api/models/model_saving_apis/export.

    >>> archive = ExportArchive()  # doctest: +SKIP
    >>> archive.track_and_add_endpoint("serve", model, [InputSpec(shape=(None, 3))])  # doctest: +SKIP
    """

    def __init__(self, format: str = "saved_model", **kwargs: Any) -> None:
        if format != "saved_model" or kwargs:
            raise ValueError(f'format must be "saved_model", got {format!r} with {kwargs}')
        engine: Any = get_engine("tensorflow")
        self._engine, self._tf = engine, engine.tf
        self._root = self._tf.__internal__.tracking.AutoTrackable()
        self._known: dict[Variable, Any] = {}
        self._endpoints: dict[str, Any] = {}
        self._collections: dict[str, list[Any]] = {}

    # -- variables -------------------------------------------------------------------------------------------

    def _held(self, variable: Variable) -> Any:
        """TensorFlow's variable in place of ours."""
        if variable not in self._known:
            value = buffer_of(variable.value.node, self._engine)
            self._known[variable] = self._tf.Variable(
                value, trainable=variable.trainable, name=variable.path.replace(" ", "_")
            )
        return self._known[variable]

    @property
    def variables(self) -> list[Any]:
        """Variables of TensorFlow's that were tracked, or that endpoints read."""
        return list(self._known.values())

    @property
    def trainable_variables(self) -> list[Any]:
        """Those that training changes."""
        return [v for v in self.variables if v.trainable]

    @property
    def non_trainable_variables(self) -> list[Any]:
        """Those that it does not."""
        return [v for v in self.variables if not v.trainable]

    def track(self, resource: Any) -> None:
        """Put all variables of a built layer or model into the artifact; those that endpoints read are there
        without it.
        """
        if not hasattr(resource, "variables") or not hasattr(resource, "built"):
            raise ValueError(f"track() takes a layer or a model, got {resource!r}")
        if not resource.built:
            raise ValueError(f"{resource.describe()} is not built: call it on data, or build(shape), first")
        for variable in resource.variables:
            self._held(variable)

    def add_variable_collection(self, name: str, variables: Sequence[Variable]) -> None:
        """Variables that the loaded artifact has as a list under `name`."""
        if not isinstance(variables, (list, tuple, set)) or not all(
            isinstance(v, Variable) for v in variables
        ):
            raise ValueError(f"{name!r} must be a list of variables, got {variables!r}")
        self._collections[name] = [self._held(v) for v in variables]

    # -- endpoints -------------------------------------------------------------------------------------------

    def add_endpoint(
        self, name: str, fn: Callable[..., Any], input_signature: Any = None, **kwargs: Any
    ) -> Any:
        """Write `fn(*arguments)` as the method and signature `name`; returns it as a `tf.function`.

        fn: on tensors; or a `tf.function` that was called, if input_signature is None, which becomes a method
        and no signature unless it has one itself. input_signature: a
        structure for each argument, of InputSpec, KerasTensor, `tf.TensorSpec` or tensors.

        Raises ValueError for a name that is taken, a size other than the first that is not known, and a
        function of which rows depend on each other or on nothing while the first size is None.
        """
        if kwargs:
            raise TypeError(f"add_endpoint has no argument {next(iter(kwargs))!r}")
        if name in self._endpoints:
            raise ValueError(f"the endpoint {name!r} is there already")
        if input_signature is None:
            if not hasattr(fn, "get_concrete_function"):
                raise ValueError(
                    f"endpoint {name!r}: give input_signature, such as [hornbeam.InputSpec(shape=(None, 3))]"
                )
            self._endpoints[name] = fn
            return fn
        specs = tree.map_structure(self._spec, list(input_signature))
        self._endpoints[name] = self._tf.function(
            self._written(name, fn, specs), input_signature=specs, autograph=False
        )
        return self._endpoints[name]

    def track_and_add_endpoint(self, name: str, resource: Any, input_signature: Any, **kwargs: Any) -> Any:
        """`track(resource)`, and an endpoint that calls it for inference."""
        self.track(resource)
        if has_host_layers(resource):
            raise ValueError(
                f"{resource.describe()} has layers for strings, which are no part of a graph: export the "
                "model behind them"
            )
        return self.add_endpoint(name, lambda *xs: resource(*xs, training=False), input_signature, **kwargs)

    def _spec(self, x: Any) -> Any:
        if isinstance(x, self._tf.TensorSpec):
            return x
        if not hasattr(x, "shape") or x.shape is None:
            raise ValueError(f"an input signature is made of InputSpecs with a shape, got {x!r}")
        shape = tuple(x.shape) if hasattr(x, "axes") or not len(x.shape) else (None, *x.shape[1:])
        name = getattr(x, "name", None)
        name = name.replace("/", "_") if isinstance(name, str) and name else None
        return self._tf.TensorSpec(shape, numpy_dtype(str(x.dtype or "float32")), name=name)

    def _written(self, name: str, fn: Callable[..., Any], specs: Any) -> Callable[..., Any]:
        """The function on TensorFlow's tensors."""
        flat = tree.flatten(specs)
        shapes = [tuple(spec.shape) for spec in flat]
        if any(None in shape[1:] for shape in shapes):
            raise ValueError(
                f"endpoint {name!r}: only the first size may be unknown, got {shapes}: give input_signature"
            )
        free = [i for i, shape in enumerate(shapes) if shape and shape[0] is None]

        def graph_for(rows: int) -> _Part:
            types = [
                TensorType((rows, *s[1:]) if i in free else s, spec.dtype.name)
                for i, (s, spec) in enumerate(zip(shapes, flat, strict=True))
            ]
            traced = trace_for(self._engine, lambda *xs: fn(*tree.pack_sequence_as(specs, xs)), types)
            return _Part(self._engine, traced, types, self._held)

        if not free:
            whole = graph_for(0)
            return lambda *args: whole.pack(whole(tree.flatten(list(args))))
        parts = [graph_for(rows) for rows in _PIECES]
        _try_rows(name, parts[0], parts[-1], free)
        return lambda *args: parts[0].pack(self._in_pieces(parts, free, tree.flatten(list(args))))

    def _in_pieces(self, parts: Sequence[_Part], free: Sequence[int], given: list[Any]) -> list[Any]:
        tf = self._tf
        rest = tf.shape(given[free[0]])[0]
        begin, found = tf.constant(0), []
        for part in parts:
            size = part.out_types[0].shape[0]
            count = rest // size
            end = begin + count * size
            cut = [tf.reshape(given[i][begin:end], (count, *part.types[i].shape)) for i in free]
            outputs = [tf.TensorSpec(t.shape, numpy_dtype(t.dtype)) for t in part.out_types]
            made = tf.map_fn(functools.partial(part.piece, given, free), cut, fn_output_signature=outputs)
            found.append([tf.reshape(y, (count * size, *y.shape[2:])) for y in made])
            begin, rest = end, rest - count * size
        return [tf.concat(column, 0) for column in zip(*found, strict=True)]

    # -- writing ---------------------------------------------------------------------------------------------

    def write_out(self, filepath: Any, options: Any = None, verbose: bool = True) -> None:
        """Write the SavedModel to the folder `filepath`. The first endpoint is "serving_default" too.

        options: a `tf.saved_model.SaveOptions`. verbose: whether to say which endpoints there are. Raises
        ValueError if there is none.
        """
        if not self._endpoints:
            raise ValueError("there are no endpoints yet: call add_endpoint()")
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


class _Part:
    """A traced function for one set of sizes, by TensorFlow's operations on TensorFlow's variables."""

    def __init__(
        self, engine: Any, traced: Traced, types: list[TensorType], held: Callable[[Variable], Any]
    ) -> None:
        evaluate(traced.captured)
        self.engine, self.traced, self.types = engine, traced, types
        self.captured = [engine.get(buffer_of(node, engine)) for node in traced.captured]
        self.weights = [held(v) for v in traced.variables]
        self.updated = [held(v) for v in traced.updated]
        self.out_types: list[Any] = [x.type for x in traced.outputs]
        self.pack = traced.pack

    def piece(self, given: Sequence[Any], free: Sequence[int], rows: Sequence[Any]) -> list[Any]:
        """The results for some rows of the arguments at `free`."""
        whole = list(given)
        for i, part in zip(free, rows, strict=True):
            whole[i] = part
        return self(whole)

    def __call__(self, arrays: Sequence[Any]) -> list[Any]:
        given = [v.read_value() for v in self.weights]
        given += map(self.engine.tf.convert_to_tensor, (*self.captured, *arrays))
        values = self.engine.inlined(self.traced.graph, given)
        for variable, value in zip(self.updated, values, strict=False):
            variable.assign(value)
        return [self.engine.tf.identity(x) for x in values[len(self.updated) :]]


def _try_rows(name: str, many: _Part, one: _Part, free: Sequence[int]) -> None:
    """Raises ValueError unless rows of random numbers give the same alone and together."""
    say = "give input_signature a batch size, then it may"
    rows = _PIECES[0]
    if many.updated:
        raise ValueError(f"endpoint {name!r} assigns variables, which it cannot do in pieces: {say}")
    if any(t.shape[:1] != (rows,) for t in many.out_types):
        results = ", ".join(map(str, many.out_types))
        raise ValueError(f"endpoint {name!r} has a result without rows, of {results}: {say}")
    rng = np.random.default_rng(0)
    given = [
        (rng.normal(size=t.shape) if is_float(t.dtype) else rng.integers(0, 2, t.shape)).astype(
            numpy_dtype(t.dtype)
        )
        for t in many.types
    ]
    whole = [np.asarray(y).astype("float64") for y in many(given)]
    for row in (0, rows // 2, rows - 1):
        alone = one.piece(given, free, [given[i][row : row + 1] for i in free])
        for y, single in zip(whole, alone, strict=True):
            near = 1e-3 * np.abs(y).max(initial=0)
            if not np.allclose(y[row], np.asarray(single)[0], rtol=1e-3, atol=near, equal_nan=True):
                raise ValueError(
                    f"endpoint {name!r}: a row's result depends on the other rows, so it cannot be computed "
                    f"in pieces: {say}"
                )


def export_saved_model(model: Any, filepath: Any, verbose: bool | None, input_signature: Any) -> None:
    """What `Model.export` does: inference of the model as the endpoint "serve"."""
    signature = signature_of(model) if input_signature is None else input_signature
    archive = ExportArchive()
    archive.track_and_add_endpoint("serve", model, signature)
    archive.write_out(filepath, verbose=verbose is not False)
