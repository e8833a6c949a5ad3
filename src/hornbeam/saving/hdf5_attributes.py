"""Text attributes of untrusted HDF5 files.

HDF5 allocates as many bytes as an attribute declares, up to 4 GiB, before it checks that they exist; it loops
forever in a damaged heap, and follows a damaged datatype into a null pointer. So the file's bytes are checked
here first: every message that could be an attribute of the name, and the heaps to which these point.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator

import h5py
import numpy as np

from hornbeam.errors import ModelFileError

Raw = bytes | mmap.mmap

# Classes of datatypes: numbers (of which an empty list of texts is one), inline texts, and values in a heap.
_NUMBERS, _FIXED, _VARIABLE = (0, 1), 3, 9
_ELEMENT = 16  # length, address and index of a value in a heap
# The size of such elements, and of their bytes. HDF5 follows others into null pointers.
_TEXT_SIZE = struct.pack("<I", _ELEMENT)
_BYTE_SIZE = struct.pack("<I", 1)


def texts(group: h5py.Group, name: str, raw: Raw) -> list[str] | None:
    """Read the texts of an attribute.

    Args:
        group: Group with the attribute.
        name: Name of the attribute.
        raw: Bytes of the file.

    Returns:
        List of texts, None if the attribute does not exist.

    Raises:
        ModelFileError: If it is not a text, or declares more bytes than the file has.
    """
    if name not in group.attrs:
        return None
    if h5py.h5o.get_info(group.id).meta_size.attr.heap_size:
        raise ModelFileError("the file stores its attributes in a heap, unlike any model: refused")
    claims = list(_claims(raw, name.encode() + b"\0"))
    if not claims or sum(claims) > len(raw):
        raise ModelFileError(
            f"the file's {name} declares {sum(claims):,} bytes, but the file has {len(raw):,}: refused"
        )
    values = np.asarray(group.attrs[name]).ravel().tolist()
    if not all(isinstance(text, (str, bytes)) for text in values):
        raise ModelFileError(f"the file's {name} is not a text")
    return [text.decode() if isinstance(text, bytes) else text for text in values]


def _claims(raw: Raw, name: bytes) -> Iterator[int]:
    """Yield the declared lengths of texts of all possible attributes of a name."""
    at = raw.find(name)
    while at >= 0:
        for start in (at - 8, at - 9):
            if start >= 0:
                yield from _message(raw, start, at, name)
        at = raw.find(name, at + 1)


def _message(raw: Raw, start: int, at: int, name: bytes) -> Iterator[int]:
    """Yield the declared lengths of one message whose name is at `at`, if it is one.

    Source: HDF5 file format specification, IV.A.2.m.
    """
    version, flags, *sizes = struct.unpack_from("<BBHHH", raw, start)
    if version not in ((1, 2) if at - start == 8 else (3,)) or sizes[0] != len(name):
        return
    if version > 1 and flags:
        raise ModelFileError("the file shares datatypes between attributes, unlike any model: refused")
    offsets = [at]
    for size in sizes:
        offsets.append(offsets[-1] + (-(-size // 8) * 8 if version == 1 else size))
    _, kind, space, values = offsets
    if kind + 8 > len(raw) or space + 4 > len(raw):
        return
    if raw[kind] & 15 in (*_NUMBERS, _FIXED):
        yield 0  # the text is inline
        return
    if not _is_text(raw, kind):
        raise ModelFileError("the datatype of one of the file's attributes is not a text: refused")
    rank, offset = raw[space + 1], 8 if raw[space] == 1 else 4
    dims = raw[space + offset : space + offset + 8 * rank]
    count = 1
    for size in struct.unpack(f"<{len(dims) // 8}Q", dims[: len(dims) // 8 * 8]):
        count *= size
    if values + count * _ELEMENT > len(raw):
        yield len(raw) + 1
        return
    heaps: dict[int, dict[int, int]] = {}
    for element in range(values, values + count * _ELEMENT, _ELEMENT):
        length, address, number = struct.unpack_from("<IQI", raw, element)
        if length and address not in heaps:
            heaps[address] = _sizes(raw, address)
        if length and heaps[address].get(number, 0) < length:
            raise ModelFileError("a text of the file's attributes is longer than what is stored: refused")
        yield length


def _is_text(raw: Raw, kind: int) -> bool:
    """Return whether the datatype at `kind` is a text of variable length.

    Source: HDF5 file format specification, IV.A.2.d.
    """
    described = raw[kind : kind + 20]
    return (
        len(described) == 20
        and described[0] & 15 == _VARIABLE
        and described[1] & 15 == 1  # a text, not another sequence
        and described[4:8] == _TEXT_SIZE
        and described[8] & 15 in (0, _FIXED)
        and described[12:16] == _BYTE_SIZE
    )


def _sizes(raw: Raw, address: int) -> dict[int, int]:
    """Return the sizes of the objects in a global heap, by index.

    Source: HDF5 file format specification, III.E.
    """
    bad = ModelFileError("a heap of texts in the file is damaged")
    if address + 16 > len(raw) or raw[address : address + 4] != b"GCOL":
        raise bad
    (size,) = struct.unpack_from("<Q", raw, address + 8)
    at, end, sizes = address + 16, address + size, {}
    if end > len(raw):
        raise bad
    while at + 16 <= end:
        number, _, _, size = struct.unpack_from("<HHIQ", raw, at)
        # The size of free space includes its header, that of objects does not.
        step = 16 + -(-size // 8) * 8 if number else size
        if step < 16 or at + step > end:
            raise bad
        if number:
            sizes[number] = size
        at += step
    return sizes
