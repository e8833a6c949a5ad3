"""Learning curves of a training as charts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from hornbeam._internal.html.markup import Html
from hornbeam.visualization.panels import LinePanel, Marker
from hornbeam.visualization.svg import line_chart

# From this ratio of the largest to the smallest value on the axis is logarithmic.
_LOGARITHMIC = 50.0


def metric_charts(epochs: Sequence[int], history: Mapping[str, Sequence[float]]) -> list[Html]:
    """Draw a chart for each metric, the loss first and learning rates last."""
    return [line_chart(metric_panel(name, epochs, history)) for name in metric_names(history)]


def metric_names(history: Mapping[str, Sequence[float]]) -> list[str]:
    """Return the names of metrics, without those of validation that belong to another one."""
    names = [name for name in history if not (name.startswith("val_") and name[4:] in history)]
    return sorted(names, key=lambda name: (name != "loss", "rate" in name))


def metric_panel(name: str, epochs: Sequence[int], history: Mapping[str, Sequence[float]]) -> LinePanel:
    """Return the curve of a metric, and that of its validation with the best epoch marked."""
    validation = name if name.startswith("val_") else f"val_{name}"
    curves: dict[str, Sequence[float]] = {}
    if name != validation:
        curves["training" if validation in history else name] = history[name]
    if validation in history:
        curves["validation"] = history[validation]
    best = _best_epoch(name, curves["validation"]) if "validation" in curves else None
    return LinePanel(
        {label: (epochs, values) for label, values in curves.items()},
        title=name.removeprefix("val_"),
        axis_labels=("epoch", name),
        marker=None if best is None else Marker("validation", best, "best"),
        log_y=spans_decades([value for values in curves.values() for value in values]),
    )


def spans_decades(values: Sequence[float]) -> bool:
    """Return True for positive values whose range needs a logarithmic axis."""
    finite = [value for value in values if math.isfinite(value)]
    return bool(finite) and min(finite) > 0 and max(finite) / min(finite) > _LOGARITHMIC


def _best_epoch(name: str, values: Sequence[float]) -> int | None:
    finite = [(value, index) for index, value in enumerate(values) if math.isfinite(value)]
    if not finite:
        return None
    return (max if larger_is_better(name) else min)(finite, key=lambda pair: pair[0])[1]


def larger_is_better(name: str) -> bool:
    """Return True for the name of a metric whose larger values are better."""
    words = ("acc", "auc", "precision", "recall", "f1", "f_", "iou", "r2", "top_k", "similarity")
    return any(word in name.removeprefix("val_").lower() for word in words)
