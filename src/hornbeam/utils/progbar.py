"""A progress bar for loops of your own; `fit` has its own."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from typing import Any


class Progbar:
    """A line that is drawn over, with the average of each value so far.

    target: number of steps, None if unknown. width: of the bar. verbose: 0 nothing, 1 a bar, 2 one line at
        the end.
    interval: least seconds between two drawings. stateful_metrics: names whose last value is shown, not the
        average.

    >>> bar = Progbar(2, verbose=0); bar.add(1, [("loss", 1.0)]); bar.add(1, [("loss", 3.0)]); bar.averages()
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
        self.target = target
        self.width = width
        self.verbose = verbose
        self.interval = interval
        self.unit_name = unit_name
        self._last = set(stateful_metrics or ()) - set(stateless_metrics or ())
        self._totals: dict[str, tuple[float, float]] = {}
        self._seen = 0
        self._start = time.perf_counter()
        self._drawn = 0.0
        self._length = 0

    def update(
        self, current: int, values: Iterable[tuple[str, Any]] | None = None, finalize: bool | None = None
    ) -> None:
        """Say that `current` steps are done. finalize: end the line; by default at the target."""
        steps = current - self._seen
        for name, value in values or ():
            total, weight = self._totals.get(name, (0.0, 0.0))
            if name in self._last or (steps <= 0 and weight == 0):
                self._totals[name] = (float(value), 1.0)
            else:
                self._totals[name] = (total + float(value) * steps, weight + steps)
        self._seen = current
        done = self.target is not None and current >= self.target if finalize is None else finalize
        now = time.perf_counter()
        if self.verbose == 1 and (done or now - self._drawn >= self.interval):
            self._drawn = now
            self._draw(self._line(now - self._start), end="\n" if done else "")
        elif self.verbose == 2 and done:
            print(self._line(now - self._start), flush=True)

    def add(self, n: int, values: Iterable[tuple[str, Any]] | None = None) -> None:
        """Say that `n` more steps are done."""
        self.update(self._seen + n, values)

    def averages(self) -> dict[str, float]:
        """What is shown behind the bar."""
        return {name: total / weight for name, (total, weight) in self._totals.items()}

    def _line(self, elapsed: float) -> str:
        shown = " - ".join(f"{name}: {value:.4f}" for name, value in self.averages().items())
        rate = elapsed / self._seen if self._seen else 0.0
        timing = f"{elapsed:.0f}s {rate * 1e3:.0f}ms/{self.unit_name}"
        head = f"{self._seen}"
        if self.target:
            filled = round(self.width * min(self._seen / self.target, 1.0))
            head = f"{self._seen}/{self.target} {'━' * filled}{'─' * (self.width - filled)}"
        return " - ".join(part for part in (f"{head} {timing}", shown) if part)

    def _draw(self, line: str, end: str) -> None:
        sys.stdout.write("\r" + line.ljust(self._length) + end)
        sys.stdout.flush()
        self._length = 0 if end else len(line)
