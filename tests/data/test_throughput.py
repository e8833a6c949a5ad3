"""Cost of pipelines against plain loops, in processor time: other work of the machine does not change it."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

import hornbeam as hb
from hornbeam.data import Dataset
from tests.helpers.builders import compiled_model

ROWS, SIZE = 20_000, 32
X = np.random.default_rng(0).normal(size=(ROWS, 64)).astype("float32")
Y = np.arange(ROWS) % 10


def cost(work: Callable[[], object], clock: Callable[[], float] = time.thread_time) -> float:
    """Seconds of the processor, the best of five."""
    results = []
    for _ in range(5):
        started = clock()
        work()
        results.append(clock() - started)
    return min(results)


def plain_loop() -> None:
    order = np.random.default_rng(1).permutation(ROWS)
    for start in range(0, ROWS, SIZE):
        rows = order[start : start + SIZE]
        _ = X[rows], Y[rows]


def test_rows_in_memory_cost_little_more_than_a_plain_loop() -> None:
    dataset = Dataset.from_tensor_slices((X, Y)).shuffle(ROWS).batch(SIZE).prefetch(hb.data.AUTOTUNE)
    ratio = cost(lambda: list(dataset.as_numpy_iterator())) / cost(plain_loop)
    assert ratio < 12


def test_a_function_of_every_element_costs_microseconds() -> None:
    """Beside the same calls in a list: at most a few times as much, with all that a pipeline does."""
    numbers = np.arange(3000)
    dataset = Dataset.from_tensor_slices(numbers).map(lambda x: np.asarray(x) + 1).batch(100)
    tensors = [hb.ops.convert_to_tensor(numbers[i : i + 1]) for i in range(3000)]
    ratio = cost(lambda: list(dataset.as_numpy_iterator())) / cost(
        lambda: [np.asarray(x) + 1 for x in tensors]
    )
    assert ratio < 10


def test_training_on_a_dataset_in_memory_costs_what_training_on_arrays_costs() -> None:
    model = compiled_model(
        (64,),
        [hb.layers.Dense(32, activation="relu"), hb.layers.Dense(10)],
        "sgd",
        hb.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    rows = Dataset.from_tensor_slices((X, Y)).shuffle(ROWS).batch(SIZE)
    arrays = cost(lambda: model.fit(X, Y, batch_size=SIZE, verbose=0), time.process_time)
    dataset = cost(lambda: model.fit(rows, verbose=0), time.process_time)
    assert dataset < 2 * arrays
