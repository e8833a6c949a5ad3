"""Weights as named arrays: `.safetensors` (by the library of that name) and NumPy's `.npz`, never pickled."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, BinaryIO

import numpy as np

from hornbeam._internal.limits import current_budget
from hornbeam.saving.files import ModelFileError, Room, parsed_json, raised, storable
from hornbeam.saving.zip_files import opened_zip, unpacked

_LONGEST_HEADER = 10_000
ENDINGS = (".safetensors", ".npz")

# The name in the file of a weight, or that and a function that makes the weight's value of the array.
Source = str | tuple[str, Callable[[np.ndarray], np.ndarray]]
# The weights of a model by name.
Weights = Sequence[tuple[str, Any]]
Names = Mapping[str, Source] | Callable[[str], Source]


def write_arrays(weights: Weights, file: BinaryIO, ending: str, names: Names | None = None) -> None:
    """Write a model's weights under their names, or under what `names` calls those.

    Raises ValueError if two weights have one name.
    """
    arrays: dict[str, np.ndarray] = {}
    for path, variable in weights:
        name = _source(path, names)[0]
        if name in arrays:
            raise ValueError(f"two weights have the name {name!r}: give their layers other names")
        arrays[name] = np.ascontiguousarray(variable.numpy())
    if ending == ".npz":
        np.savez(file, **{n: storable(a) for n, a in arrays.items()})  # type: ignore[arg-type]
    else:
        file.write(_safetensors().numpy.save(arrays, {"format": "hornbeam"}))


def read_arrays(
    weights: Weights, file: BinaryIO, ending: str, names: Names | None = None, skip_mismatch: bool = False
) -> None:
    """Give a model's weights the values in a file; all or nothing, as `load_weights`.

    Raises ModelFileError, also for arrays of the file that no weight takes (unless `skip_mismatch`).
    """
    stored = arrays_in(file, ending)
    left, problems, found = set(stored), [], []
    for path, variable in weights:
        name, change = _source(path, names)
        left.discard(name)
        if name not in stored:
            problems.append(f"{name}: missing in the file (needed by {path}, shape {variable.shape})")
            continue
        array = stored[name] if change is None else np.asarray(change(stored[name]))
        if array.shape != variable.shape:
            problems.append(f"{name}: the file has shape {array.shape}, {path} has {variable.shape}")
        else:
            found.append((variable, array))
    problems += [
        f"{name}: no weight of the model takes it (shape {stored[name].shape})" for name in sorted(left)
    ]
    if problems and not skip_mismatch:
        raise ModelFileError(
            f"the weights do not fit the model ({len(problems)} problems):\n  "
            + "\n  ".join(problems[:20])
            + "\n  names={name here: name in the file} says which belongs to which"
        )
    for variable, array in found:
        variable.assign(array)


def arrays_in(file: BinaryIO, ending: str) -> dict[str, np.ndarray]:
    """All arrays of a file by name. Raises ModelFileError for what cannot be read, or is no array of
    numbers."""
    read = _read_npz if ending == ".npz" else _read_safetensors
    try:
        found = read(file)
    except (ModelFileError, ImportError):
        raise
    except Exception as error:  # whatever NumPy or safetensors make of a damaged file
        raise ModelFileError(f"not a readable {ending} file: {error}") from error
    for name, array in found.items():
        if array.dtype.kind not in "fiubV" or (array.dtype.kind == "V" and array.dtype.name != "bfloat16"):
            raise ModelFileError(f"{name!r} has dtype {array.dtype}, which is not read")
    return found


def _read_npz(file: BinaryIO) -> dict[str, np.ndarray]:
    size = file.seek(0, os.SEEK_END)
    with opened_zip(file) as archive:
        members = archive.infolist()
        room, found = Room(size), {}
        for member in members:
            room.take(member.filename, 0, member.file_size)
        for member in members:
            array = _read_npy(unpacked(archive, member), member.filename, room)
            name = member.filename.removesuffix(".npy")
            if name in found:
                raise ModelFileError(f"two arrays are called {name!r:.80}")
            found[name] = array
    return found


# The header of an array of plain numbers as NumPy writes it. NumPy's own reader would have Python parse it.
_NPY = re.compile(
    rb"\{'descr': '([<>|]\w+)', 'fortran_order': (True|False), 'shape': \(([0-9, ]*)\), \} *\n", re.ASCII
)


def _read_npy(data: bytes, name: str, room: Room) -> np.ndarray:
    """One array, whose declared size must be what follows; object arrays, which are pickles, are refused.
    Described in NumPy's documentation (numpy.lib.format)."""
    size = {1: 2, 2: 4}.get(data[6] if len(data) > 12 else 0)
    if data[:6] != b"\x93NUMPY" or size is None:
        raise ModelFileError(f"{name} is not an array as NumPy writes them")
    start = 8 + size
    stop = start + int.from_bytes(data[8:start], "little")
    header = data[start : min(stop, start + _LONGEST_HEADER)]
    if b"O'" in header:
        raise ModelFileError(f"{name} holds pickled objects, which are never read")
    found = _NPY.fullmatch(header)
    if found is None:
        raise ModelFileError(f"{name} is not an array of plain numbers: {header[:100]!r}")
    kind, order, sizes = found[1].decode(), found[2] == b"True", found[3].decode()
    shape = tuple(int(size) for size in sizes.split(",") if size.strip())
    dtype, count = np.dtype(kind), math.prod(shape)
    room.take(name, count, 0)
    if dtype.itemsize * count != len(data) - stop:
        raise ModelFileError(f"{name} is declared as {dtype} of shape {shape}, but is not as large")
    return np.frombuffer(data, dtype, count, stop).reshape(shape, order="F" if order else "C")


def _read_safetensors(file: BinaryIO) -> dict[str, np.ndarray]:
    from hornbeam.ir.types import numpy_dtype

    dtypes = {
        "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "I64": "int64",
        "I32": "int32", "I16": "int16", "I8": "int8", "U64": "uint64", "U32": "uint32", "U16": "uint16",
        "U8": "uint8", "BOOL": "bool",
    }  # fmt: skip
    data = file.read()
    most = 10 * current_budget().members
    if data.count(b'"data_offsets"') > most:
        raise ModelFileError(f"the file has more than {most:,} arrays. {raised('members')}")
    parts = _safetensors().deserialize(data)
    # The library takes the last of two arrays with one name, other readers may take the first.
    length = int.from_bytes(data[:8], "little")
    if length > 2 * current_budget().text:
        raise ModelFileError(f"the header has {length:,} bytes, too many. {raised('text')}")
    parsed_json(data[8 : 8 + length], "the header")
    room, found = Room(len(data)), {}
    for name, part in parts:
        if part["dtype"] not in dtypes:
            raise ModelFileError(f"{name!r} has dtype {part['dtype']}, which is not read")
        dtype = numpy_dtype(dtypes[part["dtype"]])
        room.take(name, math.prod(part["shape"]), len(part["data"]))
        found[name] = np.frombuffer(bytes(part["data"]), dtype).reshape(part["shape"])
    return found


def _source(path: str, names: Names | None) -> tuple[str, Callable[[np.ndarray], np.ndarray] | None]:
    """What a weight is called in the file, and how its value is made of what stands there."""
    found = path if names is None else names(path) if callable(names) else names.get(path, path)
    return (found, None) if isinstance(found, str) else found


def _safetensors() -> Any:
    try:
        import safetensors.numpy
    except ImportError as error:
        raise ImportError(
            f'.safetensors files need safetensors ({error}): pip install "hornbeam[safetensors]"'
        ) from error
    return safetensors
