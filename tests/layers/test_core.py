"""Input, Dense, Embedding, Lambda, Masking, merging and preprocessing against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import hornbeam
from hornbeam import layers, ops
from hornbeam.core import registry
from hornbeam.ir.types import ShapeError


def test_input_is_a_symbol_with_its_layer() -> None:
    x = hornbeam.Input((28, 28), batch_size=4, dtype="uint8", name="image")
    assert (x.shape, x.dtype, x.name) == ((4, 28, 28), "uint8", "image")
    layer = x.history.operation
    assert isinstance(layer, layers.InputLayer)
    assert layer.output is x
    assert layer.input is x
    again = registry.deserialize(registry.serialize(layer))
    assert (again.batch_shape, again.dtype, again.name) == ((4, 28, 28), "uint8", "image")
    sparse = hornbeam.Input((3,), sparse=True)
    assert (sparse.sparse, sparse.ragged) == (True, False)
    assert registry.deserialize(registry.serialize(sparse.history.operation)).sparse


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"shape": (4,)}, r"shape=\(4,\) contradicts input_tensor, where it is \(3,\)"),
        ({"batch_shape": (2, 4)}, "batch_shape="),
        ({"batch_size": 5}, "batch_size=5 contradicts"),
        ({"dtype": "float16"}, "dtype='float16' contradicts"),
        ({"sparse": True}, "sparse=True contradicts"),
    ],
)
def test_arguments_that_contradict_the_tensor_of_an_input(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        layers.InputLayer(input_tensor=hornbeam.KerasTensor((2, 3)), **arguments)


def test_an_input_has_one_batch_size() -> None:
    with pytest.raises(ValueError, match="batch_size=4 and batch_shape"):
        layers.InputLayer(batch_size=4, batch_shape=(2, 3))


def test_masks_of_ragged_inputs_reach_the_layers() -> None:
    x = hornbeam.Input((None, 2), ragged=True)
    lstm = layers.LSTM(3)
    model = hornbeam.Model(x, lstm(x))
    rows = [np.ones((3, 2), "float32"), np.full((1, 2), 2.0, "float32")]
    result = model(hornbeam.ops.convert_to_tensor(rows, ragged=True))
    expected = np.concatenate([np.asarray(lstm(row[None])) for row in rows])
    np.testing.assert_allclose(result, expected, rtol=1e-5)


def test_dense_is_a_matrix_product(engine: str, rng: np.random.Generator) -> None:
    layer = layers.Dense(4, activation="relu", bias_initializer="ones")
    x = rng.normal(size=(2, 5, 3))
    y = layer(x)
    np.testing.assert_allclose(y, np.maximum(x @ np.asarray(layer.kernel) + 1, 0), atol=1e-5)


def test_constraints_and_regularizers_stand_at_the_weights() -> None:
    layer = layers.Dense(4, kernel_regularizer="l1", kernel_constraint="non_neg", bias_regularizer="l2")
    layer.build((None, 3))
    assert layer.kernel.constraint is layer.kernel_constraint
    assert len(layer.losses) == 2


def test_embedding_looks_up_and_masks(rng: np.random.Generator) -> None:
    table = rng.normal(size=(5, 3)).astype("float32")
    layer = layers.Embedding(5, 3, mask_zero=True, weights=[table])
    words = np.array([[4, 0], [1, 1]])
    y = layer(words)
    np.testing.assert_array_equal(np.asarray(y), table[words])
    assert np.asarray(y._keras_mask).tolist() == [[True, False], [True, True]]
    (gradient,) = hornbeam.gradients(ops.sum(layer(words)), [layer.embeddings])
    assert np.asarray(gradient)[:, 0].tolist() == [1, 2, 0, 0, 1]


def test_an_activation_is_taken_off_by_none(rng: np.random.Generator) -> None:
    """As scripts do that want the scores behind a model's last softmax."""
    x = rng.normal(size=(2, 6, 3)).astype("float32")
    for layer in (
        layers.Dense(4, activation="softmax"),
        layers.EinsumDense("abc,cd->abd", (None, 4), activation="softmax"),
        layers.Conv1D(4, 2, activation="softmax"),
    ):
        probabilities = layer(x)
        layer.activation = None
        np.testing.assert_allclose(hornbeam.ops.softmax(layer(x)), probabilities, atol=1e-6)
        again = type(layer).from_config(layer.get_config())
        again.build(x.shape)
        again.set_weights(layer.get_weights())
        np.testing.assert_array_equal(again(x), layer(x))


