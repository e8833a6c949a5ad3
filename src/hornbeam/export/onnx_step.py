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
from hornbeam.config import floatx
from hornbeam.core.jit import Traced, trace_function
from hornbeam.diagnostics.capture import preserve_rng_state
from hornbeam.export.onnx import OPSET, check_size, constants, drop_unused
from hornbeam.export.signature import check_graph, signature_of
from hornbeam.export.unknown_sizes import ExportTrace, input_types, trace_for_export
from hornbeam.ir.graph import Graph
from hornbeam.ir.node import Node
from hornbeam.ir.types import TensorType
from hornbeam.layers.input_spec import InputSpec
from hornbeam.saving.files import replace_file
from hornbeam.saving.model_parts import named_parts, weight_names
from hornbeam.training.check_labels import loss_axis, loss_kind
from hornbeam.training.loop import checked_logs
from hornbeam.training.outputs import Outputs, unique_names
from hornbeam.training.packing import pack_x_y_sample_weight, unpack_x_y_sample_weight
from hornbeam.training.step import with_floatx

if TYPE_CHECKING:
    from hornbeam._internal.typing import Tree
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
    model._require_compiled("export")
    if model.optimizer is None:
        raise ValueError(f"{model.describe()} is compiled without an optimizer: it has no training step")
    check_graph(model)
    batch = _signature(model) if input_signature is None else tuple(input_signature)
    data = pack_x_y_sample_weight(*unpack_x_y_sample_weight(batch))
    specs = [_shape_and_dtype(spec, batch_size) for spec in tree.flatten(data)]
    trace = _traced(model, data, input_types(specs))
    step = _Step(model, trace.traced, _batch_names(model, batch))
    proto = step.emit(trace)
    drop_unused(proto, step.names.values())
    check_size(model, proto)
    step.describe(proto, file)
    return proto


def _traced(model: Model, data: Any, types: list[TensorType]) -> ExportTrace:
    """Trace a training step that resets its metrics first."""

    def step(*arrays: Any) -> Any:
        model.reset_metrics()
        batch = tree.pack_sequence_as(data, list(arrays))
        return checked_logs(model.train_step(with_floatx(batch)), "train")

    with preserve_rng_state():
        trace_function(step, types)  # builds the model and the optimizer, which makes further variables
        return trace_for_export(step, types, f"a training step of {model.describe()}")


class _Step:
    """A training step with the names of its inputs and outputs."""

    def __init__(self, model: Model, traced: Traced, batch: Sequence[str]) -> None:
        self._model = model
        self._metric_variables = {id(variable) for variable in model.metrics_variables}
        self._state_names = _state_names(model)
        logs = ["/".join(map(str, path)) for path, _ in tree.flatten_with_path(traced.result)]
        state = [v for v in traced.variables if id(v) not in self._metric_variables]
        names = unique_names([*batch, *logs, *(self._state_names.get(id(v), v.path) for v in state)])
        self.batch, self.logs = names[: len(batch)], names[len(batch) : len(batch) + len(logs)]
        # By variable.
        self.names = dict(zip(map(id, state), names[len(batch) + len(logs) :], strict=True))

    def emit(self, trace: ExportTrace) -> Any:
        """Build the ONNX model, with the state as constants."""
        from hornbeam.engines.onnx.emit import Emitter
        from hornbeam.engines.onnx.table import MAKERS, TABLE

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
        from hornbeam.engines.onnx.kernels import helper

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


# -- names ---------------------------------------------------------------------------------------------------


def _batch_names(model: Model, batch: Sequence[Any]) -> list[str]:
    """Return names for the arrays of (x, y, sample_weight)."""
    names = []
    for kind, structure in zip(("x", "y", "sample_weight"), batch, strict=False):
        paths = [path for path, leaf in tree.flatten_with_path(structure) if leaf is not None]
        input_names = getattr(model, "input_names", None) if kind == "x" else None
        if input_names is not None and len(input_names) == len(paths):
            names += input_names
        else:
            names += ["_".join([kind, *map(str, path)]) for path in paths]
    return names


def _state_names(model: Model) -> dict[int, str]:
    """Return names of a model's variables by `id`: weights as in files, and slots of the optimizer."""
    weights = {id(variable): name for name, variable in weight_names(model)}
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    slots = {
        id(slot_variable): f"optimizer/{weights.get(id(variable), variable.path)}/{slot}"
        for slot, column in optimizer._slots.items()
        for variable, slot_variable in column.items()
    }
    others = {
        id(variable): f"{path}/{variable.name.removeprefix('seed_generator_')}"
        for path, part in named_parts(model)
        if part.layer is None
        for variable in part.variables
    }
    return {**others, **weights, **slots}


# -- shapes --------------------------------------------------------------------------------------------------


def _shape_and_dtype(spec: Tree, rows: int | None) -> tuple[tuple[int | None, ...], str]:
    shape = tuple(spec.shape)
    return (rows, *shape[1:]) if shape[:1] == (None,) else shape, str(spec.dtype or floatx())


def _signature(model: Model) -> tuple[Any, Any]:
    """Return the model's inputs, and the targets that its losses expect (None without losses)."""
    if model.built and getattr(model, "_symbolic_inputs", None) is None:
        raise ValueError(
            f"the inputs of {model.describe()} are unknown. Pass export() an input_signature (x, y), such as "
            "(hornbeam.InputSpec(shape=(None, 3)), hornbeam.InputSpec(shape=(None, 1)))."
        )
    (x,) = signature_of(model)
    losses = model._training_state.losses
    assert losses is not None
    if losses.spec is None:
        return x, None
    outputs = Outputs(model.output, model.output_names)
    losses.build(outputs)
    targets = {
        name: _target(loss, output)
        for name, loss, output in zip(outputs.names, losses.by_output, outputs.tensors, strict=True)
        if loss is not None
    }
    return x, next(iter(targets.values())) if outputs.single else targets


def _target(loss: Any, output: Any) -> InputSpec:
    """Return the InputSpec of the targets of a loss for an output."""
    shape = list(output.shape)
    if loss_kind(loss) != "sparse":
        return InputSpec(shape=shape, dtype=floatx())
    del shape[loss_axis(loss)]
    return InputSpec(shape=shape, dtype="int64")
