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
        ModelFileError: If it is not within the budget, has two members of one name, or has a member that is
            neither stored nor deflated.
    """
    limit = current_budget().members
    if _directory_bytes(file) > limit * _ENTRY_BYTES:
        raise ModelFileError(_too_many("the directory is too long", limit))
    file.seek(0)
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        if len(members) > limit:
            raise ModelFileError(_too_many(f"the archive has {len(members):,} members", limit))
        names = [member.filename for member in members]
        if len(set(names)) != len(names):  # readers take the first or the last
            (twice, _), *_ = Counter(names).most_common(1)
            raise ModelFileError(f"the archive has two members named {twice!r:.80}")
        for member in members:
            if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise ModelFileError(f"{member.filename} uses an unsupported compression")
        yield archive


def unpacked(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """Return the content of a member, without reading more than its header declares.

    Raises:
        ModelFileError: If the content has another size, as that of a zip bomb.
    """
    with archive.open(info) as member:
        data = member.read(info.file_size + 1)
    if len(data) != info.file_size:
        raise ModelFileError(f"{info.filename} does not have its declared size")
    return data


def _too_many(problem: str, limit: int) -> str:
    return (
        f"{problem}: a model has a handful of members, at most {limit:,} are read. {how_to_raise('members')}"
    )


def _directory_bytes(file: BinaryIO) -> int:
    """Return the length of the directory, which zipfile reads as a whole, with an object per entry.

    Its end record must be the last bytes of the file, as Keras, NumPy and Python's zipfile write it: a
    comment after it, or a second record, could make readers see different files.
    """
    # The end record has 22 bytes. In Zip64 a larger end record (56) and its locator (20) are before it: 98
    # (APPNOTE.TXT, 4.3.14 to 4.3.16).
    size = file.seek(0, os.SEEK_END)
    file.seek(max(size - 98, 0))
    tail = file.read()
    end = tail[-22:]
    if end[:4] != b"PK\5\6" or end[-2:] != b"\0\0":
        raise ModelFileError("not a zip file like .keras and .npz files")
    if tail[-42:-38] != b"PK\6\7":
        return int(struct.unpack("<L", end[12:16])[0])
    # Zip64, beyond 4 GiB: the locator has the offset of the end record, which has the length.
    offset = struct.unpack("<Q", tail[-34:-26])[0]
    if tail[-98:-94] != b"PK\6\6" or offset != size - 98:
        raise ModelFileError("the zip's directory is not at its declared offset")
    return int(struct.unpack("<Q", tail[-58:-50])[0])
