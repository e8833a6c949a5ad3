"""Datasets of Hugging Face's library `datasets`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from hornbeam.data import elements as e
from hornbeam.data.pipeline.dataset import AUTOTUNE, Dataset
from hornbeam.data.sources.arrow_columns import check_type
from hornbeam.data.sources.images import ImageDecoder
from hornbeam.data.sources.parquet import IMAGE_ROWS, read_block
from hornbeam.data.sources.selection import Selection
from hornbeam.data.sources.shards import BLOCK_ROWS, Block, Shard, shard_dataset

# Rows of a Dataset that are shuffled together.
SHARD_ROWS = 4096


def from_huggingface(
    dataset: Iterable[Mapping[str, Any]],
    columns: str | Sequence[str] | None = None,
    label: str | Sequence[str] | None = None,
    *,
    color_mode: str = "rgb",
    image_size: tuple[int, int] | None = None,
    shuffle_shards: bool | int = False,
    num_parallel_calls: int | None = AUTOTUNE,
) -> Dataset:
    """Return a Dataset of the rows of a dataset of Hugging Face's library.

    Columns are read from Arrow: numbers keep their dtypes, class labels are int64, lists and `Array2D` are
    arrays, images are decoded to uint8 (height, width, channels). The format of the dataset
    (`with_format("torch")`) makes no difference but for its choice of columns; functions of `with_transform`
    are called for every row.

    Args:
        dataset: A `datasets.Dataset` or `IterableDataset`: one part of a `DatasetDict`.
        columns: Name of the column that is x, or names of columns that are a dict; None for all columns but
            `label`.
        label: Name or names of the columns that are y; elements are (x, y) then.
        color_mode: "rgb", "grayscale" or "rgba".
        image_size: (height, width) to which images are stretched; None for the size of each.
        shuffle_shards: Whether every pass reads the shards in a new order; a seed for a reproducible one.
        num_parallel_calls: Number of threads that decode images; AUTOTUNE (-1) uses one a processor where
            that pays.

    Returns:
        Dataset of single rows. The shards are 4,096 rows of a Dataset, or those of an IterableDataset: see
        docs/sources.md.

    Raises:
        TypeError: If `dataset` is something else.
        ValueError: If a column is unknown, or of a type that arrays cannot hold.

    Example:
        >>> digits = datasets.load_dataset("ylecun/mnist")  # doctest: +SKIP
        >>> data = hornbeam.data.from_huggingface(digits["train"], "image", "label")  # doctest: +SKIP
    """
    _check(dataset)
    source: Any = dataset
    selection = Selection(columns, label)
    if _has_rows(source) and source.format["type"] == "custom":
        return _transformed(source, selection, shuffle_shards)
    features = source.features or source._resolve_features().features
    names = selection.names(_formatted_columns(source, list(features)), type(source).__name__)
    images = [name for name in names if type(features[name]).__name__ == "Image"]
    for name in names:
        if name not in images:
            try:
                check_type(features.arrow_schema.field(name).type)
            except ValueError as error:
                raise ValueError(f"column {name!r}: {error}") from error
    decoder = ImageDecoder(color_mode, image_size, reads_paths=True) if images else bytes
    rows = IMAGE_ROWS if images else BLOCK_ROWS
    shards = _shards(source.with_format("arrow"), names, rows)
    return shard_dataset(
        "from_huggingface", shards, selection, dict.fromkeys(images, decoder), shuffle_shards,
        num_parallel_calls,
    )  # fmt: skip


def is_huggingface(value: Any) -> bool:
    """Return True for what `datasets` calls a dataset, or a dict of them."""
    return type(value).__module__.partition(".")[0] == "datasets" and hasattr(value, "with_format")


def _has_rows(dataset: Any) -> bool:
    """Return True for a Dataset, False for an IterableDataset, which has no state of its format."""
    return hasattr(dataset, "format")


def _check(dataset: Any) -> None:
    if isinstance(dataset, dict):
        raise TypeError(
            f"from_huggingface takes one dataset, got a {type(dataset).__name__} of several: pass one of its "
            f"parts, {', '.join(f'[{name!r}]' for name in dataset)}"
        )
    if not is_huggingface(dataset):
        raise TypeError(
            f"from_huggingface takes a Dataset or IterableDataset of `datasets`, got {type(dataset).__name__}"
        )


def _formatted_columns(dataset: Any, names: list[str]) -> list[str]:
    chosen = dataset.format["columns"] if _has_rows(dataset) else None
    return names if chosen is None else [name for name in names if name in chosen]


def _shards(dataset: Any, names: list[str], block_rows: int) -> list[Shard]:
    if _has_rows(dataset):
        starts = range(0, len(dataset), SHARD_ROWS)
        return [
            Rows(dataset, start, min(SHARD_ROWS, len(dataset) - start), names, block_rows) for start in starts
        ]
    number = dataset.num_shards
    return [Stream(dataset, index, number, names, block_rows) for index in range(number)]


class Rows(Shard):
    """Rows of a Dataset from number `first`."""

    def __init__(self, dataset: Any, first: int, length: int, names: list[str], block_rows: int) -> None:
        self.dataset, self.first, self.length = dataset, first, length
        self.names, self.block_rows = names, block_rows

    def read(self, start: int) -> Iterator[Block]:
        """See `Shard.read`."""
        for number in range(start, self.length, self.block_rows):
            stop = min(number + self.block_rows, self.length)
            table = self.dataset[self.first + number : self.first + stop]
            yield read_block(table, number, self.names, self.locate)

    def measure(self) -> int:
        """See `Shard.measure`."""
        return self.length

    def locate(self, number: int) -> str:
        """See `Shard.locate`."""
        return f"row {self.first + number} of the Dataset"


class TransformedRows(Rows):
    """Rows to which the dataset applies a function of the user."""

    def read(self, start: int) -> Iterator[Block]:
        """See `Shard.read`."""
        for number in range(start, self.length):
            row = self.dataset[self.first + number]
            columns = {name: [_plain(row[name])] for name in self.names}
            yield Block(number, columns)


class Stream(Shard):
    """Shard `index` of an IterableDataset."""

    def __init__(self, dataset: Any, index: int, number: int, names: list[str], block_rows: int) -> None:
        self.dataset, self.index, self.number = dataset, index, number
        self.names, self.block_rows = names, block_rows

    def _own(self) -> Any:
        return self.dataset.shard(self.number, self.index) if self.number > 1 else self.dataset

    def read(self, start: int) -> Iterator[Block]:
        """See `Shard.read`."""
        number = start
        for table in self._own().skip(start).iter(self.block_rows):
            yield read_block(table, number, self.names, self.locate)
            number += len(table)

    def measure(self) -> int:
        """See `Shard.measure`."""
        return sum(len(table) for table in self._own().iter(BLOCK_ROWS))

    def locate(self, number: int) -> str:
        """See `Shard.locate`."""
        return f"row {number} of shard {self.index} of the IterableDataset"


def _transformed(dataset: Any, selection: Selection, shuffle_shards: bool | int) -> Dataset:
    names = selection.names(list(dataset[0]), "the result of the dataset's transform")
    shards = [
        TransformedRows(dataset, start, min(SHARD_ROWS, len(dataset) - start), names, 1)
        for start in range(0, len(dataset), SHARD_ROWS)
    ]
    return shard_dataset("from_huggingface", shards, selection, {}, shuffle_shards, 1)


def _plain(value: Any) -> Any:
    return e.as_element(np.asarray(value) if hasattr(value, "getbands") else value)
