"""Layers with quantized weights: near the float layer, trained around them, saved and loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hornbeam
from hornbeam import dtype_policies, layers, ops, quantizers
from hornbeam.core.jit import trace_function
from hornbeam.ir.types import TensorType

X = np.random.default_rng(0).normal(size=(4, 3, 24)).astype("float32")
CONFIGS: dict[str, Any] = {
    "int8": lambda: quantizers.Int8QuantizationConfig(),
    "int8 weights": lambda: quantizers.Int8QuantizationConfig(activation_quantizer=None),
    "int4 blocks": lambda: quantizers.Int4QuantizationConfig(block_size=5),
    "int4 channels": lambda: quantizers.Int4QuantizationConfig(block_size=None),
    "int4 inputs": lambda: quantizers.Int4QuantizationConfig(
        block_size=None, activation_quantizer=quantizers.AbsMaxQuantizer()
    ),
    "float8": lambda: quantizers.Float8QuantizationConfig(),
}
LAYERS: dict[str, Any] = {
    "Dense": lambda: layers.Dense(7, activation="tanh"),
    "EinsumDense": lambda: layers.EinsumDense("abc,cde->abde", (None, 2, 5), bias_axes="de"),
    "EinsumDense ...": lambda: layers.EinsumDense("...c,dc->...d", (None, 5)),
    "EinsumDense two sums": lambda: layers.EinsumDense("abc,bcd->ad", 6),
    "EinsumDense shared axis": lambda: layers.EinsumDense("abc,bdc->abd", (3, 5)),
}
# Relative errors of products, by bits and rounding of inputs.
TOLERANCE = {"int8": 0.02, "int8 weights": 0.01, "float8": 0.06}


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("make", LAYERS)
def test_outputs_are_near_those_of_floats(make: str, name: str, tmp_path: Path) -> None:
    hornbeam.utils.set_random_seed(0)
    layer = LAYERS[make]()
    model = hornbeam.Sequential([hornbeam.Input((3, 24)), layer])
    expected = model.predict(X, verbose=0)
    model.quantize(config=CONFIGS[name]())
    outputs = model.predict(X, verbose=0)
    error = np.sqrt(np.square(outputs - expected).mean()) / expected.std()
    assert 0 < error < TOLERANCE.get(name, 0.2)
    assert layer.quantization_mode == name.split()[0]
    np.testing.assert_allclose(layer(X), outputs, rtol=1e-5, atol=1e-6)
    model.save(tmp_path / "model.keras")
    again = hornbeam.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again.predict(X, verbose=0), outputs)
    assert again.layers[0].dtype_policy == layer.dtype_policy


@pytest.mark.parametrize("make", ["Dense", "EinsumDense", "EinsumDense ..."])
def test_the_native_engine_multiplies_the_integers(make: str) -> None:
    hornbeam.utils.set_random_seed(0)
    model = hornbeam.Sequential([hornbeam.Input((3, 24)), LAYERS[make](), layers.Dense(70)])
    model.quantize("int8")
    outputs = {name: _predicted(model, name) for name in ("reference", "native")}
    np.testing.assert_allclose(outputs["native"], outputs["reference"], rtol=1e-6, atol=1e-6)
    plans = [predictor.plan for predictor in model._hb_trainer.predictors.values()]
    (text,) = [plan._executable.text for plan in plans if plan.engine.name == "native"]
    assert text.count("quantized_") == 2
    assert "dot_general" not in text


def test_a_call_computes_no_kernel_of_floats_for_its_gradient() -> None:
    layer = layers.Dense(70)
    layer.build((None, 24))
    layer.quantize("int8")
    traced = trace_function(layer, [TensorType((1, 24), "float32")])
    assert any(node.name == "custom_gradient" for node in traced.graph.nodes)
    kernels = [node for node in traced.graph.nodes if node.type == TensorType((24, 70), "float32")]
    assert all(node.name == "convert" for node in kernels)


def _predicted(model: hornbeam.Model, engine: str) -> np.ndarray:
    with hornbeam.engines.using(engine):
        return model.predict(X, verbose=0)


@pytest.mark.parametrize("name", [name for name in CONFIGS if name != "float8"])
@pytest.mark.parametrize("tied", [True, False])
def test_embeddings_both_ways(tied: bool, name: str) -> None:
    hornbeam.utils.set_random_seed(0)
    layer = layers.ReversibleEmbedding(11, 24, tie_weights=tied)
    layer.build()
    indices = np.array([[1, 5, 10]])
    vectors, logits = layer(indices).numpy(), layer(X, reverse=True).numpy()
    layer.quantize(config=CONFIGS[name]())
    for outputs, expected in ((layer(indices), vectors), (layer(X, reverse=True), logits)):
        error = np.sqrt(np.square(outputs - expected).mean()) / expected.std()
        assert 0 < error < TOLERANCE.get(name, 0.2)


@pytest.mark.parametrize("name", ["int8", "int4 blocks", "int4 inputs"])
def test_gradients_are_those_of_the_dequantized_kernel(name: str) -> None:
    layer = layers.Dense(7)
    layer.build((None, 24))
    layer.quantize(config=CONFIGS[name]())
    upstream = np.random.default_rng(1).normal(size=(4, 3, 7)).astype("float32")
    gradient = hornbeam.grad(lambda x: ops.sum(layer(x) * upstream))(X)
    kernel = layer._decoded().numpy()
    np.testing.assert_allclose(gradient, upstream @ kernel.T, rtol=1e-4, atol=1e-5)


def test_float8_trains_and_follows_its_scales() -> None:
    hornbeam.utils.set_random_seed(0)
    model = hornbeam.Sequential([hornbeam.Input((24,)), layers.Dense(16, activation="relu"), layers.Dense(1)])
    model.quantize("float8")
    x = X.reshape(-1, 24)
    y = x[:, :1] * 100.0
    model.compile(hornbeam.optimizers.Adam(0.05), "mse")
    losses = model.fit(x, y, epochs=30, batch_size=12, verbose=0).history["loss"]
    assert losses[-1] < 0.1 * losses[0]
    dense = model.layers[0]
    np.testing.assert_allclose(dense.inputs_amax_history.numpy()[0], np.abs(x).max(), rtol=1e-6)
    np.testing.assert_allclose(dense.inputs_scale.numpy(), np.abs(x).max() / 448, rtol=1e-5)
    assert dense.outputs_grad_scale.numpy() != 1.0
    assert len(model.optimizer.variables) == 2 + 2 * 4  # kernels and biases alone have slots


def test_a_policy_builds_quantized_layers() -> None:
    for policy, mode in (("int8_from_float32", "int8"), ("int4/8_from_float32", "int4")):
        layer = layers.Dense(6, dtype=policy)
        layer.build((None, 24))
        assert layer.quantization_mode == mode
        assert layer.weights[-1].dtype in ("float32", "int8")
        floats = layers.Dense(6)
        floats.build((None, 24))
        expected = floats(X).numpy()
        floats.dtype_policy = policy
        assert [(v.name, v.shape) for v in floats.weights] == [(v.name, v.shape) for v in layer.weights]
        assert np.abs(floats(X) - expected).max() < 0.5
    floats = layers.Dense(6)
    floats.build((None, 24))
    with pytest.raises(ValueError, match="GPTQ looks at data"):
        floats.dtype_policy = "gptq/4/-1_from_float32"


def test_constructors_get_names_or_policies_that_quantize() -> None:
    received = []

    class Noted(layers.Dense):
        def __init__(self, units: int, dtype: Any = None, **kwargs: Any) -> None:
            received.append(dtype)
            super().__init__(units, dtype=dtype, **kwargs)

    for name in ("mixed_bfloat16", "int8_from_float32"):
        Noted.from_config(layers.Dense(2, dtype=name).get_config())
    assert received == ["mixed_bfloat16", dtype_policies.get("int8_from_float32")]


def test_policies_of_a_map_are_those_of_the_layers() -> None:
    policies = dtype_policies.DTypePolicyMap("float32", {"mha/query": "int8_from_float32"})
    attention = layers.MultiHeadAttention(2, 8, dtype=policies, name="mha")
    attention.build((None, 3, 24), (None, 3, 24))
    assert attention.query_dense.quantization_mode == "int8"
    assert attention.key_dense.quantization_mode is None


def test_compiled_functions_see_the_new_weights() -> None:
    hornbeam.utils.set_random_seed(0)
    model = hornbeam.Sequential([hornbeam.Input((24,)), layers.Dense(5)])
    model.compile("sgd", "mse")
    x, y = X[:, 0], np.ones((4, 5), "float32")
    before = model.predict(x, verbose=0), model.evaluate(x, y, verbose=0)
    model.layers[0].quantize("int4", config=quantizers.Int4QuantizationConfig(block_size=None))
    after = model.predict(x, verbose=0), model.evaluate(x, y, verbose=0)
    assert np.abs(after[0] - before[0]).max() > 0
    assert after[1] != before[1]
    np.testing.assert_allclose(after[0], model(x), rtol=1e-5)


# Rounding to float8 works on bits, which ONNX can read since operators of version 26.
@pytest.mark.parametrize(("mode", "opset_version"), [("int8", None), ("int4", None), ("float8", 26)])
def test_models_with_quantized_weights_are_exported(
    mode: str, opset_version: int | None, tmp_path: Path
) -> None:
    pytest.importorskip("onnx")
    model = hornbeam.Sequential([hornbeam.Input((24,)), layers.Dense(7, activation="relu"), layers.Dense(3)])
    model.quantize(mode)
    x = X.reshape(-1, 24)
    model.export(tmp_path / "model.onnx", format="onnx", opset_version=opset_version)
    outputs = hornbeam.models.load_model(tmp_path / "model.onnx").predict(x, verbose=0)
    np.testing.assert_allclose(outputs, model.predict(x, verbose=0), rtol=1e-3, atol=1e-3)


def test_the_export_of_float8_says_what_is_missing(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    model = hornbeam.Sequential([hornbeam.Input((24,)), layers.Dense(7)])
    model.quantize("float8")
    with pytest.raises(NotImplementedError, match="an export with opset_version=26 has it"):
        model.export(tmp_path / "model.onnx", format="onnx")
    assert not (tmp_path / "model.onnx").exists()


def test_filters_choose_layers() -> None:
    for filters, expected in (
        ("first", ["first"]),
        (["^first$", "ond"], ["first", "second"]),
        (lambda layer: layer.name != "first", ["second", "third"]),
    ):
        model = hornbeam.Sequential(
            [hornbeam.Input((4,)), *(layers.Dense(4, name=name) for name in ("first", "second", "third"))]
        )
        model.quantize("int8", filters=filters)
        assert [layer.name for layer in model.layers if layer.quantization_mode] == expected
    with pytest.raises(ValueError, match="filters must be"):
        model.quantize("int8", filters=3)  # type: ignore[arg-type]


def test_layers_without_a_quantized_form_are_named() -> None:
    model = hornbeam.Sequential([hornbeam.Input((4, 4)), layers.Conv1D(3, 2), layers.ReLU(), layers.Dense(2)])
    with pytest.warns(UserWarning, match=r"\(Conv1D\) have no such form"):
        model.quantize("int8")
    assert model.layers[-1].quantization_mode == "int8"


class Doubled(layers.Dense):
    pass


@pytest.mark.parametrize(
    ("make", "arguments", "error", "message"),
    [
        (lambda: layers.Dense(2), ("int8",), ValueError, "is not built"),
        (lambda: _built(layers.Dense(2)), ("int9",), ValueError, "unknown quantization mode"),
        (lambda: _built(layers.Dense(2, dtype="float16")), ("int8",), ValueError, "overflow"),
        (lambda: _built(Doubled(2)), ("int8",), NotImplementedError, "no quantized form"),
        (lambda: _built(layers.Embedding(3, 2)), ("float8",), NotImplementedError, "modes are int8, int4"),
        (lambda: _built(layers.Conv1D(2, 1)), ("int8",), NotImplementedError, "no quantized form"),
    ],
)
def test_what_cannot_be_quantized(make: Any, arguments: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        make().quantize(*arguments)


def _built(layer: Any) -> Any:
    layer.build((None, 4, 4))
    return layer


def test_layers_are_quantized_once() -> None:
    layer = _built(layers.Dense(2))
    layer.quantize("int8")
    with pytest.raises(ValueError, match=r"quantized already \(int8_from_float32\)"):
        layer.quantize("int4")
    with pytest.raises(NotImplementedError, match="no quantized form"):
        layers.ReLU(dtype="int8_from_float32")(X)


def test_weights_of_4_bits_are_small(tmp_path: Path) -> None:
    sizes = []
    for mode in (None, "int8", "int4"):
        model = hornbeam.Sequential([hornbeam.Input((512,)), layers.Dense(512)])
        if mode is not None:
            model.quantize(mode)
        model.save(tmp_path / "model.keras")
        sizes.append((tmp_path / "model.keras").stat().st_size)
    assert sizes[1] < 0.3 * sizes[0]
    assert sizes[2] < 0.18 * sizes[0]
