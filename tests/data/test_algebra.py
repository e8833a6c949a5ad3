"""Random pipelines against plain Python lists, run with no, one and four workers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hornbeam.data import Dataset

often = settings(max_examples=150)


class Step(NamedTuple):
    """Run the same operations on a Dataset and on a list of integers."""

    text: str
    on_dataset: Callable[[Dataset, Any], Dataset]
    on_list: Callable[[list[int]], list[int]]


def chunks(items: list[int], size: int, dropping: bool) -> list[list[int]]:
    parts = [items[i : i + size] for i in range(0, len(items), size)]
    return [part for part in parts if len(part) == size or not dropping]


def batched(size: int, dropping: bool) -> Step:
    return Step(
        f"batch({size}, {dropping}).unbatch()",
        lambda d, _: d.batch(size, dropping).unbatch(),
        lambda items: [x for part in chunks(items, size, dropping) for x in part],
    )


def windowed(size: int, shift: int, stride: int, dropping: bool) -> Step:
    def on_list(items: list[int]) -> list[int]:
        results: list[int] = []
        for start in range(0, len(items), shift):
            window = items[start : start + (size - 1) * stride + 1 : stride]
            if len(window) == size or not dropping:
                results += window
        return results

    return Step(
        f"window({size}, {shift}, {stride}, {dropping})",
        lambda d, _: d.window(size, shift, stride, dropping).flat_map(lambda w: w),
        on_list,
    )


def interleaved(cycle: int, block: int) -> Step:
    def on_list(items: list[int]) -> list[int]:
        waiting = [[x, x + 1, x + 2][: x % 4] for x in items]
        slots: list[list[int] | None] = [None] * cycle
        result, index = [], 0
        while waiting or any(slot is not None for slot in slots):
            if slots[index] is None and waiting:
                slots[index] = waiting.pop(0)
            slot = slots[index]
            if slot is not None:
                result += slot[:block]
                slots[index] = slot[block:] if len(slot) >= block else None
            index = (index + 1) % cycle
        return result

    def parts(x: Any) -> Dataset:
        return Dataset.range(x, x + 3).take(int(x) % 4)

    return Step(f"interleave({cycle}, {block})", lambda d, _: d.interleave(parts, cycle, block), on_list)


small, few = st.integers(0, 12), st.integers(1, 5)
STEPS = st.one_of(
    small.map(lambda n: Step(f"take({n})", lambda d, _: d.take(n), lambda x: x[:n])),
    small.map(lambda n: Step(f"skip({n})", lambda d, _: d.skip(n), lambda x: x[n:])),
    st.integers(0, 3).map(lambda n: Step(f"repeat({n})", lambda d, _: d.repeat(n), lambda x: x * n)),
    few.map(lambda n: Step(f"shard({n}, 0)", lambda d, _: d.shard(n, 0), lambda x: x[::n])),
    few.map(
        lambda n: Step(f"map(+{n})", lambda d, w: d.map(lambda x: x + n, w), lambda x: [i + n for i in x])
    ),
    few.map(
        lambda n: Step(
            f"filter(% {n})",
            lambda d, _: d.filter(lambda x: x % n == 0),
            lambda x: [i for i in x if i % n == 0],
        )
    ),
    st.builds(batched, few, st.booleans()),
    st.builds(windowed, few, few, st.integers(1, 3), st.booleans()),
    st.builds(interleaved, few, few),
    st.just(Step("cache()", lambda d, _: d.cache(), lambda x: x)),
    st.just(Step("prefetch(1)", lambda d, _: d.prefetch(1), lambda x: x)),
    st.just(Step("prefetch(AUTOTUNE)", lambda d, _: d.prefetch(-1), lambda x: x)),
    st.just(
        Step(
            "zip, enumerate",
            lambda d, _: Dataset.zip((d, d)).enumerate().map(lambda i, pair: i + pair[1]),
            lambda x: [i + item for i, item in enumerate(x)],
        )
    ),
    st.just(Step("concatenate(self)", lambda d, _: d.concatenate(d), lambda x: x + x)),
)


@often
@given(st.integers(0, 9), st.lists(STEPS, max_size=4), st.booleans(), st.sampled_from([None, 1, 4]))
def test_pipelines_are_lists(count: int, steps: list[Step], in_memory: bool, workers: Any) -> None:
    expected = list(range(count))
    dataset = Dataset.range(count)
    if not in_memory:
        dataset = Dataset.from_generator(lambda: iter(range(count)), output_types="int64", output_shapes=())
    for step in steps:
        dataset, expected = step.on_dataset(dataset, workers), step.on_list(expected)
        expected = expected[:400]
        dataset = dataset.take(400)
    for _ in range(2):
        assert [int(x) for x in dataset.as_numpy_iterator()] == expected
    known = int(dataset.cardinality())
    assert known in (len(expected), -2)
    if expected:
        assert dataset.element_spec.dtype == "int64"
        assert dataset.element_spec.shape == ()


@often
@given(st.integers(0, 30), st.integers(1, 40), st.integers(0, 5), st.booleans(), st.booleans())
def test_shuffles_lose_nothing(count: int, buffer: int, seed: int, again: bool, in_memory: bool) -> None:
    def build_dataset() -> Dataset:
        dataset = Dataset.range(count)
        if not in_memory:
            dataset = Dataset.from_generator(
                lambda: iter(range(count)), output_types="int64", output_shapes=()
            )
        return dataset.shuffle(buffer, seed, again)

    def numbers(dataset: Dataset) -> list[int]:
        return [int(x) for x in dataset.as_numpy_iterator()]

    one, other = build_dataset(), build_dataset()
    passes = [numbers(one), numbers(one)]
    assert sorted(passes[0]) == sorted(passes[1]) == list(range(count))
    assert passes == [numbers(other), numbers(other)]
    assert all(value < index + buffer for index, value in enumerate(passes[0]))
    if not again:
        assert passes[0] == passes[1]
    assert [int(x) for x in build_dataset().repeat(2).as_numpy_iterator()] == passes[0] + passes[1]


@often
@given(st.integers(1, 30), st.integers(1, 8), st.booleans())
def test_batches_of_rows_in_memory_are_those_of_single_elements(
    count: int, size: int, dropping: bool
) -> None:
    """Gathering rows by number and stacking elements one by one give the same."""
    x, text = np.arange(3 * count).reshape(count, 3), [str(i) for i in range(count)]
    quick = Dataset.from_tensor_slices({"x": x, "text": text}).shuffle(7, 3).batch(size, dropping)
    slow = (
        Dataset.from_tensor_slices({"x": x, "text": text})
        .map(lambda d: d)
        .shuffle(7, 3)
        .batch(size, dropping)
    )
    pairs = list(zip(quick.as_numpy_iterator(), slow.as_numpy_iterator(), strict=True))
    assert len(pairs) == len(quick)
    for a, b in pairs:
        assert a["x"].dtype == b["x"].dtype
        assert a["x"].tolist() == b["x"].tolist()
        assert a["text"].tolist() == b["text"].tolist()
