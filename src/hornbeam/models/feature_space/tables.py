"""Tables for a `FeatureSpace`: dicts, frames and datasets as dicts of columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from hornbeam._internal.typing import Tree
from hornbeam.core.symbolic import STRING, holds_strings
from hornbeam.data.frames import check_present, frame_columns, is_frame
from hornbeam.layers.call import is_array
from hornbeam.models.feature_space.definitions import Feature

# Rows in a batch that preprocessors are adapted on.
BATCH = 32

Columns = dict[str, Any]


def as_columns(data: Tree) -> Columns | None:
    """Return a dict or a frame as a dict of columns, or None for other data."""
    if isinstance(data, Mapping):
        return dict(data)
    return frame_columns(data) if is_frame(data) else None


def iterate_tables(data: Tree) -> Iterator[Columns]:
    """Yield the data of `adapt` as dicts of columns. Raises ValueError for other data."""
    table = as_columns(data)
    if table is not None:
        yield table
        return
    if not isinstance(data, Iterable) or isinstance(data, (str, bytes)) or is_array(data):
        raise ValueError(
            "FeatureSpace.adapt takes a dict of columns, a frame, or a Dataset of dicts, got "
            f"{type(data).__name__}"
        )
    number = 0
    for number, batch in enumerate(data, 1):  # noqa: B007
        table = as_columns(batch[0] if isinstance(batch, tuple) else batch)
        if table is None:
            raise ValueError(
                f"FeatureSpace.adapt: the data must yield dicts of columns, got {type(batch).__name__}"
            )
        yield table
    if not number:
        raise ValueError("FeatureSpace.adapt got no data")


def as_column(values: Tree) -> np.ndarray:
    """Return values (rows,) or a single value as a column (rows, 1)."""
    array = np.asarray(values.to_numpy() if hasattr(values, "to_numpy") else values)
    return array.reshape(-1, 1) if array.ndim < 2 else array


def cast_column(values: Tree, name: str, feature: Feature) -> np.ndarray:
    """Return a column, with floats in the dtype of the feature. Raises ValueError for missing strings."""
    array = as_column(values)
    if feature.dtype == STRING or holds_strings(array):
        check_present(array, name)
        return array
    return array.astype(feature.dtype) if feature.dtype.startswith("float") else array


def rebatch(batches: list[np.ndarray]) -> Iterator[np.ndarray]:
    """Yield batches as they are; single rows and complete columns in batches of BATCH rows."""
    if len(batches) > 1 and max(map(len, batches)) > 1:
        yield from batches
        return
    column = np.concatenate(batches)
    for start in range(0, len(column), BATCH):
        yield column[start : start + BATCH]
