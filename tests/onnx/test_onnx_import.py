"""Models out of ONNX files: right, trainable, saved like any other; and what files must not do."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import hornbeam as hb
from hornbeam.cli import main
from hornbeam.errors import ModelFileError
from hornbeam.ir.types import ShapeError
from hornbeam.onnx.reading import wire
from hornbeam.onnx.reading.wire import packed_integers
from hornbeam.saving import load_model, load_onnx
from hornbeam.visualization.model_graph import operator_boxes
from tests.helpers.onnx_bytes import (
    external,
    graph,
    lengthy,
    message,
    model,
    node,
    tensor,
    value,
    varint,
)

GOLDEN = Path(__file__).parent.parent / "golden" / "onnx"
FILES = sorted(GOLDEN.glob("*.onnx"))


def data_of(path: Path) -> Any:
    return np.load(GOLDEN / f"{path.stem.split('_')[0]}.npz")


# -- models of PyTorch's -------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_outputs_agree(path: Path) -> None:
    data = data_of(path)
    loaded = load_model(path)
    assert [x.name for x in loaded.inputs] == ["x"]
    assert loaded.inputs[0].shape[0] is None
    assert loaded.outputs[0].shape == (None, data["y"].shape[1])
    np.testing.assert_allclose(loaded.predict(data["x"], verbose=0), data["y"], rtol=1e-4, atol=1e-6)
    one = loaded.predict(data["x"][:1], verbose=0)
    np.testing.assert_allclose(one, data["y"][:1], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_gradients_agree(path: Path) -> None:
    """Those of the last layer, as PyTorch computed them."""
    data = data_of(path)
    model = load_onnx(path)
    loss = hb.losses.SparseCategoricalCrossentropy(from_logits=True)
    weights = model.trainable_variables
    labels, x = data["labels"], data["x"]

    def cost(*values: Any) -> Any:
        fixed = [v for v in model.non_trainable_variables]
        return loss(labels, model.stateless_call(values, fixed, x)[0])

    gradients = hb.grad(cost, tuple(range(len(weights))))(*weights)
    for expected in (data["kernel"], data["bias"]):
        near = [s for s in map(np.asarray, gradients) if s.shape in (expected.shape, expected.T.shape)]
        errors = [
            min(np.abs(t - expected).max() for t in (s, s.T) if t.shape == expected.shape) for s in near
        ]
        assert min(errors) < 1e-6


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_fine_tuning_lowers_the_loss(path: Path) -> None:
    data = data_of(path)
    model = load_onnx(path)
    model.compile(hb.optimizers.Adam(0.03), hb.losses.SparseCategoricalCrossentropy(from_logits=True))
    losses = model.fit(data["x"], data["labels"], epochs=15, verbose=0).history["loss"]
    assert losses[-1] < 0.5 * losses[0]


def test_saving(tmp_path: Path) -> None:
    path = GOLDEN / "transformer_dynamo.onnx"
    result, x = load_onnx(path), data_of(path)["x"]
    result.compile("adam", hb.losses.SparseCategoricalCrossentropy(from_logits=True))
    result.fit(x, data_of(path)["labels"], verbose=0)
    result.save(tmp_path / "m.keras")
    again = load_model(tmp_path / "m.keras")
    expected = result.predict(x, verbose=0)
    np.testing.assert_array_equal(again.predict(x, verbose=0), expected)
    result.save_weights(tmp_path / "m.weights.h5")
    third = load_onnx(path)
    third.load_weights(tmp_path / "m.weights.h5")
    np.testing.assert_array_equal(third.predict(x, verbose=0), expected)


def test_arrays_alone() -> None:
    path = GOLDEN / "resnet_script.onnx"
    arrays = load_model(path, weights_only=True)
    assert {tuple(v.shape) for v in load_onnx(path).weights} <= {x.shape for x in arrays.values()}


def test_the_summary_counts_weights(capsys: Any) -> None:
    model = load_onnx(GOLDEN / "recurrent_script.onnx")
    model.summary()
    assert "OnnxGraph" in capsys.readouterr().out
    assert model.count_params() == sum(v.size for v in model.weights) > 1000


# -- which arrays are trained --------------------------------------------------------------------------------


def saved(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "model.onnx"
    path.write_bytes(data)
    return path


def floats(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype("float32")


def test_trained_and_untrained_arrays(tmp_path: Path) -> None:
    mask = np.where(np.tri(3) > 0, 0, -np.inf).astype("float32")
    nodes = [
        node("Sub", ["x", "mean"], ["a"]),
        node("Transpose", ["kernel"], ["k"]),
        node("MatMul", ["a", "k"], ["b"]),
        node("Add", ["b", "bias"], ["c"]),
        node("Add", ["c", "mask"], ["d"]),
        node("Mul", ["d", "half"], ["y"]),
    ]
    arrays = {
        "mean": floats(3),
        "kernel": floats(3, 3),
        "bias": floats(3),
        "mask": mask[:1],
        "half": floats(1)[0:1],
    }
    result = load_onnx(saved(tmp_path, model(graph(nodes, [tensor(k, x) for k, x in arrays.items()]))))
    assert {v.name for v in result.trainable_variables} == {"kernel", "bias"}
    assert result.non_trainable_variables == []


def test_weights_behind_operators_that_cut_and_join_are_trained(tmp_path: Path) -> None:
    """As PyTorch writes gates of recurrent layers, and a token of a class in front of others."""
    nodes = [
        node("Slice", ["gates", "zero", "two", "zero"], ["first"]),
        node("Concat", ["first", "second"], ["kernel"], axis=0),
        node("MatMul", ["x", "kernel"], ["h"]),
        node("Shape", ["x"], ["shape"]),
        node("Expand", ["token", "shape"], ["tokens"]),
        node("Concat", ["tokens", "h"], ["both"], axis=0),
        node("GatherND", ["table", "places"], ["row"]),
        node("Add", ["both", "row"], ["y"]),
    ]
    arrays = {
        "gates": floats(4, 3), "second": floats(1, 3), "token": floats(1, 3), "table": floats(2, 3),
        "zero": np.array([0]), "two": np.array([2]), "places": np.array([1]),
    }  # fmt: skip
    result = load_onnx(saved(tmp_path, model(graph(nodes, [tensor(k, x) for k, x in arrays.items()]))))
    assert {v.name for v in result.trainable_variables} == {"gates", "second", "token", "table"}
    x = floats(2, 3)
    kernel = np.concatenate([arrays["gates"][:2], arrays["second"]])
    expected = np.concatenate([arrays["token"].repeat(2, 0), x @ kernel]) + arrays["table"][1]
    np.testing.assert_allclose(np.asarray(result(x)), expected, rtol=1e-5)


def test_names_that_layers_cannot_have_together(tmp_path: Path) -> None:
    nodes = [node("Add", ["a/b", "a_b"], ["c"]), node("Add", ["c", "onnx_graph"], ["y"])]
    inputs = [value(name, ["n", 3]) for name in ("a/b", "a_b", "onnx_graph")]
    result = load_onnx(saved(tmp_path, model(graph(nodes, input=inputs))))
    assert result.input_names == ["a_b", "a_b_input", "onnx_graph"]
    x = floats(2, 3)
    np.testing.assert_array_equal(result.predict([x, x, x], verbose=0), x + x + x)


def test_several_outputs_have_names(tmp_path: Path) -> None:
    nodes = [node("Relu", ["x"], ["y"]), node("Neg", ["x"], ["part/z"])]
    outputs = [value("y", ["n", 3]), value("part/z", ["n", 3])]
    result = load_onnx(saved(tmp_path, model(graph(nodes, output=outputs))))
    assert result.output_names == ["y", "part_z"]
    y, z = result.predict(np.array([[1, -2, 3]], "float32"), verbose=0)
    assert y.tolist() == [[1, 0, 3]]
    assert z.tolist() == [[-1, 2, -3]]


# -- files from strangers ------------------------------------------------------------------------------------

GEMM = [node("Gemm", ["x", "w"], ["y"])]
RELU = [node("Relu", ["x"], ["y"])]
W = tensor("w", floats(3, 3))


def nested(depth: int) -> bytes:
    inner = graph(RELU, input=[], output=[value("y", [3])])
    for _ in range(depth):
        inner = graph(
            [node("If", ["c"], ["y"], then_branch=inner, else_branch=graph(RELU, input=[]))], input=[]
        )
    return inner


BAD: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "no graph"),
    "text": (b"hello, this is no model at all", "ModelFile|field|number|wire"),
    "no version": (message("model", ir_version=9, graph=graph(RELU)), "which version"),
    "new": (model(graph(RELU), opset=99), "operator sets 1 to"),
    "own domain": (
        model(graph([node("Attention", ["x"], ["y"], domain="ai.example")])),
        "ai.example::Attention",
    ),
    "missing": (
        model(graph([node("Optional", ["x"], ["a"]), node("Bernoulli", ["a"], ["y"])])),
        "Bernoulli, Optional",
    ),
    "cycle": (
        model(graph([node("Add", ["x", "b"], ["a"]), node("Neg", ["a"], ["b"]), node("Neg", ["b"], ["y"])])),
        "a cycle",
    ),
    "missing input": (model(graph([node("Add", ["x", "unknown"], ["y"])])), "'unknown'"),
    "missing output": (model(graph(RELU, output=[value("z", [3])])), "'z'"),
    "given twice": (model(graph([*RELU, *RELU])), "must be unique"),
    "array twice": (model(graph(GEMM, [W, W])), "two arrays"),
    "second graph": (model(graph(RELU)) + lengthy(7, graph(RELU)), "graph"),
    "no inputs": (model(graph(RELU, [tensor("x", floats(3))])), "no inputs"),
    "huge": (
        model(graph(GEMM, [tensor("w", floats(3, 3), dims=[1 << 40, 1 << 20])])),
        "larger than its",
    ),
    "large": (model(graph(GEMM, [tensor("w", floats(3, 3), dims=[1 << 12, 1 << 12])])), "has 36 bytes"),
    "negative": (model(graph(GEMM, [tensor("w", floats(3, 3), dims=[-3, -3])])), "shape"),
    "short": (model(graph(GEMM, [tensor("w", floats(3, 3), raw_data=b"abc")])), "has 3 bytes"),
    "strange dtype": (model(graph(GEMM, [tensor("w", floats(3, 3), data_type=14)])), "dtype 14"),
    "bools": (
        model(
            graph([node("Where", ["w", "x", "x"], ["y"])], [tensor("w", np.array([True]), raw_data=b"\2")])
        ),
        "0 and 1",
    ),
    "deep": (model(nested(40)), "nested"),
    "deeper": (model(nested(400)), "nested"),
    "cut": (model(graph(GEMM, [W]))[:-9], "longer than what is left|cut off"),
    "packed": (
        model(graph(GEMM, [message("tensor", dims=[3, 3], data_type=7, name="w") + lengthy(7, b"\xff" * 9)])),
        "cut off",
    ),
    "sequence": (model(graph(RELU, input=[message("value", name="x", type=b"")])), "not a tensor"),
    "constant": (model(graph([node("Constant", [], ["c"], value_what=3), *RELU])), "constant is written as"),
}


@pytest.mark.parametrize("label", BAD)
def test_bad_files_are_refused(label: str, tmp_path: Path) -> None:
    data, rule = BAD[label]
    with pytest.raises(ModelFileError, match=rule):
        load_onnx(saved(tmp_path, data))


def test_fields_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Empty nodes take two bytes in a file, and hundreds in memory: 2 MB of them are refused soon."""
    path = saved(tmp_path, model(graph([b""] * 1_000_000)))
    start = time.process_time()
    with pytest.raises(ModelFileError, match="more than 1500000 fields"):
        load_onnx(path)
    assert time.process_time() - start < 15
    monkeypatch.setattr(wire, "MAX_VARINT_BYTES", 1000)
    array = message("tensor", dims=[2000], data_type=7, name="w") + lengthy(7, b"\1" * 2000)
    with pytest.raises(ModelFileError, match="raw_data"):
        load_onnx(saved(tmp_path, model(graph(RELU, [array]))))


