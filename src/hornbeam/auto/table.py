"""Tables from files and frames: columns of texts, numbers or times, as they are written."""

from __future__ import annotations

import csv
import gzip
import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TextIO, TypeAlias

import numpy as np

from hornbeam._internal.extras import required

# Words for a missing value.
MISSING = frozenset(("", "na", "n/a", "#n/a", "nan", "nat", "null", "none", "?", "-"))
# Most rows that are kept of a file. Of a longer one as many are drawn.
MAX_ROWS = 500_000
_DELIMITERS = ",;\t|"


@dataclass(frozen=True, repr=False)
class Table:
    """Columns of equal length.

    Args:
        columns: By name: float64 with NaN for missing numbers, datetime64, or texts with None.
        notes: What had to be decided while reading, one sentence each.
    """

    columns: dict[str, np.ndarray]
    notes: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def __repr__(self) -> str:
        return f"<Table: {len(self):,} rows, columns {', '.join(self.columns)}>"

    def rows(self, rows: np.ndarray) -> Table:
        """Return some rows.

        Args:
            rows: Their numbers.
        """
        return Table({name: values[rows] for name, values in self.columns.items()})


class Frame(Protocol):
    """A frame of pandas, polars or another library."""

    @property
    def columns(self) -> Any:
        """Names of the columns."""


TableLike: TypeAlias = Table | str | os.PathLike[str] | Mapping[str, Any] | Frame
"""A table, the path of a CSV or Parquet file, a dict of columns, or a frame."""


def read_table(data: TableLike, *, max_rows: int = MAX_ROWS) -> Table:
    """Read a table.

    Delimiter, encoding and whether decimals have commas are found out, and said in `Table.notes`. So are a
    name that occurs twice, and a file of more than `max_rows` rows, of which as many are drawn at random.

    Args:
        data: Path of a CSV file (`.csv`, `.tsv`, `.txt`, or those with `.gz`) or a Parquet file; a frame of
            pandas or polars; or a dict of columns.
        max_rows: Most rows to keep.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file has no rows, or a row with another number of values than the header.

    Example:
        >>> hornbeam.auto.read_table({"rooms": [3, None], "city": ["Rome", "Oslo"]})
        <Table: 2 rows, columns rooms, city>
    """
    if isinstance(data, Table):
        return data
    if isinstance(data, (str, os.PathLike)):
        path = Path(data)
        if path.suffix == ".parquet":
            with required("Parquet files need PyArrow", "parquet"):
                from pyarrow import parquet
            table = parquet.read_table(path)
            return _checked({name: table[name].to_pylist() for name in table.column_names}, str(path), [])
        return _read_csv(path, max_rows)
    if isinstance(data, Mapping):
        return _checked({str(name): values for name, values in data.items()}, "the table", [])
    if hasattr(data, "columns"):
        notes: list[str] = []
        names = _distinct([str(name) for name in data.columns], notes)
        frame: Any = data
        by_position = hasattr(frame, "iloc")
        columns = [frame.iloc[:, i] if by_position else frame[name] for i, name in enumerate(frame.columns)]
        return _checked(dict(zip(names, columns, strict=True)), "the frame", notes)
    raise TypeError(
        f"expected the path of a CSV or Parquet file, a frame or a dict of columns, got {type(data).__name__}"
    )


def _checked(columns: Mapping[str, Any], name: str, notes: list[str]) -> Table:
    arrays = {key: _column(values) for key, values in columns.items()}
    sizes = {key: len(array) for key, array in arrays.items()}
    if not sizes or not max(sizes.values()):
        raise ValueError(f"{name} has no rows")
    if len(set(sizes.values())) > 1:
        raise ValueError(f"{name} has columns of different lengths: {sizes}")
    return Table(arrays, notes)


