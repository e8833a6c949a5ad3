"""Every layer against the numbers of Keras, and what must hold for all of them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hornbeam
from hornbeam import layers, tree
from hornbeam.core import registry
from hornbeam.layers import augmentation
from tests.helpers.layer_cases import (
    CASES,
    OURS,
    Case,
    digest,
    flatten,
    inputs,
    label,
    make,
    seed_of,
    weights,
)

EXPECTED = json.loads((Path(__file__).parent / "layer_expected.json").read_text())
OF_KERAS = pytest.mark.parametrize("case", CASES, ids=label)
EVERY = pytest.mark.parametrize("case", [*CASES, *OURS], ids=label)

# Keras forgets it in this one config; without it a model would not come back as it was.
OURS_ALONE = {"SimpleRNN": {"seed"}}


def built(case: Case) -> tuple[Any, list[Any]]:
    """The layer with the fixed weights, and its inputs."""
    layer = make(case, layers)
    values = inputs(case, seed_of(case))
    layer(*values, **case.call)
    layer.set_weights(weights([w.shape for w in layer.weights]))
    return layer, values


def close(ours: np.ndarray, theirs: list[float]) -> None:
    """Sums agree as far as float32 sums of so many values can."""
    scale = 1e-4 * (1 + float(np.abs(np.asarray(ours, "float64")).sum()))
    np.testing.assert_allclose(digest(ours), theirs, rtol=0, atol=scale)


@OF_KERAS
def test_gives_the_numbers_of_keras(case: Case) -> None:
    layer, values = built(case)
    expected = EXPECTED[label(case)]
    outputs = flatten(layer(*values, **case.call))
    assert [[list(a.shape), a.dtype.name] for a in outputs] == [fact[:2] for fact in expected["outputs"]]
    for ours, (_, _, theirs) in zip(outputs, expected["outputs"], strict=True):
        close(ours, theirs)
    for after, theirs in zip(layer.get_weights(), expected["after"], strict=True):
        close(after, theirs)


@OF_KERAS
def test_has_the_weights_of_keras(case: Case) -> None:
    layer, _ = built(case)
    expected = EXPECTED[label(case)]
    assert [[w.name, list(w.shape), w.dtype] for w in layer.weights] == expected["weights"]
    assert all(
        w.path == f"{w.path.rsplit('/', 1)[0]}/{w.name}" and layer.name in w.path for w in layer.weights
    )


@OF_KERAS
def test_config_has_the_keys_of_keras(case: Case) -> None:
    layer, _ = built(case)
    expected = EXPECTED[label(case)]
    assert set(layer.get_config()) - OURS_ALONE.get(type(layer).__name__, set()) == set(expected["config"])


@EVERY
def test_comes_back_from_its_config(case: Case) -> None:
    layer, values = built(case)
    text = json.dumps(registry.serialize(layer))
    again = registry.deserialize(json.loads(text))
    assert type(again) is type(layer)
    assert json.loads(json.dumps(registry.serialize(again))) == json.loads(text)
    again(*values, **case.call)
    assert [w.shape for w in again.weights] == [w.shape for w in layer.weights]


@EVERY
def test_symbolic_shapes_are_those_of_values(case: Case) -> None:
    values = inputs(case, seed_of(case))
    symbols = tree.map_structure(
        lambda x: hornbeam.Input(batch_shape=(None, *x.shape[1:]), dtype=x.dtype.name), values
    )
    flags = {name: value for name, value in case.call.items() if isinstance(value, bool)}
    outputs = tree.flatten(make(case, layers)(*symbols, **flags))
    expected = [(None, *array.shape[1:]) for array in flatten(make(case, layers)(*values, **flags))]
    assert [x.shape for x in outputs] == expected


@EVERY
def test_gradients_reach_every_trainable_weight(case: Case) -> None:
    layer, values = built(case)
    if not layer.trainable_weights:
        assert all(not w.trainable for w in layer.weights)
        return
    outputs = tree.flatten(layer(*values, **case.call))
    loss = sum(hornbeam.ops.sum(hornbeam.ops.square(y)) for y in outputs)
    gradients = hornbeam.gradients(loss, layer.trainable_weights)
    for weight, gradient in zip(layer.trainable_weights, gradients, strict=True):
        assert gradient.shape == weight.shape
        assert np.isfinite(np.asarray(gradient)).all()
    assert any(np.abs(np.asarray(gradient)).max() > 0 for gradient in gradients)


def test_the_expected_results_are_those_of_the_cases() -> None:
    assert set(EXPECTED) == {label(case) for case in CASES}, "run: python tools/expected_layers.py"
    assert len(EXPECTED) == len(CASES), "two cases are the same"


def test_layers_that_keras_has_are_compared_with_it() -> None:
    for case in OURS:
        assert registry.serialize(make(case, layers))["module"] != "keras.layers", f"{case.make}: into CASES"


def test_every_exported_layer_has_a_case() -> None:
    named = {
        getattr(layers, name) for case in [*CASES, *OURS] for name in re.findall(r"\b([A-Z]\w+)\(", case.make)
    }
    elsewhere = {layers.Layer, layers.InputLayer, layers.InputSpec, layers.Wrapper, layers.Lambda}
    elsewhere |= {layers.StringLookup, layers.IntegerLookup, layers.TextVectorization}  # in test_text.py
    elsewhere |= {layers.Hashing, layers.HashedCrossing}
    # In tests/interop/test_foreign_layers.py.
    elsewhere |= {layers.FlaxLayer, layers.JaxLayer, layers.TFSMLayer, layers.TorchModuleWrapper}
    elsewhere |= {layers.OnnxGraph}  # in tests/onnx/test_onnx_import.py
    classes = {getattr(layers, name) for name in layers.__all__ if name[0].isupper() and name != "Input"}
    # These have tables of their own.
    elsewhere |= {getattr(layers, name) for name in augmentation.__all__}
    without = sorted(layer.__name__ for layer in classes - named - elsewhere)
    assert without == [], "they need a case in tests/helpers/layer_cases.py, in OURS if Keras lacks them"


def test_second_names_are_the_same_classes() -> None:
    assert layers.MaxPool2D is layers.MaxPooling2D
    assert layers.Convolution2D is layers.Conv2D
    assert registry.deserialize(
        {"module": "keras.layers", "class_name": "AvgPool1D", "config": {"pool_size": 2}}
    )


def test_a_missing_layer_says_why() -> None:
    with pytest.raises(AttributeError, match=r"Here it is layers.Conv2D"):
        layers.Conv2d  # noqa: B018
