"""Columns of Arrow tables as arrays of NumPy, or lists of arrays where sizes vary."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from hornbeam._internal.extras import required

# From the number of a row to its file, position and column, for errors.
Locate = Callable[[int], str]


def import_pyarrow() -> Any:
    """Return pyarrow. Raises ImportError that names the extra."""
    with required("from_parquet needs pyarrow", "parquet"):
        import pyarrow
        import pyarrow.types
    return pyarrow


def check_type(type: Any) -> None:
    """Raise ValueError for types of columns that no array can hold."""
    t = import_pyarrow().types
    if isinstance(type, import_pyarrow().BaseExtensionType):
        check_type(type.storage_type)
    elif t.is_dictionary(type) or _is_list(type):
        check_type(type.value_type)
    elif t.is_struct(type):
        for field in type:
            check_type(field.type)
    elif not (t.is_boolean(type) or t.is_integer(type) or t.is_floating(type) or _is_text(type)):
        raise ValueError(
            f"expected numbers, booleans, strings, bytes, or lists and structs of them, got {type}: cast the "
            "column, or leave it out with columns=[...]"
        )


def to_rows(array: Any, locate: Locate) -> Any:
    """Convert a column: an array with a row for each value, a list of arrays, strings or bytes, or of dicts.

    Missing floats are NaN. Raises ValueError for other missing values, and for lists that are no array.
    """
    pa = import_pyarrow()
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
        if isinstance(array, pa.ChunkedArray):  # of no chunk, or too long for one
            array = pa.concat_arrays(array.chunks)
    if isinstance(array, pa.ExtensionArray):
        return to_rows(array.storage, locate)
    if pa.types.is_dictionary(array.type):
        return to_rows(array.dictionary_decode(), locate)
    if array.null_count and not pa.types.is_floating(array.type) and not pa.types.is_struct(array.type):
        row = int(np.flatnonzero(array.is_null())[0])
        raise ValueError(
            f"{locate(row)}: expected {array.type}, got a missing value (null): fill it, or drop the row"
        )
    if _is_list(array.type):
        return _list_rows(array, locate)
    if pa.types.is_struct(array.type):
        return array.to_pylist()
    if _is_text(array.type):
        rows = np.empty(len(array), object)
        rows[:] = array.to_pylist()
        return rows
    return array.to_numpy(zero_copy_only=False)


def _is_list(type: Any) -> bool:
    t = import_pyarrow().types
    return bool(t.is_list(type) or t.is_large_list(type) or t.is_fixed_size_list(type))


def _is_text(type: Any) -> bool:
    t = import_pyarrow().types
    text = t.is_string(type) or t.is_large_string(type) or t.is_string_view(type)
    return bool(text or t.is_binary(type) or t.is_large_binary(type) or t.is_fixed_size_binary(type))


def _list_rows(array: Any, locate: Locate) -> Any:
    """Return one array if all lists have a length, otherwise a list of them."""
    if hasattr(array, "offsets"):
        offsets = np.asarray(array.offsets) - array.offsets[0].as_py()
    else:
        offsets = np.arange(len(array) + 1) * array.type.list_size

    def locate_list(value: int) -> str:
        return locate(int(np.searchsorted(offsets, value, "right")) - 1)

    values, lengths = to_rows(array.flatten(), locate_list), np.diff(offsets)
    if isinstance(values, np.ndarray) and len(lengths) and (lengths == lengths[0]).all():
        return values.reshape(len(array), int(lengths[0]), *values.shape[1:])
    bounds = itertools.pairwise(offsets.tolist())
    return [_stacked(values[a:b], row, locate) for row, (a, b) in enumerate(bounds)]


def _stacked(values: Any, row: int, locate: Locate) -> Any:
    if isinstance(values, np.ndarray):
        return values.copy()  # not a view of the rows around it
    shapes = {np.shape(value) for value in values}
    if len(shapes) > 1 or any(isinstance(value, dict) for value in values):
        raise ValueError(
            f"{locate(row)}: expected lists of one length, which make an array, got {sorted(shapes)[:3]}"
        )
    return np.stack(values) if values else np.zeros(0, np.float32)
