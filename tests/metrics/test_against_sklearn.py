"""Metrics beside scikit-learn: probabilities, logits, ties, weights with zeros, several batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hornbeam import metrics

reference = pytest.importorskip("sklearn.metrics")


class Data(NamedTuple):
    """Labels of 0 and 1, both present, probabilities that the thresholds of AUC separate, and weights."""

    y: np.ndarray
    p: np.ndarray
    w: np.ndarray | None

    @property
    def logits(self) -> np.ndarray:
        return np.log(self.p / (1 - self.p))

    @property
    def classes(self) -> np.ndarray:
        return (self.p > 0.5).astype(int)


@st.composite
def data(draw: st.DrawFn) -> Data:
    rng, count = np.random.default_rng(draw(st.integers(0, 1 << 30))), draw(st.integers(4, 40))
    y = rng.integers(0, 2, count)
    y[:2] = 0, 1
    levels = draw(st.integers(2, 199))  # few give ties
    grid = (np.delete(np.arange(199), 99) + 0.5) / 199
    p = rng.choice(grid, levels)[rng.integers(0, levels, count)]
    w = rng.integers(0, 4, count).astype(float) if draw(st.booleans()) else None
    if w is not None:
        w[:2] = 1
    return Data(y, p, w)


def _auc(d: Data) -> float:
    return reference.roc_auc_score(d.y, d.p, sample_weight=d.w)


def _one_row(score: Callable[..., float], **more: Any) -> Callable[[Data], float]:
    return lambda d: score(d.y, d.classes, sample_weight=d.w, zero_division=0, **more)


# Ours, what it is given, and scikit-learn's number.
METRICS: dict[str, tuple[Callable[[], metrics.Metric], str, Callable[[Data], float]]] = {
    "auc": (metrics.AUC, "p", _auc),
    "auc of logits": (lambda: metrics.AUC(from_logits=True), "logits", _auc),
    "accuracy": (
        metrics.BinaryAccuracy,
        "p",
        lambda d: reference.accuracy_score(d.y, d.classes, sample_weight=d.w),
    ),
    "accuracy of logits": (
        lambda: metrics.BinaryAccuracy(threshold=0),
        "logits",
        lambda d: reference.accuracy_score(d.y, d.classes, sample_weight=d.w),
    ),
    "precision": (metrics.Precision, "p", _one_row(reference.precision_score)),
    "precision of logits": (
        lambda: metrics.Precision(thresholds=0),
        "logits",
        _one_row(reference.precision_score),
    ),
    "recall": (metrics.Recall, "p", _one_row(reference.recall_score)),
    "recall of logits": (lambda: metrics.Recall(thresholds=0), "logits", _one_row(reference.recall_score)),
    "f1": (lambda: metrics.F1Score("micro", 0.5), "p", _one_row(reference.f1_score)),
    "f2": (lambda: metrics.FBetaScore("micro", 2.0, 0.5), "p", _one_row(reference.fbeta_score, beta=2)),
    "log loss": (
        metrics.BinaryCrossentropy,
        "p",
        lambda d: reference.log_loss(d.y, d.p, sample_weight=d.w),
    ),
    "log loss of logits": (
        lambda: metrics.BinaryCrossentropy(from_logits=True),
        "logits",
        lambda d: reference.log_loss(d.y, d.p, sample_weight=d.w),
    ),
    "squared error": (
        metrics.MeanSquaredError,
        "p",
        lambda d: reference.mean_squared_error(d.y, d.p, sample_weight=d.w),
    ),
    "absolute error": (
        metrics.MeanAbsoluteError,
        "p",
        lambda d: reference.mean_absolute_error(d.y, d.p, sample_weight=d.w),
    ),
    "r2": (metrics.R2Score, "p", lambda d: reference.r2_score(d.y, d.p, sample_weight=d.w)),
    "iou": (
        lambda: metrics.BinaryIoU([1], 0.5, dtype="float32"),
        "p",
        _one_row(reference.jaccard_score),
    ),
}


@pytest.mark.parametrize("name", METRICS)
@settings(max_examples=25, deadline=None)
@given(d=data(), parts=st.integers(1, 3))
def test_gives_the_same_number(name: str, d: Data, parts: int) -> None:
    make, argument, expected = METRICS[name]
    metric, scores = make(), getattr(d, argument)
    for rows in np.array_split(np.arange(len(d.y)), parts):
        weights = None if d.w is None else d.w[rows]
        metric.update_state(d.y[rows, None], scores[rows, None], weights)
    value = np.asarray(metric.result()).reshape(-1)[0]
    assert value == pytest.approx(expected(d), rel=2e-4, abs=2e-5)


@pytest.mark.parametrize("name", METRICS)
def test_weights_of_zero_count_nothing(name: str) -> None:
    """A sample without weight changes nothing, and a metric of none but such samples is a number."""
    make, argument, _ = METRICS[name]
    y, p = np.array([[0.0], [1.0], [1.0]]), np.array([[0.2], [0.7], [0.4]])
    scores = np.log(p / (1 - p)) if argument == "logits" else p
    plain, weighted, nothing = make(), make(), make()
    plain.update_state(y[:2], scores[:2])
    weighted.update_state(y, scores, np.array([1.0, 1.0, 0.0]))
    nothing.update_state(y, scores, np.zeros(3))
    np.testing.assert_allclose(np.asarray(weighted.result()), np.asarray(plain.result()), rtol=1e-6)
    if name != "r2":  # 1 - 0 / 0 is not a number
        assert np.isfinite(np.asarray(nothing.result())).all()


@pytest.mark.parametrize("offset", [0.0, 1e2, 1e4])
@pytest.mark.parametrize("sort", [False, True])
@pytest.mark.parametrize("weigh", [False, True])
def test_r2_of_targets_far_from_zero(offset: float, sort: bool, weigh: bool) -> None:
    """Sums of squares about zero gave 1.01 around 1e4, where it is 0.91."""
    rng = np.random.default_rng(0)
    y = (offset + rng.normal(size=(300, 2))).astype("float32")
    y = np.sort(y, axis=0) if sort else y
    p = (y + 0.3 * rng.normal(size=y.shape)).astype("float32")
    w = rng.integers(0, 3, 300).astype("float32") if weigh else None
    metric = metrics.R2Score()
    for rows in np.split(np.arange(300), [1, 33, 150]):
        metric.update_state(y[rows], p[rows], None if w is None else w[rows])
    expected = reference.r2_score(y.astype("float64"), p.astype("float64"), sample_weight=w)
    assert float(metric.result()) == pytest.approx(expected, abs=1e-4)  # means of 1e4 have steps of 1e-3


@pytest.mark.parametrize("value", [0.0, 0.1, 3.3, 1e4])
def test_r2_of_equal_targets(value: float) -> None:
    """They have no variance to explain: 0, not a quotient of two roundings."""
    y = np.full((100, 1), value)
    metric = metrics.R2Score()
    for rows in np.split(np.arange(100), [1, 8, 50]):
        metric.update_state(y[rows], y[rows] + 0.1)
    assert float(metric.result()) == 0.0


def test_the_state_of_r2_tells_which_of_its_two_forms_it_has() -> None:
    """Targets that start near zero and go on far from it, or the other way."""
    rng = np.random.default_rng(0)
    far = np.concatenate([rng.normal(size=(40, 1)), 1e4 + rng.normal(size=(60, 1))])
    for y in (far, far[::-1], far[40:], far[:40]):
        metric = metrics.R2Score()
        metric.update_state(y[:1], y[:1])
        state = [np.zeros(variable.shape) for variable in metric.variables]
        for part in (y[:0], *np.array_split(y, 5)):
            state = metric.stateless_update_state(state, part, part + 0.3)
        expected = reference.r2_score(y, y + 0.3)
        assert float(metric.stateless_result(state)) == pytest.approx(expected, abs=1e-4)
