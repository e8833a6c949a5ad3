"""Differences between runs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hornbeam._internal.formatting import long_time
from hornbeam.insight.runs.listing import best_epoch, metric_text, parameters, test_text
from hornbeam.insight.runs.reading import Run
from hornbeam.visualization.display import Document, Table, Text
from hornbeam.visualization.metric_curves import larger_is_better
from hornbeam.visualization.terminal import sparkline

# Facts that differ between all runs.
_VOLATILE = ("status", "started", "ended", "seconds", "resumed", "stopped", "process", "format")
# Keys of configs that only number objects, or repeat what other keys say.
_REDUNDANT = ("name", "module", "registered_name", "build_config")
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
    facts = dict(_leaves(info))
    for index, layer in enumerate(model.get("layers") or (), 1):
        if isinstance(layer, Mapping):
            texts = [layer.get(key) for key in ("kind", "output", "params")]
            facts[f"layer {index}"] = "{} → {}, {} parameters".format(*texts)
    facts.update(_leaves(simplified(model.get("compile")), "compile"))
    facts.update(_leaves(simplified(model.get("config")), "model"))
    return facts


def simplified(value: object) -> Any:
    """Return a config without redundant keys, and without levels that only say "config"."""
    if isinstance(value, list):
        return [simplified(part) for part in value]
    if not isinstance(value, Mapping):
        return value
    kept = {key: simplified(part) for key, part in value.items() if key not in _REDUNDANT}
    inner = kept.pop("config", None)
    if inner is None:
        return kept
    return {**kept, **inner} if isinstance(inner, dict) else {**kept, "config": inner}


def _leaves(value: object, name: str = "") -> Iterator[tuple[str, str]]:
    """Yield the path and the text of each leaf of nested dicts and lists."""
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from _leaves(part, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list) and any(isinstance(part, (Mapping, list)) for part in value):
        for index, part in enumerate(value):
            yield from _leaves(part, f"{name}.{index}")
    else:
        yield name, str(value)[:12] if name.endswith(".commit") else str(value)


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
