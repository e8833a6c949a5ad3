"""Reader for the pickles of some old datasets that cannot run code.

A pickle is a program. This reader executes the part that builds numbers, strings, lists, dicts and NumPy
arrays of them, and refuses everything else, so that a modified file can fail but not act.
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
    """Create an empty array, as NumPy's pickles request it; plain arrays only."""
    if subtype is not np.ndarray:
        raise pickle.UnpicklingError(f"the pickle requests an array of type {subtype!r}, which is refused")
    return np.ndarray(shape, dtype)


def _latin1_bytes(text: Any, encoding: Any = "latin1") -> bytes:
    """Create bytes, as pickles of Python 2 request them."""
    if not isinstance(text, str) or encoding != "latin1":
        raise pickle.UnpicklingError(
            "the pickle requests a conversion of text other than latin1, which is refused"
        )
    return text.encode("latin1")


_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("_codecs", "encode"): _latin1_bytes,
}


class ArrayUnpickler(pickle.Unpickler):
    """Unpickler for numbers, strings, lists, dicts and plain arrays. Raises UnpicklingError otherwise."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"the pickle of a dataset requests {module}.{name}: refused")
        return _ALLOWED[module, name]

    def persistent_load(self, pid: Any) -> Any:
        raise pickle.UnpicklingError("the pickle of a dataset refers to an external object: refused")


def load_pickle(path: Path) -> Any:
    """Load a pickle of arrays, such as a batch of CIFAR; keys and strings of Python 2 are bytes."""
    with open(path, "rb") as file:
        return ArrayUnpickler(file, encoding="bytes").load()


def load_npz(path: str | Path) -> dict[str, np.ndarray]:
    """Load the arrays of an .npz file, including those of lists, for which NumPy needs a full unpickler."""
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
