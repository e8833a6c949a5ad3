"""Functions that take turns on the clock."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any


def medians(
    sides: list[Callable[[], Any]], rounds: int, clock: Callable[[], float] = time.perf_counter
) -> list[float]:
    """Median milliseconds of a call of each side. They take turns of about 50 ms."""
    counts = []
    for side in sides:
        side()
        start = time.perf_counter()
        side()
        counts.append(max(1, round(0.05 / (time.perf_counter() - start))))
    times: list[list[float]] = [[] for _ in sides]
    for _ in range(rounds):
        for side, count, own in zip(sides, counts, times, strict=True):
            start = clock()
            for _ in range(count):
                side()
            own.append((clock() - start) / count * 1000)
    return [statistics.median(own) for own in times]
