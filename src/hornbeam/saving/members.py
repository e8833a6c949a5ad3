"""Members of a model's `.keras` file or folder, read after checking every size."""

from __future__ import annotations

import io
import os
import struct
import zipfile
import zlib
from typing import NamedTuple

from hornbeam._internal.limits import current_budget, parsed_bytes
from hornbeam.errors import ModelFileError
from hornbeam.layers.preprocessing.host import STRAY_BYTES
from hornbeam.saving.files import how_to_raise, max_text_bytes
from hornbeam.saving.folders import read_folder_files
from hornbeam.saving.formats import ASSETS, CONFIG, METADATA, WEIGHTS
from hornbeam.saving.hdf5 import check_sum
from hornbeam.saving.zip_files import open_zip, unpacked


class Members(NamedTuple):
    """Contents of an archive: bytes of its members, and vocabularies by path."""

    config: bytes
    weights: bytes
    metadata: bytes
    assets: dict[str, str]


def read_archive(path: str) -> Members:
    """Read the members of an archive, after checking every size."""
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            with open_zip(file) as archive:
                return _read_members(archive, size)
    except ModelFileError as error:
        raise ModelFileError(f"{path!r}: {error}") from None
    except (
        zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, OSError, RuntimeError,
        ValueError,
    ) as error:  # fmt: skip
        raise ModelFileError(f"{path!r} is not a .keras file, or is damaged: {error}") from error


def read_folder(path: str) -> Members:
    """Read the same members from a folder, whose files are no links."""
    files = read_folder_files(path)
    check_config(files[CONFIG], len(files[CONFIG]))
    check_sum(io.BytesIO(files[WEIGHTS]))
    texts = {name: data.decode("utf-8", STRAY_BYTES) for name, data in files.items() if "/" in name}
    assets = {name[len(ASSETS) :]: text for name, text in texts.items()}
    return Members(files[CONFIG], files[WEIGHTS], files.get(METADATA, b""), assets)


def _read_members(archive: zipfile.ZipFile, size: int) -> Members:
    budget = current_budget()
    names = [member.filename for member in archive.infolist()]
    for name in (CONFIG, WEIGHTS):
        if names.count(name) != 1:
            raise ModelFileError(
                f"the file has {names.count(name)} members named {name!r}; a model has exactly one"
            )
    config, weights = archive.getinfo(CONFIG), archive.getinfo(WEIGHTS)
    metadata = archive.getinfo(METADATA) if names.count(METADATA) == 1 else None
    assets = {name: archive.getinfo(name) for name in names if name.startswith(ASSETS) and name[-1] != "/"}
    total = sum(member.file_size for member in assets.values())
    if total > max_text_bytes():
        raise ModelFileError(
            f"the vocabularies unpack to {total} bytes, but at most {max_text_bytes()} are allowed: refused "
            f"as a decompression bomb. {how_to_raise('text')}"
        )
    for member, allowed in (
        *([(metadata, budget.short_text)] if metadata else []),
        (config, budget.text_for(min(config.compress_size, size))),
        (weights, budget.bytes_for(min(weights.compress_size, size))),
    ):
        if member.file_size > allowed:
            limit = "bytes" if member is weights else "text"
            raise ModelFileError(
                f"{member.filename} unpacks to {member.file_size} bytes, but at most {allowed} are allowed: "
                f"refused as a decompression bomb. {how_to_raise(limit)}"
            )
    about = unpacked(archive, metadata) if metadata else b""
    texts = {
        name[len(ASSETS) :]: unpacked(archive, member).decode("utf-8", STRAY_BYTES)
        for name, member in assets.items()
    }
    text = unpacked(archive, config)
    check_config(text, size)
    return Members(text, unpacked(archive, weights), about, texts)


def check_config(text: bytes, stored: int) -> None:
    """Raise ModelFileError for a long config that takes much more memory than its file of `stored` bytes."""
    budget = current_budget()
    if len(text) > budget.short_text and parsed_bytes(text) > budget.bytes_for(stored):
        raise ModelFileError(
            f"{CONFIG} of {len(text)} bytes would take {parsed_bytes(text)} bytes of memory: refused as a "
            f"decompression bomb. {how_to_raise('bytes')}"
        )
