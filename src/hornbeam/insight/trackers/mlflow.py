"""Runs in MLflow (the extra `mlflow`)."""

from __future__ import annotations

import atexit
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from hornbeam._internal.warn import warn_user
from hornbeam.insight.trackers.tracker import Tracker
from hornbeam.models import Model
from hornbeam.training.callbacks.added import add_to_every_fit, remove_from_every_fit
from hornbeam.training.callbacks.base import Logs, run_of

# MLflow's client waits for minutes by default; a training must not.
_RETRIES = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}
_PATIENCE = {**_RETRIES, "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}
_MOST_CHARACTERS, _MOST_AT_ONCE = 6000, 100


class MlflowTracker(Tracker):
    """Send a training to MLflow.

    Settings are parameters; versions, machine and commit are tags; metrics have the names of the logs, and
    epochs from 0 as steps. Scores of `evaluate` are metrics with their intervals. `model_summary.txt` and the
    parts that `RunRecorder` would write are artifacts.

    The active run of MLflow is used, if one exists, and left open. Otherwise each training begins its own, in
    the experiment of `mlflow.set_experiment`, and ends it; what the end of the process cuts off is marked as
    killed. A server gets 10 s to answer and one retry, unless the environment variables
    MLFLOW_HTTP_REQUEST_TIMEOUT and MLFLOW_HTTP_REQUEST_MAX_RETRIES say else. See `Tracker` for failures.

    Args:
        experiment: Name of the experiment, created if needed; by default the current one.
        name: Name of the run, the model's name by default.
        save_model: Log the trained model, for `hornbeam.mlflow.load_model` and `mlflow.pyfunc`.
        registered_model_name: With `save_model`, its name in the registry of models.

    Raises:
        ImportError: Without mlflow.

    Example:
        >>> tracker = hornbeam.callbacks.MlflowTracker("digits", save_model=True)  # doctest: +SKIP
        >>> model.fit(x, y, epochs=5, callbacks=[tracker])  # doctest: +SKIP

    Source: https://mlflow.org/docs/latest.
    """

    def __init__(
        self,
        experiment: str | None = None,
        name: str | None = None,
        *,
        save_model: bool = False,
        registered_model_name: str | None = None,
    ) -> None:
        super().__init__(name, save_model=save_model)
        from hornbeam.insight.trackers.mlflow_model import library

        self._library = library()
        self.experiment = experiment
        self.registered_model_name = registered_model_name
        self._client: Any = None
        # The run that this callback began and has not ended.
        self._open = ""

    def start(self, name: str, run_id: str | None) -> None:
        if self._open:  # an error ended the training before
            self._abandon()
        with _patience():
            self._client = self._library.MlflowClient()
            active = self._library.active_run()
            if active is not None:
                self.run_id = active.info.run_id
                return
            if run_id is None:
                run_id = self._library.start_run(
                    experiment_id=self._experiment_id(), run_name=name
                ).info.run_id
                # Other code must not log to it by accident, as after an error in a notebook.
                self._library.end_run("KILLED")
            self._client.update_run(run_id, status="RUNNING")
        self.run_id = self._open = run_id
        atexit.register(self._abandon)

    def _experiment_id(self) -> str | None:
        if self.experiment is None:
            return None
        known = self._client.get_experiment_by_name(self.experiment)
        return str(self._client.create_experiment(self.experiment) if known is None else known.experiment_id)

    def log_settings(self, settings: Mapping[str, Any]) -> None:
        from mlflow.entities import Param

        texts = {_plain_key(name): str(value)[:_MOST_CHARACTERS] for name, value in settings.items()}
        with _patience():
            # A parameter cannot change: those of a training that goes on, or of an earlier one in the same
            # active run, stay.
            known = self._client.get_run(self.run_id).data.params
            new = [Param(name, text) for name, text in texts.items() if name not in known]
            for begin in range(0, len(new), _MOST_AT_ONCE):
                self._client.log_batch(self.run_id, params=new[begin : begin + _MOST_AT_ONCE])

    def log_facts(self, facts: Mapping[str, str]) -> None:
        from mlflow.entities import RunTag

        tags = [RunTag(_plain_key(name), text[:_MOST_CHARACTERS]) for name, text in facts.items()]
        if "commit" in facts:
            tags.append(RunTag("mlflow.source.git.commit", facts["commit"]))
        with _patience():
            self._client.log_batch(self.run_id, tags=tags)

    def log_metrics(self, metrics: Mapping[str, float], epoch: int) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        values = [Metric(_plain_key(name), value, now, epoch) for name, value in metrics.items()]
        with _patience():
            self._client.log_batch(self.run_id, metrics=values)

    def log_scores(self, scores: Mapping[str, float]) -> None:
        self.log_metrics(scores, 0)

    def log_file(self, name: str, text: str) -> None:
        with _patience():
            self._client.log_text(self.run_id, text, name)

    def log_model(self, model: Model) -> None:
        from hornbeam.insight.trackers.mlflow_model import log_model

        with _patience(_RETRIES):  # a large file may take long
            log_model(model, run_id=self.run_id, registered_model_name=self.registered_model_name)

    def end(self) -> None:
        if self._open:
            self._terminate("FINISHED")

    def _terminate(self, status: str) -> None:
        with _patience():
            self._client.set_terminated(self._open, status)
        self._open = ""
        atexit.unregister(self._abandon)

    def _abandon(self) -> None:
        """Mark the run of a training that an error or the end of the process cut off."""
        try:
            self._terminate("KILLED")
        except Exception as error:
            warn_user(f"MlflowTracker could not end run {self._open}: {error}")


class MlflowAutologger(MlflowTracker):
    """The tracker of `autolog`, which leaves a training to a tracker that its `fit` was given."""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        others = run_of(self.model).callbacks.callbacks
        if not any(isinstance(other, MlflowTracker) and other is not self for other in others):
            super().on_epoch_begin(epoch, logs)


def autolog(
    *, log_models: bool = True, registered_model_name: str | None = None, disable: bool = False
) -> None:
    """Send each `fit` that this thread begins to MLflow, as by a `callbacks.MlflowTracker`.

    Args:
        log_models: Log each trained model.
        registered_model_name: Name of the models in the registry.
        disable: End it.

    Raises:
        ImportError: Without mlflow.

    Example:
        >>> hornbeam.mlflow.autolog()  # doctest: +SKIP
        >>> model.fit(x, y, epochs=5)  # doctest: +SKIP
    """
    remove_from_every_fit(MlflowAutologger)
    if not disable:
        add_to_every_fit(MlflowAutologger(save_model=log_models, registered_model_name=registered_model_name))


def _plain_key(name: str) -> str:
    """Return a name with the characters that MLflow allows."""
    return "".join(letter if letter.isalnum() or letter in "_-. :/" else "_" for letter in name)[:250]


@contextmanager
def _patience(limits: Mapping[str, str] = _PATIENCE) -> Iterator[None]:
    """Shorten the waits of MLflow's client, where the user has not set them."""
    ours = {name: value for name, value in limits.items() if name not in os.environ}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name in ours:
            os.environ.pop(name, None)
