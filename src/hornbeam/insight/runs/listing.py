"""A table of all runs in a folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from hornbeam.insight.runs.folder import INFO
from hornbeam.insight.runs.reading import Run, RunError, read_run

_HEADS = ("run", "params", "epochs", "best", "test", "time")


def list_runs(folder: str | os.PathLike[str] = "runs") -> Any:
    """A table (for rich) of the runs in a folder, the newest last: name of the folder, parameters, epochs,
    the best number of validation, the test with its interval, and how long it took.

    Raises RunError if there is no such folder. Runs that cannot be read are named below the table.
    """
    from rich import box
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    runs, broken = runs_in(folder)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for head in _HEADS:
        left = head in ("run", "best", "test")
        folds = head in ("best", "test")  # what a narrow terminal breaks into lines
        table.add_column(head, justify="left" if left else "right", overflow="fold", no_wrap=not folds)
    for run in runs:
        table.add_row(*map(Text, _row(run)))
    parts: list[Any] = [table if runs else Text(f"no runs in {os.fspath(folder)}")]
    return Group(*parts, *map(Text, broken))


def runs_in(folder: str | os.PathLike[str]) -> tuple[list[Run], list[str]]:
    """The runs in a folder, the oldest first, and what is wrong with those that cannot be read."""
    if not Path(folder).is_dir():
        raise RunError(f"there is no folder {os.fspath(folder)}: runs are recorded by callbacks.RunRecorder")
    runs, broken = [], []
    for path in sorted(Path(folder).iterdir()):
        if not (path / INFO).is_file():
            continue
        try:
            runs.append(read_run(path))
        except (RunError, OSError) as error:
            broken.append(str(error))
    return runs, broken


def newest_run(folder: str | os.PathLike[str]) -> Run:
    """The newest run in a folder. Raises RunError if there is none."""
    runs, broken = runs_in(folder)
    if not runs:
        raise RunError("; ".join([f"there is no run in {os.fspath(folder)}", *broken]))
    return runs[-1]


def _row(run: Run) -> list[str]:
    epochs = f"{len(run.epochs)}" if run.finished else f"{len(run.epochs)}, unfinished"
    return [run.path.name, params(run), epochs, best(run), test(run), duration(run.seconds)]


def params(run: Run) -> str:
    """The number of parameters."""
    number = run.parts.get("model", {}).get("params")
    return f"{number:,}" if isinstance(number, int) else "?"


def best(run: Run) -> str:
    """The best number of validation, and its epoch."""
    found = run.best()
    return "" if found is None else f"{found[0]} {number(found[0], found[2])} (epoch {found[1]})"


def test(run: Run) -> str:
    """The first metric of the test, with its interval."""
    name, value, bounds = test_of(run)
    return f"{name} {value}{f' ({bounds})' if bounds else ''}" if value else ""


def test_of(run: Run) -> tuple[str, str, str]:
    """The first metric of the test that is not the loss: name, value, interval; "" for what is not known."""
    metrics = run.parts.get("evaluation", {}).get("metrics")
    if not isinstance(metrics, dict) or not metrics:
        return "", "", ""
    name = next((n for n in metrics if n != "loss"), "loss")
    found = metrics[name] if isinstance(metrics[name], dict) else {}
    value, low, high = (found.get(key) for key in ("value", "low", "high"))
    if not isinstance(value, (int, float)):
        return "", "", ""
    bounds = ""
    if isinstance(low, (int, float)) and isinstance(high, (int, float)):
        bounds = f"{number(name, low)} to {number(name, high)}"
    return name, number(name, value), bounds


def number(name: str, value: float) -> str:
    """Accuracies as percents, anything else with four digits."""
    return f"{value:.2%}" if "acc" in name and 0 <= value <= 1 else f"{value:.4g}"


def duration(seconds: float) -> str:
    """3.2 s, 4 min 05 s, 1 h 02 min."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"
