"""`PyDataset`: batches by index, computed by workers in the order in which they are used."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hornbeam._internal.typing import Tree
from hornbeam._internal.warn import warn_user
from hornbeam.core.registry import exported
from hornbeam.data.errors import add_location
from hornbeam.data.pipeline.prefetch import map_ordered

# Function of a count that returns 0 ... count - 1 in some order.
Order = Callable[[int], np.ndarray]


@exported("keras.utils")
class PyDataset:
    """Dataset of batches by index.

    A subclass defines `__getitem__(index)`, which returns a batch `(x, y)`, and `__len__`. The order of
    batches does not depend on the number of workers.

    Args:
        workers: Number of threads (or processes) that compute batches ahead.
        use_multiprocessing: Whether to use processes instead of threads.
        max_queue_size: Maximum number of batches that are computed ahead.

    Example:
        >>> class Squares(hornbeam.utils.PyDataset):
        ...     def __len__(self): return 10
        ...     def __getitem__(self, i): return np.ones((4, 1)) * i, np.ones((4, 1)) * i * i
    """

    def __init__(self, workers: int = 1, use_multiprocessing: bool = False, max_queue_size: int = 10) -> None:
        self.workers = workers
        self.use_multiprocessing = use_multiprocessing
        self.max_queue_size = max_queue_size

    def __getitem__(self, index: int) -> Tree:
        raise NotImplementedError(
            f"{type(self).__name__} must define __getitem__(index), which returns one batch"
        )

    @property
    def num_batches(self) -> int | None:
        """Number of batches in an epoch: `len(self)`, or None for an infinite dataset."""
        if hasattr(self, "__len__"):
            return len(self)
        return None

    def on_epoch_begin(self) -> None:
        """Do nothing; called before every pass."""

    def on_epoch_end(self) -> None:
        """Do nothing; called after every pass."""

    def __iter__(self) -> Iterator[Any]:
        return self._batches(None)

    def _batches(self, shuffle: Order | None) -> Iterator[Any]:
        """Run one pass, in the order `shuffle(count)`."""
        count = self.num_batches
        self.on_epoch_begin()
        order: Iterable[int]
        if count is None:
            order = itertools.count()
        else:
            order = range(count) if shuffle is None else shuffle(count).tolist()
        workers = max(getattr(self, "workers", 1), 1)
        if getattr(self, "use_multiprocessing", False):
            yield from self._by_processes(order, workers)
        elif workers > 1:
            yield from map_ordered(self._located_batch, order, workers, self.max_queue_size)
        else:
            yield from map(self._located_batch, order)
        self.on_epoch_end()

    def _located_batch(self, index: int) -> Tree:
        try:
            return self[index]
        except Exception as error:
            raise add_location(error, f"in batch {index} of {type(self).__name__}") from error

    def _by_processes(self, order: Iterable[int], workers: int) -> Iterator[Any]:
        import multiprocessing
        from concurrent.futures.process import BrokenProcessPool, ProcessPoolExecutor

        # A spawned process cannot import a class of the script itself, or would run the script again: fork
        # those where the system can.
        scripted = type(self).__module__ == "__main__" and "fork" in multiprocessing.get_all_start_methods()
        context = multiprocessing.get_context("fork" if scripted else "spawn")
        # Each process receives the dataset once. Processes are new in every pass, as on_epoch_end may have
        # changed it.
        pool = ProcessPoolExecutor(workers, context, initializer=_set_worker_dataset, initargs=(self,))
        known = {child.pid for child in multiprocessing.active_children()}

        def warn_of_stopped() -> None:
            for child in multiprocessing.active_children():
                if child.pid not in known and _is_stopped(child.pid):
                    known.add(child.pid)
                    warn_user(
                        f"the worker process {child.pid} of {type(self).__name__} is stopped (SIGSTOP), and "
                        f"its batch is waited for: kill -CONT {child.pid} lets it go on"
                    )

        try:
            yield from map_ordered(
                _worker_batch, order, workers, self.max_queue_size, pool, while_waiting=warn_of_stopped
            )
        except BrokenProcessPool as error:
            location = f"in a worker process of {type(self).__name__}: was it killed, or out of memory?"
            raise add_location(error, location) from None


def _is_stopped(pid: int | None) -> bool:
    """Return whether a process is stopped by a signal, as far as the system tells (Linux)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0] == "T"
    except (OSError, IndexError):
        return False


_worker_dataset: list[PyDataset] = []


def _set_worker_dataset(dataset: PyDataset) -> None:
    """Store the dataset of a worker process."""
    _worker_dataset[:] = [dataset]


def _worker_batch(index: int) -> Tree:
    return _worker_dataset[0]._located_batch(index)
