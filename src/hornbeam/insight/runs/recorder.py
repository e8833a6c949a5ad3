"""A callback that records a training."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hornbeam.diagnostics.doctor_callback import Doctor
from hornbeam.distribution.processes import agreed, is_first
from hornbeam.engines import current_engine
from hornbeam.training.callbacks.base import Callback, Logs, run_of

if TYPE_CHECKING:
    from hornbeam._internal.typing import ArrayLike
    from hornbeam.data import Dataset
    from hornbeam.data.inspection.inspect import DataReport
    from hornbeam.data.splits.sealed import Sealed
    from hornbeam.diagnostics.predictions import Predictions
    from hornbeam.evaluation import Evaluation
    from hornbeam.evaluation.confusion_matrix import Confusion
    from hornbeam.evaluation.top_errors import Mistakes
    from hornbeam.insight.explanations.explanation import Explanation
    from hornbeam.models import Model
    from hornbeam.training.profile import Profile


class RunRecorder(Callback):
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
    several processes once an epoch.

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

    # After all callbacks that change logs, the model or themselves at the end of an epoch.
    comes_last = True
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
        super().__init__()
        if name is not None and not isinstance(name, str):
            raise TypeError(f"RunRecorder: name must be a string, got {name!r}")
        self.name = name
        self.folder = Path(folder)
        self.explain = explain
        self.save_weights = save_weights
        self.path: Path | None = None
        self._resumes_in: str | None = None
        self._info: dict[str, Any] = {}
        self._earlier_seconds = 0.0
        self._started = self._epoch_started = self._looked = 0.0
        self._epoch = 0
        self._described = self._stopped = self._looked_this_epoch = False

    # -- resuming -----------------------------------------------------------------------------

    def get_state(self) -> dict[str, Any]:
        return {"run": "" if self.path is None else self.path.name}

    def set_state(self, state: dict[str, Any]) -> None:
        from hornbeam.insight.runs.folder import is_plain

        name = state.get("run")
        self._resumes_in = name if is_plain(name) else None

    # -- hooks -----------------------------------------------------------------------------------------------

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.path, self._resumes_in, self._described, self._earlier_seconds = None, None, False, 0.0
        self._stopped = False
        self._started = self._looked = time.perf_counter()

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch, self._looked_this_epoch = epoch, False
        self._epoch_started = time.perf_counter()
        if self.path is None and is_first():
            self._open(epoch)
            self._describe()

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        if current_engine().process[1] > 1:  # their clocks differ
            if not self._looked_this_epoch:
                self._look()
        elif time.perf_counter() - self._looked >= 1 and self.path is not None:
            self._report(batch)
            self._look()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self.path is None:
            return
        from hornbeam.insight.runs.folder import append_line
        from hornbeam.insight.runs.layout import HISTORY

        self._describe()
        seconds = time.perf_counter() - self._epoch_started
        numbers = {name: float(value) for name, value in (logs or {}).items()}
        append_line(self.path / HISTORY, {"epoch": epoch + 1, "seconds": round(seconds, 4), "logs": numbers})
        self._keep_findings()

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self.save_weights:  # all processes of a job take part
            self.model.save_weights((self.path or Path()) / "final.weights.h5")
        if self.path is None:
            return
        seconds = self._earlier_seconds + time.perf_counter() - self._started
        if self.explain and self.model.built:
            self._explain()
        from hornbeam.insight.runs.layout import PROGRESS
        from hornbeam.insight.runs.steering import clear_stop

        stopped = {"stopped": "on request"} if self._stopped else {}
        self._write({"status": "finished", "seconds": round(seconds, 3), "ended": _now(), **stopped})
        clear_stop(self.path)
        (self.path / PROGRESS).unlink(missing_ok=True)

    def _when_interrupted(self) -> tuple[str, str]:
        if self.path is None:
            return "", ""
        from hornbeam.insight.runs.layout import HISTORY

        history = self.path / HISTORY
        epochs = len(history.read_text().splitlines()) if history.is_file() else 0
        return f"{epochs} epoch{'' if epochs == 1 else 's'} recorded in {self.path}", ""

    # -- parts -----------------------------------------------------------------------------------------------

    def add(self, result: Explanation | Profile | DataReport | Evaluation | Confusion | Mistakes) -> None:
        """Record a result; a later one of its kind replaces it.

        Args:
            result: Result of `model.profile`, `model.explain`, `data.look` or `hornbeam.evaluation`.

        Raises:
            RuntimeError: If no training has begun.
            TypeError: If runs do not hold such a result.
        """
        from hornbeam.insight.runs.parts import part_of

        name, values = part_of(result)
        self.keep(name, values)

    def evaluate(
        self,
        x: ArrayLike | Dataset | Sealed,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        batch_size: int | None = None,
        *,
        names: Sequence[str] | None = None,
    ) -> Evaluation:
        """Evaluate the trained model once, and record the scores with intervals.

        For classifiers the scores of each class, confusions and the most confident errors are recorded too.

        Args:
            x: Inputs as for `hornbeam.evaluation.evaluate`, or sealed data.
            y: Targets.
            sample_weight: Weights of samples.
            batch_size: Samples in a batch.
            names: Names of the classes.

        Returns:
            The `hornbeam.evaluation.Evaluation`.

        Raises:
            RuntimeError: If no training has begun.
        """
        from hornbeam.diagnostics.predictions import predictions

        if self.model is None:
            raise RuntimeError("no model yet: give the RunRecorder to fit(callbacks=...) first")
        return self.record_predictions(
            predictions(self.model, x, y, sample_weight, batch_size, keep_x=True), names
        )

    def record_predictions(self, predicted: Predictions, names: Sequence[str] | None = None) -> Evaluation:
        """Record scores of predictions that were computed before, as `evaluate`.

        Args:
            predicted: `hornbeam.diagnostics.predictions.Predictions` with their samples.
            names: Names of the classes.

        Returns:
            The `hornbeam.evaluation.Evaluation`.
        """
        from hornbeam.evaluation.confusion_matrix import class_names, confusion_of
        from hornbeam.evaluation.estimates import evaluation_of
        from hornbeam.evaluation.top_errors import mistakes_of

        result, labels = evaluation_of(self.model, predicted)
        class_labels = None if labels is None else class_names(names, labels.classes)
        self.keep("evaluation", {**result.as_dict(), "names": class_labels})
        if labels is not None:
            self.add(confusion_of(labels, class_labels))
            self.add(mistakes_of(predicted, labels, names=class_labels))
        return result

    def keep(self, part: str, values: dict[str, Any]) -> None:
        """Record plain values.

        Args:
            part: Name of the part, one of `hornbeam.insight.runs.layout.PARTS`.
            values: Values that JSON holds.

        Raises:
            ValueError: If runs have no part of this name.
            RuntimeError: If no training has begun.
        """
        from hornbeam.insight.runs.folder import write_json
        from hornbeam.insight.runs.layout import PARTS

        if part not in PARTS:
            raise ValueError(f"a run has no part {part!r}; its parts are {', '.join(PARTS)}")
        if not is_first():
            return
        if self.path is None:
            raise RuntimeError("no run yet: give the RunRecorder to fit(callbacks=...) first")
        write_json(self.path / f"{part}.json", values)

    def _open(self, epoch: int) -> None:
        """Create a folder, or continue in the one that a checkpoint names."""
        from hornbeam.insight.runs.folder import drop_lines, make_folder
        from hornbeam.insight.runs.layout import HISTORY, INFO
        from hornbeam.insight.runs.liveness import this_process
        from hornbeam.insight.runs.reading import read_run
        from hornbeam.insight.runs.steering import clear_stop

        folder = self.folder / self._resumes_in if self._resumes_in else None
        if folder is not None and (folder / INFO).is_file():
            self.path = folder
            drop_lines(folder / HISTORY, epoch + 1)
            clear_stop(folder)
            run = read_run(folder, parts=())
            self._info, self._earlier_seconds = dict(run.info), sum(line["seconds"] for line in run.epochs)
            times = [*self._info.get("resumed", []), {"time": _now(), "epoch": epoch + 1}]
            self._info.pop("stopped", None)
            self._write({"status": "running", "resumed": times, "process": this_process()})
            return
        self.path = make_folder(self.folder, self.name or self.model.name or "run")
        self._info = {}
        self._write(_facts(self.model, self.params, self.name or self.model.name))

    def _report(self, batch: int) -> None:
        """Write the position within the epoch, which is also a sign of life."""
        from hornbeam.insight.runs.folder import replace_json
        from hornbeam.insight.runs.layout import PROGRESS

        assert self.path is not None
        seconds = round(time.perf_counter() - self._epoch_started, 4)
        position = {"epoch": self._epoch + 1, "step": batch + 1, "seconds": seconds}
        replace_json(self.path / PROGRESS, position)

    def _look(self) -> None:
        """Stop the training if its folder asks for it; the processes of a job stop at the same step."""
        from hornbeam.insight.runs.steering import stop_requested

        self._looked, self._looked_this_epoch = time.perf_counter(), True
        if not agreed(self.path is None or not stop_requested(self.path)):
            self.model.stop_training = self._stopped = True

    def _write(self, changes: dict[str, Any]) -> None:
        from hornbeam.insight.runs.folder import write_json
        from hornbeam.insight.runs.layout import INFO

        assert self.path is not None
        self._info.update(changes)
        write_json(self.path / INFO, self._info)

    def _describe(self) -> None:
        """Record the model, as soon as it is built."""
        if self._described or not self.model.built:
            return
        from hornbeam.insight.runs.parts import of_model

        self.keep("model", of_model(self.model))
        self._described = True

    def _explain(self) -> None:
        from hornbeam.insight.explanations.model import explain

        self.add(explain(self.model))

    def _keep_findings(self) -> None:
        from hornbeam.insight.runs.parts import of_findings

        run = self.model._training_run
        others = run.callbacks.callbacks if run is not None else ()
        findings = [callback.findings for callback in others if isinstance(callback, Doctor)]
        if findings:
            self.keep("doctor", of_findings([finding for each in findings for finding in each]))


def _facts(model: Model, params: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the facts that are known when a training begins."""
    from hornbeam.insight.runs.environment import command, environment
    from hornbeam.insight.runs.liveness import this_process
    from hornbeam.random import chosen_seed

    run = run_of(model)
    return {
        "format": 2,
        "name": name,
        "status": "running",
        "started": _now(),
        "command": command(),
        "process": this_process(),
        "seed": chosen_seed(),
        "fit": {
            "epochs": params.get("epochs"),
            "updates_per_epoch": params.get("steps"),
            "batch_size": run.data.batch_size,
        },
        "data": {"training": _data(run.data), "validation": _data(run.validation)},
        "environment": environment(),
    }


def _data(data: Any) -> dict[str, Any] | None:
    """Return shapes and dtypes of data, and the fingerprint of arrays in memory."""
    if data is None:
        return None
    from hornbeam._internal.row_hash import evenly_spaced, fingerprint

    arrays = (data.table if data.in_memory else data.first_batch()).leaves
    facts: dict[str, Any] = {
        "samples": data.samples,
        "batches": data.steps,
        "arrays": [f"{array.dtype} {_shape(array.shape[1:])}" for array in arrays],
    }
    if data.in_memory:
        rows = evenly_spaced(data.samples) if data.rows is None else data.rows[evenly_spaced(data.samples)]
        facts["fingerprint"] = fingerprint([array[rows] for array in arrays])
    return facts


def _shape(sizes: tuple[int, ...]) -> str:
    return "×".join(map(str, sizes)) or "scalar"


def _now() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S%z")
