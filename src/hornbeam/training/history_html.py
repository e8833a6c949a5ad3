"""A history as the output of a notebook cell: curves, or one table after a single epoch."""

from __future__ import annotations

import math

from hornbeam._internal.html.markup import Html, table, tag
from hornbeam._internal.html.notebook import notebook_output
from hornbeam.visualization.metric_curves import metric_charts, metric_names

# Values of more metrics are in `history.history`.
_MOST_METRICS = 24


def history_html(epochs: list[int], logs: dict[str, list[float]]) -> str | None:
    """Return the curves of all metrics, or None without epochs."""
    elements = history_elements(epochs, logs)
    return notebook_output(*elements) if elements else None


def history_elements(epochs: list[int], logs: dict[str, list[float]]) -> list[Html]:
    """Return the elements of a history: a heading, and curves or a table."""
    numbers = {name: values for name, values in logs.items() if all(map(_is_number, values)) and values}
    chosen = dict(list(numbers.items())[:_MOST_METRICS])
    if not chosen:
        return []
    if len(epochs) == 1:
        return [_single(chosen)]
    shown = [epoch + 1 for epoch in epochs]
    charts = metric_charts(
        shown, {name: values for name, values in chosen.items() if len(values) == len(shown)}
    )
    return [tag("h4", f"{len(epochs)} epochs"), tag("div", charts, class_="charts")]


def _single(logs: dict[str, list[float]]) -> Html:
    validated = any(name.startswith("val_") for name in logs)
    rows = []
    for name in metric_names(logs):
        values = [logs[key][-1] if key in logs else None for key in (name, f"val_{name}")]
        texts = ["" if value is None or math.isnan(value) else f"{value:.4g}" for value in values]
        rows.append([name, *texts[: 1 + validated]])
    return table("One epoch", ["metric", "training", *["validation"] * validated], rows)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float))
