"""A training step as a graph that files hold: its batch, its trace, and the names of its state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hornbeam import tree
from hornbeam._internal.typing import Tree
from hornbeam.config import floatx
from hornbeam.core.jit import trace_function
from hornbeam.diagnostics.capture import preserve_rng_state
from hornbeam.export.signature import check_graph, signature_of
from hornbeam.export.unknown_sizes import ExportTrace, trace_for_export
from hornbeam.ir.types import TensorType
from hornbeam.layers.input_spec import InputSpec
from hornbeam.saving.model_parts import named_parts, weight_names
from hornbeam.training.check_labels import loss_axis, loss_kind
from hornbeam.training.logs import checked_logs
from hornbeam.training.outputs import Outputs
from hornbeam.training.step import with_floatx
from hornbeam.training.steps import training_state

if TYPE_CHECKING:
    from hornbeam.models import Model


def check_trainable(model: Model) -> None:
    """Raise ValueError unless a step of the model is a graph: it is compiled, and no part is Python code."""
    training_state(model).require_compiled("export")
    if model.optimizer is None:
        raise ValueError(f"{model.describe()} is compiled without an optimizer: it has no training step")
    check_graph(model)


def traced_step(model: Model, data: Any, types: list[TensorType]) -> ExportTrace:
    """Trace a training step that resets its metrics first."""

    def step(*arrays: Any) -> Any:
        model.reset_metrics()
        batch = tree.pack_sequence_as(data, list(arrays))
        return checked_logs(model.train_step(with_floatx(batch)), "train")

    with preserve_rng_state():
        trace_function(step, types)  # builds the model and the optimizer, which makes further variables
        return trace_for_export(step, types, f"a training step of {model.describe()}")


# -- names ---------------------------------------------------------------------------------------------------


def batch_names(model: Model, batch: Sequence[Any]) -> list[str]:
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


def state_names(model: Model) -> dict[int, str]:
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


def shape_and_dtype(spec: Tree, rows: int | None) -> tuple[tuple[int | None, ...], str]:
    shape = tuple(spec.shape)
    return (rows, *shape[1:]) if shape[:1] == (None,) else shape, str(spec.dtype or floatx())


def batch_signature(model: Model) -> tuple[Any, Any]:
    """Return the model's inputs, and the targets that its losses expect (None without losses)."""
    if model.built and getattr(model, "_symbolic_inputs", None) is None:
        raise ValueError(
            f"the inputs of {model.describe()} are unknown. Pass export() an input_signature (x, y), such as "
            "(hornbeam.InputSpec(shape=(None, 3)), hornbeam.InputSpec(shape=(None, 1)))."
        )
    (x,) = signature_of(model)
    losses = training_state(model).losses
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
