"""Frames and series of pandas and polars as arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from hornbeam.ir.types import HornbeamTypeError


def frame_to_array(frame: Any, what: str) -> np.ndarray:
    """A frame's columns side by side, (rows, columns), or a series, (rows,), in a dtype that holds them all.

    Columns of one kind need nothing else; mixed and nullable ones are read through narwhals (extra `frames`).

    Raises HornbeamTypeError that names the columns that are no numbers, ValueError for missing values.
    """
    array = frame.to_numpy()
    if array.dtype.kind in "biuf":
        return array
    try:
        import narwhals.stable.v1 as nw
    except ImportError as error:
        raise ImportError(
            f"{what} is a {type(frame).__name__} of several kinds of columns: pip install 'hornbeam[frames]'"
        ) from error
    table = nw.from_native(frame, eager_only=True, allow_series=True)
    columns = {str(table.name or what): table} if isinstance(table, nw.Series) else dict(_columns(table))
    wrong = {name: column.dtype for name, column in columns.items() if not _numbers(column.dtype)}
    if wrong:
        shown = ", ".join(f"{name!r} ({dtype})" for name, dtype in list(wrong.items())[:5])
        raise HornbeamTypeError(
            f"{what} has columns that are no numbers: {shown}. Leave them out, or encode them first, as with "
            "FeatureSpace, StringLookup or to_categorical"
        )
    missing = {name: column.null_count() for name, column in columns.items() if column.null_count()}
    if missing:
        shown = ", ".join(f"{name!r} ({count:,})" for name, count in list(missing.items())[:5])
        raise ValueError(f"{what} has missing values in {shown}: fill them, or drop those rows")
    arrays = [_array(column) for column in columns.values()]
    return arrays[0] if isinstance(table, nw.Series) else np.column_stack(arrays)


def is_frame(x: Any) -> bool:
    """True for tables with named columns."""
    return hasattr(x, "columns") and hasattr(x, "to_numpy")


def take_frame_rows(frame: Any, rows: np.ndarray) -> Any:
    """The rows of a frame or series with these numbers, whatever its index says."""
    return frame.iloc[rows] if hasattr(frame, "iloc") else frame[rows]


def frame_columns(frame: Any) -> dict[str, Any]:
    """The columns of a frame by their names."""
    return {str(name): frame[name] for name in frame.columns}


def _columns(table: Any) -> Any:
    return ((str(name), table[name]) for name in table.columns)


def _numbers(dtype: Any) -> bool:
    return dtype.is_numeric() or str(dtype) == "Boolean"


def _array(column: Any) -> np.ndarray:
    array = column.to_numpy()
    return array if array.dtype.kind in "biuf" else array.astype("float64")  # decimals
