"""What differs between two runs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hornbeam.insight.runs.listing import best, duration, number, params, test
from hornbeam.insight.runs.reading import Run, larger_is_better
from hornbeam.visualization.terminal import BARS

_WIDTH = 30
# Facts of every run that differ without meaning anything.
_OWN = ("status", "started", "ended", "seconds", "resumed", "format")
# Parts of configs that only number what was made, or say the same again.
_NUMBERED = ("name", "module", "registered_name", "build_config")


def compare_runs(first: Run, second: Run) -> Any:
    """What differs between two runs, for rich: results, settings, layers, data and environment, and each
    metric's curve side by side."""
    from rich import box
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    def table(title: str, rows: Sequence[tuple[str, str, str]]) -> Any:
        made = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False)
        for head in ("", first.path.name, second.path.name):
            made.add_column(Text(head), overflow="fold")
        for row in rows:
            made.add_row(*map(Text, row))
        return made

    rows = list(differences(first, second))
    settings = table("what differs", rows) if rows else Text("Settings, data and environment are the same.")
    return Group(table("results", results(first, second)), settings, table("curves", curves(first, second)))


def results(first: Run, second: Run) -> list[tuple[str, str, str]]:
    """(what, first, second) of the numbers that a run ends with."""
    columns = [
        (params(run), f"{len(run.epochs)}", best(run), test(run) or "not evaluated", duration(run.seconds))
        for run in (first, second)
    ]
    return list(zip(("parameters", "epochs", "best", "test", "time"), *columns, strict=True))


def differences(first: Run, second: Run) -> Iterator[tuple[str, str, str]]:
    """(name, first, second) of all that was recorded and is not equal."""
    mine, other = _facts(first), _facts(second)
    for name in dict.fromkeys([*mine, *other]):
        pair = mine.get(name, "not there"), other.get(name, "not there")
        if pair[0] != pair[1]:
            yield name, *pair


def _facts(run: Run) -> dict[str, str]:
    info = {key: value for key, value in run.info.items() if key not in _OWN}
    model = run.parts.get("model", {})
    found = dict(_flat(info))
    for index, layer in enumerate(model.get("layers") or (), 1):
        if isinstance(layer, Mapping):
            shown = [layer.get(key) for key in ("kind", "output", "params")]
            found[f"layer {index}"] = "{} → {}, {} parameters".format(*shown)
    found.update(_flat(_settings(model.get("compile")), "compile"))
    found.update(_flat(_settings(model.get("config")), "model"))
    return found


def _settings(value: Any) -> Any:
    """A config without what only numbers things, and without levels that only say "config"."""
    if isinstance(value, list):
        return [_settings(part) for part in value]
    if not isinstance(value, Mapping):
        return value
    kept = {key: _settings(part) for key, part in value.items() if key not in _NUMBERED}
    inner = kept.pop("config", None)
    return (
        {**kept, **inner} if isinstance(inner, dict) else kept if inner is None else {**kept, "config": inner}
    )


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Leaves of nested dicts and lists by their paths."""
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from _flat(part, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list) and any(isinstance(part, (Mapping, list)) for part in value):
        for index, part in enumerate(value):
            yield from _flat(part, f"{name}.{index}")
    else:
        yield name, str(value)


def curves(first: Run, second: Run) -> list[tuple[str, str, str]]:
    """(metric, curve of the first, curve of the second): drawn on one scale, with the best number."""
    mine, other = first.history, second.history
    rows = []
    for name in dict.fromkeys([*mine, *other]):
        both = [*mine.get(name, []), *other.get(name, [])]
        finite = [value for value in both if math.isfinite(value)]
        low, high = (min(finite), max(finite)) if finite else (0.0, 0.0)
        one, two = (_curve(name, values.get(name, []), low, high) for values in (mine, other))
        rows.append((name, one, two))
    return rows


def _curve(name: str, values: Sequence[float], low: float, high: float) -> str:
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return "not there"
    found = (max if larger_is_better(name) else min)(finite)
    return f"{sparkline(values, low, high)} best {number(name, found)}, last {number(name, values[-1])}"


def sparkline(values: Sequence[float], low: float, high: float, width: int = _WIDTH) -> str:
    """Values between low and high as blocks, at most `width` of them; what is not finite is a dot."""
    step = max(1, math.ceil(len(values) / width))
    scale = (len(BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(
        BARS[min(max(round((value - low) * scale), 0), len(BARS) - 1)] if math.isfinite(value) else "·"
        for value in values[::step]
    )
