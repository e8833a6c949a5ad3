"""Weights as named arrays: `.safetensors` (by the library of that name), NumPy's `.npz`, PyTorch's files.

Pickles are never run: `.npz` files must have none, and those inside PyTorch's files are read as data.
"""

from __future__ import annotations

import json
import math
import os
import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, BinaryIO

import numpy as np

from hornbeam._internal.extras import install_command
from hornbeam._internal.limits import current_budget
from hornbeam.errors import ModelFileError
from hornbeam.saving.files import SizeBudget, how_to_raise, parse_json, to_storable
from hornbeam.saving.finite import warn_of_non_finite
from hornbeam.saving.formats import check_exists, path_text
from hornbeam.saving.mismatches import report_skipped
from hornbeam.saving.zip_files import open_zip, unpacked

_LONGEST_HEADER = 10_000
ENDINGS = (".safetensors", ".npz")
# Only read.
PYTORCH = (".pth", ".pt", ".bin")

# How to map names, for files of Keras and of PyTorch.
_ADVICE = (
    "Map the names by names={name here: name in the file}.",
    'Map names and axes, such as names={"conv/kernel": ("conv.weight", lambda w: w.transpose(2, 3, 1, 0))}: '
    "PyTorch's kernels are (outputs, inputs, height, width), its dense weights (outputs, inputs). The models "
    "of hornbeam.applications do it for torchvision's files, with weights=path.",
)

# The name of a weight in the file, or that and a function from the array to the weight's value.
Source = str | tuple[str, Callable[[np.ndarray], np.ndarray]]
# The weights of a model by name.
Weights = Sequence[tuple[str, Any]]
Names = Mapping[str, Source] | Callable[[str], Source]


def write_arrays(weights: Weights, file: BinaryIO, ending: str, names: Names | None = None) -> None:
    """Write a model's weights under their names, mapped by `names`.

    Raises:
        ValueError: If two weights have the same name.
    """
    arrays: dict[str, np.ndarray] = {}
    for path, variable in weights:
        name = _source(path, names)[0]
        if name in arrays:
            raise ValueError(f"two weights have the name {name!r}: rename one of their layers")
        arrays[name] = np.ascontiguousarray(variable.numpy())
    if ending == ".npz":
        np.savez(file, **{n: to_storable(a) for n, a in arrays.items()})  # type: ignore[arg-type]
    else:
        _write_safetensors(arrays, file)


