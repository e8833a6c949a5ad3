"""Sources and the stages behind them continue at any sample, and read only what they need for that."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hornbeam as hb
from hornbeam.data.sources.selection import Selection
from hornbeam.data.sources.shards import Block, Shard, ShardSource

LENGTHS = (7, 1, 12, 4, 9, 0, 3)


class Numbers(Shard):
    """Numbers from `first`, counting the samples that are read."""

    read_samples = 0

    def __init__(self, first: int, length: int, is_measured: bool) -> None:
        self.first, self._length = first, length
        self.length = length if is_measured else -1

    def read(self, start: int) -> Iterator[Block]:
        for number in range(start, self._length, 5):
            values = np.arange(self.first + number, self.first + min(number + 5, self._length))
            Numbers.read_samples += len(values)
            yield Block(number, {"x": values})

    def measure(self) -> int:
        return self._length

    def locate(self, number: int) -> str:
        return f"number {self.first + number}"


def numbers(
    is_measured: bool = True, seed: int | None = 3, part: tuple[int, int] = (0, 1), decode: Any = None
) -> hb.data.Dataset:
    starts = [0, *itertools.accumulate(LENGTHS)]
    shards = [Numbers(first, length, is_measured) for first, length in zip(starts, LENGTHS, strict=False)]
    decoders = {} if decode is None else {"x": decode}
    return hb.data.Dataset(ShardSource("numbers", shards, Selection("x", None), decoders, seed, 2, part))


def random_shift(x: Any) -> Any:
    return x + hb.random.uniform((), maxval=100)


PIPELINES: dict[str, Callable[[hb.data.Dataset], hb.data.Dataset]] = {
    "source": lambda d: d,
    "shuffled": lambda d: d.shuffle(5, seed=1),
    "a buffer as large as the data": lambda d: d.shuffle(36, seed=1),
    "a larger buffer": lambda d: d.shuffle(100, seed=1),
    "batches": lambda d: d.batch(4),
    "batches without the rest": lambda d: d.batch(5, drop_remainder=True),
    "mapped": lambda d: d.map(lambda x: 2 * x).shuffle(3, seed=1).map(lambda x: x + 1).batch(3),
    "random": lambda d: d.map(random_shift).batch(3),
    "padded": lambda d: d.padded_batch(4),
    "part": lambda d: d.skip(3).take(29).shard(2, 1),
    "ahead": lambda d: d.shuffle(4, seed=1).batch(3).prefetch(2),
    "repeated": lambda d: d.shuffle(6, seed=1).repeat(3).batch(5),
    "random and repeated": lambda d: d.map(random_shift).repeat(3),
    "zipped": lambda d: hb.data.Dataset.zip(d, d.map(lambda x: -x)),
    "filtered": lambda d: d.filter(lambda x: x % 3 > 0).batch(2),
    "other": lambda d: d.window(3).flat_map(lambda w: w.batch(3)).unbatch().enumerate(),
}


def plain(element: Any) -> Any:
    return [plain(part) for part in element] if isinstance(element, tuple) else np.asarray(element).tolist()


@pytest.mark.parametrize("is_measured", [True, False])
@pytest.mark.parametrize("name", PIPELINES)
def test_a_pass_continues_at_any_element(name: str, is_measured: bool) -> None:
    def run(start: int | None) -> list:
        hb.utils.set_random_seed(5)
        stage = PIPELINES[name](numbers(is_measured))._stage
        return [plain(element) for element in (stage.run() if start is None else stage.run_from(start))]

    complete = run(None)
    assert len(complete) > 5
    for start in range(0, len(complete) + 2, 1 + len(complete) // 30):
        assert run(start) == complete[start:], start


def test_the_pass_after_a_continued_one_is_the_same() -> None:
    dataset, other = (numbers().shuffle(5, seed=1) for _ in range(2))
    first = list(dataset.as_numpy_iterator())
    assert list(other._stage.run_from(20)) == first[20:]
    assert list(dataset.as_numpy_iterator()) == list(other.as_numpy_iterator()) != first


def test_only_what_is_needed_is_read() -> None:
    def samples_read(dataset: hb.data.Dataset, start: int) -> int:
        Numbers.read_samples = 0
        next(dataset._stage.run_from(start))
        return Numbers.read_samples

    assert samples_read(numbers(), 30) <= 5
    assert samples_read(numbers().map(lambda x: x + 1).batch(2), 15) <= 5
    assert samples_read(numbers().shuffle(4, seed=1), 25) <= 20
    assert samples_read(numbers().repeat(), 36 * 5 + 30) <= 6 * 5


def test_lengths_are_learned() -> None:
    dataset = numbers(is_measured=False)
    assert dataset._shard_lengths() == [[-1] * len(LENGTHS)]
    list(dataset)
    assert dataset._shard_lengths() == [list(LENGTHS)]
    assert dataset.cardinality() == hb.data.UNKNOWN_CARDINALITY
    other = numbers(is_measured=False)
    other._set_shard_lengths(dataset._shard_lengths())
    assert list(other._stage.run_from(30)) == list(numbers()._stage.run_from(30))
    with pytest.raises(ValueError, match=r"reads 7 shards, but the saved state has 1"):
        other._set_shard_lengths([[3]])


@pytest.mark.parametrize("seed", [None, 3])
def test_processes_read_different_shards(seed: int | None) -> None:
    parts = [numbers(seed=seed, part=(index, 3)) for index in range(3)]
    samples = [list(part.as_numpy_iterator()) for part in parts]
    assert [len(part) for part in samples] == [len(part) for part in parts] == [10, 10, 10]
    assert len({int(x) for part in samples for x in part}) == 30
    for part in parts:
        assert sum(len(batch) for batch in part.batch(4).as_numpy_iterator()) == 10
    with pytest.raises(ValueError, match=r"has 7 shards for 8 processes"):
        numbers(part=(0, 8))


def test_one_seed_is_one_order_for_any_number_of_threads() -> None:
    plain, decoded = (numbers(decode=decode) for decode in (None, lambda x: x))
    assert list(plain.as_numpy_iterator()) == list(decoded.as_numpy_iterator())
    assert list(numbers(seed=4).as_numpy_iterator()) != list(numbers(seed=3).as_numpy_iterator())


def test_rows_in_a_buffer_do_not_keep_their_block() -> None:
    class Images(Numbers):
        def read(self, start: int) -> Iterator[Block]:
            yield Block(0, {"x": np.zeros((1000, 10))})

    dataset = hb.data.Dataset(ShardSource("images", [Images(0, 1000, True)], Selection("x", None), {}, None))
    assert next(dataset.as_numpy_iterator()).base is None


class Killed(hb.callbacks.Callback):
    def __init__(self, batch: int) -> None:
        super().__init__()
        self.left = batch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGINT)


def table(folder: Path) -> hb.data.Dataset:
    if not folder.exists():
        folder.mkdir()
        for index in range(6):
            lines = [f"{index}.{n:03},{n % 2}" for n in range(40 + index)]
            (folder / f"{index}.csv").write_text("\n".join(["x,y", *lines]))
    dataset = hb.data.from_csv(folder, "x", "y", shuffle_shards=2).shuffle(50, seed=1)
    return dataset.map(lambda x, y: (hb.ops.reshape(x + hb.random.uniform(()), (1,)), y)).batch(10)


def fit(dataset: hb.data.Dataset, *callbacks: Any, **options: Any) -> list[np.ndarray]:
    hb.utils.set_random_seed(1)
    model = hb.Sequential([hb.Input((1,)), hb.layers.Dense(4), hb.layers.Dropout(0.5), hb.layers.Dense(1)])
    model.compile("adam", "mse")
    model.fit(dataset, epochs=2, verbose=0, callbacks=list(callbacks), **options)
    return model.get_weights()


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("batch", [7, 26, 40])
def test_a_killed_training_continues_with_the_next_sample(tmp_path: Path, batch: int) -> None:
    """Of two epochs of 26 batches each."""
    expected = fit(table(tmp_path / "data"))
    with pytest.raises(KeyboardInterrupt, match=rf"at update {batch}"):
        fit(table(tmp_path / "data"), Killed(batch), resume=tmp_path / "run")
    resumed = fit(table(tmp_path / "data"), resume=tmp_path / "run")
    assert all(np.array_equal(a, b) for a, b in zip(expected, resumed, strict=True))
