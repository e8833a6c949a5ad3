"""Steps of a pipeline that look at elements: functions of them, batches, several sources in one."""

from __future__ import annotations

import functools
import itertools
import os
import warnings
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import numpy as np

from hornbeam import tree
from hornbeam.data import elements as e
from hornbeam.data.errors import describe, located
from hornbeam.data.pipeline.prefetch import in_order, in_order_where_it_pays
from hornbeam.data.pipeline.replay import Replay
from hornbeam.data.pipeline.stages import INFINITE, UNKNOWN, Slices, Stage, Table, looking
from hornbeam.random import SharedDraws

T = TypeVar("T")

# -- functions of elements -----------------------------------------------------------------------------


def calling(function: Callable[..., Any]) -> Callable[[Any], Any]:
    """`function` as one of an element: tuples are unpacked, parts are Tensors and Strings."""

    def call(element: Any) -> Any:
        seen = e.presented(element)
        return function(*seen) if isinstance(seen, tuple) else function(seen)

    return call


class Calls:
    """What the calls of one pass share: draws, and the tapes of a function that can be replayed."""

    def __init__(self, function: Callable[..., Any] | None) -> None:
        self.draws = SharedDraws(not looking.get())
        self.replay = None if function is None else Replay.of(function)


class Calling(Stage):
    """A stage that calls a function of the user's; errors say at which element."""

    def __init__(
        self, source: Stage, function: Callable[..., Any], name: str, as_it_is: bool = False
    ) -> None:
        super().__init__(source)
        if not callable(function):
            raise TypeError(f"{name} needs a function, got {type(function).__name__}")
        self.function = function
        self.name = f"{name}({describe(function)})"
        self._call = function if as_it_is else calling(function)
        self._replayed = None if as_it_is else function

    def calls(self) -> Calls:
        """For a new pass."""
        return Calls(self._replayed)

    def called(self, calls: Calls, numbered: tuple[int, Any]) -> Any:
        """What the function makes of an element, as an element."""
        index, element = numbered
        try:
            if calls.replay is not None:
                parts = tree.flatten(element)
                tape = calls.replay.tape(element, parts)
                if tape is not None:
                    return tape.run(parts)
            with calls.draws.item(index):
                return e.element_of(self._call(element))
        except Exception as error:
            raise located(
                error, f"in step {self.number} of the data, {self.name}, element {index}"
            ) from error


class Map(Calling):
    """A function of every element, in order, by one thread or several.

    workers: None for one a processor, where that pays. as_it_is: the function takes elements as they are
    inside of a pipeline.
    """

    def __init__(
        self, source: Stage, function: Callable[..., Any], workers: int | None, as_it_is: bool = False
    ) -> None:
        super().__init__(source, function, "map", as_it_is)
        self.workers = workers

    def run(self) -> Iterator[Any]:
        return self.results(functools.partial(self.called, self.calls()))

    def results(self, function: Callable[[tuple[int, Any]], T]) -> Iterator[T]:
        """`function((number, element))` of every element."""
        numbered = enumerate(self.source.run())
        if looking.get() or self.workers == 1:
            return map(function, numbered)
        if self.workers is None:
            return in_order_where_it_pays(function, numbered, os.cpu_count() or 1)
        return in_order(function, numbered, self.workers)

    def spec(self) -> Any:
        """As the first result has it; a first axis that varies in the source varies here too."""
        found, source = super().spec(), self.source.spec()
        shapes = [spec.shape for spec in e.parts_of(source) if isinstance(spec, e.TensorSpec)]
        varies = all(shape and shape[0] is None for shape in shapes)
        return e.map_specs(_any_first, found) if varies else found


def _any_first(spec: e.TensorSpec) -> e.TensorSpec:
    return spec.with_shape((None, *spec.shape[1:])) if spec.shape else spec


