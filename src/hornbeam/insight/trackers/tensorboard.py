"""Recorded runs as files for TensorBoard."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hornbeam.insight.trackers.tracker import Tracker
from hornbeam.models import Model
from hornbeam.visualization.event_files import EventFile, library


class TensorBoardTracker(Tracker):
    """Write a run for TensorBoard, with its settings as hyperparameters.

    Metrics have the tags of `callbacks.TensorBoard`, which is the callback for a training that runs. Versions
    and machine are a text; files and models have no page in TensorBoard and are not written.

    Args:
        log_dir: Folder that gets a folder for each run.
        name: Name of the run and its folder.

    Raises:
        ImportError: With neither tensorboard nor tensorboardX.

    Example:
        >>> run = hornbeam.insight.read_run("runs/2026-11-26-072256-mnist")  # doctest: +SKIP
        >>> TensorBoardTracker("logs", run.path.name).send(run)  # doctest: +SKIP
    """

    def __init__(self, log_dir: str | os.PathLike[str] = "logs", name: str | None = None) -> None:
        super().__init__(name)
        library("TensorBoardTracker")
        self.log_dir = Path(log_dir)
        self._files: dict[str, EventFile] = {}
        self._settings: dict[str, Any] = {}

    def _file(self, folder: str) -> EventFile:
        return self._files.setdefault(folder, EventFile(self.log_dir / self.run_id / folder))

    def start(self, name: str, run_id: str | None) -> None:
        from hornbeam.insight.runs.folder import is_plain, plain_name

        self.run_id = run_id or (name if is_plain(name) else plain_name(name))
        self._settings = {}

    def log_settings(self, settings: Mapping[str, Any]) -> None:
        numbers = (bool, int, float, str)
        self._settings.update(
            {key: value if isinstance(value, numbers) else str(value) for key, value in settings.items()}
        )

    def log_facts(self, facts: Mapping[str, str]) -> None:
        rows = [f"| {name} | {text} |" for name, text in facts.items()]
        self._file("").text("environment", "\n".join(["| | |", "|---|---|", *rows]), 0)

    def log_metrics(self, metrics: Mapping[str, float], epoch: int) -> None:
        for name, value in metrics.items():
            folder = "validation" if name.startswith("val_") else "train"
            tag = name if name == "epoch_seconds" else f"epoch_{name.removeprefix('val_')}"
            self._file(folder).scalar(tag, value, epoch)

    def log_scores(self, scores: Mapping[str, float]) -> None:
        for name, value in scores.items():
            self._file("").scalar(name, value, 0)

    def log_file(self, name: str, text: str) -> None:
        pass

    def log_model(self, model: Model) -> None:
        pass

    def end(self) -> None:
        # In the folder itself: TensorBoard takes the metrics of a session from the folders below it.
        self._file("").hparams(self._settings)
        self._file("").end_hparams()
        for file in self._files.values():
            file.close()
        self._files = {}
