"""Every ONNX operator that we read, beside ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hornbeam
from hornbeam import layers, ops
from hornbeam.core.tensor import Tensor
from hornbeam.ir.trace import trace_body
from hornbeam.ir.types import TensorType
from hornbeam.onnx.operators.vocabulary import OPERATORS
from hornbeam.saving import load_onnx

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")

from tests.helpers.onnx_cases import Case, cases, floats  # noqa: E402

ALL = cases()
IN_ONNX_S_OWN_TESTS = """
    AffineGrid Attention BitCast BlackmanWindow CausalConvWithState CenterCropPad Col2Im Compress
    ConcatFromSequence ConvInteger CumProd DFT DeformConv Det DynamicQuantizeLinear GlobalLpPool
    GridSample HammingWindow HannWindow LinearAttention LpPool MatMulInteger MaxUnpool
    MelWeightMatrix NegativeLogLikelihoodLoss NonMaxSuppression NonZero QLinearConv QLinearMatMul
    RMSNormalization ReverseSequence RoiAlign RotaryEmbedding STFT SequenceAt SequenceConstruct
    RegexFullMatch SequenceEmpty SequenceErase SequenceInsert SequenceLength SoftmaxCrossEntropyLoss
    SplitToSequence StringConcat StringNormalizer StringSplit Swish TensorScatter TfIdfVectorizer Unique
