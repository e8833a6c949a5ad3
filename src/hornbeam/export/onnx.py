"""A model's inference as an ONNX model, and a folder that runs it with onnxruntime alone."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hornbeam import tree
from hornbeam.engines import Engine, current_engine
from hornbeam.export.signature import signature_of
from hornbeam.ir.graph import Node
from hornbeam.ir.types import TensorType
from hornbeam.models.host import has_host_layers
from hornbeam.pending import buffer_of, evaluate
from hornbeam.saving.files import replace_file
from hornbeam.saving.weights import weight_names
from hornbeam.transforms import trace_for

# What is written for other runtimes: old enough for those of the last years.
OPSET = 20
# A message of protobuf's, and so an ONNX file, cannot be larger.
_LARGEST = 2**31 - 1

_EXAMPLE = '''"""Runs {name} with onnxruntime and NumPy alone: pip install onnxruntime numpy"""

import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession("model.onnx")
inputs = {{{inputs}}}
for output, value in zip(session.get_outputs(), session.run(None, inputs)):
    print(output.name, value.dtype, value.shape)
'''


def export_onnx(model: Any, filepath: str | os.PathLike[str], input_signature: Any = None) -> Path:
    """Write the inference of a model to `filepath`: a file if its name ends in ".onnx", else a folder of
    `model.onnx`, `signature.json` and `example.py`, which need nothing but onnxruntime. Returns the file.

    Inputs and outputs have the model's names, weights theirs (see `saving.weight_names`). The first size of
    an input may be unknown: the model then takes batches of any size.

    Raises ValueError for a model that is not built, has strings for inputs, or depends on the number of rows
    in a way that ONNX cannot say; ImportError without onnx.
    """
    made, examples = onnx_model(model, input_signature)
    data = made.SerializeToString()
    target = Path(filepath)
    if target.suffix == ".onnx":
        with replace_file(target) as file:
            file.write(data)
        return target
    target.mkdir(parents=True, exist_ok=True)
    graph = made.graph
    signature = {"inputs": [_info(v) for v in graph.input], "outputs": [_info(v) for v in graph.output]}
    lines = [f'"{name}": np.zeros({shape}, "{dtype}")' for name, shape, dtype in examples]
    example = _EXAMPLE.format(name=model.name, inputs=", ".join(lines))
    parts = {"model.onnx": data, "signature.json": json.dumps(signature, indent=2).encode()}
    for name, content in {**parts, "example.py": example.encode()}.items():
        with replace_file(target / name) as file:
            file.write(content)
    return target / "model.onnx"


def onnx_model(model: Any, input_signature: Any = None) -> tuple[Any, list[tuple[str, tuple[int, ...], str]]]:
    """The inference of a model as an `onnx.ModelProto`, and an example (name, shape, dtype) of each input."""
    check_graph(model)
    structure = signature_of(model) if input_signature is None else list(input_signature)
    specs = tree.flatten(structure)
    free = free_inputs(specs)
    found = for_any_rows(model, lambda rows: _for_rows(model, structure, specs, free, rows), free)
    examples = [
        (v.name, tuple(d.dim_value or 1 for d in v.type.tensor_type.shape.dim), str(spec.dtype or "float32"))
        for v, spec in zip(found.graph.input, specs, strict=True)
    ]
    return found, examples


def check_graph(model: Any) -> None:
    """Raises ValueError for a model that is not a graph as a whole."""
    if has_host_layers(model):
        raise ValueError(
            f"{model.describe()} has layers for strings, which are no part of a graph: export the model "
            "behind them"
        )


def free_inputs(specs: Sequence[Any]) -> list[int]:
    """Which inputs have an unknown first size. Raises ValueError for other unknown sizes."""
    shapes = [tuple(spec.shape) for spec in specs]
    if any(None in shape[1:] for shape in shapes):
        raise ValueError(
            f"only the first size of an input may be unknown, got {shapes}: give input_signature"
        )
    return [i for i, shape in enumerate(shapes) if shape and shape[0] is None]


def for_any_rows(
    model: Any,
    make: Callable[[int], Any],
    free: Sequence[int],
    kept: Collection[str] = (),
    fix: str = "give input_signature a batch size",
) -> Any:
    """`make(rows)`, an ONNX model of `model` for a number of rows, as one for any number, which is the first
    size of the inputs `free`. Constants that nothing needs are left out, but for those in `kept`.

    Raises ValueError where ONNX cannot say it (`fix` says what helps), or if it is too large.
    """
    from hornbeam.engines.onnx.rows import SIZES, RowsError, any_rows  # needs onnx

    made = [make(rows) for rows in (SIZES if free else (0,))]
    try:
        found = any_rows(made, free) if free else made[0]
    except RowsError as error:
        raise ValueError(
            f"{model.describe()} cannot be written for batches of any size, since {error}: {fix}"
        ) from None
    _drop_unused(found, kept)
    if found.ByteSize() > _LARGEST:
        raise ValueError(f"{model.describe()} takes {found.ByteSize():,} bytes, an ONNX file at most 2 GiB")
    return found


def _for_rows(model: Any, structure: list[Any], specs: list[Any], free: list[int], rows: int) -> Any:
    """The model for a number of rows."""
    from hornbeam.engines.onnx.emit import Emitter
    from hornbeam.engines.onnx.table import MAKERS, TABLE

    types = [
        TensorType((rows, *spec.shape[1:]) if i in free else tuple(spec.shape), str(spec.dtype or "float32"))
        for i, spec in enumerate(specs)
    ]
    engine = current_engine()
    traced = trace_for(
        engine, lambda *xs: model(*tree.pack_sequence_as(structure, list(xs)), training=False), types
    )
    if traced.updated:
        raise ValueError(f"{model.describe()} changes variables while it predicts, which a file cannot")
    names = {id(variable): name for name, variable in weight_names(model)}
    weights = [
        (names.get(id(variable), variable.path), np.asarray(variable.numpy()), variable.dtype)
        for variable in traced.variables
    ]
    weights += constants(traced.captured, engine)
    emitter = Emitter(TABLE, MAKERS, opset=OPSET)
    inputs = _names(getattr(model, "input_names", None), "input", len(specs))
    outputs = _names(getattr(model, "output_names", None), "output", len(traced.outputs))
    return emitter.model(traced.graph, weights, inputs, outputs)


def constants(nodes: Sequence[Node], engine: Engine) -> list[tuple[str, np.ndarray, str]]:
    """Name, array and dtype of values that a function took from outside."""
    evaluate(nodes)
    return [
        (f"constant_{i}", np.asarray(engine.get(buffer_of(node, engine))), node.dtype)
        for i, node in enumerate(nodes)
    ]


def _drop_unused(made: Any, kept: Collection[str]) -> None:
    """Leave out constants that only another number of rows needed."""
    from hornbeam.engines.onnx.rows import all_nodes

    used = {name for node in all_nodes(made.graph.node) for name in node.input} | set(kept)
    tensors = [tensor for tensor in made.graph.initializer if tensor.name in used]
    del made.graph.initializer[:]
    made.graph.initializer.extend(tensors)


def _names(known: Any, kind: str, count: int) -> list[str]:
    """Names of inputs or outputs, each once."""
    given = list(known) if known is not None and len(known) == count else [kind] * count
    return [n if given.count(n) == 1 else f"{n}_{given[:i].count(n)}" for i, n in enumerate(given)]


def _info(value: Any) -> dict[str, Any]:
    from onnx import helper

    kind = value.type.tensor_type
    sizes = [d.dim_param or d.dim_value for d in kind.shape.dim]
    return {
        "name": value.name,
        "shape": sizes,
        "dtype": helper.tensor_dtype_to_np_dtype(kind.elem_type).name,
    }
