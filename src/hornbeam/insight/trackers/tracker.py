"""The base of callbacks that send a training to a tracker."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from hornbeam._internal.warn import warn_user
from hornbeam.engines import current_engine
from hornbeam.insight.runs.folder import plain
from hornbeam.insight.runs.follower import RunFollower, facts_of_fit
from hornbeam.insight.runs.reading import Run
from hornbeam.insight.runs.settings import facts_of_machine, scores_of, settings_of_fit, settings_of_model
from hornbeam.models import Model
from hornbeam.training.callbacks.base import Logs

# A call that sends one record: a method and its arguments.
_Call = tuple[Callable[..., None], tuple[Any, ...]]


class Tracker(RunFollower):
    """Base class of callbacks that send a training to a tracker.

    Sent are the settings of `fit` and `compile`, the size of the model, shapes and fingerprints of the data,
    versions, machine, engine, commit and command; the metrics of each epoch; and what `add` and `evaluate`
    get, which may contain samples of images. These are the facts that `RunRecorder` writes to files.

    A tracker that fails does not stop the training. There is one warning; records are kept, and sent when the
    training ends.

    For another tracker override the methods `start`, `log_settings`, `log_facts`, `log_metrics`,
    `log_scores`, `log_file`, `log_model` and `end`, which may raise any error.

    Args:
        name: Name of the run, the model's name by default.
        save_model: Send the trained model too, which needs a training in one process.
    """

    def __init__(self, name: str | None = None, *, save_model: bool = False) -> None:
        super().__init__(name)
        self.save_model = save_model
        # Identifies the run to the tracker, once it has begun.
        self.run_id = ""
        self._pending: deque[_Call] = deque()
        self._failed = False

    # -- for subclasses ----------------------------------------------------------------------------

    def start(self, name: str, run_id: str | None) -> None:
        """Begin a run and set `run_id`.

        Args:
            name: Name of the run.
            run_id: Run of this tracker that goes on, None for a new one.
        """
        raise NotImplementedError

    def log_settings(self, settings: Mapping[str, Any]) -> None:
        """Send settings; called once for `fit` and once for the model.

        Args:
            settings: Numbers, texts and lists by name, such as `optimizer.learning_rate`.
        """
        raise NotImplementedError

    def log_facts(self, facts: Mapping[str, str]) -> None:
        """Send versions, machine, engine, commit and command.

        Args:
            facts: Texts by name.
        """
        raise NotImplementedError

    def log_metrics(self, metrics: Mapping[str, float], epoch: int) -> None:
        """Send the metrics of an epoch, and its seconds as `epoch_seconds`.

        Args:
            metrics: Numbers by name.
            epoch: Number of the epoch, from 0.
        """
        raise NotImplementedError

    def log_scores(self, scores: Mapping[str, float]) -> None:
        """Send the scores of an evaluation, such as `test_accuracy` with `test_accuracy_low` and `_high`.

        Args:
            scores: Numbers by name.
        """
        raise NotImplementedError

    def log_file(self, name: str, text: str) -> None:
        """Send a file.

        Args:
            name: Name of the file.
            text: Its text.
        """
        raise NotImplementedError

    def log_model(self, model: Model) -> None:
        """Send the model.

        Args:
            model: The trained model.
        """
        raise NotImplementedError

    def end(self) -> None:
        """End the run in order. Records may follow, such as scores."""
        raise NotImplementedError

    def finish(self) -> None:
        """Release what the tracker holds for the run; nothing may follow."""

    # -- following a training ----------------------------------------------------------------------

    def _run_name(self) -> str:
        return self.run_id

    def _begin(self, epoch: int) -> None:
        self._pending.clear()
        self._failed, self.run_id = False, ""
        facts = facts_of_fit(self.model, self.params, self.name or self.model.name)
        self._send_all(self._calls_of_info(facts, self._resumes_in))

    def on_train_begin(self, logs: Logs | None = None) -> None:
        super().on_train_begin(logs)
        if self.save_model and current_engine().process[1] > 1:
            raise ValueError(
                f"{type(self).__name__}: save_model=True needs a training in one process. Omit it, and let "
                "callbacks.ModelCheckpoint save the model"
            )

    def _write_epoch(self, line: dict[str, Any]) -> None:
        self._send_all(self._calls_of_epoch(line))

    def _write_part(self, part: str, values: dict[str, Any]) -> None:
        self._send_all(self._calls_of_part(part, values))

    def on_train_end(self, logs: Logs | None = None) -> None:
        if not self._follows:
            return
        summary: list[str] = []
        self.model.summary(print_fn=summary.append)
        calls: list[_Call] = [(self.log_file, ("model_summary.txt", "\n".join(summary)))]
        if self.save_model:
            calls.append((self.log_model, (self.model,)))
        self._send_all([*calls, (self.end, ())])
        self._send_the_rest()

    def send(self, run: Run) -> str:
        """Send a run that `RunRecorder` recorded.

        Args:
            run: Result of `hornbeam.insight.read_run`.

        Returns:
            The `run_id` of the tracker's run.

        Raises:
            Exception: Any error of the tracker.
        """
        calls = [*self._calls_of_info({**run.info, "name": self.name or run.name}, None)]
        for part, values in run.parts.items():
            calls += self._calls_of_part(part, values)
        for line in run.epochs:
            calls += self._calls_of_epoch(line)
        for function, arguments in [*calls, (self.end, ())]:
            function(*arguments)
        self.finish()
        return self.run_id

    # -- records -----------------------------------------------------------------------------------

    def _calls_of_info(self, info: Mapping[str, Any], run_id: str | None) -> Iterator[_Call]:
        yield self.start, (str(info["name"]), run_id)
        yield self.log_settings, (settings_of_fit(info),)
        yield self.log_facts, (facts_of_machine(info),)

    def _calls_of_epoch(self, line: Mapping[str, Any]) -> Iterator[_Call]:
        yield self.log_metrics, ({**line["logs"], "epoch_seconds": line["seconds"]}, line["epoch"] - 1)

    def _calls_of_part(self, part: str, values: Mapping[str, Any]) -> Iterator[_Call]:
        if part == "model":
            yield self.log_settings, (settings_of_model(values),)
        elif part == "evaluation":
            yield self.log_scores, (scores_of(values),)
        yield self.log_file, (f"{part}.json", json.dumps(plain(values), indent=1))

    # -- sending -----------------------------------------------------------------------------------

    def _send_all(self, calls: Iterator[_Call] | list[_Call]) -> None:
        """Send what waits, then these; after a failure keep them."""
        self._pending.extend(calls)
        while self._pending and not self._failed:
            function, arguments = self._pending[0]
            try:
                function(*arguments)
            except Exception as error:
                self._failed = True
                warn_user(
                    f"{type(self).__name__} could not send: {_described(error)}. The training goes on; "
                    "records are kept, and sent at its end if the tracker answers then"
                )
                return
            self._pending.popleft()

    def _send_the_rest(self) -> None:
        """Try once more what was kept, without what fails again; end with the second failure in a row."""
        self._failed, lost, in_a_row, reason = False, 0, 0, ""
        while self._pending and in_a_row < 2:
            function, arguments = self._pending.popleft()
            try:
                function(*arguments)
                in_a_row = 0
            except Exception as error:
                lost, in_a_row, reason = lost + 1, in_a_row + 1, _described(error)
        lost += len(self._pending)
        self._pending.clear()
        if lost:
            warn_user(
                f"{type(self).__name__} could not send {lost} record{'s' * (lost != 1)} of the run "
                f"({reason}). A run that callbacks.RunRecorder records can be sent later: hornbeam runs send"
            )


def _described(error: Exception) -> str:
    text = str(error).strip().split("\n")[0]
    return f"{type(error).__name__}: {text[:200]}" if text else type(error).__name__