@settings(max_examples=30)
@given(st.lists(st.integers(-(2**63), 2**63 - 1)))
def test_packed_numbers(values: list[int]) -> None:
    data = b"".join(map(varint, values))
    assert packed_integers(np.frombuffer(data, np.uint8)).tolist() == values


def _plain(folder: Path) -> dict[str, Any]:
    (folder / "w.bin").write_bytes(b"\0" * 4 + floats(3, 3).tobytes())
    return {"location": "w.bin", "offset": 4, "length": 36}


def _link(folder: Path) -> dict[str, Any]:
    (folder / "real.bin").write_bytes(bytes(36))
    (folder / "w.bin").symlink_to(folder / "real.bin")
    return {"location": "w.bin"}


def _hard_link(folder: Path) -> dict[str, Any]:
    (folder / "real.bin").write_bytes(bytes(36))
    os.link(folder / "real.bin", folder / "w.bin")
    return {"location": "w.bin"}


def _above(folder: Path) -> dict[str, Any]:
    (folder.parent / "w.bin").write_bytes(bytes(36))
    return {"location": "../w.bin"}


def _absolute(folder: Path) -> dict[str, Any]:
    (folder / "w.bin").write_bytes(bytes(36))
    return {"location": str(folder / "w.bin")}


def _inside(folder: Path) -> dict[str, Any]:
    (folder / "sub").mkdir()
    (folder / "sub" / "w.bin").write_bytes(bytes(36))
    return {"location": "sub/w.bin"}


