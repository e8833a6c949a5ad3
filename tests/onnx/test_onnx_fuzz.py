"""Random legal uses of every operator: as ONNX Runtime computes them, or refused by name."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hornbeam.errors import GraphError, ModelFileError
from hornbeam.onnx.operators.vocabulary import OPERATORS
from hornbeam.saving import load_onnx

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")
state = runtime.capi.onnxruntime_pybind11_state

from tests.helpers.onnx_fuzz import RECIPES, Use, drawn, model_of  # noqa: E402

# What is refused, by its sentence.
REFUSED = re.compile(
    "sampling_ratio=0|mode='max' is not supported|input_forget=1 is not|activations .* are not supported"
)
# Operators that are tested elsewhere: with graphs, with sequences, of training, and of few settings.
ELSEWHERE = """
    Attention BitCast BlackmanWindow CausalConvWithState ConcatFromSequence ConstantOfShape Dropout
    HammingWindow HannWindow If LinearAttention Loop MelWeightMatrix NegativeLogLikelihoodLoss
    RegexFullMatch RotaryEmbedding Scan SequenceAt SequenceConstruct SequenceEmpty SequenceErase
    SequenceInsert SequenceLength SimplifiedLayerNormalization SoftmaxCrossEntropyLoss
    SplitToSequence StringConcat StringNormalizer StringSplit TensorScatter TfIdfVectorizer
"""


def reference(data: bytes, feeds: dict[str, np.ndarray]) -> list[np.ndarray] | None:
    """Results of ONNX Runtime, None where it has no kernel for a type or version, or they overflow."""
    options = runtime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = runtime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        results = session.run(None, feeds)
    except (
        state.Fail,
        state.InvalidArgument,
        state.InvalidGraph,
        state.NotImplemented,
        state.RuntimeException,
    ):
        return None
    return None if any(x.dtype.kind == "f" and not np.isfinite(x).all() for x in results) else results


def differs(op: str, seed: int, path: Path) -> str:
    """ "" if a use gives the same results, why it was not compared, or else how it differs."""
    use = drawn(op, seed)
    model, feeds = model_of(use)
    expected = reference(model.SerializeToString(), feeds)
    if expected is None:
        return "skipped"
    onnx.save(model, path)
    label = f"{op}, seed {seed}, version {use.opset}, {use.attributes}"
    try:
        loaded = load_onnx(path)
        inputs = [feeds[x.name] for x in loaded.inputs]
        outputs = loaded(inputs[0] if len(inputs) == 1 else inputs)
    except (GraphError, ModelFileError) as error:
        return "refused" if REFUSED.search(str(error)) else f"{label}: {error}"
    for mine, theirs in zip(outputs if isinstance(outputs, list) else [outputs], expected, strict=True):
        y = np.asarray(mine)
        if y.shape != theirs.shape or y.dtype != theirs.dtype:
            return f"{label}: {y.dtype}{y.shape} for {theirs.dtype}{theirs.shape}"
        atol = 1e-2 if theirs.dtype == np.float16 else 1e-4
        if not np.allclose(y.astype("float64"), theirs.astype("float64"), 10 * atol, atol):
            return f"{label}: values differ"
    return ""


def check(seeds: range, folder: Path) -> None:
    results = [differs(op, seed, folder / "use.onnx") for op in sorted(RECIPES) for seed in seeds]
    wrong = [text for text in results if text not in ("", "skipped", "refused")]
    assert not wrong, "\n".join(wrong)[:3000]
    assert results.count("") > 0.9 * len(results)


def test_a_sample(tmp_path: Path) -> None:
    check(range(1), tmp_path)


@pytest.mark.parametrize(("op", "seed"), [("LSTM", 4), ("LSTM", 7), ("GRU", 3), ("GRU", 10)])
def test_peepholes_activations_and_clips(op: str, seed: int, tmp_path: Path) -> None:
    """Of two directions, with settings, and of gates."""
    assert differs(op, seed, tmp_path / "use.onnx") == ""


def test_small_variances(tmp_path: Path) -> None:
    """The constant is added to the deviation, not to the variance."""
    x = np.float32([[[[0, 2e-6]]]])
    model, _ = model_of(Use("MeanVarianceNormalization", [x], attributes={"axes": [3]}, opset=13))
    onnx.save(model, tmp_path / "m.onnx")
    np.testing.assert_allclose(np.asarray(load_onnx(tmp_path / "m.onnx")(x)).ravel(), [-1, 1], rtol=2e-3)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(1, 41, 8))
def test_all_seeds(first: int, tmp_path: Path) -> None:
    check(range(first, first + 8), tmp_path)


def test_every_operator_is_drawn() -> None:
    standard = {name for name in OPERATORS if "::" not in name}
    assert standard - set(RECIPES) == set(ELSEWHERE.split())


def made(op: str, *inputs: Any, **attributes: Any) -> Any:
    """A model of one node whose inputs are x and arrays of the file."""
    names = ["x", *(f"w{i}" for i in range(len(inputs)))]
    arrays = [x if isinstance(x, onnx.TensorProto) else onnx.numpy_helper.from_array(x) for x in inputs]
    for array, name in zip(arrays, names[1:], strict=True):
        array.name = name
    value = onnx.helper.make_tensor_value_info
    nodes = [onnx.helper.make_node(op, names[1:], ["y"], **attributes)]
    nodes.append(onnx.helper.make_node("Identity", ["x"], ["z"]))
    outputs = [value("y", 1, None), value("z", 1, [2])]
    graph = onnx.helper.make_graph(nodes, "g", [value("x", 1, [2])], outputs, arrays)
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 21)], ir_version=10)


@pytest.mark.parametrize("code", [onnx.TensorProto.UINT4, onnx.TensorProto.INT4])
@pytest.mark.parametrize("shape", [(3, 5), (2, 4)])
def test_numbers_of_four_bits(code: int, shape: tuple[int, int], tmp_path: Path) -> None:
    """Weights of quantized models; operators that would take them as bytes are refused."""
    numbers = np.random.default_rng(0).integers(-8 if code == onnx.TensorProto.INT4 else 0, 7, shape)
    packed = onnx.helper.make_tensor("w", code, shape, numbers.reshape(-1))
    scale = np.array([0.1, 0.2, 0.3][: shape[0]], "float32")
    model, feeds = made("DequantizeLinear", packed, scale, axis=0), {"x": np.zeros(2, "float32")}
    onnx.save(model, tmp_path / "m.onnx")
    expected = reference(model.SerializeToString(), feeds)
    assert expected is not None
    np.testing.assert_allclose(
        np.asarray(load_onnx(tmp_path / "m.onnx")(feeds["x"])[0]), expected[0], rtol=1e-6
    )
    onnx.save(made("Cast", packed, to=1), tmp_path / "m.onnx")
    with pytest.raises(
        ModelFileError, match="arrays of four bits are read for DequantizeLinear, not for Cast"
    ):
        load_onnx(tmp_path / "m.onnx")
