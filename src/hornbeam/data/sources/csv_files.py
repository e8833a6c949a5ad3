"""CSV files as a Dataset, whose types are those of the first rows."""

from __future__ import annotations

import csv
import gzip
import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, TextIO

import numpy as np

from hornbeam._internal.typing import DTypeLike
from hornbeam.data.elements import spec_dtype
from hornbeam.data.pipeline.dataset import Dataset
from hornbeam.data.sources.files import Paths, find_files
from hornbeam.data.sources.selection import Selection
from hornbeam.data.sources.shards import BLOCK_ROWS, Block, Shard, shard_dataset
from hornbeam.ir.types import numpy_dtype

Converter = Callable[[Sequence[str]], np.ndarray]

# 007 is a code, not a number.
_INTEGER = re.compile(r"\s*[+-]?(0|[1-9][0-9]*)\s*", re.ASCII)


def from_csv(
    paths: Paths,
    columns: str | Sequence[str] | None = None,
    label: str | Sequence[str] | None = None,
    *,
    dtypes: Mapping[str, DTypeLike] | None = None,
    column_names: Sequence[str] | None = None,
    delimiter: str = ",",
    encoding: str = "utf-8",
    shuffle_shards: bool | int = False,
) -> Dataset:
    """Return a Dataset of the rows of CSV files, which are read while they are used.

    The first 1,024 rows determine the dtypes: int64 if all values of a column are integers without leading
    zeros, float32 if all are numbers or missing (NaN), otherwise strings. A later value that does not fit is
    an error that names file and line.

    Args:
        paths: Path, folder, glob pattern or range ("part-{00..19}.csv"), or a list of them. Files that end in
            .gz are decompressed.
        columns: Name of the column that is x, or names of columns that are a dict; None for all columns but
            `label`.
        label: Name or names of the columns that are y; elements are (x, y) then.
        dtypes: Dtypes by column ("string" for text), in place of those that the first rows determine.
        column_names: Names of the columns, for files without a header line.
        delimiter: Character between values.
        encoding: Encoding of the files.
        shuffle_shards: Whether every pass reads the files in a new order; a seed for a reproducible one.

    Returns:
        Dataset of single rows. Files are the shards: see docs/sources.md.

    Raises:
        FileNotFoundError: If a path names no file.
        ValueError: If a column is unknown or occurs twice, or a file is not CSV of these columns.

    Example:
        >>> dataset = hornbeam.data.from_csv("houses/*.csv", label="price")  # doctest: +SKIP
        >>> model.fit(dataset.shuffle(10_000).batch(64))  # doctest: +SKIP
    """
    files = find_files(paths, (".csv", ".csv.gz"))
    layout = Layout(delimiter, encoding, None if column_names is None else list(column_names))
    selection = Selection(columns, label)
    header = layout.header(files[0])
    read = selection.names(header, files[0])
    chosen = {name: spec_dtype(dtype) for name, dtype in (dtypes or {}).items()}
    unknown = [name for name in chosen if name not in header]
    if unknown:
        raise ValueError(f"dtypes has {unknown[0]!r}, but {files[0]} has the columns {', '.join(header)}")
    head = CsvFile(files[0], layout, header, {})
    first = next(head.chunks(0), (0, []))[1]
    if not first:
        raise ValueError(f"{files[0]} has no rows, from which the types of the columns could be inferred")
    types = {}
    for name in read:
        values = [row[header.index(name)] for row in first]
        types[name] = chosen[name] if name in chosen else _infer_dtype(values)
    shards = [CsvFile(path, layout, header, types) for path in files]
    return shard_dataset("from_csv", shards, selection, {}, shuffle_shards, 1)


class Layout(NamedTuple):
    """Form of the values in files. names: of the columns, if they have no header."""

    delimiter: str
    encoding: str
    names: list[str] | None

    def open(self, path: str) -> TextIO:
        is_utf8 = self.encoding.lower().replace("_", "-") in ("utf-8", "utf8")
        encoding = "utf-8-sig" if is_utf8 else self.encoding  # drops the mark of other programs
        if path.endswith(".gz"):
            return gzip.open(path, "rt", encoding=encoding, newline="")
        return open(path, encoding=encoding, newline="")

    def records(self, file: TextIO) -> Any:
        """Return the reader of the lines of a file."""
        return csv.reader(file, delimiter=self.delimiter, strict=True)

    def header(self, path: str) -> list[str]:
        """Return the names of the columns of a file. Raises ValueError if one occurs twice."""
        with self.open(path) as file:
            names = self.names if self.names is not None else next(_parsed(self.records(file), path), [])
        twice = [name for name, following in itertools.pairwise(sorted(names)) if name == following]
        if twice or not names:
            problem = f"two columns {twice[0]!r}" if twice else "no header line"
            raise ValueError(f"{path} has {problem}: pass column_names for files without a header")
        return names


