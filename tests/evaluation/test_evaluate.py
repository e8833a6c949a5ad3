"""`evaluation.evaluate` beside `model.evaluate`, for every kind of data, output, loss and metric."""

from __future__ import annotations

import json
import re
import warnings
from typing import Any

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import evaluation, layers, metrics
from hornbeam.errors import IntervalWarning
from tests.helpers.builders import classifier, compiled_model, data


def test_values_are_those_of_the_model() -> None:
    x, y = data()
    model = classifier(metrics=["accuracy", metrics.SparseTopKCategoricalAccuracy(2, name="top2")])
    model.fit(x, y, epochs=3, verbose=0)
    actual = evaluation.evaluate(model, x, y)
    want = model.evaluate(x, y, verbose=0, return_dict=True)
    assert {name: e.value for name, e in actual.metrics.items()} == pytest.approx(want, rel=1e-5)
    assert actual["accuracy"].interval == evaluation.wilson(round(want["accuracy"] * 500), 500)
    assert actual["loss"].low < want["loss"] < actual["loss"].high
    assert actual["loss"].interval.method == "bootstrap-t"  # type: ignore[union-attr]
    assert (actual.n, actual["loss"].n, list(actual.notes)) == (500, 500, [])


def test_intervals_shrink_with_the_root_of_n() -> None:
    x, y = data(6400)
    model = classifier()
    widths = []
    for n in (400, 6400):
        loss = evaluation.evaluate(model, x[:n], y[:n])["loss"]
        widths.append(loss.high - loss.low)
    assert widths[0] / widths[1] == pytest.approx(4, rel=0.25)


def test_every_kind_of_metric() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 4)).astype("float32")
    y = (x[:, :1] + 0.5 * rng.normal(size=(300, 1)) > 0).astype("float32")
    model = hb.Sequential([hb.Input((4,)), layers.Dense(1, "sigmoid")])
    measures = ["accuracy", metrics.AUC(name="auc"), metrics.Precision(name="precision"),
                metrics.Recall(name="recall"), metrics.F1Score(average="micro", threshold=0.5, name="f1"),
                metrics.MeanSquaredError(name="mse"),
                metrics.RootMeanSquaredError(name="rmse"), metrics.R2Score(name="r2"),
                metrics.BinaryIoU([0, 1], name="iou")]  # fmt: skip
    model.compile("adam", "binary_crossentropy", metrics=measures)
    model.fit(x, y, epochs=5, verbose=0)
    actual = evaluation.evaluate(model, x, y)
    want = model.evaluate(x, y, verbose=0, return_dict=True)
    assert {name: e.value for name, e in actual.metrics.items()} == pytest.approx(want, rel=1e-4)
    for name, estimate in actual.metrics.items():
        assert estimate.low < estimate.value < estimate.high, name
    methods = {name: e.interval.method for name, e in actual.metrics.items() if e.interval}
    assert methods["precision"] == methods["recall"] == methods["accuracy"] == "Wilson"
    assert methods["auc"] == methods["f1"] == methods["r2"] == methods["iou"] == "bootstrap (BCa)"
    assert methods["mse"] == methods["rmse"] == "bootstrap-t"
    assert actual["rmse"].low == pytest.approx(actual["mse"].low ** 0.5, rel=0.05)


@pytest.mark.parametrize("aggregation", ["uniform_average", None])
def test_r2_of_targets_far_from_zero(aggregation: str | None) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 2)).astype("float32")
    y = (1e4 + x + 0.3 * rng.normal(size=x.shape)).astype("float32")
    model = hb.Sequential([hb.Input((2,)), layers.Rescaling(1.0, 1e4)])
    model.compile("sgd", "mse", metrics=[metrics.R2Score(aggregation, name="r2")])
    weights = rng.integers(1, 3, 200).astype("float32")
    actual = evaluation.evaluate(model, x, y, sample_weight=weights).metrics
    want = np.ravel(model.evaluate(x, y, verbose=0, return_dict=True)["r2"])
    estimates = [estimate for name, estimate in actual.items() if name.startswith("r2")]
    assert [estimate.value for estimate in estimates] == pytest.approx(want, abs=1e-5)
    assert all(0.85 < estimate.low < estimate.value < estimate.high < 1 for estimate in estimates)


