"""What a compiled model is measured by, as statistics of its predictions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hornbeam.evaluation.statistics import Statistic, loss_values, mean_of, of_metric

# Parts of names by which it is known whether larger is better.
_UP = ("acc", "auc", "precision", "recall", "f1", "fbeta", "iou", "r2", "cosine", "top_k", "correlation",
       "specificity", "sensitivity")  # fmt: skip
_DOWN = ("loss", "error", "mae", "mse", "mape", "msle", "rmse", "crossentropy", "hinge", "divergence",
         "poisson", "log_cosh", "logcosh", "brier", "false_")  # fmt: skip


@dataclass(frozen=True)
class Measurement:
    """A named value; `statistic` (None if it is unknown) is the value without `constant`."""

    name: str
    value: float
    statistic: Statistic | None
    constant: float = 0.0


def direction(name: str, metric: Any = None) -> int:
    """+1 where a larger value is better, -1 where a smaller one is, 0 if nothing says so."""
    declared = getattr(metric, "_direction", None)
    if declared in ("up", "down"):
        return 1 if declared == "up" else -1
    name = name.lower()
    if any(part in name for part in _DOWN):
        return -1
    return 1 if any(part in name for part in _UP) else 0


def measurements(model: Any, found: Any) -> tuple[list[Measurement], list[str]]:
    """Loss, losses of outputs and metrics of a compiled model for predictions, and notes on what has no
    interval.

    found: `Predictions` of the model.
    """
    notes: list[str] = []
    own = _own_steps(model)
    if own:
        notes.append(
            f"the model has its own {own}: what it reports as loss and metrics beside it is not known here"
        )
    losses = [] if own else _losses(model, found, notes)
    return [*losses, *_metrics(model, found, notes)], notes


def _own_steps(model: Any) -> str:
    from hornbeam.training.trainer import Trainer

    names = ("compute_loss", "test_step", "compute_metrics")
    own = [name for name in names if getattr(type(model), name) is not getattr(Trainer, name)]
    return " and ".join(f"{name}()" for name in own)


def _losses(model: Any, found: Any, notes: list[str]) -> list[Measurement]:
    from hornbeam.training.outputs import Outputs

    losses = model._training_state.losses
    if losses is None or losses.spec is None:
        return []
    outputs = Outputs(found.y_pred, getattr(model, "output_names", None))
    losses.build(outputs)
    targets, weights = outputs.targets(found.y, losses.needed), outputs.weights(found.sample_weight)
    regular = [weight for weight in model.trainable_weights if weight.regularizer is not None]
    penalty = sum((float(np.asarray(weight.regularizer(weight))) for weight in regular), 0.0)
    if found.adds_losses:
        notes.append("layers add to the loss by what they see: that part is left out here")
    total, parts = np.zeros(found.count), []
    rows = zip(
        outputs.names, losses.by_output, targets, outputs.tensors, weights, losses.weights, strict=True
    )
    for name, loss, target, prediction, weight, factor in rows:
        if loss is None:
            continue
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
    if (
        statistic.kind == "proportion"
    ):  # a loss that happens to be 0 or 1 is no share of independent trials to its user
        statistic = mean_of(name, values, np.ones(len(values)), sign=-1)
    return Measurement(name, statistic.value + constant, statistic, constant)


def _metrics(model: Any, found: Any, notes: list[str]) -> list[Measurement]:
    from hornbeam.training.outputs import Outputs

    compiled = model._training_state.metrics
    if compiled is None:
        return []
    outputs = Outputs(found.y_pred, getattr(model, "output_names", None))
    many = [True] * len(outputs)
    targets = outputs.targets(found.y, many) if not isinstance(found.y, dict) else _by_name(outputs, found.y)
    compiled.build(outputs, targets)
    weights = outputs.weights(found.sample_weight)
    measured = []
    for index, metric, weighted, name in compiled.rows:
        used = weights[index] if weighted else None
        try:
            statistics = of_metric(
                metric, name, targets[index], outputs.tensors[index], used, direction(name, metric)
            )
        except ValueError as error:
            notes.append(f"{name} is left out: {error}")
            continue
        measured += [Measurement(statistic.name, statistic.value, statistic) for statistic in statistics]
    return measured


def _by_name(outputs: Any, y: dict[str, Any]) -> list[Any]:
    return [y.get(name) for name in outputs.names]
