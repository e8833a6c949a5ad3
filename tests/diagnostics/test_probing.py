"""Values and derivatives of layers for a batch, without a trace of the look."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import layers, ops
from hornbeam.diagnostics.capture import Probe, capture_layer_calls, layer_values
from hornbeam.training.packing import Batch
from tests.helpers.builders import compiled_model


def small() -> hb.Model:
    return compiled_model(
        (4,),
        [
            layers.Dense(3, activation="relu", name="first"),
            layers.BatchNormalization(name="norm"),
            layers.Dropout(0.5, name="drop"),
            layers.Dense(2, name="last"),
        ],
        "sgd",
        "mse",
        name="net",
    )


def test_layer_values_are_those_of_models_cut_short(rng: np.random.Generator) -> None:
    model, x = small(), rng.normal(size=(6, 4)).astype("float32")
    values = layer_values(model, x)
    assert [value.path for value in values] == ["net/first", "net/norm", "net/drop", "net/last", "net"]
    for depth, value in enumerate(values[:-1], 1):
        np.testing.assert_allclose(
            value.output, hb.Sequential(model.layers[:depth]).predict(x, verbose=0), 1e-5
        )
        assert value.gradient is None


def test_gradients_are_differences_of_the_loss(rng: np.random.Generator) -> None:
    model = small()
    x, y = rng.normal(size=(6, 4)).astype("float32"), rng.normal(size=(6, 2)).astype("float32")
    last = layer_values(model, x, y)[3]
    np.testing.assert_allclose(last.gradient, 2 * (last.output - y) / y.size, rtol=1e-5)
    assert layer_values(model, x, y)[0].gradient.shape == (6, 3)


@pytest.mark.parametrize("training", [False, True])
def test_nothing_changes(training: bool, rng: np.random.Generator) -> None:
    hb.random.set_random_seed(0)
    model, x = small(), rng.normal(size=(6, 4)).astype("float32")
    seeds = [generator.state for layer in model.layers for generator in layer._seed_generators()]
    assert len(seeds) == 1

    def state() -> list[np.ndarray]:
        chance = hb.random.random_state()
        return [np.array(v) for v in [*model.weights, *seeds]] + [
            chance["hornbeam"],
            chance["numpy"]["state"]["key"],
        ]

    before = state()
    layer_values(model, x, rng.normal(size=(6, 2)).astype("float32"), training=training)
    for left, right in zip(before, state(), strict=True):
        np.testing.assert_array_equal(left, right)


def test_targets_need_a_loss(rng: np.random.Generator) -> None:
    model = hb.Sequential([hb.Input((4,)), layers.Dense(2)])
    with pytest.raises(ValueError, match="is not compiled"):
        layer_values(model, np.zeros((2, 4), "float32"), np.zeros((2, 2), "float32"))


@pytest.mark.parametrize("eager", [False, True])
def test_assignments_are_thrown_away(eager: bool) -> None:
    counter = hb.Variable(1.0)

    def step(x: Any) -> dict[str, Any]:
        counter.assign(counter + 1.0)
        return {"count": counter.value * 1.0, "sum": ops.sum(x), "none": None}

    batch = Batch.of(np.ones(3, "float32"))
    probe = Probe(step, batch.signature(), eager=eager)
    for _ in range(2):
        result = probe(batch)
        assert (result["count"], result["sum"], result["none"]) == (2.0, 3.0, None)
    assert float(counter) == 1.0


def test_cells_inside_of_loops_are_left_out() -> None:
    model = hb.Sequential([hb.Input((5, 2)), layers.RNN(layers.LSTMCell(3), name="rnn")], name="net")
    assert [value.path for value in layer_values(model, np.zeros((2, 5, 2), "float32"))] == ["net/rnn", "net"]


def test_calls_know_their_inputs() -> None:
    first, second = layers.Dense(3, name="a"), layers.Dense(2, name="b")
    with capture_layer_calls() as calls:
        middle = first(np.ones((1, 4), "float32"))
        second(inputs=middle)
    assert [call.layer.name for call in calls] == ["a", "b"]
    assert calls[1].inputs[0].node is middle.node
