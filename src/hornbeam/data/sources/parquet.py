"""Parquet files as a Dataset, a row group at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hornbeam.data.pipeline.dataset import AUTOTUNE, Dataset
from hornbeam.data.sources.arrow_columns import Locate, check_type, import_pyarrow, to_rows
from hornbeam.data.sources.files import Paths, find_files
from hornbeam.data.sources.images import ImageDecoder
from hornbeam.data.sources.selection import Selection
from hornbeam.data.sources.shards import BLOCK_ROWS, Block, Shard, shard_dataset

# Rows that are read at a time if some are images: their bytes are in memory together.
IMAGE_ROWS = 64
# A column is read from the disk a MiB at a time, so that row groups may be larger than memory.
OPTIONS = {"buffer_size": 1 << 20, "pre_buffer": False, "page_checksum_verification": True}


def from_parquet(
    paths: Paths,
    columns: str | Sequence[str] | None = None,
    label: str | Sequence[str] | None = None,
    *,
    images: str | Sequence[str] | None = None,
    color_mode: str = "rgb",
    image_size: tuple[int, int] | None = None,
    shuffle_shards: bool | int = False,
    num_parallel_calls: int | None = AUTOTUNE,
) -> Dataset:
    """Return a Dataset of the rows of Parquet files, which are read while they are used.

    Numbers and booleans keep their dtypes, lists of one length are arrays, strings and bytes are text.
    Missing floats are NaN, other missing values errors. Only the columns of `columns` and `label` are read.
    Columns that Hugging Face wrote as images are decoded to uint8 (height, width, channels). This needs the
    extra `parquet` (pyarrow).

    Args:
        paths: Path, folder, glob pattern or range ("part-{00..19}.parquet"), or a list of them.
        columns: Name of the column that is x, or names of columns that are a dict; None for all columns but
            `label`.
        label: Name or names of the columns that are y; elements are (x, y) then.
        images: Name or names of columns with the bytes of image files, which are decoded.
        color_mode: "rgb", "grayscale" or "rgba".
        image_size: (height, width) to which images are stretched; None for the size of each.
        shuffle_shards: Whether every pass reads the row groups in a new order; a seed for a reproducible one.
        num_parallel_calls: Number of threads that decode images; AUTOTUNE (-1) uses one a processor where
            that pays.

    Returns:
        Dataset of single rows, whose number is known. Row groups are the shards: see docs/sources.md.

    Raises:
        FileNotFoundError: If a path names no file.
        ImportError: If pyarrow is not installed.
        ValueError: If a file is not Parquet, or its columns are not those of the first file or of types that
            arrays cannot hold.

    Example:
        >>> dataset = hornbeam.data.from_parquet(  # doctest: +SKIP
        ...     "houses/*.parquet", label="price", shuffle_shards=1)
        >>> model.fit(dataset.shuffle(10_000).batch(64))  # doctest: +SKIP
    """
    import_pyarrow()
    files = [ParquetFile(path) for path in find_files(paths, (".parquet",))]
    selection, first = Selection(columns, label), files[0]
    names = selection.names(first.schema.names, first.path)
    decoded = [name for name in _image_features(first.schema.metadata) if name in names]
    if images is not None:
        decoded += Selection(images, None).names(names, f"the selection from {first.path}")
    for file in files:
        file.check(first, names, [name for name in names if name not in decoded])
    decoder = ImageDecoder(color_mode, image_size) if decoded else bytes
    rows = IMAGE_ROWS if decoded else BLOCK_ROWS
    shards = [shard for file in files for shard in file.row_groups(names, rows)]
    return shard_dataset(
        "from_parquet", shards, selection, dict.fromkeys(decoded, decoder), shuffle_shards, num_parallel_calls
    )


def _image_features(metadata: Mapping[bytes, bytes] | None) -> list[str]:
    """Return the columns that Hugging Face's library declares as images in the metadata of a schema."""
    try:
        features = json.loads((metadata or {})[b"huggingface"])["info"]["features"]
        return [name for name, feature in features.items() if feature.get("_type") == "Image"]
    except (KeyError, TypeError, ValueError, AttributeError):
        return []


class ParquetFile:
    """A file whose metadata are read. Raises ValueError if it is not Parquet."""

    def __init__(self, path: str) -> None:
        import pyarrow.parquet

        self.path = path
        try:
            self.metadata = pyarrow.parquet.read_metadata(path)
            self.schema = self.metadata.schema.to_arrow_schema()
        except (ValueError, OSError) as error:
            raise ValueError(f"{path} is not a readable Parquet file: {error}") from error

    def check(self, first: ParquetFile, names: list[str], converted: list[str]) -> None:
        """Raise ValueError unless the columns have the types of another file, which arrays can hold."""
        for name in names:
            if name not in self.schema.names:
                raise ValueError(f"{self.path} has no column {name!r}, which {first.path} has")
            own, expected = self.schema.field(name).type, first.schema.field(name).type
            if own != expected:
                raise ValueError(
                    f"{self.path}, column {name!r}: expected {expected}, as in {first.path}, got {own}"
                )
            if name in converted:
                try:
                    check_type(own)
                except ValueError as error:
                    raise ValueError(f"{self.path}, column {name!r}: {error}") from error

    def row_groups(self, names: list[str], block_rows: int) -> Iterator[RowGroup]:
        """Yield the row groups that are not empty."""
        first = 0
        for index in range(self.metadata.num_row_groups):
            length = self.metadata.row_group(index).num_rows
            if length:
                yield RowGroup(self, index, first, length, names, block_rows)
            first += length


class RowGroup(Shard):
    """Rows of a file from number `first`, which are stored together."""

    def __init__(
        self, file: ParquetFile, index: int, first: int, length: int, names: list[str], block_rows: int
    ) -> None:
        self.file, self.index, self.first, self.length = file, index, first, length
        self.names, self.block_rows = names, block_rows

    def read(self, start: int) -> Iterator[Block]:
        """See `Shard.read`."""
        import pyarrow.parquet

        number = 0
        try:
            with pyarrow.parquet.ParquetFile(
                self.file.path, metadata=self.file.metadata, **OPTIONS
            ) as opened:
                batches = opened.iter_batches(self.block_rows, [self.index], self.names)
                for batch in batches:
                    stop = number + batch.num_rows
                    if stop > start:
                        skip = max(start - number, 0)
                        yield read_block(batch.slice(skip), number + skip, self.names, self.locate)
                    number = stop
        except (pyarrow.ArrowException, OSError) as error:
            raise ValueError(f"{self.locate(number)}: not readable as Parquet: {error}") from error

    def measure(self) -> int:
        """See `Shard.measure`."""
        return self.length

    def locate(self, number: int) -> str:
        """See `Shard.locate`."""
        return f"{self.file.path}, row {self.first + number}"


def read_block(table: Any, first: int, names: Sequence[str], locate: Locate) -> Block:
    """Return the columns of a table. Raises ValueError that names the row and column of a bad value."""

    def locate_in(name: str) -> Locate:
        return lambda row: f"{locate(first + row)}, column {name!r}"

    return Block(first, {name: to_rows(table.column(name), locate_in(name)) for name in names})
