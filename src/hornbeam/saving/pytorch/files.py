"""Read PyTorch's files: zip archives of version 1.6 and later, and the pickles in a row before that."""

from __future__ import annotations

import io
import math
import os
import zipfile
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import numpy as np

from hornbeam._internal.limits import current_budget
from hornbeam.errors import ModelFileError
from hornbeam.saving.files import SizeBudget, how_to_raise
from hornbeam.saving.pytorch.pickled import Storage, StoredTensor, read_pickle
from hornbeam.saving.zip_files import open_zip, unpacked

# What the oldest files begin with, as a number.
_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_LONGEST_NAME = 500
# Names of the weights inside a checkpoint that has more.
_STATE_DICTS = ("state_dict", "model_state_dict", "model")


def read_pytorch(file: BinaryIO) -> dict[str, np.ndarray]:
    """Read the tensors of a PyTorch file by name, without unpickling it.

    Of a checkpoint, those of its `state_dict`, `model_state_dict` or `model`; other nested names are joined
    by dots. Numbers and texts are left out.

    Raises:
        ModelFileError: If the file has anything else than tensors, numbers, texts, lists and dicts.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    start = file.read(4)
    file.seek(0)
    if start[:2] == b"PK":
        return _read_zip(file, size)
    if start[:1] != b"\x80":
        raise ModelFileError("not a file of torch.save: it is neither a zip archive nor a pickle")
    return _read_pickles(file, size)


def _read_zip(file: BinaryIO, size: int) -> dict[str, np.ndarray]:
    with open_zip(file) as archive:
        members = {member.filename: member for member in archive.infolist()}
        for member in members.values():
            if member.compress_type != zipfile.ZIP_STORED:
                raise ModelFileError(f"{member.filename!r:.80} is compressed, which torch.save never does")
        if sum(member.file_size for member in members.values()) > size:
            raise ModelFileError("the members of the archive overlap: they are larger than the file")
        pickles = [name for name in members if name.count("/") == 1 and name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise ModelFileError(
                f"not a file of torch.save: the archive has {len(pickles)} members named FOLDER/data.pkl"
            )
        folder = pickles[0].removesuffix("data.pkl")
        order = members.get(folder + "byteorder")
        if order is not None and unpacked(archive, order).strip() != b"little":
            raise ModelFileError(
                "the file was written by a computer with big-endian numbers, which is not read"
            )
        program = io.BytesIO(unpacked(archive, members[pickles[0]]))
        root, _ = read_pickle(program)
        if program.read(1):
            raise ModelFileError("data.pkl goes on after its end")

        def numbers(storage: Storage) -> bytes:
            member = members.get(f"{folder}data/{storage.key}")
            if member is None:
                raise ModelFileError(f"the numbers of the storage {storage.key!r:.80} are missing")
            if member.file_size != storage.size * _dtype(storage.dtype).itemsize:
                raise ModelFileError(
                    f"the storage {storage.key!r:.80} is declared with {storage.size:,} values of "
                    f"{storage.dtype}, but has {member.file_size:,} bytes"
                )
            return unpacked(archive, member)

        return _arrays(root, numbers, size)


def _read_pickles(file: BinaryIO, size: int) -> dict[str, np.ndarray]:
    header = [read_pickle(file)[0] for _ in range(3)]
    if header[:2] != [_MAGIC, _PROTOCOL]:
        raise ModelFileError("not a file of torch.save: it begins with another pickle")
    if not isinstance(header[2], dict) or header[2].get("little_endian") is not True:
        raise ModelFileError("the file was written by a computer with big-endian numbers, which is not read")
    root, storages = read_pickle(file)
    keys, _ = read_pickle(file)
    if not isinstance(keys, list) or sorted(map(str, keys)) != sorted(storages):
        raise ModelFileError("the list of storages at the end of the file is not that of its tensors")
    stored: dict[str, bytes] = {}
    for key in keys:
        storage = storages[key]
        count = int.from_bytes(file.read(8), "little")
        length = storage.size * _dtype(storage.dtype).itemsize
        if count != storage.size or length > size - file.tell():
            raise ModelFileError(
                f"the storage {key!r:.80} is declared with {storage.size:,} values, but the file has "
                f"{count:,}, or ends before"
            )
        stored[key] = file.read(length)
    return _arrays(root, lambda storage: stored[storage.key], size)


def _arrays(root: Any, numbers: Callable[[Storage], bytes], size: int) -> dict[str, np.ndarray]:
    if not isinstance(root, dict):
        raise ModelFileError(
            f"the file has a {type(root).__name__.lower()} instead of a dict of tensors. Save a state_dict, "
            "in PyTorch: torch.save(model.state_dict(), path)"
        )
    inner = next((root[name] for name in _STATE_DICTS if isinstance(root.get(name), dict)), root)
    budget, read, arrays = SizeBudget(size), dict[str, bytes](), dict[str, np.ndarray]()
    for name, tensor in _tensors(inner):
        if name in arrays:
            raise ModelFileError(f"two tensors are called {name!r:.80}")
        storage = tensor.storage
        itemsize, count = _dtype(tensor.dtype).itemsize, math.prod(tensor.shape)
        budget.take(name, count, count * itemsize)
        last = tensor.offset + sum(
            (n - 1) * step for n, step in zip(tensor.shape, tensor.strides, strict=True)
        )
        if count and (last + 1) * itemsize > storage.size * _dtype(storage.dtype).itemsize:
            raise ModelFileError(f"{name!r:.80} reaches beyond the end of its storage {storage.key!r:.80}")
        if storage.key not in read:
            read[storage.key] = numbers(storage)
        arrays[name] = _view(tensor, read[storage.key], count)
    return arrays


def _tensors(root: dict[Any, Any]) -> Iterator[tuple[str, StoredTensor]]:
    """Yield the tensors of nested dicts and lists with their names, in order.

    Few bytes can describe containers that contain each other many times: their number and depth are limited.
    """
    limits = current_budget()
    left: list[tuple[str, Any, int]] = [("", root, 0)]
    work, most = 0, 10 * limits.members
    while left:
        name, value, depth = left.pop()
        if depth > limits.nesting:
            raise ModelFileError(f"the dicts of the file are nested too deeply. {how_to_raise('nesting')}")
        if isinstance(value, StoredTensor):
            yield name, value
        elif isinstance(value, (dict, list, tuple)):
            work += len(value)
            if work > most:
                raise ModelFileError(f"the file has more than {most:,} values. {how_to_raise('members')}")
            items = value.items() if isinstance(value, dict) else enumerate(value)
            left += [(_joined(name, str(key)), inner, depth + 1) for key, inner in items][::-1]


def _joined(name: str, key: str) -> str:
    """Return the name of an item; long ones would be copied for every item inside."""
    if len(name) + len(key) > _LONGEST_NAME:
        raise ModelFileError(f"the file has a name of {len(name) + len(key):,} characters: {key!r:.80}")
    return f"{name}.{key}" if name else key


def _view(tensor: StoredTensor, data: bytes, count: int) -> np.ndarray:
    """Return a tensor as an array, which shares the storage's memory if it is contiguous."""
    dtype = _dtype(tensor.dtype)
    if not count:
        return np.empty(tensor.shape, dtype)
    is_bool = tensor.dtype == "bool"  # bytes besides 0 and 1 are true
    raw = np.dtype("uint8") if is_bool else dtype
    values = np.frombuffer(data, raw, len(data) // raw.itemsize)
    steps = [step * raw.itemsize for step in tensor.strides]
    view = np.ndarray(tensor.shape, raw, values, tensor.offset * raw.itemsize, steps)
    return np.ascontiguousarray(view != 0 if is_bool else view).reshape(tensor.shape)


def _dtype(name: str) -> np.dtype[Any]:
    from hornbeam.ir.types import numpy_dtype

    return numpy_dtype(name)
