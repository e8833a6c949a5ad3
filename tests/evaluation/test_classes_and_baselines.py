"""Confusions, mistakes, baselines and learning curves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import evaluation
from hornbeam.evaluation.confusion_matrix import confused_pairs, confusion_matrix
from tests.helpers.builders import classifier, compiled_model, data


def trained(x: np.ndarray, y: np.ndarray) -> hb.Sequential:
    model = classifier()
    model.optimizer.learning_rate = 0.02
    model.fit(x, y, epochs=20, verbose=0)
    return model


# -- confusion -------------------------------------------------------------------------------------


def test_confusions_by_hand() -> None:
    matrix = confusion_matrix(np.array([4, 4, 4, 7, 1]), np.array([9, 9, 4, 1, 1]), 10)
    result = confused_pairs(matrix)
    assert [(m.true, m.predicted, m.count, m.n) for m in result] == [(4, 9, 2, 3), (7, 1, 1, 1)]
    assert result[0].interval() == evaluation.wilson(2, 3)
    assert confused_pairs(np.diag([3, 4])) == []


def test_confusion_is_that_of_sklearn(tmp_path: Path) -> None:
    sk = pytest.importorskip("sklearn.metrics")
    x, y = data()
    model = trained(x, y)
    result = evaluation.confusion(model, x, y, names=["ant", "bee", "cat"])
    np.testing.assert_array_equal(
        result.matrix, sk.confusion_matrix(y, model.predict(x, verbose=0).argmax(1))
    )
    worst = result.worst(1)[0]
    assert f"{result.names[worst.true]} taken for {result.names[worst.predicted]}" in str(result)
    assert result.as_dict()["matrix"] == result.matrix.tolist()
    assert "<caption>most frequent confusions</caption>" in result._repr_html_()
    with pytest.raises(ValueError, match="each of 3 classes, got 2"):
        evaluation.confusion(model, x, y, names=["ant", "bee"])
    pytest.importorskip("matplotlib")
    assert result.plot(tmp_path / "confusion.png").stat().st_size > 3_000


# -- mistakes --------------------------------------------------------------------------------------


def test_mistakes_are_the_most_confident() -> None:
    x, y = data()
    model = trained(x, y)
    predictions = model.predict(x, verbose=0)
    result = evaluation.mistakes(model, x, y, most=7)
    assert result.wrong == int((predictions.argmax(1) != y).sum())
    sure = np.where(predictions.argmax(1) != y, predictions.max(1), 0)
    assert [m.row for m in result.examples] == np.argsort(-sure, kind="stable")[:7].tolist()
    assert [m.confidence for m in result.examples] == pytest.approx(np.sort(sure)[::-1][:7])
    assert [m.true_probability for m in result.examples] == pytest.approx(
        [predictions[m.row, y[m.row]] for m in result.examples]
    )
    np.testing.assert_array_equal(result.x, x[[m.row for m in result.examples]])
    assert f"{result.wrong} of 500 samples are misclassified; the 7 most" in str(result)
    with pytest.raises(ValueError, match="print the mistakes instead"):
        result.plot("nowhere.png")


def test_contact_sheet(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    rng = np.random.default_rng(0)
    for channels in (1, 3):
        x = rng.random((40, 6, 6, channels)).astype("float32")
        model = compiled_model(
            (6, 6, channels),
            [hb.layers.Flatten(), hb.layers.Dense(3, "softmax")],
            "adam",
            "sparse_categorical_crossentropy",
        )
        result = evaluation.mistakes(model, x, rng.integers(0, 3, 40), most=7)
        assert result.plot(tmp_path / f"{channels}.png").stat().st_size > 10_000


def test_no_mistakes() -> None:
    x, _ = data()
    model = classifier()
    result = evaluation.mistakes(model, x, model.predict(x, verbose=0).argmax(1))
    assert str(result).startswith("0 of 500 samples are misclassified\n")
    with pytest.raises(ValueError, match="no sample is misclassified"):
        result.plot("nowhere.png")


# -- baselines -------------------------------------------------------------------------------------


def test_baselines_of_classes() -> None:
    x, y = data(3000)
    train, test = slice(0, 2000), slice(2000, None)
    actual = evaluation.baselines(x[train], y[train], x[test], y[test])
    by_name = {row.name: row for row in actual.rows}
    frequent = by_name["most frequent class"].value
    assert frequent == np.mean(y[test] == np.bincount(y[train]).argmax())
    sk = pytest.importorskip("sklearn.linear_model")
    theirs = sk.LogisticRegression().fit(x[train], y[train]).score(x[test], y[test])
    assert by_name["logistic regression"].value == pytest.approx(theirs, abs=0.01)
    near = pytest.importorskip("sklearn.neighbors").KNeighborsClassifier(1).fit(x[train], y[train])
    assert by_name["nearest neighbor"].value == pytest.approx(near.score(x[test], y[test]), abs=0.02)
    assert actual.best.name == "logistic regression"
    assert by_name["logistic regression"].interval == evaluation.wilson(round(actual.best.value * 1000), 1000)


def test_baselines_of_numbers() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(600, 5))
    y = x @ rng.normal(size=5) + 0.3 * rng.normal(size=600)
    actual = evaluation.baselines(x[:400], y[:400], x[400:], y[400:])
    sk = pytest.importorskip("sklearn.linear_model")
    theirs = sk.LinearRegression().fit(x[:400], y[:400]).predict(x[400:])
    by_name = {row.name: row.value for row in actual.rows}
    assert by_name["linear regression"] == pytest.approx(np.mean((theirs - y[400:]) ** 2), rel=0.01)
    assert by_name["mean"] == pytest.approx(np.mean((y[:400].mean() - y[400:]) ** 2))
    assert actual.best.name == "linear regression"


def test_baselines_are_shown_with_the_model() -> None:
    x, y = data(3000)
    untrained = classifier()
    result = evaluation.evaluate(untrained, x[2000:], y[2000:], train=(x[:2000], y[:2000]))
    assert result.baselines.best.comparison.verdict == "worse"
    assert "the model is worse than the best baseline, logistic regression" in str(result)
    assert result.as_dict()["baselines"]["model"]["value"] == pytest.approx(result["accuracy"].value)
    good = trained(x[:2000], y[:2000])
    beside = evaluation.evaluate(good, x[2000:], y[2000:], train=(x[:2000], y[:2000])).baselines
    verdicts = {row.name: row.comparison.verdict for row in beside.rows}
    assert verdicts["most frequent class"] == "better"


def test_baselines_leave_the_random_state_alone() -> None:
    x, y = data(300)
    hb.utils.set_random_seed(3)
    first = np.asarray(hb.random.normal((2,)))
    hb.utils.set_random_seed(3)
    one, two = (evaluation.baselines(x[:200], y[:200], x[200:], y[200:]) for _ in range(2))
    np.testing.assert_array_equal(np.asarray(hb.random.normal((2,))), first)
    assert [row.value for row in one.rows] == [row.value for row in two.rows]


def test_baselines_are_quick_on_mnist() -> None:
    (x, y), (x_test, y_test) = hb.datasets.mnist.load_data()
    result = evaluation.baselines(x, y, x_test[:1000], y_test[:1000], references=2000)
    values = {row.name: row.value for row in result.rows}
    assert values["most frequent class"] < 0.15
    assert 0.88 < values["logistic regression"] < 0.95
    assert 0.85 < values["nearest neighbor"] < 0.95
    assert result.notes == ["neighbors are searched among 2,000 of 60,000 training samples"]
    assert sum(row.seconds for row in result.rows) < 60


def test_other_features_are_refused() -> None:
    x, y = data(100)
    with pytest.raises(ValueError, match="4 features a sample, and x has 3"):
        evaluation.baselines(x, y, x[:, :3], y)


# -- learning curves -------------------------------------------------------------------------------


def test_learning_curve(tmp_path: Path) -> None:
    x, y = data(3000)
    sizes: list[int] = []

    def build() -> Any:
        model = classifier()
        fit = model.fit

        def noted(part_x: Any, part_y: Any, **kwargs: Any) -> Any:
            sizes.append(len(part_x))
            return fit(part_x, part_y, **kwargs)

        model.fit = noted
        return model

    result = evaluation.learning_curve(
        build, x[:2000], y[:2000], (x[2000:], y[2000:]), (0.01, 0.1, 1.0), epochs=5
    )
    assert sizes == [20, 200, 2000] == [point.size for point in result.points]
    assert result.metric == "accuracy"
    values = [point.validation.value for point in result.points]
    assert values[2] > values[0]
    assert result.last.value == pytest.approx(values[2] - values[1])
    assert result.last.verdict == "better"
    assert "from 200 to 2,000 samples accuracy changed by +" in str(result)
    assert "more data are likely to help" in str(result)
    assert [point.train.n for point in result.points] == sizes
    assert "larger parts were also trained for more updates" in str(result)
    pytest.importorskip("matplotlib")
    assert result.plot(tmp_path / "curve.png").stat().st_size > 5_000


def test_sizes_of_learning_curves() -> None:
    x, y = data(200)
    run = {"x": x, "y": y, "validation_data": (x, y)}
    result = evaluation.learning_curve(classifier, **run, sizes=[50, 100], metric="loss")
    assert [point.size for point in result.points] == [50, 100]
    for sizes in ([1.0], [0.5, 2000], [0.5, 0.5]):
        with pytest.raises(ValueError, match="at least two different fractions"):
            evaluation.learning_curve(classifier, **run, sizes=sizes)
    with pytest.raises(ValueError, match="metric 'auc' is not among"):
        evaluation.learning_curve(classifier, **run, metric="auc")
    with pytest.raises(hb.data.SealedError, match="learning_curve"):
        evaluation.learning_curve(classifier, x, y, hb.data.seal(x.copy(), y))
