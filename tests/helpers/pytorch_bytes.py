"""Files of torch.save, written byte by byte: opcodes of pickles, archives, and the format before 1.6."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

MAGIC = 0x1950A86A20F9469CFC6C
STORAGES = {
    "float64": "DoubleStorage", "float32": "FloatStorage", "float16": "HalfStorage",
    "bfloat16": "BFloat16Storage", "int64": "LongStorage", "int32": "IntStorage", "int16": "ShortStorage",
    "int8": "CharStorage", "uint8": "ByteStorage", "bool": "BoolStorage",
}  # fmt: skip


def name(module: str, attribute: str) -> bytes:
    return f"c{module}\n{attribute}\n".encode()


REBUILD = name("torch._utils", "_rebuild_tensor_v2")
ORDERED_DICT = name("collections", "OrderedDict")


def pushed(value: Any) -> bytes:
    """Opcodes that push a plain value."""
    if value is None:
        return b"N"
    if isinstance(value, bool):
        return b"\x88" if value else b"\x89"
    if isinstance(value, int):
        data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
        return b"\x8a" + bytes([len(data)]) + data
    if isinstance(value, float):
        return b"G" + struct.pack(">d", value)
    if isinstance(value, str):
        return b"X" + struct.pack("<I", len(value.encode())) + value.encode()
    if isinstance(value, tuple):
        return b"(" + b"".join(map(pushed, value)) + b"t"
    if isinstance(value, list):
        return b"](" + b"".join(map(pushed, value)) + b"e"
    assert isinstance(value, dict)
    return b"}(" + b"".join(pushed(key) + pushed(x) for key, x in value.items()) + b"u"


def called(function: bytes, *arguments: bytes) -> bytes:
    return function + b"(" + b"".join(arguments) + b"tR"


def storage(key: str, kind: str, size: int, old: bool = False, module: str = "torch") -> bytes:
    parts = [pushed("storage"), name(module, kind), pushed(key), pushed("cpu"), pushed(size)]
    return b"(" + b"".join(parts) + (b"N" if old else b"") + b"tQ"


def tensor(
    stored: bytes, shape: tuple[int, ...], strides: tuple[int, ...] | None = None, offset: int = 0
) -> bytes:
    if strides is None:
        strides = tuple(int(np.prod(shape[axis + 1 :])) for axis in range(len(shape)))
    rest = [pushed(False), called(ORDERED_DICT)]
    return called(REBUILD, stored, pushed(offset), pushed(shape), pushed(strides), *rest)


def mapping(items: Mapping[str, bytes]) -> bytes:
    return b"}(" + b"".join(pushed(key) + value for key, value in items.items()) + b"u"


def pickle(body: bytes) -> bytes:
    return b"\x80\x02" + body + b"."


def state_dict(tensors: Mapping[str, np.ndarray], old: bool = False) -> tuple[bytes, dict[str, bytes]]:
    """The pickle of a dict of tensors, and their numbers by key."""
    items, data = {}, {}
    for number, (key, array) in enumerate(tensors.items()):
        kind = STORAGES[array.dtype.name]
        items[key] = tensor(storage(str(number), kind, array.size, old), array.shape)
        data[str(number)] = array.tobytes()
    return pickle(mapping(items)), data


def archive(program: bytes, data: Mapping[str, bytes], **extra: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("archive/data.pkl", program)
        for key, numbers in {**{f"data/{k}": x for k, x in data.items()}, **extra}.items():
            file.writestr(f"archive/{key}", numbers)
    return buffer.getvalue()


def legacy(program: bytes, data: Mapping[str, bytes], itemsize: int = 4) -> bytes:
    """The format before 1.6."""
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"int": 4}}
    parts = [pickle(pushed(value)) for value in (MAGIC, 1001, system)]
    parts += [program, pickle(pushed(list(data)))]
    parts += [struct.pack("<q", len(numbers) // itemsize) + numbers for numbers in data.values()]
    return b"".join(parts)
