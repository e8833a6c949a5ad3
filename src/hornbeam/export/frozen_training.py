"""Training in frozen models: a step of `fit`, one of `evaluate`, and the values with which they begin.

The state (weights, values of the optimizer, random states, sums of metrics) is among the inputs of a step,
and its new values are outputs "<name>.next". A program passes them from one run to the next.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hornbeam import ops, tree
from hornbeam._internal.typing import Tree
from hornbeam.config import floatx
from hornbeam.core.jit import trace_function
from hornbeam.core.registry import find_exported
from hornbeam.core.scopes import StatelessScope
from hornbeam.core.variable import Variable
from hornbeam.diagnostics.capture import preserve_rng_state
from hornbeam.export.frozen import FrozenArchive
from hornbeam.export.signature import outside_dtype
from hornbeam.export.training_step import (
    batch_names,
    batch_signature,
    check_trainable,
    shape_and_dtype,
    state_names,
)
from hornbeam.export.unknown_sizes import ExportTrace, input_types, refuse_updates, trace_for_export
from hornbeam.saving.files import replace_file
from hornbeam.training.logs import checked_logs
from hornbeam.training.outputs import unique_names
from hornbeam.training.packing import pack_x_y_sample_weight, unpack_x_y_sample_weight
from hornbeam.training.step import with_floatx
from hornbeam.training.trainable_at_compile import trainable_as_compiled

if TYPE_CHECKING:
    from hornbeam.models import Model


def export_frozen_training(
    model: Model,
    filepath: str | os.PathLike[str],
    input_signature: Tree = None,
    batch_size: int | None = None,
    labels: Sequence[str] | None = None,
    preprocessing: Mapping[str, Any] | None = None,
) -> Path:
    """Write inference and training of a compiled model as a frozen model.

    Args:
        model: A built and compiled model.
        filepath: The file.
        input_signature: `(x, y)`, or `(x, y, sample_weight)`, structures of InputSpecs; by default as for
            `export_onnx_step`.
        batch_size: Rows of a batch, None for any number.
        labels: As for `export_frozen`.
        preprocessing: As for `export_frozen`.

    Returns:
        The file.

    Raises:
        ValueError: As for `export_frozen`, and for a model whose training step is not a graph.
    """
    check_trainable(model)
    training = FrozenTraining(model, input_signature or batch_signature(model), batch_size)
    archive = FrozenArchive(model)
    archive.add_predict()
    metadata = archive.metadata(labels, preprocessing)
    metadata["training"] = training.add_to(archive)
    target = Path(filepath)
    with replace_file(target) as file:
        file.write(archive.to_bytes(metadata))
    return target


class FrozenTraining:
    """The training of a compiled model, to be added to an archive.

    Signatures: "train" and "evaluate", from a batch and the state to logs and the new state; "state" and
    "initial_state", without inputs: the state at the time of export, and one with new weights.

    Args:
        model: The model. It stays as it is, but for its optimizer, which is built.
        batch: `(x, y)` or `(x, y, sample_weight)`: structures of InputSpecs.
        batch_size: Rows of a batch, None for any number.

    Raises:
        ValueError: For a model without a training step that is a graph.
    """

    def __init__(self, model: Model, batch: Tree, batch_size: int | None = None) -> None:
        check_trainable(model)
        self.model = model
        self._data = pack_x_y_sample_weight(*unpack_x_y_sample_weight(batch))
        self._names = batch_names(model, batch)
        self._types = input_types([shape_and_dtype(spec, batch_size) for spec in tree.flatten(self._data)])
        with preserve_rng_state(), trainable_as_compiled(model):
            self._train = self._traced(model.train_step, "train")
            self._evaluate = self._traced(model.test_step, "test")
        metrics = list(model.metrics_variables)
        summed = set(metrics)
        read = [v for trace in (self._train, self._evaluate) for v in trace.traced.variables]
        kept = [v for v in dict.fromkeys([*model.weights, *read]) if v not in summed]
        known = state_names(model)
        names = [*(known.get(id(v), v.path) for v in kept), *(f"metrics/{v.path}" for v in metrics)]
        unique = unique_names([*self._names, *names])[len(self._names) :]
        self.state: dict[str, Variable] = dict(zip(unique, [*kept, *metrics], strict=True))
        self.metrics = unique[len(kept) :]

    def _traced(self, method: Callable[[Any], Any], mode: str) -> ExportTrace:
        def step(*arrays: Any) -> Any:
            batch = tree.pack_sequence_as(self._data, list(arrays))
            return checked_logs(method(with_floatx(batch)), mode)

        trace_function(step, self._types)  # builds the model and the optimizer, which makes further variables
        return trace_for_export(step, self._types, f"{mode}_step of {self.model.describe()}")

    def add_to(self, archive: FrozenArchive) -> dict[str, Any]:
        """Add the signatures. Return what a program must know: names of the batch and of sums of metrics."""
        read = {*self._evaluate.traced.variables}
        evaluated = {name: v for name, v in self.state.items() if v in read}
        for name, trace, state in (
            ("train", self._train, self.state),
            ("evaluate", self._evaluate, evaluated),
        ):
            logs = ["/".join(map(str, path)) for path, _ in tree.flatten_with_path(trace.traced.result)]
            archive.add_step(name, trace, self._names, logs, state)
        values = {name: np.asarray(v.numpy()) for name, v in self.state.items()} | self._reset_metrics()
        archive.add_values("state", values)
        archive.add_values("initial_state", values | self._initial_weights())
        return {"batch": self._names, "metrics": self.metrics}

    def add_inference(
        self,
        archive: FrozenArchive,
        signature: str,
        function: Callable[..., Any],
        names: Sequence[str],
        results: Sequence[str],
    ) -> None:
        """Add a function of the model's inputs that takes the weights from the state.

        Args:
            archive: The archive.
            signature: Name of the signature.
            function: The function, whose result is a tensor or a list of them.
            names: Names of the inputs.
            results: Names of the results.
        """
        dtypes = [str(spec.dtype or floatx()) for spec in self.model.inputs]
        specs = [(s.shape, outside_dtype(d)) for s, d in zip(self.model.inputs, dtypes, strict=True)]

        def call(*xs: Any) -> list[Any]:
            outputs = tree.flatten(function(*map(ops.cast, xs, dtypes)))
            return [ops.cast(y, outside_dtype(y.dtype)) for y in outputs]

        trace = trace_for_export(call, input_types(specs), f"{self.model.describe()}, {signature}")
        refuse_updates(self.model, trace.traced, "a page that trains")
        read = set(trace.traced.variables)
        state = {name: v for name, v in self.state.items() if v in read}
        archive.add_step(signature, trace, names, results, state)

    def _reset_metrics(self) -> dict[str, np.ndarray]:
        with StatelessScope() as scope:
            self.model.reset_metrics()
        return {name: np.asarray(scope.get_current_value(self.state[name])) for name in self.metrics}

    def _initial_weights(self) -> dict[str, np.ndarray]:
        """Return values of a copy of the model that was not trained."""
        with preserve_rng_state():
            copy = find_exported("keras.models", "clone_model")(self.model)
            copy.optimizer.build(copy.trainable_variables)
        names = state_names(copy)
        variables = [*copy.weights, *copy.optimizer.variables]
        return {names[id(v)]: np.asarray(v.numpy()) for v in variables if names.get(id(v), "") in self.state}
