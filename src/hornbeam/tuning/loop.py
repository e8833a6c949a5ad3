"""The trials of a search, one after the other or several at once."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from hornbeam.distribution.processes import print_once
from hornbeam.tuning.running import Running

if TYPE_CHECKING:
    from hornbeam.tuning.search import Search

# Trials that may fail one after the other.
_MAX_FAILURES = 3


class Trials:
    """Runs trials until there are enough.

    Args:
        search: The search.
        train: Trains for a trial, and returns its objective, or None if it was pruned.
        limit: Number of trials of the search.
        seconds: Time after which no further trial begins.
        verbose: Whether to print a line for each trial.
    """

    def __init__(
        self,
        search: Search,
        train: Callable[[Running], float | None],
        limit: int,
        seconds: float | None,
        verbose: bool,
    ) -> None:
        self._search, self._train, self._limit, self._verbose = search, train, limit, verbose
        self._deadline = math.inf if seconds is None else time.monotonic() + seconds
        self._failures = 0
        self._error: BaseException | None = None

    def run(self, jobs: int = 1) -> None:
        """Run the trials, so many at once.

        Raises:
            Exception: That of the first trial, or of three trials one after the other. Of other trials it is
                recorded.
        """
        if jobs == 1:
            self._work()
        else:
            threads = [threading.Thread(target=self._work_in_thread, daemon=True) for _ in range(jobs)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        if self._error is not None:
            raise self._error

    def _work_in_thread(self) -> None:
        try:
            self._work()
        except BaseException as error:
            self._error = self._error or error

    def _work(self) -> None:
        while self._error is None and time.monotonic() < self._deadline:
            running = self._search.begin(self._limit)
            if running is None:
                return
            self._run_one(running)

    def _run_one(self, running: Running) -> None:
        start = time.monotonic()
        value, message = None, ""
        try:
            value = self._train(running)
            if value is not None and not math.isfinite(value):
                value, message = None, f"{self._search.objective} is {value}"
            self._failures = 0
        except Exception as error:
            message = f"{type(error).__name__}: {error}"
            self._failures += 1
            if running.index == 0:  # the program is wrong, not the settings
                self._search.interrupt(running)
                raise
            if self._failures >= _MAX_FAILURES:
                self._search.end(running, None, time.monotonic() - start, message)
                raise
        except BaseException:
            self._search.interrupt(running)
            raise
        seconds = time.monotonic() - start
        self._search.end(running, value, seconds, message)
        if self._verbose:
            outcome = message or ("pruned" if value is None else f"{value:.4f}")
            print_once(
                f"trial {running.index + 1}/{self._limit}: {outcome} - {running.described()} - {seconds:.1f}s"
            )
