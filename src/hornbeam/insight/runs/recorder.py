"""A callback that records a training."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from hornbeam.distribution.processes import agreed
from hornbeam.engines import current_engine
from hornbeam.insight.runs.folder import append_line, drop_lines, make_folder, replace_json, write_json
from hornbeam.insight.runs.follower import RunFollower, facts_of_fit, now
from hornbeam.insight.runs.layout import HISTORY, INFO, PROGRESS
from hornbeam.insight.runs.liveness import this_process
from hornbeam.insight.runs.reading import read_run
from hornbeam.insight.runs.steering import clear_stop, stop_requested
from hornbeam.training.callbacks.base import Logs, run_of
from hornbeam.training.callbacks.log_failures import LogFailures


class RunRecorder(RunFollower):
    """Record a training run in a folder of its own, `runs/<date>-<time>-<name>/`, as plain JSON.

    Recorded are the configs of the model and of `compile`, shapes and fingerprint of the data, versions,
    machine, engine, commit, command and seeds, and the logs and seconds of each epoch. Epochs are written as
    the training proceeds, so a killed run keeps its finished epochs. `hornbeam runs` lists runs,
    `hornbeam runs compare` compares two, and `hornbeam report` writes a page about one.

    Findings of a `Doctor` among the callbacks of the same `fit` are recorded too. `add` records other
    results, such as a profile; `evaluate` evaluates test data once and records the scores. A training that
    resumes from a checkpoint continues in its folder. The attribute `path` is the folder of the run, None
    before the training begins.

    A file `stop` in the folder ends the training after the present step, with validation and the ends of
    callbacks; the page of `hornbeam watch --control` writes it. It is looked for once a second, in jobs of
    several processes once an epoch. From a checkpoint of it `fit(resume=...)` goes on.

    The command line is recorded as it was typed: do not put secrets there.

    Args:
        name: Name of the run, the model's name by default. In the folder's name all characters but letters,
            digits and "_" become dashes.
        folder: Folder of all runs, created if needed.
        explain: True to record `model.explain()` at the end.
        save_weights: True to write the weights at the end, into `final.weights.h5`.

    Example:
        >>> recorder = hornbeam.callbacks.RunRecorder("first try")
        >>> model.fit(x, y, callbacks=[recorder])  # doctest: +SKIP
        >>> recorder.add(model.profile(x, y))  # doctest: +SKIP
        >>> recorder.evaluate(x_test, y_test)  # doctest: +SKIP
        >>> hornbeam.insight.report(recorder)  # doctest: +SKIP
    """

    # The hook of batches looks at a clock: steps stay free of Python.
    chunked = True

    def __init__(
        self,
        name: str | None = None,
        folder: str | os.PathLike[str] = "runs",
        *,
        explain: bool = True,
        save_weights: bool = False,
    ) -> None:
        super().__init__(name)
        self.folder = Path(folder)
        self.explain = explain
        self.save_weights = save_weights
        self.path: Path | None = None
        self._info: dict[str, Any] = {}
        self._earlier_seconds = self._looked = 0.0
        self._epoch = 0
        self._stopped = self._looked_this_epoch = False
        self._failures = LogFailures("RunRecorder")

    def _run_name(self) -> str:
        return "" if self.path is None else self.path.name

    def on_train_begin(self, logs: Logs | None = None) -> None:
        super().on_train_begin(logs)
        self.path, self._earlier_seconds, self._stopped = None, 0.0, False
        self._failures = LogFailures("RunRecorder")
        self._looked = self._started

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch, self._looked_this_epoch = epoch, False
        super().on_epoch_begin(epoch, logs)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        if current_engine().process[1] > 1:  # their clocks differ
            if not self._looked_this_epoch:
                self._look()
        elif time.perf_counter() - self._looked >= 1 and self.path is not None:
            self._report(batch)
            self._look()

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self.save_weights:  # all processes of a job take part
            self.model.save_weights((self.path or Path()) / "final.weights.h5")
        if self.path is None:
            return
        seconds = self._earlier_seconds + time.perf_counter() - self._started
        stopped = {"stopped": "on request"} if self._stopped else {}
        with self._failures.caught(self.path):
            if self.explain and self.model.built:
                self._explain()
            self._write({"status": "finished", "seconds": round(seconds, 3), "ended": now(), **stopped})
            clear_stop(self.path)
            (self.path / PROGRESS).unlink(missing_ok=True)

    def _when_interrupted(self) -> tuple[str, str]:
        if self.path is None:
            return "", ""

        history = self.path / HISTORY
        epochs = len(history.read_text().splitlines()) if history.is_file() else 0
        return f"{epochs} epoch{'' if epochs == 1 else 's'} recorded in {self.path}", ""

    def _begin(self, epoch: int) -> None:
        """Create a folder, or continue in the one that a checkpoint names."""
        folder = self.folder / self._resumes_in if self._resumes_in else None
        if folder is not None and (folder / INFO).is_file():
            self.path = folder
            drop_lines(folder / HISTORY, epoch + 1)
            clear_stop(folder)
            run = read_run(folder, parts=())
            self._info, self._earlier_seconds = dict(run.info), sum(line["seconds"] for line in run.epochs)
            times = [*self._info.get("resumed", []), {"time": now(), "epoch": epoch + 1}]
            self._info.pop("stopped", None)
            self._write({"status": "running", "resumed": times, "process": this_process()})
            return
        self.path = make_folder(self.folder, self.name or self.model.name or "run")
        self._info = {}
        self._write(facts_of_fit(self.model, self.params, self.name or self.model.name))

    def _report(self, batch: int) -> None:
        """Write the position within the epoch, which is also a sign of life."""
        assert self.path is not None
        seconds = round(time.perf_counter() - self._epoch_started, 4)
        position = {"epoch": self._epoch + 1, "step": batch + 1, "seconds": seconds}
        with self._failures.caught(self.path):
            replace_json(self.path / PROGRESS, position)

    def _look(self) -> None:
        """Stop the training if its folder asks for it; the processes of a job stop at the same step."""
        self._looked, self._looked_this_epoch = time.perf_counter(), True
        if not agreed(self.path is None or not stop_requested(self.path)):
            self.model.stop_training = self._stopped = run_of(self.model).is_paused = True

    def _write(self, changes: dict[str, Any]) -> None:
        assert self.path is not None
        self._info.update(changes)
        write_json(self.path / INFO, self._info)

    def _write_epoch(self, line: dict[str, Any]) -> None:
        assert self.path is not None
        with self._failures.caught(self.path):
            append_line(self.path / HISTORY, line)

    def _write_part(self, part: str, values: dict[str, Any]) -> None:
        assert self.path is not None
        write_json(self.path / f"{part}.json", values)

    def _explain(self) -> None:
        from hornbeam.insight.explanations.model import explain

        self.add(explain(self.model))
