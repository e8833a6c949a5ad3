"""GPTQ and AWQ: products with the inputs of a model change less than by rounding each weight alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import hornbeam
from hornbeam import layers
from hornbeam.quantizers import AWQConfig, GPTQConfig
from hornbeam.quantizers.awq import awq, round_groups
from hornbeam.quantizers.gptq import gptq

RNG = np.random.default_rng(0)
# Inputs that depend on each other, some of them much larger than the rest.
INPUTS = (RNG.normal(size=(400, 6)) @ RNG.normal(size=(6, 40)) + 0.1 * RNG.normal(size=(400, 40))) * np.where(
    np.arange(40) % 7, 1.0, 20.0
)
WEIGHTS = RNG.normal(size=(16, 40)).astype("float32")
HESSIAN = 2 * INPUTS.T @ INPUTS / len(INPUTS)


def error(matrix: np.ndarray) -> float:
    return float(np.square(INPUTS @ (matrix - WEIGHTS).T).mean())


@pytest.mark.parametrize("group_size", [-1, 16])
@pytest.mark.parametrize("activation_order", [False, True])
@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_gptq_makes_up_for_errors(bits: int, activation_order: bool, group_size: int) -> None:
    config = GPTQConfig(
        None, None, weight_bits=bits, group_size=group_size, activation_order=activation_order
    )
    rounded = gptq(WEIGHTS, HESSIAN, config)
    assert rounded.integers.min() >= 0
    assert rounded.integers.max() <= 2**bits - 1
    assert rounded.scale.shape == rounded.zero.shape == (16, 1 if group_size == -1 else 3)
    plain = round_groups(WEIGHTS, bits, group_size)
    assert error(rounded.floats()) < 0.5 * error(plain.floats())


def test_gptq_of_independent_inputs_rounds_each_weight() -> None:
    rounded = gptq(WEIGHTS, np.eye(40), GPTQConfig(None, None, group_size=-1))
    np.testing.assert_array_equal(rounded.integers, round_groups(WEIGHTS, 4, -1).integers)


def test_gptq_blocks_are_one_computation() -> None:
    """Errors are carried behind a block of columns: a group across its end sees them."""
    inputs = RNG.normal(size=(600, 12)) @ RNG.normal(size=(12, 300)) + 0.05 * RNG.normal(size=(600, 300))
    weights = RNG.normal(size=(4, 300)).astype("float32")
    rounded = gptq(weights, 2 * inputs.T @ inputs / 600, GPTQConfig(None, None, group_size=96))
    plain = round_groups(weights, 4, 96)
    errors = [np.square(inputs @ (r.floats() - weights).T).mean() for r in (rounded, plain)]
    assert errors[0] < 0.2 * errors[1]


def test_awq_protects_large_inputs() -> None:
    largest = np.abs(INPUTS).max(0)
    rounded = awq(WEIGHTS, largest, AWQConfig(None, None, group_size=-1))
    plain = round_groups(WEIGHTS, 4, -1)
    assert rounded.input_scale is not None
    assert rounded.input_scale[7] > rounded.input_scale[1]
    assert error(rounded.floats()) < 0.5 * error(plain.floats())


def blocks() -> tuple[hornbeam.Model, dict[str, Any]]:
    hornbeam.utils.set_random_seed(0)
    tokens = hornbeam.Input((8,), dtype="int32")
    embedding = layers.Embedding(30, 16)
    inner = []
    for _ in range(2):
        x = hornbeam.Input((None, 16))
        attended = layers.MultiHeadAttention(2, 8)(x, x)
        hidden = layers.Dense(24, activation="relu", name="hidden")(layers.Add()([x, attended]))
        inner.append(hornbeam.Model(x, layers.Dense(16, name="last")(hidden)))
    outputs = embedding(tokens)
    for block in inner:
        outputs = block(outputs)
    model = hornbeam.Model(tokens, layers.Dense(30, name="head")(outputs))
    return model, {"pre_block_layers": [embedding], "sequential_blocks": inner}


@pytest.mark.parametrize("kind", [GPTQConfig, AWQConfig])
def test_models_are_quantized_block_by_block(kind: Any, tmp_path: Any) -> None:
    model, structure = blocks()
    data = RNG.integers(0, 30, size=(5, 40))
    x = data[:, :8]
    before = model.predict(x, verbose=0)
    model.quantize(
        config=kind(data, None, num_samples=12, sequence_length=8, quantization_layer_structure=structure)
    )
    modes = {layer.name: layer.quantization_mode for layer in model._flatten_layers()}
    mode = kind.__name__[:4].lower().removesuffix("c")
    assert modes["hidden"] == modes["query"] == modes["attention_output"] == mode
    assert modes["head"] is None
    after = model.predict(x, verbose=0)
    assert 0 < np.abs(after - before).max() < before.std()
    model.save(tmp_path / "small.keras")
    again = hornbeam.saving.load_model(tmp_path / "small.keras")
    np.testing.assert_array_equal(again.predict(x, verbose=0), after)


def test_texts_need_a_tokenizer_and_models_blocks() -> None:
    model, structure = blocks()

    class Letters:
        def tokenize(self, text: str) -> list[int]:
            return [ord(letter) % 30 for letter in text]

    with pytest.raises(ValueError, match="need a tokenizer"):
        model.quantize(config=GPTQConfig(["abc"], None, quantization_layer_structure=structure))
    with pytest.raises(ValueError, match="quantization_layer_structure"):
        model.quantize(config=AWQConfig(["abc"], Letters()))
    with pytest.raises(ValueError, match="has no dataset"):
        model.quantize(config=GPTQConfig(None, Letters(), quantization_layer_structure=structure))
    with pytest.raises(TypeError, match="iterable of texts"):
        model.quantize(config=GPTQConfig("abc", Letters(), quantization_layer_structure=structure))
    model.quantize(
        config=AWQConfig(
            ["a short text"],
            Letters(),
            num_samples=2,
            sequence_length=8,
            quantization_layer_structure=structure,
        ),
        filters="hidden",
    )
    assert [layer.name for layer in model._flatten_layers() if layer.quantization_mode] == ["hidden"] * 2
