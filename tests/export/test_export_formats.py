"""Models as ONNX, StableHLO and LiteRT: other programs compute what we do. Skipped where they are missing."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import applications, layers
from hornbeam.engines import installed

RNG = np.random.default_rng(0)
needs_onnx = pytest.mark.skipif("onnxruntime" not in installed(), reason="needs ONNX and ONNX Runtime")


def floats(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype("float32")


def images() -> tuple[hb.Model, list[np.ndarray]]:
    hidden = [layers.Conv2D(4, 3, activation="relu"), layers.BatchNormalization(), layers.MaxPooling2D()]
    end = [layers.Dropout(0.2), layers.Flatten(), layers.Dense(5, "softmax")]
    return hb.Sequential([hb.Input((8, 8, 1)), *hidden, *end]), [floats(6, 8, 8, 1)]


def words() -> tuple[hb.Model, list[np.ndarray]]:
    steps = [layers.Bidirectional(layers.LSTM(3, return_sequences=True)), layers.GRU(4), layers.Dense(2)]
    model = hb.Sequential([hb.Input((7,), dtype="int32"), layers.Embedding(20, 8, mask_zero=True), *steps])
    return model, [RNG.integers(0, 20, (6, 7)).astype("int32")]


def attention() -> tuple[hb.Model, list[np.ndarray]]:
    x, extra = hb.Input((6, 16), name="x"), hb.Input((16,), name="extra")
    y = layers.LayerNormalization()(x + layers.MultiHeadAttention(2, 8)(x, x))
    y = layers.Dense(16, "gelu")(y) + layers.Reshape((1, 16))(extra)
    pooled = layers.GlobalAveragePooling1D(name="pooled")(y)
    return hb.Model([x, extra], [pooled, y]), [floats(6, 6, 16), floats(6, 16)]


def upwards() -> tuple[hb.Model, list[np.ndarray]]:
    steps = [layers.Conv2DTranspose(3, 3, 2), layers.UpSampling2D(2), layers.SeparableConv2D(4, 3)]
    end = [layers.GroupNormalization(2), layers.AveragePooling2D(2), layers.Reshape((-1, 4)), layers.LSTM(3)]
    return hb.Sequential([hb.Input((5, 5, 2)), *steps, *end]), [floats(6, 5, 5, 2)]


def mobilenet() -> tuple[hb.Model, list[np.ndarray]]:
    model = applications.MobileNetV2(weights=None, input_shape=(32, 32, 3), classes=10, alpha=0.35)
    return model, [floats(6, 32, 32, 3)]


CASES: dict[str, Callable[[], tuple[hb.Model, list[np.ndarray]]]] = {
    "images": images, "words": words, "attention": attention, "upwards": upwards, "mobilenet": mobilenet,
}  # fmt: skip


def predicted(model: hb.Model, inputs: list[np.ndarray]) -> list[np.ndarray]:
    predictions = model.predict(inputs if len(inputs) > 1 else inputs[0], verbose=0)
    return predictions if isinstance(predictions, list) else [predictions]


# In a process of its own, which has nothing of Hornbeam's.
SESSION = """
import sys, numpy as np, onnx, onnxruntime
onnx.checker.check_model(onnx.load(sys.argv[1]), full_check=True)
options = onnxruntime.SessionOptions()
options.log_severity_level = 3
session = onnxruntime.InferenceSession(sys.argv[1], options)
given = np.load(sys.argv[2])
assert sorted(given) == sorted(i.name for i in session.get_inputs()), [i.name for i in session.get_inputs()]
found = {}
for rows in (1, 4, 6):
    outputs = session.run(None, {name: array[:rows] for name, array in given.items()})
    for info, value in zip(session.get_outputs(), outputs):
        found[f"{info.name} {rows}"] = value
