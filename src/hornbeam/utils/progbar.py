"""A progress bar for custom loops; `fit` has its own."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable

import numpy as np

from hornbeam._internal.typing import ArrayLike


class Progbar:
    """Progress bar with the averages of values, redrawn in place.

    Args:
        target: Number of steps, None if unknown.
        width: Width of the bar in characters.
        verbose: 0 for no output, 1 for a bar, 2 for one line at the end.
        interval: Minimum number of seconds between two redraws.
        stateful_metrics: Names whose last value is shown; of all others the average is.
        stateless_metrics: Names whose average is shown; of all others the last value is. Give one of the two.
        unit_name: Name of a step in the timing.

    Raises:
        ValueError: If both kinds of names are given.

    Example:
        >>> bar = Progbar(2, verbose=0); bar.add(1, [("loss", 1.0)]); bar.add(1, [("loss", 3.0)])
        >>> bar.averages()
        {'loss': 2.0}
    """

    def __init__(
        self,
        target: int | None,
        width: int = 20,
        verbose: int = 1,
        interval: float = 0.05,
        stateful_metrics: Iterable[str] | None = None,
        stateless_metrics: Iterable[str] | None = None,
        unit_name: str = "step",
    ) -> None:
        if stateful_metrics is not None and stateless_metrics is not None:
            raise ValueError("give the names of stateful_metrics or those of stateless_metrics, not both")
        self.target = target
        self.width = width
        self.verbose = verbose
        self.interval = interval
        self.unit_name = unit_name
        self._stateful = set(stateful_metrics or ())
        self._averaged = None if stateless_metrics is None else set(stateless_metrics)
        self._totals: dict[str, tuple[float, float]] = {}
        self._current = 0
        self._start = time.perf_counter()
        self._last_draw = 0.0
        self._line_length = 0

    def update(
        self,
        current: int,
        values: Iterable[tuple[str, ArrayLike]] | None = None,
        finalize: bool | None = None,
    ) -> None:
        """Set the number of completed steps, and redraw.

        Args:
            current: Number of completed steps.
            values: Pairs (name, value) of the steps since the last call; of an array the mean is taken.
            finalize: Whether to end the line; at the target if None.
        """
        steps = current - self._current
        for name, value in values or ():
            number = float(np.mean(np.asarray(value)))
            total, weight = self._totals.get(name, (0.0, 0.0))
            if self._shows_last(name) or (steps <= 0 and weight == 0):
                self._totals[name] = (number, 1.0)
            else:
                self._totals[name] = (total + number * steps, weight + steps)
        self._current = current
        done = self.target is not None and current >= self.target if finalize is None else finalize
        now = time.perf_counter()
        if self.verbose == 1 and (done or now - self._last_draw >= self.interval):
            self._last_draw = now
            self._draw(self._line(now - self._start), end="\n" if done else "")
        elif self.verbose == 2 and done:
            print(self._line(now - self._start), flush=True)

    def _shows_last(self, name: str) -> bool:
        return name in self._stateful if self._averaged is None else name not in self._averaged

    def add(self, n: int, values: Iterable[tuple[str, ArrayLike]] | None = None) -> None:
        """Add completed steps, and redraw.

        Args:
            n: Number of steps since the last call.
            values: Pairs (name, value) of these steps.
        """
        self.update(self._current + n, values)

    def averages(self) -> dict[str, float]:
        """Return the values that are shown after the bar."""
        return {name: total / weight for name, (total, weight) in self._totals.items()}

    def _line(self, elapsed: float) -> str:
        shown = " - ".join(f"{name}: {value:.4f}" for name, value in self.averages().items())
        seconds_per_step = elapsed / self._current if self._current else 0.0
        timing = f"{elapsed:.0f}s {seconds_per_step * 1e3:.0f}ms/{self.unit_name}"
        progress = f"{self._current}"
        if self.target:
            filled = round(self.width * min(self._current / self.target, 1.0))
            progress = f"{self._current}/{self.target} {'━' * filled}{'─' * (self.width - filled)}"
        return " - ".join(part for part in (f"{progress} {timing}", shown) if part)

    def _draw(self, line: str, end: str) -> None:
        sys.stdout.write("\r" + line.ljust(self._line_length) + end)
        sys.stdout.flush()
        self._line_length = 0 if end else len(line)
