"""Batches of a stream, fetched by a thread of its own while a step runs, where that pays."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Generator, Iterator
from typing import Any

# How many batches may wait.
DEPTH = 2
# Batches that are fetched in the main thread, to see whether the source computes or waits.
TRIED = 3
# Seconds a batch below which fetching ahead is not worth a thread.
WORTH = 2e-4
# How long the end waits for a source that is in the middle of a batch.
PATIENCE = 5.0


def overlapped(batches: Generator[Any, None, None], threads: int) -> Generator[Any, None, None]:
    """The batches, in order. After the first few they are fetched ahead if the source spends its time waiting
    (for a disk, a network, other processes), or if there are more processors than the engine's `threads`: a
    source that computes would take from the step what it saves.

    An exception of the source comes up where its batch would have. Close the iterator to end the thread.
    """
    clock, wall, busy = time.perf_counter, 0.0, 0.0
    for _ in range(TRIED):
        wall, busy = wall - clock(), busy - time.thread_time()
        try:
            batch = next(batches)
        except StopIteration:
            return
        wall, busy = wall + clock(), busy + time.thread_time()
        yield batch
    spare = (os.cpu_count() or 1) > threads
    if wall < WORTH * TRIED or (busy > wall / 2 and not spare):
        yield from batches
        return
    ahead = Ahead(batches)
    try:
        yield from ahead
    finally:
        ahead.close()


class Ahead:
    """An iterator whose items a thread fetches, `DEPTH` of them ahead."""

    def __init__(self, source: Iterator[Any]) -> None:
        self._source = source
        self._ready: deque[Any] = deque()
        self._error: BaseException | None = None
        self._ended = False
        self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._fetch, name="hornbeam-batches", daemon=True)
        self._thread.start()

    def _fetch(self) -> None:
        try:
            for item in self._source:
                with self._changed:
                    self._ready.append(item)
                    self._changed.notify_all()
                    self._changed.wait_for(lambda: len(self._ready) < DEPTH or self._closed)
                    if self._closed:
                        return
        except BaseException as error:
            self._error = error
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        with self._changed:
            self._changed.wait_for(lambda: self._ready or self._ended)
            if self._ready:
                item = self._ready.popleft()
                self._changed.notify_all()
                return item
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        raise StopIteration

    def close(self) -> None:
        """End the thread: after the batch that it is fetching, if any."""
        with self._changed:
            self._closed = True
            self._ready.clear()
            self._changed.notify_all()
        self._thread.join(PATIENCE)
