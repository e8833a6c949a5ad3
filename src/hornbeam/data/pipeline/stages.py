"""The steps of a pipeline. A `Stage` knows the stages before it and how to run through its elements once."""

from __future__ import annotations

import contextvars
import itertools
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any, NamedTuple, TypeVar

import numpy as np

from hornbeam.data import elements as e
from hornbeam.data.pipeline.prefetch import Ahead, prefetch_if_worthwhile
from hornbeam.engines import current_engine
from hornbeam.random import host_bits, host_key, host_permutation

T = TypeVar("T")

# What `count()` says of a pipeline without an end, and of one whose length shows when it is run.
INFINITE = -1
UNKNOWN = -2

# Set while the first element is looked at: nothing is shuffled then, and no thread is started.
looking: contextvars.ContextVar[bool] = contextvars.ContextVar("peeking", default=False)


class Table(NamedTuple):
    """Elements that are rows of arrays in memory: the arrays, and how to run through the row numbers once."""

    arrays: Any
    order: Callable[[], Iterator[int]]


class Stage:
    """A step. `name` stands in errors and in the Dataset's description."""

    name = "step"

    def __init__(self, *before: Stage) -> None:
        self.before = before

    @property
    def source(self) -> Stage:
        """The stage before, of those that have one."""
        return self.before[0]

    @property
    def number(self) -> int:
        """The place in the pipeline, from 1 on."""
        return 1 + max((stage.number for stage in self.before), default=0)

    def run(self) -> Iterator[Any]:
        """Run through the elements once."""
        raise NotImplementedError

    def count(self) -> int:
        """How many elements there are, or INFINITE, or UNKNOWN."""
        return self.source.count()

    def spec(self) -> Any:
        """The form of the elements: as the first one has it, where nothing better is known."""
        with peeking():
            for first in self.run():
                return e.spec_of(first)
        raise ValueError(f"the elements' form cannot be seen: {self.name} gives none")

    def table(self) -> Table | None:
        """The elements as rows of arrays, if that is what they are."""
        return None

    def shuffles(self) -> Iterator[Shuffle]:
        """This stage and those before it that have an order of their own for every pass."""
        for stage in self.before:
            yield from stage.shuffles()


@contextmanager
def peeking() -> Iterator[None]:
    """Inside, stages run without threads and keep to themselves that they did."""
    token = looking.set(True)
    try:
        yield
    finally:
        looking.reset(token)


# -- sources -----------------------------------------------------------------------------------------------


class Slices(Stage):
    """The rows of arrays."""

    def __init__(self, arrays: Any, name: str = "from_tensor_slices") -> None:
        super().__init__()
        self.name = name
        self.arrays = arrays
        self.length = e.count_of(arrays, name)

    def run(self) -> Iterator[Any]:
        return (e.row_of(self.arrays, index) for index in range(self.length))

    def count(self) -> int:
        return self.length

    def spec(self) -> Any:
        return e.map_specs(e.TensorSpec.row, e.spec_of(self.arrays))

    def table(self) -> Table:
        return Table(self.arrays, lambda: iter(range(self.length)))


class Listed(Stage):
    """Elements that stand in a sequence, or that `make()` gives when it runs."""

    def __init__(self, make: Callable[[], Iterator[Any]], name: str, count: int, spec: Any = None) -> None:
        super().__init__()
        self.name = name
        self._make, self._count, self._spec = make, count, spec

    def run(self) -> Iterator[Any]:
        return self._make()

    def count(self) -> int:
        return self._count

    def spec(self) -> Any:
        return super().spec() if self._spec is None else self._spec


# -- which elements come, and in which order -----------------------------------------------------------------


class Rearranging(Stage):
    """A stage that looks at no element. What it does to elements it can do to the numbers of rows instead."""

    def arrange(self, run: Callable[[], Iterator[T]]) -> Iterator[T]:
        """The items that `run()` gives, rearranged."""
        raise NotImplementedError

    def run(self) -> Iterator[Any]:
        table = self.table()
        if table is None:
            return self.arrange(self.source.run)
        return (e.row_of(table.arrays, index) for index in table.order())

    def spec(self) -> Any:
        return self.source.spec()

    def table(self) -> Table | None:
        below = self.source.table()
        return None if below is None else Table(below.arrays, lambda: self.arrange(below.order))