def load_arrays(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Load all arrays of a file by name, also of one that PyTorch wrote. No code in the file is run.

    Of a PyTorch checkpoint the arrays of its `state_dict`, `model_state_dict` or `model` are loaded, if it
    has one. Names of nested dicts are joined by dots; numbers and texts are left out.

    Args:
        path: A `.safetensors`, `.npz`, `.pth`, `.pt` or `.bin` file. The last three are files of
            `torch.save`, of any version of PyTorch since 0.2.

    Returns:
        Dict of arrays, in the order of the file. They may be read-only.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: For another suffix.
        ModelFileError: If the file is damaged, too large (see `saving.budget`), or has something else than
            arrays of numbers, such as pickled objects.

    Example:
        >>> arrays = hornbeam.saving.load_arrays("resnet50-0676ba61.pth")  # doctest: +SKIP
        >>> arrays["conv1.weight"].shape  # doctest: +SKIP
        (64, 3, 7, 7)
    """
    name = path_text(path, "load_arrays()")
    ending = os.path.splitext(name)[1]
    if ending not in (*ENDINGS, *PYTORCH):
        raise ValueError(f"a file of arrays must end in {', '.join((*ENDINGS, *PYTORCH))}, got {name!r}")
    check_exists(name)
    try:
        with open(name, "rb") as file:
            return arrays_in(file, ending)
    except ModelFileError as error:
        raise ModelFileError(f"{name!r}: {error}") from error.__cause__


def read_arrays(
    weights: Weights,
    file: BinaryIO,
    ending: str,
    names: Names | None = None,
    skip_mismatch: bool = False,
    skipped: Weights = (),
) -> None:
    """Load a model's weights from a file, all or nothing, as `load_weights`. Skipped ones keep their values.

    Raises:
        ModelFileError: Also for arrays of the file that no weight uses, unless `skip_mismatch`.
    """
    advice = _ADVICE[ending in PYTORCH]
    assign_arrays(weights, arrays_in(file, ending), names, skip_mismatch, skipped, advice)


def assign_arrays(
    weights: Weights,
    stored: Mapping[str, np.ndarray],
    names: Names | None = None,
    skip_mismatch: bool = False,
    skipped: Weights = (),
    advice: str = "",
) -> None:
    """Assign arrays by name to a model's weights, all or nothing, as `read_arrays`.

    Raises:
        ModelFileError: With `advice`, if they do not fit.
    """
    unused, problems, pairs = set(stored) - {_source(path, names)[0] for path, _ in skipped}, [], []
    for path, variable in weights:
        name, change = _source(path, names)
        unused.discard(name)
        if name not in stored:
            problems.append(f"{name}: missing in the file (needed by {path}, shape {variable.shape})")
            continue
        array = stored[name] if change is None else np.asarray(change(stored[name]))
        if array.shape != variable.shape:
            problems.append(f"{name}: the file has shape {array.shape}, {path} has {variable.shape}")
        else:
            pairs.append((variable, array))
    left_out = list(problems)
    problems += [
        f"{name}: no weight of the model uses it (shape {stored[name].shape})" for name in sorted(unused)
    ]
    if problems and not skip_mismatch:
        raise ModelFileError(
            f"the weights do not fit the model ({len(problems)} problems):\n  "
            + "\n  ".join(problems[:20])
            + (f"\n  {advice}" if advice else "")
        )
    report_skipped(left_out, len(pairs))
    warn_of_non_finite((variable.path, array) for variable, array in pairs)
    for variable, array in pairs:
        variable.assign(array)


def arrays_in(file: BinaryIO, ending: str) -> dict[str, np.ndarray]:
    """Read all arrays of a file by name.

    Raises:
        ModelFileError: If the file cannot be read, or contains other values than numbers.
    """
    read = _read_pytorch if ending in PYTORCH else _read_npz if ending == ".npz" else _read_safetensors
    try:
        arrays = read(file)
    except (ModelFileError, ImportError):
        raise
    except Exception as error:  # NumPy and safetensors raise many types for damaged files
        raise ModelFileError(f"not a readable {ending} file: {error}") from error
    for name, array in arrays.items():
        if array.dtype.kind not in "fiubV" or (array.dtype.kind == "V" and array.dtype.name != "bfloat16"):
            raise ModelFileError(f"{name!r} has dtype {array.dtype}, which is not supported")
    return arrays


def _read_npz(file: BinaryIO) -> dict[str, np.ndarray]:
    size = file.seek(0, os.SEEK_END)
    with open_zip(file) as archive:
        members = archive.infolist()
        budget, arrays = SizeBudget(size), {}
        for member in members:
            budget.take(member.filename, 0, member.file_size)
        for member in members:
            array = _read_npy(unpacked(archive, member), member.filename, budget)
            name = member.filename.removesuffix(".npy")
            if name in arrays:
                raise ModelFileError(f"two arrays are called {name!r:.80}")
            arrays[name] = array
    return arrays


# The header of an array of numbers as NumPy writes it. NumPy's own reader would evaluate it by Python's
# parser.
_NPY = re.compile(
    rb"\{'descr': '([<>|]\w+)', 'fortran_order': (True|False), 'shape': \(([0-9, ]*)\), \} *\n", re.ASCII
)


def _read_npy(data: bytes, name: str, budget: SizeBudget) -> np.ndarray:
    """Read one array, whose declared size must match; object arrays, which are pickles, are refused.

    Source: NumPy's documentation of numpy.lib.format.
    """
    size = {1: 2, 2: 4}.get(data[6] if len(data) > 12 else 0)
    if data[:6] != b"\x93NUMPY" or size is None:
        raise ModelFileError(f"{name} is not an array in NumPy's format")
    start = 8 + size
    stop = start + int.from_bytes(data[8:start], "little")
    header = data[start : min(stop, start + _LONGEST_HEADER)]
    if b"O'" in header:
        raise ModelFileError(f"{name} contains pickled objects, which are never read")
    match = _NPY.fullmatch(header)
    if match is None:
        raise ModelFileError(f"{name} is not an array of numbers: {header[:100]!r}")
    kind, order, sizes = match[1].decode(), match[2] == b"True", match[3].decode()
    shape = tuple(int(size) for size in sizes.split(",") if size.strip())
    dtype, count = np.dtype(kind), math.prod(shape)
    budget.take(name, count, 0)
    if dtype.itemsize * count != len(data) - stop:
        raise ModelFileError(f"{name} is declared as {dtype} of shape {shape}, but has another size")
    return np.frombuffer(data, dtype, count, stop).reshape(shape, order="F" if order else "C")


def _read_pytorch(file: BinaryIO) -> dict[str, np.ndarray]:
    from hornbeam.saving.pytorch.files import read_pytorch  # with Python's table of opcodes, rarely needed

    return read_pytorch(file)


# Names of dtypes in safetensors files.
_DTYPES = {
    "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "I64": "int64", "I32": "int32",
    "I16": "int16", "I8": "int8", "U64": "uint64", "U32": "uint32", "U16": "uint16", "U8": "uint8",
    "BOOL": "bool",
}  # fmt: skip


def _write_safetensors(arrays: Mapping[str, np.ndarray], file: BinaryIO) -> None:
    """Write arrays one by one: the library, which builds the file in memory, hangs if that runs short."""
    names = sorted(arrays, key=lambda name: (-arrays[name].itemsize, name))  # each where its dtype needs it
    kinds = {dtype: kind for kind, dtype in _DTYPES.items()}
    table: dict[str, Any] = {}
    begin = crc = 0
    for name in names:
        array = arrays[name]
        offsets = [begin, begin := begin + array.nbytes]
        table[name] = {"dtype": kinds[array.dtype.name], "shape": array.shape, "data_offsets": offsets}
        crc = zlib.crc32(array.reshape(-1).view("uint8").data, crc)
    about = {"format": "hornbeam", "crc32": f"{crc:08x}"}
    header = json.dumps({"__metadata__": about, **table}, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    file.write(len(header).to_bytes(8, "little") + header)
    for name in names:
        file.write(arrays[name].reshape(-1).view("uint8").data)


def _read_safetensors(file: BinaryIO) -> dict[str, np.ndarray]:
    from hornbeam.ir.types import numpy_dtype

    data = file.read()
    most = 10 * current_budget().members
    if data.count(b'"data_offsets"') > most:
        raise ModelFileError(f"the file has more than {most:,} arrays. {how_to_raise('members')}")
    entries = _safetensors().deserialize(data)
    # Of two arrays with one name the library returns the last, other readers may return the first.
    start = _body(data)
    if start > 2 * current_budget().short_text:
        raise ModelFileError(f"the header has {start:,} bytes, which is too long. {how_to_raise('text')}")
    crc = stored_checksum(data[:start])
    if crc is not None and crc != f"{zlib.crc32(memoryview(data)[start:]):08x}":
        raise ModelFileError("the file is damaged: its checksum is wrong")
    budget, arrays = SizeBudget(len(data)), {}
    for name, entry in entries:
        if entry["dtype"] not in _DTYPES:
            raise ModelFileError(f"{name!r} has dtype {entry['dtype']}, which is not supported")
        dtype = numpy_dtype(_DTYPES[entry["dtype"]])
        budget.take(name, math.prod(entry["shape"]), len(entry["data"]))
        arrays[name] = np.frombuffer(bytes(entry["data"]), dtype).reshape(entry["shape"])
    return arrays


def _source(path: str, names: Names | None) -> tuple[str, Callable[[np.ndarray], np.ndarray] | None]:
    """Return the name of a weight in the file, and the function from the array to its value, if any."""
    source = path if names is None else names(path) if callable(names) else names.get(path, path)
    return (source, None) if isinstance(source, str) else source


def stored_checksum(header: bytes) -> object:
    """Return the checksum in the header of a safetensors file, None if it has none, as files of others."""
    parsed: Any = parse_json(header[8:], "the header")
    about = parsed.get("__metadata__") if isinstance(parsed, dict) else None
    return about.get("crc32") if isinstance(about, dict) else None


def _body(data: bytes) -> int:
    """Return where the arrays of a safetensors file begin."""
    return 8 + int.from_bytes(data[:8], "little")


def _safetensors() -> Any:
    try:
        import safetensors.numpy
    except ImportError as error:
        raise ImportError(
            f".safetensors files need safetensors ({error}): {install_command('safetensors')}"
        ) from error
    return safetensors