class Filter(Calling):
    """The elements for which a function is true."""

    def __init__(self, source: Stage, predicate: Callable[..., Any], until: bool = False) -> None:
        super().__init__(source, predicate, "take_while" if until else "filter")
        self.until = until

    def run(self) -> Iterator[Any]:
        calls = self.calls()
        for index, element in enumerate(self.source.run()):
            if self.called(calls, (index, element)):
                yield element
            elif self.until:
                return

    def count(self) -> int:
        return UNKNOWN

    def spec(self) -> Any:
        return self.source.spec()


class Interleave(Calling):
    """The elements of the datasets that a function returns: `block` of each of `cycle` in turn."""

    def __init__(
        self, source: Stage, function: Callable[..., Any], cycle: int, block: int, name: str = "interleave"
    ) -> None:
        super().__init__(source, function, name)
        self.cycle, self.block = cycle, block

    def opened(self, calls: Calls, numbered: tuple[int, Any]) -> Iterator[Any]:
        """A run through the dataset that the function makes of an element."""
        made = self.called(calls, numbered)
        if not e.is_pipeline(made):
            raise TypeError(
                f"the function given to {self.name} must return a Dataset, got {type(made).__name__}"
            )
        return made._stage.run()

    def run(self) -> Iterator[Any]:
        waiting = map(functools.partial(self.opened, self.calls()), enumerate(self.source.run()))
        open_runs: list[Iterator[Any] | None] = [None] * self.cycle
        place, ended = 0, False
        while not ended or any(run is not None for run in open_runs):
            run = open_runs[place]
            if run is None and not ended:
                run = open_runs[place] = next(waiting, None)
                ended = run is None
            if run is not None:
                given = 0
                for element in itertools.islice(run, self.block):
                    given += 1
                    yield element
                if given < self.block:
                    open_runs[place] = None
            place = (place + 1) % self.cycle

    def count(self) -> int:
        return 0 if self.source.count() == 0 else UNKNOWN


class Sound(Stage):
    """The elements that the source can make, where it is a map; others are left out.

    most: how many at most in a pass, the next error comes up; None for any number.
    """

    name = "ignore_errors"

    def __init__(self, source: Stage, warns: bool, most: int | None = None) -> None:
        super().__init__(source)
        if not isinstance(source, Map):
            raise ValueError(
                f"ignore_errors() stands right after the map() that may fail, not after {source.name}"
            )
        self.map, self.warns, self.most = source, warns, most

    def run(self) -> Iterator[Any]:
        left_out = 0
        for made in self.map.results(functools.partial(self._tried, self.map.calls())):
            if not isinstance(made, Exception):
                yield made[0]
                continue
            left_out += 1
            if self.most is not None and left_out > self.most:
                raise made
            if self.warns:
                place = " ".join(getattr(made, "__notes__", ()))
                warnings.warn(f"left out: {type(made).__name__}: {made} {place}", stacklevel=2)

    def _tried(self, calls: Calls, numbered: tuple[int, Any]) -> tuple[Any] | Exception:
        try:
            return (self.map.called(calls, numbered),)
        except Exception as error:
            return error

    def count(self) -> int:
        """With a limit, how many there are if all can be made."""
        return UNKNOWN if self.most is None else self.source.count()

    def spec(self) -> Any:
        return self.source.spec()


# -- several elements, and several sources -----------------------------------------------------------------