def _short(folder: Path) -> dict[str, Any]:
    (folder / "w.bin").write_bytes(bytes(20))
    return {"location": "w.bin"}


def _folder(folder: Path) -> dict[str, Any]:
    (folder / "w.bin").mkdir()
    return {"location": "w.bin"}


def _pipe(folder: Path) -> dict[str, Any]:
    os.mkfifo(folder / "w.bin")
    return {"location": "w.bin"}


def test_data_beside_the_file(tmp_path: Path) -> None:
    result = load_onnx(saved(tmp_path, model(graph(GEMM, [external("w", [3, 3], **_plain(tmp_path))]))))
    x = floats(2, 3)
    np.testing.assert_allclose(result.predict(x, verbose=0), x @ floats(3, 3), rtol=1e-5)


@pytest.mark.parametrize(
    ("index", "rule"),
    [
        pytest.param(_link, "link", marks=pytest.mark.posix),
        pytest.param(_hard_link, "plain file", marks=pytest.mark.posix),
        (_above, "plain file"),
        (_absolute, "plain file"),
        (_inside, "plain file"),
        (_short, "which has 20"),
        (_folder, "not a plain file"),
        pytest.param(_pipe, "not a plain file", marks=pytest.mark.posix),
        (lambda _: {"location": "w.bin"}, "does not exist"),
        (lambda _: {"location": ""}, "plain file"),
        (lambda _: {"location": ".."}, "plain file"),
        (lambda f: {**_plain(f), "offset": -4}, "is not a number"),
        (lambda f: {**_plain(f), "offset": 1 << 50}, "which has"),
        (lambda f: {**_plain(f), "length": 4}, "needs 36"),
        (lambda _: {"location": "w\0.bin"}, "plain file"),
        (lambda _: {"location": "C:w.bin"}, "plain file"),
        (lambda _: {"location": "..\\w.bin"}, "plain file"),
    ],
)
def test_data_elsewhere_is_refused(
    index: Callable[[Path], dict[str, Any]], rule: str, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    with pytest.raises(ModelFileError, match=rule):
        load_onnx(saved(folder, model(graph(GEMM, [external("w", [3, 3], **index(folder))]))))


def test_a_saved_graph_is_checked_as_a_file_is(tmp_path: Path) -> None:
    layer = load_onnx(saved(tmp_path, model(graph(GEMM, [W])))).layers[1]
    config = layer.get_config()
    for change, rule in (
        ({"opset": 0}, "operator sets"),
        ({"nodes": [{"op": "Evil", "name": "", "inputs": [], "outputs": ["y"], "attributes": {}}]}, "Evil"),
        ({"nodes": "x"}, "list of nodes"),
        ({"constants": {"c": {"dtype": "float32", "shape": [1 << 30], "data": "AAAA"}}}, "shape"),
        ({"inputs": [{"name": "x", "dtype": "str", "shape": []}]}, "dtype"),
    ):
        with pytest.raises(ValueError, match=rule):
            hb.layers.OnnxGraph.from_config({**config, "graph": {**config["graph"], **change}})


def test_shapes_from_data(tmp_path: Path) -> None:
    """A call reads the values; predict, which compiles the model for all data, says that it cannot."""
    nodes = [node("Cast", ["x"], ["s"], to=7), node("Reshape", ["x", "s"], ["y"])]
    loaded = load_onnx(saved(tmp_path, model(graph(nodes, input=[value("x", [3])]))))
    x = np.array([3.0, 1.0, 1.0], "float32")
    np.testing.assert_array_equal(loaded(x), x.reshape(3, 1, 1))
    with pytest.raises(ValueError, match=r"its shape is computed from the data.* model\(x\)"):
        loaded.predict(x, verbose=0)


def test_a_version_is_compiled_for_each_value_that_decides_a_shape(tmp_path: Path) -> None:
    nodes = [node("Tile", ["x", "k"], ["y"])]
    path = saved(tmp_path, model(graph(nodes, input=[value("x", ["n", 3]), value("k", [2], 7)])))
    loaded = load_onnx(path)
    x = floats(2, 3)
    for count in range(1, 15):
        y = loaded([x, np.array([1, count])])
        assert y.node.name == "call"
        np.testing.assert_array_equal(y.numpy(), np.tile(x, (1, count)))
    loaded([x, np.array([1, 15])]), loaded([x, np.array([1, 16])])
    with pytest.warns(UserWarning, match="16 are compiled"):
        loaded([x, np.array([1, 17])])
    np.testing.assert_array_equal(loaded([x, np.array([1, 18])]).numpy(), np.tile(x, (1, 18)))
    (again,) = loaded.run(None, {"x": x, "k": [1, 2]})
    np.testing.assert_array_equal(again, np.tile(x, (1, 2)))


def test_a_branch_that_is_not_taken_may_be_impossible(tmp_path: Path) -> None:
    """A net for two sampling rates has a branch for each, whose sizes do not fit the other's windows."""

    def branch(rows: int) -> bytes:
        nodes = [node("Reshape", ["x", f"rows{rows}"], ["z"])]
        shape = tensor(f"rows{rows}", np.array([rows, 3], "int64"))
        return message("graph", node=nodes, name="b", initializer=[shape], output=[value("z", ["a", "b"])])

    nodes = [
        node("Equal", ["rate", "eight"], ["slow"]),
        node("If", ["slow"], ["y"], then_branch=branch(7), else_branch=branch(4)),
    ]
    inputs = [value("x", ["n", 3]), value("rate", [], 7)]
    body = graph(nodes, [tensor("eight", np.array(8, "int64"))], input=inputs)
    loaded = load_onnx(saved(tmp_path, model(body)))
    x = floats(4, 3)
    for _ in range(2):
        np.testing.assert_array_equal(loaded.run(None, {"x": x, "rate": 16})[0], x)
    with pytest.raises(ShapeError):
        loaded.run(None, {"x": x, "rate": 8})


def test_predict_says_how_to_call_a_model_with_inputs_without_samples(tmp_path: Path) -> None:
    inputs = [value("x", ["n", 3]), value("factor", [])]
    loaded = load_onnx(saved(tmp_path, model(graph([node("Mul", ["x", "factor"], ["y"])], input=inputs))))
    x = floats(2, 3)
    with pytest.raises(ShapeError, match=r"no axis of samples \('factor' of shape \(\)\).*model.run\(None"):
        loaded.predict([x, np.float32(2)])
    np.testing.assert_array_equal(loaded.run(["y"], {"x": x, "factor": 2})[0], 2 * x)


def test_a_file_is_inspected_without_building_it(tmp_path: Path) -> None:
    nodes = [node("Gemm", ["x", "w"], ["h"]), node("Evil", ["h"], ["y"])]
    path = saved(tmp_path, model(graph(nodes, [tensor("w", floats(3, 2))])))
    inspection = hb.saving.inspect_model(path)
    assert inspection.kind == "ONNX model"
    assert inspection.parameters == 6
    assert inspection.refused == ["the operator Evil is not supported: nodes 'n'"]
    text = str(inspection)
    assert "the input x  float32 (None, 3)" in text
    assert "2 nodes: 1 Gemm, 1 Evil" in text
    assert hb.saving.verify_model(path) == inspection.refused
    unnamed = [node("Relu", ["x"], ["h"]), message("node", input=["h"], output=["y"], op_type="Evil")]
    inspection = hb.saving.inspect_model(saved(tmp_path, model(graph(unnamed))))
    assert inspection.refused == ["the operator Evil is not supported: nodes 'y'"]


def test_operators_are_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Branches inside of their nodes; also as a part of a model's drawing."""
    pytest.importorskip("matplotlib")
    branches = {
        f"{name}_branch": graph([node(op, ["x"], ["y"]), node(op, ["y"], ["z"])], input=[])
        for name, op in (("then", "Relu"), ("else", "Neg"))
    }
    nodes = [
        node("Cast", ["b"], ["c"], to=9),
        node("If", ["c"], ["i"], **branches),
        node("Evil", ["i", "x"], ["y"]),
    ]
    path = saved(tmp_path, model(graph(nodes, input=[value("x", [3]), value("b", [])])))
    boxes = operator_boxes(hb.saving.inspect_model(path).graph or {})
    assert [box.lines for box in boxes] == [["x"], ["b"], ["Cast"], ["If"], ["Evil", "not supported"]]
    assert [box.inputs for box in boxes] == [[], [], [1], [2], [3, 0]]
    assert [(box.lines[0], box.inputs) for box in boxes[3].inner] == [
        ("Relu", []),
        ("Relu", [0]),
        ("Neg", []),
        ("Neg", [2]),
    ]
    drawing = tmp_path / "m.svg"
    assert main(["inspect", str(path), "--drawing", str(drawing)]) == 0
    assert drawing.read_text().count("not supported") == 1
    other = tmp_path / "m.npz"
    np.savez(other, w=floats(2))
    assert main(["inspect", str(other), "--drawing", str(drawing)]) == 1
    assert "is no .onnx file" in capsys.readouterr().err
    loaded = load_onnx(FILES[0])
    outer = hb.utils.plot_model(loaded, None, expand_nested=True).boxes
    assert [len(box.inner) > 9 for box in outer] == [False, True, False]


def test_an_attribute_that_is_not_known_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="attributes that are not supported: sharpness"):
        load_onnx(saved(tmp_path, model(graph([node("Relu", ["x"], ["y"], sharpness=2)]))))


def test_a_folder_and_nothing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="folder"):
        load_onnx(tmp_path)
    with pytest.raises(FileNotFoundError, match="does not exist"):
        load_onnx(tmp_path / "none.onnx")


SEEDS = (
    [path.read_bytes() for path in FILES[:1]]
    + [data for data, _ in BAD.values() if len(data) < 2000]
    + [
        model(graph(GEMM, [W])),
        model(graph([node("If", ["x"], ["y"], then_branch=graph(RELU), else_branch=graph(RELU))])),
    ]
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(SEEDS),
    st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, 255)), max_size=4),
    st.booleans(),
)
@pytest.mark.filterwarnings("ignore")
def test_mutated_files_are_refused_or_loaded(
    tmp_path: Path, seed: bytes, changes: list[tuple[int, int]], cut: bool
) -> None:
    data = bytearray(seed)
    for index, byte in changes:
        if data:
            data[index % len(data)] = byte
    if cut and changes:
        del data[changes[0][0] % (len(data) + 1) :]
    with contextlib.suppress(ModelFileError):
        load_onnx(saved(tmp_path, bytes(data)))
