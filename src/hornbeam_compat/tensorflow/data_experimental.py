"""Further names of tf.data.experimental."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import numpy as np

from hornbeam.data import Dataset, TensorSpec
from hornbeam_compat.tensorflow.data import Options, ragged_batch

__all__ = [
    "AutoShardPolicy",
    "Counter",
    "DistributeOptions",
    "dense_to_ragged_batch",
    "map_and_batch",
    "unbatch",
]


class AutoShardPolicy:
    """Ways to divide a dataset among workers, of which one exists."""

    OFF, AUTO, FILE, DATA, HINT = -1, 0, 1, 2, 3


DistributeOptions = Options


def dense_to_ragged_batch(
    batch_size: int, drop_remainder: bool = False, row_splits_dtype: object = "int64"
) -> Callable[[Dataset], Dataset]:
    """Return a function for `Dataset.apply` that makes batches of elements of different lengths ragged."""
    return lambda dataset: ragged_batch(dataset, batch_size, drop_remainder)


def map_and_batch(
    map_func: Callable[..., object], batch_size: int, num_parallel_batches: object = None,
    drop_remainder: bool = False, num_parallel_calls: object = None,
) -> Callable[[Dataset], Dataset]:  # fmt: skip
    """Return a function for `Dataset.apply` that maps elements and collects them in batches."""
    return lambda dataset: dataset.map(map_func).batch(batch_size, drop_remainder)


def Counter(start: int = 0, step: int = 1, dtype: object = "int64") -> Dataset:
    """Create an endless dataset of start, start + step, ..."""

    def count() -> Iterator[np.int64]:
        return (np.int64(value) for value in itertools.count(start, step))

    return Dataset.from_generator(count, output_signature=TensorSpec((), "int64"))


def unbatch() -> Callable[[Dataset], Dataset]:
    """Return a function for `Dataset.apply` that splits batches into their elements."""
    return lambda dataset: dataset.unbatch()
