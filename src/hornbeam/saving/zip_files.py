"""Read untrusted zip archives: a short directory, and members of their declared sizes."""

from __future__ import annotations

import os
import struct
import zipfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from hornbeam._internal.limits import current_budget
from hornbeam.errors import ModelFileError
from hornbeam.saving.files import how_to_raise

# Bytes of a member's directory entry, with a name of usual length.
_ENTRY_BYTES = 105


@contextmanager
def open_zip(file: BinaryIO) -> Iterator[zipfile.ZipFile]:
    """Open the archive in an open file, if its directory is within the budget.

    Raises:
        ModelFileError: If it is not, or has two members of one name or an unknown compression.
    """
    most = current_budget().members
    if _directory_bytes(file) > most * _ENTRY_BYTES:
        raise ModelFileError(_many("the directory is too long", most))
    file.seek(0)
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        if len(members) > most:
            raise ModelFileError(_many(f"the archive has {len(members):,} members", most))
        names = [member.filename for member in members]
        if len(set(names)) != len(names):  # readers take the first or the last
            (twice, _), *_ = Counter(names).most_common(1)
            raise ModelFileError(f"the archive has two members named {twice!r:.80}")
        for member in members:
            if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise ModelFileError(f"{member.filename} uses an unsupported compression")
        yield archive


def unpacked(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """Read a member, never more than its header declares."""
    with archive.open(info) as member:
        data = member.read(info.file_size + 1)
    if len(data) != info.file_size:
        raise ModelFileError(f"{info.filename} does not have its declared size")
    return data


def _many(problem: str, most: int) -> str:
    return (
        f"{problem}: a model has a handful of members, at most {most:,} are read. {how_to_raise('members')}"
    )


def _directory_bytes(file: BinaryIO) -> int:
    """Return the length of the directory, which zipfile reads as a whole, with an object per entry.

    Its end record must be the last bytes of the file, as Keras, NumPy and Python's zipfile write it: a
    comment after it, or a second record, could make readers see different files.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(max(size - 98, 0))
    tail = file.read()
    end = tail[-22:]
    if end[:4] != b"PK\5\6" or end[-2:] != b"\0\0":
        raise ModelFileError("not a zip file like .keras and .npz files")
    if tail[-42:-38] != b"PK\6\7":
        return int(struct.unpack("<L", end[12:16])[0])
    # Zip64, beyond 4 GiB.
    offset = struct.unpack("<Q", tail[-34:-26])[0]
    if tail[-98:-94] != b"PK\6\6" or offset != size - 98:
        raise ModelFileError("the zip's directory is not at its declared offset")
    return int(struct.unpack("<Q", tail[-58:-50])[0])