def test_streams_and_weights() -> None:
    x, y = data()
    model = classifier(weighted_metrics=["accuracy"], metrics=None)
    weights = np.linspace(0.5, 2, len(x)).astype("float32")
    arrays = evaluation.evaluate(model, x, y, sample_weight=weights)
    want = model.evaluate(x, y, sample_weight=weights, verbose=0, return_dict=True)
    assert {name: e.value for name, e in arrays.metrics.items()} == pytest.approx(want, rel=1e-5)
    assert arrays["accuracy"].interval.method == "bootstrap-t"  # type: ignore[union-attr]
    stream = hb.data.Dataset.from_tensor_slices((x, y, weights)).batch(64)
    assert evaluation.evaluate(model, stream).as_dict() == arrays.as_dict()
    generator = ((x[at : at + 50], y[at : at + 50], weights[at : at + 50]) for at in range(0, 500, 50))
    assert evaluation.evaluate(model, generator).as_dict() == arrays.as_dict()
    assert evaluation.evaluate(model, x, y, batch_size=50, steps=2).n == 100


def test_a_sealed_set_counts_one_look(capsys: pytest.CaptureFixture[str]) -> None:
    x, y = data()
    model = classifier()
    sealed = hb.data.seal(x, y)
    result = evaluation.evaluate(model, sealed)
    assert sealed.uses == 1
    assert "first use of this test set (500 samples)" in capsys.readouterr().out
    evaluation.evaluate(model, x, y)  # its arrays
    assert sealed.uses == 2
    assert result.n == 500


def test_several_outputs_and_penalties() -> None:
    x, y = data()
    inputs = hb.Input((4,))
    a = layers.Dense(3, "softmax", name="a", kernel_regularizer="l2")(inputs)
    b = layers.Dense(2, name="b")(inputs)
    model = hb.Model(inputs, [a, b])
    model.compile("adam", ["sparse_categorical_crossentropy", "mse"], loss_weights=[1.0, 0.5],
                  metrics=[["accuracy"], ["mae"]])  # fmt: skip
    targets = [y, x[:, :2]]
    actual = evaluation.evaluate(model, x, targets)
    want = model.evaluate(x, targets, verbose=0, return_dict=True)
    assert {name: e.value for name, e in actual.metrics.items()} == pytest.approx(want, rel=1e-4)
    assert actual.classes == []


def test_logits_are_known_by_the_loss() -> None:
    x, y = data(classes=2)
    loss = hb.losses.BinaryCrossentropy(from_logits=True)
    model = classifier(None, 1, loss=loss, metrics=[metrics.BinaryAccuracy(threshold=0.5)])
    model.layers[-1].kernel.assign(model.layers[-1].kernel * 0.01)
    logits = model.predict(x, verbose=0)[:, 0]
    result = evaluation.evaluate(model, x, y)
    assert {score.label: score.predicted for score in result.classes} == {
        0: int((logits <= 0).sum()),
        1: int((logits > 0).sum()),
    }


def test_classes() -> None:
    x, y = data(300)
    model = classifier()
    model.fit(x, y, epochs=60, verbose=0)
    selected = model.predict(x, verbose=0).argmax(-1)
    for score in evaluation.evaluate(model, x, y).classes:
        k = score.label
        right = int(((selected == k) & (y == k)).sum())
        assert (score.n, score.predicted, score.correct) == (
            int((y == k).sum()),
            int((selected == k).sum()),
            right,
        )
        assert score.precision == right / score.predicted
        assert score.f1 == pytest.approx(2 / (1 / score.precision + 1 / score.recall))
        for value, bounds in zip((score.precision, score.recall, score.f1), score.intervals, strict=True):
            assert bounds is not None
            assert value in bounds


