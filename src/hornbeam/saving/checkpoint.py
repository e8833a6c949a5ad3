"""Checkpoints: `.weights.h5` files, which Keras can read, with the state of a training.

The group `training` has a JSON text (`state`) and the arrays to which it refers. The text has the SHA-256 of
every array in the file, and the file that of the text, so damage is detected and named before anything is
loaded.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from hornbeam.errors import ModelFileError
from hornbeam.saving.files import (
    SizeBudget,
    how_to_raise,
    max_text_bytes,
    parse_json,
    replace_file,
    to_storable,
)
from hornbeam.saving.hdf5 import H5Group, checked_dataset, create_hdf5, open_hdf5, values_of, write_groups
from hornbeam.saving.weights import read_weights

if TYPE_CHECKING:
    from hornbeam.layers.network import Network

VERSION = 1
_GROUP = "training"


def write_checkpoint(path: str | os.PathLike[str], groups: Iterable[H5Group], state: dict[str, Any]) -> None:
    """Write weights (see `weight_groups`) and a state of JSON values and arrays.

    When this returns, the file is complete and durable; until then the previous one stays.
    """
    arrays: list[np.ndarray] = []
    packed = _to_json(state, arrays)
    groups = [*groups, H5Group(_GROUP, _GROUP, {str(i): to_storable(x) for i, x in enumerate(arrays)})]
    sums = {
        f"{group.path}/{key}": _checksum(value) for group in groups for key, value in group.values.items()
    }
    text = json.dumps({"version": VERSION, "sums": sums, "state": packed}).encode()
    with replace_file(path) as file, create_hdf5(file, checksum=False) as store:
        write_groups(groups, store)
        store[_GROUP]["state"] = np.frombuffer(text, np.uint8)
        store[_GROUP]["sha256"] = np.frombuffer(hashlib.sha256(text).digest(), np.uint8)


def read_checkpoint(
    model: Network, path: str | os.PathLike[str], accept: Callable[[dict[str, Any]], None] | None = None
) -> dict[str, Any]:
    """Check a checkpoint, load the values of the model and its optimizer, and return the state.

    Args:
        model: The model.
        path: Path of the checkpoint.
        accept: Called with the state when the weights are known to fit, before any is changed; may raise.

    Raises:
        ModelFileError: If anything is damaged, missing or does not fit; nothing has changed then.
    """
    with open(path, "rb") as file:
        with open_hdf5(file) as store:
            state = _checked_state(store)
        before = None if accept is None else lambda: accept(state)
        read_weights(model, file, state_required=True, before=before)
    return state


def verify_checkpoint(path: str | os.PathLike[str]) -> list[str]:
    """List the damaged values of a checkpoint, a sentence for each; empty if it is intact."""
    try:
        with open(path, "rb") as file, open_hdf5(file) as store:
            return list(_damage(store, _read_note(store)["sums"]))
    except ModelFileError as error:
        return [str(error)]


def training_summary(store: h5py.File) -> dict[str, Any] | None:
    """Return the progress of a checkpoint's training as plain values, None if the file is not a
    checkpoint."""
    if checked_dataset(store, f"{_GROUP}/state") is None:
        return None
    state = _read_note(store)["state"]
    names = ("epoch", "done", "updates", "stopped")
    return {name: state.get(name) for name in names} if isinstance(state, dict) else {}


def newest_first(folder: str | os.PathLike[str]) -> list[Path]:
    """List the checkpoints of a folder, by the number of updates in their names, newest first."""
    return sorted(Path(folder).glob("step-*.weights.h5"), key=lambda path: path.name, reverse=True)


def _checked_state(store: h5py.File) -> dict[str, Any]:
    note = _read_note(store)
    damaged = list(_damage(store, note["sums"]))
    if damaged:
        more = f" (and {len(damaged) - 3} more)" if len(damaged) > 3 else ""
        raise ModelFileError(f"the checkpoint is damaged: {'; '.join(damaged[:3])}{more}")
    arrays = [name for name in note["sums"] if name.startswith(f"{_GROUP}/")]
    budget = SizeBudget(store.id.get_filesize())
    values = {name: values_of(_dataset(store, name), budget) for name in arrays}
    try:
        state = _from_json(note["state"], values)
    except (KeyError, TypeError, RecursionError) as error:
        raise ModelFileError("the checkpoint's state refers to an array that does not exist") from error
    if not isinstance(state, dict):
        raise ModelFileError("the checkpoint's state is not a JSON object")
    return state


def _read_note(store: h5py.File) -> dict[str, Any]:
    """Return the parsed JSON text, if it is intact."""
    dataset = checked_dataset(store, f"{_GROUP}/state")
    if dataset is None:
        raise ModelFileError(
            "the file has weights but no state of a training: use load_weights() instead of resume="
        )
    if dataset.dtype != np.uint8 or dataset.ndim != 1 or dataset.size > max_text_bytes():
        raise ModelFileError(
            f"the checkpoint's state is not a text of at most {max_text_bytes():,} bytes. "
            f"{how_to_raise('text')}"
        )
    text = bytes(values_of(dataset))
    expected = checked_dataset(store, f"{_GROUP}/sha256")
    if (
        expected is None
        or expected.shape != (32,)
        or bytes(values_of(expected)) != hashlib.sha256(text).digest()
    ):
        raise ModelFileError("the checkpoint is damaged: the checksum of its state is wrong")
    note = parse_json(text, "the checkpoint's state")
    version = note.get("version") if isinstance(note, dict) else None
    if not isinstance(version, int) or version > VERSION:
        raise ModelFileError(f"the checkpoint has version {version}, but this Hornbeam reads up to {VERSION}")
    if not isinstance(note.get("sums"), dict):
        raise ModelFileError("the checkpoint has no checksums of its values")
    return note


def _damage(store: h5py.File, sums: dict[str, str]) -> Iterator[str]:
    for name, expected in sums.items():
        dataset = checked_dataset(store, name)
        if dataset is None:
            yield f"{name} is missing"
        else:
            try:
                same = _checksum(values_of(dataset)) == expected
            except OSError:  # HDF5 cannot read it
                same = False
            if not same:
                yield f"{name} has a wrong checksum"


def _dataset(store: h5py.File, name: str) -> h5py.Dataset:
    dataset = checked_dataset(store, name)
    assert dataset is not None, "its checksum was verified"
    return dataset


def _checksum(array: np.ndarray) -> str:
    """Return the SHA-256 of an array's dtype, shape and bytes."""
    header = f"{array.dtype.str} {array.shape} ".encode()
    return hashlib.sha256(header + np.ascontiguousarray(array).tobytes()).hexdigest()


def _to_json(value: Any, arrays: list[np.ndarray]) -> Any:
    """Convert a value to JSON, with {"__array__": index} for arrays.

    Raises:
        TypeError: For other values.
    """
    if isinstance(value, dict):
        return {str(key): _to_json(item, arrays) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_to_json(item, arrays) for item in value]
    if isinstance(value, np.generic) and value.dtype.kind in "fiub":
        return value.item()
    if isinstance(value, np.ndarray):
        arrays.append(value)
        return {"__array__": len(arrays) - 1, "dtype": value.dtype.name}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(
        f"a checkpoint can store numbers, strings, arrays, and lists and dicts of them, got "
        f"{type(value).__name__}"
    )


def _from_json(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    if isinstance(value, list):
        return [_from_json(item, arrays) for item in value]
    if isinstance(value, dict):
        if set(value) == {"__array__", "dtype"}:
            array = arrays[f"{_GROUP}/{value['__array__']}"]
            return array.astype(_dtype(value["dtype"]), copy=False)
        return {key: _from_json(item, arrays) for key, item in value.items()}
    return value


def _dtype(name: Any) -> np.dtype:
    from hornbeam.ir.types import numpy_dtype

    return numpy_dtype(name)
