"""`PyDataset`: batches by number, made by workers in the order in which they are used."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from hornbeam.core.registry import exported
from hornbeam.data.errors import located
from hornbeam.data.pipeline.prefetch import in_order

Order = Callable[[int], np.ndarray]


@exported("keras.utils")
class PyDataset:
    """Batches by number: a subclass defines `__getitem__(index)`, which returns a batch `(x, y)`, and
    `__len__`.

    workers: threads (or processes, with use_multiprocessing) that prepare batches ahead; the order does not
    depend on
    them. max_queue_size: how many batches are prepared ahead at most.

    >>> class Squares(hornbeam.utils.PyDataset):
    ...     def __len__(self): return 10
    ...     def __getitem__(self, i): return np.ones((4, 1)) * i, np.ones((4, 1)) * i * i
    """

    def __init__(self, workers: int = 1, use_multiprocessing: bool = False, max_queue_size: int = 10) -> None:
        self.workers = workers
        self.use_multiprocessing = use_multiprocessing
        self.max_queue_size = max_queue_size

    def __getitem__(self, index: int) -> Any:
        raise NotImplementedError(
            f"{type(self).__name__} must define __getitem__(index), which returns one batch"
        )

    @property
    def num_batches(self) -> int | None:
        """Number of batches in an epoch: `len(self)`, or None for a dataset without an end."""
        if hasattr(self, "__len__"):
            return len(self)
        return None

    def on_epoch_begin(self) -> None:
        """Called before every pass."""

    def on_epoch_end(self) -> None:
        """Called after every pass."""

    def __iter__(self) -> Iterator[Any]:
        return self._batches(None)

    def _batches(self, shuffle: Order | None) -> Iterator[Any]:
        """One pass, in an order given by `shuffle(number)`."""
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
            yield from in_order(self._numbered_batch, order, workers, self.max_queue_size)
        else:
            yield from map(self._numbered_batch, order)
        self.on_epoch_end()

    def _numbered_batch(self, index: int) -> Any:
        try:
            return self[index]
        except Exception as error:
            raise located(error, f"in batch {index} of {type(self).__name__}") from error

    def _by_processes(self, order: Iterable[int], workers: int) -> Iterator[Any]:
        import multiprocessing
        from concurrent.futures.process import BrokenProcessPool, ProcessPoolExecutor

        # A fresh process cannot import a class of the script itself, or would run the script again: those are
        # forked where the system can.
        scripted = type(self).__module__ == "__main__" and "fork" in multiprocessing.get_all_start_methods()
        context = multiprocessing.get_context("fork" if scripted else "spawn")
        # Each process gets the dataset once. They are new ones every pass: on_epoch_end may have changed it.
        pool = ProcessPoolExecutor(workers, context, initializer=_hold, initargs=(self,))
        try:
            yield from in_order(_held_batch, order, workers, self.max_queue_size, pool)
        except BrokenProcessPool as error:
            place = f"while batches of {type(self).__name__} were made: was it killed, or out of memory?"
            raise located(error, place) from None


_held: list[PyDataset] = []


def _hold(dataset: PyDataset) -> None:
    """In a worker process: the dataset that its batches are of."""
    _held[:] = [dataset]


def _held_batch(index: int) -> Any:
    return _held[0]._numbered_batch(index)
