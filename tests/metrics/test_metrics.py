"""Metrics: numbers against Keras's over two batches, weights, masks, compiled use, resets, configs."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hornbeam
from hornbeam import layers, losses, metrics, ops
from hornbeam.core import registry
from hornbeam.core.convert import as_tensor
from hornbeam.errors import LikelyMistakeWarning
from hornbeam.ir.types import ShapeError
from tests.helpers.builders import compiled_model
from tests.helpers.metric_cases import CASES, inputs, weighted

EXPECTED = json.loads((Path(__file__).parent / "metric_expected.json").read_text())
DATA = inputs()
IDS = ["-".join([name, *(f"{k}={v}" for k, v in options.items())]) for name, _, _, options in CASES]
BATCHES = (slice(0, 3), slice(3, 6))


def _run(case: Any, with_weights: bool, compiled: bool = False) -> np.ndarray:
    name, true, pred, options = case
    metric = getattr(metrics, name)(**options)

    def update(*arguments: Any) -> None:
        metric.update_state(*arguments)

    step = hornbeam.jit(update) if compiled else update
    for part in BATCHES:
        arguments = [DATA[true][part], DATA[pred][part]]
        step(*map(as_tensor, [*arguments, *([DATA["weights"][part]] if with_weights else [])]))
    return np.asarray(metric.result())


@pytest.mark.parametrize("index", range(len(CASES)), ids=IDS)
def test_agrees_with_keras(index: int) -> None:
    actual = [_run(CASES[index], w) for w in ((False, True) if weighted(CASES[index][0]) else (False,))]
    assert len(actual) == len(EXPECTED[index])
    for got, expected in zip(actual, EXPECTED[index], strict=True):
        np.testing.assert_allclose(got, expected, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("index", range(0, len(CASES), 3), ids=IDS[::3])
def test_compiled_updates_agree(index: int) -> None:
    np.testing.assert_allclose(
        _run(CASES[index], False, compiled=True), EXPECTED[index][0], rtol=2e-5, atol=2e-6
    )


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_reset_and_config(case: Any) -> None:
    name, true, pred, options = case
    metric = getattr(metrics, name)(**options)
    metric.update_state(DATA[true], DATA[pred])
    first = np.asarray(metric.result())
    metric.reset_state()
    assert all(not np.asarray(v).any() for v in metric.variables)
    metric.update_state(DATA[true], DATA[pred])
    np.testing.assert_array_equal(np.asarray(metric.result()), first)
    config = json.loads(json.dumps(metrics.serialize(metric)))
    again = metrics.deserialize(config)
    assert type(again) is type(metric)
    assert again.get_config() == metric.get_config()
    again.update_state(DATA[true], DATA[pred])
    np.testing.assert_array_equal(np.asarray(again.result()), first)


def test_mean_counts_weights() -> None:
    mean = metrics.Mean()
    assert float(mean.result()) == 0.0
    mean.update_state([1.0, 3.0], sample_weight=[3.0, 1.0])
    mean.update_state(5.0)
    assert float(mean.result()) == pytest.approx((3 + 3 + 5) / 5)
    total = metrics.Sum()
    total.update_state([[1.0, 2.0], [3.0, 4.0]], sample_weight=[1.0, 2.0])
    assert float(total.result()) == 17.0


def test_a_long_mean_in_float64() -> None:
    mean = metrics.Mean(dtype="float64")
    mean.update_state(np.full(10, 0.1))
    assert mean.result().dtype == "float64"
    assert float(mean.result()) == pytest.approx(0.1, abs=1e-15)


def test_masked_steps_do_not_count() -> None:
    predictions = as_tensor(np.array([[[0.9, 0.1], [0.9, 0.1]], [[0.1, 0.9], [0.9, 0.1]]]))
    predictions._keras_mask = as_tensor(np.array([[True, False], [True, True]]))
    metric = metrics.SparseCategoricalAccuracy()
    metric.update_state(np.array([[0, 1], [1, 1]]), predictions)
    # Of the three steps that count, two are right.
    assert float(metric.result()) == pytest.approx(2 / 3)


def test_auc_of_a_perfect_and_a_useless_ranking() -> None:
    for predictions, expected in (
        ([0.1, 0.2, 0.8, 0.9], 1.0),
        ([0.5, 0.5, 0.5, 0.5], 0.5),
        ([0.9, 0.8, 0.2, 0.1], 0.0),
    ):
        metric = metrics.AUC()
        metric.update_state([0, 0, 1, 1], predictions)
        assert float(metric.result()) == pytest.approx(expected)


@pytest.mark.parametrize("curve", ["ROC", "PR", "PRGAIN"])
@pytest.mark.parametrize("scores", [[-3.0, -1.0, 2.0, 4.0], [-3.0, -1.0, 0.5, 0.6]])
def test_auc_of_scores_beyond_probabilities_keeps_the_ends_of_the_curve(curve: str, scores: list) -> None:
    metric = metrics.AUC(curve=curve)
    with pytest.warns(LikelyMistakeWarning, match=r"go from -3 to .* write AUC\(from_logits=True\)"):
        metric.update_state([0, 0, 1, 1], scores)
    metric.update_state([0, 0, 1, 1], scores)  # says it once
    assert float(metric.result()) == pytest.approx(1.0)


def test_scores_that_no_threshold_separates_are_named() -> None:
    for metric in (metrics.AUC(), metrics.SensitivityAtSpecificity(0.9)):
        with pytest.warns(LikelyMistakeWarning, match=r"go from 10 to 40, but its thresholds from"):
            metric.update_state([0, 0, 1, 1], [10.0, 20.0, 30.0, 40.0])


def test_accuracy_by_name_takes_logits_where_the_loss_does() -> None:
    x = np.array([[-1.0], [0.25], [0.4], [3.0]], dtype="float32")
    model = compiled_model((1,), [layers.Identity()], "sgd", losses.BinaryCrossentropy(from_logits=True),
        metrics=["accuracy"])  # fmt: skip
    assert model.evaluate(x, np.array([0, 1, 1, 1]), verbose=0, return_dict=True)["accuracy"] == 1.0


def test_iou_from_a_hand_made_table() -> None:
    metric = metrics.MeanIoU(num_classes=3)
    metric.update_state([0, 0, 1, 1, 1], [0, 1, 1, 1, 0])
    # Class 0: 1 of 3, class 1: 2 of 4; class 2 never occurs and is left out.
    assert float(metric.result()) == pytest.approx((1 / 3 + 2 / 4) / 2)
    np.testing.assert_array_equal(np.asarray(metric.total_cm), [[1, 1, 0], [1, 2, 0], [0, 0, 0]])


def test_iou_with_fractional_weights_needs_floats() -> None:
    with pytest.raises(ValueError, match="dtype='float32'"):
        metrics.MeanIoU(2).update_state([0, 1], [0, 1], sample_weight=[0.5, 0.5])
    metric = metrics.MeanIoU(2, dtype="float32")
    metric.update_state([0, 1], [0, 0], sample_weight=[0.5, 0.25])
    assert float(metric.result()) == pytest.approx((0.5 / 0.75 + 0) / 2)


def test_adjusted_r2_without_enough_samples_is_the_plain_one() -> None:
    plain, adjusted = metrics.R2Score(), metrics.R2Score(num_regressors=5)
    for metric in (plain, adjusted):
        metric.update_state([[1.0], [2.0], [4.0]], [[1.1], [2.0], [3.7]])
    assert float(adjusted.result()) == float(plain.result())


@pytest.mark.parametrize(
    ("true", "pred", "accuracy", "entropy"),
    [
        ((None,), (None, 1), metrics.BinaryAccuracy, metrics.BinaryCrossentropy),
        ((None, 1), (None, 1), metrics.BinaryAccuracy, metrics.BinaryCrossentropy),
        ((None, 10), (None, 10), metrics.CategoricalAccuracy, metrics.CategoricalCrossentropy),
        ((None,), (None, 10), metrics.SparseCategoricalAccuracy, metrics.SparseCategoricalCrossentropy),
        ((None, 1), (None, 10), metrics.SparseCategoricalAccuracy, metrics.SparseCategoricalCrossentropy),
        ((None, 5), (None, 5, 10), metrics.SparseCategoricalAccuracy, metrics.SparseCategoricalCrossentropy),
    ],
)
def test_accuracy_is_chosen_by_shapes(true: tuple, pred: tuple, accuracy: type, entropy: type) -> None:
    for word in ("accuracy", "acc"):
        result = metrics.for_string(word, true, pred)
        assert type(result) is accuracy
        assert result.name == word
    assert type(metrics.for_string("crossentropy", true, pred)) is entropy
    assert type(metrics.for_string("mse", true, pred)) is metrics.MeanSquaredError


def test_no_accuracy_fits() -> None:
    with pytest.raises(ShapeError, match=r"one-hot targets \(8, 10\)"):
        metrics.for_string("accuracy", (8, 3), (8, 10))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mse", metrics.MeanSquaredError),
        ("mean_squared_error", metrics.MeanSquaredError),
        ("binary_accuracy", metrics.BinaryAccuracy),
        ("auc", metrics.AUC),
        ("AUC", metrics.AUC),
        ("F1Score", metrics.F1Score),
        ("accuracy", metrics.Accuracy),
        ("bce", metrics.BinaryCrossentropy),
    ],
)
def test_names(name: str, expected: type) -> None:
    assert type(metrics.get(name)) is expected


def test_unknown_names_and_what_is_no_metric() -> None:
    with pytest.raises(registry.UnknownObjectError, match="Did you mean"):
        metrics.get("categorical_acuracy")
    with pytest.raises(ValueError, match="as a metric"):
        metrics.get(3)
    assert metrics.get(None) is None
    assert metrics.get(losses.huber) is losses.huber


def test_wrapped_function_in_a_config() -> None:
    metric = metrics.MeanMetricWrapper(losses.huber, name="h", delta=2.0)
    again = metrics.deserialize(json.loads(json.dumps(metrics.serialize(metric))))
    for m in (metric, again):
        m.update_state(DATA["a"], DATA["b"])
    assert float(again.result()) == float(metric.result())


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: metrics.BinaryAccuracy(threshold=1.5), "threshold must be a number in"),
        (lambda: metrics.Precision(thresholds=[0.5, 2.0]), "thresholds must lie"),
        (lambda: metrics.AUC(curve="LIFT"), "curve must be one of 'ROC', 'PR'"),
        (lambda: metrics.AUC(num_thresholds=1), "num_thresholds must be at least 2"),
        (lambda: metrics.AUC(num_labels=3), "multi_label=True"),
        (lambda: metrics.RecallAtPrecision(1.5), "precision must lie"),
        (lambda: metrics.FBetaScore(average="all"), "average must be"),
        (lambda: metrics.FBetaScore(beta=0.0), "beta must be a positive"),
        (lambda: metrics.R2Score(class_aggregation="sum"), "class_aggregation must be"),
        (lambda: metrics.IoU(2, [2]), "are out of range for 2 classes"),
        (lambda: metrics.Precision(class_id=7).update_state(DATA["binary"], DATA["chances"]), "class_id=7"),
        (lambda: metrics.F1Score().update_state([1, 0], [0.5, 0.5]), r"shape \(batch, outputs\)"),
        (
            lambda: metrics.TopKCategoricalAccuracy(k=0).update_state(DATA["one_hot"], DATA["a"]),
            "k must be an integer of at least 1",
        ),
        (
            lambda: metrics.MeanSquaredError().update_state(np.zeros((3, 1)), np.zeros((3, 2))),
            "only broadcast",
        ),
    ],
)
def test_mistakes_are_named(make: Any, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        make()


def test_own_metrics_hold_others() -> None:
    class Spread(metrics.Metric):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.low = metrics.Mean(name="low")
            self.most = self.add_variable((), name="most")

        def update_state(self, values: Any) -> None:
            self.low.update_state(values)
            self.most.assign(ops.maximum(self.most, ops.max(values)))

        def result(self) -> Any:
            return {"low": self.low.result(), "most": self.most.value}

    metric = Spread(name="spread")
    result = metric(as_tensor([1.0, 3.0]))
    assert {key: float(value) for key, value in result.items()} == {"low": 2.0, "most": 3.0}
    assert [v.path for v in metric.variables] == ["spread/most", "low/total", "low/count"]
    metric.reset_state()
    assert float(metric.result()["low"]) == 0.0


@pytest.mark.parametrize(
    ("curve", "label", "message"),
    [("ROC", 0.0, "auc: the targets are of one class"), ("ROC", 1.0, "no ROC curve is defined"),
     ("PR", 0.0, "no PR curve is defined"), ("PR", 1.0, None)],
)  # fmt: skip
def test_auc_of_one_class_is_said_once(curve: str, label: float, message: str | None) -> None:
    x = np.linspace(0, 1, 8, dtype="float32").reshape(8, 1)
    model = compiled_model(
        (1,),
        [layers.Dense(1, "sigmoid")],
        loss="binary_crossentropy",
        metrics=[metrics.AUC(curve=curve, name="auc")],
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(2):
            logs = model.evaluate(x, np.full((8, 1), label), verbose=0, return_dict=True)
    said = [str(warning.message) for warning in caught if "of one class" in str(warning.message)]
    assert len(said) == (message is not None)
    assert message is None or message in said[0]
    assert logs["auc"] == (0.0 if message else 1.0)


def test_auc_names_the_labels_of_one_class() -> None:
    metric = metrics.AUC(multi_label=True, name="auc")
    metric.update_state([[0, 0, 1], [1, 0, 1]], [[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]])
    with pytest.warns(LikelyMistakeWarning, match=r"the targets of labels \[1, 2\] are of one class"):
        metric.warn_of_one_class()