def test_einsum_dense_checks_its_equation() -> None:
    with pytest.raises(ValueError, match="must have the form 'ab,bc->ac'"):
        layers.EinsumDense("abc", 4)(np.ones((2, 3)))
    with pytest.raises(ShapeError, match="takes an input of rank 2, got shape"):
        layers.EinsumDense("ab,bc->ac", 4)(np.ones((2, 3, 4)))
    with pytest.raises(ValueError, match="bias_axes 'z' has 'z'"):
        layers.EinsumDense("ab,bc->ac", 4, bias_axes="z")(np.ones((2, 3)))


def test_lambda_calls_its_function() -> None:
    layer = layers.Lambda(lambda x, power: x**power, arguments={"power": 2})
    assert np.asarray(layer(np.array([3.0]))).tolist() == [9.0]
    assert layer(hornbeam.Input((4,))).shape == (None, 4)
    with pytest.raises(TypeError, match="code is never stored in a file"):
        layer.get_config()
    with pytest.raises(ValueError, match="the code of a lambda, which is never run"):
        layers.Lambda.from_config({"function": {"class_name": "__lambda__", "config": {"code": "x"}}})


def test_lambda_of_a_registered_function_can_be_saved() -> None:
    @registry.register_keras_serializable(package="tests")
    def doubled(x: Any) -> Any:
        return x * 2

    again = registry.deserialize(registry.serialize(layers.Lambda(doubled)))
    assert np.asarray(again(np.array([3.0]))).tolist() == [6.0]


def test_masking_marks_and_blanks() -> None:
    y = layers.Masking(mask_value=7.0)(np.array([[[7.0, 7.0], [7.0, 1.0]]]))
    assert np.asarray(y).tolist() == [[[0, 0], [7, 1]]]
    assert np.asarray(y._keras_mask).tolist() == [[False, True]]


def test_softmax_leaves_masked_places_out() -> None:
    y = layers.Softmax()(np.zeros((1, 4)), mask=np.array([[True, False, True, False]]))
    np.testing.assert_allclose(y, [[0.5, 0, 0.5, 0]])


MERGES = [
    (layers.Add, layers.add, lambda a, b: a + b),
    (layers.Subtract, layers.subtract, lambda a, b: a - b),
    (layers.Multiply, layers.multiply, lambda a, b: a * b),
    (layers.Average, layers.average, lambda a, b: (a + b) / 2),
    (layers.Maximum, layers.maximum, np.maximum),
    (layers.Minimum, layers.minimum, np.minimum),
    (layers.Concatenate, layers.concatenate, lambda a, b: np.concatenate([a, b], -1)),
    (
        lambda: layers.Dot(axes=1),
        lambda xs: layers.dot(xs, axes=1),
        lambda a, b: (a * b).sum(1, keepdims=True),
    ),
]


@pytest.mark.parametrize(("cls", "function", "expected"), MERGES)
def test_merging(rng: np.random.Generator, cls: Any, function: Any, expected: Any) -> None:
    a, b = rng.normal(size=(2, 4, 3)).astype("float32")
    np.testing.assert_allclose(cls()([a, b]), expected(a, b), atol=1e-6)
    np.testing.assert_allclose(function([a, b]), expected(a, b), atol=1e-6)


def test_merging_broadcasts_missing_axes_behind_the_batch(rng: np.random.Generator) -> None:
    a, b = rng.normal(size=(2, 5, 3)), rng.normal(size=(2, 3))
    np.testing.assert_allclose(layers.Add()([a, b]), a + b[:, None], atol=1e-6)


