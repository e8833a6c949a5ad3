"""Data that could be meant: an error, which `hornbeam run` says in one line and goes on."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import layers
from hornbeam._internal import warning_policy
from tests.helpers.builders import compiled_model

X = np.arange(24, dtype="float32").reshape(8, 3) / 24
ZEROS = np.zeros((8, 3), "float32")


def model(**options: Any) -> hb.Model:
    return compiled_model((3,), [layers.Dense(3)], "sgd", "mse", **options)


def with_infinity() -> np.ndarray:
    y = ZEROS.copy()
    y[2, 1] = np.inf
    return y


def labels(y: Any, loss: str, units: int = 3, **options: Any) -> Callable[[hb.Model], Any]:
    """Train a classifier of three features on targets."""

    def run(m: hb.Model) -> Any:
        parts = [layers.Dense(3), layers.Dense(units, "softmax" if units > 1 else "sigmoid")]
        other = compiled_model((3,), parts, "sgd", loss)
        other.fit(X, np.asarray(y), verbose=0, **options)
        m.optimizer = other.optimizer

    return run


def unknown_mode(m: hb.Model) -> Any:
    stop = hb.callbacks.EarlyStopping("loss", mode="lower")
    m.fit(X, ZEROS, callbacks=[stop], verbose=0)
    assert stop.mode == "auto"


def fractions(m: hb.Model) -> Any:
    metric = hb.metrics.MeanIoU(3)
    metric.update_state([0, 1, 2], [0, 1, 1], sample_weight=[2.5, 1.5, 0.5])
    assert metric.total_cm.numpy().tolist() == [[2, 0, 0], [0, 1, 0], [0, 0, 0]]
    m.fit(X, ZEROS, verbose=0)


class Nothing(layers.Layer):
    def call(self, x: Any) -> Any:
        self.seen = x.shape


def nothing(m: hb.Model) -> Any:
    assert Nothing()(X) is None
    m.fit(X, ZEROS, verbose=0)


def named_inputs(m: hb.Model) -> Any:
    b, a = hb.Input((3,)), hb.Input((3,))
    other = hb.Model({"b": b, "a": a}, layers.Subtract()([b, a]))
    np.testing.assert_allclose(other.predict([X, 3 * X], verbose=0), 2 * X, rtol=1e-5)  # a comes first
    m.fit(X, ZEROS, verbose=0)


def one_target(m: hb.Model) -> Any:
    targets = np.arange(8.0)[:, None]
    loss = hb.losses.MeanSquaredError(reduction=None)(targets, X)
    np.testing.assert_allclose(loss, ((targets - X) ** 2).mean(-1), rtol=1e-5)
    m.fit(X, targets, verbose=0)


SPARSE, BINARY, ONE_HOT = "sparse_categorical_crossentropy", "binary_crossentropy", "categorical_crossentropy"
CASES: dict[str, tuple[Callable[[hb.Model], Any], str]] = {
    "labels from one": (labels([1, 2, 3, 1, 2, 3, 1, 2], SPARSE), "the label 3, the output has 3 units"),
    "labels below zero": (labels([-1, 2, 1, 1, 2, 0, 1, 2], SPARSE), "the label -1; class indices go from 0"),
    "labels between classes": (labels([0.5, 2, 1, 1, 2, 0, 1, 2], SPARSE), "expects class indices"),
    "integers for one-hot rows": (
        labels([[2, -1, 0]] * 8, ONE_HOT),
        "expects one-hot rows of zeros and ones",
    ),
    "signs for zero and one": (labels([-1.0, 1.0] * 4, BINARY, 1), "turn -1 and 1 into 0 and 1"),
    "weights of other classes": (
        labels([0, 1, 2, 0, 1, 2, 0, 1], SPARSE, class_weight={7: 2.0}),
        "class_weight has the class 7, the output has the classes 0 to 2",
    ),
    "a list for inputs with names": (named_inputs, "by name .b, a., got a list, whose order must be a, b"),
    "one target for three outputs": (
        one_target,
        "one target per sample against 3 outputs only broadcasts",
    ),
    "an unknown mode": (unknown_mode, 'mode must be "auto", "min" or "max", got \'lower\''),
    "fractional weights of counts": (fractions, "mean_io_u.* counts in int64; for fractional weights"),
    "a layer that returns nothing": (nothing, r"Nothing.call\(\) returned None: is a `return` missing"),
    "targets that are infinite": (
        lambda m: m.fit(X, with_infinity(), verbose=0),
        "y contains an infinite value, first in sample 2",
    ),
    "class weights without classes": (
        lambda m: m.fit(X, ZEROS, class_weight={0: 1.0, 1: 2.0}, verbose=0),
        r"class_weight needs y of class indices or one-hot rows, got float32 of shape \(8, 3\)",
    ),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.filterwarnings("ignore:the loss is")
def test_both_ways(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run, words = CASES[name]
    with pytest.raises(ValueError, match=words):
        run(model())
    said: list[str | Exception] = []
    monkeypatch.setattr(warning_policy, "on_warning", said.append)
    net = model()
    run(net)
    assert len(set(map(str, said))) == 1  # `hornbeam run` says it once
    with pytest.raises(ValueError, match=words):
        raise ValueError(said[0])
    assert int(net.optimizer.iterations) == 1


@pytest.mark.parametrize("raise_error", [False, True])
@pytest.mark.filterwarnings("ignore:the loss is")
def test_who_stops_at_nan_is_only_warned(raise_error: bool) -> None:
    seen: list[int] = []
    note = hb.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(batch))

    def fit(*callbacks: hb.callbacks.Callback) -> None:
        model().fit(X, with_infinity(), batch_size=2, shuffle=False, callbacks=[*callbacks, note], verbose=0)

    stop = hb.callbacks.TerminateOnNaN(raise_error=raise_error)
    end = pytest.raises(RuntimeError, match="invalid loss") if raise_error else nullcontext()
    with (
        end,
        pytest.warns(hb.errors.LikelyMistakeWarning, match="y contains an infinite value, first in sample 2"),
    ):
        fit(stop)
    assert max(seen) <= 1
    with pytest.raises(ValueError, match="y contains an infinite value"):
        fit()


def test_a_row_without_a_class_belongs_to_that_of_its_largest_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warning_policy, "on_warning", lambda message: None)
    y = np.array([[0.2, 0.5, 0.1], [0.9, 0.0, 0.3]], "float32")
    nets = [model(), model()]
    nets[1].set_weights(nets[0].get_weights())
    nets[0].fit(X[:2], y, class_weight={0: 3.0, 1: 2.0}, verbose=0)
    nets[1].fit(X[:2], y, sample_weight=np.array([2.0, 3.0]), verbose=0)
    for a, b in zip(nets[0].get_weights(), nets[1].get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)
