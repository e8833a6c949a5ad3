"""A training step as an ONNX model, from a batch and the state to losses and the next state.

Every state variable is an input with a default, which ONNX writes as an initializer of the input's name. A
program therefore passes the batch alone to the first step, and the results of the previous step later.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hornbeam import tree
from hornbeam._internal.typing import Tree
from hornbeam.core.jit import Traced
from hornbeam.export.training_step import (
    batch_names,
    batch_signature,
    check_trainable,
    shape_and_dtype,
    state_names,
    traced_step,
)
from hornbeam.export.unknown_sizes import ExportTrace, input_types
from hornbeam.ir.graph import Graph
from hornbeam.ir.node import Node
from hornbeam.onnx.writing.model import OPSET, check_size, constants, drop_unused
from hornbeam.saving.files import replace_file
from hornbeam.training.outputs import unique_names
from hornbeam.training.packing import pack_x_y_sample_weight, unpack_x_y_sample_weight

if TYPE_CHECKING:
    from hornbeam.models import Model

_DOC = """One training step of model {name!r}: forward pass, backward pass and update. Written by Hornbeam.

A run takes a batch ({batch}) and returns {logs} of that batch. The other inputs are the state: weights, the
optimizer's values, random states, rates. Their defaults are the values at the time of export: omit them in
the first run. Afterwards pass each output NAME.next as the input NAME.

import numpy as np, onnxruntime

options = onnxruntime.SessionOptions()
options.log_severity_level = 3  # hide a warning that defaults of inputs are not constants
session = onnxruntime.InferenceSession({file!r}, options)
names, state = [output.name for output in session.get_outputs()], {{}}
for batch in batches:  # dicts of arrays: {batch}
    results = dict(zip(names, session.run(None, {{**batch, **state}})))
    state = {{name[:-5]: value for name, value in results.items() if name.endswith(".next")}}
    print({{name: value for name, value in results.items() if not name.endswith(".next")}})
