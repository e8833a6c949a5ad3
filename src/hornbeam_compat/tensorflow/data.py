"""tf.data and tf.lookup: datasets, CSV files, and lookup tables on the host."""

from __future__ import annotations

import csv
import glob
import gzip
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hornbeam import Tensor, ops
from hornbeam.backend import standardize_dtype
from hornbeam.data import AUTOTUNE as AUTOTUNE
from hornbeam.data import INFINITE_CARDINALITY as INFINITE_CARDINALITY
from hornbeam.data import UNKNOWN_CARDINALITY as UNKNOWN_CARDINALITY
from hornbeam.data import Dataset, Strings, TensorSpec
from hornbeam.extensions.tensors import Composite, as_tensor, map_parts
from hornbeam_compat.patch import Patch
from hornbeam_compat.tensorflow.dtypes import DType
from hornbeam_compat.tensorflow.ragged import stack_rows
from hornbeam_compat.tensorflow.ragged_rows import RaggedRow
from hornbeam_compat.tensorflow.strings import StringTensor, as_bytes, holds_text, map_elements
from hornbeam_compat.tensorflow.typing import DTypeLike, FilePath, TensorLike, TextOrTensor, Tree

# Namespace -> its names.
NAMESPACES = {
    "data": (
        "AUTOTUNE INFINITE_CARDINALITY UNKNOWN_CARDINALITY Dataset Options TextLineDataset "
        "cardinality make_csv_dataset"
    ),
    "lookup": "KeyValueTensorInitializer StaticHashTable TextFileIndex TextFileInitializer",
}


# -- tf.data -------------------------------------------------------------------------------------------------


class Options:
    """Options of a pipeline: any attribute may be set and is ignored. Pipelines here are deterministic."""

    def __getattr__(self, name: str) -> Options:
        if name.startswith("__"):
            raise AttributeError(name)
        setattr(self, name, Options())
        return vars(self)[name]


def cardinality(dataset: Dataset) -> Tensor:
    """Return the number of elements, INFINITE_CARDINALITY or UNKNOWN_CARDINALITY."""
    return dataset.cardinality()


def TextLineDataset(filenames: TensorLike, *args: object, **kwargs: object) -> Dataset:
    """Create a dataset of the lines of text files, without line ends."""
    names = [str(name) for name in StringTensor(filenames).texts().reshape(-1)]

    def lines() -> Iterator[str]:
        for name in names:
            with Path(name).open(encoding="utf-8") as file:
                yield from (line.rstrip("\r\n") for line in file)

    return Dataset.from_generator(lines, output_signature=TensorSpec((), "string"))


# Before `patches` replace them.
_elements_of = Dataset.__iter__
_numpy_elements_of = Dataset.as_numpy_iterator


class DatasetIterator:
    """Iterator of a dataset, whose position checkpoints store.

    Args:
        dataset: The dataset.
    """

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self._start(dataset._orders(), 0)

    def _start(self, orders: list[list[int]], skipped: int) -> None:
        self._orders = orders
        self._elements = _elements_of(self._dataset)
        self._position = skipped
        for _ in range(skipped):
            next(self._elements, None)

    def __iter__(self) -> DatasetIterator:
        return self

    def __next__(self) -> Tree:
        element = next(self._elements)
        self._position += 1
        return element

    next = get_next = __next__

    def get_next_as_optional(self) -> Optional:
        """Return the next element, or that there is none."""
        try:
            return Optional((next(self),))
        except StopIteration:
            return Optional(())

    @property
    def element_spec(self) -> Tree:
        """Types of the elements."""
        return self._dataset.element_spec

    def state(self) -> np.ndarray:
        """Return the number of elements so far, and the seed and pass of each shuffle."""
        return np.array([self._position, *(n for order in self._orders for n in order)], np.int64)

    def restore(self, state: np.ndarray) -> None:
        """Continue from a `state` of the same pipeline: the elements before it are computed again."""
        position, *numbers = (int(n) for n in state)
        orders = [numbers[i : i + 2] for i in range(0, len(numbers), 2)]
        self._dataset._set_orders(orders)
        self._start(orders, position)


