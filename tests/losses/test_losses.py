"""Losses: numbers against Keras's, reductions, weights, masks, refused shapes, configs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hornbeam
from hornbeam import layers, losses, ops
from hornbeam.core import registry
from hornbeam.core.convert import as_tensor
from hornbeam.core.tensor import Tensor
from hornbeam.ir.types import ShapeError
from tests.helpers.loss_cases import CASES, inputs

EXPECTED = json.loads((Path(__file__).parent / "loss_expected.json").read_text())
DATA = inputs()


def _id(case: Any) -> str:
    name, _, _, options, weighted = case
    return "-".join([name, *(f"{k}={v}" for k, v in options.items()), *["weighted"] * weighted])


@pytest.mark.parametrize("index", range(len(CASES)), ids=[_id(case) for case in CASES])
def test_agrees_with_keras(index: int) -> None:
    name, true, pred, options, weighted = CASES[index]
    loss = getattr(losses, name)(**options)
    value = loss(DATA[true], as_tensor(DATA[pred]), sample_weight=DATA["weights"] if weighted else None)
    np.testing.assert_allclose(np.asarray(value), EXPECTED[index], rtol=2e-5, atol=2e-6)


def test_every_case_has_its_number() -> None:
    assert len(EXPECTED) == len(CASES)


@pytest.mark.parametrize("loss", ["mean_squared_error", "huber", "binary_crossentropy", "hinge", "dice"])
@pytest.mark.parametrize(
    ("true", "pred", "fix"),
    [
        ((8, 1), (8, 10), "Dense(1)"),
        ((8,), (8, 10), "sparse_categorical_crossentropy"),
        ((8, 10), (8, 1), "Dense(10)"),
        ((7, 3), (8, 3), "number of samples differs"),
        ((1, 3), (8, 3), "number of samples differs"),
        ((8, 4, 4), (8, 5, 4), "must be equal"),
    ],
)
def test_refuses_shapes_that_only_broadcast(loss: str, true: tuple, pred: tuple, fix: str) -> None:
    with pytest.raises(ShapeError) as error:
        losses.get(loss)(np.zeros(true, "float32"), np.zeros(pred, "float32"))
    assert str(true) in str(error.value)
    assert str(pred) in str(error.value)
    assert fix in str(error.value)


@pytest.mark.parametrize(
    ("loss", "true", "pred", "fix"),
    [
        ("categorical_crossentropy", (8,), (8, 10), "'sparse_categorical_crossentropy'"),
        ("categorical_crossentropy", (8, 1), (8, 10), "to_categorical(y, 10)"),
        (
            "categorical_crossentropy",
            (8, 9),
            (8, 10),
            "the targets have 9 classes, the model's last layer 10 units",
        ),
        ("categorical_crossentropy", (8, 1), (8, 1), "binary_crossentropy"),
        ("categorical_focal_crossentropy", (8,), (8, 10), "to_categorical(y, 10)"),
        ("sparse_categorical_crossentropy", (8, 10), (8, 10), "'categorical_crossentropy'"),
        ("sparse_categorical_crossentropy", (7,), (8, 10), "class indices of shape (8,)"),
    ],
)
def test_tells_sparse_from_categorical(loss: str, true: tuple, pred: tuple, fix: str) -> None:
    with pytest.raises(ShapeError) as error:
        losses.get(loss)(np.zeros(true, "float32"), np.ones(pred, "float32"))
    assert fix in str(error.value)
    assert "sparse_categorical_focal" not in str(error.value)


@pytest.mark.parametrize("shapes", [((6,), (6, 1)), ((6, 1), (6,)), ((6, 1), (6, 1)), ((2, 3, 1), (2, 3))])
def test_a_last_axis_of_one_is_understood(shapes: tuple) -> None:
    a, b = np.arange(6.0), np.arange(6.0) ** 2
    value = losses.MeanSquaredError()(a.reshape(shapes[0]), b.reshape(shapes[1]))
    np.testing.assert_allclose(np.asarray(value), np.mean((a - b) ** 2), rtol=1e-6)


def test_weights_per_sample_reach_every_step() -> None:
    values = np.arange(6.0).reshape(2, 3)
    loss = losses.MeanAbsoluteError(reduction="none")
    got = loss(np.zeros((2, 3, 1)), values[..., None], sample_weight=np.array([1.0, 10.0]))
    np.testing.assert_allclose(np.asarray(got), values * [[1], [10]])


@pytest.mark.parametrize("weight", [np.ones(3), np.ones((2, 4)), np.ones((2, 3, 2))])
def test_weights_that_do_not_fit_are_refused(weight: np.ndarray) -> None:
    with pytest.raises(ShapeError, match="sample_weight has shape"):
        losses.MeanAbsoluteError()(np.zeros((2, 3, 1)), np.zeros((2, 3, 1)), sample_weight=weight)


@pytest.mark.parametrize(
    ("reduction", "expected"),
    [("sum_over_batch_size", 3.0), ("sum", 9.0), ("mean_with_sample_weight", 1.5), ("none", [1.5, 3, 4.5])],
)
def test_a_scalar_is_the_value_of_each_weight(reduction: str, expected: Any) -> None:
    loss = losses.LossFunctionWrapper(lambda y_true, y_pred: ops.mean(y_pred - y_true), reduction)
    got = loss(np.zeros((3, 1)), np.array([[1.0], [2.0], [1.5]]), sample_weight=[1.0, 2.0, 3.0])
    np.testing.assert_allclose(np.asarray(got), expected)


def test_a_scalar_is_the_value_of_each_masked_entry() -> None:
    predictions = as_tensor(np.full((2, 3, 1), 2.0))
    predictions._keras_mask = as_tensor(np.array([[True, False, True], [False, False, False]]))
    for reduction, expected in (("sum_over_batch_size", 2.0), ("sum", 4.0)):
        loss = losses.LossFunctionWrapper(lambda y_true, y_pred: ops.mean(y_pred), reduction)
        assert float(loss(np.zeros((2, 3, 1)), predictions)) == expected


def test_weights_and_masks_reach_a_scalar_loss_in_training() -> None:
    model = hornbeam.Sequential([hornbeam.Input((2,)), layers.Dense(1, use_bias=False)])
    model.layers[0].set_weights([np.array([[1.0], [2.0]])])
    model.compile("sgd", lambda y_true, y_pred: ops.mean(ops.square(y_true - y_pred)))
    x, y = np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([[0.0], [1.0]])
    assert model.evaluate(x, y, sample_weight=np.array([1.0, 3.0]), verbose=0) == pytest.approx(2.0)
    loss = model.fit(x, y, class_weight={0: 1.0, 1: 3.0}, verbose=0).history["loss"]
    assert loss == [pytest.approx(2.0)]


@pytest.mark.parametrize(
    ("reduction", "expected"), [("sum_over_batch_size", 2.0), ("sum", 4.0), ("none", [[1, 0, 3], [0, 0, 0]])]
)
def test_masked_values_do_not_count(reduction: str, expected: Any) -> None:
    predictions = as_tensor(np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])[..., None])
    predictions._keras_mask = as_tensor(np.array([[True, False, True], [False, False, False]]))
    loss = losses.MeanAbsoluteError(reduction=reduction)
    got = np.asarray(loss(np.zeros((2, 3, 1)), predictions))
    # With "none" the values are only zeroed, with a mean they are the mean of what is left.
    np.testing.assert_allclose(got, expected)


def test_nothing_left_gives_zero_not_nan() -> None:
    predictions = as_tensor(np.ones((2, 3, 1)))
    predictions._keras_mask = as_tensor(np.zeros((2, 3), bool))
    assert float(losses.MeanSquaredError()(np.zeros((2, 3, 1)), predictions)) == 0.0


def test_from_logits_and_softmax_agree_where_probabilities_underflow() -> None:
    scores = as_tensor(np.array([[0.0, 200.0]], "float32"))
    labels = np.array([0])
    exact = losses.SparseCategoricalCrossentropy(from_logits=True)(labels, scores)
    through = losses.SparseCategoricalCrossentropy()(labels, ops.softmax(scores))
    assert float(exact) == pytest.approx(200.0)
    assert float(through) == pytest.approx(200.0)


def test_large_class_numbers_survive_the_conversion() -> None:
    # 2**24 + 1 is not a float32: labels must not pass through the dtype of the loss.
    seen: list[str] = []

    class Spy(losses.SparseCategoricalCrossentropy):
        def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
            seen.append(y_true.dtype)
            return super().call(y_true, y_pred)

    Spy()(np.array([1, 0]), np.full((2, 2), 0.5, "float32"))
    assert seen == ["int64"]


def test_dtype_is_floatx_unless_given() -> None:
    loss = losses.MeanSquaredError()
    for dtype in ("float16", "float32", "float64"):
        assert loss(np.zeros((2, 1)), np.zeros((2, 1), dtype)).dtype == "float32"
    hornbeam.config.set_floatx("float64")
    try:
        assert losses.MeanSquaredError()(np.zeros((2, 1)), np.zeros((2, 1), "float32")).dtype == "float64"
        assert loss.dtype == "float32"
    finally:
        hornbeam.config.set_floatx("float32")
    assert losses.MeanSquaredError(dtype="float16")(np.zeros((2, 1)), np.zeros((2, 1))).dtype == "float16"


def test_values_of_any_dtype_are_reduced_in_that_of_the_loss() -> None:
    assert losses.CTC(dtype="bfloat16")(np.array([[1, 2]]), np.zeros((1, 4, 3))).dtype == "bfloat16"
    wide = losses.LossFunctionWrapper(lambda y_true, y_pred: ops.cast(y_pred, "float64"), dtype="float32")
    assert wide(np.zeros((2, 1)), np.zeros((2, 1))).dtype == "float32"


def test_gradient_of_mean_squared_error() -> None:
    target, start = np.array([[1.0, 2.0]]), np.array([[3.0, 5.0]])
    gradient = hornbeam.grad(lambda p: losses.MeanSquaredError()(target, p))(as_tensor(start))
    np.testing.assert_allclose(np.asarray(gradient), (start - target) * 2 / 2)


@pytest.mark.parametrize("name", ["Circle", "CosineSimilarity", "KLDivergence"])
def test_gradients_stay_finite_at_the_edges(name: str) -> None:
    loss = getattr(losses, name)()
    true = np.array([0, 1, 2]) if name == "Circle" else np.zeros((3, 3))
    point = np.eye(3) if name == "Circle" else np.zeros((3, 3))
    gradient = hornbeam.grad(lambda p: loss(true, p))(as_tensor(point))
    assert np.isfinite(np.asarray(gradient)).all()


@pytest.mark.parametrize("case", CASES[32:], ids=[_id(case) for case in CASES[32:]])
def test_config_makes_an_equal_loss(case: Any) -> None:
    name, _, _, options, _ = case
    loss = getattr(losses, name)(**options)
    config = json.loads(json.dumps(losses.serialize(loss)))
    assert config["module"] == "keras.losses"
    assert config["class_name"] == name
    again = losses.deserialize(config)
    assert type(again) is type(loss)
    assert again.get_config() == loss.get_config()
    assert {key: again.get_config()[key] for key in options} == options


def test_tuples_in_configs_come_back() -> None:
    again = losses.deserialize(json.loads(json.dumps(losses.serialize(losses.Dice(axis=(1, 2))))))
    assert tuple(again.axis) == (1, 2)
    assert again(np.ones((2, 3, 4)), np.ones((2, 3, 4))).shape == ()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mse", losses.mean_squared_error),
        ("MSE", losses.mean_squared_error),
        ("kld", losses.kl_divergence),
        ("bce", losses.binary_crossentropy),
        ("log_cosh", losses.log_cosh),
        ("categorical_crossentropy", losses.categorical_crossentropy),
    ],
)
def test_names(name: str, expected: Any) -> None:
    assert losses.get(name) is expected


def test_get_takes_classes_objects_functions_and_none() -> None:
    assert isinstance(losses.get("MeanSquaredError"), losses.MeanSquaredError)
    assert isinstance(losses.get(losses.Huber), losses.Huber)
    loss = losses.Huber()
    assert losses.get(loss) is loss
    assert losses.get(None) is None
    assert losses.get(abs) is abs


def test_unknown_names() -> None:
    with pytest.raises(registry.UnknownObjectError, match="Did you mean 'categorical_crossentropy'"):
        losses.get("categorical_crossentropi")
    with pytest.raises(ValueError, match="as a loss"):
        losses.get(3)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: losses.MeanSquaredError(reduction="avg"), "unknown reduction"),
        (lambda: losses.Huber(delta=0.0), "delta must be a positive number"),
        (lambda: losses.BinaryCrossentropy(label_smoothing=2.0), "label_smoothing must be a number between"),
        (lambda: losses.CategoricalGeneralizedCrossEntropy(q=1.5), "q must be a number in"),
        (
            lambda: losses.CategoricalCrossentropy(axis=True)(np.eye(2), np.eye(2)),
            "axis must be an integer axis or a sequence of them",
        ),
    ],
)
def test_wrong_options(make: Any, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        make()


def test_own_losses_need_only_call() -> None:
    class Absolute(losses.Loss):
        def call(self, y_true: Any, y_pred: Any) -> Any:
            return ops.sum(ops.abs(y_true["x"] - y_pred["x"]), axis=-1)

    value = Absolute()({"x": np.zeros((2, 2))}, {"x": np.ones((2, 2))})
    assert float(value) == 2.0
    with pytest.raises(NotImplementedError, match="must define call"):
        losses.Loss()(np.zeros(2), np.zeros(2))


def test_ctc_sums_over_all_alignments() -> None:
    # Two steps, label 1: the paths are 11, 1-, -1 out of nine.
    scores = np.log(np.array([[[0.5, 0.3, 0.2], [0.1, 0.6, 0.3]]], "float32"))
    expected = -np.log(0.3 * 0.6 + 0.3 * 0.1 + 0.5 * 0.6)
    assert float(losses.CTC()([[1, 0]], scores)) == pytest.approx(expected, rel=1e-5)
    with pytest.raises(ShapeError, match="steps, classes"):
        losses.get("ctc")([[1, 0]], scores[0])


def test_wrapped_function_in_a_config() -> None:
    loss = losses.LossFunctionWrapper(losses.huber, delta=2.0)
    again = losses.LossFunctionWrapper.from_config(json.loads(json.dumps(registry.serialize(loss)["config"])))
    assert again.fn is losses.huber
    assert again.options == {"delta": 2.0}


def test_targets_reach_functions_with_the_rank_of_the_predictions() -> None:
    """(batch,) beside (batch, 1) would broadcast to (batch, batch) in a function of the user's."""
    seen = []

    def squared(y_true: Tensor, y_pred: Tensor) -> Tensor:
        seen.append((tuple(y_true.shape), tuple(y_pred.shape)))
        return ops.mean(ops.square(y_true - y_pred))

    loss = losses.LossFunctionWrapper(squared)
    assert float(loss(np.float32([1, 2]), np.float32([[1], [4]]))) == 2.0
    loss(np.float32([[1], [2]]), np.float32([1, 4]))
    assert seen == [((2, 1), (2, 1))] * 2