np.savez("state.npz", **state)  # to resume: state = dict(np.load("state.npz"))
"""


def export_onnx_step(
    model: Model,
    filepath: str | os.PathLike[str],
    input_signature: Tree = None,
    batch_size: int | None = None,
) -> Path:
    """Write a training step of a compiled model as ONNX.

    Inputs: the model's inputs, the targets ("y", of several outputs "y_<output>"), and the state: weights
    under their names ("dense/kernel", see `saving.model_parts.weight_names`), the optimizer's values
    ("optimizer/iteration", "optimizer/dense/kernel/momentum"), random states
    ("dropout/seed_generator/state"). Outputs: the logs of the step for this batch alone ("loss", metrics),
    and "<name>.next" for every state variable that the step assigns. Variables of metrics are not part of
    the state: metrics are reset in each step, and a program that wants means averages the logs.

    Args:
        model: A built and compiled model.
        filepath: The file; its name ends in ".onnx".
        input_signature: `(x, y)`, or `(x, y, sample_weight)`, structures of InputSpecs. By default the
            model's inputs, and targets with the shape of the output, or without its class axis (int64) for
            sparse losses.
        batch_size: Number of rows; None for any.

    Returns:
        The file.

    Raises:
        ValueError: For a model that is not built or compiled, for another suffix, and for a step that depends
            on the number of rows in a way that ONNX cannot express.
        ImportError: Without onnx.
    """
    target = Path(filepath)
    if target.suffix != ".onnx":
        raise ValueError(
            f'the name of a file with a training step must end in ".onnx", got {str(filepath)!r}'
        )
    proto = onnx_step(model, input_signature, batch_size, target.name)
    with replace_file(target) as file:
        file.write(proto.SerializeToString())
    return target


def onnx_step(
    model: Model, input_signature: Tree = None, batch_size: int | None = None, file: str = "step.onnx"
) -> Any:
    """Return a training step as an `onnx.ModelProto`; `file` is its name in the doc string."""
    check_trainable(model)
    batch = batch_signature(model) if input_signature is None else tuple(input_signature)
    data = pack_x_y_sample_weight(*unpack_x_y_sample_weight(batch))
    specs = [shape_and_dtype(spec, batch_size) for spec in tree.flatten(data)]
    trace = traced_step(model, data, input_types(specs))
    step = _Step(model, trace.traced, batch_names(model, batch))
    proto = step.emit(trace)
    drop_unused(proto, step.names.values())
    check_size(model, proto)
    step.describe(proto, file)
    return proto


class _Step:
    """A training step with the names of its inputs and outputs."""

    def __init__(self, model: Model, traced: Traced, batch: Sequence[str]) -> None:
        self._model = model
        self._metric_variables = {id(variable) for variable in model.metrics_variables}
        self._state_names = state_names(model)
        logs = ["/".join(map(str, path)) for path, _ in tree.flatten_with_path(traced.result)]
        state = [v for v in traced.variables if id(v) not in self._metric_variables]
        names = unique_names([*batch, *logs, *(self._state_names.get(id(v), v.path) for v in state)])
        self.batch, self.logs = names[: len(batch)], names[len(batch) : len(batch) + len(logs)]
        # By variable.
        self.names = dict(zip(map(id, state), names[len(batch) + len(logs) :], strict=True))

    def emit(self, trace: ExportTrace) -> Any:
        """Build the ONNX model, with the state as constants."""
        from hornbeam.onnx.emitter.emit import Emitter
        from hornbeam.onnx.emitter.table import MAKERS, TABLE

        traced = trace.traced
        inputs, values, count = traced.graph.inputs, traced.graph.outputs, len(traced.variables)
        state = [(v, node) for v, node in zip(traced.variables, inputs, strict=False) if id(v) in self.names]
        changed = [(v, node) for v, node in zip(traced.updated, values, strict=False) if id(v) in self.names]
        outputs = (*traced.outputs, *(node for _, node in changed))
        self._check_metrics(traced, outputs)
        arguments = inputs[count + len(traced.captured) :]
        graph = Graph((*(node for _, node in state), *trace.constants, *arguments), outputs)
        weights = [(self.names[id(v)], np.asarray(v.numpy()), v.dtype) for v, _ in state]
        after = [f"{self.names[id(v)]}.next" for v, _ in changed]
        known = constants(trace.constants, [*self.batch, *self.logs, *self.names.values(), *after])
        return Emitter(TABLE, MAKERS, opset=OPSET).model(
            graph, [*weights, *known], self.batch, [*self.logs, *after]
        )

    def _check_metrics(self, traced: Traced, outputs: Sequence[Node]) -> None:
        """Raise ValueError if a metric keeps state from one step to the next."""
        needed = {x for node in Graph(traced.graph.inputs, outputs).nodes for x in node.inputs} | set(outputs)
        for variable, node in zip(traced.variables, traced.graph.inputs, strict=False):
            if id(variable) in self._metric_variables and node in needed:
                raise ValueError(
                    f"{self._model.describe()} cannot be written as a step: reset_state() of its metrics "
                    f"does not assign {variable.path!r}"
                )

    def describe(self, proto: Any, file: str) -> None:
        """Convert the state to inputs with defaults, and document the file."""
        from hornbeam.onnx.emitter.kernels import helper

        state = set(self.names.values())
        proto.graph.input.extend(
            helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
            for tensor in proto.graph.initializer
            if tensor.name in state
        )
        outputs = [output.name for output in proto.graph.output]
        fed = {name: f"{name}.next" for name in self.names.values() if f"{name}.next" in outputs}
        batch, logs = ", ".join(self.batch), ", ".join(self.logs)
        proto.doc_string = _DOC.format(name=self._model.name, batch=batch, logs=logs, file=file)
        helper.set_model_props(
            proto, {"hornbeam.batch": json.dumps(self.batch), "hornbeam.state": json.dumps(fed)}
        )
