"""A model's inference as an ONNX model, and a folder that runs it with onnxruntime alone."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hornbeam import ops, tree
from hornbeam._internal.typing import Tree
from hornbeam.core.lazy import buffer_of, evaluate
from hornbeam.engines import current_engine
from hornbeam.export.signature import check_graph, names_of, outside_dtype, signature_of
from hornbeam.export.unknown_sizes import input_types, refuse_updates, trace_for_export
from hornbeam.ir.complex_pairs import lower
from hornbeam.ir.node import Node
from hornbeam.ir.trace import expanded
from hornbeam.layers.host_checks import noted_indices
from hornbeam.saving.files import replace_file
from hornbeam.saving.model_parts import weight_names
from hornbeam.training.inference_plan import fold_scales
from hornbeam.training.outputs import unique_names

if TYPE_CHECKING:
    from hornbeam.models import Model

# A version that the runtimes of recent years support, and the oldest with operators for all layers.
OPSET = 20
_OLDEST = 17
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


def export_onnx(
    model: Model,
    filepath: str | os.PathLike[str],
    input_signature: Tree = None,
    opset_version: int | None = None,
    data_format: str = "channels_last",
    fold_batch_normalization: bool = True,
) -> Path:
    """Write the inference of a model as ONNX.

    Layers become the operators that ONNX has for them, named after the layers; batch normalizations become
    part of the weights before them, images keep one layout throughout, and what depends on weights alone is
    computed (`onnx/writing/writer.py`). A model around one `OnnxGraph`, as `load_onnx` makes it, is written
    with the operators of its file and the weights of now (`onnx/writing/operators.py`), unless
    `input_signature`, `opset_version` or `data_format` is given.

    Inputs and outputs have the model's names, or those of the keys of dicts, and weights theirs (see
    `saving.model_parts.weight_names`); repeated names are numbered. bfloat16 inputs and outputs are float32
    in the file. Inputs of unknown sizes take any: "batch" is the first size of all of them. Sizes of outputs
    are computed from those of inputs, such as "2*batch".

    Args:
        model: A built model.
        filepath: A file if its name ends in ".onnx", else a folder of `model.onnx`, `signature.json` and
            `example.py`, which need nothing but onnxruntime.
        input_signature: Structure of InputSpecs; by default the model's inputs.
        opset_version: Version of ONNX's operators, 17 to 28; None for 20, or that of the file
            that a model is from.
        data_format: "channels_first" for inputs and outputs (batch, channels, ...) of rank 4 and 5, in place
            of "channels_last", (batch, ..., channels).
        fold_batch_normalization: Multiply the weights of convolutions and dense layers by the scales of the
            batch normalizations after them; if False, these keep their own weights.

    Returns:
        The ONNX file.

    Raises:
        ValueError: For an unknown version or data format, and for a model that is not built, has layers for
            strings or hashes, changes variables during inference (stateful recurrent layers), or computes
            something else for small sizes. The message names the layer.
        TypeError: For Python code that needs an unknown size as a number.
        NotImplementedError: For an operation that onnxruntime does not support for a dtype, or that the
            version of the operators does not have.
        ImportError: Without onnx.
    """
    proto, examples = onnx_model(model, input_signature, opset_version, data_format, fold_batch_normalization)
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
    model: Model,
    input_signature: Tree = None,
    opset_version: int | None = None,
    data_format: str = "channels_last",
    fold_batch_normalization: bool = True,
) -> tuple[Any, list[tuple[str, tuple[int, ...], str]]]:
    """Return the inference of a model as an `onnx.ModelProto`, and name, shape and dtype of each input."""
    from hornbeam.onnx.writing.operators import graph_of, written

    _check_version(opset_version)
    if data_format not in ("channels_last", "channels_first"):
        raise ValueError(f'data_format must be "channels_last" or "channels_first", got {data_format!r}')
    is_plain = opset_version is None and input_signature is None and data_format == "channels_last"
    if is_plain and (graph := graph_of(model)):
        proto = written(*graph, model.name)
        drop_unused(proto)
    else:
        check_graph(model)
        structure = signature_of(model) if input_signature is None else list(input_signature)
        proto = _emitted(model, structure, opset_version or OPSET, data_format, fold_batch_normalization)
    check_size(model, proto)
    return proto, [_example(value) for value in proto.graph.input]


def _check_version(opset_version: int | None) -> None:
    from hornbeam.onnx.emitter.emit import OPSET as NEWEST

    if opset_version is None:
        return
    if not isinstance(opset_version, int) or not _OLDEST <= opset_version <= NEWEST:
        raise ValueError(f"opset_version must be between {_OLDEST} and {NEWEST}, got {opset_version!r}")


def check_size(model: Model, proto: Any) -> None:
    """Raise ValueError for an ONNX model that is too large for a file."""
    if proto.ByteSize() > _LARGEST:
        raise ValueError(
            f"{model.describe()} needs {proto.ByteSize():,} bytes, but an ONNX file has at most 2 GiB"
        )


def _emitted(
    model: Model,
    structure: list[Any],
    opset: int,
    data_format: str,
    fold_batch_normalization: bool,
) -> Any:
    """Build the ONNX model."""
    from hornbeam.onnx.writing.writer import FileWriter

    specs = tree.flatten(structure)
    dtypes = [str(spec.dtype or "float32") for spec in specs]
    types = input_types([(spec.shape, outside_dtype(d)) for spec, d in zip(specs, dtypes, strict=True)])

    def predict(*xs: Any) -> Any:
        inputs = [ops.cast(x, dtype) for x, dtype in zip(xs, dtypes, strict=True)]
        outputs = model(*tree.pack_sequence_as(structure, inputs), training=False)
        return tree.map_structure(lambda y: ops.cast(y, outside_dtype(y.dtype)), outputs)

    with noted_indices(are_checked=True):  # Gather of ONNX refuses indices out of range
        trace = trace_for_export(predict, types, model.describe())
    traced = trace.traced
    refuse_updates(model, traced, "an ONNX file")
    file_names = {id(variable): name for name, variable in weight_names(model)}
    argument = structure[0] if len(structure) == 1 else structure
    inputs = names_of(getattr(model, "input_names", None), "input", argument)
    outputs = names_of(getattr(model, "output_names", None), "output", traced.result)
    weights = [file_names.get(id(variable), variable.path) for variable in traced.variables]
    names = unique_names([*inputs, *outputs, *weights])
    end, begin = len(inputs), len(inputs) + len(outputs)
    values = [
        (name, np.asarray(variable.numpy()), variable.dtype)
        for name, variable in zip(names[begin:], traced.variables, strict=True)
    ]
    values += constants(trace.constants, names)
    graph = expanded(lower(trace.graph), lambda node: node.name == "custom_gradient")
    if fold_batch_normalization:
        graph = fold_scales(graph, len(values))
    writer = FileWriter(model.name, opset, data_format == "channels_first", not fold_batch_normalization)
    return writer.model(graph, values, names[:end], names[end:begin])


def constants(nodes: Sequence[Node], names: Sequence[str]) -> list[tuple[str, np.ndarray, str]]:
    """Return name, array and dtype of external values, with names that are not among `names`."""
    evaluate(nodes)
    engine = current_engine()
    new_names = unique_names([*names, *(f"constant_{i}" for i in range(len(nodes)))])[len(names) :]
    return [
        (name, np.asarray(engine.get(buffer_of(node, engine))), node.dtype)
        for name, node in zip(new_names, nodes, strict=True)
    ]


def drop_unused(proto: Any, kept: Collection[str] = ()) -> None:
    """Drop constants that no node reads, but those whose names are to be `kept`."""
    used = {name for node in _all_nodes(proto.graph.node) for name in node.input} | set(kept)
    tensors = [tensor for tensor in proto.graph.initializer if tensor.name in used]
    del proto.graph.initializer[:]
    proto.graph.initializer.extend(tensors)


def _all_nodes(nodes: Sequence[Any]) -> list[Any]:
    """Return the nodes, including those of nested graphs."""
    bodies = [a.g for node in nodes for a in node.attribute if a.type == a.GRAPH]
    return [*nodes, *(node for body in bodies for node in _all_nodes(body.node))]


def _info(value: Any) -> dict[str, Any]:
    from onnx import helper

    kind = value.type.tensor_type
    if not kind.elem_type:
        return {"name": value.name, "dtype": "dicts"}
    sizes = [d.dim_param or d.dim_value or None for d in kind.shape.dim] if kind.HasField("shape") else None
    dtype = helper.tensor_dtype_to_np_dtype(kind.elem_type).name
    return {"name": value.name, "shape": sizes, "dtype": "str" if dtype == "object" else dtype}


def _example(value: Any) -> tuple[str, tuple[int, ...], str]:
    """Name of an input, and shape and dtype of data for it."""
    info = _info(value)
    return info["name"], tuple(n if isinstance(n, int) else 1 for n in info["shape"]), info["dtype"]
