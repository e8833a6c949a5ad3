"""What losses measure: the formula, and the value that guessing gives, computed by the loss itself."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Kind:
    """formula: of one sample. guess: what it means to guess. predict: (classes, logits) -> predictions and
    targets of a guess; None where guessing needs the targets (a constant) or has no meaning."""

    formula: str
    guess: str
    predict: Callable[[int, bool], tuple[np.ndarray, np.ndarray]] | None = None
    constant: bool = False
    likelihood: bool = False


def _numbers(classes: int, logits: bool) -> tuple[np.ndarray, np.ndarray]:
    """Every class once, against no preference; targets are numbers."""
    return np.full((classes, classes), 0.0 if logits else 1 / classes), np.arange(classes)


def _one_hot(classes: int, logits: bool) -> tuple[np.ndarray, np.ndarray]:
    return _numbers(classes, logits)[0], np.eye(classes)


def _coin(classes: int, logits: bool) -> tuple[np.ndarray, np.ndarray]:
    """Yes and no once, against one half."""
    return np.full((2, classes), 0.0 if logits else 0.5), np.repeat([[0.0], [1.0]], classes, 1)


def _undecided(classes: int, logits: bool) -> tuple[np.ndarray, np.ndarray]:
    """-1 and 1 once, against 0."""
    return np.zeros((2, classes)), np.repeat([[-1.0], [1.0]], classes, 1)


def _right_angle(classes: int, logits: bool) -> tuple[np.ndarray, np.ndarray]:
    return np.eye(max(classes, 2))[:1], np.eye(max(classes, 2))[1:2]


_ALIKE = "all classes alike"
_MIDDLE = "always the same number"
_KINDS: dict[str, Kind] = {
    "sparse_categorical_crossentropy": Kind("-ln p[right class]", _ALIKE, _numbers, likelihood=True),
    "categorical_crossentropy": Kind("-sum(t * ln p) over the classes", _ALIKE, _one_hot, likelihood=True),
    "categorical_focal_crossentropy": Kind("-sum(alpha * (1 - p)**gamma * t * ln p)", _ALIKE, _one_hot),
    "categorical_generalized_cross_entropy": Kind("(1 - p[right class]**q) / q", _ALIKE, _numbers),
    "kl_divergence": Kind("sum(t * ln(t / p)) over the classes", _ALIKE, _one_hot),
    "categorical_hinge": Kind("max(0, 1 + best wrong p - right p)", _ALIKE, _one_hot),
    "binary_crossentropy": Kind("-t * ln p - (1 - t) * ln(1 - p)", "one half", _coin, likelihood=True),
    "binary_focal_crossentropy": Kind("binary cross-entropy * (1 - p[truth])**gamma", "one half", _coin),
    "hinge": Kind("max(0, 1 - t * p), t being -1 or 1", "0, undecided", _undecided),
    "squared_hinge": Kind("max(0, 1 - t * p)**2, t being -1 or 1", "0, undecided", _undecided),
    "cosine_similarity": Kind("minus the cosine between t and p", "any direction at a right "
    "angle", _right_angle),
    "mean_squared_error": Kind("mean((t - p)**2)", _MIDDLE, constant=True),
    "mean_absolute_error": Kind("mean(abs(t - p))", _MIDDLE, constant=True),
    "mean_absolute_percentage_error": Kind("100 * mean(abs(t - p) / abs(t))", _MIDDLE, constant=True),
    "mean_squared_logarithmic_error": Kind("mean((ln(1 + t) - ln(1 + p))**2)", _MIDDLE, constant=True),
    "huber": Kind("(t - p)**2 / 2 up to delta, straight beyond", _MIDDLE, constant=True),
    "log_cosh": Kind("mean(ln cosh(p - t))", _MIDDLE, constant=True),
    "poisson": Kind("mean(p - t * ln p), for counts", _MIDDLE, constant=True),
    "dice": Kind("1 - 2 * sum(t * p) / (sum(t) + sum(p))", "one half everywhere", constant=True),
    "tversky": Kind("1 - TP / (TP + alpha * missed + beta * added)", "one half everywhere", constant=True),
    "ctc": Kind("-ln of the probability of the labels over all their alignments", ""),
    "circle": Kind("ln(1 + sum of pulls × sum of pushes) between samples of a batch", ""),
}  # fmt: skip


def kind_of(loss: Any) -> Kind | None:
    """The kind of a loss of ours; None for one of somebody's own."""
    fn = getattr(loss, "fn", None)
    name = getattr(fn, "__name__", "")
    return _KINDS.get(name) if getattr(fn, "__module__", "").startswith("hornbeam.losses") else None


def guessed(loss: Any, kind: Kind, width: int, targets: np.ndarray | None) -> tuple[float, str] | None:
    """The loss of a guess and what was guessed; None where nobody can say.

    width: numbers a prediction has. targets: of the data, for losses where the guess is a number that fits
    them.
    """
    if kind.predict is not None:
        predictions, wanted = kind.predict(width, bool(getattr(loss, "from_logits", False)))
        value = float(loss(wanted, predictions.astype("float32")))
        return value, _by_hand(kind, value, width)
    if not kind.constant or targets is None:
        return None
    targets = np.asarray(targets, "float32")
    if "one half" in kind.guess:
        tried = {"one half everywhere": np.full_like(targets, 0.5)}
    else:
        middle = {"mean": np.mean(targets, 0), "median": np.median(targets, 0)}
        tried = {
            name: np.broadcast_to(value, targets.shape).astype("float32") for name, value in middle.items()
        }
    values = {name: float(loss(targets, guess)) for name, guess in tried.items()}
    best = min(values, key=lambda name: values[name])
    return values[best], f"always the {best} of the targets" if best in ("mean", "median") else best


def _by_hand(kind: Kind, value: float, width: int) -> str:
    for count in (width, 2):
        if kind.likelihood and math.isclose(value, math.log(count), rel_tol=1e-5):
            return f"{kind.guess}: ln {count} = {value:.4g}"
    return kind.guess
