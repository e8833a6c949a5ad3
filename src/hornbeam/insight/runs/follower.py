"""The base of callbacks that follow a training as a run."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hornbeam._internal.row_hash import evenly_spaced, fingerprint
from hornbeam.diagnostics.doctor_callback import Doctor
from hornbeam.distribution.processes import is_first
from hornbeam.insight.runs.environment import command, environment
from hornbeam.insight.runs.folder import is_plain
from hornbeam.insight.runs.layout import PARTS
from hornbeam.insight.runs.liveness import this_process
from hornbeam.insight.runs.parts import of_findings, of_model, part_of
from hornbeam.random import chosen_seed
from hornbeam.training.callbacks.base import Callback, Logs, current_run, run_of

if TYPE_CHECKING:
    from hornbeam._internal.typing import ArrayLike
    from hornbeam.data import Dataset
    from hornbeam.data.inspection.inspect import DataReport
    from hornbeam.data.splits.sealed import Sealed
    from hornbeam.diagnostics.predictions import Predictions
    from hornbeam.evaluation import Evaluation
    from hornbeam.evaluation.confusion_matrix import Confusion
    from hornbeam.evaluation.top_errors import Mistakes
    from hornbeam.models import Model
    from hornbeam.training.profile import Profile
    from hornbeam.visualization.explanation import Explanation


class RunFollower(Callback):
    """Base class of callbacks that follow a training as a run, and pass on what is known of it.

    Subclasses say where to: `_begin`, `_write_epoch` and `_write_part`.

    Args:
        name: Name of the run, the model's name by default.
    """

    # After all callbacks that change logs, the model or themselves at the end of an epoch.
    comes_last = True

    def __init__(self, name: str | None = None) -> None:
        super().__init__()
        if name is not None and not isinstance(name, str):
            raise TypeError(f"{type(self).__name__}: name must be a string, got {name!r}")
        self.name = name
        self._follows = self._described = False
        # Name of the run in which a resumed training continues.
        self._resumes_in: str | None = None
        self._started = self._epoch_started = 0.0

    # -- for subclasses ----------------------------------------------------------------------------

    def _begin(self, epoch: int) -> None:
        """Begin a run before an epoch (from 0), or continue in `_resumes_in`."""
        raise NotImplementedError

    def _write_epoch(self, line: dict[str, Any]) -> None:
        """Pass on an epoch: `epoch` (from 1), `seconds` and `logs`."""
        raise NotImplementedError

    def _write_part(self, part: str, values: dict[str, Any]) -> None:
        """Pass on a part, which replaces an earlier one of its name."""
        raise NotImplementedError

    def _run_name(self) -> str:
        """Return the name of the run in which a resumed training is to continue."""
        raise NotImplementedError

    # -- resuming ----------------------------------------------------------------------------------

    def get_state(self) -> dict[str, Any]:
        return {"run": self._run_name()}

    def set_state(self, state: dict[str, Any]) -> None:
        name = state.get("run")
        self._resumes_in = name if is_plain(name) else None

    # -- hooks -------------------------------------------------------------------------------------

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._follows = self._described = False
        self._resumes_in = None
        self._started = time.perf_counter()

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch_started = time.perf_counter()
        if not self._follows and is_first():
            self._begin(epoch)
            self._follows = True
            self._describe()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if not self._follows:
            return
        self._describe()
        seconds = time.perf_counter() - self._epoch_started
        numbers = {name: float(value) for name, value in (logs or {}).items()}
        self._write_epoch({"epoch": epoch + 1, "seconds": round(seconds, 4), "logs": numbers})
        self._keep_findings()

    # -- parts -------------------------------------------------------------------------------------

    def add(self, result: Explanation | Profile | DataReport | Evaluation | Confusion | Mistakes) -> None:
        """Record a result; a later one of its kind replaces it.

        Args:
            result: Result of `model.profile`, `model.explain`, `data.look` or `hornbeam.evaluation`.

        Raises:
            RuntimeError: If no training has begun.
            TypeError: If runs do not hold such a result.
        """
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
            raise RuntimeError(f"no model yet: {self._hint()}")
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
        if part not in PARTS:
            raise ValueError(f"a run has no part {part!r}; its parts are {', '.join(PARTS)}")
        if not is_first():
            return
        if not self._follows:
            raise RuntimeError(f"no run yet: {self._hint()}")
        self._write_part(part, values)

    def _hint(self) -> str:
        return f"give the {type(self).__name__} to fit(callbacks=...) first"

    def _describe(self) -> None:
        """Record the model, as soon as it is built."""
        if self._described or not self.model.built:
            return

        self.keep("model", of_model(self.model))
        self._described = True

    def _keep_findings(self) -> None:
        run = current_run(self.model)
        others = run.callbacks.callbacks if run is not None else ()
        findings = [callback.findings for callback in others if isinstance(callback, Doctor)]
        if findings:
            self.keep("doctor", of_findings([finding for each in findings for finding in each]))


def facts_of_fit(model: Model, params: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the facts that are known when a training begins."""
    run = run_of(model)
    return {
        "format": 2,
        "name": name,
        "status": "running",
        "started": now(),
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


def now() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S%z")
