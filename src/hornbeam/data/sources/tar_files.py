"""Files in tar archives, read in their order and within limits: nothing is extracted to the disk."""

from __future__ import annotations

import gzip
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any, NamedTuple

from hornbeam._internal.limits import current_budget

# Names and attributes of a file in its archive.
MAX_HEADER_BYTES = 1 << 20
# Contents of a file in an archive, without a budget of the user.
MAX_FILE_BYTES = 1 << 30


class Member(NamedTuple):
    """A file in an archive: its name, and a function that reads its contents."""

    name: str
    read: Callable[[], bytes]


class _Headers:
    """The archive as `tarfile` sees it, which reads headers alone."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.tell, self.seek = file.tell, file.seek

    def read(self, size: int) -> bytes:
        if not 0 <= size <= MAX_HEADER_BYTES:
            raise ValueError(f"a header declares {size:,} bytes")
        return self._file.read(size)


def read_members(path: str) -> Iterator[Member]:
    """Yield the files of a tar archive (.tar, .tar.gz, .tgz).

    Contents are only read on request; those of plain archives are skipped without reading. Raises ValueError
    for damaged archives, for members that are neither files nor folders, and beyond the limits.
    """
    with _open(path) as file, _named(path):
        yield from _members(file, path)


@contextmanager
def _named(path: str) -> Iterator[None]:
    try:
        yield
    except (tarfile.TarError, EOFError, OSError, ValueError, RecursionError, zlib.error) as error:
        if str(error).startswith(path):
            raise
        raise ValueError(f"{path} is not a readable tar archive: {error}") from error


def _open(path: str) -> Any:
    return gzip.open(path, "rb") if path.endswith(("gz", ".tgz")) else open(path, "rb")


def _members(file: IO[bytes], path: str) -> Iterator[Member]:
    limit = current_budget().bytes or MAX_FILE_BYTES
    headers: Any = _Headers(file)
    with tarfile.open(fileobj=headers, mode="r:") as archive:
        opened: Any = archive  # `members` is not in the stubs
        last = -1
        while (info := archive.next()) is not None:
            opened.members.clear()  # it would keep all headers in memory
            if info.size < 0 or info.offset_data <= last:
                raise ValueError(f"{info.name!r:.80} has a negative size")
            last = info.offset_data
            if info.isdir():
                continue
            if not info.isreg() or info.issparse():
                raise ValueError(
                    f"{info.name!r:.80} is a link, a device or a sparse file: only files are read"
                )
            if info.size > limit:
                raise ValueError(
                    f"{info.name!r:.80} has {info.size:,} bytes, more than the limit of {limit:,}: read an "
                    "archive that you trust under hornbeam.saving.budget(bytes=...)"
                )
            yield Member(info.name, _reader(file, path, info))
        _check_end(file, archive.offset)


def _reader(file: IO[bytes], path: str, info: tarfile.TarInfo) -> Callable[[], bytes]:
    def read() -> bytes:
        with _named(path):
            file.seek(info.offset_data)
            content = file.read(info.size)
            if len(content) < info.size:
                raise ValueError(f"it ends within {info.name!r:.80}")
            return content

    return read


def _check_end(file: IO[bytes], offset: int) -> None:
    """Raise ValueError unless the archive ends at `offset`: `tarfile` takes a damaged header for the end."""
    file.seek(offset)
    if any(file.read(tarfile.BLOCKSIZE)):
        raise ValueError(f"the header at byte {offset:,} is damaged")
