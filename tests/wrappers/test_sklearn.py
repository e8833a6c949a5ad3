"""Models as scikit-learn's estimators: its own checks, and pipelines and searches over them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tests.helpers.builders import compiled_model

pytest.importorskip("sklearn")

from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import hornbeam as hb
from hornbeam import layers
from hornbeam.wrappers import SKLearnClassifier, SKLearnRegressor, SKLearnTransformer


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    hb.utils.set_random_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def network(X: Any, y: Any, loss: str, activation: str | None = None, units: int = 10) -> hb.Model:
    start = hb.initializers.GlorotUniform(seed=3)  # scikit-learn's checks want a fit to be repeatable
    outputs = layers.Dense(y.shape[1], activation=activation, kernel_initializer=start)
    hidden = layers.Dense(units, "relu", kernel_initializer=start)
    return compiled_model((X.shape[1],), [hidden, outputs], "rmsprop", loss)


QUIET = {"verbose": 0, "shuffle": False}
ESTIMATORS = [
    SKLearnClassifier(
        network, model_kwargs={"loss": "categorical_crossentropy", "activation": "softmax"}, fit_kwargs=QUIET
    ),
    SKLearnRegressor(network, model_kwargs={"loss": "mse"}, fit_kwargs=QUIET),
    SKLearnTransformer(network, model_kwargs={"loss": "mse"}, fit_kwargs=QUIET),
]

# The checks that Keras's wrappers do not pass either.
FAILED: dict[str, dict[str, str]] = {
    "SKLearnClassifier": {
        "check_classifiers_classes": "a short training may never answer some of the classes",
        "check_classifiers_train": "decision_function gives one column a class, also for two classes",
    },
    "SKLearnRegressor": {},
    "SKLearnTransformer": {},
}


_CHECKS = parametrize_with_checks(
    ESTIMATORS, expected_failed_checks=lambda estimator: FAILED[type(estimator).__name__]
)


def _name(value: Any) -> str:
    """Without addresses, which differ between the processes that share out the tests."""
    return getattr(getattr(value, "func", value), "__name__", type(value).__name__)


@pytest.mark.parametrize(*_CHECKS.args, ids=_name)
def test_scikit_learn_s_own_checks(estimator: Any, check: Any) -> None:
    check(estimator)


RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 4)).astype("float32")
LABELS = np.array(["low", "mid", "top"])[np.digitize(X.sum(1), [-1, 1])]


def classifier(**options: Any) -> SKLearnClassifier:
    arguments = {"loss": "categorical_crossentropy", "activation": "softmax"}
    return SKLearnClassifier(
        network, model_kwargs=arguments, fit_kwargs={"epochs": 30, "batch_size": 8, "verbose": 0}, **options
    )


def test_predict_is_as_quiet_as_fit(capsys: pytest.CaptureFixture) -> None:
    """A search predicts once per candidate and fold."""
    classifier().fit(X, LABELS).predict(X)
    assert capsys.readouterr().out == ""


def test_a_pipeline_and_a_search() -> None:
    pipeline = make_pipeline(StandardScaler(), classifier())
    pipeline.fit(X, LABELS)
    assert pipeline.score(X, LABELS) > 0.8
    assert set(pipeline.predict(X)) <= {"low", "mid", "top"}
    search = GridSearchCV(
        classifier(), {"fit_kwargs": [{"epochs": 1, **QUIET}, {"epochs": 30, **QUIET}]}, cv=2
    )
    search.fit(X, LABELS)
    assert search.best_params_["fit_kwargs"]["epochs"] == 30


def test_regression_and_features() -> None:
    y = X @ np.array([1.0, -2.0, 0.5, 0.0])
    kwargs = {"loss": "mse"}
    fit = {"epochs": 40, "batch_size": 8, **QUIET}
    history = SKLearnRegressor(network, model_kwargs=kwargs, fit_kwargs=fit).fit(X, y)
    assert history.predict(X).shape == (120,)
    assert history.score(X, y) > 0.5
    assert history.epoch_ == list(range(40))
    features = SKLearnTransformer(network, model_kwargs=kwargs, fit_kwargs=QUIET)
    assert features.fit_transform(X, y).shape == (120, 1)


def test_a_model_is_copied_for_every_fit() -> None:
    model = network(X, np.ones((1, 1)), "mse")
    before = model.get_weights()
    history = SKLearnRegressor(model, fit_kwargs=QUIET).fit(X, X[:, 0])
    np.testing.assert_array_equal(model.get_weights()[0], before[0])
    assert np.abs(history.model_.get_weights()[0] - before[0]).max() > 0
    duplicate = clone(history)
    np.testing.assert_array_equal(duplicate.model.get_weights()[0], before[0])
    assert duplicate.fit_kwargs == QUIET
    assert not hasattr(duplicate, "model_")


def test_training_on() -> None:
    model = classifier(warm_start=True)
    first = model.fit(X, LABELS, epochs=1).model_
    assert model.fit(X, LABELS, epochs=1).model_ is first
    assert int(first.optimizer.iterations) == 30
    with pytest.raises(ValueError, match="classes must stay"):
        model.fit(X, np.arange(120) % 2)


def test_mistakes() -> None:
    def loose(X: Any, y: Any) -> hb.Model:
        return hb.Sequential([hb.Input((4,)), layers.Dense(1)])

    with pytest.raises(RuntimeError, match="must be compiled"):
        SKLearnRegressor(loose).fit(X, X[:, 0])
    with pytest.raises(TypeError, match="must return a Model"):
        SKLearnRegressor(lambda X, y: 3).fit(X, X[:, 0])
    with pytest.raises(TypeError, match="must be a Model or a function"):
        SKLearnRegressor(3).fit(X, X[:, 0])
