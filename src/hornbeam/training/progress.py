"""Progress of a run: a live bar on a terminal, one line per epoch in a log file."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Mapping
from typing import Any, TextIO

from hornbeam._internal.terminal import columns, is_terminal, uses_color
from hornbeam.config import is_interactive_logging_enabled
from hornbeam.distribution.processes import is_first
from hornbeam.training.progress_line import colored_line, fitted_line, folded_line

# Seconds between two drawings of a bar.
INTERVAL = 0.12


def resolve_verbose(verbose: object) -> int:
    """Return 0, 1 or 2, always 0 in all processes of a job but the first.

    Raises ValueError for anything but these, a bool, or "auto" (which means 1).
    """
    if verbose == "auto":
        verbose = 1
    if verbose in (0, 1, 2):  # True and False too
        return int(verbose) if is_first() else 0
    raise ValueError(
        f'verbose must be "auto", 0 (silent), 1 (progress) or 2 (one line an epoch), got {verbose!r}'
    )


def duration(seconds: float) -> str:
    """Format a time: 340ms, 4.2s, 1:07, 2:03:00."""
    if seconds < 1:
        return f"{seconds * 1e3:.0f}ms"
    if seconds < 10:
        return f"{seconds:.1f}s"
    if seconds < 60:
        return f"{seconds:.0f}s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}:{rest:02d}"
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


def per_step(seconds: float) -> str:
    """Format the time of one step with its unit."""
    if seconds >= 1:
        return f"{seconds:.1f}s/step"
    return f"{seconds * 1e3:.0f}ms/step" if seconds >= 1e-3 else f"{seconds * 1e6:.0f}us/step"


def metric_texts(logs: Mapping[str, Any], notes: Mapping[str, str] | None = None) -> list[str]:
    """Format `name: value` pairs with four digits, very small values as powers of ten.

    notes: texts in parentheses after values.
    """
    after = {name: f" ({text})" for name, text in (notes or {}).items()}
    return [f"{name}: {number_text(value)}{after.get(name, '')}" for name, value in logs.items()]


def number_text(value: Any) -> str:
    """Format a metric with four digits, a very small one as a power of ten."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return str(value)
    return f"{number:.4f}" if abs(number) > 1e-3 or number == 0 else f"{number:.4e}"


class Bar:
    """One line that is drawn over: `step/steps ━━━━──── rate ETA metrics`.

    target: number of steps, None if unknown.
    """

    def __init__(self, target: int | None, stream: TextIO | None = None) -> None:
        self.target = target
        self.stream = stream or sys.stdout
        self.live = is_terminal(self.stream) and is_interactive_logging_enabled()
        self.start = time.perf_counter()
        self.step = 0
        # Step and time of the first update. The steps before it compile: they are too slow for an ETA.
        self._first: tuple[int, float] | None = None
        self._drawn = self.start
        self._width = 0

    def update(self, step: int, logs: Mapping[str, Any]) -> None:
        """Draw, if the last drawing is old enough."""
        self.step = step
        now = time.perf_counter()
        self._first = self._first or (step, now)
        if self.live and now - self._drawn >= INTERVAL:
            self._drawn = now
            self._draw(self._line(now - self.start, logs))

    def close(self, logs: Mapping[str, Any], title: str = "", notes: Mapping[str, str] | None = None) -> None:
        """Write the last line."""
        elapsed = time.perf_counter() - self.start
        head = f"{self.step}/{self.target}" if self.target else f"{self.step}"
        parts = [head, duration(elapsed)]
        if self.step:
            parts.append(per_step(elapsed / self.step))
        parts = [part for part in (title, *parts, *metric_texts(logs, notes)) if part]
        line = folded_line(parts, columns(self.stream))
        if self.live:
            self._draw(line)
            self.stream.write("\n")
        else:
            self.stream.write(line + "\n")
        self.stream.flush()

    def abandon(self) -> bool:
        """Leave an unfinished line as it is. Returns True if a line was drawn."""
        drawn = self.live and self._width > 0
        if drawn:
            self.stream.write("\n")
            self.stream.flush()
        return drawn

    def _line(self, elapsed: float, logs: Mapping[str, Any]) -> str:
        rate = self._rate(self.start + elapsed)
        metrics = [(name, number_text(value)) for name, value in logs.items()]
        # The last column stays free: some terminals would begin a new line.
        width = shutil.get_terminal_size().columns - 1
        if not self.target:
            times = [duration(elapsed)] if rate is None else [duration(elapsed), per_step(rate)]
            return fitted_line(f"{self.step} steps", None, times, metrics, width)
        left = max(self.target - self.step, 0)
        times = [] if rate is None else [per_step(rate), f"ETA {duration(rate * left)}"]
        return fitted_line(f"{self.step}/{self.target}", self.step / self.target, times, metrics, width)

    def _rate(self, now: float) -> float | None:
        """Return the seconds of a step since the first update; None before the second."""
        if self._first is None or self.step <= self._first[0]:
            return None
        return (now - self._first[1]) / (self.step - self._first[0])

    def _draw(self, line: str) -> None:
        first, *rest = line.split("\n")
        padding = " " * max(self._width - len(first), 0)
        text = "\n".join([first + padding, *rest])
        self.stream.write("\r" + (colored_line(text) if uses_color(self.stream) else text))
        self.stream.flush()
        self._width = len(first)
