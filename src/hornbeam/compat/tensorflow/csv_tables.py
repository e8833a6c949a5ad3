"""tf.data.experimental.make_csv_dataset: batches of columns, out of files of comma-separated values."""

from __future__ import annotations

import csv
import glob
import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from hornbeam.data import Dataset
from hornbeam.ir.types import dtype_name

# What a column may hold, in the order in which it is tried.
_KINDS = ("int32", "int64", "float32", "string")


def make_csv_dataset(
    file_pattern: Any,
    batch_size: int,
    column_names: Sequence[str] | None = None,
    column_defaults: Sequence[Any] | None = None,
    label_name: str | None = None,
    select_columns: Sequence[str | int] | None = None,
    field_delim: str = ",",
    use_quote_delim: bool = True,
    na_value: str = "",
    header: bool = True,
    num_epochs: int | None = None,
    shuffle: bool = True,
    shuffle_buffer_size: int = 10000,
    shuffle_seed: int | None = None,
    prefetch_buffer_size: int | None = None,
    num_parallel_reads: int | None = None,
    sloppy: bool = False,
    num_rows_for_inference: int | None = 100,
    compression_type: str | None = None,
    ignore_errors: bool = False,
    encoding: str = "utf-8",
) -> Dataset:
    """Dicts of columns (batch,) by name, with `label_name` pairs of such a dict and that column.

    column_defaults: for each column a value, whose dtype it has and which stands where `na_value` or nothing
    does, or a dtype. Without it dtypes are inferred: int32, int64, float32, strings. num_epochs=None: without
    end, and batches are whole. Files are read whole, in the order of their names.

    Raises FileNotFoundError for a pattern without files, ValueError for a row or a value that does not fit,
    NotImplementedError for compressed files and ignore_errors.
    """
    if compression_type or ignore_errors:
        raise NotImplementedError(
            "make_csv_dataset(compression_type=, ignore_errors=) is not in `hornbeam run`: unpack and mend "
            "the files first"
        )
    names, rows = list(column_names or ()), []
    for path in _files(file_pattern):
        with open(path, encoding=encoding, newline="") as file:
            lines: Iterator[list[str]] = csv.reader(
                file,
                delimiter=field_delim,
                quoting=csv.QUOTE_MINIMAL if use_quote_delim else csv.QUOTE_NONE,
            )
            first = next(lines, []) if header else []
            names = names or first
            rows += [_checked(row, names, path) for row in lines if row]
    if not names:
        raise ValueError("make_csv_dataset: without a header the columns need column_names=")
    chosen = [name if isinstance(name, str) else names[name] for name in select_columns or names]
    defaults = list(column_defaults or [None] * len(chosen))
    columns: dict[str, Any] = {
        name: _column(name, [row[names.index(name)] for row in rows], na_value, default)
        for name, default in zip(chosen, defaults, strict=True)
    }
    if label_name is not None and label_name not in columns:
        raise ValueError(f"make_csv_dataset: there is no column {label_name!r}, but {list(columns)}")
    label = None if label_name is None else columns.pop(label_name)
    data = Dataset.from_tensor_slices(columns if label is None else (columns, label))
    if shuffle:
        data = data.shuffle(shuffle_buffer_size, seed=shuffle_seed)
    return data.repeat(num_epochs).batch(batch_size, drop_remainder=num_epochs is None)


def _files(pattern: Any) -> list[str]:
    patterns = [pattern] if isinstance(pattern, (str, os.PathLike)) else list(pattern)
    found = [path for each in patterns for path in sorted(glob.glob(os.fspath(each)))]
    if not found:
        raise FileNotFoundError(f"make_csv_dataset: there is no file {pattern!r}")
    return found


def _checked(row: list[str], names: Sequence[str], path: str) -> list[str]:
    if names and len(row) != len(names):
        raise ValueError(f"{path}: a row has {len(row)} fields for {len(names)} columns: {row}")
    return row


def _column(name: str, texts: list[str], na_value: str, default: Any) -> np.ndarray:
    """One column's values; `default` says its dtype, and what stands where nothing is."""
    value = default[0] if isinstance(default, (list, tuple)) else default
    missing = [text in ("", na_value) for text in texts]
    if value is None:
        known = [text for text, gone in zip(texts, missing, strict=True) if not gone]
        kind = next(kind for kind in _KINDS if kind == "string" or _converted(known, kind) is not None)
        value = "" if kind == "string" else 0
    elif isinstance(value, (str, bytes)):
        kind = "string"
    elif isinstance(value, (bool, int, float, np.generic)):
        kind = "float32" if isinstance(value, float) else "int32"
    else:
        kind, value = _named(value), None
    if value is None and any(missing):
        raise ValueError(f"column {name!r} has no value in row {missing.index(True)}, and no default")
    filled = [str(value) if gone else text for text, gone in zip(texts, missing, strict=True)]
    made = _converted(filled, kind)
    if made is None:
        raise ValueError(f"column {name!r} holds values that are not of {kind}")
    return made


def _named(dtype: Any) -> str:
    return "string" if str(getattr(dtype, "name", dtype)) == "string" else dtype_name(dtype)


def _converted(texts: Sequence[str], kind: str) -> np.ndarray | None:
    """The texts as an array, or None if they are not of that kind."""
    if kind == "string":
        return np.array(texts, dtype=object if not texts else None)
    try:
        if kind.startswith("int"):
            numbers = [int(text) for text in texts]
            held = np.iinfo(kind)
            return np.array(numbers, kind) if all(held.min <= n <= held.max for n in numbers) else None
        return np.array([float(text) for text in texts], kind)
    except ValueError:
        return None
