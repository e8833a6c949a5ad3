"""Zip archives from strangers: a table of contents that is small, and members as large as they say."""

from __future__ import annotations

import os
import struct
import zipfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from hornbeam._internal.limits import current_budget
from hornbeam.saving.files import ModelFileError, raised

# What a member's entry in the table takes, with a name of usual length.
_ENTRY_BYTES = 105


@contextmanager
def opened_zip(file: BinaryIO) -> Iterator[zipfile.ZipFile]:
    """The archive in an open file, its table of contents within the budget. Raises ModelFileError."""
    most = current_budget().members
    if _directory_bytes(file) > most * _ENTRY_BYTES:
        raise ModelFileError(_many("the table of contents is too long", most))
    file.seek(0)
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        if len(members) > most:
            raise ModelFileError(_many(f"the archive has {len(members):,} members", most))
        names = [member.filename for member in members]
        if len(set(names)) != len(names):  # of which readers take the first or the last
            (twice, _), *_ = Counter(names).most_common(1)
            raise ModelFileError(f"the archive has two members called {twice!r:.80}")
        for member in members:
            if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise ModelFileError(f"{member.filename} is compressed in a way that is not read")
        yield archive


def unpacked(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """The member's bytes, never more than its header declares."""
    with archive.open(info) as member:
        data = member.read(info.file_size + 1)
    if len(data) != info.file_size:
        raise ModelFileError(f"{info.filename} does not have the size that it declares")
    return data


def _many(what: str, most: int) -> str:
    return f"{what}: a model has a handful of members, at most {most:,} are read. {raised('members')}"


def _directory_bytes(file: BinaryIO) -> int:
    """The length of the table of contents, which is read as a whole, and every entry becomes an object.

    It must be described in the file's last bytes, as Keras, NumPy and Python's zipfile write it; a comment
    behind it, or a second description, could make readers see different files.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(max(size - 98, 0))
    tail = file.read()
    end = tail[-22:]
    if end[:4] != b"PK\5\6" or end[-2:] != b"\0\0":
        raise ModelFileError("not a zip file as .keras and .npz files are")
    if tail[-42:-38] != b"PK\6\7":
        return int(struct.unpack("<L", end[12:16])[0])
    # Of a file beyond 4 GiB.
    place = struct.unpack("<Q", tail[-34:-26])[0]
    if tail[-98:-94] != b"PK\6\6" or place != size - 98:
        raise ModelFileError("the zip's table of contents is not where it should be")
    return int(struct.unpack("<Q", tail[-58:-50])[0])
