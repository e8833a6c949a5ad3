"""Arrays in memory as training data: batches are matrices of row numbers."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from hornbeam.data.pipeline.dataset import Dataset
from hornbeam.data.pipeline.py_dataset import Order
from hornbeam.engines import Engine
from hornbeam.training.batches import rows_for
from hornbeam.training.data_cursor import DataCursor
from hornbeam.training.packing import Batch, Signature
from hornbeam.training.sparse_rows import SparseRows

# Memory for the rows of sparse arrays that are dense at a time.
_DENSE_BYTES = 1 << 26


class ArrayData:
    """Arrays in memory, from which batches are taken by row number.

    table: the arrays, as one batch of all samples. rows: numbers of the rows that take part, None for all.
    order: function from n to a permutation of n, or None to keep the order. by_batch: permute whole batches.
    """

    in_memory = True
    # True if passes repeat without an end.
    endless = False
    # True if all rows of the arrays take part.
    uses_all_rows = True

    def __init__(
        self,
        table: Batch,
        batch_size: int,
        rows: np.ndarray | None = None,
        order: Order | None = None,
        by_batch: bool = False,
    ) -> None:
        self.table = table
        self.batch_size = batch_size
        self.rows = rows
        self.order = order
        self.by_batch = by_batch
        self.samples: int | None = len(table.leaves[0]) if rows is None else len(rows)
        # Batches of a pass.
        self.steps: int | None = -(-self.samples // batch_size)
        # Batches of the present pass that are still to come, as matrices of row numbers.
        self._rest: list[np.ndarray] = []
        self.cursor = DataCursor()
        self._buffers: tuple[Engine, list[Any]] | None = None
        self._signatures: dict[int, Signature] = {}
        self._sparse = any(isinstance(leaf, SparseRows) for leaf in table.leaves)

    @property
    def known(self) -> Batch:
        """Samples at hand before the first step: all of them, of a stream the first batch."""
        return self.table

    def buffers(self, engine: Engine) -> list[Any]:
        """Return the arrays as buffers of `engine`, copied there once."""
        if self._buffers is None or self._buffers[0] is not engine:
            self._buffers = engine, [rows_for(engine, array) for array in self.table.leaves]
        return self._buffers[1]

    def chunk(self, engine: Engine, rows: np.ndarray) -> tuple[list[Any], np.ndarray]:
        """Return buffers of `engine` with the data of steps on `rows`, and the places of the rows in them.

        Of sparse arrays only these rows are made dense.
        """
        if not self._sparse:
            return self.buffers(engine), rows
        used = self.table.take(rows.reshape(-1))
        buffers = [rows_for(engine, array) for array in used.leaves]
        return buffers, np.arange(rows.size).reshape(rows.shape)

    def most_steps(self, batch_size: int) -> int | None:
        """Return how many steps a chunk may have at most, None if there is no limit."""
        if not self._sparse:
            return None
        row_bytes = sum(math.prod(leaf.shape[1:]) * leaf.dtype.itemsize for leaf in self.table.leaves)
        return max(_DENSE_BYTES // max(row_bytes * batch_size, 1), 1)

    def signature(self, size: int) -> Signature:
        """Return the types of a batch of `size` samples."""
        signature = self._signatures.get(size)
        if signature is None:
            signature = self._signatures[size] = self.table.signature(size)
        return signature

    def signatures(self, steps: int | None) -> list[Signature]:
        """Return the types of the batches in an epoch of `steps` steps: of full ones, and of the last one."""
        count = self.samples or 0
        last = (steps is None and count % self.batch_size) or self.batch_size
        sizes = {min(self.batch_size, count), last}
        return [self.signature(size) for size in sorted(sizes, reverse=True) if size <= count]

    def slices(self, steps: int | None) -> Iterator[Batch]:
        """Yield the batches of one pass in order, or the first `steps` of them."""
        for start in range(0, len(self.table), self.batch_size)[:steps]:
            yield self.table.take(slice(start, start + self.batch_size))

    def row_order(self) -> np.ndarray:
        """Draw the row numbers of a pass, in order."""
        assert self.samples is not None
        count, size = self.samples, self.batch_size
        if self.order is None:
            order = np.arange(count)
        elif self.by_batch:
            starts = np.arange(0, count, size)[self.order(-(-count // size))]
            order = np.concatenate([np.arange(start, min(start + size, count)) for start in starts])
        else:
            order = self.order(count)
        return (order if self.rows is None else self.rows[order]).astype(np.int64, copy=False)

    def _begin_pass(self) -> list[np.ndarray]:
        """Draw a pass, as matrices (steps, batch): the full batches, then the smaller last one."""
        self.cursor.begin_pass()
        order, size = self.row_order(), self.batch_size
        full = len(order) // size
        parts = [order[: full * size].reshape(full, size)] if full else []
        if len(order) > full * size:
            parts.append(order[None, full * size :])
        return parts

    def rewind(self) -> None:
        """Start again at the first batch."""
        self._rest = []
        self.cursor.reset()

    def epoch(self, steps: int | None = None) -> Iterator[np.ndarray]:
        """Yield the row numbers of an epoch: a pass, or its next `steps` batches.

        Batches that the last epoch, or `seek`, left come first. An epoch ends with the pass, unless passes
        repeat without an end.
        """
        if steps is None:
            parts, self._rest = self._rest or self._begin_pass(), []
            yield from parts
            return
        if not self._rest:
            self._rest = self._begin_pass()
        while steps:
            if not self._rest:
                if not self.endless:
                    return
                self._rest = self._begin_pass()
            part = self._rest.pop(0)
            if len(part) > steps:
                self._rest.insert(0, part[steps:])
                part = part[:steps]
            steps -= len(part)
            yield part

    @property
    def description(self) -> dict[str, Any]:
        """Properties that must be equal for a training to resume in the middle of a pass."""
        return {"samples": self.samples, "batch_size": self.batch_size}

    @property
    def at_end(self) -> bool:
        """True if the present pass has no more batches."""
        return not self._rest

    def position(self) -> dict[str, Any]:
        """Return the position after the batches that were consumed; see `DataCursor`."""
        rows = None if self.rows is None else self.rows.astype(np.uint32)  # a split was drawn, once
        return {**self.cursor.position(at_end=self.cursor.consumed_in_pass == self.steps), "rows": rows}

    def _fits(self, rows: np.ndarray) -> bool:
        """Return whether a checkpoint's rows can be those of a split of these data."""
        assert self.rows is not None
        return rows.shape == self.rows.shape and bool((rows < len(self.table)).all())

    def seek(self, position: dict[str, Any]) -> None:
        """Continue after the batches that were consumed at `position`.

        Global random states are set to those after the draws for these batches.
        """
        rows = position["rows"]
        if (rows is None) != (self.rows is None) or (rows is not None and not self._fits(rows)):
            raise ValueError("the resumed training used other rows of the data")
        skip = self.cursor.seek(position)
        self._rest = []
        if rows is not None:
            self.rows = rows.astype(np.int64)
        if skip is None:
            return
        if self.steps is not None and skip > self.steps:
            raise ValueError(f"a pass over the data has {self.steps} batches, where {skip} were used before")
        left = skip
        for part in self._begin_pass():
            if len(part) > left:
                self._rest.append(part[left:])
            left = max(left - len(part), 0)
        self.cursor.mark_skipped(skip)


class TableData(ArrayData):
    """A Dataset of `count` rows of arrays in memory, which draws its own order for every pass."""

    def __init__(
        self,
        table: Batch,
        batch_size: int,
        count: int,
        order: Callable[[], Iterator[int]],
        endless: bool,
        source: Dataset | None = None,
    ) -> None:
        super().__init__(table, batch_size)
        self.cursor = DataCursor(source)
        self.samples, self.steps, self.endless = count, -(-count // batch_size), endless
        self.uses_all_rows = count == len(table)
        self._order = order

    def row_order(self) -> np.ndarray:
        assert self.samples is not None
        return np.fromiter(itertools.islice(self._order(), self.samples), np.int64, self.samples)
