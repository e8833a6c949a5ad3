"""Losses on fixed inputs. `loss_expected.json` holds what Keras 3.15 gives for them (see
tools/expected_numbers.py).
"""

from __future__ import annotations

from typing import Any

import numpy as np

Case = tuple[str, str, str, dict[str, Any], bool]


def inputs() -> dict[str, np.ndarray]:
    """Named arrays, all float32 but the labels."""
    rng = np.random.default_rng(1)
    scores = 2 * rng.normal(size=(6, 4))
    probabilities = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    labels = np.array([0, 1, 2, 3, 1, 2])
    a, b = rng.normal(size=(2, 6, 4))
    floats = {
        "scores": scores,
        "probabilities": probabilities,
        "one_hot": np.eye(4)[labels],
        "a": a,
        "b": b,
        "positive_a": np.abs(a) + 0.1,
        "positive_b": np.abs(b) + 0.1,
        "column": b[:, :1],
        "vector": a[:, 0],
        "binary": rng.random((6, 4)) > 0.5,
        "chances": rng.random((6, 4)),
        "unit": a / np.linalg.norm(a, axis=1, keepdims=True),
        "weights": rng.random(6),
    }
    result = {name: np.asarray(value, "float32") for name, value in floats.items()}
    return {**result, "signs": 2 * result["binary"] - 1, "labels": labels, "labels_column": labels[:, None]}


_REDUCTIONS = ("sum_over_batch_size", "sum", "none", "mean_with_sample_weight")
_REDUCED = (
    ("MeanSquaredError", "a", "b", {}),
    ("CategoricalCrossentropy", "one_hot", "probabilities", {}),
    ("SparseCategoricalCrossentropy", "labels", "probabilities", {"ignore_class": 2}),
    ("BinaryCrossentropy", "binary", "chances", {}),
)

# (class, y_true, y_pred, options, with sample weights)
CASES: list[Case] = [
    *(
        (name, true, pred, {**options, "reduction": reduction}, weighted)
        for reduction in _REDUCTIONS
        for weighted in (False, True)
        for name, true, pred, options in _REDUCED
    ),
    ("MeanAbsoluteError", "a", "b", {}, False),
    ("MeanAbsolutePercentageError", "a", "b", {}, False),
    ("MeanSquaredLogarithmicError", "positive_a", "positive_b", {}, False),
    ("Huber", "a", "b", {}, False),
    ("Huber", "a", "b", {"delta": 0.3}, False),
    ("LogCosh", "a", "b", {}, False),
    ("KLDivergence", "probabilities", "chances", {}, False),
    ("Poisson", "positive_a", "positive_b", {}, False),
    ("CosineSimilarity", "a", "b", {}, False),
    ("CosineSimilarity", "a", "b", {"axis": 0}, False),
    ("Hinge", "binary", "b", {}, False),
    ("Hinge", "signs", "b", {}, False),
    ("SquaredHinge", "binary", "b", {}, False),
    ("CategoricalHinge", "one_hot", "b", {}, False),
    ("CategoricalCrossentropy", "one_hot", "scores", {"from_logits": True, "label_smoothing": 0.1}, False),
    ("CategoricalCrossentropy", "one_hot", "chances", {}, False),
    ("SparseCategoricalCrossentropy", "labels", "scores", {"from_logits": True}, False),
    ("SparseCategoricalCrossentropy", "labels_column", "probabilities", {}, True),
    ("BinaryCrossentropy", "binary", "a", {"from_logits": True, "label_smoothing": 0.2}, False),
    ("BinaryFocalCrossentropy", "binary", "chances", {}, False),
    (
        "BinaryFocalCrossentropy",
        "binary",
        "a",
        {
            "apply_class_balancing": True,
            "from_logits": True,
            "gamma": 3.0,
            "alpha": 0.4,
            "label_smoothing": 0.1,
        },
        False,
    ),
    ("CategoricalFocalCrossentropy", "one_hot", "probabilities", {}, False),
    (
        "CategoricalFocalCrossentropy",
        "one_hot",
        "scores",
        {"from_logits": True, "alpha": 0.5, "gamma": 1.5, "label_smoothing": 0.1},
        False,
    ),
    ("CategoricalGeneralizedCrossEntropy", "labels", "probabilities", {}, False),
    ("Dice", "binary", "chances", {}, False),
    ("Dice", "binary", "chances", {"axis": 1}, False),
    ("Tversky", "binary", "chances", {"alpha": 0.3, "beta": 0.7}, False),
    ("Circle", "labels", "unit", {}, False),
    ("Circle", "labels", "unit", {"gamma": 10.0, "margin": 0.2, "remove_diagonal": False}, False),
    ("Circle", "labels", "unit", {"reduction": "none"}, False),
    ("MeanSquaredError", "vector", "column", {}, True),
]
