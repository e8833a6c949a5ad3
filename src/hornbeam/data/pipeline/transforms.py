"""Stages that read elements: functions of them, batches, several sources in one."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np

from hornbeam import _native, tree
from hornbeam._internal.typing import Tree
from hornbeam._internal.warn import warn_user
from hornbeam.data import elements as e
from hornbeam.data.errors import add_location, describe_function
from hornbeam.data.pipeline.prefetch import map_ordered, map_ordered_if_slow
from hornbeam.data.pipeline.purity import is_pure
from hornbeam.data.pipeline.replay import Replay
from hornbeam.data.pipeline.stages import INFINITE, UNKNOWN, ArrayRows, Slices, Stage, is_peeking
from hornbeam.random import SharedDraws

T = TypeVar("T")

# -- functions of elements -----------------------------------------------------------------------------


def unpack_arguments(function: Callable[..., Any]) -> Callable[[Any], Any]:
    """Return `function` as a function of an element: tuples are unpacked, parts are Tensors and Strings."""

    def call(element: Tree) -> Tree:
        argument = e.for_user(element)
        return function(*argument) if isinstance(argument, tuple) else function(argument)

    return call


class PassContext:
    """State shared by the calls of one pass: random draws, and the compiled versions of a pure function."""

    def __init__(self, function: Callable[..., Any] | None) -> None:
        self.draws = SharedDraws(not is_peeking.get())
        self.replay = None if function is None else Replay.of(function)


class MapBase(Stage):
    """Stage that calls a function of the user; errors name the element.

    raw: the function takes elements as they are inside of a pipeline, not as users see them.
    """

    def __init__(self, source: Stage, function: Callable[..., Any], name: str, raw: bool = False) -> None:
        super().__init__(source)
        if not callable(function):
            raise TypeError(f"{name} needs a function, got {type(function).__name__}")
        self.function = function
        self.name = f"{name}({describe_function(function)})"
        self._call = function if raw else unpack_arguments(function)
        self._replayed = None if raw else function

    def new_pass(self) -> PassContext:
        """Return the state of a new pass."""
        return PassContext(self._replayed)

    def apply(self, context: PassContext, numbered: tuple[int, Any]) -> Tree:
        """Return the result of the function for (index, element), as an element."""
        index, element = numbered
        try:
            if context.replay is not None:
                parts = tree.flatten(element)
                compiled = context.replay.compiled(element, parts)
                if compiled is not None:
                    return compiled.run(parts)
            with context.draws.item(index):
                return e.as_element(e.list_as_tuple(self._call(element)))
        except Exception as error:
            location = f"in step {self.number} of the data, {self.name}, element {index}"
            raise add_location(error, location) from error


class Map(MapBase):
    """A function of every element, in order, by one thread or several.

    workers: number of threads; None for one a processor, where that pays.
    """

    def __init__(
        self, source: Stage, function: Callable[..., Any], workers: int | None, raw: bool = False
    ) -> None:
        super().__init__(source, function, "map", raw)
        self.workers = workers

    def run(self) -> Iterator[Any]:
        return self.run_from(0)

    def run_from(self, start: int) -> Iterator[Any]:
        """See `Stage.run_from`. A function that may have a state is called for the skipped elements, too."""
        if start and self._replayed is not None and not is_pure(self._replayed):
            return super().run_from(start)
        return self.results(functools.partial(self.apply, self.new_pass()), start)

    def results(self, function: Callable[[tuple[int, Any]], T], start: int = 0) -> Iterator[T]:
        """Yield `function((index, element))` for every element from number `start`."""
        numbered = enumerate(self.source.run_from(start), start)
        if is_peeking.get() or self.workers == 1:
            return map(function, numbered)
        if self.workers is None:
            return map_ordered_if_slow(function, numbered, _native.available_cpus())
        return map_ordered(function, numbered, self.workers)

    def samples_and_batch_size(self) -> tuple[int, int] | tuple[None, None]:
        return self.source.samples_and_batch_size()

    def spec(self) -> Tree:
        """Return the spec of the first result. A first axis of unknown size in the source stays unknown."""
        first_spec, source = super().spec(), self.source.spec()
        shapes = [spec.shape for spec in e.flatten_parts(source) if isinstance(spec, e.TensorSpec)]
        varies = all(shape and shape[0] is None for shape in shapes)
        return e.map_specs(_with_unknown_first_axis, first_spec) if varies else first_spec


def _with_unknown_first_axis(spec: e.TensorSpec) -> e.TensorSpec:
    return spec.with_shape((None, *spec.shape[1:])) if spec.shape else spec


class Filter(MapBase):
    """Elements for which a predicate is true. until: end with the first one for which it is false."""

    def __init__(self, source: Stage, predicate: Callable[..., Any], until: bool = False) -> None:
        super().__init__(source, predicate, "take_while" if until else "filter")
        self.until = until

    def run(self) -> Iterator[Any]:
        context = self.new_pass()
        for index, element in enumerate(self.source.run()):
            if self.apply(context, (index, element)):
                yield element
            elif self.until:
                return

    def count(self) -> int:
        return UNKNOWN

    def spec(self) -> Tree:
        return self.source.spec()


class Interleave(MapBase):
    """Elements of the datasets that a function returns: `block` of each of `cycle` datasets in turn."""

    def __init__(
        self, source: Stage, function: Callable[..., Any], cycle: int, block: int, name: str = "interleave"
    ) -> None:
        super().__init__(source, function, name)
        self.cycle, self.block = cycle, block

    def open_run(self, context: PassContext, numbered: tuple[int, Any]) -> Iterator[Any]:
        """Start to iterate over the dataset that the function returns for (index, element)."""
        dataset = self.apply(context, numbered)
        if not e.is_pipeline(dataset):
            raise TypeError(
                f"{self.name} needs a function that returns a Dataset, got {type(dataset).__name__}"
            )
        return dataset.as_numpy_iterator()

    def run(self) -> Iterator[Any]:
        waiting = map(functools.partial(self.open_run, self.new_pass()), enumerate(self.source.run()))
        open_runs: list[Iterator[Any] | None] = [None] * self.cycle
        slot, ended = 0, False
        while not ended or any(run is not None for run in open_runs):
            run = open_runs[slot]
            if run is None and not ended:
                run = open_runs[slot] = next(waiting, None)
                ended = run is None
            if run is not None:
                yielded = 0
                for element in itertools.islice(run, self.block):
                    yielded += 1
                    yield element
                if yielded < self.block:
                    open_runs[slot] = None
            slot = (slot + 1) % self.cycle

    def count(self) -> int:
        return 0 if self.source.count() == 0 else UNKNOWN


class IgnoreErrors(Stage):
    """Elements of a map without those that raise an error.

    limit: maximum number of errors in a pass, after which the next one is raised; None for any number.
    """

    name = "ignore_errors"

    def __init__(self, source: Stage, warns: bool, limit: int | None = None) -> None:
        super().__init__(source)
        if not isinstance(source, Map):
            raise ValueError(f"ignore_errors() must follow the map() that may fail, not {source.name}")
        self.map, self.warns, self.limit = source, warns, limit

    def run(self) -> Iterator[Any]:
        errors = 0
        for result in self.map.results(functools.partial(self._try, self.map.new_pass())):
            if not isinstance(result, Exception):
                yield result[0]
                continue
            errors += 1
            if self.limit is not None and errors > self.limit:
                raise result
            if self.warns:
                location = " ".join(getattr(result, "__notes__", ()))
                warn_user(f"element dropped: {type(result).__name__}: {result} {location}")

    def _try(self, context: PassContext, numbered: tuple[int, Any]) -> tuple[Any] | Exception:
        try:
            return (self.map.apply(context, numbered),)
        except Exception as error:
            return error

    def count(self) -> int:
        """Return UNKNOWN, or with a limit the number of elements if none raises an error."""
        return UNKNOWN if self.limit is None else self.source.count()

    def spec(self) -> Tree:
        return self.source.spec()


# -- several elements, and several sources -----------------------------------------------------------------


class Batch(Stage):
    """Consecutive elements, stacked along a new first axis."""

    def __init__(
        self,
        source: Stage,
        size: int,
        drop_remainder: bool,
        stack: Callable[[list[Any]], Any] = e.stack_elements,
        name: str = "batch",
    ) -> None:
        super().__init__(source)
        self.size, self.drop_remainder, self.stack = size, drop_remainder, stack
        self.name = f"{name}({size})"

    def run(self) -> Iterator[Any]:
        return self.run_from(0)

    def run_from(self, start: int) -> Iterator[Any]:
        """See `Stage.run_from`."""
        if self.stack is not e.stack_elements:
            return self._stacked(start)
        table = self.source.rows()
        if table is not None:
            return itertools.islice(self._gathered(table), start, None)
        blocks = self.source.blocks(start * self.size)
        return self._stacked(start) if blocks is None else self._cut(blocks, start)

    def _gathered(self, table: ArrayRows) -> Iterator[Any]:
        order = table.order()
        while len(rows := np.fromiter(itertools.islice(order, self.size), np.int64)) >= self._min_size:
            yield e.take_rows(table.arrays, rows)

    def _stacked(self, start: int) -> Iterator[Any]:
        source = self.source.run_from(start * self.size)
        for index in itertools.count(start):
            elements = list(itertools.islice(source, self.size))
            if len(elements) < self._min_size:
                return
            try:
                batch = self.stack(elements)
            except (TypeError, ValueError) as error:
                raise add_location(error, self._location(index)) from error
            yield batch

    def _cut(self, blocks: Iterator[Any], start: int) -> Iterator[Any]:
        """Yield batches of blocks of rows, which may be lists of arrays."""
        for index, rows in enumerate(_slices(blocks, self.size), start):
            if len(e.flatten_parts(rows)[0]) < self._min_size:
                return
            try:
                batch = e.map_parts(
                    lambda part: e.stack_parts(part) if isinstance(part, list) else part, rows
                )
            except (TypeError, ValueError) as error:
                raise add_location(error, self._location(index)) from error
            yield batch

    def _location(self, index: int) -> str:
        return f"in step {self.number} of the data, {self.name}, batch {index}"

    @property
    def _min_size(self) -> int:
        return self.size if self.drop_remainder else 1

    def count(self) -> int:
        source_count = self.source.count()
        if source_count < 0:
            return source_count
        return source_count // self.size if self.drop_remainder else -(-source_count // self.size)

    def samples_and_batch_size(self) -> tuple[int, int] | tuple[None, None]:
        samples = self.source.count()
        if samples < 0:
            return None, None
        return samples - samples % self.size * self.drop_remainder, self.size

    def spec(self) -> Tree:
        size = self.size if self.drop_remainder else None
        if self.stack is e.stack_elements:
            element_spec = self.source.spec()
        else:
            element_spec = e.row_specs(super().spec())
        return e.batch_specs(element_spec, size)


def _slices(blocks: Iterator[Any], size: int) -> Iterator[Any]:
    """Cut consecutive blocks of rows into blocks of `size` rows, and a last one of the rest."""
    rest: Any = None
    for block in blocks:
        rows = block if rest is None else e.zip_parts(_join, [rest, block])
        length = len(e.flatten_parts(rows)[0])
        stop = length - length % size
        for first in range(0, stop, size):
            yield _slice_rows(rows, first, first + size)
        rest = _slice_rows(rows, stop, length) if stop < length else None
    if rest is not None:
        yield rest


def _slice_rows(rows: Tree, start: int, stop: int) -> Tree:
    return e.map_parts(lambda part: part[start:stop], rows)


def _join(parts: Sequence[Any]) -> Any:
    if any(isinstance(part, list) for part in parts):
        return [row for part in parts for row in part]
    return np.concatenate(parts)


class Unbatch(Stage):
    """Rows of the elements."""

    name = "unbatch"

    def run(self) -> Iterator[Any]:
        for element in self.source.run():
            for index in range(e.count_rows(element, "unbatch()")):
                yield e.take_row(element, index)

    def count(self) -> int:
        return self.source.count() if self.source.count() in (0, INFINITE) else UNKNOWN

    def spec(self) -> Tree:
        return e.row_specs(self.source.spec())


class Zip(Stage):
    """Combined elements of several sources, until the first of them ends."""

    name = "zip"

    def __init__(self, sources: tuple[Stage, ...], pack: Callable[[tuple[Any, ...]], Any]) -> None:
        super().__init__(*sources)
        self.pack = pack

    def run(self) -> Iterator[Any]:
        return self.run_from(0)

    def run_from(self, start: int) -> Iterator[Any]:
        """See `Stage.run_from`."""
        return map(self.pack, zip(*(stage.run_from(start) for stage in self.inputs), strict=False))

    def count(self) -> int:
        return min_cardinality([stage.count() for stage in self.inputs])

    def spec(self) -> Tree:
        return self.pack(tuple(stage.spec() for stage in self.inputs))

    def rows(self) -> ArrayRows | None:
        if not all(isinstance(stage, Slices) for stage in self.inputs):
            return None
        tables = [stage.rows() for stage in self.inputs]
        return ArrayRows(self.pack(tuple(t.arrays for t in tables if t)), lambda: iter(range(self.count())))


def min_cardinality(counts: list[int]) -> int:
    """Return the smallest of several numbers of elements, some of which may be INFINITE or UNKNOWN."""
    finite = [count for count in counts if count != INFINITE]
    if not finite:
        return INFINITE
    return 0 if 0 in finite else UNKNOWN if UNKNOWN in finite else min(finite)


class Concatenate(Stage):
    """Elements of one source, followed by those of the other."""

    name = "concatenate"

    def run(self) -> Iterator[Any]:
        return itertools.chain.from_iterable(stage.run() for stage in self.inputs)

    def count(self) -> int:
        counts = [stage.count() for stage in self.inputs]
        return INFINITE if INFINITE in counts else UNKNOWN if UNKNOWN in counts else sum(counts)

    def spec(self) -> Tree:
        first, second = (stage.spec() for stage in self.inputs)
        return e.zip_parts(_common_spec, [first, second])


def _common_spec(specs: Any) -> Any:
    """Return a spec that values of both specs match."""
    first, second = specs
    if first == second or len(first.shape or ()) != len(second.shape or ()):
        return first
    sizes = zip(first.shape, second.shape, strict=True)
    return first.with_shape(tuple(a if a == b else None for a, b in sizes))


class IteratorTransform(Stage):
    """A function of the iterator over all elements, as for `enumerate`.

    count, spec: functions of the count and the spec of the source.
    """

    def __init__(
        self,
        source: Stage,
        transform: Callable[[Iterator[Any]], Iterator[Any]],
        name: str,
        count: Callable[[int], int] = lambda source_count: source_count,
        spec: Callable[[Any], Any] | None = None,
    ) -> None:
        super().__init__(source)
        self.name = name
        self._transform, self._count, self._spec = transform, count, spec

    def run(self) -> Iterator[Any]:
        return self._transform(self.source.run())

    def count(self) -> int:
        return self._count(self.source.count())

    def spec(self) -> Tree:
        return super().spec() if self._spec is None else self._spec(self.source.spec())
