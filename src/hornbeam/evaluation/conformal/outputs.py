"""Kinds of model outputs, and the probabilities that they mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from hornbeam._internal.typing import ArrayLike
from hornbeam.evaluation.labels import class_indices, from_logits, softmax
from hornbeam.models import Model

OutputKind = Literal["probabilities", "logits", "probability", "logit", "numbers"]


@dataclass(frozen=True)
class Outputs:
    """Kind of a model's outputs: scores of all classes, the score of one of two classes, or numbers."""

    kind: OutputKind

    @classmethod
    def of(cls, model: Model, y_pred: Any, y: Any, is_classifier: bool | None = None) -> Outputs:
        """Return the kind of the outputs `y_pred` for the targets `y`.

        The model is a classifier if its loss is a cross-entropy; or, without a loss that tells, if the
        targets are classes and the outputs their probabilities. Raises ValueError for several outputs.
        """
        if not isinstance(y_pred, np.ndarray) or not isinstance(y, np.ndarray):
            raise ValueError("conformal prediction is for models with one output, and one array of targets")
        logits = from_logits(model)
        columns = y_pred.shape[1] if y_pred.ndim == 2 else 1 if y_pred.ndim == 1 else 0
        if is_classifier is None:
            is_classifier = logits is not None or (
                columns > 1
                and class_indices(y, columns) is not None
                and bool((y_pred >= 0).all())
                and np.allclose(y_pred.sum(1), 1, atol=1e-3)
            )
        if not columns:
            raise ValueError(
                "conformal prediction is for outputs (n, classes), (n, 1) or (n, 2), got "
                f"{y_pred.shape}: of sequences and images predict one value a sample"
            )
        if not is_classifier:
            return cls("numbers")
        # As in `labels_of`: without a loss that tells, values outside of [0, 1] are logits.
        if not logits:
            logits = bool((y_pred < 0).any() or (y_pred > 1 + 1e-6).any())
        if columns == 1:
            return cls("logit" if logits else "probability")
        return cls("logits" if logits else "probabilities")

    def probabilities(self, y_pred: ArrayLike) -> np.ndarray:
        """Return probabilities (n, classes) in float64, of rows that sum to 1."""
        scores = np.asarray(y_pred).astype(np.float64)
        if self.kind == "logits":
            return softmax(scores)
        if self.kind == "probabilities":
            # Of a sigmoid for each class, rows have other sums.
            return scores / scores.sum(1, keepdims=True)
        scores = scores.reshape(-1)
        positive = 1 / (1 + np.exp(-scores)) if self.kind == "logit" else scores
        return np.stack([1 - positive, positive], 1)
