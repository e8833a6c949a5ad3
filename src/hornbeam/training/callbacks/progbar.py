"""The callback that shows progress."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hornbeam._internal.kernel import in_kernel
from hornbeam.config import is_interactive_logging_enabled
from hornbeam.core.registry import exported
from hornbeam.training.accuracy_intervals import accuracy_intervals, baseline_notes
from hornbeam.training.callbacks.base import Callback, Logs
from hornbeam.training.progress import Bar
from hornbeam.training.steps import training_state

if TYPE_CHECKING:
    from hornbeam.training.notebook_progress import ProgressTable


@exported("keras.callbacks")
class ProgbarLogger(Callback):
    """Show progress with verbose=1: a live bar on a terminal, a live table in a notebook.

    Elsewhere, and with verbose=2, it prints one line per epoch.

    `evaluate` states accuracies with their 95% confidence interval.
    """

    chunked = True

    def __init__(self) -> None:
        super().__init__()
        self._bar: Bar | None = None
        self._table: ProgressTable | None = None
        self._inside_fit = False

    @property
    def _epochs(self) -> int:
        return int(self.params.get("epochs") or 1)

    def _open(self, steps: int | None, title: str = "") -> None:
        live = self.params.get("verbose") == 1
        if live and in_kernel() and is_interactive_logging_enabled():
            # Elsewhere nothing that draws HTML is imported.
            from hornbeam.training.notebook_progress import NotebookBar, ProgressTable

            if self._table is None or not self._inside_fit:
                self._table = ProgressTable("epoch" if title else "steps")
            self._bar = NotebookBar(steps, self._table, title)
            return
        self._bar = Bar(steps)
        self._bar.live = self._bar.live and live

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._inside_fit = True
        self._table = None

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        if not self.params.get("verbose"):
            return
        self._open(self.params.get("steps"), f"Epoch {epoch + 1}/{self._epochs}")
        assert self._bar is not None
        if self._bar.live and self._epochs > 1:
            print(f"Epoch {epoch + 1}/{self._epochs}")

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._update(batch, logs)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self._bar is not None:
            title = f"Epoch {epoch + 1}/{self._epochs}" if not self._bar.live else ""
            notes: dict[str, str] = {}
            run = training_state(self.model).run
            if run is not None and (epoch + 1 == self._epochs or self.model.stop_training):
                for prefix, data in (("", run.data), ("val_", run.validation)):
                    notes |= baseline_notes(self.model, logs or {}, prefix, data)
            self._bar.close(logs or {}, title, notes)
            self._bar = None

    def on_train_end(self, logs: Logs | None = None) -> None:
        self.abandon()

    def abandon(self) -> bool:
        """End the line of an epoch that is not finished. Returns True if a line was drawn."""
        bar, self._bar, self._inside_fit = self._bar, None, False
        if self._table is not None:
            self._table.finish()
        return bar is not None and bar.abandon()

    def on_test_begin(self, logs: Logs | None = None) -> None:
        self._begin()

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        if not self._inside_fit:
            self._update(batch, logs)

    def on_test_end(self, logs: Logs | None = None) -> None:
        if not self._inside_fit and self._bar is not None:
            notes = baseline_notes(self.model, logs or {}, "", training_state(self.model).evaluated)
            for name, bounds in accuracy_intervals(self.model).items():
                notes[name] = "; ".join([f"95% interval {bounds}", *filter(None, [notes.get(name)])])
            self._end(logs, notes)

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        self._begin()

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._update(batch, {})

    def on_predict_end(self, logs: Logs | None = None) -> None:
        self._end({})

    def _begin(self) -> None:
        if not self._inside_fit and self.params.get("verbose"):
            self._open(self.params.get("steps"))

    def _end(self, logs: Logs | None, notes: dict[str, str] | None = None) -> None:
        if not self._inside_fit and self._bar is not None:
            self._bar.close(logs or {}, notes=notes)
            self._bar = None

    def _update(self, batch: int, logs: Logs | None) -> None:
        if self._bar is not None:
            # With steps_per_execution the number of the last step may lie behind the end of the data.
            self._bar.update(min(batch + 1, self._bar.target or batch + 1), logs or {})