"""


def expected(data: bytes, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    return runtime.InferenceSession(data, options, providers=["CPUExecutionProvider"]).run(None, feeds)


def outputs_of(path: Path, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
    model = load_onnx(path)
    inputs = [feeds[x.name] for x in model.inputs]
    outputs = model(inputs[0] if len(inputs) == 1 else inputs)
    return [np.asarray(y) for y in (outputs if isinstance(outputs, list) else [outputs])]


@pytest.mark.parametrize("case", ALL, ids=lambda case: case.label)
def test_operator(case: Case, tmp_path: Path) -> None:
    data = case.model.SerializeToString()
    path = tmp_path / "case.onnx"
    path.write_bytes(data)
    for mine, theirs in zip(outputs_of(path, case.feeds), expected(data, case.feeds), strict=True):
        assert mine.dtype == theirs.dtype
        np.testing.assert_allclose(mine, theirs, rtol=2e-5, atol=1e-5)


def test_the_table_is_covered() -> None:
    """Operators without a case of their own here are run by the models below, or by ONNX's own tests
    (`test_onnx_backend.py`); those of other domains in `test_onnx_microsoft.py` and `test_onnx_ml.py`.
    """
    tested = {node.op_type for case in ALL for node in case.model.graph.node}
    elsewhere = {"If", "Scan", "Loop"}
    standard = {name for name in OPERATORS if "::" not in name} - {"SimplifiedLayerNormalization"}
    assert standard - tested - elsewhere == set(IN_ONNX_S_OWN_TESTS.split())


def written(
    tmp_path: Path, nodes: list[Any], arrays: dict[str, np.ndarray], shape: Any, opset: int = 21
) -> Path:
    """A model of x (float32) that gives y."""
    helper, float32 = onnx.helper, onnx.TensorProto.FLOAT
    model = helper.make_model(
        helper.make_graph(
            nodes,
            "g",
            [helper.make_tensor_value_info("x", float32, shape)],
            [helper.make_tensor_value_info("y", float32, None)],
            [onnx.numpy_helper.from_array(x, name) for name, x in arrays.items()],
        ),
        opset_imports=[helper.make_opsetid("", opset)],
        ir_version=10,
    )
    path = tmp_path / "model.onnx"
    onnx.save(model, path)
    return path


def test_shapes_are_computed_with_an_unknown_batch(tmp_path: Path) -> None:
    make = onnx.helper.make_node
    nodes = [
        make("Shape", ["x"], ["s"]),
        make("Gather", ["s", "zero"], ["n"], axis=0),
        make("Unsqueeze", ["n", "first"], ["n1"]),
        make("Concat", ["n1", "rest"], ["to"], axis=0),
        make("Reshape", ["x", "to"], ["r"]),
        make("Cast", ["n"], ["nf"], to=1),
        make("Mul", ["r", "nf"], ["y"]),
    ]
    arrays = {"zero": np.array(0), "first": np.array([0]), "rest": np.array([2, -1])}
    path = written(tmp_path, nodes, arrays, ["n", 4])
    model = load_onnx(path)
    assert model.inputs[0].shape == (None, 4)
    assert model.outputs[0].shape == (None, 2, 2)
    for n in (1, 5):
        x = np.random.default_rng(0).random((n, 4), "float32")
        np.testing.assert_allclose(np.asarray(model(x)), expected(path.read_bytes(), {"x": x})[0], rtol=1e-6)


@pytest.mark.parametrize("known", [True, False])
def test_branches(tmp_path: Path, known: bool) -> None:
    helper, float32 = onnx.helper, onnx.TensorProto.FLOAT
    out = [helper.make_tensor_value_info("b", float32, None)]
    branches = {
        f"{name}_branch": helper.make_graph([helper.make_node(op, ["x"], ["b"])], name, [], out)
        for name, op in (("then", "Exp"), ("else", "Neg"))
    }
    first = (
        [helper.make_node("Size", ["x"], ["t"]), helper.make_node("Greater", ["t", "four"], ["c"])]
        if known
        else [
            helper.make_node("ReduceSum", ["x"], ["t"], keepdims=0),
            helper.make_node("Greater", ["t", "zero"], ["c"]),
        ]
    )
    arrays = {"four": np.array(4), "zero": np.array(0, "float32")}
    path = written(tmp_path, [*first, helper.make_node("If", ["c"], ["y"], **branches)], arrays, ["n", 3])
    for x in (np.ones((1, 3), "float32"), np.full((2, 3), -1, "float32")):
        np.testing.assert_allclose(
            outputs_of(path, {"x": x})[0], expected(path.read_bytes(), {"x": x})[0], rtol=1e-6
        )


def emitted(tmp_path: Path, fn: Any, *shapes: tuple[int, ...]) -> tuple[Path, Any]:
    """A file that our own emitter wrote of a function, and the names of its inputs."""
    from hornbeam.onnx.emitter.emit import Emitter
    from hornbeam.onnx.emitter.table import MAKERS, TABLE

    graph = trace_body(lambda *xs: [fn(*map(Tensor, xs)).node], [TensorType(s, "float32") for s in shapes])[0]
    result = Emitter(TABLE, MAKERS).model(graph)
    path = tmp_path / "emitted.onnx"
    onnx.save(result, path)
    return path, result


def again(path: Path, *arrays: np.ndarray) -> np.ndarray:
    """Return the outputs of a file for its inputs in their order."""
    names = [x.name for x in load_onnx(path).inputs]
    return outputs_of(path, dict(zip(names, arrays, strict=True)))[0]


def test_what_we_emit_comes_back(tmp_path: Path) -> None:
    """Convolutions, pools, attention and a recurrence, through the file and back."""

    def fn(x: Any, kernel: Any, w: Any) -> Any:
        y = ops.max_pool(ops.relu(ops.conv(x, kernel, padding="same")), 2)
        rows = ops.transpose(ops.reshape(y, (2, 16, 4)), (1, 0, 2))
        _, rows = ops.scan(lambda h, row: (ops.tanh(h @ w + row), h), ops.zeros((2, 4)), rows, reverse=True)
        heads = ops.reshape(ops.layer_normalization(rows), (16, 2, 2, 2))
        rows = ops.reshape(ops.dot_product_attention(heads, heads, heads), (16, 8))
        return ops.softmax(ops.cumsum(rows, 1) * ops.cumprod(1 + 0.1 * ops.gelu(rows), 1))

    arrays = [floats(2, 8, 8, 2), floats(3, 3, 2, 4), floats(4, 4)]
    path, result = emitted(tmp_path, fn, *(x.shape for x in arrays))
    assert {"Scan", "CumProd", "Conv"} <= {node.op_type for node in result.graph.node}
    np.testing.assert_allclose(again(path, *arrays), np.asarray(fn(*arrays)), rtol=1e-4, atol=1e-6)


def test_loops(tmp_path: Path) -> None:
    def fn(x: Any) -> Any:
        return ops.while_loop(lambda y: ops.sum(y) < 100, lambda y: (y * 2,), (ops.abs(x) + 0.1,))[0]

    path, result = emitted(tmp_path, fn, (3, 2))
    assert "Loop" in {node.op_type for node in result.graph.node}
    x = np.random.default_rng(0).standard_normal((3, 2)).astype("float32")
    np.testing.assert_allclose(again(path, x), np.asarray(fn(x)), rtol=1e-6)


def test_chains_of_convolutions_stay_with_channels_last(tmp_path: Path) -> None:
    """Between convolutions nothing is moved: a transpose at the beginning, and one at the end."""
    make = onnx.helper.make_node
    nodes = [
        make("Conv", ["x", "w"], ["a"], pads=[1, 1, 1, 1]),
        make("Relu", ["a"], ["b"]),
        make("Add", ["b", "bias"], ["c"]),
        make("MaxPool", ["c"], ["d"], kernel_shape=[2, 2]),
        make("Clip", ["d", "", "high"], ["e"]),
        make("Conv", ["e", "w"], ["f"]),
        make("Add", ["f", "f"], ["y"]),
    ]
    arrays = {
        "w": np.ones((3, 3, 3, 3), "float32"),
        "bias": np.ones((3, 1, 1), "float32"),
        "high": np.array(4, "float32"),
    }
    path = written(tmp_path, nodes, arrays, [2, 3, 8, 8])
    layer = load_onnx(path).layers[1]
    x = np.random.default_rng(0).random((2, 3, 8, 8), "float32")
    np.testing.assert_allclose(
        outputs_of(path, {"x": x})[0], expected(path.read_bytes(), {"x": x})[0], rtol=1e-5
    )
    body = trace_body(lambda x: [layer(Tensor(x)).node], [TensorType((2, 3, 8, 8), "float32")])[0]
    large = [n for n in body.nodes if n.name == "transpose" and n.shape[0] == 2]
    assert len(large) == 2


def test_arrays_of_one_number_are_literals(tmp_path: Path) -> None:
    """As captured values they would be as large as the results: Paddle writes a hard swish with them."""
    make = onnx.helper.make_node
    nodes = [
        make("Conv", ["x", "w"], ["a"]),
        make("Mul", ["scale", "a"], ["b"]),
        make("Add", ["b", "three"], ["c"]),
        make("Transpose", ["c"], ["d"], perm=[0, 2, 3, 1]),
        make("Div", ["d", "three"], ["y"]),
    ]
    arrays = {
        "w": np.ones((3, 3, 1, 1), "float32"),
        "scale": np.array([0.5], "float32"),
        "three": np.array([[[3]]], "float32"),
    }
    path = written(tmp_path, nodes, arrays, [2, 3, 8, 8])
    layer = load_onnx(path).layers[1]
    x = np.random.default_rng(0).random((2, 3, 8, 8), "float32")
    np.testing.assert_allclose(
        outputs_of(path, {"x": x})[0], expected(path.read_bytes(), {"x": x})[0], rtol=1e-5
    )
    body = trace_body(lambda x: [layer(Tensor(x)).node], [TensorType((2, 3, 8, 8), "float32")])[0]
    assert all(node.shape[:1] != (2,) for node in body.inputs[1:])


def test_our_export_comes_back_trainable(tmp_path: Path) -> None:
    """Weights inside of loops are trained too."""
    model = hornbeam.Sequential(
        [layers.Input((6, 3)), layers.LSTM(5, return_sequences=True), layers.GRU(4), layers.Dense(2)]
    )
    model.export(tmp_path / "model.onnx", format="onnx", verbose=False)
    again = load_onnx(tmp_path / "model.onnx")
    x = floats(4, 6, 3)
    np.testing.assert_allclose(again.predict(x, verbose=0), model.predict(x, verbose=0), rtol=1e-5, atol=1e-6)
    assert len(again.trainable_variables) == len(model.trainable_variables)
    again.compile("adam", "mse")
    losses = again.fit(x, np.zeros((4, 2), "float32"), epochs=5, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
