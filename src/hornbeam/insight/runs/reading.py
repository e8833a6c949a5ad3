"""Reading a run. All values are checked, because the files may come from anywhere."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hornbeam._internal.plain_files import open_plain
from hornbeam.errors import RunError
from hornbeam.insight.arithmetic import count_of
from hornbeam.insight.runs.layout import HISTORY, INFO, PARTS
from hornbeam.visualization.metric_curves import larger_is_better

# Far above the size of any recorded file.
_MOST_BYTES = 256 << 20


@dataclass(frozen=True, repr=False)
class Run:
    """A recorded run.

    Args:
        path: Folder of the run.
        info: Values of `run.json`.
        epochs: Dict for each epoch with `epoch` (from 1), `seconds` and `logs`.
        parts: Other recorded parts by name.

    Example:
        >>> run = hornbeam.insight.read_run("runs/2026-11-26-072256-mnist")  # doctest: +SKIP
        >>> run.history["val_loss"]  # doctest: +SKIP
    """

    path: Path
    info: Mapping[str, Any]
    epochs: list[dict[str, Any]]
    parts: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        state = "" if self.finished else ", not finished"
        return f"<Run {self.name}: {count_of(len(self.epochs), 'epoch')}{state}>"

    @property
    def name(self) -> str:
        """Name of the run."""
        return str(self.info.get("name", self.path.name))

    @property
    def history(self) -> dict[str, list[float]]:
        """One number an epoch for each metric, NaN for epochs without it."""
        names = dict.fromkeys(name for line in self.epochs for name in line["logs"])
        return {name: [line["logs"].get(name, float("nan")) for line in self.epochs] for name in names}

    @property
    def finished(self) -> bool:
        """True if the training ended in order; False for one that is running or was killed."""
        return self.info.get("status") == "finished"

    @property
    def seconds(self) -> float:
        """Time of the training, as far as it is known."""
        seconds = self.info.get("seconds")
        return float(seconds) if isinstance(seconds, (int, float)) else sum(e["seconds"] for e in self.epochs)

    def best(self) -> tuple[str, int, float] | None:
        """Return the best epoch by the most informative metric.

        Returns:
            Name of the metric, epoch (from 1) and value; None without numbers.
        """
        history = self.history
        order = [
            "val_accuracy",
            "val_loss",
            *(n for n in history if n.startswith("val_")),
            "accuracy",
            "loss",
        ]
        name = next((n for n in order if n in history), None)
        if name is None:
            return None
        pairs = zip(history[name], self.epochs, strict=True)
        values = [(value, epoch["epoch"]) for value, epoch in pairs if value == value]
        if not values:
            return None
        value, epoch = (max if larger_is_better(name) else min)(values, key=lambda pair: pair[0])
        return name, epoch, value


def read_run(path: str | os.PathLike[str], parts: Sequence[str] = PARTS) -> Run:
    """Read the run in a folder.

    Args:
        path: Folder that `callbacks.RunRecorder` wrote.
        parts: Names of the parts to read besides the facts and epochs, by default all.

    Returns:
        The run.

    Raises:
        RunError: If the folder is not a run, or a file of it is damaged.
    """
    folder = Path(path)
    if not (folder / INFO).is_file():
        raise RunError(f"{folder} is not a run: it has no {INFO}")
    info = _read_json(folder / INFO)
    if not isinstance(info, dict):
        raise RunError(f"{folder / INFO} does not hold a JSON object")
    files = {name: folder / f"{name}.json" for name in parts}
    values = {name: _read_json(file) for name, file in files.items() if file.is_file()}
    for name, value in values.items():
        if not isinstance(value, dict):
            raise RunError(f"{files[name]} does not hold a JSON object")
    history = folder / HISTORY
    return Run(folder, info, epochs_in(history) if history.is_file() else [], values)


def _read_text(path: Path) -> str:
    try:
        with open_plain(path) as file:
            content = file.read(_MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:
            raise RunError(f"{path} has more than {_MOST_BYTES:,} bytes, which no recorded run has")
        return content.decode()
    except OSError as error:
        raise RunError(str(error)) from error
    except UnicodeDecodeError as error:
        raise RunError(f"{path} is not text: {error}") from error


def _parse(text: str) -> Any:
    """Parse JSON. Raises ValueError, too, for half of a surrogate pair, which no page can hold."""
    value = json.loads(text)
    if "\\ud" in text.lower():
        json.dumps(value, ensure_ascii=False).encode()
    return value


def _read_json(path: Path) -> Any:
    try:
        return _parse(_read_text(path))
    except (ValueError, RecursionError) as error:
        raise error if isinstance(error, RunError) else RunError(f"{path} is damaged: {error}") from error


def epochs_in(path: Path) -> list[dict[str, Any]]:
    """Return the epochs of a history, without a last line that was cut off."""
    epochs: dict[int, dict[str, Any]] = {}
    for number, line in enumerate(_read_text(path).split("\n")[:-1], 1):
        if line.strip():
            epoch = _epoch(path, number, line)
            epochs[epoch["epoch"]] = epoch
    return [epochs[number] for number in sorted(epochs)]


def _epoch(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        values = _parse(line)
        logs = {str(name): float(value) for name, value in values["logs"].items()}
        return {"epoch": int(values["epoch"]), "seconds": float(values["seconds"]), "logs": logs}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise RunError(f"{path}, line {number}, is not an epoch: {line[:60]!r}") from error
