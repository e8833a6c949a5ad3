"""Metrics on fixed inputs. `metric_expected.json` holds what Keras 3.15 gives (see
tools/expected_numbers.py).
"""

from __future__ import annotations

from typing import Any

import numpy as np

Case = tuple[str, str, str, dict[str, Any]]


def inputs() -> dict[str, np.ndarray]:
    """Named arrays, all float32 but the labels."""
    rng = np.random.default_rng(2)
    scores = 2 * rng.normal(size=(6, 4))
    probabilities = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    labels = np.array([0, 1, 2, 3, 1, 2])
    a, b = rng.normal(size=(2, 6, 4))
    floats = {
        "probabilities": probabilities,
        "one_hot": np.eye(4)[labels],
        "a": a,
        "b": b,
        "near_a": a + 0.1 * b,
        "positive_a": np.abs(a) + 0.1,
        "positive_b": np.abs(b) + 0.1,
        "binary": rng.random((6, 4)) > 0.5,
        "chances": rng.random((6, 4)),
        "weights": rng.random(6),
    }
    result = {name: np.asarray(value, "float32") for name, value in floats.items()}
    guesses = np.array([0, 1, 1, 3, 1, 0])
    return {**result, "labels": labels, "labels_column": labels[:, None], "guesses": guesses}


# (class, y_true, y_pred, options); each is run without and, except for the IoU family, with sample weights.
CASES: list[Case] = [
    ("MeanSquaredError", "a", "b", {}),
    ("RootMeanSquaredError", "a", "b", {}),
    ("MeanAbsoluteError", "a", "b", {}),
    ("MeanAbsolutePercentageError", "a", "b", {}),
    ("MeanSquaredLogarithmicError", "positive_a", "positive_b", {}),
    ("LogCoshError", "a", "b", {}),
    ("KLDivergence", "probabilities", "chances", {}),
    ("Poisson", "positive_a", "positive_b", {}),
    ("Hinge", "binary", "b", {}),
    ("SquaredHinge", "binary", "b", {}),
    ("CategoricalHinge", "one_hot", "b", {}),
    ("CosineSimilarity", "a", "b", {}),
    ("BinaryCrossentropy", "binary", "chances", {}),
    ("BinaryCrossentropy", "binary", "a", {"from_logits": True, "label_smoothing": 0.1}),
    ("CategoricalCrossentropy", "one_hot", "probabilities", {}),
    ("SparseCategoricalCrossentropy", "labels", "probabilities", {}),
    ("SparseCategoricalCrossentropy", "labels", "probabilities", {"ignore_class": 2}),
    ("Accuracy", "labels", "guesses", {}),
    ("BinaryAccuracy", "binary", "chances", {}),
    ("BinaryAccuracy", "binary", "chances", {"threshold": 0.3}),
    ("CategoricalAccuracy", "one_hot", "probabilities", {}),
    ("SparseCategoricalAccuracy", "labels", "probabilities", {}),
    ("SparseCategoricalAccuracy", "labels_column", "probabilities", {}),
    ("TopKCategoricalAccuracy", "one_hot", "probabilities", {"k": 2}),
    ("SparseTopKCategoricalAccuracy", "labels", "probabilities", {"k": 2}),
    ("TruePositives", "binary", "chances", {}),
    ("FalsePositives", "binary", "chances", {"thresholds": [0.2, 0.7]}),
    ("TrueNegatives", "binary", "chances", {}),
    ("FalseNegatives", "binary", "chances", {}),
    ("Precision", "binary", "chances", {}),
    ("Recall", "binary", "chances", {}),
    ("Precision", "binary", "chances", {"thresholds": [0.2, 0.7]}),
    ("Precision", "binary", "chances", {"top_k": 2}),
    ("Recall", "binary", "chances", {"top_k": 2, "class_id": 1}),
    ("Precision", "binary", "chances", {"class_id": 2}),
    ("SensitivityAtSpecificity", "binary", "chances", {"specificity": 0.5}),
    ("SpecificityAtSensitivity", "binary", "chances", {"sensitivity": 0.5}),
    ("PrecisionAtRecall", "binary", "chances", {"recall": 0.5}),
    ("RecallAtPrecision", "binary", "chances", {"precision": 0.5}),
    ("AUC", "binary", "chances", {}),
    ("AUC", "binary", "chances", {"curve": "PR"}),
    ("AUC", "binary", "chances", {"curve": "PR", "summation_method": "majoring"}),
    ("AUC", "binary", "chances", {"summation_method": "minoring"}),
    ("AUC", "binary", "chances", {"curve": "PRGAIN"}),
    ("AUC", "binary", "chances", {"multi_label": True}),
    ("AUC", "binary", "chances", {"multi_label": True, "curve": "PR", "label_weights": [0.1, 0.2, 0.3, 0.4]}),
    ("AUC", "binary", "a", {"from_logits": True}),
    ("AUC", "binary", "chances", {"thresholds": [0.1, 0.4, 0.8]}),
    ("F1Score", "one_hot", "probabilities", {}),
    ("F1Score", "binary", "chances", {"average": "macro", "threshold": 0.5}),
    ("FBetaScore", "one_hot", "probabilities", {"beta": 2.0, "average": "weighted"}),
    ("FBetaScore", "binary", "chances", {"beta": 0.5, "average": "micro", "threshold": 0.4}),
    ("R2Score", "a", "b", {}),
    ("R2Score", "a", "near_a", {"class_aggregation": "variance_weighted_average", "num_regressors": 2}),
    ("R2Score", "a", "near_a", {"class_aggregation": None}),
    ("PearsonCorrelation", "a", "b", {}),
    ("ConcordanceCorrelation", "a", "b", {}),
    ("MeanIoU", "labels", "guesses", {"num_classes": 4}),
    ("MeanIoU", "labels", "guesses", {"num_classes": 4, "ignore_class": 2}),
    ("IoU", "labels", "guesses", {"num_classes": 4, "target_class_ids": [1, 2]}),
    ("BinaryIoU", "binary", "chances", {}),
    ("OneHotIoU", "one_hot", "probabilities", {"num_classes": 4, "target_class_ids": [0, 1]}),
    ("OneHotMeanIoU", "one_hot", "probabilities", {"num_classes": 4}),
]


def weighted(name: str) -> bool:
    """Return True if the case is also run with sample weights."""
    return "IoU" not in name
