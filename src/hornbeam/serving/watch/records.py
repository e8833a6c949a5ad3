"""Plain values of a run, as the page shows them."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from hornbeam.insight.runs.listing import planned_epochs, record_of
from hornbeam.insight.runs.liveness import is_lost
from hornbeam.insight.runs.reading import Run
from hornbeam.visualization.metric_curves import larger_is_better

_LISTED = (
    "run", "planned_epochs", "best_metric", "best_epoch", "best_value",
    "test_metric", "test_value", "test_low", "test_high", "params", "seconds",
)  # fmt: skip
# Epochs whose median predicts the time of the next ones.
_RECENT = 5


def record(run: Run, progress: object, notes: str, *, stopping: bool, last_sign: float) -> dict[str, Any]:
    """Return the record of a run.

    Args:
        run: The run, with the parts "model" and "evaluation".
        progress: Content of its `progress.json`, None without one.
        notes: Notes about it.
        stopping: Whether it was asked to stop.
        last_sign: Time at which its training last wrote something, in seconds since 1970.
    """
    listed = record_of(run)
    environment = run.info.get("environment")
    state = state_of(run, last_sign)
    position = _position(progress, run) if state == "running" else None
    return {
        **{key: listed[key] for key in _LISTED},
        "larger_is_better": larger_is_better(str(listed["best_metric"])),
        "name": run.name,
        "state": state,
        "stopping": stopping and state == "running",
        "epoch": _last_epoch(run),
        "position": position,
        "ends_at": last_sign + left if (left := _seconds_left(run, position)) is not None else None,
        "last_sign": last_sign,
        "started": _seconds_of(run.info.get("started")),
        "command": str(run.info.get("command") or ""),
        "engine": str(environment.get("engine", "")) if isinstance(environment, Mapping) else "",
        "seed": run.info["seed"] if isinstance(run.info.get("seed"), int) else None,
        "metrics": {name: _last_and_best(name, values) for name, values in run.history.items()},
        "notes": notes,
    }


def state_of(run: Run, last_sign: float) -> str:
    """Return "running", "finished", "stopped" (on request), or "lost": neither an end nor a sign of life."""
    if run.finished:
        return "stopped" if "stopped" in run.info else "finished"
    longest = max((line["seconds"] for line in run.epochs), default=0.0)
    return "lost" if is_lost(run.info.get("process"), time.time() - last_sign, longest) else "running"


def _position(progress: object, run: Run) -> dict[str, float] | None:
    """Return step, number of steps and seconds within the present epoch, if they are known."""
    fit = run.info.get("fit")
    steps = fit.get("updates_per_epoch") if isinstance(fit, Mapping) else None
    if not isinstance(progress, Mapping) or not isinstance(steps, int) or steps < 1:
        return None
    epoch, step, seconds = (_number(progress.get(key)) for key in ("epoch", "step", "seconds"))
    if epoch <= _last_epoch(run):  # it is over
        return None
    return {"step": step, "steps": steps, "seconds": seconds}


def _number(value: object) -> float:
    return value if isinstance(value, (int, float)) and math.isfinite(value) else 0


def _last_epoch(run: Run) -> int:
    return run.epochs[-1]["epoch"] if run.epochs else 0


def _seconds_left(run: Run, position: Mapping[str, float] | None) -> float | None:
    """Return the time from the last sign of life to the planned end, None if it cannot be estimated."""
    planned = planned_epochs(run)
    if planned is None or run.finished:
        return None
    if run.epochs:
        seconds = statistics.median(line["seconds"] for line in run.epochs[-_RECENT:])
    elif position is not None and position["step"] > 0:
        seconds = position["seconds"] * position["steps"] / position["step"]
    else:
        return None
    return max(0.0, (planned - _last_epoch(run)) * seconds - (position["seconds"] if position else 0.0))


def _last_and_best(name: str, values: list[float]) -> dict[str, float | None]:
    finite = [value for value in values if math.isfinite(value)]
    best = (max if larger_is_better(name) else min)(finite) if finite else None
    return {"last": values[-1], "best": best}


def _seconds_of(text: object) -> float | None:
    try:
        return datetime.strptime(str(text), "%Y-%m-%d %H:%M:%S%z").timestamp()
    except ValueError:
        return None
