"""Stages of a pipeline. A `Stage` holds the stages before it and iterates over its elements."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np

from hornbeam._internal.context import context_variable, override
from hornbeam._internal.typing import Tree
from hornbeam.data import elements as e
from hornbeam.data.pipeline.prefetch import Prefetcher, prefetch_if_worthwhile
from hornbeam.engines import current_engine
from hornbeam.random import host_bits, host_key, host_permutation

T = TypeVar("T")

# Results of `count()` for infinite pipelines, and for those whose length is only known by iterating.
INFINITE = -1
UNKNOWN = -2

# Set while the first element is inspected: nothing is shuffled then, and no thread is started.
is_peeking = context_variable("peeking at data", False)


class ArrayRows(NamedTuple):
    """Elements that are rows of arrays: the arrays, and a function for the row numbers of a pass."""

    arrays: Tree
    order: Callable[[], Iterator[int]]


class Reordered(Protocol):
    """A stage whose order depends on a seed and, if it `reshuffles`, on the number of passes before."""

    seed: int
    passes: int
    reshuffles: bool


class Sharded(Protocol):
    """A source of shards, with the numbers of elements of those that are known (-1: unknown)."""

    lengths: list[int]


class Stage:
    """One stage of a pipeline. `name` is used in errors and in the representation of the Dataset."""

    name = "step"

    def __init__(self, *inputs: Stage) -> None:
        self.inputs = inputs

    @property
    def source(self) -> Stage:
        """The preceding stage, for stages with one input."""
        return self.inputs[0]

    @property
    def number(self) -> int:
        """Position in the pipeline, from 1."""
        return 1 + max((stage.number for stage in self.inputs), default=0)

    def pipeline_names(self) -> list[str]:
        """Return the names of the stages from the first input to this one."""
        return [*(self.source.pipeline_names() if self.inputs else ()), self.name]

    def run(self) -> Iterator[Any]:
        """Iterate over the elements once."""
        raise NotImplementedError

    def run_from(self, start: int) -> Iterator[Any]:
        """Iterate as `run()`, but skip the first `start` elements, without computing them if possible."""
        return itertools.islice(self.run(), start, None)

    def blocks(self, start: int) -> Iterator[Any] | None:
        """Iterate from element `start` in blocks of rows. None for stages that yield single elements."""
        return None

    def count(self) -> int:
        """Return the number of elements, INFINITE or UNKNOWN."""
        return self.source.count()

    def spec(self) -> Tree:
        """Return the spec of the elements: by default that of the first one."""
        with peeking():
            for first in self.run():
                return e.spec_of(first)
        raise ValueError(f"the spec of the elements is unknown: {self.name} yields no element")

    def rows(self) -> ArrayRows | None:
        """Return the elements as rows of arrays, or None for other pipelines."""
        return None

    def samples_and_batch_size(self) -> tuple[int, int] | tuple[None, None]:
        """Return how many samples a pass has, and a batch of it, if the elements are batches and both are
        known."""
        return None, None

    def shuffles(self) -> Iterator[Reordered]:
        """Yield the stages up to this one that have an order of their own, most a new one in every pass."""
        for stage in self.inputs:
            yield from stage.shuffles()

    def shard_sources(self) -> Iterator[Sharded]:
        """Yield the sources of this stage that read shards."""
        for stage in self.inputs:
            yield from stage.shard_sources()


def peeking() -> override[bool]:
    """Run stages without threads and without changing their state."""
    return override(is_peeking, True)


# -- sources -----------------------------------------------------------------------------------------------


class Slices(Stage):
    """Rows of arrays."""

    def __init__(self, arrays: Tree, name: str = "from_tensor_slices") -> None:
        super().__init__()
        self.name = name
        self.arrays = arrays
        self.length = e.count_rows(arrays, name)

    def run(self) -> Iterator[Any]:
        return (e.take_row(self.arrays, index) for index in range(self.length))

    def count(self) -> int:
        return self.length

    def spec(self) -> Tree:
        return e.row_specs(e.spec_of(self.arrays))

    def rows(self) -> ArrayRows:
        return ArrayRows(self.arrays, lambda: iter(range(self.length)))


class IteratorSource(Stage):
    """Elements of the iterator that `make()` returns for every pass."""

    def __init__(self, make: Callable[[], Iterator[Any]], name: str, count: int, spec: Tree = None) -> None:
        super().__init__()
        self.name = name
        self._make, self._count, self._spec = make, count, spec

    def run(self) -> Iterator[Any]:
        return self._make()

    def count(self) -> int:
        return self._count

    def spec(self) -> Tree:
        return super().spec() if self._spec is None else self._spec


# -- selection and order -------------------------------------------------------------------------------------


class IndexTransform(Stage):
    """Stage that does not read its elements, so that it can be applied to row numbers instead."""

    def transform(self, run: Callable[[], Iterator[T]]) -> Iterator[T]:
        """Select and reorder the items of `run()`."""
        raise NotImplementedError

    def run(self) -> Iterator[Any]:
        table = self.rows()
        if table is None:
            return self.transform(self.source.run)
        return (e.take_row(table.arrays, index) for index in table.order())

    def spec(self) -> Tree:
        return self.source.spec()

    def rows(self) -> ArrayRows | None:
        source = self.source.rows()
        return None if source is None else ArrayRows(source.arrays, lambda: self.transform(source.order))


class Shuffle(IndexTransform):
    """Elements in random order, drawn from a buffer that is refilled from the source."""

    name = "shuffle"
    # Number of draws that are computed at a time.
    BLOCK = 1024

    def __init__(self, source: Stage, buffer_size: int, seed: int, reshuffles: bool) -> None:
        super().__init__(source)
        self.buffer_size, self.seed, self.reshuffles = buffer_size, seed, reshuffles
        self.passes = 0

    def transform(self, run: Callable[[], Iterator[T]]) -> Iterator[T]:
        if is_peeking.get():
            yield from run()
            return
        yield from self._shuffled(run(), self._begin_pass())

    def run_from(self, start: int) -> Iterator[Any]:
        """See `Stage.run_from`. Replays the draws on numbers, and reads only what the buffer holds then."""
        if start == 0 or is_peeking.get() or self.rows() is not None:
            yield from super().run_from(start)
            return
        number = self._begin_pass()
        draws, end = self._draws(number), self.buffer_size + start
        # If the source ends early, the last draws were never made: keep what the buffer held before them.
        certain = max(end - 2 * self.buffer_size, 0)
        buffer = list(range(self.buffer_size))
        self._replay(buffer, draws, 0, certain)
        first, kept = min(buffer), set(buffer)
        self._replay(buffer, draws, certain, start)
        source, length, items = self.source.run_from(first), first, {}
        for length, item in zip(range(first + 1, end + 1), source, strict=False):
            if length > self.buffer_size + certain or length - 1 in kept:
                items[length - 1] = item
        if length == end:
            rest = [items[index] for index in buffer]
            items.clear()
            yield from self._drawn(rest, source, draws, number)
        else:
            order = itertools.islice(self._shuffled(iter(range(length)), number), start, None)
            yield from (items.pop(index) for index in order)

    def _replay(self, buffer: list[int], draws: Iterator[int], start: int, stop: int) -> None:
        """Make draws of a pass for numbers of elements."""
        for index, position in zip(
            range(self.buffer_size + start, self.buffer_size + stop), draws, strict=False
        ):
            buffer[position] = index

    def _begin_pass(self) -> int:
        number = self.passes if self.reshuffles else 0
        self.passes += 1
        return number

    def _shuffled(self, source: Iterator[T], number: int) -> Iterator[T]:
        buffer = list(itertools.islice(source, self.buffer_size))
        return self._drawn(buffer, source, self._draws(number), number)

    def _drawn(self, buffer: list[T], source: Iterator[T], draws: Iterator[int], number: int) -> Iterator[T]:
        for item in source:
            index = next(draws)
            drawn, buffer[index] = buffer[index], item
            yield drawn
        for index in host_permutation(self.seed, len(buffer), number).tolist():
            yield buffer[index]

    def shuffles(self) -> Iterator[Reordered]:
        yield from super().shuffles()
        yield self

    def _draws(self, number: int) -> Iterator[int]:
        """Yield random indices into a full buffer, without end."""
        for block in itertools.count():
            words = host_bits(host_key(self.seed, number, block), self.BLOCK)
            yield from (words % np.uint32(self.buffer_size)).tolist()


class Repeat(IndexTransform):
    """The source, repeated `times` times, or without end (None)."""

    def __init__(self, source: Stage, times: int | None) -> None:
        super().__init__(source)
        self.times = times
        self.name = "repeat()" if times is None else f"repeat({times})"

    def transform(self, run: Callable[[], Iterator[T]]) -> Iterator[T]:
        for _ in itertools.count() if self.times is None else range(self.times):
            item = nothing = object()
            for item in run():
                yield item
            if item is nothing:  # an empty source would be repeated forever
                return

    def run_from(self, start: int) -> Iterator[Any]:
        """See `Stage.run_from`. Of each pass that is skipped, the last element is computed: the next pass
        depends on what the stages before draw."""
        length = self.source.count()
        if length <= 0 or self.rows() is not None:
            yield from super().run_from(start)
            return
        skipped, offset = divmod(start, length)
        for _ in range(skipped):
            for _ in self.source.run_from(length - 1):
                pass
        for number in itertools.count(skipped) if self.times is None else range(skipped, self.times):
            yield from self.source.run_from(offset if number == skipped else 0)

    def count(self) -> int:
        source_count = self.source.count()
        if self.times == 0 or source_count == 0:
            return 0
        if self.times is None:
            return INFINITE
        return source_count if source_count < 0 else source_count * self.times


class Subsequence(IndexTransform):
    """Elements start, start + step, ... of the source, before element `stop`."""

    def __init__(self, source: Stage, start: int, stop: int | None, step: int, name: str) -> None:
        super().__init__(source)
        self.start, self.stop, self.step, self.name = start, stop, step, name

    def transform(self, run: Callable[[], Iterator[T]]) -> Iterator[T]:
        return itertools.islice(run(), self.start, self.stop, self.step)

    def run_from(self, start: int) -> Iterator[Any]:
        """See `Stage.run_from`."""
        if self.rows() is not None:
            return super().run_from(start)
        first = self.start + start * self.step
        rest = None if self.stop is None else max(self.stop - first, 0)
        return itertools.islice(self.source.run_from(first), 0, rest, self.step)

    def count(self) -> int:
        source_count = self.source.count()
        if source_count == UNKNOWN:
            return 0 if self.stop == 0 else UNKNOWN
        if source_count == INFINITE:
            if self.stop is None:
                return INFINITE
            source_count = self.stop
        return len(range(source_count)[self.start : self.stop : self.step])


class MemoryCache(IndexTransform):
    """Elements of the first complete pass, cached in memory."""

    name = "cache"

    def __init__(self, source: Stage) -> None:
        super().__init__(source)
        self._items: list[Any] | None = None

    def transform(self, run: Callable[[], Iterator[T]]) -> Iterator[T]:
        if self._items is None:
            items: list[T] = []
            for item in run():
                items.append(item)
                yield item
            if not is_peeking.get():
                self._items = items
        else:
            yield from self._items


class Prefetch(Stage):
    """Elements computed ahead of their use by a thread. depth: None prefetches only where it pays."""

    name = "prefetch"

    def __init__(self, source: Stage, depth: int | None) -> None:
        super().__init__(source)
        self.depth = depth

    def run(self) -> Iterator[Any]:
        return self._ahead(self.source.run())

    def run_from(self, start: int) -> Iterator[Any]:
        """See `Stage.run_from`."""
        return self._ahead(self.source.run_from(start))

    def _ahead(self, elements: Iterator[Any]) -> Iterator[Any]:
        if is_peeking.get() or self.rows() is not None or self.depth == 0:
            return elements
        if self.depth is None:
            return prefetch_if_worthwhile(elements, current_engine().threads)
        return _prefetch(elements, self.depth)

    def samples_and_batch_size(self) -> tuple[int, int] | tuple[None, None]:
        return self.source.samples_and_batch_size()

    def spec(self) -> Tree:
        return self.source.spec()

    def rows(self) -> ArrayRows | None:
        return self.source.rows()


def _prefetch(source: Iterator[Any], depth: int) -> Iterator[Any]:
    prefetcher = Prefetcher(source, depth)
    del source
    with closing(prefetcher):
        yield from prefetcher