class Optional:
    """Element of a dataset, or none.

    Args:
        values: Tuple of the element, or an empty one.
    """

    def __init__(self, values: tuple[Any, ...]) -> None:
        self._values = values

    def has_value(self) -> Tensor:
        """Return True if there is an element."""
        return as_tensor(bool(self._values))

    def get_value(self) -> Tree:
        """Return the element. Raise ValueError if there is none."""
        if not self._values:
            raise ValueError("the dataset has no more elements: ask has_value() first")
        return self._values[0]


def ragged_batch(
    dataset: Dataset, batch_size: int, drop_remainder: bool = False, row_splits_dtype: object = "int64",
    name: str | None = None,
) -> Dataset:  # fmt: skip
    """Combine consecutive elements of different lengths into ragged batches."""

    def as_row(part: Tree) -> Tree:
        return RaggedRow(part, stack_rows) if np.ndim(part) and not isinstance(part, Composite) else part

    def as_rows(*element: Tree) -> Tree:
        return map_parts(as_row, element[0] if len(element) == 1 else element)

    return dataset.map(as_rows).batch(batch_size, drop_remainder)


def snapshot(dataset: Dataset, path: FilePath, compression: object = "AUTO", **options: object) -> Dataset:
    """Cache the elements in a file of the folder `path`, which later programs read."""
    return dataset.cache(os.path.join(str(path), "elements"))


def _as_numpy_iterator(dataset: Dataset) -> Iterator[Any]:
    """Return an iterator over the elements as NumPy arrays and numbers, and bytes for text."""
    elements = _numpy_elements_of(dataset)
    return (map_parts(lambda part: as_bytes(part) if holds_text(part) else part, x) for x in elements)


def patches() -> list[Patch]:
    """List the patches that give datasets, their iterators and text the methods of TensorFlow."""
    return [
        Patch(Dataset, "as_numpy_iterator", _as_numpy_iterator),
        Patch(Strings, "of", StringTensor),
        Patch(Dataset, "__iter__", lambda self: DatasetIterator(self)),
        Patch(Dataset, "ragged_batch", ragged_batch),
        Patch(Dataset, "snapshot", snapshot),
    ]


# -- CSV files -----------------------------------------------------------------------------------------------


# Dtypes of columns, in the order in which they are tried.
_DTYPES = ("int32", "int64", "float32", "string")


