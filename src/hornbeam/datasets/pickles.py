"""Reading the pickles in which some old data sets come, without letting them run anything.

A pickle is a program. This reader runs the part that builds numbers, strings, lists, dicts and NumPy arrays
of them, and refuses everything else, so that a changed file can fail but not act.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy_format


def _reconstruct(subtype: Any, shape: Any, dtype: Any) -> np.ndarray:
    """What NumPy's pickles call to make an empty array, for plain arrays only."""
    if subtype is not np.ndarray:
        raise pickle.UnpicklingError(f"a pickle asks for an array of type {subtype!r}: refused")
    return np.ndarray(shape, dtype)


def _bytes_of(text: Any, encoding: Any = "latin1") -> bytes:
    """What pickles of Python 2 call to make bytes."""
    if not isinstance(text, str) or encoding != "latin1":
        raise pickle.UnpicklingError("a pickle asks for a conversion of text that is not latin1: refused")
    return text.encode("latin1")


_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("_codecs", "encode"): _bytes_of,
}


class ArrayUnpickler(pickle.Unpickler):
    """Builds numbers, strings, lists, dicts and plain arrays. Raises UnpicklingError for anything else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"a data set's pickle asks for {module}.{name}: refused")
        return _ALLOWED[module, name]

    def persistent_load(self, pid: Any) -> Any:
        raise pickle.UnpicklingError("a data set's pickle refers to something outside of it: refused")


def load_pickle(path: Path) -> Any:
    """The content of a pickle of arrays, such as a batch of CIFAR; keys and strings of Python 2 are bytes."""
    with open(path, "rb") as file:
        return ArrayUnpickler(file, encoding="bytes").load()


def load_npz(path: str | Path) -> dict[str, np.ndarray]:
    """The arrays of an .npz file, also those of lists, which NumPy would read with a full pickle."""
    arrays = {}
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            arrays[name.removesuffix(".npy")] = _read_npy(archive.read(name))
    return arrays


def _read_npy(content: bytes) -> np.ndarray:
    file = io.BytesIO(content)
    version = npy_format.read_magic(file)
    read = npy_format.read_array_header_1_0 if version == (1, 0) else npy_format.read_array_header_2_0
    shape, _, dtype = read(file)
    if not dtype.hasobject:
        return np.load(io.BytesIO(content), allow_pickle=False)
    array = ArrayUnpickler(file, encoding="bytes").load()
    return np.asarray(array, dtype=object).reshape(shape)
