"""tf.data and tf.lookup: datasets, tables in CSV files, and lookup tables."""

from __future__ import annotations

import csv
import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hornbeam import ops
from hornbeam.compat.tensorflow.strings import StringTensor, holds_text, mapped
from hornbeam.core.convert import as_tensor
from hornbeam.core.tensor import Tensor
from hornbeam.data import AUTOTUNE as AUTOTUNE
from hornbeam.data import INFINITE_CARDINALITY as INFINITE_CARDINALITY
from hornbeam.data import UNKNOWN_CARDINALITY as UNKNOWN_CARDINALITY
from hornbeam.data import Dataset, TensorSpec
from hornbeam.ir.types import dtype_name

# Namespace -> its names.
NAMESPACES = {
    "data": (
        "AUTOTUNE INFINITE_CARDINALITY UNKNOWN_CARDINALITY Dataset Options TextLineDataset cardinality "
        "make_csv_dataset"
    ),
    "lookup": "KeyValueTensorInitializer StaticHashTable TextFileIndex TextFileInitializer",
}


# -- tf.data -------------------------------------------------------------------------------------------------


class Options:
    """Accepted, whatever is set: pipelines here are deterministic, and there is nothing to tune."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        setattr(self, name, Options())
        return vars(self)[name]


def cardinality(dataset: Dataset) -> Any:
    """The number of elements, or one of the two constants."""
    return dataset.cardinality()


def TextLineDataset(filenames: Any, *args: Any, **kwargs: Any) -> Dataset:
    """The lines of text files, without their ends."""
    names = [str(name) for name in StringTensor(filenames).texts().reshape(-1)]

    def lines() -> Iterator[str]:
        for name in names:
            with Path(name).open(encoding="utf-8") as file:
                yield from (line.rstrip("\r\n") for line in file)

    return Dataset.from_generator(lines, output_signature=TensorSpec((), "string"))


# -- CSV files -----------------------------------------------------------------------------------------------


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


# -- tf.lookup -----------------------------------------------------------------------------------------------


class TextFileIndex:
    """What of a line is a key or a value: all of it, or its number."""

    WHOLE_LINE, LINE_NUMBER = -2, -1


class KeyValueTensorInitializer:
    """Keys and the value of each."""

    def __init__(
        self, keys: Any, values: Any, key_dtype: Any = None, value_dtype: Any = None, name: str | None = None
    ) -> None:
        self.keys, self.values = _plain(keys), _plain(values)
        self.value_dtype = value_dtype
        if self.keys.shape != self.values.shape:
            raise ValueError(
                f"a table needs a value for each key, got {self.keys.size} keys and {self.values.size} values"
            )


class TextFileInitializer(KeyValueTensorInitializer):
    """The lines of a file, from or to their numbers."""

    def __init__(
        self,
        filename: str,
        key_dtype: Any,
        key_index: int,
        value_dtype: Any,
        value_index: int,
        vocab_size: int | None = None,
        delimiter: str = "\t",
        name: str | None = None,
    ) -> None:
        lines = Path(filename).read_text(encoding="utf-8").splitlines()[:vocab_size]

        def column(index: int) -> Any:
            if index == TextFileIndex.LINE_NUMBER:
                return np.arange(len(lines))
            texts = lines if index == TextFileIndex.WHOLE_LINE else [x.split(delimiter)[index] for x in lines]
            return np.array(texts, object)

        super().__init__(column(key_index), column(value_index), key_dtype, value_dtype)


class StaticHashTable:
    """A table that does not change; what it does not know is `default_value`.

    It works on values, so inside of a compiled function it makes the function run line by line.
    """

    def __init__(
        self,
        initializer: KeyValueTensorInitializer,
        default_value: Any,
        name: str | None = None,
        experimental_is_anonymous: bool = False,
    ) -> None:
        keys, values = initializer.keys.reshape(-1).tolist(), initializer.values.reshape(-1).tolist()
        self._known = dict(zip(keys, values, strict=True))
        self._text = holds_text(initializer.values)
        self._dtype = initializer.value_dtype or (None if self._text else initializer.values.dtype.name)
        self._default = _plain(default_value).item()

    def size(self, name: str | None = None) -> Tensor:
        """How many keys there are."""
        return ops.cast(as_tensor(len(self._known)), "int64")

    def lookup(self, keys: Any, name: str | None = None) -> Any:
        """The value of each key, in the shape of the keys."""
        found = mapped(lambda key: self._known.get(key, self._default), _plain(keys).astype(object))
        if self._text:
            return StringTensor(found)
        return ops.cast(as_tensor(np.array(found.tolist())), str(self._dtype))

    __getitem__ = lookup


def _plain(values: Any) -> np.ndarray:
    return StringTensor(values).array if holds_text(values) else np.asarray(values)
