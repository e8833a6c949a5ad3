"""The inference plan: batch normalizations folded into weights, and weights prepared once."""

from __future__ import annotations

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import layers
from hornbeam.random import set_random_seed
from hornbeam.training.inference_plan import InferencePlan

X = np.random.default_rng(0).normal(size=(6, 8, 8, 4)).astype("float32")


def randomized(model: hb.Model) -> hb.Model:
    """The model with weights of which none is a neutral 0 or 1; variances stay positive."""
    rng = np.random.default_rng(1)
    model.set_weights(
        [rng.uniform(0.5, 1.5, w.shape) * rng.choice([-1, 1]) ** (w.ndim > 1) for w in model.get_weights()]
    )
    return model


def normalized(*before: layers.Layer, **settings: bool) -> hb.Model:
    set_random_seed(0)
    model = hb.Sequential(
        [hb.Input(X.shape[1:]), *before, layers.BatchNormalization(**settings), layers.ReLU()]
    )
    return randomized(model)


def plan(model: hb.Model) -> InferencePlan:
    return next(iter(model._hb_trainer.predictors.values())).plan


FOLDED = {
    "conv": [layers.Conv2D(5, 3, use_bias=False)],
    "conv with bias": [layers.Conv2D(5, 3, padding="same", strides=2)],
    "depthwise": [layers.DepthwiseConv2D(3)],
    "grouped": [layers.Conv2D(6, 3, groups=2)],
    "transposed": [layers.Conv2DTranspose(5, 3)],
    "dense": [layers.Flatten(), layers.Dense(7)],
    "dense over pixels": [layers.Dense(7)],
}


@pytest.mark.parametrize("settings", [{}, {"scale": False}, {"center": False}])
@pytest.mark.parametrize("kind", FOLDED)
@pytest.mark.parametrize("batch", [1, 6])
def test_batch_normalization_goes_into_weights(kind: str, settings: dict[str, bool], batch: int) -> None:
    before = [type(layer).from_config(layer.get_config()) for layer in FOLDED[kind]]
    model = normalized(*before, **settings)
    expected = np.asarray(model(X[:batch], training=False))
    np.testing.assert_allclose(model.predict(X[:batch], verbose=0), expected, rtol=1e-4, atol=1e-4)
    names = [node.name for node in plan(model).graph.nodes]
    assert not {"mul", "rsqrt"} & set(names)
    assert names.count("add") == 1


def test_a_scale_and_a_shift_by_one_number_are_folded() -> None:
    image = hb.Input(X.shape[1:])
    conv = layers.Conv2D(4, 3, activation=lambda y: y * 0.5 + 2.0, bias_initializer="ones")
    model = hb.Model(image, conv(image))
    predicted = model.predict(X, verbose=0)
    assert "mul" not in (names := [node.name for node in plan(model).graph.nodes])
    assert names.count("add") == 1
    np.testing.assert_allclose(predicted, np.asarray(model(X, training=True)), rtol=1e-4)


def test_a_value_that_is_used_twice_is_not_folded() -> None:
    image = hb.Input(X.shape[1:])
    once = layers.Conv2D(4, 3, padding="same")(image)
    model = hb.Model(image, layers.Add()([once, layers.BatchNormalization()(once)]))
    expected = np.asarray(randomized(model)(X, training=False))
    np.testing.assert_allclose(model.predict(X, verbose=0), expected, rtol=1e-4, atol=1e-4)
    assert "mul" in [node.name for node in plan(model).graph.nodes]


def test_a_normalization_of_the_input_stays() -> None:
    model = normalized()
    expected = np.asarray(model(X, training=False))
    np.testing.assert_allclose(model.predict(X, verbose=0), expected, rtol=1e-5, atol=1e-5)


def test_any_assignment_is_seen() -> None:
    model = normalized(layers.Conv2D(5, 3))
    for variable in model.variables:
        before = model.predict(X, verbose=0)
        variable.assign(np.asarray(variable) * 1.5 + 0.1)
        after = model.predict(X, verbose=0)
        assert not np.allclose(before, after), variable.path
        np.testing.assert_allclose(after, np.asarray(model(X, training=False)), rtol=1e-4, atol=1e-4)


def test_training_is_seen() -> None:
    model = normalized(layers.Flatten(), layers.Dense(3))
    model.compile(hb.optimizers.SGD(0.1), "mse")
    model.predict(X, verbose=0)
    model.fit(X, np.ones((6, 3), "float32"), verbose=0)
    np.testing.assert_allclose(
        model.predict(X, verbose=0), np.asarray(model(X, training=False)), rtol=1e-4, atol=1e-4
    )


def test_training_lets_go_of_the_weights_that_predict_held() -> None:
    model = normalized(layers.Flatten(), layers.Dense(3))
    model.compile(hb.optimizers.SGD(0.1), "mse")
    model.predict(X, verbose=0)
    assert plan(model).holds_weights
    model.train_on_batch(X, np.ones((6, 3), "float32"))
    assert not plan(model).holds_weights


def test_plans_for_other_batches_share_what_they_prepare() -> None:
    model = normalized(layers.Conv2D(5, 3))
    for batch in (1, 2, 6):
        model.predict(X[:batch], verbose=0)
        model(X[:batch]).numpy()
    assert len(model._hb_trainer.predictors) == len(model._hb_trainer.calls) == 3
    assert len(model._hb_trainer.weight_cache) == 1
    model.layers[0].kernel.assign(np.zeros((3, 3, 4, 5)))
    for batch in (1, 6):
        expected = np.asarray(model(X[:batch], training=False))
        np.testing.assert_allclose(model.predict(X[:batch], verbose=0), expected, rtol=1e-4, atol=1e-4)


def test_states_that_predict_changes_go_on() -> None:
    model = hb.Sequential([hb.Input(batch_shape=(2, 3, 4)), layers.SimpleRNN(5, stateful=True)])
    x = X[:2, :3, 0]
    first, second = model.predict(x, verbose=0), model.predict(x, verbose=0)
    assert not np.allclose(first, second)


def test_casts_of_weights_are_made_once() -> None:
    model = hb.Sequential([hb.Input((4,)), layers.Dense(16, dtype="mixed_bfloat16"), layers.Dense(3)])
    x = X[0, 0]
    expected = np.asarray(model(x, training=False))
    np.testing.assert_allclose(model.predict(x, verbose=0), expected, rtol=2e-2, atol=2e-2)
    graph = plan(model).graph
    casts = [n for n in graph.nodes if n.name == "convert" and n.inputs[0] in graph.inputs]
    assert [n.shape for n in casts] == [(8, 4)], "only that of the input is left"
