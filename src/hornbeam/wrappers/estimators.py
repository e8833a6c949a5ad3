"""The estimators: a model is made in `fit`, trained, and kept as `model_`."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, TransformerMixin
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import check_is_fitted, validate_data

from hornbeam.models import Model

_ARGUMENTS = """model: a compiled Model, which is copied for every `fit`; or a function
    `model(X, y, **model_kwargs)` that returns a compiled one for the given data. warm_start: train the model
    of the last `fit` on, instead of a new one. fit_kwargs: arguments of the model's `fit`, such as
    {"epochs": 5, "verbose": 0}.

    After `fit`: `model_` is the trained model, `history_` what its `fit` returned."""


class _Estimator(BaseEstimator):
    """What the three estimators share."""

    def __init__(
        self,
        model: Model | Callable[..., Model],
        warm_start: bool = False,
        model_kwargs: Mapping[str, Any] | None = None,
        fit_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        # scikit-learn wants arguments kept as they are, and looked at in fit().
        self.model = model
        self.warm_start = warm_start
        self.model_kwargs = model_kwargs
        self.fit_kwargs = fit_kwargs

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.non_deterministic = True
        return tags

    def __sklearn_clone__(self) -> Any:
        """A copy that is not fitted. A model is copied with its weights: it is what training begins with."""
        given = self.get_params(deep=False)
        model = copy.deepcopy(self.model) if isinstance(self.model, Model) else self.model
        return type(self)(
            **{**copy.deepcopy({k: x for k, x in given.items() if k != "model"}), "model": model}
        )

    @property
    def epoch_(self) -> list[int]:
        """The epochs that the last `fit` made."""
        check_is_fitted(self)
        return list(self.history_.epoch)

    def fit(self, X: Any, y: Any, **kwargs: Any) -> Any:
        """Train a model on samples X and targets y. Keyword arguments go before those of `fit_kwargs`.

        Raises RuntimeError unless the model is compiled, ValueError for data that do not fit.
        """
        X, y = validate_data(self, X, y)
        targets = self._encoded(y)
        model = self._trained_model() if self.warm_start else None
        model = self._new_model(X, targets) if model is None else model
        history = model.fit(X, targets, **{**(self.fit_kwargs or {}), **kwargs})
        self.model_, self.history_ = model, history
        return self

    def _trained_model(self) -> Model | None:
        return getattr(self, "model_", None)

    def _new_model(self, X: Any, y: Any) -> Model:
        if isinstance(self.model, Model):
            made: Any = copy.deepcopy(self.model)
        elif callable(self.model):
            made = self.model(X=X, y=y, **(self.model_kwargs or {}))
        else:
            raise TypeError(f"model must be a Model or a function that makes one, got {self.model!r}")
        if not isinstance(made, Model):
            raise TypeError(f"the function given as model must return a Model, got {type(made).__name__}")
        if not made.compiled or made.optimizer is None or made.loss is None:
            raise RuntimeError("the model must be compiled, with an optimizer and a loss: call compile()")
        return made

    def predict(self, X: Any) -> np.ndarray:
        """Predictions for samples X, as the targets were given."""
        return self._decoded(self._outputs(X))

    def _outputs(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        found: np.ndarray = self.model_.predict(validate_data(self, X, reset=False))
        return found

    def _encoded(self, y: np.ndarray) -> np.ndarray:
        """Targets as the model sees them: two axes."""
        _known_target(y)
        self._target_axes = y.ndim
        return y.reshape(-1, 1) if y.ndim == 1 else y

    def _decoded(self, outputs: np.ndarray) -> np.ndarray:
        return outputs[:, 0] if self._target_axes == 1 and outputs.shape[1:] == (1,) else outputs


class SKLearnClassifier(ClassifierMixin, _Estimator):
    classes_: np.ndarray

    def decision_function(self, X: Any) -> np.ndarray:
        """The model's outputs for samples X, one column a class."""
        return self._outputs(X)

    def _encoded(self, y: np.ndarray) -> np.ndarray:
        """One column a class: 1 for the sample's, 0 elsewhere."""
        kind = _known_target(y)
        if kind not in ("binary", "multiclass"):
            raise ValueError(f"Unknown label type: classes must be binary or multiclass, y is {kind}")
        labels = np.ravel(y)
        classes = np.unique(labels)
        if len(classes) == 1:
            raise ValueError(f"Classifier can't train when only one class is present: {classes[0]!r}")
        known = getattr(self, "classes_", classes)
        if self.warm_start and not np.array_equal(classes, known):
            raise ValueError(f"with warm_start the classes must stay {known}, got {classes}")
        self.classes_ = classes
        return (labels[:, None] == classes).astype("float32")

    def _decoded(self, outputs: np.ndarray) -> np.ndarray:
        if outputs.ndim != 2 or outputs.shape[1] != len(self.classes_):
            raise ValueError(
                f"the model of a classifier must give one output a class, {len(self.classes_)}, got shape "
                f"{outputs.shape}"
            )
        found: np.ndarray = self.classes_[outputs.argmax(axis=1)]
        return found

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.poor_score = True
        return tags


class SKLearnRegressor(RegressorMixin, _Estimator):
    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.regressor_tags.poor_score = True
        return tags


class SKLearnTransformer(TransformerMixin, _Estimator):
    def transform(self, X: Any) -> np.ndarray:
        """The model's outputs for samples X."""
        return self._outputs(X)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []
        return tags


SKLearnClassifier.__doc__ = f"""A model as a classifier of scikit-learn.

    The model sees targets of one column a class and gives one output a class, as for the loss
    "categorical_crossentropy"; labels may be anything that can be sorted. `classes_` are their values.

    {_ARGUMENTS}

    >>> classifier = hornbeam.wrappers.SKLearnClassifier(make_model)  # doctest: +SKIP
    """
SKLearnRegressor.__doc__ = f"""A model as a regressor of scikit-learn.

    {_ARGUMENTS}

    >>> regressor = hornbeam.wrappers.SKLearnRegressor(make_model)  # doctest: +SKIP
    """
SKLearnTransformer.__doc__ = f"""A model as a transformer of scikit-learn: `transform` gives its outputs.

    {_ARGUMENTS}

    >>> transformer = hornbeam.wrappers.SKLearnTransformer(make_model)  # doctest: +SKIP
    """


def _known_target(y: Any) -> str:
    kind = str(type_of_target(y))
    if kind == "unknown":
        raise ValueError(f"Unknown label type for data: {y!r}")
    return kind
