"""A table of all runs in a folder, and the texts of its cells."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from hornbeam._internal.formatting import long_time
from hornbeam.errors import RunError
from hornbeam.insight.runs.layout import INFO
from hornbeam.insight.runs.reading import Run, read_run
from hornbeam.visualization.display import Block, Document, Table, Text

_HEADS = ("run", "epochs", "best epoch", "best score", "test score", "95% interval", "params", "time")
# Columns that narrow terminals omit, the first one first.
_OPTIONAL = ("time", "params", "95% interval", "best epoch", "epochs")


def list_runs(folder: str | os.PathLike[str] = "runs") -> Document:
    """Return a table of the runs in a folder, the newest last.

    Its columns are the folder's name, epochs, the best epoch and its score, the test score with its interval,
    parameters, and the time. Narrow terminals show the first of them. Runs that cannot be read are named
    below the table. Raises RunError if the folder does not exist.
    """
    runs, errors = runs_in(folder)
    rows = [_cells(run) for run in runs]
    table = Table("", _HEADS, rows, folding=("best score", "test score"), optional=_OPTIONAL)
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
    best = run.best()
    name, value, bounds = test_score(run)
    return [
        run.path.name,
        _epochs(run),
        "" if best is None else f"{best[1]}",
        "" if best is None else f"{best[0]} {metric_text(best[0], best[2])}",
        f"{name} {value}".strip(),
        bounds,
        parameters(run),
        long_time(run.seconds),
    ]


def _epochs(run: Run) -> str:
    """Return the number of epochs, of an unfinished run with the number that was planned."""
    planned = planned_epochs(run)
    done = f"{len(run.epochs)}"
    return done if run.finished else f"{done} of {'?' if planned is None else planned}"


def planned_epochs(run: Run) -> int | None:
    """Return the `epochs` of `fit`, None if it is unknown."""
    fit = run.info.get("fit")
    planned = fit.get("epochs") if isinstance(fit, dict) else None
    return planned if isinstance(planned, int) else None


def record_of(run: Run) -> dict[str, Any]:
    """Return what the list shows of a run as plain values, None where they are unknown."""
    best = run.best()
    name, value, low, high = _test_values(run)
    return {
        "run": run.path.name,
        "status": str(run.info.get("status", "?")),
        "epochs": len(run.epochs),
        "planned_epochs": planned_epochs(run),
        "best_metric": best and best[0],
        "best_epoch": best and best[1],
        "best_value": best and best[2],
        "test_metric": name or None,
        "test_value": value,
        "test_low": low,
        "test_high": high,
        "params": run.parts.get("model", {}).get("params"),
        "seconds": run.seconds,
    }


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
    name, value, low, high = _test_values(run)
    if value is None:
        return "", "", ""
    bounds = "" if low is None or high is None else f"{metric_text(name, low)} to {metric_text(name, high)}"
    return name, metric_text(name, value), bounds


def _test_values(run: Run) -> tuple[str, float | None, float | None, float | None]:
    """Return name, value and bounds of the first test metric besides the loss."""
    metrics = run.parts.get("evaluation", {}).get("metrics")
    if not isinstance(metrics, dict) or not metrics:
        return "", None, None, None
    name = next((n for n in metrics if n != "loss"), "loss")
    metric = metrics[name] if isinstance(metrics[name], dict) else {}
    value, low, high = (
        number if isinstance(number, (int, float)) else None
        for number in (metric.get(key) for key in ("value", "low", "high"))
    )
    return name if value is not None else "", value, low, high


def metric_text(name: str, value: float) -> str:
    """Return an accuracy in percent, any other metric with four digits."""
    return f"{value:.2%}" if "acc" in name and 0 <= value <= 1 else f"{value:.4g}"
