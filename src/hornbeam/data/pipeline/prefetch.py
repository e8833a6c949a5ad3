"""Work done ahead of its use, in order: by a thread that reads on, or by several that each make an item."""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Executor, Future

T = TypeVar("T")
R = TypeVar("R")

# How many items may wait.
DEPTH = 2
# Items that are fetched in the caller's thread, to see whether the source computes or waits.
TRIED = 3
# Seconds an item below which fetching ahead is not worth a thread.
WORTH = 2e-4
# Seconds a call from which on workers are worth their changes of the thread.
LONG = 1e-3
# Seconds after which a result that is not there yet makes one look whether the workers live.
ALIVE = 1.0
# How long the end waits for a source that is in the middle of an item.
PATIENCE = 5.0


def prefetch_if_worthwhile(items: Iterator[T], threads: int, depth: int = DEPTH) -> Generator[T, None, None]:
    """The items, in order. After the first few they are fetched ahead if the source spends its time waiting
    (for a disk, a network, other processes), or if there are more processors than the consumer's `threads`: a
    source that computes would take from the consumer what it saves.

    An exception of the source comes up where its item would have. Close the iterator to end the thread.
    """
    clock, wall, busy = time.perf_counter, 0.0, 0.0
    for _ in range(TRIED):
        wall, busy = wall - clock(), busy - time.thread_time()
        try:
            item = next(items)
        except StopIteration:
            return
        wall, busy = wall + clock(), busy + time.thread_time()
        yield item
    spare = (os.cpu_count() or 1) > threads
    if wall < WORTH * TRIED or (busy > wall / 2 and not spare):
        yield from items
        return
    ahead = Ahead(items, depth)
    # The thread owns them from here on: they end with it.
    del items
    try:
        yield from ahead
    finally:
        ahead.close()


class Ahead(Iterator[T]):
    """An iterator whose items a thread fetches, `depth` of them ahead."""

    def __init__(self, source: Iterator[T], depth: int = DEPTH) -> None:
        self._depth = depth
        self._ready: deque[T] = deque()
        self._error: BaseException | None = None
        self._ended = False
        self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(
            target=self._fetch, args=(source,), name="hornbeam-batches", daemon=True
        )
        self._thread.start()

    def _fetch(self, source: Iterator[T]) -> None:
        try:
            for item in source:
                with self._changed:
                    self._ready.append(item)
                    self._changed.notify_all()
                    self._changed.wait_for(lambda: len(self._ready) < self._depth or self._closed)
                    if self._closed:
                        return
        except BaseException as error:
            self._error = error
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def __next__(self) -> T:
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
        """End the thread: after the item that it is fetching, if any."""
        with self._changed:
            self._closed = True
            self._ready.clear()
            self._changed.notify_all()
        self._thread.join(PATIENCE)


def in_order(
    function: Callable[[T], R],
    items: Iterable[T],
    workers: int,
    depth: int | None = None,
    pool: Executor | None = None,
) -> Generator[R, None, None]:
    """`function(item)` for every item, made by `workers` threads (or by `pool`), in the order of the items.

    depth: how many results are made ahead at most, twice the number of workers if None. An exception comes
    up where its result would have, and RuntimeError if somebody killed a worker. The workers end when the
    iterator does.
    """
    threads: list[threading.Thread] = []
    if pool is None:
        from concurrent.futures import ThreadPoolExecutor

        pool = ThreadPoolExecutor(
            workers, "hornbeam-map", initializer=lambda: threads.append(threading.current_thread())
        )
    waiting: deque[Future[R]] = deque()
    source, failure = iter(items), None
    try:
        while failure is None:
            try:
                waiting.append(pool.submit(function, next(source)))
            except StopIteration:
                break
            except Exception as error:  # comes up after the results of the items before it
                failure = error
            if len(waiting) >= max(depth or 2 * workers, 1):
                yield _awaited(waiting.popleft(), threads)
        while waiting:
            yield _awaited(waiting.popleft(), threads)
        if failure is not None:
            raise failure
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def in_portions(
    function: Callable[[T], R], items: Sequence[T], workers: int, size: int
) -> Generator[R, None, None]:
    """As `in_order`, for short calls: a thread makes `size` of them before it changes."""
    portions = (items[start : start + size] for start in range(0, len(items), size))
    for made in in_order(lambda portion: [function(item) for item in portion], portions, workers):
        yield from made


def _awaited(future: Future[R], threads: list[threading.Thread]) -> R:
    """A result. Raises RuntimeError if one of the threads ended before it was there: they do not by
    themselves, and what a killed one had taken would be waited for without end."""
    from concurrent.futures import wait

    while not wait([future], ALIVE).done:
        if not all(thread.is_alive() for thread in list(threads)) and not wait([future], ALIVE).done:
            raise RuntimeError("a thread that prepares data was killed: what it was making is lost")
    return future.result()


def in_order_where_it_pays(
    function: Callable[[T], R], items: Iterator[T], workers: int
) -> Generator[R, None, None]:
    """As `in_order`, with workers only if the first few calls take long enough: threads that hold Python's
    lock by turns make short calls slower."""
    started = time.perf_counter()
    for item in itertools.islice(items, TRIED):
        yield function(item)
    if time.perf_counter() - started < LONG * TRIED:
        yield from map(function, items)
    else:
        yield from in_order(function, items, workers)


def workers_for(num_parallel_calls: Any) -> int | None:
    """Threads for a `num_parallel_calls`: None is one; AUTOTUNE (-1) is None, which leaves it open.

    Raises ValueError for others below 1.
    """
    if num_parallel_calls is None:
        return 1
    count = int(num_parallel_calls)
    if count == -1:
        return None
    if count < 1:
        raise ValueError(f"num_parallel_calls must be 1 or more, or AUTOTUNE, got {num_parallel_calls}")
    return count