def _column(values: Any) -> np.ndarray:
    """Return float64, datetime64, or an object array of texts and None."""
    array = values.to_numpy() if hasattr(values, "to_numpy") else values
    if not isinstance(array, np.ndarray):
        array = _objects(list(array))
    if array.ndim != 1:
        raise ValueError(f"a column has one value a row, got an array of shape {array.shape}")
    if array.dtype.kind in "biuf":
        return array.astype("float64")
    if array.dtype.kind == "M":
        return array.astype("datetime64[s]")
    items = array.tolist()
    present = [x for x in items if not _is_missing(x)]
    if present and all(isinstance(x, (bool, int, float)) for x in present):
        return np.array([np.nan if _is_missing(x) else float(x) for x in items])
    if present and all(hasattr(x, "isoformat") for x in present):
        return np.array([None if _is_missing(x) else _moment(x) for x in items], "datetime64[s]")
    return _objects([None if _is_missing(x) else str(x).strip() for x in items])


def _moment(value: Any) -> Any:
    """Return a date or a time as NumPy reads it: in UTC, without a zone."""
    zone = getattr(value, "tzinfo", None)
    return (value - value.utcoffset()).replace(tzinfo=None) if zone else value


def _objects(items: Sequence[Any]) -> np.ndarray:
    array = np.empty(len(items), object)
    array[:] = items
    return array


def _is_missing(value: object) -> bool:
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    if isinstance(value, str):
        return value.strip().lower() in MISSING
    return isinstance(value, float) and value != value


def _distinct(names: list[str], notes: list[str]) -> list[str]:
    """Give names that occur twice, or are empty, other ones."""
    result: list[str] = []
    for number, name in enumerate(names, 1):
        new = base = name.strip() or f"column {number}"
        count = 1
        while new in result:
            count += 1
            new = f"{base} ({count})"
        if name.strip() and new != base:
            notes.append(f"two columns are named {base!r}: the second one is {new!r} here")
        result.append(new)
    return result


def _read_csv(path: Path, max_rows: int) -> Table:
    notes: list[str] = []
    encoding = _encoding(path)
    if encoding != "utf-8-sig":
        notes.append(f"{path.name} is not UTF-8: read as {encoding}")
    with _opened(path, encoding) as file:
        delimiter = _delimiter(list(itertools.islice(file, 50)))
    if delimiter != ",":
        notes.append(f"values of {path.name} are separated by {delimiter!r}")
    with _opened(path, encoding) as file:
        reader = csv.reader(file, delimiter=delimiter)
        names = _distinct(next(reader, []), notes)
        kept: list[list[str]] = []
        random = np.random.default_rng(0)
        count = 0
        for row in _rows(reader, len(names), path):
            count += 1
            if len(kept) < max_rows:
                kept.append(row)
            elif (number := int(random.integers(count))) < max_rows:
                kept[number] = row
    if not kept:
        raise ValueError(f"{path} has no rows below its header line")
    if count > max_rows:
        notes.append(f"{path.name} has {count:,} rows: {max_rows:,} of them, drawn at random, are used")
    return _checked(dict(zip(names, map(_objects, zip(*kept, strict=True)), strict=True)), str(path), notes)


def _rows(reader: Any, width: int, path: Path) -> Iterator[list[str]]:
    try:
        for row in reader:
            if not row:
                continue
            if len(row) != width:
                raise ValueError(
                    f"{path}, line {reader.line_num}: expected {width} values as in line 1, got {len(row)}"
                )
            yield row
    except csv.Error as error:
        raise ValueError(f"{path}, line {reader.line_num}: not readable as CSV: {error}") from error


def _opened(path: Path, encoding: str) -> TextIO:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding=encoding, newline="")
    return open(path, encoding=encoding, newline="")


def _encoding(path: Path) -> str:
    """Return UTF-8 if the file is, UTF-16 by its mark, and otherwise that of Western European programs."""
    with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as file:
        if file.read(2) in (b"\xff\xfe", b"\xfe\xff"):
            return "utf-16"
    try:
        with _opened(path, "utf-8-sig") as text:
            while text.read(1 << 20):
                pass
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8-sig"


def _delimiter(lines: list[str]) -> str:
    """Return the character that splits the lines into equally many values, the most."""
    best, most = ",", 0
    for delimiter in _DELIMITERS:
        widths = {len(row) for row in csv.reader(lines, delimiter=delimiter) if row}
        if len(widths) == 1 and (width := widths.pop()) > max(most, 1):
            best, most = delimiter, width
    return best
