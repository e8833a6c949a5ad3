"""Formulas of losses, and their value for a trivial prediction, computed by the loss itself."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hornbeam.losses import Loss


@dataclass(frozen=True)
class LossDescription:
    """Formula of a loss, and its trivial prediction.

    Args:
        formula: Loss of one sample with target t and prediction p.
        baseline: The trivial prediction in words.
        predict: Function of (classes, logits) that returns trivial predictions and their targets; None where
            the prediction depends on the targets, or has no meaning.
        constant: True if the trivial prediction is a constant that is fitted to the targets.
        likelihood: True for a negative log-likelihood.
    """

    formula: str
    baseline: str
    predict: Callable[[int, bool], tuple[np.ndarray, np.ndarray]] | None = None
    constant: bool = False
    likelihood: bool = False


def _sparse(classes: int, logits: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return equal probabilities and every class once, as integers."""
    return np.full((classes, classes), 0.0 if logits else 1 / classes), np.arange(classes)


def _one_hot(classes: int, logits: bool) -> tuple[np.ndarray, np.ndarray]:
    return _sparse(classes, logits)[0], np.eye(classes)


def _half(classes: int, logits: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return probability 1/2 against 0 and 1."""
    return np.full((2, classes), 0.0 if logits else 0.5), np.repeat([[0.0], [1.0]], classes, 1)


def _zero(classes: int, logits: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return 0 against -1 and 1."""
    return np.zeros((2, classes)), np.repeat([[-1.0], [1.0]], classes, 1)


def _orthogonal(classes: int, logits: bool) -> tuple[np.ndarray, np.ndarray]:
    return np.eye(max(classes, 2))[:1], np.eye(max(classes, 2))[1:2]


_EQUAL, _CONSTANT, _HALF = "all classes equally likely", "a constant", "one half everywhere"
_DESCRIPTIONS: dict[str, LossDescription] = {
    "sparse_categorical_crossentropy": LossDescription(
        "-ln p[true class]", _EQUAL, _sparse, likelihood=True
    ),
    "categorical_crossentropy": LossDescription(
        "-sum(t * ln p) over the classes", _EQUAL, _one_hot, likelihood=True
    ),
    "categorical_focal_crossentropy": LossDescription(
        "-sum(alpha * (1 - p)**gamma * t * ln p)", _EQUAL, _one_hot
    ),
    "categorical_generalized_cross_entropy": LossDescription(
        "(1 - p[true class]**q) / q", _EQUAL, _sparse
    ),
    "kl_divergence": LossDescription("sum(t * ln(t / p)) over the classes", _EQUAL, _one_hot),
    "categorical_hinge": LossDescription("max(0, 1 + best wrong p - true p)", _EQUAL, _one_hot),
    "binary_crossentropy": LossDescription(
        "-t * ln p - (1 - t) * ln(1 - p)", "one half", _half, likelihood=True
    ),
    "binary_focal_crossentropy": LossDescription(
        "binary cross-entropy * (1 - p[truth])**gamma", "one half", _half
    ),
    "hinge": LossDescription("max(0, 1 - t * p), t being -1 or 1", "0, undecided", _zero),
    "squared_hinge": LossDescription("max(0, 1 - t * p)**2, t being -1 or 1", "0, undecided", _zero),
    "cosine_similarity": LossDescription(
        "minus the cosine between t and p", "any orthogonal vector", _orthogonal
    ),
    "mean_squared_error": LossDescription("mean((t - p)**2)", _CONSTANT, constant=True),
    "mean_absolute_error": LossDescription("mean(abs(t - p))", _CONSTANT, constant=True),
    "mean_absolute_percentage_error": LossDescription(
        "100 * mean(abs(t - p) / abs(t))", _CONSTANT, constant=True
    ),
    "mean_squared_logarithmic_error": LossDescription(
        "mean((ln(1 + t) - ln(1 + p))**2)", _CONSTANT, constant=True
    ),
    "huber": LossDescription("(t - p)**2 / 2 up to delta, linear beyond", _CONSTANT, constant=True),
    "log_cosh": LossDescription("mean(ln cosh(p - t))", _CONSTANT, constant=True),
    "poisson": LossDescription("mean(p - t * ln p), for counts", _CONSTANT, constant=True),
    "dice": LossDescription("1 - 2 * sum(t * p) / (sum(t) + sum(p))", _HALF, constant=True),
    "tversky": LossDescription("1 - TP / (TP + alpha * FN + beta * FP)", _HALF, constant=True),
    "ctc": LossDescription("-ln of the probability of the labels over all their alignments", ""),
    "circle": LossDescription("ln(1 + sum of pulls × sum of pushes) between samples of a batch", ""),
}  # fmt: skip


def loss_description(loss: Loss) -> LossDescription | None:
    """Return the description of a loss of Hornbeam, None for a custom one."""
    fn = getattr(loss, "fn", None)
    name = getattr(fn, "__name__", "")
    return _DESCRIPTIONS.get(name) if getattr(fn, "__module__", "").startswith("hornbeam.losses") else None


def baseline_loss(
    loss: Loss, description: LossDescription, width: int, targets: np.ndarray | None
) -> tuple[float, str] | None:
    """Return the loss of a trivial prediction, and the prediction in words; None if it is unknown.

    Predictions have `width` values. `targets` are those of the data, to which constants are fitted.
    """
    if description.predict is not None:
        predictions, truth = description.predict(width, bool(getattr(loss, "from_logits", False)))
        value = float(loss(truth, predictions.astype("float32")))
        return value, _with_logarithm(description, value, width)
    if not description.constant or targets is None:
        return None
    targets = np.asarray(targets, "float32")
    if description.baseline == _HALF:
        candidates = {_HALF: np.full_like(targets, 0.5)}
    else:
        constants = {"mean": np.mean(targets, 0), "median": np.median(targets, 0)}
        candidates = {
            name: np.broadcast_to(value, targets.shape).astype("float32") for name, value in constants.items()
        }
    values = {name: float(loss(targets, candidate)) for name, candidate in candidates.items()}
    best = min(values, key=lambda name: values[name])
    return values[best], f"the {best} of the targets" if best in ("mean", "median") else best


def _with_logarithm(description: LossDescription, value: float, width: int) -> str:
    """Write the value as ln of the number of classes, where it is."""
    for count in (width, 2):
        if description.likelihood and math.isclose(value, math.log(count), rel_tol=1e-5):
            return f"{description.baseline}: ln {count} = {value:.4g}"
    return description.baseline
