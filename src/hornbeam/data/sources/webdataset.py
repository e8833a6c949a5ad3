"""Samples in tar archives, in the form of WebDataset: files of one name with different endings."""

from __future__ import annotations

import itertools
import json
import posixpath
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from hornbeam.data import elements as e
from hornbeam.data.folders.image_decoding import ENDINGS
from hornbeam.data.npy import array_from_npy
from hornbeam.data.pipeline.dataset import AUTOTUNE, Dataset
from hornbeam.data.sources.files import Paths, find_files
from hornbeam.data.sources.images import ImageDecoder
from hornbeam.data.sources.selection import Selection
from hornbeam.data.sources.shards import Block, Decoder, Shard, shard_dataset
from hornbeam.data.sources.tar_files import Member, read_members

# Column with the name that the files of a sample have in common.
KEY = "__key__"


def from_webdataset(
    paths: Paths,
    columns: str | Sequence[str] | None = None,
    label: str | Sequence[str] | None = None,
    *,
    color_mode: str = "rgb",
    image_size: tuple[int, int] | None = None,
    shuffle_shards: bool | int = False,
    num_parallel_calls: int | None = AUTOTUNE,
) -> Dataset:
    """Return a Dataset of samples in tar archives, the form of WebDataset.

    Consecutive files whose names differ only behind the first dot are a sample; this ending is the column:
    `0001.jpg` and `0001.cls` have the columns jpg and cls. Endings determine how they are read:
    images (jpg, png, webp, ...) as uint8 (height, width, channels), cls, index and count as int64, txt
    as strings, json as numbers, strings, lists and dicts of them, npy as arrays of numbers (pickled objects
    are refused), others as bytes. The column `__key__` is the name without the ending.

    Archives are read, never extracted, and their names of files are not used as paths. A file may have 1 GiB,
    unless `hornbeam.saving.budget` allows more.

    Args:
        paths: Path, folder, glob pattern or range ("train-{000..099}.tar"), or a list of them; .tar.gz and
            .tgz are decompressed.
        columns: Ending that is x, or endings that are a dict; None for those of the first sample but `label`.
            "jpg;png" is the first of them that a sample has.
        label: Ending or endings that are y; elements are (x, y) then.
        color_mode: "rgb", "grayscale" or "rgba".
        image_size: (height, width) to which images are stretched; None for the size of each.
        shuffle_shards: Whether every pass reads the archives in a new order; a seed for a reproducible one.
        num_parallel_calls: Number of threads that decode; AUTOTUNE (-1) uses one a processor where that pays.

    Returns:
        Dataset of single samples. Archives are the shards: see docs/sources.md.

    Raises:
        FileNotFoundError: If a path names no file.
        ValueError: If the first archive is damaged, empty, or has no such column.

    Example:
        >>> dataset = hornbeam.data.from_webdataset(  # doctest: +SKIP
        ...     "train-{000..099}.tar", "jpg", "cls", image_size=(224, 224), shuffle_shards=1)
        >>> model.fit(dataset.shuffle(1000).batch(64))  # doctest: +SKIP
    """
    files = find_files(paths, (".tar", ".tar.gz", ".tgz"))
    selection = Selection(columns, label)
    first = next(_samples(files[0]), None)
    if first is None:
        raise ValueError(f"{files[0]} has no files")
    read = [name for name in first.members if columns is None]
    for name in {*_listed(columns), *_listed(label)}:
        read.extend([] if name in read else [name])
        first.find(name, files[0])
    decoders = {name: _decoder(name, color_mode, image_size) for name in read if name != KEY}
    shards = [TarShard(path, sorted(read)) for path in files]
    return shard_dataset("from_webdataset", shards, selection, decoders, shuffle_shards, num_parallel_calls)


def _listed(names: str | Sequence[str] | None) -> Sequence[str]:
    return [] if names is None else [names] if isinstance(names, str) else names


class Sample:
    """Files of one sample by ending."""

    def __init__(self, key: str, members: dict[str, Any]) -> None:
        self.key, self.members = key, members

    def find(self, name: str, path: str) -> Any:
        """Return the contents of a column. Raises ValueError if the sample does not have it."""
        if name == KEY:
            return self.key
        for ending in name.split(";"):
            if ending in self.members:
                return self.members[ending]
        raise ValueError(
            f"{path}, sample {self.key!r:.80}: expected a file .{name.replace(';', ' or .')}, got "
            f"{', '.join('.' + ending for ending in self.members)}"
        )


class TarShard(Shard):
    """Samples of an archive. names: the columns to read."""

    def __init__(self, path: str, names: Sequence[str]) -> None:
        self.path, self.names = path, names
        self._endings = {ending for name in names for ending in name.split(";")}

    def read(self, start: int) -> Iterator[Block]:
        """See `Shard.read`."""
        for number, sample in enumerate(_samples(self.path, start, self._endings), start):
            yield Block(number, {name: [sample.find(name, self.path)] for name in self.names})

    def measure(self) -> int:
        """See `Shard.measure`."""
        return sum(1 for _ in _samples(self.path, stop=0))

    def locate(self, number: int) -> str:
        """See `Shard.locate`."""
        sample = next(itertools.islice(_samples(self.path, stop=0), number, None), None)
        return (
            f"{self.path}, sample {number}" if sample is None else f"{self.path}, sample {sample.key!r:.80}"
        )


def _split(member: Member) -> tuple[str, str]:
    """Return the name of a file up to the first dot of its last part, and its ending in small letters."""
    folder, name = posixpath.split(member.name)
    stem, _, ending = name.partition(".")
    return posixpath.join(folder, stem), ending.lower()


def _samples(
    path: str, start: int = 0, endings: set[str] | None = None, stop: int | None = None
) -> Iterator[Sample]:
    """Yield the samples of an archive; contents of the wanted endings are read from sample `start` to `stop`.

    start: number of the first sample to yield.
    """
    groups = itertools.groupby(
        ((*_split(member), member) for member in read_members(path) if not _is_hidden(member)),
        key=lambda item: item[0],
    )
    for number, (key, files) in enumerate(groups):
        if number < start:
            continue
        reads = stop is None or number < stop
        members: dict[str, Any] = {}
        for _, ending, member in files:
            if ending in members:
                raise ValueError(f"{path}, sample {key!r:.80}: two files end in .{ending}")
            wanted = reads and (endings is None or ending in endings)
            members[ending] = member.read() if wanted else b""
        yield Sample(posixpath.basename(key), members)


def _is_hidden(member: Member) -> bool:
    return posixpath.basename(member.name).startswith(".")


# -- decoders ------------------------------------------------------------------------------------------------


def _decoder(column: str, color_mode: str, image_size: tuple[int, int] | None) -> Decoder:
    ending = column.partition(";")[0].rpartition(".")[2]
    if f".{ending}" in ENDINGS:
        return ImageDecoder(color_mode, image_size)
    return _DECODERS.get(ending, bytes)


def _integer(content: bytes) -> np.int64:
    try:
        return np.int64(int(content))
    except (ValueError, OverflowError):
        raise ValueError(f"expected an integer, got {content!r:.60}") from None


def _text(content: bytes) -> str:
    return content.decode()


def _json(content: bytes) -> Any:
    try:
        return e.as_element(json.loads(content))
    except RecursionError:
        raise ValueError("expected JSON, got too many nested lists") from None


_DECODERS: dict[str, Decoder] = {
    "cls": _integer,
    "count": _integer,
    "index": _integer,
    "json": _json,
    "npy": array_from_npy,
    "txt": _text,
}
