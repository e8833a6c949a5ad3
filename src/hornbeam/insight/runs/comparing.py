"""Differences between runs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from hornbeam._internal.formatting import long_time
from hornbeam.insight.runs.listing import best_epoch, metric_text, parameters, test_text
from hornbeam.insight.runs.reading import Run
from hornbeam.insight.runs.settings import leaves, simplified
from hornbeam.visualization.display import Document, Table, Text
from hornbeam.visualization.metric_curves import larger_is_better
from hornbeam.visualization.terminal import sparkline

# Facts that differ between all runs.
_VOLATILE = ("status", "started", "ended", "seconds", "resumed", "stopped", "process", "format")
Row = tuple[str, ...]


def compare_runs(first: Run, second: Run) -> Document:
    """Compare results, settings, layers, data, environment and curves of two runs."""
    heads = ("", first.path.name, second.path.name)

    def table(title: str, rows: Sequence[Row]) -> Table:
        return Table(title, heads, rows, text_columns=heads, folding=heads)

    rows = list(differences(first, second))
    settings = table("differences", rows) if rows else Text("Settings, data and environment are the same.")
    return Document(
        [table("results", results(first, second)), settings, table("curves", curves(first, second))]
    )


def results(first: Run, second: Run) -> list[Row]:
    """Return (quantity, first, second) of the final numbers."""
    columns = [
        (
            parameters(run),
            f"{len(run.epochs)}",
            best_epoch(run),
            test_text(run) or "not evaluated",
            long_time(run.seconds),
        )
        for run in (first, second)
    ]
    return list(zip(("parameters", "epochs", "best", "test", "time"), *columns, strict=True))


def differences(*runs: Run) -> Iterator[Row]:
    """Yield (name, value of each run) of all recorded facts that are not equal in all runs."""
    facts = [_facts(run) for run in runs]
    for name in dict.fromkeys(name for each in facts for name in each):
        values = [each.get(name, "absent") for each in facts]
        if len(set(values)) > 1:
            yield name, *values


def _facts(run: Run) -> dict[str, str]:
    info = {key: value for key, value in run.info.items() if key not in _VOLATILE}
    model = run.parts.get("model", {})
    facts = _texts(info)
    for index, layer in enumerate(model.get("layers") or (), 1):
        if isinstance(layer, Mapping):
            texts = [layer.get(key) for key in ("kind", "output", "params")]
            facts[f"layer {index}"] = "{} → {}, {} parameters".format(*texts)
    facts.update(_texts(simplified(model.get("compile")), "compile"))
    facts.update(_texts(simplified(model.get("config")), "model"))
    return facts


def _texts(value: object, name: str = "") -> dict[str, str]:
    pairs = leaves(value, name)
    return {path: str(leaf)[:12] if path.endswith(".commit") else str(leaf) for path, leaf in pairs}


def curves(first: Run, second: Run) -> list[Row]:
    """Return (metric, first curve, second curve), drawn on one scale, with the best values."""
    left, right = first.history, second.history
    rows: list[Row] = []
    for name in dict.fromkeys([*left, *right]):
        values = [*left.get(name, []), *right.get(name, [])]
        finite = [value for value in values if math.isfinite(value)]
        low, high = (min(finite), max(finite)) if finite else (0.0, 0.0)
        one, two = (_curve(name, history.get(name, []), low, high) for history in (left, right))
        rows.append((name, one, two))
    return rows


def _curve(name: str, values: Sequence[float], low: float, high: float) -> str:
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return "absent"
    best = (max if larger_is_better(name) else min)(finite)
    curve = sparkline(values, low, high)
    return f"{curve} best {metric_text(name, best)}, last {metric_text(name, values[-1])}"
