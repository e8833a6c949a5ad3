"""Progress in notebooks: one output for each `fit`, a table of epochs with a bar, replaced as it grows."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hornbeam._internal.html.markup import Html, bar, table, tag
from hornbeam._internal.html.notebook import notebook_output
from hornbeam._internal.kernel import LiveOutput
from hornbeam._internal.terminal import NOTEBOOK
from hornbeam.training.progress import Bar, duration, number_text, per_step
from hornbeam.training.progress_line import folded_line

# Seconds between two messages to the browser: more would only pile up there.
INTERVAL = 0.25
# Epochs of a long training that stay in the output, from the first and the last ones.
_FIRST_ROWS, _LAST_ROWS = 5, 45
Row = tuple[str, Mapping[str, str], str, str]


class ProgressTable:
    """Finished epochs of a training, or a finished evaluation, in one output.

    Args:
        head: Name of the first column, "epoch" or "steps".
    """

    def __init__(self, head: str) -> None:
        self._head = head
        self._rows: list[Row] = []
        self._lines: list[str] = []
        self._output = LiveOutput()
        self._shown_rows = 0
        self._drawn = 0.0

    def draw(self, live_row: Row | None = None, line: str = "", below: Html | None = None) -> None:
        """Display the rows, and below them what is in progress."""
        rows = [*self._rows, *([live_row] if live_row else [])]
        names = list(dict.fromkeys(name for _, metrics, _, _ in rows for name in metrics))
        cells = [
            [label, *(metrics.get(name, "") for name in names), seconds, rate]
            for label, metrics, seconds, rate in _excerpt(rows)
        ]
        html = notebook_output(table("", [self._head, *names, "time", "per step"], cells), below)
        text = "\n".join([*_excerpt(self._lines), *([line] if line else [])])
        self._output.show(html, text)
        self._shown_rows, self._drawn = len(self._rows), time.perf_counter()

    def add(self, row: Row, line: str) -> None:
        """Add a finished row, and display it unless the last one was displayed just now."""
        self._rows.append(row)
        self._lines.append(line)
        if time.perf_counter() - self._drawn >= INTERVAL:
            self.draw()

    def finish(self) -> None:
        """Display the rows that are not displayed yet."""
        if self._rows and self._shown_rows < len(self._rows):
            self.draw()

    @property
    def is_shown(self) -> bool:
        """True if anything was displayed."""
        return self._output.is_shown


def _excerpt(rows: Sequence[Any]) -> Iterator[Any]:
    """Yield the first and the last rows of many."""
    hidden = len(rows) - _FIRST_ROWS - _LAST_ROWS
    if hidden <= 0:
        yield from rows
        return
    note = f"… {hidden} more, in history.history"
    yield from rows[:_FIRST_ROWS]
    yield note if isinstance(rows[0], str) else (note, {}, "", "")
    yield from rows[-_LAST_ROWS:]


class NotebookBar(Bar):
    """The row of an epoch, an evaluation or a prediction that is in progress.

    Args:
        target: Number of steps, None if unknown.
        progress: Table to which the row belongs.
        title: "Epoch 1/3", or "" outside of `fit`.
    """

    def __init__(self, target: int | None, progress: ProgressTable, title: str) -> None:
        super().__init__(target)
        self.live = False
        self._progress = progress
        self._title = title

    def update(self, step: int, logs: Mapping[str, Any]) -> None:
        """Draw, if the last drawing is old enough."""
        self.step = step
        now = time.perf_counter()
        self._first = self._first or (step, now)
        if now - self._drawn >= INTERVAL:
            self._drawn = now
            self._draw_live(now - self.start, logs)

    def close(self, logs: Mapping[str, Any], title: str = "", notes: Mapping[str, str] | None = None) -> None:
        """Add the finished row; a quick evaluation is a line, as elsewhere."""
        if not self._title and not self._progress.is_shown:
            super().close(logs, title, notes)
            return
        elapsed = time.perf_counter() - self.start
        rate = per_step(elapsed / self.step) if self.step else ""
        texts = {name: f"{number_text(value)}{_note(notes, name)}" for name, value in logs.items()}
        parts = [self._title, self._counter, duration(elapsed), rate]
        parts += [f"{name}: {text}" for name, text in texts.items()]
        line = folded_line([part for part in parts if part], NOTEBOOK)
        row = (self._label, texts, duration(elapsed), rate.removesuffix("/step"))
        self._progress.add(row, line)
        if not self._title:
            self._progress.finish()

    def abandon(self) -> bool:
        """Replace the bar by the steps that were done. Returns False: no line is to be ended."""
        text = f"{self._title or 'it'} ended after {self._counter.replace('/', ' of ')} steps"
        self._progress.draw(None, text, tag("p", text, class_="quiet"))
        return False

    @property
    def _counter(self) -> str:
        return f"{self.step}/{self.target}" if self.target else f"{self.step}"

    @property
    def _label(self) -> str:
        return self._title.removeprefix("Epoch ") or self._counter

    def _draw_live(self, elapsed: float, logs: Mapping[str, Any]) -> None:
        seconds = self._rate(self.start + elapsed)
        times = [] if seconds is None else [per_step(seconds)]
        if seconds is not None and self.target:
            times.append(f"{duration(seconds * max(self.target - self.step, 0))} left")
        elif not self.target:
            times.append(duration(elapsed))
        metrics = {name: number_text(value) for name, value in logs.items()}
        row = (self._label, metrics, "", "")
        facts = " " + ", ".join([f"{self._counter} steps", *times])
        progress = bar([min(self.step / self.target, 1.0)]) if self.target else None
        line = " - ".join(part for part in (self._title, self._line(elapsed, logs)) if part)
        self._progress.draw(row, line, tag("p", progress, facts, class_="quiet"))


def _note(notes: Mapping[str, str] | None, name: str) -> str:
    return f" ({notes[name]})" if notes and name in notes else ""
