"""A model around one graph of ONNX operators, such as `load_onnx` makes, as those operators again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hornbeam.layers.core import Identity
from hornbeam.layers.input import InputLayer
from hornbeam.onnx.emitter.emit import needed_nodes
from hornbeam.onnx.emitter.kernels import (
    GraphProto,
    ModelProto,
    NodeProto,
    TensorProto,
    helper,
    onnx,
    onnx_type,
)
from hornbeam.onnx.operators import OnnxGraph
from hornbeam.onnx.operators.structure import is_graph, unpack_array

if TYPE_CHECKING:
    from hornbeam.models import Model

# In files of earlier versions, arrays are inputs too.
_OLDEST_FORMAT = 4


def graph_of(model: Model) -> tuple[OnnxGraph, list[int]] | None:
    """Return the layer that computes all of a model, and the positions of the model's outputs in its own.

    None if something else is computed too, or if the model's inputs are not those of the layer.
    """
    graph: Any = getattr(model, "_hb_graph", None)
    calls = graph.calls if graph else ()
    calls = [x for x in calls if not isinstance(x.callee, (Identity, InputLayer))]
    if len(calls) != 1 or not isinstance(layer := calls[0].callee, OnnxGraph):
        return None
    if [id(x) for x in calls[0].inputs] != [id(x) for x in graph.inputs]:
        return None
    positions = []
    for x in graph.outputs:
        while x.history is not None and isinstance(x.history.callee, Identity):
            (x,) = x.history.inputs
        if x.history is not calls[0]:
            return None
        positions.append(x.output_index)
    return layer, positions


def written(layer: OnnxGraph, outputs: Sequence[int], name: str) -> ModelProto:
    """Return the operators of a layer, with the values that its weights have, as an ONNX model.

    Args:
        layer: The layer.
        outputs: Positions of those of its outputs that the model has.
        name: Name of the model.
    """
    graph = layer.graph
    versions = {"": graph["opset"], **graph.get("domains", {})}
    inputs, results = graph["inputs"], [graph["outputs"][i] for i in outputs]
    arrays = layer.arrays()
    weights = [_tensor(x["name"], arrays[x["name"]], x["dtype"]) for x in graph["weights"]]
    nodes = needed_nodes(_nodes(graph, versions), {x["name"] for x in results})
    makers = {node.output[0]: node for node in nodes if node.op_type == "ZipMap"}
    proto = helper.make_graph(
        nodes,
        name,
        [_declared(x) for x in inputs],
        [_declared(x, makers.get(x["name"])) for x in results],
        initializer=[*weights, *_constants(graph)],
    )
    imports = [helper.make_opsetid(domain, version) for domain, version in versions.items()]
    form = helper.find_min_ir_version_for(imports, ignore_unknown=True)
    return helper.make_model(
        proto, opset_imports=imports, producer_name="hornbeam", ir_version=max(form, _OLDEST_FORMAT)
    )


def _nodes(part: Mapping[str, Any], versions: dict[str, int]) -> list[NodeProto]:
    return [_node(node, versions) for node in part["nodes"]]


def _node(node: Mapping[str, Any], versions: dict[str, int]) -> NodeProto:
    domain, _, operator = node["op"].rpartition("::")
    version = versions.setdefault(domain, 1)
    known = onnx.defs.has(operator, version, domain)
    declared: Any = onnx.defs.get_schema(operator, version, domain).attributes if known else {}
    proto = helper.make_node(operator, node["inputs"], node["outputs"], node["name"], domain=domain)
    for key, value in node["attributes"].items():
        kind = int(declared[key].type) if key in declared else None
        if value == [] and kind is None:
            continue  # of which type, its schema would say
        if isinstance(value, dict):
            value = _packed("", value) if not is_graph(value) else _branch(value["graph"], versions, operator)
        proto.attribute.append(helper.make_attribute(key, value, attr_type=kind))
    return proto


def _branch(part: Mapping[str, Any], versions: dict[str, int], operator: str) -> GraphProto:
    inputs, outputs = (
        [onnx.ValueInfoProto(name=name) for name in part.get(key, ())] for key in ("inputs", "outputs")
    )
    if operator == "Loop":  # ONNX Runtime needs the types of the number of the iteration, and the condition
        kinds = (TensorProto.INT64, TensorProto.BOOL)
        inputs[:2] = [
            helper.make_tensor_value_info(x.name, kind, ()) for x, kind in zip(inputs, kinds, strict=False)
        ]
    return helper.make_graph(_nodes(part, versions), "branch", inputs, outputs, _constants(part))


def _constants(part: Mapping[str, Any]) -> list[TensorProto]:
    return [_packed(name, value) for name, value in part["constants"].items()]


def _packed(name: str, value: Mapping[str, Any]) -> TensorProto:
    return _tensor(name, unpack_array(value), value["dtype"])


def _tensor(name: str, array: np.ndarray, dtype: str) -> TensorProto:
    is_text = array.dtype == object
    values = [s.encode() for s in array.reshape(-1)] if is_text else array.tobytes()
    return helper.make_tensor(name, onnx_type(dtype), array.shape, values, raw=not is_text)


def _declared(entry: Mapping[str, Any], maker: NodeProto | None = None) -> Any:
    """An input or output; that of a ZipMap is a list of dicts."""
    if maker is None:
        sizes, axes = entry["shape"], entry.get("axes")
        if axes:
            sizes = [name if size is None else size for size, name in zip(sizes, axes, strict=True)]
        return helper.make_tensor_value_info(entry["name"], onnx_type(entry["dtype"]), sizes)
    keys = TensorProto.STRING if maker.attribute[0].strings else TensorProto.INT64
    values = helper.make_tensor_type_proto(TensorProto.FLOAT, [])
    rows = helper.make_sequence_type_proto(helper.make_map_type_proto(keys, values))
    return helper.make_value_info(entry["name"], rows)