def test_masks_of_merged_inputs_are_joined() -> None:
    a = layers.Masking()(np.array([[[1.0], [0.0], [1.0]]]))
    b = layers.Masking()(np.array([[[1.0], [1.0], [0.0]]]))
    assert np.asarray(layers.Add()([a, b])._keras_mask).tolist() == [[True, True, True]]
    joined = layers.Concatenate(axis=1)([a, b])
    assert np.asarray(joined._keras_mask).tolist() == [[True, False, True, True, True, False]]
    assert layers.Add()([np.ones((1, 3, 1)), a])._keras_mask is None
    # What is masked does not count: neither as a factor nor as the smallest value.
    assert np.asarray(layers.Multiply()([a, a * 0 + 2]))[0, 1, 0] == 2
    assert np.asarray(layers.Minimum()([b + 1, a]))[0, :, 0].tolist() == [1, 2, 1]
    with pytest.raises(ValueError, match="takes exactly 2 tensors, got 3"):
        layers.Subtract()([a, a, a])


def test_normalization_is_fitted_on_data(rng: np.random.Generator) -> None:
    data = rng.normal(3, 2, size=(100, 4))
    layer = layers.Normalization()
    layer.adapt(data)
    y = np.asarray(layer(data))
    np.testing.assert_allclose(y.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(y.std(0), 1, atol=1e-5)
    batches = layers.Normalization()
    batches.adapt(data[i : i + 7] for i in range(0, 100, 7))
    for ours, theirs in zip(batches.get_weights(), layer.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5)
    assert int(layer.count) == 100
    back = layers.Normalization(mean=layer.mean, variance=layer.variance, invert=True)
    np.testing.assert_allclose(back(y), data, atol=1e-4)
    one = layers.Normalization(axis=None)
    one.adapt(data)
    np.testing.assert_allclose(float(one.mean), data.mean(), rtol=1e-5)


def test_normalization_says_what_is_wrong() -> None:
    with pytest.raises(ValueError, match="give both mean and variance"):
        layers.Normalization(mean=1.0)
    with pytest.raises(ValueError, match="has a fixed mean and variance"):
        layers.Normalization(mean=1.0, variance=1.0).adapt(np.ones((2, 3)))
    with pytest.raises(ValueError, match="adapt got no data"):
        layers.Normalization().adapt(iter([]))
    with pytest.raises(ShapeError, match="sizes of the kept axes"):
        layers.Normalization()(hornbeam.Input((None,)))


def test_discretization_finds_about_equal_bins(rng: np.random.Generator) -> None:
    layer = layers.Discretization(num_bins=4)
    with pytest.raises(ValueError, match=r"has no boundaries yet: call adapt\(data\)"):
        layer(np.ones(3))
    data = rng.normal(size=1000)
    layer.adapt(data)
    np.testing.assert_allclose(np.bincount(np.asarray(layer(data))), 250, atol=10)
    again = registry.deserialize(registry.serialize(layer))
    np.testing.assert_array_equal(np.asarray(again(data)), np.asarray(layer(data)))


def test_category_encoding_counts_with_weights() -> None:
    layer = layers.CategoryEncoding(4, output_mode="count")
    y = layer(np.array([[0, 2, 2]]), count_weights=np.array([[0.5, 1.0, 2.0]]))
    assert np.asarray(y).tolist() == [[0.5, 0, 3, 0]]
    with pytest.raises(ValueError, match='need output_mode="count"'):
        layers.CategoryEncoding(4)(np.array([[0]]), count_weights=np.ones((1, 1)))


def test_rescaling_scales_integers_in_float() -> None:
    y = layers.Rescaling(1 / 255)(np.array([[0, 255]], "uint8"))
    assert y.dtype == "float32"
    np.testing.assert_allclose(y, [[0, 1]])


def test_resizing_refuses_both_aspect_ratios() -> None:
    with pytest.raises(ValueError, match="cannot both be set"):
        layers.Resizing(2, 2, crop_to_aspect_ratio=True, pad_to_aspect_ratio=True)