def make_csv_dataset(
    file_pattern: FilePath | Iterable[FilePath], batch_size: int, column_names: Sequence[str] | None = None,
    column_defaults: Sequence[Any] | None = None, label_name: str | None = None,
    select_columns: Sequence[str | int] | None = None, field_delim: str = ",", use_quote_delim: bool = True,
    na_value: str = "", header: bool = True, num_epochs: int | None = None, shuffle: bool = True,
    shuffle_buffer_size: int = 10000, shuffle_seed: int | None = None,
    prefetch_buffer_size: int | None = None, num_parallel_reads: int | None = None, sloppy: bool = False,
    num_rows_for_inference: int | None = 100, compression_type: str | None = None,
    ignore_errors: bool = False, encoding: str = "utf-8",
) -> Dataset:  # fmt: skip
    """Create a dataset of batches from CSV files.

    Files are read as a whole, in the order of their names.

    Args:
        file_pattern: Path or glob pattern, or a list of them.
        batch_size: Integer, rows in a batch.
        column_names: Names of the columns. Those of the header if None.
        column_defaults: For each column a default for missing values, which also determines the dtype, or a
            dtype. If None, dtypes are inferred: int32, int64, float32 or string.
        label_name: Name of the column of labels, or None.
        select_columns: Names or indices of the columns to read. All if None.
        field_delim: Separator of fields.
        use_quote_delim: True if fields may be quoted.
        na_value: Text of a missing value, besides the empty one.
        header: True if the first line of a file contains names.
        num_epochs: Number of passes. Without end if None; all batches are full then.
        shuffle: True to shuffle rows.
        shuffle_buffer_size: Integer, rows among which the next one is drawn.
        shuffle_seed: Seed of the shuffling.
        prefetch_buffer_size: Ignored, as are `num_parallel_reads`, `sloppy` and `num_rows_for_inference`.
        compression_type: "GZIP", or None.
        ignore_errors: True to leave out rows with a wrong number of fields.
        encoding: Encoding of the files.

    Returns:
        Dataset of dicts from names to columns of shape (batch,); with `label_name`, of pairs of such a dict
        and the column of labels.

    Raises:
        FileNotFoundError: If no file matches the pattern.
        ValueError: If a row has a wrong number of fields, or a value the wrong type.
        NotImplementedError: For other compressed files.
    """
    if compression_type not in (None, "", "GZIP"):
        raise NotImplementedError(
            f"make_csv_dataset(compression_type={compression_type!r}) is not supported by `hornbeam run`: "
            'it reads plain files and "GZIP"'
        )
    names, rows = list(column_names or ()), []
    for path in _files(file_pattern):
        opened: Any = gzip.open if compression_type else open
        with opened(path, "rt", encoding=encoding, newline="") as file:
            lines: Iterator[list[str]] = csv.reader(
                file,
                delimiter=field_delim,
                quoting=csv.QUOTE_MINIMAL if use_quote_delim else csv.QUOTE_NONE,
            )
            first = next(lines, []) if header else []
            names = names or first
            wanted = [row for row in lines if row and not (ignore_errors and len(row) != len(names))]
            rows += [_check_row(row, names, path) for row in wanted]
    if not names:
        raise ValueError("make_csv_dataset needs column_names= if the files have no header")
    selected = [name if isinstance(name, str) else names[name] for name in select_columns or names]
    columns: dict[str, Any] = {
        name: _column(name, [row[names.index(name)] for row in rows], na_value, default)
        for name, default in zip(selected, column_defaults or [None] * len(selected), strict=True)
    }
    if label_name is not None and label_name not in columns:
        raise ValueError(f"make_csv_dataset: label_name={label_name!r} must be one of {list(columns)}")
    parts = columns if label_name is None else (columns, columns.pop(label_name))
    data = Dataset.from_tensor_slices(parts)
    if shuffle:
        data = data.shuffle(shuffle_buffer_size, seed=shuffle_seed)
    return data.repeat(num_epochs).batch(batch_size, drop_remainder=num_epochs is None)


def _files(pattern: FilePath | Iterable[FilePath]) -> list[str]:
    patterns = [pattern] if isinstance(pattern, (str, os.PathLike)) else list(pattern)
    paths = [path for each in patterns for path in sorted(glob.glob(os.fspath(each)))]
    if not paths:
        raise FileNotFoundError(f"make_csv_dataset: no file matches {pattern!r}")
    return paths


def _check_row(row: list[str], names: Sequence[str], path: str) -> list[str]:
    if names and len(row) != len(names):
        raise ValueError(f"{path}: a row has {len(row)} fields for {len(names)} columns: {row}")
    return row


def _column(name: str, texts: list[str], na_value: str, default: Tree) -> np.ndarray:
    """Convert the values of one column; `default` determines its dtype and replaces missing values."""
    value = default[0] if isinstance(default, (list, tuple)) else default
    missing = [text in ("", na_value) for text in texts]
    if value is None:
        present = [text for text, absent in zip(texts, missing, strict=True) if not absent]
        dtype = next(d for d in _DTYPES if d == "string" or _convert(present, d) is not None)
        value = "" if dtype == "string" else 0
    elif isinstance(value, (str, bytes)) and not isinstance(value, DType):
        dtype = "string"
    elif isinstance(value, (bool, int, float, np.generic)):
        dtype = "float32" if isinstance(value, (float, np.floating)) else "int32"
    else:
        dtype, value = standardize_dtype(value), None
    if value is None and any(missing):
        raise ValueError(f"column {name!r} has no value in row {missing.index(True)} and no default")
    filled = [str(value) if absent else text for text, absent in zip(texts, missing, strict=True)]
    column = _convert(filled, dtype)
    if column is None:
        raise ValueError(f"column {name!r} contains values that are not {dtype}")
    return column


