"""Source of a pipeline that reads shards one after another: files, or parts of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from hornbeam import _native
from hornbeam._internal.typing import Tree
from hornbeam._internal.validation import check_int
from hornbeam.data import elements as e
from hornbeam.data.pipeline.dataset import Dataset
from hornbeam.data.pipeline.prefetch import map_ordered, map_ordered_if_slow, resolve_workers
from hornbeam.data.pipeline.stages import UNKNOWN, Reordered, Sharded, Stage, is_peeking
from hornbeam.data.sources.images import ImageDecoder
from hornbeam.data.sources.selection import Selection
from hornbeam.engines import current_engine
from hornbeam.engines.base import MeshEngine
from hornbeam.random import host_permutation, make_default_seed

# Length of a shard that is only known by reading it.
UNMEASURED = -1
# Samples that are read at a time: few enough to hold images of them in memory.
BLOCK_ROWS = 1024

Decoder = Callable[[Any], Any]


class Block(NamedTuple):
    """Consecutive samples of a shard: number of the first, and for each column an array or list of rows."""

    first: int
    columns: dict[str, Any]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def until(self, stop: int) -> Block:
        """Return the first `stop` samples."""
        return Block(self.first, {name: column[:stop] for name, column in self.columns.items()})


class Shard(ABC):
    """Samples that are read in their order.

    length: number of samples, UNMEASURED if only reading tells it.
    """

    length = UNMEASURED

    @abstractmethod
    def read(self, start: int) -> Iterator[Block]:
        """Yield the samples from number `start`; those before are not decoded."""

    @abstractmethod
    def measure(self) -> int:
        """Count the samples without decoding them."""

    @abstractmethod
    def locate(self, number: int) -> str:
        """Return file and position of a sample, for errors."""


class ShardSource(Stage):
    """Samples of shards, which have a new order in every pass if `seed` is not None.

    decoders: functions of the values of columns, run by `workers` threads (None: one a processor, where that
    pays). part: index and number of the processes that share the shards; all get equally many samples if the
    lengths are known.
    """

    def __init__(
        self,
        name: str,
        shards: Sequence[Shard],
        selection: Selection,
        decoders: Mapping[str, Decoder],
        seed: int | None,
        workers: int | None = 1,
        part: tuple[int, int] = (0, 1),
    ) -> None:
        super().__init__()
        self.name, self.shards, self.selection, self.decoders = name, shards, selection, decoders
        self.workers, self.part = workers, part
        if len(shards) < part[1]:
            raise ValueError(
                f"{name} has {len(shards)} shards for {part[1]} processes, each of which reads other shards: "
                "write more and smaller ones, or let every process read all (auto_shard_dataset=True)"
            )
        self.reshuffles, self.seed, self.passes = seed is not None, seed or 0, 0
        self.lengths = [shard.length for shard in shards]
        self._count = self._equal_count()

    def _equal_count(self) -> int:
        """Return how many samples every process can give."""
        if UNMEASURED in self.lengths:
            return UNKNOWN
        return min(sum(self.lengths[index :: self.part[1]]) for index in range(self.part[1]))

    def count(self) -> int:
        return self._count

    def shuffles(self) -> Iterator[Reordered]:
        if self.reshuffles:
            yield self

    def shard_sources(self) -> Iterator[Sharded]:
        yield self

    def run(self) -> Iterator[Any]:
        return self.run_from(0)

    def run_from(self, start: int) -> Iterator[Any]:
        """See `Stage.run_from`. Shards before the first sample are not opened, if their lengths are known."""
        if not self.decoders:
            return (
                row for _, block in self._read(start) for row in _rows(self.selection.pack(block.columns))
            )
        if is_peeking.get() or self.workers == 1:
            return map(self._element, self._encoded(start))
        if self.workers is None:
            return map_ordered_if_slow(self._element, self._encoded(start), _native.available_cpus())
        return map_ordered(self._element, self._encoded(start), self.workers)

    def blocks(self, start: int) -> Iterator[Any] | None:
        """See `Stage.blocks`."""
        if self.decoders:
            return None
        return (self.selection.pack(block.columns) for _, block in self._read(start))

    def spec(self) -> Tree:
        """Return the spec of the first sample; sizes of a column that may vary are None."""
        for shard in self.shards:
            for block in shard.read(0):
                row = {name: column[0] for name, column in block.columns.items()}
                element = self._decoded(shard, block.first, row)
                specs = {name: self._spec(name, block.columns[name], v) for name, v in element.items()}
                return self.selection.pack(specs)
        raise ValueError(f"the spec of the elements is unknown: {self.name} yields no element")

    def _spec(self, name: str, column: Any, value: Any) -> Tree:
        """Return the spec of a value. Sizes of lists and decoded values vary, but for channels of images."""
        spec, decoder = e.spec_of(value), self.decoders.get(name)
        is_fixed = not isinstance(column, list) if decoder is None else getattr(decoder, "size", None)
        if is_fixed or not isinstance(spec, e.TensorSpec) or not spec.shape:
            return spec
        last = spec.shape[-1] if len(spec.shape) == 3 and isinstance(decoder, ImageDecoder) else None
        return spec.with_shape((*(None for _ in spec.shape[1:]), last))

    def _order(self) -> list[int]:
        own = range(self.part[0], len(self.shards), self.part[1])
        if not self.reshuffles or is_peeking.get():
            return list(own)
        self.passes += 1
        return [own[index] for index in host_permutation(self.seed, len(own), self.passes - 1).tolist()]

    def _read(self, start: int) -> Iterator[tuple[Shard, Block]]:
        """Yield the blocks of a pass from sample `start` of it."""
        left = self._count - start if self._count >= 0 else None
        for index in self._order():
            shard = self.shards[index]
            if start:
                if self.lengths[index] == UNMEASURED:
                    self.lengths[index] = shard.measure()
                if start >= self.lengths[index]:
                    start -= self.lengths[index]
                    continue
            stop = start
            for block in shard.read(start):
                stop = block.first + len(block)
                if left is not None and len(block) >= left:
                    if left > 0:
                        yield shard, block.until(left)
                    return
                left = None if left is None else left - len(block)
                yield shard, block
            start, self.lengths[index] = 0, stop

    def _encoded(self, start: int) -> Iterator[tuple[Shard, int, dict[str, Any]]]:
        for shard, block in self._read(start):
            for number, sample in enumerate(_rows(block.columns), block.first):
                yield shard, number, sample

    def _element(self, encoded: tuple[Shard, int, dict[str, Any]]) -> Tree:
        return self.selection.pack(self._decoded(*encoded))

    def _decoded(self, shard: Shard, number: int, sample: dict[str, Any]) -> dict[str, Any]:
        for name, decode in self.decoders.items():
            if name in sample:
                try:
                    sample[name] = decode(sample[name])
                except (ValueError, TypeError, OverflowError, OSError) as error:
                    raise ValueError(f"{shard.locate(number)}, column {name!r}: {error}") from error
        return sample


def _rows(columns: Any) -> Iterator[Any]:
    """Iterate over the rows of columns in tuples and dicts."""
    if isinstance(columns, tuple):
        return zip(*map(_rows, columns), strict=True)
    if isinstance(columns, dict):
        rows = zip(*map(_rows, columns.values()), strict=True)
        return (dict(zip(columns, values, strict=True)) for values in rows)
    if isinstance(columns, np.ndarray) and columns.ndim > 1:
        # A view would keep its block in memory, as long as a shuffle keeps the row.
        return map(np.array, columns)
    return iter(columns)


def shard_dataset(
    name: str,
    shards: Sequence[Shard],
    selection: Selection,
    decoders: Mapping[str, Decoder],
    shuffle_shards: bool | int,
    num_parallel_calls: int | None,
) -> Dataset:
    """Return the Dataset of a source that reads the shards of this process."""
    if isinstance(shuffle_shards, bool):
        seed = make_default_seed() if shuffle_shards else None
    else:
        seed = check_int("shuffle_shards", shuffle_shards, minimum=0)
    workers = resolve_workers(num_parallel_calls)
    return Dataset(ShardSource(name, shards, selection, decoders, seed, workers, _own_part()))


def _own_part() -> tuple[int, int]:
    """Return which part of the data this process reads: all of them, unless processes have their own data."""
    engine = current_engine()
    if isinstance(engine, MeshEngine) and engine.mesh.per_process:
        return engine.data_shard
    return 0, 1