np.savez(sys.argv[3], **found)
"""


@needs_onnx
@pytest.mark.parametrize("case", CASES)
def test_onnx_for_batches_of_any_size(case: str, tmp_path: Path) -> None:
    model, inputs = CASES[case]()
    model.export(tmp_path / "model.onnx", format="onnx", verbose=False)
    np.savez(tmp_path / "x.npz", **dict(zip(model.input_names, inputs, strict=True)))
    files = [str(tmp_path / name) for name in ("model.onnx", "x.npz", "y.npz")]
    subprocess.run([sys.executable, "-c", SESSION, *files], check=True)
    loaded = np.load(files[2])
    for rows in (1, 4, 6):
        expected = predicted(model, [x[:rows] for x in inputs])
        for name, value in zip(model.output_names, expected, strict=True):
            np.testing.assert_allclose(loaded[f"{name} {rows}"], value, rtol=1e-4, atol=1e-5)


@needs_onnx
def test_a_folder_that_runs_by_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, _ = images()
    model.export(tmp_path / "served", format="onnx")
    assert "Saved to" in capsys.readouterr().out
    signature = json.loads((tmp_path / "served" / "signature.json").read_text())
    assert [i["shape"] for i in signature["inputs"]] == [["batch", 8, 8, 1]]
    assert [(o["name"], o["shape"]) for o in signature["outputs"]] == [(model.output_names[0], ["batch", 5])]
    example = [sys.executable, "example.py"]
    ran = subprocess.run(example, cwd=tmp_path / "served", check=True, capture_output=True, text=True)
    assert "float32 (1, 5)" in ran.stdout


@needs_onnx
def test_names_of_weights_are_those_of_layers(tmp_path: Path) -> None:
    import onnx

    model = hb.Sequential([hb.Input((3,)), layers.Dense(2, name="first"), layers.Dense(1)])
    model.export(tmp_path / "model.onnx", format="onnx", verbose=False)
    loaded = onnx.load(tmp_path / "model.onnx")
    names = {tensor.name for tensor in loaded.graph.initializer}
    assert {"first/kernel", "first/bias", "dense_1/kernel", "dense_1/bias"} <= names
    assert {name for node in loaded.graph.node for name in node.input} >= names  # none is left over


@needs_onnx
def test_what_onnx_cannot_say(tmp_path: Path) -> None:
    class Rows(layers.Layer):
        def call(self, x: Any) -> Any:
            return x[::2] if x.shape[0] < 4 else x  # another graph for another size

    model = hb.Sequential([hb.Input((3,)), Rows()])
    with pytest.raises(ValueError, match=r"something else for batch=2.*in input_signature"):
        model.export(tmp_path / "model.onnx", format="onnx")
    assert not (tmp_path / "model.onnx").exists()
    model.export(tmp_path / "model.onnx", "onnx", False, [hb.InputSpec(shape=(4, 3))])
    with pytest.raises(ValueError, match="is not built"):
        hb.Sequential([layers.Dense(1)]).export(tmp_path / "x.onnx", format="onnx")
    with pytest.raises(NotImplementedError, match="tf_saved_model, onnx, hornbeam, web, stablehlo, litert"):
        model.export(tmp_path / "x", format="pickle")


NEEDS_JAX = pytest.mark.skipif(
    "jax" not in installed() or importlib.util.find_spec("flatbuffers") is None,
    reason="needs JAX and flatbuffers",
)


def stablehlo(model: hb.Model, folder: Path) -> tuple[str, Any]:
    """The text of a model's file, and what JAX loads from it."""
    import jax.export

    model.export(folder / "hlo", format="stablehlo", verbose=False)
    data = bytearray((folder / "hlo" / "model.jax").read_bytes())
    return (folder / "hlo" / "model.mlir").read_text(), jax.export.deserialize(data)


@NEEDS_JAX
@pytest.mark.parametrize("case", ["images", "attention"])
def test_stablehlo(case: str, tmp_path: Path) -> None:
    model, inputs = CASES[case]()
    text, loaded = stablehlo(model, tmp_path)
    one = [x[:1] for x in inputs]
    result = loaded.call(*one)
    for ours, value in zip(
        result if isinstance(result, (list, tuple)) else [result], predicted(model, one), strict=True
    ):
        np.testing.assert_allclose(np.asarray(ours), value, rtol=1e-4, atol=1e-5)
    assert "stablehlo" in text


@NEEDS_JAX
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16", "mixed_float16"])
def test_stablehlo_of_dtypes(dtype: str, tmp_path: Path) -> None:
    import jax

    parts = [layers.Conv2D(4, 3, padding="same", dtype=dtype), layers.BatchNormalization(dtype=dtype)]
    parts += [layers.ReLU(6, dtype=dtype), layers.Flatten(dtype=dtype), layers.Dense(3, dtype=dtype)]
    model = hb.Sequential([layers.Input((6, 6, 2), dtype=parts[0].compute_dtype), *parts])
    text, loaded = stablehlo(model, tmp_path)
    x = np.random.default_rng(0).normal(size=(3, 6, 6, 2))
    with jax.enable_x64(True):
        got = np.asarray(loaded.call(x.astype(loaded.in_avals[0].dtype))).astype("float32")
    near = 2e-2 if dtype == "bfloat16" else 2e-3 if "float16" in dtype else 1e-5
    np.testing.assert_allclose(got, model.predict(x, verbose=0).astype("float32"), rtol=near, atol=near)
    if dtype == "float32":  # folded into the convolution, and one operation for both bounds
        assert "rsqrt" not in text
        assert text.count("stablehlo.clamp") == 1


@NEEDS_JAX
def test_stablehlo_of_int8(tmp_path: Path) -> None:
    model = hb.Sequential([layers.Input((8,)), layers.Dense(16, "relu"), layers.Dense(4)])
    model.quantize("int8")
    _, loaded = stablehlo(model, tmp_path)
    x = np.random.default_rng(0).normal(size=(3, 8)).astype("float32")
    np.testing.assert_allclose(np.asarray(loaded.call(x)), model.predict(x, verbose=0), atol=1e-5)


@pytest.mark.skipif("tensorflow" not in installed(), reason="needs TensorFlow")
@pytest.mark.filterwarnings("ignore")  # TensorFlow's interpreter moves to another package
def test_litert(tmp_path: Path) -> None:
    import tensorflow as tf

    model, (x,) = images()
    with pytest.raises(ValueError, match=r"must end in \.tflite"):
        model.export(tmp_path / "model", format="litert")
    model.export(tmp_path / "model.tflite", format="litert", verbose=False)
    runner = tf.lite.Interpreter(str(tmp_path / "model.tflite")).get_signature_runner("serve")
    (name,) = runner.get_input_details()
    (result,) = runner(**{name: x[:1]}).values()
    np.testing.assert_allclose(result, model.predict(x[:1], verbose=0), rtol=1e-4, atol=1e-5)
