"""Data for `adapt`, the method of layers that are fitted to data before training."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from hornbeam import tree
from hornbeam._internal.row_hash import HashSketch, hash_rows
from hornbeam.core.typing import DataLike
from hornbeam.layers.call import is_array

if TYPE_CHECKING:
    from hornbeam.layers.layer import Layer


_SCALARS = (bool, int, float, str, bytes, np.generic)


def whole_array(data: Any) -> np.ndarray | None:
    """Convert data that are one array to an array, and return None for all others.

    One array are arrays, columns, tables, and nested lists of scalars.
    """
    if hasattr(data, "to_numpy"):
        return np.asarray(data.to_numpy())
    if is_array(data):
        return np.asarray(data)
    if isinstance(data, (list, tuple)):
        leaves = tree.flatten(data)
        if leaves and all(isinstance(leaf, _SCALARS) or leaf is None for leaf in leaves):
            return _array_from_lists(data)
    return None


def _array_from_lists(data: DataLike) -> np.ndarray:
    try:
        return np.array(data)
    except ValueError as error:
        raise ValueError(f"adapt got lists of different lengths: pad them first ({error})") from None


def batches_of(data: DataLike, steps: int | None = None) -> Iterator[np.ndarray]:
    """Yield the data of `adapt` as arrays: one array, or the batches of an iterable (the inputs, of pairs).

    steps: number of batches to read, all by default. Raises ValueError if there are no data.
    """
    array = whole_array(data)
    if array is not None:
        yield array
        return
    if not isinstance(data, Iterable):
        raise ValueError(f"adapt takes an array or an iterable of batches, got {type(data).__name__}")
    count = 0
    for batch in itertools.islice(data, steps):
        count += 1
        if isinstance(batch, tuple):
            batch = batch[0]
        array = whole_array(batch)
        yield np.asarray(batch) if array is None else array
    if not count:
        raise ValueError("adapt got no data")


def sketch_rows(layer: Layer, batches: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Yield the batches, and record hashes of their rows in the layer.

    By these, `data.find_leaks` and `evaluate` detect that the layer was adapted to test data.
    """
    sketch = layer._adapted_on = HashSketch()
    for batch in batches:
        if batch.ndim and len(batch):
            sketch.add(hash_rows(batch))
        yield batch


def adapt_to_tokens(layer: Any, data: Any, steps: int | None) -> None:
    """Compute the state of a layer of tokens from data; in one array of one axis, each token is a row."""
    layer.reset_state()
    array = whole_array(data)
    if array is not None:
        data = [array[:, None] if array.ndim == 1 else array]
    for batch in sketch_rows(layer, batches_of(data, steps)):
        layer.update_state(batch)
    layer.finalize_state()