class Shuffle(Rearranging):
    """Elements in random order: drawn from a buffer that is filled up from the source."""

    name = "shuffle"
    # Draws are made in blocks of so many.
    BLOCK = 1024

    def __init__(self, source: Stage, buffer_size: int, seed: int, reshuffles: bool) -> None:
        super().__init__(source)
        self.buffer_size, self.seed, self.reshuffles = buffer_size, seed, reshuffles
        self.passes = 0

    def arrange(self, run: Callable[[], Iterator[T]]) -> Iterator[T]:
        if looking.get():
            yield from run()
            return
        number = self.passes if self.reshuffles else 0
        self.passes += 1
        source = run()
        buffer = list(itertools.islice(source, self.buffer_size))
        draws = self._draws(number)
        for item in source:
            place = next(draws)
            drawn, buffer[place] = buffer[place], item
            yield drawn
        for place in host_permutation(self.seed, len(buffer), number).tolist():
            yield buffer[place]

    def shuffles(self) -> Iterator[Shuffle]:
        yield from super().shuffles()
        yield self

    def _draws(self, number: int) -> Iterator[int]:
        """Places in a full buffer, without end."""
        for block in itertools.count():
            words = host_bits(host_key(self.seed, number, block), self.BLOCK)
            yield from (words % np.uint32(self.buffer_size)).tolist()


class Repeat(Rearranging):
    """The source again and again."""

    def __init__(self, source: Stage, times: int | None) -> None:
        super().__init__(source)
        self.times = times
        self.name = "repeat()" if times is None else f"repeat({times})"

    def arrange(self, run: Callable[[], Iterator[T]]) -> Iterator[T]:
        for _ in itertools.count() if self.times is None else range(self.times):
            item = nothing = object()
            for item in run():
                yield item
            if item is nothing:  # an empty source would be repeated for ever
                return

    def count(self) -> int:
        below = self.source.count()
        if self.times == 0 or below == 0:
            return 0
        if self.times is None:
            return INFINITE
        return below if below < 0 else below * self.times


class Part(Rearranging):
    """Elements start, start + step, ... of the source, before number `stop`."""

    def __init__(self, source: Stage, start: int, stop: int | None, step: int, name: str) -> None:
        super().__init__(source)
        self.start, self.stop, self.step, self.name = start, stop, step, name

    def arrange(self, run: Callable[[], Iterator[T]]) -> Iterator[T]:
        return itertools.islice(run(), self.start, self.stop, self.step)

    def count(self) -> int:
        below = self.source.count()
        if below == UNKNOWN:
            return 0 if self.stop == 0 else UNKNOWN
        if below == INFINITE:
            if self.stop is None:
                return INFINITE
            below = self.stop
        return len(range(below)[self.start : self.stop : self.step])


class Kept(Rearranging):
    """The elements of the first whole pass, kept in memory."""

    name = "cache"

    def __init__(self, source: Stage) -> None:
        super().__init__(source)
        self._items: list[Any] | None = None

    def arrange(self, run: Callable[[], Iterator[T]]) -> Iterator[T]:
        if self._items is None:
            items: list[T] = []
            for item in run():
                items.append(item)
                yield item
            if not looking.get():
                self._items = items
        else:
            yield from self._items


class Prefetch(Stage):
    """Elements made ahead of their use by a thread, where that pays."""

    name = "prefetch"

    def __init__(self, source: Stage, depth: int | None) -> None:
        super().__init__(source)
        self.depth = depth

    def run(self) -> Iterator[Any]:
        if looking.get() or self.table() is not None or self.depth == 0:
            return self.source.run()
        if self.depth is None:
            return prefetch_if_worthwhile(self.source.run(), current_engine().threads)
        return _read_ahead(self.source.run(), self.depth)

    def spec(self) -> Any:
        return self.source.spec()

    def table(self) -> Table | None:
        return self.source.table()


def _read_ahead(source: Iterator[Any], depth: int) -> Iterator[Any]:
    ahead = Ahead(source, depth)
    del source
    with closing(ahead):
        yield from ahead
