"""Saving and loading by the functions behind `keras.saving`."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, MutableMapping
from contextvars import ContextVar
from typing import IO, TYPE_CHECKING, Any

import h5py
import ml_dtypes
import numpy as np

from hornbeam import saving
from hornbeam.extensions.files import names_at, read_array
from hornbeam.extensions.tracing import Running

if TYPE_CHECKING:
    from hornbeam.models import Model

File = str | os.PathLike[str] | IO[bytes]


def save_model(model: Model, filepath: File, weights_format: str = "h5", zipped: bool = True) -> None:
    """Save a model to a `.keras` file.

    Args:
        model: A model.
        filepath: Path, or a binary file that is open for writing.
        weights_format: "h5".
        zipped: False writes a folder.

    Raises:
        ValueError: For another format of the weights.
    """
    if weights_format != "h5":
        raise ValueError(f"weights_format must be 'h5', got {weights_format!r}")
    if isinstance(filepath, (str, os.PathLike)):
        saving.save_model(model, filepath, zipped=zipped)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.keras")
        saving.save_model(model, path)
        with open(path, "rb") as file:
            filepath.write(file.read())


def load_model(
    filepath: File,
    custom_objects: Mapping[str, Any] | None = None,
    compile: bool = True,
    safe_mode: bool = True,
) -> Any:
    """Load a model; see `keras.saving.load_model`.

    Args:
        filepath: Path, or a binary file that is open for reading.
        custom_objects: Dict from names in the file to classes and functions.
        compile: Whether the optimizer, loss and metrics are restored too.
        safe_mode: Must be True.
    """
    if isinstance(filepath, (str, os.PathLike)):
        return saving.load_model(filepath, custom_objects, compile, safe_mode)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.keras")
        with open(path, "wb") as file:
            file.write(filepath.read())
        return saving.load_model(path, custom_objects, compile, safe_mode)


_safe_mode: ContextVar[bool | None] = ContextVar("safe_mode", default=None)


class SafeModeScope:
    """Context in which `in_safe_mode` has a value. Hornbeam itself is always in safe mode.

    Args:
        safe_mode: The value.
    """

    def __init__(self, safe_mode: bool = True) -> None:
        self._value = safe_mode

    def __enter__(self) -> None:
        self._token = _safe_mode.set(self._value)

    def __exit__(self, *error: object) -> None:
        _safe_mode.reset(self._token)


def in_safe_mode() -> bool:
    """Return True while the model of a file is built: files may not name other files to read."""
    return bool(Running.is_loading() or _safe_mode.get())


class _Entry(MutableMapping[str, np.ndarray]):
    """The arrays at one path of an HDF5 file, by name."""

    def __init__(self, file: h5py.File, group: str) -> None:
        self._file = file
        self._group = group

    def __getitem__(self, name: str) -> np.ndarray:
        array = read_array(self._file, f"{self._group}/{name}")
        if array is None:
            raise KeyError(name)
        return array

    def __setitem__(self, name: str, value: Any) -> None:
        array = np.asarray(value)
        dataset = self._file.require_group(self._group).create_dataset(name, data=array)
        if array.dtype == ml_dtypes.bfloat16:
            dataset.attrs["dtype"] = "bfloat16"

    def __delitem__(self, name: str) -> None:
        del self._file[f"{self._group}/{name}"]

    def __iter__(self) -> Iterator[str]:
        return iter(names_at(self._file, self._group))

    def __len__(self) -> int:
        return len(names_at(self._file, self._group))


class H5IOStore:
    """Arrays in an HDF5 file, by path and name, as packages save what is no model.

    Args:
        path_or_io: Path, or an open binary file.
        archive: None; files inside of others are `save_model`'s.
        mode: "r" or "w".

    Raises:
        ValueError: If there is an archive.
    """

    def __init__(self, path_or_io: File, archive: None = None, mode: str = "r") -> None:
        if archive is not None:
            raise ValueError("H5IOStore reads and writes HDF5 files, not members of an archive")
        self.mode = mode
        self.h5_file = h5py.File(path_or_io, mode)

    def make(self, path: str, metadata: Mapping[str, Any] | None = None) -> MutableMapping[str, np.ndarray]:
        """Create the entry of a path, and return it.

        Args:
            path: Path in the file.
            metadata: Dict of attributes of the entry.
        """
        group = f"{path}/vars"
        self.h5_file.create_group(group).attrs.update(metadata or {})
        return _Entry(self.h5_file, group)

    def get(self, path: str) -> MutableMapping[str, np.ndarray]:
        """Return the entry of a path, which is empty if the file has none.

        Args:
            path: Path in the file.
        """
        return _Entry(self.h5_file, f"{path}/vars")

    def close(self) -> None:
        """Close the file."""
        self.h5_file.close()
