"""A run, as it is read: whatever its files hold is checked, for they may come from anywhere."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hornbeam.insight.runs.folder import HISTORY, INFO, PARTS

# No run that was recorded comes near.
_MOST_BYTES = 256 << 20


class RunError(ValueError):
    """A folder is no run, or a file in it cannot be read. The message names the file."""


@dataclass(frozen=True)
class Run:
    """A recorded run. path: its folder. info: what `run.json` says. epochs: a dict for each epoch, with
    `epoch` (from 1), `seconds` and `logs`. parts: what else was recorded, by name.

    >>> run = hornbeam.insight.read_run("runs/2026-11-26-072256-mnist")  # doctest: +SKIP
    >>> run.history["val_loss"]  # doctest: +SKIP
    """

    path: Path
    info: Mapping[str, Any]
    epochs: list[dict[str, Any]]
    parts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What the run is called."""
        return str(self.info.get("name", self.path.name))

    @property
    def history(self) -> dict[str, list[float]]:
        """Metric -> one number an epoch, NaN for epochs without it."""
        names = dict.fromkeys(name for line in self.epochs for name in line["logs"])
        return {name: [line["logs"].get(name, float("nan")) for line in self.epochs] for name in names}

    @property
    def finished(self) -> bool:
        """Whether the training came to its end; one that runs, or was killed, did not."""
        return self.info.get("status") == "finished"

    @property
    def seconds(self) -> float:
        """How long the training took, or as far as is known."""
        known = self.info.get("seconds")
        return float(known) if isinstance(known, (int, float)) else sum(e["seconds"] for e in self.epochs)

    def best(self) -> tuple[str, int, float] | None:
        """The metric that says best how good the model is, the epoch (from 1) where it was best, and its
        value there; None without numbers."""
        history = self.history
        order = [
            "val_accuracy",
            "val_loss",
            *(n for n in history if n.startswith("val_")),
            "accuracy",
            "loss",
        ]
        name = next((n for n in order if n in history), None)
        values = (
            [] if name is None else [(v, e["epoch"]) for v, e in zip(history[name], self.epochs, strict=True)]
        )
        values = [pair for pair in values if pair[0] == pair[0]]
        if name is None or not values:
            return None
        larger = larger_is_better(name)
        value, epoch = (max if larger else min)(values, key=lambda pair: pair[0])
        return name, epoch, value


def larger_is_better(name: str) -> bool:
    """Whether a metric of this name is better when it is larger."""
    words = ("acc", "auc", "precision", "recall", "f1", "f_", "iou", "r2", "top_k", "similarity")
    return any(word in name.removeprefix("val_").lower() for word in words)


def read_run(path: str | os.PathLike[str]) -> Run:
    """The run in a folder. Raises RunError if it is none, or a file of it is damaged."""
    folder = Path(path)
    if not (folder / INFO).is_file():
        raise RunError(f"{folder} is no run: there is no {INFO} in it")
    info = _read_json(folder / INFO)
    if not isinstance(info, dict):
        raise RunError(f"{folder / INFO} holds no JSON object")
    found = {
        name: _read_json(folder / f"{name}.json") for name in PARTS if (folder / f"{name}.json").is_file()
    }
    for name, value in found.items():
        if not isinstance(value, dict):
            raise RunError(f"{folder / name}.json holds no JSON object")
    history = folder / HISTORY
    return Run(folder, info, epochs_in(history) if history.is_file() else [], found)


def _read_text(path: Path) -> str:
    if path.stat().st_size > _MOST_BYTES:
        raise RunError(f"{path} has {path.stat().st_size:,} bytes: no recorded run is that large")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise RunError(f"{path} is not text: {error}") from error


def _read_json(path: Path) -> Any:
    try:
        return json.loads(_read_text(path))
    except (ValueError, RecursionError) as error:
        raise error if isinstance(error, RunError) else RunError(f"{path} is damaged: {error}") from error


def epochs_in(path: Path) -> list[dict[str, Any]]:
    """The epochs of a history. A last line that was cut off is left out."""
    text = _read_text(path)
    lines = text.split("\n")
    found: dict[int, dict[str, Any]] = {}
    for number, line in enumerate(lines[:-1], 1):
        if line.strip():
            epoch = _epoch(path, number, line)
            found[epoch["epoch"]] = epoch
    return [found[number] for number in sorted(found)]


def _epoch(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        raw = json.loads(line)
        logs = {str(name): float(value) for name, value in raw["logs"].items()}
        return {"epoch": int(raw["epoch"]), "seconds": float(raw["seconds"]), "logs": logs}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise RunError(f"{path}, line {number}, is no epoch: {line[:60]!r}") from error
