"""A table of all runs in a folder, and the texts of its cells."""

from __future__ import annotations

import os
from pathlib import Path

from hornbeam._internal.formatting import long_time
from hornbeam.errors import RunError
from hornbeam.insight.runs.layout import INFO
from hornbeam.insight.runs.reading import Run, read_run
from hornbeam.visualization.display import Block, Document, Table, Text

_HEADS = ("run", "params", "epochs", "best", "test", "time")


def list_runs(folder: str | os.PathLike[str] = "runs") -> Document:
    """Return a table of the runs in a folder, the newest last.

    Its columns are the folder's name, parameters, epochs, the best validation score, the test score with its
    interval, and the time. Runs that cannot be read are named below the table. Raises RunError if the folder
    does not exist.
    """
    runs, errors = runs_in(folder)
    table = Table(
        "", _HEADS, [_cells(run) for run in runs], folding=("best", "test"), optional=("params", "time")
    )
    block: Block = table if runs else Text(f"no runs in {os.fspath(folder)}")
    return Document([block, *map(Text, errors)])


def runs_in(folder: str | os.PathLike[str]) -> tuple[list[Run], list[str]]:
    """Return the runs in a folder, the oldest first, and the errors of those that cannot be read."""
    if not Path(folder).is_dir():
        raise RunError(f"no folder {os.fspath(folder)}: runs are recorded by callbacks.RunRecorder")
    runs, errors = [], []
    for path in sorted(Path(folder).iterdir()):
        if not (path / INFO).is_file():
            continue
        try:
            runs.append(read_run(path))
        except (RunError, OSError) as error:
            errors.append(str(error))
    return runs, errors


def newest_run(folder: str | os.PathLike[str]) -> Run:
    """Return the newest run in a folder. Raises RunError if no run can be read."""
    runs, errors = runs_in(folder)
    if not runs:
        raise RunError("; ".join([f"no run in {os.fspath(folder)}", *errors]))
    return runs[-1]


def _cells(run: Run) -> list[str]:
    epochs = f"{len(run.epochs)}" if run.finished else f"{len(run.epochs)}, unfinished"
    return [run.path.name, parameters(run), epochs, best_epoch(run), test_text(run), long_time(run.seconds)]


def parameters(run: Run) -> str:
    """Return the number of parameters."""
    count = run.parts.get("model", {}).get("params")
    return f"{count:,}" if isinstance(count, int) else "?"


def best_epoch(run: Run) -> str:
    """Return the best validation score and its epoch."""
    best = run.best()
    return "" if best is None else f"{best[0]} {metric_text(best[0], best[2])} (epoch {best[1]})"


def test_text(run: Run) -> str:
    """Return the test score with its interval."""
    name, value, bounds = test_score(run)
    return f"{name} {value}{f' ({bounds})' if bounds else ''}" if value else ""


def test_score(run: Run) -> tuple[str, str, str]:
    """Return name, value and interval of the first test metric besides the loss; "" where unknown."""
    metrics = run.parts.get("evaluation", {}).get("metrics")
    if not isinstance(metrics, dict) or not metrics:
        return "", "", ""
    name = next((n for n in metrics if n != "loss"), "loss")
    metric = metrics[name] if isinstance(metrics[name], dict) else {}
    value, low, high = (metric.get(key) for key in ("value", "low", "high"))
    if not isinstance(value, (int, float)):
        return "", "", ""
    bounds = ""
    if isinstance(low, (int, float)) and isinstance(high, (int, float)):
        bounds = f"{metric_text(name, low)} to {metric_text(name, high)}"
    return name, metric_text(name, value), bounds


def metric_text(name: str, value: float) -> str:
    """Return an accuracy in percent, any other metric with four digits."""
    return f"{value:.2%}" if "acc" in name and 0 <= value <= 1 else f"{value:.4g}"