def _convert(texts: Sequence[str], dtype: str) -> np.ndarray | None:
    """Convert texts to an array, or return None if one does not fit the dtype."""
    if dtype == "string":
        return np.array(texts, dtype=object if not texts else None)
    try:
        if dtype.startswith("int"):
            numbers = [int(text) for text in texts]
            limits = np.iinfo(dtype)
            return np.array(numbers, dtype) if all(limits.min <= n <= limits.max for n in numbers) else None
        return np.array([float(text) for text in texts], dtype)
    except ValueError:
        return None


# -- tf.lookup -----------------------------------------------------------------------------------------------


class TextFileIndex:
    """Columns of a text file: the whole line, or its number."""

    WHOLE_LINE, LINE_NUMBER = -2, -1


class KeyValueTensorInitializer:
    """Content of a table: keys and their values.

    Args:
        keys: Array of strings or numbers.
        values: Array of the same shape.
        key_dtype: Ignored.
        value_dtype: Dtype of the values, or None.
        name: Ignored.

    Raises:
        ValueError: If the shapes differ.
    """

    def __init__(
        self, keys: TensorLike, values: TensorLike, key_dtype: object = None,
        value_dtype: DTypeLike | None = None, name: str | None = None,
    ) -> None:  # fmt: skip
        self.keys, self.values = _host_array(keys), _host_array(values)
        self.value_dtype = value_dtype
        if self.keys.shape != self.values.shape:
            raise ValueError(
                f"keys and values must have equal shapes, got {self.keys.shape} and {self.values.shape}"
            )


class TextFileInitializer(KeyValueTensorInitializer):
    """Content of a table, read from the lines of a file.

    Args:
        filename: Path of a text file.
        key_dtype: Ignored.
        key_index: Column of the keys, or one of the constants of `TextFileIndex`.
        value_dtype: Dtype of the values.
        value_index: Column of the values, as `key_index`.
        vocab_size: Number of lines to read. All if None.
        delimiter: Separator of columns.
        name: Ignored.
    """

    def __init__(
        self, filename: str, key_dtype: DTypeLike, key_index: int, value_dtype: DTypeLike, value_index: int,
        vocab_size: int | None = None, delimiter: str = "\t", name: str | None = None,
    ) -> None:  # fmt: skip
        lines = Path(filename).read_text(encoding="utf-8").splitlines()[:vocab_size]

        def column(index: int) -> np.ndarray:
            if index == TextFileIndex.LINE_NUMBER:
                return np.arange(len(lines))
            texts = lines if index == TextFileIndex.WHOLE_LINE else [x.split(delimiter)[index] for x in lines]
            return np.array(texts, object)

        super().__init__(column(key_index), column(value_index), key_dtype, value_dtype)


class StaticHashTable:
    """Constant table from keys to values.

    It needs values on the host, so a compiled function that uses it runs line by line.

    Args:
        initializer: Keys and values.
        default_value: Value of unknown keys.
        name: Ignored.
        experimental_is_anonymous: Ignored.
    """

    def __init__(
        self, initializer: KeyValueTensorInitializer, default_value: TensorLike, name: str | None = None,
        experimental_is_anonymous: bool = False,
    ) -> None:  # fmt: skip
        keys, values = initializer.keys.reshape(-1).tolist(), initializer.values.reshape(-1).tolist()
        self._table = dict(zip(keys, values, strict=True))
        self._text = holds_text(initializer.values)
        self._dtype = initializer.value_dtype or (None if self._text else initializer.values.dtype.name)
        self._default = _host_array(default_value).item()

    def size(self, name: str | None = None) -> Tensor:
        """Return the number of keys."""
        return ops.cast(as_tensor(len(self._table)), "int64")

    def lookup(self, keys: TensorLike, name: str | None = None) -> TextOrTensor:
        """Return the value of each key, in the shape of `keys`."""
        values = map_elements(
            lambda key: self._table.get(key, self._default), _host_array(keys).astype(object)
        )
        if self._text:
            return StringTensor(values)
        return ops.cast(as_tensor(np.array(values.tolist())), str(self._dtype))

    __getitem__ = lookup


def _host_array(values: TensorLike) -> np.ndarray:
    return StringTensor(values).array if holds_text(values) else np.asarray(values)
