"""ONNX files that were read are written again: the same operators, and the weights of today."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hornbeam as hb
from hornbeam.saving import load_model, load_onnx

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from tests.helpers.paths import GOLDEN  # noqa: E402

make = helper.make_node
X = np.random.default_rng(0).standard_normal((2, 3, 8, 6)).astype("float32")


def value(name: str, shape: Any, kind: int = TensorProto.FLOAT) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)


def written(
    path: Path, nodes: list[Any], outputs: list[Any], arrays: dict[str, Any] | None = None, **domains: int
) -> Path:
    """A file of x, images of any size."""
    parts = [numpy_helper.from_array(np.asarray(a), name) for name, a in (arrays or {}).items()]
    graph = helper.make_graph(nodes, "g", [value("x", ["n", 3, "height", "width"])], outputs, parts)
    imports = [helper.make_opsetid(name, n) for name, n in {"": 13, **domains}.items()]
    onnx.save(helper.make_model(graph, opset_imports=imports, ir_version=8), path)
    return path


def operators(graph: Any) -> Counter[str]:
    """Counts of the operators, in branches too."""
    counts = Counter(node.op_type for node in graph.node if node.op_type != "Constant")
    for node in graph.node:
        for attribute in node.attribute:
            counts += operators(attribute.g)
    return counts


def versions(proto: Any) -> dict[str, int]:
    return {x.domain: x.version for x in proto.opset_import}


def declared(end: Any) -> tuple[str, list[Any]]:
    sizes = end.type.tensor_type.shape.dim
    return end.name, [size.dim_param or size.dim_value for size in sizes]


def ran(path: Path, inputs: dict[str, np.ndarray]) -> list[Any]:
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    session = runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return session.run(None, inputs)


def again(path: Path, inputs: dict[str, np.ndarray]) -> Any:
    """Write a file again, expect its operators and numbers, and return the new one."""
    target = path.with_name("again.onnx")
    load_onnx(path).export(target, format="onnx", verbose=False)
    for mine, theirs in zip(ran(target, inputs), ran(path, inputs), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    proto, old = onnx.load(target), onnx.load(path)
    assert operators(proto.graph) == operators(old.graph)
    assert versions(proto) == versions(old)
    for ends in ("input", "output"):
        mine, theirs = (list(map(declared, getattr(x.graph, ends))) for x in (proto, old))
        assert mine == theirs
    return proto


# A size that is not known, a branch that follows from one, and a loop over one.
HEIGHT = [make("Shape", ["x"], ["s"]), make("Gather", ["s", "two"], ["h"])]
RESIZE = [
    *HEIGHT, make("Cast", ["h"], ["f"], to=1), make("Unsqueeze", ["f", "zero"], ["v"]),
    make("Div", ["v", "v"], ["one"]), make("Concat", ["one", "one", "v", "v"], ["scales"], axis=0),
    make("Resize", ["x", "", "scales"], ["y"], mode="nearest", nearest_mode="floor"),
]  # fmt: skip
BRANCHES = {
    f"{name}_branch": helper.make_graph([make(op, ["x"], [name])], name, [], [value(name, None)])
    for name, op in (("then", "Relu"), ("else", "Neg"))
}
IF = [*HEIGHT, make("Greater", ["h", "two"], ["c"]), make("If", ["c"], ["y"], **BRANCHES)]
BODY = helper.make_graph(
    [make("Identity", ["go"], ["on"]), make("Mul", ["t", "t"], ["u"])],
    "body",
    [value("i", [], TensorProto.INT64), value("go", [], TensorProto.BOOL), value("t", None)],
    [value("on", [], TensorProto.BOOL), value("u", None)],
)
LOOP = [make("Loop", ["two", "", "x"], ["y"], body=BODY)]
EMPTY = [make("Transpose", ["x"], ["t"]), make("Squeeze", ["t"], ["y"])]


@pytest.mark.parametrize("nodes", [RESIZE, IF, LOOP, EMPTY], ids=["resize", "if", "loop", "plain"])
def test_sizes_and_branches(nodes: list[Any], tmp_path: Path) -> None:
    arrays = {"two": np.array(2), "zero": np.array([0])}
    path = written(tmp_path / "m.onnx", nodes, [value("y", ["n", "a", "b", "c"])], arrays)
    again(path, {"x": X})


@pytest.mark.parametrize("path", sorted((GOLDEN / "onnx").glob("*.onnx")), ids=lambda path: path.stem)
def test_what_pytorch_wrote(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "m.onnx"
    copy.write_bytes(path.read_bytes())
    with np.load(path.with_name(f"{path.stem.split('_')[0]}.npz")) as data:
        again(copy, {"x": data["x"]})


SCALED = [make("Conv", ["x", "w"], ["c"], name="first"), make("Mul", ["c", "k"], ["y"])]
ARRAYS = {"w": np.ones((4, 3, 1, 1), "float32"), "k": np.float32([[[2]]])}


def test_weights_are_those_of_today_and_parts_are_possible(tmp_path: Path) -> None:
    """Also after a `.keras` file; outputs may be some of the file's, in another order."""
    nodes = [*SCALED, make("Neg", ["y"], ["z"]), make("Abs", ["z"], ["dead"])]
    ends = [value("y", None), value("z", None)]
    model = load_onnx(written(tmp_path / "m.onnx", nodes, ends, ARRAYS))
    model.trainable_variables[0].assign(3 * ARRAYS["w"])
    model.save(tmp_path / "m.keras")
    model = load_model(tmp_path / "m.keras")
    part = hb.Model(model.inputs, [model.outputs[1], model.outputs[0]])
    part.export(tmp_path / "p.onnx", format="onnx", verbose=False)
    z, y = ran(tmp_path / "p.onnx", {"x": X})
    np.testing.assert_allclose(y, 6 * np.repeat(X.sum(1, keepdims=True), 4, 1), rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(z, -y)
    graph = onnx.load(tmp_path / "p.onnx").graph
    assert [node.op_type for node in graph.node] == ["Conv", "Mul", "Neg"]
    assert graph.node[0].name == "first"


@pytest.mark.parametrize("change", ["version", "shape", "layer"])
def test_other_models_are_written_from_their_layers(change: str, tmp_path: Path) -> None:
    model = load_onnx(written(tmp_path / "m.onnx", SCALED, [value("y", ["n", 4, "h", "w"])], ARRAYS))
    options: dict[str, Any] = {"opset_version": 18} if change == "version" else {}
    if change == "shape":
        options["input_signature"] = [hb.InputSpec(shape=(2, 3, 8, 6))]
    if change == "layer":
        model = hb.Model(model.inputs, hb.layers.ReLU()(model.outputs[0]))
    model.export(tmp_path / "p.onnx", format="onnx", verbose=False, **options)
    proto = onnx.load(tmp_path / "p.onnx")
    assert versions(proto) == {"": options.get("opset_version", 20)}
    (x,) = (value.name for value in proto.graph.input)
    np.testing.assert_allclose(ran(tmp_path / "p.onnx", {x: X})[0], np.asarray(model(X)), atol=1e-5)


def test_labels_and_dicts(tmp_path: Path) -> None:
    """Models with strings have no other form; a folder has what a program needs."""
    nodes = [
        make("ReduceMean", ["x"], ["m"], axes=[2, 3], keepdims=0),
        make("ArgMax", ["m"], ["a"], axis=1, keepdims=0),
        make(
            "LabelEncoder",
            ["a"],
            ["l"],
            domain="ai.onnx.ml",
            keys_int64s=[0, 1, 2],
            values_strings=list("abc"),
        ),
        make("ZipMap", ["m"], ["d"], domain="ai.onnx.ml", classlabels_strings=list("abc")),
    ]
    keys = helper.make_map_type_proto(
        TensorProto.STRING, helper.make_tensor_type_proto(TensorProto.FLOAT, [])
    )
    ends = [
        value("l", ["n"], TensorProto.STRING),
        helper.make_value_info("d", helper.make_sequence_type_proto(keys)),
    ]
    path = written(tmp_path / "m.onnx", nodes, ends, **{"ai.onnx.ml": 2})
    again(path, {"x": X})
    model = load_onnx(path)
    file = tmp_path / "folder" / "model.onnx"
    model.export(file.parent, format="onnx", verbose=False)
    labels, rows = ran(file, {"x": X})
    assert [list(row) for row in rows] == [["a", "b", "c"]] * 2
    assert labels.tolist() == np.asarray(model(X)[0]).tolist()
    signature = json.loads((tmp_path / "folder" / "signature.json").read_text())
    assert signature["inputs"] == [{"name": "x", "shape": ["n", 3, "height", "width"], "dtype": "float32"}]
    assert [x["dtype"] for x in signature["outputs"]] == ["str", "dicts"]
    assert 'np.zeros((1, 3, 1, 1), "float32")' in (tmp_path / "folder" / "example.py").read_text()
