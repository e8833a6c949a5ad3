"""Estimators: `fit` builds a model, trains it, and keeps it as `model_`."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, TransformerMixin
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import check_is_fitted, validate_data

from hornbeam._internal.typing import ArrayLike, Tree
from hornbeam.models import Model


class _Estimator(BaseEstimator):
    """Base class of the three estimators."""

    def __init__(
        self,
        model: Model | Callable[..., Model],
        warm_start: bool = False,
        model_kwargs: Mapping[str, Any] | None = None,
        fit_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        # scikit-learn requires that arguments are stored unchanged and checked in fit().
        self.model = model
        self.warm_start = warm_start
        self.model_kwargs = model_kwargs
        self.fit_kwargs = fit_kwargs

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.non_deterministic = True
        return tags

    def __sklearn_clone__(self) -> Any:
        """Return an unfitted copy. A model is copied with its weights, from which training begins."""
        params = self.get_params(deep=False)
        model = copy.deepcopy(self.model) if isinstance(self.model, Model) else self.model
        return type(self)(
            **{**copy.deepcopy({k: x for k, x in params.items() if k != "model"}), "model": model}
        )

    @property
    def epoch_(self) -> list[int]:
        """Epochs of the last `fit`."""
        check_is_fitted(self)
        return list(self.history_.epoch)

    def fit(self, X: ArrayLike, y: ArrayLike, **kwargs: Any) -> _Estimator:
        """Train a model.

        Args:
            X: Samples, (samples, features).
            y: Targets, (samples,) or (samples, outputs).
            **kwargs: Arguments of the model's `fit`, which override `fit_kwargs`.

        Returns:
            The estimator itself.

        Raises:
            RuntimeError: If the model is not compiled.
            ValueError: For data that do not fit the model.
        """
        samples, labels = validate_data(self, X, y)
        targets = self._encode_targets(labels)
        model = self._trained_model() if self.warm_start else None
        model = self._new_model(samples, targets) if model is None else model
        history = model.fit(samples, targets, **{**(self.fit_kwargs or {}), **kwargs})
        self.model_, self.history_ = model, history
        return self

    def _trained_model(self) -> Model | None:
        return getattr(self, "model_", None)

    def _new_model(self, X: Any, y: Tree) -> Model:
        if isinstance(self.model, Model):
            model: Any = copy.deepcopy(self.model)
        elif callable(self.model):
            model = self.model(X=X, y=y, **(self.model_kwargs or {}))
        else:
            raise TypeError(f"model must be a Model or a function that returns one, got {self.model!r}")
        if not isinstance(model, Model):
            raise TypeError(f"the function passed as model must return a Model, got {type(model).__name__}")
        if not model.compiled or model.optimizer is None or model.loss is None:
            raise RuntimeError("the model must be compiled, with an optimizer and a loss: call compile()")
        return model

    def predict(self, X: ArrayLike) -> np.ndarray:
        """Predict targets.

        Args:
            X: Samples, (samples, features).

        Returns:
            Predictions in the form of the targets of `fit`.
        """
        return self._decode_outputs(self._outputs(X))

    def _outputs(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        # Searches predict once per candidate and fold: as quiet as their `fit`.
        verbose = (self.fit_kwargs or {}).get("verbose", "auto")
        outputs: np.ndarray = self.model_.predict(validate_data(self, X, reset=False), verbose=verbose)
        return outputs

    def _encode_targets(self, y: np.ndarray) -> np.ndarray:
        """Convert targets to those of the model, with two axes."""
        _check_target(y)
        self._target_axes = y.ndim
        return y.reshape(-1, 1) if y.ndim == 1 else y

    def _decode_outputs(self, outputs: np.ndarray) -> np.ndarray:
        return outputs[:, 0] if self._target_axes == 1 and outputs.shape[1:] == (1,) else outputs


class SKLearnClassifier(ClassifierMixin, _Estimator):
    """A model as a classifier of scikit-learn.

    The model is trained on targets with one column per class and has one output per class, as for the loss
    "categorical_crossentropy". Labels may be any values that can be sorted; `classes_` lists them.

    After `fit`, `model_` is the trained model and `history_` the result of its `fit`.

    Args:
        model: A compiled Model, which is copied for every `fit`; or a function `model(X, y, **model_kwargs)`
            that returns a compiled one for the data.
        warm_start: Continue to train the model of the last `fit`, instead of a new one.
        model_kwargs: Arguments of that function.
        fit_kwargs: Arguments of the model's `fit`, such as {"epochs": 5, "verbose": 0}; `verbose` holds for
            `predict` too.

    Example:
        >>> estimator = hornbeam.wrappers.SKLearnClassifier(make_model)  # doctest: +SKIP
    """

    classes_: np.ndarray

    def decision_function(self, X: ArrayLike) -> np.ndarray:
        """Compute the model's outputs.

        Args:
            X: Samples, (samples, features).

        Returns:
            Array with one column per class.
        """
        return self._outputs(X)

    def _encode_targets(self, y: np.ndarray) -> np.ndarray:
        """Convert labels to one-hot rows."""
        kind = _check_target(y)
        if kind not in ("binary", "multiclass"):
            raise ValueError(f"Unknown label type: classes must be binary or multiclass, y is {kind}")
        labels = np.ravel(y)
        classes = np.unique(labels)
        if len(classes) == 1:
            raise ValueError(f"Classifier can't train when only one class is present: {classes[0]!r}")
        previous = getattr(self, "classes_", classes)
        if self.warm_start and not np.array_equal(classes, previous):
            raise ValueError(f"with warm_start the classes must stay {previous}, got {classes}")
        self.classes_ = classes
        return (labels[:, None] == classes).astype("float32")

    def _decode_outputs(self, outputs: np.ndarray) -> np.ndarray:
        if outputs.ndim != 2 or outputs.shape[1] != len(self.classes_):
            raise ValueError(
                f"the model of a classifier must give one output a class, {len(self.classes_)}, got shape "
                f"{outputs.shape}"
            )
        labels: np.ndarray = self.classes_[outputs.argmax(axis=1)]
        return labels

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.poor_score = True
        return tags


class SKLearnRegressor(RegressorMixin, _Estimator):
    """A model as a regressor of scikit-learn.

    After `fit`, `model_` is the trained model and `history_` the result of its `fit`.

    Args:
        model: A compiled Model, which is copied for every `fit`; or a function `model(X, y, **model_kwargs)`
            that returns a compiled one for the data.
        warm_start: Continue to train the model of the last `fit`, instead of a new one.
        model_kwargs: Arguments of that function.
        fit_kwargs: Arguments of the model's `fit`, such as {"epochs": 5, "verbose": 0}; `verbose` holds for
            `predict` too.

    Example:
        >>> estimator = hornbeam.wrappers.SKLearnRegressor(make_model)  # doctest: +SKIP
    """

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.regressor_tags.poor_score = True
        return tags


class SKLearnTransformer(TransformerMixin, _Estimator):
    """A model as a transformer of scikit-learn: `transform` returns its outputs.

    After `fit`, `model_` is the trained model and `history_` the result of its `fit`.

    Args:
        model: A compiled Model, which is copied for every `fit`; or a function `model(X, y, **model_kwargs)`
            that returns a compiled one for the data.
        warm_start: Continue to train the model of the last `fit`, instead of a new one.
        model_kwargs: Arguments of that function.
        fit_kwargs: Arguments of the model's `fit`, such as {"epochs": 5, "verbose": 0}; `verbose` holds for
            `predict` too.

    Example:
        >>> estimator = hornbeam.wrappers.SKLearnTransformer(make_model)  # doctest: +SKIP
    """

    def transform(self, X: ArrayLike) -> np.ndarray:
        """Compute the model's outputs.

        Args:
            X: Samples, (samples, features).

        Returns:
            Array of outputs, (samples, ...).
        """
        return self._outputs(X)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []
        return tags


def _check_target(y: Tree) -> str:
    kind = str(type_of_target(y))
    if kind == "unknown":
        raise ValueError(f"Unknown label type for data: {y!r}")
    return kind