class Batch(Stage):
    """So many elements as one, with a new first axis."""

    def __init__(
        self,
        source: Stage,
        size: int,
        drop_remainder: bool,
        make: Callable[[list[Any]], Any] = e.batch_of,
        name: str = "batch",
    ) -> None:
        super().__init__(source)
        self.size, self.drop_remainder, self.make = size, drop_remainder, make
        self.name = f"{name}({size})"

    def run(self) -> Iterator[Any]:
        table = self.source.table() if self.make is e.batch_of else None
        if table is not None:
            order = table.order()
            while len(rows := np.fromiter(itertools.islice(order, self.size), np.int64)) >= self._least:
                yield e.rows_of(table.arrays, rows)
            return
        source = self.source.run()
        for index in itertools.count():
            taken = list(itertools.islice(source, self.size))
            if len(taken) < self._least:
                return
            try:
                made = self.make(taken)
            except (TypeError, ValueError) as error:
                raise located(
                    error, f"in step {self.number} of the data, {self.name}, batch {index}"
                ) from error
            yield made

    @property
    def _least(self) -> int:
        return self.size if self.drop_remainder else 1

    def count(self) -> int:
        below = self.source.count()
        if below < 0:
            return below
        return below // self.size if self.drop_remainder else -(-below // self.size)

    def spec(self) -> Any:
        size = self.size if self.drop_remainder else None
        if self.make is e.batch_of:
            below = self.source.spec()
        else:
            below = e.map_specs(e.TensorSpec.row, super().spec())
        return e.map_specs(lambda s: s.batch(size), below)


class Unbatch(Stage):
    """The rows of the elements."""

    name = "unbatch"

    def run(self) -> Iterator[Any]:
        for element in self.source.run():
            for index in range(e.count_of(element, "unbatch()")):
                yield e.row_of(element, index)

    def count(self) -> int:
        return self.source.count() if self.source.count() in (0, INFINITE) else UNKNOWN

    def spec(self) -> Any:
        return e.map_specs(e.TensorSpec.row, self.source.spec())


class Zip(Stage):
    """Elements of several sources side by side, as long as all have one."""

    name = "zip"

    def __init__(self, sources: tuple[Stage, ...], pack: Callable[[tuple[Any, ...]], Any]) -> None:
        super().__init__(*sources)
        self.pack = pack

    def run(self) -> Iterator[Any]:
        return map(self.pack, zip(*(stage.run() for stage in self.before), strict=False))

    def count(self) -> int:
        return shortest([stage.count() for stage in self.before])

    def spec(self) -> Any:
        return self.pack(tuple(stage.spec() for stage in self.before))

    def table(self) -> Table | None:
        if not all(isinstance(stage, Slices) for stage in self.before):
            return None
        tables = [stage.table() for stage in self.before]
        return Table(self.pack(tuple(t.arrays for t in tables if t)), lambda: iter(range(self.count())))


def shortest(counts: list[int]) -> int:
    """The smallest of several numbers of elements, some of which may be INFINITE or UNKNOWN."""
    finite = [count for count in counts if count != INFINITE]
    if not finite:
        return INFINITE
    return 0 if 0 in finite else UNKNOWN if UNKNOWN in finite else min(finite)


class Concatenate(Stage):
    """The elements of one source, then those of the other."""

    name = "concatenate"

    def run(self) -> Iterator[Any]:
        return itertools.chain.from_iterable(stage.run() for stage in self.before)

    def count(self) -> int:
        counts = [stage.count() for stage in self.before]
        return INFINITE if INFINITE in counts else UNKNOWN if UNKNOWN in counts else sum(counts)

    def spec(self) -> Any:
        first, second = (stage.spec() for stage in self.before)
        return e.together(_wider, [first, second])


def _wider(specs: Any) -> Any:
    """A spec that both of two fit."""
    first, second = specs
    if first == second or len(first.shape or ()) != len(second.shape or ()):
        return first
    sizes = zip(first.shape, second.shape, strict=True)
    return first.with_shape(tuple(a if a == b else None for a, b in sizes))


class Changed(Stage):
    """What a function of the whole run gives, as for `enumerate`. count, spec: out of the source's."""

    def __init__(
        self,
        source: Stage,
        change: Callable[[Iterator[Any]], Iterator[Any]],
        name: str,
        count: Callable[[int], int] = lambda below: below,
        spec: Callable[[Any], Any] | None = None,
    ) -> None:
        super().__init__(source)
        self.name = name
        self._change, self._count, self._spec = change, count, spec

    def run(self) -> Iterator[Any]:
        return self._change(self.source.run())

    def count(self) -> int:
        return self._count(self.source.count())

    def spec(self) -> Any:
        return super().spec() if self._spec is None else self._spec(self.source.spec())
