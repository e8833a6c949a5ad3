"""`split_dataset`: one set of samples as two Datasets."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from hornbeam._internal.typing import ArrayLike
from hornbeam.data import elements as e
from hornbeam.data.folders.image_loader import ImageBatches
from hornbeam.data.pipeline.dataset import Dataset
from hornbeam.data.pipeline.stages import Prefetch, Stage
from hornbeam.data.pipeline.transforms import Batch
from hornbeam.random import make_default_seed


def split_dataset(
    dataset: Dataset | ArrayLike | Sequence[ArrayLike] | Iterable[Any],
    left_size: float | int | None = None,
    right_size: float | int | None = None,
    shuffle: bool = False,
    seed: int | None = None,
    preferred_backend: str | None = None,
) -> tuple[Dataset, Dataset]:
    """Split samples into two Datasets; all samples are held in memory.

    Args:
        dataset: Dataset (of batches or of samples; the parts have batches of the same size), dataset of
            PyTorch or TensorFlow, array, or list or tuple of arrays of one length.
        left_size: Fraction or number of samples of the first part; None for the rest.
        right_size: Fraction or number of samples of the second part; None for the rest.
        shuffle: Whether to shuffle the samples first.
        seed: Seed of the shuffle.
        preferred_backend: Accepted for compatibility with Keras: the parts are always hornbeam.data.Dataset.

    Returns:
        Two Datasets: the first and the last samples.

    Raises:
        TypeError: If `dataset` or a size has another type.
        ValueError: If `dataset` is empty or the sizes do not fit.

    Example:
        >>> left, right = hornbeam.utils.split_dataset(np.arange(10), left_size=0.8)
        >>> len(left), len(right)
        (8, 2)
    """
    rows = list(_samples(dataset))
    if not rows:
        raise ValueError("the dataset is empty: it cannot be split")
    left, right = _part_sizes(left_size, right_size, len(rows))
    if shuffle:
        # Keras's order for the same seed.
        random.Random(make_default_seed() if seed is None else seed).shuffle(rows)
    size = batch_size_of(dataset)
    parts = [Dataset.from_tensor_slices(e.stack_elements(part)) for part in (rows[:left], rows[-right:])]
    first, second = (part if size is None else part.batch(size) for part in parts)
    return first, second


def _samples(dataset: Any) -> Iterator[Any]:
    if isinstance(dataset, (list, tuple)):
        arrays = tuple(e.as_part(np.asarray(array)) for array in dataset)
        if not arrays:
            raise ValueError("the dataset is an empty list: pass an array, or several of one length")
        e.count_rows(arrays, "split_dataset")
        return zip(*arrays, strict=True)
    if isinstance(dataset, Dataset):
        return (dataset if batch_size_of(dataset) is None else dataset.unbatch())._stage.run()
    if not hasattr(dataset, "__iter__") and not hasattr(dataset, "__getitem__"):
        raise TypeError(f"split_dataset takes a Dataset or arrays, got {type(dataset).__name__}")
    if hasattr(dataset, "unbatch") and batch_size_of(dataset) is not None:
        dataset = dataset.unbatch()
    return (e.as_element(tuple(row) if isinstance(row, list) else row) for row in _iterate(dataset))


def _iterate(dataset: Any) -> Iterator[Any]:
    """Iterate over objects with __iter__, or with only __len__ and __getitem__ as PyTorch's datasets."""
    if hasattr(dataset, "as_numpy_iterator"):
        return dataset.as_numpy_iterator()
    if hasattr(dataset, "__iter__"):
        return iter(dataset)
    return (dataset[index] for index in range(len(dataset)))


def batch_size_of(dataset: object) -> int | None:
    """Return the size of a dataset's batches; None for a dataset of samples."""
    stage: Stage | None = getattr(dataset, "_stage", None)
    while isinstance(stage, Prefetch):
        stage = stage.source
    if isinstance(stage, Batch):
        return stage.size
    if isinstance(stage, ImageBatches):
        return stage.batch_size
    size = getattr(dataset, "_batch_size", None)  # TensorFlow's
    return None if size is None else int(size)


def _part_sizes(left: Any, right: Any, count: int) -> tuple[int, int]:
    """Return the number of samples of both parts. Raises TypeError, ValueError for invalid sizes."""
    if left is None and right is None:
        raise ValueError("give left_size, right_size or both")
    for name, size in (("left_size", left), ("right_size", right)):
        if size is not None and (isinstance(size, bool) or not isinstance(size, (int, float))):
            raise TypeError(f"{name} must be a fraction, a number of samples or None, got {size!r}")
        if size is not None and not 0 < size < (count if isinstance(size, int) else 1):
            raise ValueError(f"{name} must be a fraction below 1 or a number below {count}, got {size!r}")
    if isinstance(left, float) and isinstance(right, float) and left + right > 1:
        raise ValueError(f"left_size and right_size must sum to at most 1, got {left} + {right}")
    sizes = [round(size * count) if isinstance(size, float) else size for size in (left, right)]
    first = count - sizes[1] if sizes[0] is None else sizes[0]
    second = count - first if sizes[1] is None else sizes[1]
    if first + second > count or not first or not second:
        raise ValueError(f"{count} samples cannot be split into {first} and {second}")
    return first, second
