"""Texts among the attributes of an HDF5 file from a stranger.

HDF5 makes room for as many bytes as an attribute claims its text to have, up to 4 GiB, before it looks
whether they are there, and goes round for ever in a damaged heap, or nowhere, which ends the process,
in a damaged datatype. So both are read here first, from the file's bytes: every message that an attribute of
the name could be in, and the heaps that those point to.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator

import h5py
import numpy as np

from hornbeam.saving.files import ModelFileError

Raw = bytes | mmap.mmap

# Classes of datatypes: numbers, which an empty list of texts is one of, texts in place, and values elsewhere.
_NUMBERS, _FIXED, _VARIABLE = (0, 1), 3, 9
_ELEMENT = 16  # length, address and number of a value that is elsewhere
# The size of such elements, and the bytes that they consist of. HDF5 follows others into pointers to nothing.
_TEXT_SIZE = struct.pack("<I", _ELEMENT)
_BYTE_SIZE = struct.pack("<I", 1)


def texts(group: h5py.Group, name: str, raw: Raw) -> list[str] | None:
    """The texts of an attribute, one or several, or None if it is not there. raw: the bytes of the file.

    Raises ModelFileError for what is no text, or claims more of them than the file could hold.
    """
    if name not in group.attrs:
        return None
    if h5py.h5o.get_info(group.id).meta_size.attr.heap_size:
        raise ModelFileError("the file keeps its attributes in a heap, as no model's does: refused")
    claims = list(_claims(raw, name.encode() + b"\0"))
    if not claims or sum(claims) > len(raw):
        raise ModelFileError(f"the file's {name} claims {sum(claims):,} bytes, it has {len(raw):,}: refused")
    found = np.asarray(group.attrs[name]).ravel().tolist()
    if not all(isinstance(text, (str, bytes)) for text in found):
        raise ModelFileError(f"the file's {name} is not a text")
    return [text.decode() if isinstance(text, bytes) else text for text in found]


def _claims(raw: Raw, name: bytes) -> Iterator[int]:
    """How long the texts say they are that attributes of the name could have."""
    at = raw.find(name)
    while at >= 0:
        for start in (at - 8, at - 9):
            if start >= 0:
                yield from _message(raw, start, at, name)
        at = raw.find(name, at + 1)


def _message(raw: Raw, start: int, at: int, name: bytes) -> Iterator[int]:
    """The same of one message, if there is one whose name stands at `at`. HDF5's specification, IV.A.2.m."""
    version, flags, *sizes = struct.unpack_from("<BBHHH", raw, start)
    if version not in ((1, 2) if at - start == 8 else (3,)) or sizes[0] != len(name):
        return
    if version > 1 and flags:
        raise ModelFileError("the file shares datatypes between attributes, as no model's does: refused")
    places = [at]
    for size in sizes:
        places.append(places[-1] + (-(-size // 8) * 8 if version == 1 else size))
    _, kind, space, values = places
    if kind + 8 > len(raw) or space + 4 > len(raw):
        return
    if raw[kind] & 15 in (*_NUMBERS, _FIXED):
        yield 0  # the text is in the message itself
        return
    if not _is_text(raw, kind):
        raise ModelFileError("the datatype of one of the file's attributes is none of texts: refused")
    rank, offset = raw[space + 1], 8 if raw[space] == 1 else 4
    dims = raw[space + offset : space + offset + 8 * rank]
    count = 1
    for size in struct.unpack(f"<{len(dims) // 8}Q", dims[: len(dims) // 8 * 8]):
        count *= size
    if values + count * _ELEMENT > len(raw):
        yield len(raw) + 1
        return
    heaps: dict[int, dict[int, int]] = {}
    for place in range(values, values + count * _ELEMENT, _ELEMENT):
        length, address, number = struct.unpack_from("<IQI", raw, place)
        if length and address not in heaps:
            heaps[address] = _sizes(raw, address)
        if length and heaps[address].get(number, 0) < length:
            raise ModelFileError("a text of the file's attributes is longer than what is stored: refused")
        yield length


def _is_text(raw: Raw, kind: int) -> bool:
    """Whether the datatype at `kind` is that of texts of any length. HDF5's specification, IV.A.2.d."""
    described = raw[kind : kind + 20]
    return (
        len(described) == 20
        and described[0] & 15 == _VARIABLE
        and described[1] & 15 == 1  # a text, no sequence of other values
        and described[4:8] == _TEXT_SIZE
        and described[8] & 15 in (0, _FIXED)
        and described[12:16] == _BYTE_SIZE
    )


def _sizes(raw: Raw, address: int) -> dict[int, int]:
    """The sizes of the objects in a global heap, by number. HDF5's specification, III.E."""
    bad = ModelFileError("a heap of texts in the file is damaged")
    if address + 16 > len(raw) or raw[address : address + 4] != b"GCOL":
        raise bad
    (size,) = struct.unpack_from("<Q", raw, address + 8)
    at, end, found = address + 16, address + size, {}
    if end > len(raw):
        raise bad
    while at + 16 <= end:
        number, _, _, size = struct.unpack_from("<HHIQ", raw, at)
        # What is free has its header in its size, objects do not.
        taken = 16 + -(-size // 8) * 8 if number else size
        if taken < 16 or at + taken > end:
            raise bad
        if number:
            found[number] = size
        at += taken
    return found
