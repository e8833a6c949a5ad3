"""Quantized layers and LoRA: the weights, outputs and files of Keras."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import hornbeam

pytestmark = pytest.mark.sampled

TOKENS = np.arange(12).reshape(2, 6) % 11
CONFIGS: dict[str, Any] = {
    "int8": lambda lib: lib.Int8QuantizationConfig(),
    "int8 weights": lambda lib: lib.Int8QuantizationConfig(activation_quantizer=None),
    "int4 blocks": lambda lib: lib.Int4QuantizationConfig(block_size=3),
    "int4 channels": lambda lib: lib.Int4QuantizationConfig(block_size=None),
    "int4 inputs": lambda lib: lib.Int4QuantizationConfig(
        block_size=None, activation_quantizer=lib.AbsMaxQuantizer()
    ),
    "float8": lambda lib: lib.Float8QuantizationConfig(),
}


def build(lib: Any, **options: Any) -> Any:
    tokens = lib.Input((6,), dtype="int32")
    x = lib.layers.Embedding(11, 8, name="embedding", **options)(tokens)
    x = lib.layers.Dense(7, name="dense", **options)(x)
    x = lib.layers.EinsumDense("abc,cde->abde", (None, 2, 5), bias_axes="de", name="split", **options)(x)
    x = lib.layers.EinsumDense("abde,def->abf", (None, 9), activation="relu", name="join", **options)(x)
    model = lib.Model(tokens, x)
    rng = np.random.default_rng(0)
    for variable in model.weights:
        variable.assign(rng.normal(size=variable.shape))
    return model


def close(actual: Any, expected: Any) -> None:
    np.testing.assert_allclose(np.asarray(actual), np.asarray(expected), rtol=1e-4, atol=1e-3)


def exchange(ours: Any, theirs: Any, folder: Path) -> None:
    """Each side reads the file of the other."""
    expected = np.asarray(theirs(TOKENS))
    theirs.save(folder / "theirs.keras")
    close(hornbeam.saving.load_model(folder / "theirs.keras")(TOKENS), expected)
    expected = np.asarray(ours(TOKENS))
    ours.save(folder / "ours.keras")
    close(keras.saving.load_model(folder / "ours.keras")(TOKENS), expected)


@pytest.mark.parametrize("name", CONFIGS)
def test_modes(name: str, tmp_path: Path) -> None:
    ours, theirs = build(hornbeam), build(keras)
    for model, lib in ((ours, hornbeam), (theirs, keras)):
        for layer in model.layers[2 if name == "float8" else 1 :]:
            layer.quantize(config=CONFIGS[name](lib.quantizers), mode=None)
    close(ours(TOKENS), theirs(TOKENS))
    by_path = {variable.path: variable for variable in theirs.weights}
    assert {variable.path for variable in ours.weights} == set(by_path)
    for variable in ours.weights:
        np.testing.assert_array_equal(variable, np.asarray(by_path[variable.path]))
    exchange(ours, theirs, tmp_path)


def test_lora(tmp_path: Path) -> None:
    options = {"lora_rank": 2, "lora_alpha": 2}  # Keras forgets another lora_alpha of Dense and Embedding
    ours, theirs = build(hornbeam, **options), build(keras, **options)
    assert [v.path for v in ours.weights] == [v.path for v in theirs.weights]
    assert [v.trainable for v in ours.weights] == [v.trainable for v in theirs.weights]
    close(ours(TOKENS), theirs(TOKENS))
    exchange(ours, theirs, tmp_path)


@pytest.mark.parametrize("mode", ["gptq", "awq"])
def test_keras_reads_calibrated_layers(mode: str, tmp_path: Path) -> None:
    """Not the other way round: Keras 3.15 forgets the zero points in its own files."""
    ours = build(hornbeam)
    kind = getattr(hornbeam.quantizers, f"{mode.upper()}Config")
    structure = {"pre_block_layers": [ours.layers[1]], "sequential_blocks": [ours.layers[2]]}
    data = np.arange(60) % 11
    ours.quantize(
        config=kind(
            data,
            None,
            num_samples=4,
            sequence_length=6,
            group_size=4,
            quantization_layer_structure=structure,
        )
    )
    assert ours.layers[2].quantization_mode == mode
    ours.save(tmp_path / "ours.keras")
    close(keras.saving.load_model(tmp_path / "ours.keras")(TOKENS), ours(TOKENS))


def test_float8_training() -> None:
    histories = []
    x = np.random.default_rng(0).normal(size=(16, 4)).astype("float32")
    for lib in (hornbeam, keras):
        model = lib.Sequential([lib.Input((4,)), lib.layers.Dense(8, activation="relu"), lib.layers.Dense(1)])
        rng = np.random.default_rng(1)
        for variable in model.weights:
            variable.assign(rng.normal(size=variable.shape))
        model.quantize("float8")
        model.compile(lib.optimizers.SGD(0.05), "mse")
        history = model.fit(x, x[:, :1], epochs=4, batch_size=8, shuffle=False, verbose=0)
        histories.append([*history.history["loss"], np.asarray(model.layers[0].kernel_scale)])
    close(*histories)
