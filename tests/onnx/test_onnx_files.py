"""ONNX files as exporters write them: weights in Constants, sizes from shapes, names of sizes used twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hornbeam.onnx.operators import sizes
from hornbeam.saving import load_onnx

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

make = helper.make_node


def floats(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype("float32")


def written(
    path: Path,
    nodes: list[Any],
    shape: Any,
    arrays: dict[str, Any] | None = None,
    opset: int = 17,
    result: Any = None,
) -> Path:
    """A file of x (float32) that gives y."""
    inputs, outputs = (
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, sizes)]
        for name, sizes in (("x", shape), ("y", result))
    )
    parts = [numpy_helper.from_array(np.asarray(x), name) for name, x in (arrays or {}).items()]
    graph = helper.make_graph(nodes, "g", inputs, outputs, parts)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10), path)
    return path


def constant(name: str, value: np.ndarray) -> Any:
    return make("Constant", [], [name], value=numpy_helper.from_array(value))


def agrees(path: Path, *shapes: tuple[int, ...]) -> Any:
    """Compare a call and predict with ONNX Runtime for each shape of x, and return the model."""
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    session = runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    model = load_onnx(path)
    for shape in shapes:
        x = floats(*shape)
        (expected,) = session.run(None, {"x": x})
        for y in (np.asarray(model(x)), model.predict(x, verbose=0)):
            np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)
        declared = model.outputs[0].shape
        assert all(n in (None, m) for n, m in zip(declared, expected.shape, strict=True))
    return model


def test_weights_in_constants_are_weights(tmp_path: Path) -> None:
    """As Paddle writes them, of any size."""
    nodes = [
        constant("kernel", floats(150, 150)), constant("bias", floats(150)), constant("two", np.float32([2])),
        make("MatMul", ["x", "kernel"], ["a"]), make("Add", ["a", "bias"], ["b"]),
        make("Mul", ["b", "two"], ["y"]),
    ]  # fmt: skip
    model = agrees(written(tmp_path / "m.onnx", nodes, ["n", 150]), (3, 150))
    assert {v.name: v.shape for v in model.trainable_variables} == {"kernel": (150, 150), "bias": (150,)}


def test_large_arrays_of_branches_are_weights(tmp_path: Path) -> None:
    """Both branches may call theirs by one name."""
    out = [helper.make_tensor_value_info("z", TensorProto.FLOAT, None)]
    branches = {
        f"{name}_branch": helper.make_graph(
            [constant("w", sign * floats(150, 150)), make("MatMul", ["x", "w"], ["z"])], name, [], out
        )
        for name, sign in (("then", 1), ("else", -1))
    }
    nodes = [
        make("ReduceSum", ["x"], ["s"], keepdims=0), make("Greater", ["s", "zero"], ["c"]),
        make("If", ["c"], ["y"], **branches),
    ]  # fmt: skip
    path = written(tmp_path / "m.onnx", nodes, ["n", 150], {"zero": np.float32(0)})
    model = agrees(path, (2, 150), (3, 150))
    assert [v.shape for v in model.trainable_variables] == [(150, 150)] * 2


def test_unknown_sizes_as_numbers_and_as_one_name(tmp_path: Path) -> None:
    path = written(tmp_path / "m.onnx", [make("Relu", ["x"], ["y"])], [-1, "n", "n"])
    assert agrees(path, (2, 3, 4)).inputs[0].shape == (None, None, None)


# Names in the graphs below: s is the shape of x, 0d and so on are numbers, 0v vectors of one.
NUMBERS = {f"{i}d": np.array(i) for i in range(4)} | {f"{i}v": np.array([i]) for i in range(-1, 5)}
FLOATS = {"half": np.float32(0.5), "1.5": np.float32(1.5), "0f": np.float32(0), "1f": np.float32(1)}
ARRAYS = NUMBERS | FLOATS | {"ones": np.ones(2, "float32"), "onoff": np.float32([0, 1])}
HEIGHT = [make("Gather", ["s", "2d"], ["h"])]
HALF = [
    *HEIGHT, make("Cast", ["h"], ["hf"], to=1), make("Mul", ["hf", "half"], ["hh"]),
    make("Floor", ["hh"], ["hl"]), make("Cast", ["hl"], ["hc"], to=7),
        make("Unsqueeze", ["hc", "0v"], ["hv"]),
]  # fmt: skip
DETECTION = [
    make("Slice", ["s", "2v", "4v"], ["hw"]), make("Cast", ["hw"], ["f"], to=1),
        make("Mul", ["f", "1.5"], ["m"]),
    make("Floor", ["m"], ["l"]), make("Cast", ["l"], ["c"], to=7), make("Slice", ["s", "0v", "2v"], ["nc"]),
    make("Concat", ["nc", "c"], ["t"], axis=0),
]  # fmt: skip
MIX = [make("Mod", ["h", "2d"], ["r"]), make("Unsqueeze", ["r", "0v"], ["rv"])]
SIZES: dict[str, list[Any]] = {
    "reshape": [
        *HEIGHT, make("Mul", ["h", "3d"], ["k"]), make("Unsqueeze", ["k", "0v"], ["kv"]),
        make("Concat", ["-1v", "kv"], ["t"], axis=0), make("Reshape", ["x", "t"], ["y"]),
    ],
    "resize to sizes": [*DETECTION, make("Resize", ["x", "", "", "t"], ["y"], mode="linear")],
    "resize by computed scales": [
        *DETECTION, make("Div", ["l", "f"], ["q"]), make("Concat", ["ones", "q"], ["factors"], axis=0),
        make("Resize", ["x", "", "factors"], ["y"], mode="cubic"),
    ],
    "upsample and add": [
        make("AveragePool", ["x"], ["p"], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
        make("Resize", ["p", "", "", "s"], ["u"], mode="nearest"), make("Add", ["x", "u"], ["y"]),
    ],
    "average of a remainder": [
        make("AveragePool", ["x"], ["y"], kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1),
    ],
    "slice": [*HALF, make("Slice", ["x", "0v", "hv", "2v"], ["y"])],
    "slice to a root": [
        *HEIGHT, make("Cast", ["h"], ["hf"], to=1), make("Sqrt", ["hf"], ["q"]),
        make("Cast", ["q"], ["c"], to=7),
        make("Unsqueeze", ["c", "0v"], ["cv"]), make("Slice", ["x", "0v", "cv", "2v"], ["y"]),
    ],
    "pad": [
        *HEIGHT, *MIX, make("Concat", ["0v"] * 6 + ["rv", "0v"], ["t"], axis=0),
        make("Pad", ["x", "t"], ["y"]),
    ],
    "pad by reflection": [
        *HEIGHT, *MIX, make("Concat", ["0v"] * 6 + ["rv", "1v"], ["t"], axis=0),
        make("Pad", ["x", "t"], ["y"], mode="reflect"),
    ],
    "expand": [make("ReduceMean", ["x"], ["m"], axes=[2, 3]), make("Expand", ["m", "s"], ["y"])],
    "range": [
        *HEIGHT, make("Cast", ["h"], ["hf"], to=1), make("Range", ["0f", "hf", "1f"], ["r"]),
        make("Unsqueeze", ["r", "1v"], ["u"]), make("Add", ["x", "u"], ["y"]),
    ],
    "range in fractions": [
        *HEIGHT, make("Cast", ["h"], ["hf"], to=1), make("Range", ["0f", "hf", "1.5"], ["y"]),
    ],
    "tile": [*HALF, make("Concat", ["1v", "1v", "hv", "2v"], ["t"], axis=0), make("Tile", ["x", "t"], ["y"])],
    "split": [make("Split", ["x"], ["a", "b"], axis=3), make("Add", ["a", "b"], ["y"])],
    "one-hot": [
        make("ArgMax", ["x"], ["a"], axis=2, keepdims=0), *HEIGHT, make("OneHot", ["a", "h", "onoff"], ["y"]),
    ],
}  # fmt: skip


@pytest.mark.parametrize("label", SIZES)
def test_sizes_from_shapes(label: str, tmp_path: Path) -> None:
    nodes = [make("Shape", ["x"], ["s"]), *SIZES[label]]
    used = {name for node in nodes for name in node.input}
    arrays = {name: x for name, x in ARRAYS.items() if name in used}
    path = written(tmp_path / "m.onnx", nodes, ["n", 3, "h", "w"], arrays)
    assert agrees(path, (1, 3, 8, 10), (2, 3, 9, 6)).trainable_variables == []


def value(name: str, shape: Any = None, kind: int = TensorProto.FLOAT) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)


def test_loops_over_sizes_that_are_open(tmp_path: Path) -> None:
    """A recurrent layer of TensorFlow: as many rows as the input has steps, in a loop that counts itself."""
    body = helper.make_graph(
        [
            make("Add", ["i", "one"], ["next"]),
            make("Gather", ["x", "i"], ["slice"], axis=1),
            make("Add", ["state", "slice"], ["new"]),
            make("Identity", ["new"], ["row"]),
            make("Less", ["next", "steps"], ["on"]),
        ],
        "body",
        [
            value("n", [], TensorProto.INT64),
            value("go", [], TensorProto.BOOL),
            value("i", [], TensorProto.INT64),
            value("state"),
        ],
        [value("on", [], TensorProto.BOOL), value("next", [], TensorProto.INT64), value("new"), value("row")],
    )
    nodes = [
        make("Shape", ["x"], ["shape"]),
        make("Gather", ["shape", "one"], ["steps"]),
        make("Less", ["zero", "steps"], ["begins"]),
        make("ReduceSum", ["x", "axis"], ["sums"], keepdims=0),
        make("Loop", ["", "begins", "zero", "sums"], ["last", "state_1", "y"], body=body),
    ]
    arrays = {"zero": np.array(0), "one": np.array(1), "axis": np.array([1])}
    path = written(tmp_path / "m.onnx", nodes, ["batch", "time", 3], arrays, result=["time", "batch", 3])
    session = runtime.InferenceSession(path)
    model = load_onnx(path)
    for shape in ((2, 4, 3), (1, 7, 3)):
        (expected,) = session.run(None, {"x": floats(*shape)})
        np.testing.assert_allclose(model.run(None, {"x": floats(*shape)})[0], expected, rtol=1e-5)


def decoder(path: Path, count: int) -> Path:
    """A loop as Paddle writes it: inputs of the body hide names outside, states say where rows are."""
    shapes = {"then": make("Identity", ["go"], ["then"]), "else": make("Unsqueeze", ["go", "axis"], ["else"])}
    branches = {
        f"{name}_branch": helper.make_graph([node], name, [], [value(name, None, TensorProto.BOOL)])
        for name, node in shapes.items()
    }
    body = helper.make_graph(
        [
            make("Slice", ["x", "at", "end"], ["row"]),
            make("Slice", ["x", "none", "at"], ["before"]),
            make("Slice", ["x", "end", "rows"], ["after"]),
            make("Mul", ["row", "row"], ["square"]),
            make("Concat", ["before", "square", "after"], ["new"], axis=0),
            make("Add", ["at", "axis_1"], ["next"]),
            make("Add", ["end", "axis_1"], ["next_end"]),
            make("ReduceMax", ["new"], ["most"], keepdims=0),
            make("Less", ["most", "bound"], ["is_small"]),
            make("If", ["is_small"], ["kept"], **branches),
            make("Reshape", ["kept", "empty"], ["on"]),
        ],
        "body",
        [
            value("i", [], TensorProto.INT64),
            value("go", [], TensorProto.BOOL),
            value("x"),
            value("at", None, TensorProto.INT64),
            value("end", None, TensorProto.INT64),
        ],
        [
            value("on", [], TensorProto.BOOL),
            value("new"),
            value("next", None, TensorProto.INT64),
            value("next_end", None, TensorProto.INT64),
        ],
    )
    nodes = [make("Loop", ["count", "", "x", "none", "axis_1"], ["y", "at_1", "end_1"], body=body)]
    arrays = {
        "count": np.array(count), "none": np.array([0]), "axis": np.array([0]), "axis_1": np.array([1]),
        "rows": np.array([99]), "bound": np.float32(1e3), "empty": np.array([], "int64"),
    }  # fmt: skip
    return written(path, nodes, [count + 2, 3], arrays, opset=14, result=[count + 2, 3])


def test_loops_that_read_their_states(tmp_path: Path) -> None:
    path = decoder(tmp_path / "m.onnx", 3)
    (expected,) = runtime.InferenceSession(path).run(None, {"x": floats(5, 3)})
    np.testing.assert_allclose(load_onnx(path).run(None, {"x": floats(5, 3)})[0], expected, rtol=1e-5)


def test_iterations_do_not_search_the_history_of_all_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    searched = []
    monkeypatch.setattr(sizes, "count_steps", searched.append)
    path = decoder(tmp_path / "m.onnx", 40)
    (expected,) = runtime.InferenceSession(path).run(None, {"x": floats(42, 3)})
    np.testing.assert_allclose(load_onnx(path).run(None, {"x": floats(42, 3)})[0], expected, rtol=1e-5)
    assert sum(searched) < 100
