"""Class indices out of targets and predictions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Labels:
    """true, predicted: class indices (n,). probabilities: (n, classes) float64, rows that sum to 1."""

    true: np.ndarray
    predicted: np.ndarray
    probabilities: np.ndarray

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return int(self.probabilities.shape[1])

    @property
    def right(self) -> np.ndarray:
        """Whether each prediction is right, (n,)."""
        return self.true == self.predicted


def softmax(scores: np.ndarray) -> np.ndarray:
    """exp(s) / sum exp(s) along the last axis, in float64."""
    shifted = np.exp(scores.astype(np.float64) - scores.max(-1, keepdims=True))
    return shifted / shifted.sum(-1, keepdims=True)


def from_logits(model: Any) -> bool | None:
    """Whether a model's only loss takes its outputs for scores before the softmax or sigmoid; None if it has
    no say.
    """
    losses = model._training_state.losses
    return getattr(losses.spec, "from_logits", None) if losses is not None else None


def labels_of(model: Any, found: Any) -> Labels | None:
    """The labels of a classifier with one output, or None if predictions and targets are of another kind.

    found: has `y` and `y_pred`. Predictions (n, classes) go with class indices or one-hot rows, (n, 1) or
    (n,) with 0 and 1. They are probabilities, unless the model's loss says that they are logits or some lie
    outside of [0, 1].
    """
    y, scores = found.y, found.y_pred
    if not isinstance(y, np.ndarray) or not isinstance(scores, np.ndarray):
        return None
    scores = scores.astype(np.float64)
    logits = from_logits(model) or bool((scores < 0).any() or (scores > 1 + 1e-6).any())
    if scores.ndim == 1 or (scores.ndim == 2 and scores.shape[1] == 1):
        return _binary(y.reshape(len(y), -1), scores.reshape(-1), logits)
    if scores.ndim != 2:
        return None
    true = numbers(y, scores.shape[1])
    if true is None:
        return None
    if not logits:  # rows that do not sum to 1 (a sigmoid for each class) are brought there
        totals = scores.sum(1, keepdims=True)
        probabilities = np.divide(
            scores, totals, out=np.full_like(scores, 1 / scores.shape[1]), where=totals > 0
        )
    else:
        probabilities = softmax(scores)
    return Labels(true, scores.argmax(1), probabilities)


def numbers(y: np.ndarray, classes: int) -> np.ndarray | None:
    """Class indices (n,) out of class indices or one-hot rows, None if `y` is neither."""
    if y.ndim == 2 and y.shape[1] == classes and classes > 1:
        one_hot = np.isin(y, (0, 1)).all() and (y.sum(1) == 1).all()
        return y.argmax(1) if one_hot else None
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim != 1 or y.dtype.kind not in "biuf" or not (y == np.round(y)).all():
        return None
    whole = y.astype(np.int64)
    return whole if len(whole) and whole.min() >= 0 and whole.max() < classes else None


def _binary(y: np.ndarray, scores: np.ndarray, logits: bool) -> Labels | None:
    if y.shape[1] != 1 or not np.isin(y, (0, 1)).all():
        return None
    positive = 1 / (1 + np.exp(-scores)) if logits else scores
    return Labels(
        y[:, 0].astype(np.int64), (positive > 0.5).astype(np.int64), np.stack([1 - positive, positive], 1)
    )


def require_labels(model: Any, found: Any, what: str) -> Labels:
    """`labels_of`, or ValueError for what is no classifier."""
    labels = labels_of(model, found)
    if labels is None:
        raise ValueError(
            f"{what} is for classifiers with one output: class indices or one-hot rows as y, and predictions "
            "(n, classes), or (n, 1) for two classes"
        )
    return labels
