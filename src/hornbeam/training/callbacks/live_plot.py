"""The callback that draws curves while they grow."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from hornbeam._internal.html.markup import tag
from hornbeam._internal.html.notebook import notebook_output
from hornbeam._internal.kernel import LiveOutput, cell_number, in_kernel
from hornbeam.distribution.processes import is_first
from hornbeam.training.callbacks.base import Callback, Logs
from hornbeam.training.callbacks.callback_list import CallbackList, CallbacksLike
from hornbeam.visualization.figure import Figure
from hornbeam.visualization.metric_curves import metric_names, metric_panel
from hornbeam.visualization.panels import LinePanel
from hornbeam.visualization.svg import line_chart

# Seconds between two drawings within an epoch.
_INTERVAL = 1.0
_MOST_METRICS = 8


class LivePlot(Callback):
    """Draw the curves of all metrics while they grow: `fit(plot=True)` adds it.

    A notebook shows them in one output, which is replaced about once a second and after each epoch;
    Matplotlib is not needed. Elsewhere the curves are printed once, as block characters, when training ends.

    Example:
        >>> model.fit(x, y, epochs=5, callbacks=[hornbeam.callbacks.LivePlot()])  # doctest: +SKIP
    """

    chunked = True

    def __init__(self) -> None:
        super().__init__()
        self._output: LiveOutput | None = None
        self._epoch = 0
        self._epochs: list[int] = []
        self._history: dict[str, list[float]] = {}
        # Fraction of the present epoch and values of its metrics, of each drawing.
        self._points: list[tuple[float, dict[str, float]]] = []
        self._drawn = 0.0

    def on_train_begin(self, logs: Logs | Any = None) -> None:
        self._output = LiveOutput() if in_kernel() and is_first() else None
        self._epochs, self._history, self._points = [], {}, []
        self._drawn = time.perf_counter()

    def on_epoch_begin(self, epoch: int, logs: Logs | Any = None) -> None:
        self._epoch, self._points = epoch, []

    def on_train_batch_end(self, batch: int, logs: Logs | Any = None) -> None:
        steps = self.params.get("steps")
        if self._output is None or not steps or time.perf_counter() - self._drawn < _INTERVAL:
            return
        self._points.append((self._epoch + (batch + 1) / steps, _numbers(logs)))
        self._draw()

    def on_epoch_end(self, epoch: int, logs: Logs | Any = None) -> None:
        self._points = []
        self._epochs.append(epoch + 1)
        for name, value in _numbers(logs).items():
            self._history.setdefault(name, []).append(value)
        if self._output is not None:
            self._draw()

    def on_train_end(self, logs: Logs | Any = None) -> None:
        if self._output is None:
            if self._epochs and is_first():
                print(self._figure().text.strip())
            return
        self.model.history.drawn_in_cell = cell_number()

    def _draw(self) -> None:
        assert self._output is not None
        charts = [line_chart(panel) for panel in self._panels()]
        if charts:
            html = notebook_output(tag("div", charts, class_="charts"))
            self._output.show(html, self._figure().text.strip())
        self._drawn = time.perf_counter()

    def _figure(self) -> Figure:
        return Figure(
            "", f"Metrics of {len(self._epochs)} epoch{'s' * (len(self._epochs) != 1)}", self._panels()
        )

    def _panels(self) -> list[LinePanel]:
        """Return the curves of finished epochs, and those of the present one as far as they are known."""
        complete = {
            name: values for name, values in self._history.items() if len(values) == len(self._epochs)
        }
        names = metric_names(complete) or list(
            dict.fromkeys(name for _, logs in self._points for name in logs)
        )
        return [self._panel(name, complete) for name in names[:_MOST_METRICS]]

    def _panel(self, name: str, complete: dict[str, list[float]]) -> LinePanel:
        present = [(at, logs[name]) for at, logs in self._points if name in logs]
        if not complete:
            xs, ys = zip(*present, strict=True)
            return LinePanel({"training": (xs, ys)}, name, ("epoch", name))
        panel = metric_panel(name, self._epochs, complete)
        lines = dict(panel.lines)
        if present and next(iter(lines)) != "validation":
            first = next(iter(lines))
            finished = lines[first]
            lines[first] = ([*finished[0], present[-1][0]], [*finished[1], present[-1][1]])
        return replace(panel, lines=lines)


def _numbers(logs: Logs | None) -> dict[str, float]:
    return {name: value for name, value in (logs or {}).items() if isinstance(value, (int, float))}


def with_live_plot(callbacks: CallbacksLike) -> Any:
    """Add the LivePlot of `fit(plot=True)` to its callbacks, unless they have one.

    Raises ValueError for a CallbackList without one.
    """
    members = callbacks if isinstance(callbacks, CallbackList) else CallbackList(callbacks)
    if any(isinstance(callback, LivePlot) for callback in members.callbacks):
        return callbacks
    if members is callbacks:
        raise ValueError("plot=True: put a LivePlot() into the CallbackList")
    return [*members.callbacks, LivePlot()]
