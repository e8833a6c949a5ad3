"""Frames and series of pandas and polars as arrays."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from hornbeam._internal.extras import required
from hornbeam._internal.typing import Tree
from hornbeam.ir.types import HornbeamTypeError


def frame_to_array(frame: Any, name: str) -> np.ndarray:
    """Convert a frame to (rows, columns), or a series to (rows,), in a dtype that holds all columns.

    Columns of one dtype need no other package; mixed and nullable ones are read through narwhals (extra
    `frames`). Raises HornbeamTypeError that names the columns that are not numeric, ValueError for missing
    values.
    """
    array = frame.to_numpy()
    if array.dtype.kind in "biuf":
        return array
    with required(f"{name} is a {type(frame).__name__} with columns of several dtypes", "frames"):
        import narwhals.stable.v1 as nw
    table = nw.from_native(frame, eager_only=True, allow_series=True)
    columns = {str(table.name or name): table} if isinstance(table, nw.Series) else dict(_columns(table))
    wrong = {name: column.dtype for name, column in columns.items() if not _is_numeric(column.dtype)}
    if wrong:
        shown = ", ".join(f"{column!r} ({dtype})" for column, dtype in list(wrong.items())[:5])
        raise HornbeamTypeError(
            f"{name} has columns that are not numeric: {shown}. Drop them, or encode them first with "
            "FeatureSpace, StringLookup or to_categorical"
        )
    missing = {name: column.null_count() for name, column in columns.items() if column.null_count()}
    if missing:
        shown = ", ".join(f"{column!r} ({count:,})" for column, count in list(missing.items())[:5])
        raise ValueError(f"{name} has missing values in {shown}: fill them, or drop those rows")
    arrays = [_column_array(column) for column in columns.values()]
    return arrays[0] if isinstance(table, nw.Series) else np.column_stack(arrays)


def is_frame(x: Tree) -> bool:
    """Return True for tables with named columns."""
    return hasattr(x, "columns") and hasattr(x, "to_numpy")


def take_frame_rows(frame: Any, rows: np.ndarray) -> Any:
    """Return rows of a frame or series by position, not by index."""
    return frame.iloc[rows] if hasattr(frame, "iloc") else frame[rows]


def frame_columns(frame: Any) -> dict[str, Any]:
    """Return the columns of a frame by name."""
    return {str(name): frame[name] for name in frame.columns}


def is_missing(value: object) -> bool:
    """Return True for None, NaN and pandas' NA and NaT."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return np.isscalar(value) and bool(value != value)


def check_present(values: Any, name: str) -> None:
    """Raise ValueError if values of a column are missing: an array, a series, a list or a single value."""
    array = np.asarray(values.to_numpy() if hasattr(values, "to_numpy") else values)
    if array.dtype.kind == "f":
        count, remedy = int(np.isnan(array).sum()), "with the median of the training part"
    else:
        values = array.reshape(-1).tolist()
        present = [value for value in values if not is_missing(value)]
        text = any(isinstance(value, (str, bytes)) for value in present)
        count = len(values) - len(present)
        remedy = "as in fillna('?')" if text else "with the median of the training part"
    if count:
        raise ValueError(
            f"column {name!r} has {count:,} missing value{'s' * (count > 1)}: fill them first, {remedy}, or "
            "drop those rows"
        )


def _columns(table: Any) -> Iterator[tuple[str, Any]]:
    return ((str(name), table[name]) for name in table.columns)


def _is_numeric(dtype: Any) -> bool:
    return dtype.is_numeric() or str(dtype) == "Boolean"


def _column_array(column: Any) -> np.ndarray:
    array = column.to_numpy()
    return array if array.dtype.kind in "biuf" else array.astype("float64")  # decimals
