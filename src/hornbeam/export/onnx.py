"""A model's inference as an ONNX model, and a folder that runs it with onnxruntime alone."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hornbeam import ops, tree
from hornbeam.core.jit import Traced, trace_for
from hornbeam.core.lazy import buffer_of, evaluate
from hornbeam.engines import current_engine
from hornbeam.export.signature import signature_of
from hornbeam.ir.complex_pairs import lower
from hornbeam.ir.graph import Graph
from hornbeam.ir.node import Node, topological
from hornbeam.ir.types import TensorType
from hornbeam.models.host import host_layers
from hornbeam.saving.files import replace_file
from hornbeam.saving.model_parts import weight_names
from hornbeam.training.outputs import unique_names

if TYPE_CHECKING:
    from hornbeam._internal.typing import Tree
    from hornbeam.models import Model

# A version that the runtimes of recent years support.
OPSET = 20
# Largest message of protobuf, and so largest ONNX file, in bytes.
_LARGEST = 2**31 - 1

_EXAMPLE = '''"""Run {name} with onnxruntime and NumPy alone: pip install onnxruntime numpy"""

import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession("model.onnx")
inputs = {{{inputs}}}
for output, value in zip(session.get_outputs(), session.run(None, inputs)):
    print(output.name, value.dtype, value.shape)
'''


def export_onnx(model: Model, filepath: str | os.PathLike[str], input_signature: Tree = None) -> Path:
    """Write the inference of a model as ONNX.

    Inputs and outputs have the model's names, or those of the keys of dicts, and weights theirs (see
    `saving.model_parts.weight_names`); repeated names are numbered. bfloat16 inputs and outputs are float32
    in the file. If the first size of an input is unknown, the model takes batches of any size.

    Args:
        model: A built model.
        filepath: A file if its name ends in ".onnx", else a folder of `model.onnx`, `signature.json` and
            `example.py`, which need nothing but onnxruntime.
        input_signature: Structure of InputSpecs; by default the model's inputs.

    Returns:
        The ONNX file.

    Raises:
        ValueError: For a model that is not built, has layers for strings or hashes, changes variables during
            inference (stateful recurrent layers), or depends on the number of rows in a way that ONNX cannot
            express. The message names the layer.
        NotImplementedError: For an operation that onnxruntime does not support for a dtype.
        ImportError: Without onnx.
    """
    proto, examples = onnx_model(model, input_signature)
    data = proto.SerializeToString()
    target = Path(filepath)
    if target.suffix == ".onnx":
        with replace_file(target) as file:
            file.write(data)
        return target
    target.mkdir(parents=True, exist_ok=True)
    graph = proto.graph
    signature = {"inputs": [_info(v) for v in graph.input], "outputs": [_info(v) for v in graph.output]}
    lines = [f'"{name}": np.zeros({shape}, "{dtype}")' for name, shape, dtype in examples]
    example = _EXAMPLE.format(name=model.name, inputs=", ".join(lines))
    parts = {"model.onnx": data, "signature.json": json.dumps(signature, indent=2).encode()}
    for name, content in {**parts, "example.py": example.encode()}.items():
        with replace_file(target / name) as file:
            file.write(content)
    return target / "model.onnx"


def onnx_model(
    model: Model, input_signature: Tree = None
) -> tuple[Any, list[tuple[str, tuple[int, ...], str]]]:
    """Return the inference of a model as an `onnx.ModelProto`, and name, shape and dtype of each input."""
    check_graph(model)
    structure = signature_of(model) if input_signature is None else list(input_signature)
    specs = tree.flatten(structure)
    free = free_inputs(specs)
    proto = for_any_rows(model, lambda rows: _for_rows(model, structure, specs, free, rows), free)
    examples = [
        (v.name, tuple(d.dim_value or 1 for d in v.type.tensor_type.shape.dim), str(spec.dtype or "float32"))
        for v, spec in zip(proto.graph.input, specs, strict=True)
    ]
    return proto, examples


def check_graph(model: Model) -> None:
    """Raise ValueError if a part of the model runs outside its graph."""
    if host := host_layers(model):
        raise ValueError(
            f"{model.describe()} has layers for strings or hashes, which are not part of a graph: "
            f"{', '.join(part.describe() for part in host)}. Export the part of the model after them."
        )


def free_inputs(specs: Sequence[Any]) -> list[int]:
    """Return the indices of inputs whose first size is unknown. Raises ValueError for other unknown sizes."""
    shapes = [tuple(spec.shape) for spec in specs]
    if any(None in shape[1:] for shape in shapes):
        raise ValueError(
            f"only the first size of an input may be unknown, got {shapes}. Pass input_signature."
        )
    return [i for i, shape in enumerate(shapes) if shape and shape[0] is None]


def for_any_rows(
    model: Model,
    make: Callable[[int], Any],
    free: Sequence[int],
    kept: Collection[str] = (),
    fix: str = "fix the batch size in input_signature",
) -> Any:
    """Generalize `make(rows)`, an ONNX model for a fixed number of rows, to any number of rows.

    Args:
        model: The model, for error messages.
        make: Function that builds the ONNX model for a number of rows.
        free: Indices of the inputs whose first size is the number of rows.
        kept: Names of constants to keep; other unused ones are dropped.
        fix: Remedy in the error message.

    Raises:
        ValueError: If ONNX cannot express it, or if the model is too large for a file.
    """
    from hornbeam.engines.onnx.rows import SIZES, RowsError, any_rows  # needs onnx

    protos = [make(rows) for rows in (SIZES if free else (0,))]
    try:
        proto = any_rows(protos, free) if free else protos[0]
    except RowsError as error:
        raise ValueError(
            f"{model.describe()} cannot be written for batches of any size, since {error}. Remedy: {fix}."
        ) from None
    _drop_unused(proto, kept)
    if proto.ByteSize() > _LARGEST:
        raise ValueError(
            f"{model.describe()} needs {proto.ByteSize():,} bytes, but an ONNX file has at most 2 GiB"
        )
    return proto


def _for_rows(model: Model, structure: list[Any], specs: list[Any], free: list[int], rows: int) -> Any:
    """Build the ONNX model for a fixed number of rows."""
    from hornbeam.engines.onnx.emit import Emitter
    from hornbeam.engines.onnx.table import MAKERS, TABLE

    dtypes = [str(spec.dtype or "float32") for spec in specs]
    types = [
        TensorType((rows, *spec.shape[1:]) if i in free else tuple(spec.shape), _outside_dtype(dtype))
        for i, (spec, dtype) in enumerate(zip(specs, dtypes, strict=True))
    ]

    def predict(*xs: Any) -> Any:
        inputs = [ops.cast(x, dtype) for x, dtype in zip(xs, dtypes, strict=True)]
        outputs = model(*tree.pack_sequence_as(structure, inputs), training=False)
        return tree.map_structure(lambda y: ops.cast(y, _outside_dtype(y.dtype)), outputs)

    traced = trace_for(current_engine(), predict, types)
    if traced.updated:
        assigned = ", ".join(sorted({variable.path for variable in traced.updated}))
        raise ValueError(
            f"{model.describe()} assigns {assigned} during inference, which an ONNX file cannot do. Create "
            "recurrent layers with stateful=False, and make their states inputs and outputs if needed."
        )
    file_names = {id(variable): name for name, variable in weight_names(model)}
    argument = structure[0] if len(structure) == 1 else structure
    inputs = _names(getattr(model, "input_names", None), "input", argument)
    outputs = _names(getattr(model, "output_names", None), "output", traced.result)
    weights = [file_names.get(id(variable), variable.path) for variable in traced.variables]
    names = unique_names([*inputs, *outputs, *weights])
    end, begin = len(inputs), len(inputs) + len(outputs)
    leaves, parameters = external_values(traced), traced.graph.inputs
    count = len(weights)
    graph = Graph(
        (*parameters[:count], *leaves, *parameters[count + len(traced.captured) :]), traced.graph.outputs
    )
    values = [
        (name, np.asarray(variable.numpy()), variable.dtype)
        for name, variable in zip(names[begin:], traced.variables, strict=True)
    ]
    values += constants(leaves, names)
    return Emitter(TABLE, MAKERS, opset=OPSET).model(lower(graph), values, names[:end], names[end:begin])


def external_values(traced: Traced) -> list[Node]:
    """Return the constants from which the captured values of a function are computed.

    The computation from them becomes part of the model, since it may depend on the number of rows.
    """
    return [node for node in topological(traced.captured) if node.primitive is None]


def constants(nodes: Sequence[Node], names: Sequence[str]) -> list[tuple[str, np.ndarray, str]]:
    """Return name, array and dtype of external values, with names that are not among `names`."""
    evaluate(nodes)
    engine = current_engine()
    new_names = unique_names([*names, *(f"constant_{i}" for i in range(len(nodes)))])[len(names) :]
    return [
        (name, np.asarray(engine.get(buffer_of(node, engine))), node.dtype)
        for name, node in zip(new_names, nodes, strict=True)
    ]


def _drop_unused(proto: Any, kept: Collection[str]) -> None:
    """Drop constants that only another number of rows needed."""
    from hornbeam.engines.onnx.rows import all_nodes

    used = {name for node in all_nodes(proto.graph.node) for name in node.input} | set(kept)
    tensors = [tensor for tensor in proto.graph.initializer if tensor.name in used]
    del proto.graph.initializer[:]
    proto.graph.initializer.extend(tensors)


def _outside_dtype(dtype: str) -> str:
    """Return the dtype of an input or output in the file: float32 for bfloat16.

    onnxruntime takes and returns NumPy arrays, which have no bfloat16; float32 represents it exactly.
    """
    return "float32" if dtype == "bfloat16" else dtype


def _names(model_names: Any, kind: str, structure: Tree) -> list[str]:
    """Return names of inputs or outputs: those of the model, else keys of their structure, else numbers."""
    paths = [path for path, _ in tree.flatten_with_path(structure)]
    if model_names is not None and len(model_names) == len(paths):
        return list(model_names)
    if any(isinstance(key, str) for path in paths for key in path):
        return ["_".join(map(str, path)) for path in paths]
    return [kind] if len(paths) == 1 else [f"{kind}_{i}" for i in range(len(paths))]


def _info(value: Any) -> dict[str, Any]:
    from onnx import helper

    kind = value.type.tensor_type
    sizes = [d.dim_param or d.dim_value for d in kind.shape.dim]
    return {
        "name": value.name,
        "shape": sizes,
        "dtype": helper.tensor_dtype_to_np_dtype(kind.elem_type).name,
    }