def test_sequences_are_drawn_whole() -> None:
    """Ten copies of a step are no more than one: the interval must not become narrower."""
    rng = np.random.default_rng(0)
    one = rng.normal(size=(200, 1, 2)).astype("float32")
    y = (one[..., :1] + rng.normal(size=(200, 1, 1)) > 0).astype("float32")
    model = compiled_model(
        (None, 2), [layers.Dense(1, "sigmoid")], "adam", "binary_crossentropy", metrics=["accuracy"]
    )
    single = evaluation.evaluate(model, one, y)
    many = evaluation.evaluate(model, np.repeat(one, 10, 1), np.repeat(y, 10, 1))
    assert many["accuracy"].value == pytest.approx(single["accuracy"].value)
    width = single["accuracy"].high - single["accuracy"].low
    assert many["accuracy"].high - many["accuracy"].low == pytest.approx(width, rel=0.15)


def test_masked_outputs_are_refused() -> None:
    model = compiled_model((5,), [layers.Embedding(9, 3, mask_zero=True), layers.Dense(1)], "adam", "mse")
    x = np.array([[1, 2, 0, 0, 0], [1, 1, 1, 1, 0]])
    with pytest.raises(NotImplementedError, match="outputs with a mask"):
        evaluation.evaluate(model, x, np.zeros((2, 5, 1)))


def test_what_cannot_be_known_is_said() -> None:
    class Own(hb.Model):
        def __init__(self) -> None:
            super().__init__()
            self.dense = layers.Dense(3, "softmax")

        def call(self, x: Any) -> Any:
            return self.dense(x)

        def compute_loss(self, **kwargs: Any) -> Any:
            return super().compute_loss(**kwargs) * 2.0

    class Largest(metrics.Metric):
        def __init__(self) -> None:
            super().__init__(name="largest")
            self.seen = self.add_variable((), name="seen")

        def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
            self.seen.assign(hb.ops.maximum(self.seen, hb.ops.max(y_pred)))

        def result(self) -> Any:
            return self.seen.value

    x, y = data()
    model = Own()
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy", Largest()])
    with pytest.warns(IntervalWarning) as caught:
        results = evaluation.evaluate(model, x, y)
    assert list(results.metrics) == ["accuracy"]
    texts = [str(one.message) for one in caught]
    assert any("overrides compute_loss()" in text for text in texts)
    assert any(text == "largest is excluded: its state is not a sum over samples" for text in texts)
    assert list(results.notes) == texts


def test_a_loss_of_batches_has_no_interval() -> None:
    def contrast(y_true: Any, y_pred: Any) -> Any:
        return hb.ops.mean((y_pred - hb.ops.mean(y_pred, axis=0)) ** 2, axis=-1)

    x, y = data()
    model = classifier(loss=contrast, metrics=None)
    with pytest.warns(IntervalWarning, match="not the mean of its samples' losses"):
        assert evaluation.evaluate(model, x, y).metrics == {}


def test_small_and_perfect_sets_warn() -> None:
    x, y = data(24)
    model = classifier()
    with pytest.warns(IntervalWarning, match=r"fewer than 10 samples|dominated by few|rests on"):
        evaluation.evaluate(model, x, y)


def test_a_handful_of_samples_has_no_interval() -> None:
    x, y = data(24)
    with pytest.warns(IntervalWarning) as caught:
        result = evaluation.evaluate(classifier(), x[:2], y[:2])
    assert any("loss has no interval: these samples are too few" in str(one.message) for one in caught)
    assert result["loss"].interval is None
    assert result["loss"].as_dict()["low"] is None
    assert "unknown" in str(result)
    assert result["accuracy"].interval is not None
    json.loads(json.dumps(result.as_dict(), allow_nan=False))