class CsvFile(Shard):
    """Rows of a file. types: dtype by name of the columns that are read."""

    def __init__(self, path: str, layout: Layout, header: list[str], types: Mapping[str, str]) -> None:
        self.path, self.layout, self.header = path, layout, header
        self.converters = [(name, header.index(name), _converter(dtype)) for name, dtype in types.items()]
        self.types = types

    @contextmanager
    def _opened(self) -> Iterator[tuple[Any, Iterator[list[str]]]]:
        """Open the file. Gives the reader, which counts lines, and the records that are not empty."""
        with self.layout.open(self.path) as file:
            reader = self.layout.records(file)
            records = _parsed(reader, self.path)
            names = self.header if self.layout.names is not None else next(records, ["no line"])
            if names != self.header:
                raise ValueError(
                    f"{self.path}, line 1: expected the columns {', '.join(self.header)} of the first file, "
                    f"got {', '.join(names)}"
                )
            yield reader, filter(None, records)

    def chunks(self, start: int) -> Iterator[tuple[int, list[list[str]]]]:
        """Yield blocks of records from number `start`, each with the number of its first record."""
        with self._opened() as (_, records):
            records = itertools.islice(records, start, None)
            for first in itertools.count(start, BLOCK_ROWS):
                chunk = list(itertools.islice(records, BLOCK_ROWS))
                if not chunk:
                    return
                self._check_widths(chunk, first)
                yield first, chunk

    def _check_widths(self, chunk: list[list[str]], first: int) -> None:
        expected = len(self.header)
        if set(map(len, chunk)) == {expected}:
            return
        number, got = next((n, len(r)) for n, r in enumerate(chunk, first) if len(r) != expected)
        raise ValueError(f"{self.locate(number)}: expected {expected} values, got {got}")

    def read(self, start: int) -> Iterator[Block]:
        """See `Shard.read`."""
        for first, chunk in self.chunks(start):
            values = list(zip(*chunk, strict=True))
            columns = {}
            for name, index, convert in self.converters:
                try:
                    columns[name] = convert(values[index])
                except (ValueError, OverflowError):
                    raise self._misfit(first, values[index], name, convert) from None
            yield Block(first, columns)

    def _misfit(self, first: int, values: Sequence[str], name: str, convert: Converter) -> ValueError:
        number, value = next((n, v) for n, v in enumerate(values, first) if not _fits(v, convert))
        return ValueError(
            f"{self.locate(number)}, column {name!r}: expected {self.types[name]}, as in the first rows or "
            f"dtypes, got {value!r:.60}. dtypes={{{name!r}: ...}} reads the column as another type"
        )

    def measure(self) -> int:
        """See `Shard.measure`."""
        with self._opened() as (_, records):
            return sum(1 for _ in records)

    def locate(self, number: int) -> str:
        """See `Shard.locate`."""
        with self._opened() as (reader, records):
            next(itertools.islice(records, number, None), None)
            return f"{self.path}, line {reader.line_num}"


def _fits(value: str, convert: Converter) -> bool:
    try:
        convert([value])
    except (ValueError, OverflowError):
        return False
    return True


def _parsed(reader: Any, path: str) -> Iterator[list[str]]:
    try:
        yield from reader
    except (csv.Error, UnicodeError, EOFError, gzip.BadGzipFile) as error:
        raise ValueError(f"{path}, line {reader.line_num}: not readable as CSV: {error}") from error


def _infer_dtype(values: Sequence[str]) -> str:
    if all(_INTEGER.fullmatch(value) for value in values):
        return "int64"
    written = [value for value in values if value.strip()]
    if not written or any(re.match(r"\s*[+-]?0[0-9]", value) for value in written):
        return "string"
    try:
        _number("float32")(written)
    except ValueError:
        return "string"
    return "float32"


def _strings(values: Sequence[str]) -> np.ndarray:
    array = np.empty(len(values), object)
    array[:] = values
    return array


def _booleans(values: Sequence[str]) -> np.ndarray:
    words = {"true": True, "false": False, "1": True, "0": False}
    try:
        return np.array([words[value.strip().lower()] for value in values])
    except KeyError as error:
        raise ValueError(f"not a boolean: {error}") from error


def _converter(name: str) -> Converter:
    """Return the function from texts to an array of a dtype. It raises ValueError for other texts."""
    return _strings if name == "string" else _booleans if name == "bool" else _number(name)


def _number(name: str) -> Converter:
    dtype = numpy_dtype(name)
    parse: Callable[[str], Any] = int if dtype.kind in "iu" else float

    def convert(values: Sequence[str]) -> np.ndarray:
        if "_" in "".join(values):  # Python's numbers may have them
            raise ValueError("not numbers")
        try:
            numbers = np.array(list(map(parse, values)), None if parse is float else dtype)
        except ValueError:
            if parse is int:
                raise
            numbers = np.array([float(value) if value.strip() else np.nan for value in values])
        with np.errstate(over="ignore"):
            array = numbers.astype(dtype, copy=False)
        if parse is float and np.isinf(array).sum() > np.isinf(numbers).sum():
            raise OverflowError(f"too large for {name}")
        return array

    return convert
