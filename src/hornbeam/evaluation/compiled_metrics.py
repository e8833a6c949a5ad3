"""Loss and metrics of a compiled model as statistics of its predictions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hornbeam.diagnostics.predictions import Predictions
from hornbeam.evaluation.statistics import Statistic, loss_values, mean_of, of_metric
from hornbeam.metrics import Metric
from hornbeam.models import Model
from hornbeam.training.outputs import Outputs
from hornbeam.training.steps import training_state

# Words in names of metrics whose larger, or smaller, values are better.
_LARGER = ("acc", "auc", "precision", "recall", "f1", "fbeta", "iou", "r2", "cosine", "top_k", "correlation",
       "specificity", "sensitivity")  # fmt: skip
_SMALLER = ("loss", "error", "mae", "mse", "mape", "msle", "rmse", "crossentropy", "hinge", "divergence",
         "poisson", "log_cosh", "logcosh", "brier", "false_")  # fmt: skip


@dataclass(frozen=True)
class Measurement:
    """A named value; `statistic`, None if it is unknown, is the value without `constant`."""

    name: str
    value: float
    statistic: Statistic | None
    constant: float = 0.0


def direction(name: str, metric: Metric | None = None) -> int:
    """Return +1 if larger values are better, -1 if smaller ones are, 0 if it is unknown."""
    declared = getattr(metric, "_direction", None)
    if declared in ("up", "down"):
        return 1 if declared == "up" else -1
    name = name.lower()
    if any(part in name for part in _SMALLER):
        return -1
    return 1 if any(part in name for part in _LARGER) else 0


def measurements(model: Model, predicted: Predictions) -> tuple[list[Measurement], list[str]]:
    """Return loss, losses of outputs and metrics of a compiled model, and notes on those without an interval.

    `predicted` are `Predictions` of the model.
    """
    notes: list[str] = []
    custom = _custom_steps(model)
    if custom:
        notes.append(
            f"the model overrides {custom}: loss and metrics that it reports there are not known here"
        )
    losses = [] if custom else _losses(model, predicted, notes)
    return [*losses, *_metrics(model, predicted, notes)], notes


def _custom_steps(model: Model) -> str:
    from hornbeam.training.steps import Steps

    names = ("compute_loss", "test_step", "compute_metrics")
    custom = [name for name in names if getattr(type(model), name) is not getattr(Steps, name)]
    return " and ".join(f"{name}()" for name in custom)


def _losses(model: Any, predicted: Predictions, notes: list[str]) -> list[Measurement]:
    losses = training_state(model).losses
    if losses is None or losses.spec is None:
        return []
    outputs = Outputs(predicted.y_pred, getattr(model, "output_names", None))
    losses.build(outputs)
    terms = losses.terms(outputs, predicted.y, predicted.sample_weight)
    regular = [weight for weight in model.trainable_weights if weight.regularizer is not None]
    penalty = sum((float(np.asarray(weight.regularizer(weight))) for weight in regular), 0.0)
    if predicted.adds_losses:
        notes.append("losses that layers add depend on their inputs: they are excluded here")
    total, parts = np.zeros(predicted.count), []
    for name, loss, target, prediction, weight, factor in terms:
        try:
            values = loss_values(loss, target, prediction, weight)
        except ValueError as error:
            notes.append(f"the loss of {name} has no interval: {error}")
            return []
        total += factor * values
        parts.append(_shifted(f"{name}_loss", values, 0.0))
    return [_shifted("loss", total, penalty), *(parts if len(parts) > 1 else ())]


def _shifted(name: str, values: np.ndarray, constant: float) -> Measurement:
    statistic = mean_of(name, values, sign=-1)
    if statistic.kind == "proportion":  # a loss that happens to be 0 or 1 is not a proportion of trials
        statistic = mean_of(name, values, np.ones(len(values)), sign=-1)
    return Measurement(name, statistic.value + constant, statistic, constant)


def _metrics(model: Model, predicted: Predictions, notes: list[str]) -> list[Measurement]:
    compiled = training_state(model).metrics
    if compiled is None:
        return []
    outputs = Outputs(predicted.y_pred, getattr(model, "output_names", None))
    if isinstance(predicted.y, dict):
        targets = [predicted.y.get(name) for name in outputs.names]
    else:
        targets = outputs.targets(predicted.y, [True] * len(outputs))
    compiled.build(outputs, targets)
    weights = outputs.weights(predicted.sample_weight)
    measured = []
    for index, metric, weighted, name in compiled.rows:
        used = weights[index] if weighted else None
        try:
            statistics = of_metric(
                metric, name, targets[index], outputs.tensors[index], used, direction(name, metric)
            )
        except ValueError as error:
            notes.append(f"{name} is excluded: {error}")
            continue
        measured += [Measurement(statistic.name, statistic.value, statistic) for statistic in statistics]
    return measured
