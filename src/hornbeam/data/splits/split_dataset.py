"""`split_dataset`: one set of samples as two Datasets."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import numpy as np

from hornbeam.data import elements as e
from hornbeam.data.pipeline.dataset import Dataset
from hornbeam.data.pipeline.stages import Prefetch, Stage
from hornbeam.data.pipeline.transforms import Batch
from hornbeam.random import make_default_seed


def split_dataset(
    dataset: Any,
    left_size: Any = None,
    right_size: Any = None,
    shuffle: bool = False,
    seed: int | None = None,
    preferred_backend: str | None = None,
) -> tuple[Dataset, Dataset]:
    """The first and the last samples of `dataset` as two Datasets; all samples are held in memory.

    dataset: a Dataset (of batches or of samples; the parts have batches of the same size), a Dataset of
    PyTorch's or TensorFlow's, an array, or a list or tuple of arrays of one length. left_size, right_size: a
    fraction or a number of samples; None for what the other leaves. shuffle, seed: mix the samples first.
    preferred_backend: accepted for Keras's signature; the parts are always ours.

    >>> left, right = hornbeam.utils.split_dataset(np.arange(10), left_size=0.8)
    >>> len(left), len(right)
    (8, 2)
    """
    rows = list(_samples(dataset))
    if not rows:
        raise ValueError("the dataset is empty: there is nothing to split")
    left, right = _sizes(left_size, right_size, len(rows))
    if shuffle:
        # The order that Keras gives for the same seed.
        random.Random(make_default_seed() if seed is None else seed).shuffle(rows)
    size = _batch_size(dataset)
    parts = [Dataset.from_tensor_slices(e.stack_elements(part)) for part in (rows[:left], rows[-right:])]
    one, other = (part if size is None else part.batch(size) for part in parts)
    return one, other


def _samples(dataset: Any) -> Iterator[Any]:
    if isinstance(dataset, (list, tuple)):
        arrays = tuple(e.as_part(np.asarray(array)) for array in dataset)
        if not arrays:
            raise ValueError("the dataset is an empty list: give an array, or several of one length")
        e.count_rows(arrays, "split_dataset")
        return zip(*arrays, strict=True)
    if isinstance(dataset, Dataset):
        return (dataset if _batch_size(dataset) is None else dataset.unbatch()).as_numpy_iterator()
    if not hasattr(dataset, "__iter__") and not hasattr(dataset, "__getitem__"):
        raise TypeError(f"split_dataset takes a Dataset or arrays, got {type(dataset).__name__}")
    if hasattr(dataset, "unbatch") and _batch_size(dataset) is not None:
        dataset = dataset.unbatch()
    return (e.as_element(tuple(row) if isinstance(row, list) else row) for row in _iterated(dataset))


def _iterated(dataset: Any) -> Iterator[Any]:
    """The items of what has __iter__, or only __len__ and __getitem__, as PyTorch's have."""
    if hasattr(dataset, "as_numpy_iterator"):
        return dataset.as_numpy_iterator()
    if hasattr(dataset, "__iter__"):
        return iter(dataset)
    return (dataset[index] for index in range(len(dataset)))


def _batch_size(dataset: Any) -> int | None:
    """The size of a dataset's batches; None for one of samples."""
    stage: Stage | None = getattr(dataset, "_stage", None)
    while isinstance(stage, Prefetch):
        stage = stage.source
    if isinstance(stage, Batch):
        return stage.size
    size = getattr(dataset, "_batch_size", None)  # TensorFlow's
    return None if size is None else int(size)


def _sizes(left: Any, right: Any, count: int) -> tuple[int, int]:
    """How many samples each part gets. Raises TypeError, ValueError for sizes that do not fit."""
    if left is None and right is None:
        raise ValueError("give left_size, right_size or both")
    for name, size in (("left_size", left), ("right_size", right)):
        if size is not None and (isinstance(size, bool) or not isinstance(size, (int, float))):
            raise TypeError(f"{name} must be a fraction, a number of samples or None, got {size!r}")
        if size is not None and not 0 < size < (count if isinstance(size, int) else 1):
            raise ValueError(f"{name} must be a fraction below 1 or a number below {count}, got {size!r}")
    if isinstance(left, float) and isinstance(right, float) and left + right > 1:
        raise ValueError(f"left_size and right_size are together more than 1: {left} + {right}")
    sizes = [round(size * count) if isinstance(size, float) else size for size in (left, right)]
    first = count - sizes[1] if sizes[0] is None else sizes[0]
    second = count - first if sizes[1] is None else sizes[1]
    if first + second > count or not first or not second:
        raise ValueError(f"{count} samples cannot be split into {first} and {second}")
    return first, second
