"""What layers that are fitted on data before training take in `adapt`."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from hornbeam import tree
from hornbeam._internal.row_hash import HashSketch, hash_rows
from hornbeam.layers.call import is_array

_PLAIN = (bool, int, float, str, bytes, np.generic)


def whole_array(data: Any) -> np.ndarray | None:
    """Data that are one array: an array, a column or table, or nested lists of plain values. Else None."""
    if hasattr(data, "to_numpy"):
        return np.asarray(data.to_numpy())
    if is_array(data):
        return np.asarray(data)
    if isinstance(data, (list, tuple)):
        leaves = tree.flatten(data)
        if leaves and all(isinstance(leaf, _PLAIN) or leaf is None for leaf in leaves):
            return _listed(data)
    return None


def _listed(data: Any) -> np.ndarray:
    try:
        return np.array(data)
    except ValueError as error:
        raise ValueError(f"adapt got lists of different lengths: pad them first ({error})") from None


def batches_of(data: Any, steps: int | None = None) -> Iterator[np.ndarray]:
    """What `adapt` is given, as arrays: one array, or an iterable of batches (of pairs: their first part), of
    which `steps` are taken.

    Raises ValueError if there is no data.
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
        found = whole_array(batch)
        yield np.asarray(batch) if found is None else found
    if not count:
        raise ValueError("adapt got no data")


def remembered(layer: Any, batches: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """The batches, of whose rows the layer keeps words: so `data.find_leaks` and `evaluate` can tell whether
    it was adapted on test data."""
    known = layer._adapted_on = HashSketch()
    for batch in batches:
        if batch.ndim and len(batch):
            known.add(hash_rows(batch))
        yield batch
