"""A callback that keeps what a training was."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hornbeam.diagnostics.doctor_callback import Doctor
from hornbeam.distribution.processes import is_first
from hornbeam.training.callbacks.base import Callback, Logs

if TYPE_CHECKING:
    from hornbeam.diagnostics.predictions import Predictions


class RunRecorder(Callback):
    """Records a training in a folder of its own, `runs/<date>-<time>-<name>/`, as plain JSON.

    Kept are the configs of the model and of `compile`, the data's shapes and fingerprint, versions, machine,
    engine, commit and command, seeds, and for each epoch its logs and seconds, written as the training goes:
    a run that is killed shows the epochs that it made. `hornbeam runs` lists runs, `hornbeam runs compare`
    says how two differ, and `hornbeam report` makes a page of one.

    name: what the run is called, the model's name by default; in the folder's name all but letters, digits
    and "_" are dashes. folder: where runs are, made if need be. explain: keep `model.explain()`, at the end.
    save_weights: keep the weights at the end too, in `final.weights.h5`. path: the folder of the run that is
    recorded, None before the training begins.

    A `Doctor` among the callbacks of the same `fit` is asked for its findings. `add` keeps what else is
    known: a look at the data, a profile; `evaluate` looks at test data, once, and keeps what it finds. A
    training that goes on from a checkpoint goes on in its folder. The command line is kept as it was given:
    do not put secrets there.

    >>> recorder = hornbeam.callbacks.RunRecorder("first try")
    >>> model.fit(x, y, callbacks=[recorder])  # doctest: +SKIP
    >>> recorder.add(model.profile(x, y))  # doctest: +SKIP
    >>> recorder.evaluate(x_test, y_test)  # doctest: +SKIP
    >>> hornbeam.insight.report(recorder)  # doctest: +SKIP
    """

    # Behind all that change the logs, the model or themselves at the end of an epoch.
    comes_last = True

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
            raise TypeError(f"RunRecorder: name must be a text, got {name!r}")
        self.name = name
        self.folder = Path(folder)
        self.explain = explain
        self.save_weights = save_weights
        self.path: Path | None = None
        self._goes_on_in: str | None = None
        self._info: dict[str, Any] = {}
        self._before = 0.0
        self._started = self._epoch_started = 0.0
        self._described = False

    # -- a training that goes on -----------------------------------------------------------------------------

    def get_state(self) -> dict[str, Any]:
        return {"run": "" if self.path is None else self.path.name}

    def set_state(self, state: dict[str, Any]) -> None:
        from hornbeam.insight.runs.folder import is_plain

        name = state.get("run")
        self._goes_on_in = name if is_plain(name) else None

    # -- hooks -----------------------------------------------------------------------------------------------

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.path, self._goes_on_in, self._described, self._before = None, None, False, 0.0
        self._started = time.perf_counter()

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch_started = time.perf_counter()
        if self.path is None and is_first():
            self._open(epoch)
            self._describe()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self.path is None:
            return
        from hornbeam.insight.runs.folder import HISTORY, add_line

        self._describe()
        seconds = time.perf_counter() - self._epoch_started
        numbers = {name: float(value) for name, value in (logs or {}).items()}
        add_line(self.path / HISTORY, {"epoch": epoch + 1, "seconds": round(seconds, 4), "logs": numbers})
        self._keep_findings()

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self.save_weights:  # all processes of a job take part
            self.model.save_weights((self.path or Path()) / "final.weights.h5")
        if self.path is None:
            return
        seconds = self._before + time.perf_counter() - self._started
        if self.explain and self.model.built:
            self._explain()
        self._write({"status": "finished", "seconds": round(seconds, 3), "ended": _now()})

    # -- what is kept ----------------------------------------------------------------------------------------

    def add(self, thing: Any) -> None:
        """Keep one more result in the run: `model.profile(...)`, `data.look(...)`, `model.explain()` or
        `evaluation.evaluate(...)`; a later one of its kind takes its place.

        Raises RuntimeError before a training has begun, TypeError for what runs do not hold.
        """
        from hornbeam.insight.runs.parts import part_of

        name, values = part_of(thing)
        self.keep(name, values)

    def evaluate(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        batch_size: int | None = None,
        *,
        names: Sequence[str] | None = None,
    ) -> Any:
        """Evaluate the model that was trained, in one look at the data, and keep what is found: scores with
        intervals and, for a classifier, each class, confusions and the surest mistakes.

        x, y, sample_weight, batch_size: as for `hornbeam.evaluation.evaluate`, or sealed data. names: of the
        classes. Returns its `Evaluation`.

        Raises RuntimeError before a training has begun, and what `evaluation.evaluate` raises.
        """
        from hornbeam.diagnostics.predictions import predictions

        if self.model is None:
            raise RuntimeError("there is no model yet: give the RunRecorder to fit(callbacks=...) first")
        found = predictions(self.model, x, y, sample_weight, batch_size, keep_x=True)
        return self.judge(found, names)

    def judge(self, found: Predictions, names: Sequence[str] | None = None) -> Any:
        """As `evaluate`, of predictions that were made before (`hornbeam.diagnostics.predictions`)."""
        from hornbeam.evaluation.confusion_matrix import class_names, confusion_of
        from hornbeam.evaluation.estimates import evaluation_of
        from hornbeam.evaluation.top_errors import mistakes_of
        from hornbeam.insight.runs.parts import of_result

        result, labels = evaluation_of(self.model, found)
        named = None if labels is None else class_names(names, labels.classes)
        self.keep("evaluation", {**of_result(result), "names": named})
        if labels is not None:
            self.add(confusion_of(labels, named))
            self.add(mistakes_of(found, labels, names=named))
        return result

    def keep(self, part: str, values: dict[str, Any]) -> None:
        """Keep plain values as a part of the run, one of `hornbeam.insight.runs.folder.PARTS`.

        Raises ValueError for another name, RuntimeError before a training has begun.
        """
        from hornbeam.insight.runs.folder import PARTS, write_json

        if part not in PARTS:
            raise ValueError(f"a run has no part {part!r}, it has {', '.join(PARTS)}")
        if not is_first():
            return
        if self.path is None:
            raise RuntimeError("there is no run yet: give the RunRecorder to fit(callbacks=...) first")
        write_json(self.path / f"{part}.json", values)

    def _open(self, epoch: int) -> None:
        """Begin a folder, or go on in the one that a checkpoint names."""
        from hornbeam.insight.runs.folder import HISTORY, INFO, keep_lines, make_folder
        from hornbeam.insight.runs.reading import read_run

        before = self.folder / self._goes_on_in if self._goes_on_in else None
        if before is not None and (before / INFO).is_file():
            self.path = before
            keep_lines(before / HISTORY, epoch + 1)
            run = read_run(before)
            self._info, self._before = dict(run.info), sum(line["seconds"] for line in run.epochs)
            times = [*self._info.get("resumed", []), {"time": _now(), "epoch": epoch + 1}]
            self._write({"status": "running", "resumed": times})
            return
        self.path = make_folder(self.folder, self.name or self.model.name or "run")
        self._info = {}
        self._write(_facts(self.model, self.params, self.name or self.model.name))

    def _write(self, changes: dict[str, Any]) -> None:
        from hornbeam.insight.runs.folder import INFO, write_json

        assert self.path is not None
        self._info.update(changes)
        write_json(self.path / INFO, self._info)

    def _describe(self) -> None:
        """Keep what the model is, as soon as it is built."""
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
        found = [callback.findings for callback in others if isinstance(callback, Doctor)]
        if found:
            self.keep("doctor", of_findings([finding for each in found for finding in each]))


def _facts(model: Any, params: dict[str, Any], name: str) -> dict[str, Any]:
    """What is known when a training begins."""
    from hornbeam.insight.runs.environment import command, environment
    from hornbeam.random import chosen_seed

    run = model._training_run
    return {
        "format": 1,
        "name": name,
        "status": "running",
        "started": _now(),
        "command": command(),
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
    """Shapes and dtypes of what a training reads, and for arrays in memory their fingerprint."""
    if data is None:
        return None
    from hornbeam._internal.row_hash import evenly_spaced, fingerprint

    arrays = (data.table if data.in_memory else data.first_batch()).leaves
    found: dict[str, Any] = {
        "samples": data.samples,
        "batches": data.steps,
        "arrays": [f"{array.dtype} {_shape(array.shape[1:])}" for array in arrays],
    }
    if data.in_memory:
        rows = evenly_spaced(data.samples) if data.rows is None else data.rows[evenly_spaced(data.samples)]
        found["fingerprint"] = fingerprint([array[rows] for array in arrays])
    return found


def _shape(sizes: tuple[int, ...]) -> str:
    return "×".join(map(str, sizes)) or "scalar"


def _now() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S%z")
