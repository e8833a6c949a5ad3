"""`hornbeam.quantization.calibrate`: models in int8, what they compute, and what the report says of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import layers
from hornbeam.quantization import calibrate
from hornbeam.quantization.layers import QuantizedConv2D, QuantizedDense, QuantizedDepthwiseConv2D
from hornbeam.quantization.scales import InputValues
from hornbeam.runtime import FrozenModel
from hornbeam.training.profiler import fresh_steps

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(80, 8, 8, 3)).astype("float32")
LABELS = (IMAGES.mean((1, 2)) @ RNG.normal(size=(3, 4))).argmax(1)


def convolutional() -> hb.Model:
    """Return a trained model with folded and other batch normalizations, a residual and a depthwise layer."""
    hb.utils.set_random_seed(0)
    inputs = hb.Input((8, 8, 3))
    x = layers.Conv2D(16, 3, padding="same", use_bias=False, name="first")(inputs)
    x = layers.BatchNormalization(name="first_norm")(x)
    x = skip = layers.ReLU()(x)
    x = layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x)
    x = layers.BatchNormalization(scale=False, name="depthwise_norm")(x)
    x = layers.Conv2D(16, 1, activation="relu", name="pointwise")(x)
    x = layers.BatchNormalization(name="after_relu")(x)
    x = layers.MaxPooling2D()(layers.Add()([x, skip]))
    x = layers.Flatten()(x)
    model = hb.Model(inputs, layers.Dense(4, activation="softmax", name="scores")(x), name="small")
    model.compile(hb.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(IMAGES, LABELS, epochs=8, verbose=0)
    return model


@pytest.fixture(scope="module")
def model() -> hb.Model:
    return convolutional()


@pytest.fixture(scope="module")
def result(model: hb.Model) -> Any:
    return calibrate(model, IMAGES[:40], (IMAGES[40:], LABELS[40:]))


def by_hand(x: np.ndarray, layer: Any) -> np.ndarray:
    """Return the integers of the inputs times those of the kernel, as Dense computes them, in NumPy."""
    q = np.clip(np.rint(x * np.asarray(layer.inputs_scale)), -127, 127).astype(np.int64)
    sums = q @ np.asarray(layer._kernel).astype(np.int64)
    return sums / (np.asarray(layer.inputs_scale) * np.asarray(layer.kernel_scale)) + np.asarray(layer.bias)


def test_predictions_stay_close(model: hb.Model, result: Any) -> None:
    before, after = model.predict(IMAGES, verbose=0), result.model.predict(IMAGES, verbose=0)
    assert 0 < np.abs(before - after).max() < 0.15
    assert np.corrcoef(before.ravel(), after.ravel())[0, 1] > 0.995


def test_the_model_itself_does_not_change(model: hb.Model) -> None:
    before = model.get_weights()
    calibrate(model, IMAGES[:8])
    for ours, theirs in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert type(model.get_layer("first")) is layers.Conv2D


def test_layers_and_batch_normalizations(result: Any) -> None:
    types = {layer.name: type(layer) for layer in result.model.layers}
    assert types["first"] is types["pointwise"] is QuantizedConv2D
    assert types["depthwise"] is QuantizedDepthwiseConv2D
    assert types["scores"] is QuantizedDense
    # A relu lies between this one and its convolution.
    assert types["first_norm"] is types["depthwise_norm"] is layers.Identity
    assert types["after_relu"] is layers.BatchNormalization
    assert result.layers == dict.fromkeys(("first", "depthwise", "pointwise", "scores"), "int8")
    kernel = result.model.get_layer("first")._kernel
    assert kernel.dtype == "int8"
    np.testing.assert_array_equal(np.abs(np.asarray(kernel, "int32")).max((0, 1, 2)), 127)


def test_dense_layers_multiply_integers(result: Any) -> None:
    layer = result.model.get_layer("scores")
    x = RNG.normal(size=(5, 256)).astype("float32") * 3
    expected = by_hand(x, layer)
    expected = np.exp(expected - expected.max(1, keepdims=True))
    np.testing.assert_allclose(layer(x), expected / expected.sum(1, keepdims=True), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("options", [{}, {"strides": 2, "padding": "same"}, {"dilation_rate": 2}])
@pytest.mark.parametrize("kind", ["Conv2D", "DepthwiseConv2D", "Conv1D", "DepthwiseConv1D"])
def test_convolutions_are_exact_in_integers(kind: str, options: dict[str, Any]) -> None:
    """The compiled convolution, which the native engine does in int8, equals that of integers as floats."""
    hb.utils.set_random_seed(1)
    spatial = (9, 7) if kind.endswith("2D") else (11,)
    arguments = (3,) if kind.startswith("Depthwise") else (5, 3)
    inputs = hb.Input((*spatial, 6))
    plain = getattr(layers, kind)(*arguments, **options, bias_initializer="normal", name="plain")
    model = hb.Model(inputs, plain(inputs))
    x = RNG.normal(size=(4, *spatial, 6)).astype("float32")
    small = calibrate(model, x).model
    layer = small.get_layer("plain")
    q = np.clip(np.rint(x * np.asarray(layer.inputs_scale)), -127, 127)
    integers = np.asarray(layer.kernel if kind.startswith("Depthwise") else layer._kernel, "float32")
    plain.set_weights([integers, np.zeros_like(layer.bias)])
    scale = np.asarray(layer.inputs_scale) * np.asarray(layer.kernel_scale)
    expected = np.asarray(plain(q)) / scale + np.asarray(layer.bias)
    np.testing.assert_allclose(small.predict(x, verbose=0), expected, rtol=1e-5, atol=1e-5)


def chain() -> hb.Model:
    """Return an untrained model with all that the native engine does in one pass with sums of integers."""
    hb.utils.set_random_seed(3)
    inputs = hb.Input((9, 9, 5))
    x = layers.ReLU(1.0)(layers.Conv2D(24, 3, padding="same", bias_initializer="normal")(inputs))
    x = layers.ReLU()(layers.DepthwiseConv2D(3, bias_initializer="normal")(x))
    skip = x = layers.Conv2D(24, 1, activation="linear", use_bias=False)(x)
    x = layers.Conv2D(24, 3, padding="same", activation="relu")(x)
    x = layers.ReLU()(layers.Add()([layers.Conv2D(24, 3, padding="same")(x), skip]))
    x = layers.Conv2D(40, 2)(layers.ZeroPadding2D(((1, 2), (0, 1)))(x))
    x = layers.MaxPooling2D()(layers.ReLU()(x))
    return hb.Model(inputs, layers.Dense(7)(layers.Conv2D(70, 3)(x)))


def test_results_are_those_of_the_reference_engine() -> None:
    """Sums of integers are exact, and so is all that the native engine does to them in one pass."""
    small = calibrate(chain(), RNG.normal(size=(8, 9, 9, 5))).model
    x = RNG.normal(size=(70, 9, 9, 5)).astype("float32")
    with fresh_steps(small) as compiled:
        native = small.predict_on_batch(x)
        text = "".join(executable.text for executable in compiled.values())
    # By the text, seven convolutions and a product are of integers, and all but the last write integers.
    assert text.count("quantized_conv") == 8
    assert text.count("+round") == 7
    assert text.count("+addend") == text.count("+pool") == 1
    assert "max_pool" not in text
    assert "pad(" not in text
    previous = hb.engines.current_engine().name
    hb.engines.set_engine("reference")
    try:
        np.testing.assert_array_equal(native, small.predict_on_batch(x))
    finally:
        hb.engines.set_engine(previous)


def test_report(model: hb.Model, result: Any) -> None:
    text = str(result)
    assert "4 of 4 layers are in int8" in text
    assert "cannot tell" in text
    assert "95% interval" in text
    assert result.float_size / result.size > 3
    accuracy = result.comparison["accuracy"]
    assert accuracy.interval.low <= accuracy.value <= accuracy.interval.high
    before, after = (m.predict(IMAGES[40:], verbose=0).argmax(1) for m in (model, result.model))
    assert result.changed == (before != after).sum()
    assert result.count == 40
    assert result.as_dict()["comparison"]["n"] == 40


def test_without_validation_data_the_cost_is_unknown(model: hb.Model) -> None:
    assert "pass validation_data=(x, y)" in str(calibrate(model, IMAGES[:8]))


def test_files(result: Any, tmp_path: Path) -> None:
    expected = result.model.predict(IMAGES, verbose=0)
    result.model.save(tmp_path / "m.keras")
    loaded = hb.saving.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(loaded.predict(IMAGES, verbose=0), expected)
    result.model.export(tmp_path / "m.hornbeam", format="hornbeam", verbose=False)
    frozen = FrozenModel(tmp_path / "m.hornbeam")
    (name,) = (x.name for x in frozen.signatures["predict"].inputs)
    np.testing.assert_array_equal(*frozen.run({name: IMAGES}).values(), expected)


def test_what_stays_in_float_is_named() -> None:
    hb.utils.set_random_seed(0)
    inputs = hb.Input((6, 8))
    x = layers.Conv1D(8, 3, padding="same", groups=2, name="grouped")(inputs)
    x = layers.LSTM(4, return_sequences=True, name="recurrent")(x)
    x = layers.MultiHeadAttention(2, 4, name="attention")(x, x)
    result = calibrate(hb.Model(inputs, layers.Dense(3, name="out")(x)), RNG.normal(size=(16, 6, 8)))
    assert result.layers == {
        "grouped": "float32: it has 2 groups",
        "recurrent": "float32: LSTM has no calibrated form",
        "attention": "int8, inputs scaled in each call",
        "out": "int8",
    }
    assert "grouped: float32: it has 2 groups" in str(result)
    assert result.changed is None


def test_models_inside_of_models() -> None:
    hb.utils.set_random_seed(0)
    norm = layers.BatchNormalization(name="norm")
    body = hb.Sequential([hb.Input((8, 8, 3)), layers.Conv2D(4, 3, name="conv"), norm], name="body")
    model = hb.Sequential([body, layers.Flatten(), layers.Dense(2, name="out")])
    norm.moving_variance.assign(np.full(4, 4.0, "float32"))
    norm.beta.assign(np.arange(4, dtype="float32"))
    small = calibrate(model, IMAGES).model
    assert type(small.layers[0].get_layer("norm")) is layers.Identity
    before, after = model.predict(IMAGES, verbose=0), small.predict(IMAGES, verbose=0)
    assert np.abs(before - after).max() < 0.05 * np.abs(before).max()


def test_ranges_leave_out_a_single_large_value() -> None:
    values = InputValues()
    values.add(np.append(np.linspace(-1, 1, 20_000 - 1), 3.0), RNG)
    assert 3 / 127 > 1 / values.scale() > 1 / 127 * 0.9
    nothing = InputValues()
    nothing.add(np.zeros(4), RNG)
    assert nothing.scale() == 1.0


class Subclassed(hb.Model):
    def __init__(self) -> None:
        super().__init__()
        self.dense = layers.Dense(2)

    def call(self, x: Any) -> Any:
        return self.dense(x)


def test_mistakes(model: hb.Model) -> None:
    with pytest.raises(TypeError, match="takes a model"):
        calibrate("model", IMAGES)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"functional or Sequential.*quantize\('int8'\)"):
        calibrate(Subclassed(), IMAGES)
    with pytest.raises(ValueError, match="not built"):
        calibrate(hb.Sequential([layers.Dense(1)]), IMAGES)
    nothing = hb.Sequential([hb.Input((3,)), layers.ReLU()])
    with pytest.raises(ValueError, match="no layer to quantize"):
        calibrate(nothing, np.ones((2, 3)))
    dense = hb.Sequential([hb.Input((3,)), layers.Dense(2, name="dense")])
    overflow = hb.Sequential([hb.Input((3,)), layers.Rescaling(1e38), layers.Dense(2, name="dense")])
    with pytest.raises(ValueError, match=r"dense.* has inputs that are infinite or NaN"):
        calibrate(overflow, np.full((2, 3), 1e20, "float32"))
    with pytest.raises(ValueError, match="no metrics"):
        calibrate(dense, np.ones((2, 3)), (np.ones((2, 3)), np.ones(2)))
    with pytest.raises(ValueError, match=r"a pair \(x, y\)"):
        calibrate(model, IMAGES, IMAGES)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="quantized already"):
        calibrate(dense, np.ones((2, 3))).model.layers[0].quantize("int8")
    with pytest.raises(NotImplementedError, match="for inference"):
        calibrate(dense, np.ones((2, 3))).model.layers[0].enable_lora(2)
