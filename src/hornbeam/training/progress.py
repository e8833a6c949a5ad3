"""Progress of a run: a live bar on a terminal, one line per epoch in a log file."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Mapping
from typing import Any, TextIO

from hornbeam.config import is_interactive_logging_enabled
from hornbeam.distribution.processes import is_first

# Seconds between two drawings of a bar.
INTERVAL = 0.12
_BAR = 24


def is_terminal(stream: TextIO) -> bool:
    """Return True if a line can be drawn over."""
    return bool(getattr(stream, "isatty", lambda: False)()) and os.environ.get("TERM") != "dumb"


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


def show_logs(logs: Mapping[str, Any], notes: Mapping[str, str] | None = None) -> str:
    """Format `name: value` pairs with four digits, very small values as powers of ten.

    notes: texts in parentheses after values.
    """
    after = {name: f" ({text})" for name, text in (notes or {}).items()}
    return " - ".join(f"{name}: {_number(value)}{after.get(name, '')}" for name, value in logs.items())


def _number(value: Any) -> str:
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
        # The first steps compile: they are too slow for an ETA.
        self._drawn = self.start
        self._width = 0

    def update(self, step: int, logs: Mapping[str, Any]) -> None:
        """Draw, if the last drawing is old enough."""
        self.step = step
        now = time.perf_counter()
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
        line = " - ".join(part for part in (title, *parts, show_logs(logs, notes)) if part)
        if self.live:
            self._draw(line, cut=False)
            self.stream.write("\n")
        else:
            self.stream.write(line + "\n")
        self.stream.flush()

    def abandon(self) -> None:
        """Leave an unfinished line as it is."""
        if self.live and self._width:
            self.stream.write("\n")
            self.stream.flush()

    def _line(self, elapsed: float, logs: Mapping[str, Any]) -> str:
        rate = elapsed / self.step if self.step else 0.0
        if self.target:
            done = min(self.step / self.target, 1.0)
            filled = round(done * _BAR)
            bar = "━" * filled + "─" * (_BAR - filled)
            left = duration(rate * max(self.target - self.step, 0))
            return f"{self.step}/{self.target} {bar} {per_step(rate)} ETA {left} {show_logs(logs)}"
        return f"{self.step} steps {duration(elapsed)} {per_step(rate)} {show_logs(logs)}"

    def _draw(self, line: str, cut: bool = True) -> None:
        columns = shutil.get_terminal_size().columns
        if cut:
            line = line[: columns - 1]
        self.stream.write("\r" + line + " " * max(self._width - len(line), 0))
        self.stream.flush()
        self._width = min(len(line), columns - 1)
