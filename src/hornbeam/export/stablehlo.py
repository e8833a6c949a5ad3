"""A model's inference as StableHLO, the input language of XLA, through JAX."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hornbeam import tree
from hornbeam._internal.extras import install_command
from hornbeam._internal.typing import Tree
from hornbeam.core.lazy import buffer_of, evaluate
from hornbeam.engines import get_engine
from hornbeam.export.jax_rules import RULES
from hornbeam.export.patterns.walk import Walk
from hornbeam.export.signature import signature_of
from hornbeam.export.unknown_sizes import input_types, refuse_updates, trace_for_export
from hornbeam.ir.complex_pairs import lower
from hornbeam.ir.sizes import Assumptions, evaluated, symbols_of, text_of
from hornbeam.ir.trace import expanded
from hornbeam.ir.types import TensorType, numpy_dtype
from hornbeam.saving.files import replace_file
from hornbeam.training.inference_plan import fold_scales

if TYPE_CHECKING:
    from hornbeam.models import Model


def export_stablehlo(model: Model, filepath: str | os.PathLike[str], input_signature: Tree = None) -> Path:
    """Write the inference of a model as `model.mlir` (text with its weights) and `model.jax`, in a folder.

    `jax.export.deserialize(bytes).call(*inputs)` runs `model.jax`. Inputs of unknown sizes take any: "batch"
    is the first size of all of them.

    Args:
        model: A built model.
        filepath: The folder.
        input_signature: Structure of InputSpecs; by default the model's inputs.

    Returns:
        The folder.

    Raises:
        ImportError: If JAX or flatbuffers is not installed.
        ValueError: If the model is not built, changes variables during inference (stateful recurrent
            layers), computes something else for small sizes than for large ones, or compares sizes in a
            way that JAX cannot decide.
    """
    structure = signature_of(model) if input_signature is None else list(input_signature)
    engine: Any = get_engine("jax")
    import jax
    import jax.export

    from hornbeam.export.jax_operators import file_library

    if importlib.util.find_spec("flatbuffers") is None:
        raise ImportError(f"StableHLO files need flatbuffers: {install_command('stablehlo')}")
    types = input_types([(spec.shape, str(spec.dtype or "float32")) for spec in tree.flatten(structure)])

    def predict(*xs: Any) -> Any:
        return model(*tree.pack_sequence_as(structure, list(xs)), training=False)

    trace = trace_for_export(predict, types, model.describe())
    refuse_updates(model, trace.traced, "a StableHLO file")
    values = [variable.value.node for variable in trace.traced.variables] + trace.constants
    evaluate(values)
    graph = fold_scales(
        expanded(lower(trace.graph), lambda node: node.name == "custom_gradient"), len(values)
    )
    state = [buffer_of(node, engine) for node in values]
    arrays = {x: np.asarray(engine.get(buffer)) for x, buffer in zip(graph.inputs, state, strict=False)}

    def computed(*inputs: Any) -> Any:
        walk = Walk(file_library(engine), RULES)
        return trace.traced.pack(walk(graph, [*state, *inputs], arrays))

    try:
        with jax.enable_x64(True):
            exported = jax.export.export(jax.jit(computed))(*_arguments(types, trace.assumptions))
    except Exception as error:  # JAX's own class of these is private
        if "inconclusive" not in str(error):
            raise
        raise ValueError(
            f"{model.describe()} cannot be written for all sizes: {str(error).splitlines()[0]} Fix its sizes "
            "in input_signature."
        ) from error
    target = Path(filepath)
    target.mkdir(parents=True, exist_ok=True)
    for name, data in (
        ("model.mlir", str(exported.mlir_module()).encode()),
        ("model.jax", bytes(exported.serialize())),
    ):
        with replace_file(target / name) as file:
            file.write(data)
    return target


def _arguments(types: Sequence[TensorType], assumptions: Assumptions) -> list[Any]:
    """Return what JAX traces a function for: shapes, with its own symbols for unknown sizes.

    What is assumed of these is checked when the file is called.
    """
    import jax
    import jax.export

    scope = jax.export.SymbolicScope(_constraints(types, assumptions))
    shapes = [", ".join(map(text_of, t.shape)) for t in types]
    return [
        jax.ShapeDtypeStruct(jax.export.symbolic_shape(shape, scope=scope), numpy_dtype(t.dtype))
        for shape, t in zip(shapes, types, strict=True)
    ]


def _constraints(types: Sequence[TensorType], assumptions: Assumptions) -> list[str]:
    """Write pairs of sizes that are taken to be equal as JAX writes them."""
    import jax
    import jax.export

    names = sorted({name for t in types for size in t.shape for name in symbols_of(size)})
    values = dict(zip(names, jax.export.symbolic_shape(",".join(names)), strict=True)) if names else {}
    choose = {"min": jax.core.min_dim, "max": jax.core.max_dim}
    equal: dict[str, None] = {}
    for pair in assumptions:
        a, b = sorted((str(evaluated(size, values, choose)) for size in pair), key=len, reverse=True)
        if a != b:  # what is on the left is replaced by what is on the right
            equal[f"{a} == {b}"] = None
    return list(equal)
