"""Class indices and probabilities from targets and predictions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hornbeam.diagnostics.predictions import Predictions
from hornbeam.models import Model
from hornbeam.training.steps import training_state


@dataclass(frozen=True)
class Labels:
    """True and predicted classes (n,), and probabilities (n, classes) in float64 with rows of sum 1."""

    true: np.ndarray
    predicted: np.ndarray
    probabilities: np.ndarray

    @property
    def classes(self) -> int:
        """Number of classes."""
        return int(self.probabilities.shape[1])

    @property
    def correct(self) -> np.ndarray:
        """True for each correct prediction, (n,)."""
        return self.true == self.predicted


def softmax(scores: np.ndarray) -> np.ndarray:
    """Compute exp(s) / sum exp(s) along the last axis, in float64."""
    shifted = np.exp(scores.astype(np.float64) - scores.max(-1, keepdims=True))
    return shifted / shifted.sum(-1, keepdims=True)


def from_logits(model: Model) -> bool | None:
    """Return the setting `from_logits` of a model's only loss, None if it has none."""
    losses = training_state(model).losses
    return getattr(losses.spec, "from_logits", None) if losses is not None else None


def labels_of(model: Model, predicted: Predictions) -> Labels | None:
    """Return the labels of a classifier with one output, None for other predictions or targets.

    Predictions (n, classes) go with class indices or one-hot rows, (n, 1) or (n,) with 0 and 1. They are
    probabilities unless the model's loss takes logits or some lie outside of [0, 1].
    """
    y, scores = predicted.y, predicted.y_pred
    if not isinstance(y, np.ndarray) or not isinstance(scores, np.ndarray):
        return None
    scores = scores.astype(np.float64)
    logits = from_logits(model) or bool((scores < 0).any() or (scores > 1 + 1e-6).any())
    if scores.ndim == 1 or (scores.ndim == 2 and scores.shape[1] == 1):
        return _binary(y.reshape(len(y), -1), scores.reshape(-1), logits)
    if scores.ndim != 2:
        return None
    true = class_indices(y, scores.shape[1])
    if true is None:
        return None
    if logits:
        probabilities = softmax(scores)
    else:  # rows with another sum, of a sigmoid for each class, are normalized
        totals = scores.sum(1, keepdims=True)
        uniform = np.full_like(scores, 1 / scores.shape[1])
        probabilities = np.divide(scores, totals, out=uniform, where=totals > 0)
    return Labels(true, scores.argmax(1), probabilities)


def class_indices(y: np.ndarray, classes: int) -> np.ndarray | None:
    """Return class indices (n,) of integers or one-hot rows, None for other arrays."""
    if y.ndim == 2 and y.shape[1] == classes and classes > 1:
        one_hot = np.isin(y, (0, 1)).all() and (y.sum(1) == 1).all()
        return y.argmax(1) if one_hot else None
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim != 1 or y.dtype.kind not in "biuf" or not (y == np.round(y)).all():
        return None
    indices = y.astype(np.int64)
    return indices if len(indices) and indices.min() >= 0 and indices.max() < classes else None


def _binary(y: np.ndarray, scores: np.ndarray, logits: bool) -> Labels | None:
    if y.shape[1] != 1 or not np.isin(y, (0, 1)).all():
        return None
    positive = 1 / (1 + np.exp(-scores)) if logits else scores
    return Labels(
        y[:, 0].astype(np.int64), (positive > 0.5).astype(np.int64), np.stack([1 - positive, positive], 1)
    )


def require_labels(model: Model, predicted: Predictions, caller: str) -> Labels:
    """Return `labels_of`. Raises ValueError if the model is not a classifier."""
    labels = labels_of(model, predicted)
    if labels is None:
        raise ValueError(
            f"{caller} is for classifiers with one output: class indices or one-hot rows as y, and "
            "predictions (n, classes), or (n, 1) for two classes"
        )
    return labels
