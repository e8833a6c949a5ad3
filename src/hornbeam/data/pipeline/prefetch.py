"""Work ahead of its use, in order: one thread that prefetches, or several that each compute an item."""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

from hornbeam import _native

if TYPE_CHECKING:
    from concurrent.futures import Executor, Future

T = TypeVar("T")
R = TypeVar("R")

# Maximum number of items in the queue.
DEPTH = 2
# Items that are fetched in the caller's thread, to measure whether the source computes or waits.
PROBE_ITEMS = 3
# Seconds an item below which prefetching does not pay for a thread.
MIN_ITEM_SECONDS = 2e-4
# Seconds a call above which worker threads pay for switching between them.
MIN_CALL_SECONDS = 1e-3
# Seconds without a result after which the workers are checked to be alive.
POLL_SECONDS = 1.0
# Seconds that closing waits for a source that is computing an item.
JOIN_SECONDS = 5.0


def prefetch_if_worthwhile(items: Iterator[T], threads: int, depth: int = DEPTH) -> Generator[T, None, None]:
    """Yield the items in order, fetched ahead by a thread where that pays.

    It pays if, in the first few items, the source spends its time waiting (for a disk, a network, other
    processes), or if the machine has more processors than the consumer's `threads`: a source that computes
    would otherwise take from the consumer the time that it saves.

    An exception of the source is raised in place of its item. Close the iterator to end the thread.
    """
    clock, wall, busy = time.perf_counter, 0.0, 0.0
    for _ in range(PROBE_ITEMS):
        wall, busy = wall - clock(), busy - time.thread_time()
        try:
            item = next(items)
        except StopIteration:
            return
        wall, busy = wall + clock(), busy + time.thread_time()
        yield item
    spare = _native.available_cpus() > threads
    if wall < MIN_ITEM_SECONDS * PROBE_ITEMS or (busy > wall / 2 and not spare):
        yield from items
        return
    prefetcher = Prefetcher(items, depth)
    # From here on the thread holds the only reference: the source ends with it.
    del items
    try:
        yield from prefetcher
    finally:
        prefetcher.close()


class Prefetcher(Iterator[T]):
    """Iterator whose items a thread fetches, up to `depth` of them ahead."""

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
        """End the thread, after the item that it is fetching."""
        with self._changed:
            self._closed = True
            self._ready.clear()
            self._changed.notify_all()
        self._thread.join(JOIN_SECONDS)


def map_ordered(
    function: Callable[[T], R],
    items: Iterable[T],
    workers: int,
    depth: int | None = None,
    pool: Executor | None = None,
    while_waiting: Callable[[], None] | None = None,
) -> Generator[R, None, None]:
    """Yield `function(item)` in the order of the items, computed by `workers` threads (or by `pool`).

    depth: maximum number of results that are computed ahead, twice the number of workers if None. An
    exception is raised in place of its result, and RuntimeError if a worker was killed. The workers end with
    the iterator. while_waiting: called after every second without a result.
    """
    threads: list[threading.Thread] = []
    if pool is None:
        from concurrent.futures import ThreadPoolExecutor

        pool = ThreadPoolExecutor(
            workers, "hornbeam-map", initializer=lambda: threads.append(threading.current_thread())
        )
    pending: deque[Future[R]] = deque()
    source, failure = iter(items), None
    try:
        while failure is None:
            try:
                pending.append(pool.submit(function, next(source)))
            except StopIteration:
                break
            except Exception as error:  # raised after the results of the items before it
                failure = error
            if len(pending) >= max(depth or 2 * workers, 1):
                yield _wait_for(pending.popleft(), threads, while_waiting)
        while pending:
            yield _wait_for(pending.popleft(), threads, while_waiting)
        if failure is not None:
            raise failure
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def map_ordered_chunked(
    function: Callable[[T], R], items: Sequence[T], workers: int, size: int
) -> Generator[R, None, None]:
    """Yield as `map_ordered`, for short calls: a thread makes `size` of them in a row."""
    chunks = (items[start : start + size] for start in range(0, len(items), size))
    for results in map_ordered(lambda chunk: [function(item) for item in chunk], chunks, workers):
        yield from results


def _wait_for(
    future: Future[R], threads: list[threading.Thread], while_waiting: Callable[[], None] | None = None
) -> R:
    """Return a result. Raises RuntimeError if a thread ended before.

    Threads do not end by themselves, and the work of a killed one would be waited for forever.
    """
    from concurrent.futures import wait

    while not wait([future], POLL_SECONDS).done:
        if not all(thread.is_alive() for thread in list(threads)) and not wait([future], POLL_SECONDS).done:
            raise RuntimeError("a thread that prepares data was killed, and its result is lost")
        if while_waiting is not None:
            while_waiting()
    return future.result()


def map_ordered_if_slow(
    function: Callable[[T], R], items: Iterator[T], workers: int
) -> Generator[R, None, None]:
    """Yield as `map_ordered`, with workers only if the first few calls are slow enough.

    Threads that alternate in holding Python's lock make short calls slower.
    """
    started = time.perf_counter()
    for item in itertools.islice(items, PROBE_ITEMS):
        yield function(item)
    if time.perf_counter() - started < MIN_CALL_SECONDS * PROBE_ITEMS:
        yield from map(function, items)
    else:
        yield from map_ordered(function, items, workers)


def resolve_workers(num_parallel_calls: int | None) -> int | None:
    """Return the number of threads for `num_parallel_calls`: None is 1; AUTOTUNE (-1) is None, undecided.

    Raises ValueError for other values below 1.
    """
    if num_parallel_calls is None:
        return 1
    count = int(num_parallel_calls)
    if count == -1:
        return None
    if count < 1:
        raise ValueError(f"num_parallel_calls must be at least 1, or AUTOTUNE, got {num_parallel_calls}")
    return count
