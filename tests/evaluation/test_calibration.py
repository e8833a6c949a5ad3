"""Calibration by hand, by scikit-learn and SciPy, and of whole models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import evaluation
from hornbeam.evaluation.labels import Labels, softmax
from hornbeam.evaluation.probability_calibration import (
    best_temperature,
    calibration_error,
    calibration_of,
    scaled,
)
from tests.helpers.builders import classifier, data


def drawn(n: int, sharpness: float, seed: int = 0, classes: int = 4) -> Labels:
    """Labels drawn from probabilities, which are told with logits times `sharpness`: calibrated if it is
    1.
    """
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(n, classes)) * 2
    probabilities = softmax(logits)
    true = (rng.random(n)[:, None] > probabilities.cumsum(1)).sum(1)
    message = softmax(logits * sharpness)
    return Labels(np.minimum(true, classes - 1), message.argmax(1), message)


def test_calibration_error_by_hand() -> None:
    # Bins (0.4, 0.6]: two samples, mean 0.55, one right. (0.8, 1]: three, mean 0.9, all right.
    confidence = np.array([0.5, 0.6, 0.85, 0.9, 0.95])
    right = np.array([True, False, True, True, True])
    error, bins = calibration_error(confidence, right, 5)
    assert error == pytest.approx(2 / 5 * 0.05 + 3 / 5 * 0.1)
    assert [(b.low, b.high, b.count, b.correct) for b in bins] == [(0.4, 0.6, 2, 1), (0.8, 1.0, 3, 3)]
    assert [b.confidence for b in bins] == pytest.approx([0.55, 0.9])


def test_edges_of_bins() -> None:
    error, bins = calibration_error(np.array([0.0, 1.0]), np.array([False, True]), 10)
    assert error == 0
    assert [b.low for b in bins] == [0.0, 0.9]


def test_scores_are_those_of_sklearn() -> None:
    sk = pytest.importorskip("sklearn.metrics")
    curve = pytest.importorskip("sklearn.calibration").calibration_curve
    labels = drawn(2000, 1.5, classes=2)
    actual = calibration_of(labels, bins=10)
    assert actual.brier == pytest.approx(2 * sk.brier_score_loss(labels.true, labels.probabilities[:, 1]))
    assert actual.log_loss == pytest.approx(sk.log_loss(labels.true, labels.probabilities))
    confidence = labels.probabilities.max(1)
    theirs = curve(labels.correct, confidence, n_bins=10)
    np.testing.assert_allclose([b.accuracy for b in actual.bins], theirs[0])
    np.testing.assert_allclose([b.confidence for b in actual.bins], theirs[1])


def test_verdicts() -> None:
    assert calibration_of(drawn(5000, 2.0)).verdict == "overconfident"
    assert calibration_of(drawn(5000, 0.5)).verdict == "underconfident"
    # Calibrated models are blamed in one of about ten cases, being tested twice.
    verdicts = [calibration_of(drawn(1000, 1.0, seed)).verdict for seed in range(20)]
    assert verdicts.count("cannot tell") >= 15


def test_chance_is_stated() -> None:
    """The ECE of a perfect model is above 0, and falls with the root of the number of samples."""
    few, many = calibration_of(drawn(400, 1.0)), calibration_of(drawn(6400, 1.0))
    assert few.ece > 0
    assert few.ece_by_chance[0] / many.ece_by_chance[0] == pytest.approx(4, rel=0.2)
    assert f"an ECE of {few.ece_by_chance[0]:.4f} on average" in str(few)


@pytest.mark.parametrize("sharpness", [0.4, 1.0, 2.5])
def test_temperature_is_found(sharpness: float) -> None:
    labels = drawn(20_000, sharpness)
    assert best_temperature(labels.probabilities, labels.true) == pytest.approx(sharpness, rel=0.05)


def test_temperature_is_the_smallest_loss() -> None:
    optimize = pytest.importorskip("scipy.optimize")
    labels = drawn(500, 1.7)

    def loss(temperature: float) -> float:
        probabilities = scaled(labels.probabilities, temperature)
        return -float(np.log(probabilities[np.arange(500), labels.true]).mean())

    theirs = optimize.minimize_scalar(loss, bounds=(0.05, 20), method="bounded", options={"xatol": 1e-8}).x
    assert best_temperature(labels.probabilities, labels.true) == pytest.approx(theirs, rel=1e-4)


@pytest.mark.parametrize("kind", ["softmax", "logits", "sigmoid"])
def test_a_model_is_scaled(kind: str, tmp_path: Path) -> None:
    x, y = data(2000, classes=2 if kind == "sigmoid" else 3)
    if kind == "sigmoid":
        model = classifier("sigmoid", 1, loss="binary_crossentropy")
    elif kind == "logits":
        model = classifier(None, loss=hb.losses.SparseCategoricalCrossentropy(from_logits=True))
    else:
        model = classifier()
    model.fit(x, y, epochs=5, verbose=0)
    model.layers[-1].kernel.assign(model.layers[-1].kernel * 3)  # too sure
    assert evaluation.calibration(model, x, y).verdict == "overconfident"
    result = evaluation.temperature(model, x, y)
    assert result.value > 1.3
    assert result.after.ece < result.before.ece
    assert result.after.log_loss < result.before.log_loss
    assert "overconfident" in str(result)
    scaled_model = result.model(model)
    outputs = scaled_model.predict(x, verbose=0)
    predictions = model.predict(x, verbose=0)
    if kind == "logits":
        np.testing.assert_allclose(outputs, predictions / result.value, rtol=1e-5)
    else:
        np.testing.assert_allclose(
            outputs.reshape(predictions.shape),
            result.apply(predictions).reshape(predictions.shape),
            atol=1e-4,
        )
    scaled_model.save(tmp_path / "calibrated.keras")
    again = hb.saving.load_model(tmp_path / "calibrated.keras")
    np.testing.assert_allclose(again.predict(x, verbose=0), outputs, atol=1e-6)


def test_few_and_perfect_samples_are_noted() -> None:
    x, _ = data(50)
    model = classifier()
    y = model.predict(x, verbose=0).argmax(1)
    result = evaluation.temperature(model, x, y)
    assert len(result.notes) == 2
    assert "50 samples are few" in str(result)
    assert "end of its range" in str(result)


def test_nothing_is_fitted_to_sealed_data() -> None:
    x, y = data()
    sealed = hb.data.seal(x, y)
    with pytest.raises(TypeError, match="temperature"):
        evaluation.temperature(classifier(), sealed)
    assert evaluation.calibration(classifier(), sealed).n == 500
    assert sealed.uses == 1


def test_subclassed_models_and_other_outputs() -> None:
    class Own(hb.Model):
        def __init__(self) -> None:
            super().__init__()
            self.dense = hb.layers.Dense(3, "softmax")

        def call(self, x: Any) -> Any:
            return self.dense(x)

    x, y = data()
    model = Own()
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(x, y, verbose=0)
    result = evaluation.temperature(model, x, y)
    with pytest.raises(ValueError, match=r"use apply\(\) on its predictions"):
        result.model(model)
    regression = classifier(None, 2, loss="mse", metrics=None)
    with pytest.raises(ValueError, match=r"calibration\(\) is for classifiers"):
        evaluation.calibration(regression, x, x[:, :2])


def test_reliability_curve_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    path = calibration_of(drawn(500, 2.0)).plot(tmp_path / "reliability.png")
    assert path.stat().st_size > 5_000
