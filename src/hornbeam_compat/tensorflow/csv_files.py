"""CSV records: `tf.io.decode_csv` and `tf.data.experimental.CsvDataset`."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np

from hornbeam.data import Dataset, TensorSpec
from hornbeam_compat.tensorflow.dtypes import DType, as_dtype
from hornbeam_compat.tensorflow.strings import StringTensor, from_list
from hornbeam_compat.tensorflow.typing import TensorLike

# What a field of a record becomes.
CsvValue: TypeAlias = Any

# Namespace -> its names.
NAMESPACES = {"io": "decode_csv", "data": "CsvDataset"}


class _Column:
    """Dtype and default of a column, from an entry of `record_defaults`: a dtype, or a value in a list.

    Args:
        entry: Dtype, value, or list or tensor of one value; an empty list or a dtype makes it required.
    """

    def __init__(self, entry: object) -> None:
        self.default: Any = None
        if isinstance(entry, (DType, type, np.dtype)):
            self.dtype = str(as_dtype(entry))
            return
        if hasattr(entry, "numpy"):
            value = np.atleast_1d(entry.numpy())
            self.dtype = "string" if value.dtype == object else value.dtype.name
            self.default = value[0] if len(value) else None
            return
        values = entry if isinstance(entry, (list, tuple)) else [entry]
        self.default = values[0] if len(values) else None
        kinds = {str: "string", bytes: "string", int: "int32", float: "float32", bool: "bool"}
        self.dtype = kinds.get(type(self.default), "float32") if len(values) else "float32"
        if isinstance(self.default, np.generic):
            self.dtype = self.default.dtype.name

    def value(self, text: str, position: int) -> CsvValue:
        """Convert a field. Raise ValueError for a missing or wrong one."""
        if not text:
            if self.default is None:
                raise ValueError(f"field {position} is required but missing in a CSV record")
            return self.default
        if self.dtype == "string":
            return text.encode()
        try:
            return np.dtype(self.dtype).type(float(text) if "float" in self.dtype else int(text))
        except ValueError:
            raise ValueError(f"field {position} of a CSV record is no {self.dtype}: {text!r}") from None


def _rows(lines: Iterable[str], field_delim: str, use_quote_delim: bool) -> Iterator[list[str]]:
    if use_quote_delim:
        return csv.reader(lines, delimiter=field_delim)
    return csv.reader(lines, delimiter=field_delim, quoting=csv.QUOTE_NONE)


def decode_csv(
    records: TensorLike, record_defaults: Sequence[Any], field_delim: str = ",", use_quote_delim: bool = True,
    na_value: str = "", select_cols: Sequence[int] | None = None, name: str | None = None,
) -> list[Any]:  # fmt: skip
    """Convert each record to one tensor per column, of the shape of `records`.

    Args:
        records: Strings.
        record_defaults: For each column its default in a list, which also gives the dtype; a dtype or an
            empty list for required ones.
        field_delim: Separator of fields.
        use_quote_delim: True if fields may be quoted.
        na_value: Text of a missing value, besides the empty one.
        select_cols: Indices of the columns to return. All if None.
        name: Ignored.

    Returns:
        List of tensors.

    Raises:
        ValueError: If a record has another number of fields, or a field the wrong type.
    """
    array = StringTensor(records).texts()
    columns = [_Column(entry) for entry in record_defaults]
    rows = [next(_rows(io.StringIO(text), field_delim, use_quote_delim), [""]) for text in array.reshape(-1)]
    if select_cols is not None:
        rows = [[row[i] for i in select_cols] for row in rows]
    for row in rows:
        if len(row) != len(columns):
            raise ValueError(f"decode_csv expects {len(columns)} fields, the record has {len(row)}: {row}")
    return [
        from_list(
            [column.value("" if row[i] == na_value else row[i], i) for row in rows], column.dtype, array.shape
        )
        for i, column in enumerate(columns)
    ]


def CsvDataset(
    filenames: TensorLike, record_defaults: Sequence[Any], compression_type: str | None = None,
    buffer_size: object = None, header: bool = False, field_delim: str = ",", use_quote_delim: bool = True,
    na_value: str = "", select_cols: Sequence[int] | None = None, exclude_cols: Sequence[int] | None = None,
) -> Dataset:  # fmt: skip
    """Create a dataset of tuples of scalars, one for each record of CSV files; see `decode_csv`."""
    names = [str(x) for x in StringTensor(np.atleast_1d(np.asarray(filenames, object))).texts().reshape(-1)]
    columns = [_Column(entry) for entry in record_defaults]

    def read() -> Iterator[tuple[Any, ...]]:
        for name in names:
            opener: Any = gzip.open if compression_type == "GZIP" else open
            with opener(name, "rt", newline="") as file:
                rows = _rows(file, field_delim, use_quote_delim)
                if header:
                    next(rows, None)
                for row in rows:
                    kept = [row[i] for i in select_cols] if select_cols is not None else row
                    kept = [x for i, x in enumerate(kept) if i not in (exclude_cols or ())]
                    yield tuple(
                        column.value("" if text == na_value else text, i)
                        for i, (column, text) in enumerate(zip(columns, kept, strict=True))
                    )

    return Dataset.from_generator(
        read, output_signature=tuple(TensorSpec((), column.dtype) for column in columns)
    )
