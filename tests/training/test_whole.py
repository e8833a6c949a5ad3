"""`model(x)` in eager code as one node: the same values, gradients and effects as layer by layer."""

from __future__ import annotations

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import layers, ops
from hornbeam.ir.types import ShapeError
from hornbeam.layers import Layer
from hornbeam.random import set_random_seed

X = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")


def small() -> hb.Model:
    set_random_seed(0)
    return hb.Sequential(
        [hb.Input((4,)), layers.Dense(3), layers.BatchNormalization(), layers.Dropout(0.5), layers.Dense(2)]
    )


def by_layers(model: hb.Model, x: np.ndarray) -> np.ndarray:
    return np.asarray(Layer.__call__(model, x))


@pytest.mark.usefixtures("engine")
class TestValues:
    def test_same_values(self) -> None:
        model = small()
        np.testing.assert_allclose(np.asarray(model(X)), by_layers(model, X), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(np.asarray(model(X[:2])), by_layers(model, X[:2]), rtol=1e-5, atol=1e-6)
        assert model(X).node.name == "call"

    def test_same_gradients(self) -> None:
        model = small()

        def gradients(call: object) -> list[np.ndarray]:
            loss = ops.mean(ops.square(call(model, X)))  # type: ignore[operator]
            return [np.asarray(g) for g in hb.gradients(loss, model.trainable_variables)]

        for ours, expected in zip(gradients(type(model).__call__), gradients(Layer.__call__), strict=True):
            np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-6)

    def test_several_outputs(self) -> None:
        x = hb.Input((4,))
        model = hb.Model(x, {"a": layers.Dense(2)(x), "b": [layers.Dense(3)(x), x]})
        result = model(X)
        np.testing.assert_allclose(np.asarray(result["a"]), by_layers(model.layers[1], X), rtol=1e-5)
        np.testing.assert_allclose(np.asarray(result["b"][1]), X)

    def test_part_of_a_bigger_graph(self) -> None:
        model = small()
        expected = by_layers(model, X).sum() + 1
        np.testing.assert_allclose(float(ops.sum(model(X)) + 1), expected, rtol=1e-5)


def two_ends() -> hb.Model:
    set_random_seed(0)
    a, b = hb.Input((4,), name="a"), hb.Input((4,), name="b")
    hidden = layers.Dense(3, "relu")(layers.Concatenate()([a, b]))
    return hb.Model([a, b], [layers.Dense(2, name="p")(hidden), layers.Dense(1, name="q")(hidden)])


@pytest.mark.parametrize(
    "x", [[X, X[::-1]], (X, X[::-1]), {"b": X[::-1], "a": X}], ids=["list", "tuple", "dict"]
)
def test_several_inputs_and_outputs_are_computed_at_once(x: object) -> None:
    model = two_ends()
    expected = [np.asarray(y) for y in Layer.__call__(model, x)]
    for _ in range(2):  # zeros are constants of the graph
        outputs = model(x)
        assert outputs[1].node.inputs[0].name == "call"
        for y, right in zip(outputs, expected, strict=True):
            np.testing.assert_allclose(np.asarray(y), right, rtol=1e-5, atol=1e-6)
        first, second = model(x)
        first.numpy()
        assert second.node.value is not None
    del first
    zeros = model([np.zeros_like(X), np.zeros_like(X)])
    assert [np.asarray(y).tolist() for y in zeros] == [[[0.0, 0.0]] * 5, [[0.0]] * 5]
    first = model(x)[0]  # the other result is dropped before it is computed
    np.testing.assert_allclose(first.numpy(), expected[0], rtol=1e-5, atol=1e-6)


def test_gradients_of_several_outputs() -> None:
    model = two_ends()

    def gradients(call: object) -> list[np.ndarray]:
        p, q = call(model, [X, X[::-1]])  # type: ignore[operator]
        return [np.asarray(g) for g in hb.gradients(ops.sum(p) + ops.sum(q), model.trainable_variables)]

    for ours, expected in zip(gradients(type(model).__call__), gradients(Layer.__call__), strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-6)


def test_a_model_is_run_by_names() -> None:
    model = two_ends()
    p, q = model.run(None, {"b": X[::-1], "a": X})
    np.testing.assert_allclose(p, np.asarray(model([X, X[::-1]])[0]))
    np.testing.assert_array_equal(model.run(["q"], {"a": X, "b": X[::-1]})[0], q)
    with pytest.raises(KeyError, match="no input 'c', it has a, b"):
        model.run(None, {"a": X, "c": X})
    with pytest.raises(KeyError, match="the inputs b are missing"):
        model.run(None, {"a": X})
    with pytest.raises(KeyError, match="no output 'r', it has p, q"):
        model.run(["r"], {"a": X, "b": X})


def test_assignments_are_seen_and_come_too_late_for_earlier_calls() -> None:
    model = small()
    model(X).numpy()
    before, expected = model(X), by_layers(model, X)
    for variable in model.variables:
        variable.assign(np.asarray(variable) + 0.5)
    np.testing.assert_allclose(np.asarray(before), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(np.asarray(model(X)), by_layers(model, X), rtol=1e-5, atol=1e-6)


def test_a_changed_layer_is_seen() -> None:
    model = small()
    plain = np.asarray(model(X))
    model.layers[-1].activation = hb.activations.relu
    np.testing.assert_allclose(np.asarray(model(X)), np.maximum(plain, 0), rtol=1e-6)
    model.add(layers.Dense(7))
    assert model(X).shape == (5, 7)


def test_code_of_the_user_runs_every_time() -> None:
    seen: list[int] = []

    class Counting(layers.Layer):
        def call(self, x: hb.Tensor) -> hb.Tensor:
            seen.append(1)
            return x

    def noted(x: hb.Tensor) -> hb.Tensor:
        seen.append(2)
        return x

    for layer, mark in ((Counting(), 1), (layers.Lambda(noted), 2), (layers.Activation(noted), 2)):
        model = hb.Sequential([hb.Input((4,)), layer])
        seen.clear()
        for _ in range(3):
            model(X)
        assert seen == [mark] * 3


def test_training_draws_anew() -> None:
    model = hb.Sequential([hb.Input((4,)), layers.Dropout(0.5)])
    assert not np.array_equal(np.asarray(model(X, training=True)), np.asarray(model(X, training=True)))


def test_losses_and_masks_are_kept() -> None:
    model = hb.Sequential([hb.Input((4,)), layers.ActivityRegularization(l2=1.0)])
    for _ in range(2):
        model(X)
        np.testing.assert_allclose(float(model.losses[0]), (X**2).sum() / 5, rtol=1e-5)
    masked = hb.Sequential([hb.Input((3,), dtype="int32"), layers.Embedding(5, 2, mask_zero=True)])
    for _ in range(2):
        assert np.asarray(masked(np.array([[1, 0, 2]]))._keras_mask).tolist() == [[True, False, True]]


def test_wrong_shapes_are_explained_as_ever() -> None:
    model = small()
    model(X)
    with pytest.raises(ShapeError, match="expects shape"):
        model(X[:, :3])


def test_an_index_without_a_vector_is_an_error() -> None:
    """Known when the model is called, also if the index is a tensor that is not computed yet."""
    model = hb.Sequential([hb.Input((2,), dtype="int32"), layers.Embedding(10, 2)])
    assert np.isfinite(np.asarray(model(np.array([[0, 9]])))).all()
    for x in (np.array([[0, 10]]), ops.convert_to_tensor([[0, 9]]) + 1):
        with pytest.raises(ValueError, match="contains the index 10, the layer has vectors for 0 to 9"):
            model(x)