def test_what_layers_add_is_left_out() -> None:
    x, y = data()
    model = hb.Sequential([hb.Input((4,)), layers.Dense(3, "softmax", activity_regularizer="l2",
                                                        kernel_regularizer="l2")])  # fmt: skip
    model.compile("adam", "sparse_categorical_crossentropy")
    with pytest.warns(IntervalWarning, match="losses that layers add"):
        result = evaluation.evaluate(model, x, y)
    plain = hb.losses.SparseCategoricalCrossentropy()(y, model.predict(x, verbose=0))
    penalty = 0.01 * float(np.square(np.asarray(model.layers[0].kernel)).sum())
    assert result["loss"].value == pytest.approx(float(plain) + penalty, rel=1e-5)
    interval = result["loss"].interval
    assert interval is not None
    assert interval.low > penalty


def test_how_it_is_shown() -> None:
    x, y = data()
    result = evaluation.evaluate(classifier(), x, y)
    shown = str(result)
    accuracy = result["accuracy"]
    assert re.search(
        rf"accuracy +{accuracy.value:.4f} +{accuracy.low:.4f} to {accuracy.high:.4f} +Wilson", shown
    )
    assert "500 samples; 95% intervals" in shown
    page = result._repr_html_()
    assert '<th scope="col" class="number">interval</th>' in page
    assert f'<td class="number">{accuracy.low:.4f} to {accuracy.high:.4f}</td>' in page
    fields = result.as_dict()
    assert fields["metrics"]["accuracy"]["low"] == accuracy.low
    assert [c["n"] for c in fields["classes"]] == np.bincount(y).tolist()
    with pytest.raises(KeyError, match="no 'acc' among loss, accuracy"):
        result["acc"]


def test_the_random_state_stays() -> None:
    x, y = data(100)
    model = classifier()
    hb.utils.set_random_seed(5)
    first = np.asarray(hb.random.normal((3,)))
    hb.utils.set_random_seed(5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", IntervalWarning)
        one, two = (evaluation.evaluate(model, x, y) for _ in range(2))
    assert one.as_dict() == two.as_dict()
    np.testing.assert_array_equal(np.asarray(hb.random.normal((3,))), first)


def test_the_line_of_evaluate(capsys: pytest.CaptureFixture[str]) -> None:
    x, y = data()
    model = classifier(metrics=["accuracy"], weighted_metrics=["accuracy"])
    loss, accuracy, weighted = model.evaluate(x, y)
    shown = capsys.readouterr().out
    bounds = evaluation.wilson(round(accuracy * 500), 500)
    counts = np.bincount(np.asarray(y).astype(int).reshape(-1))
    baseline = f"always answering {counts.argmax()} is right in {counts.max() / 500:.3g}"
    assert f" - accuracy: {accuracy:.4f} (95% interval {bounds}; {baseline}) - " in shown
    assert shown.count("interval") == 1  # the weighted one has none
    assert (loss, weighted) == pytest.approx((loss, accuracy))
    model.fit(x[:400], y[:400], validation_data=(x[400:], y[400:]), epochs=1)
    assert "interval" not in capsys.readouterr().out
    model.evaluate(x[:100], y[:100], verbose=0)
    assert capsys.readouterr().out == ""


def test_steps_of_sequences_have_no_interval_in_the_line(capsys: pytest.CaptureFixture[str]) -> None:
    model = compiled_model(
        (5, 2), [layers.Dense(2, "softmax")], "adam", "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    model.evaluate(np.zeros((20, 5, 2)), np.zeros((20, 5), int))
    assert "interval" not in capsys.readouterr().out


def test_no_targets() -> None:
    x, y = data()
    with pytest.raises(ValueError, match="y is missing"):
        evaluation.evaluate(classifier(), x)
    model = hb.Sequential([hb.Input((4,)), layers.Dense(1)])
    with pytest.raises(ValueError, match="is not compiled"):
        evaluation.evaluate(model, x, y)
