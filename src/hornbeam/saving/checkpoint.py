"""Checkpoints: a `.weights.h5` file, as Keras reads it, with the state of the training beside the weights.

The group `training` holds a JSON text (`state`) and the arrays that it refers to. The text knows the SHA-256
of every array in the file, and the file knows that of the text, so damage is found and named before anything
is taken.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from hornbeam.saving.files import (
    ModelFileError,
    Room,
    most_texts,
    parsed_json,
    raised,
    replace_file,
    storable,
)
from hornbeam.saving.weights import (
    Group,
    checked_dataset,
    created,
    opened,
    read_weights,
    values_of,
    write_groups,
)

VERSION = 1
_PLACE = "training"


def write_checkpoint(path: str | os.PathLike[str], groups: Iterable[Group], state: dict[str, Any]) -> None:
    """Write weights (see `weight_groups`) and a state of JSON values and arrays. The file is there as a
    whole, and safe from a loss of power, when this returns; until then the one before it stays.
    """
    arrays: list[np.ndarray] = []
    packed = _packed(state, arrays)
    groups = [*groups, Group(_PLACE, _PLACE, {str(i): storable(x) for i, x in enumerate(arrays)})]
    sums = {f"{group.path}/{key}": _sum(value) for group in groups for key, value in group.values.items()}
    text = json.dumps({"version": VERSION, "sums": sums, "state": packed}).encode()
    with replace_file(path) as file, created(file) as store:
        write_groups(groups, store)
        store[_PLACE]["state"] = np.frombuffer(text, np.uint8)
        store[_PLACE]["sha256"] = np.frombuffer(hashlib.sha256(text).digest(), np.uint8)


def read_checkpoint(
    model: Any, path: str | os.PathLike[str], take: Callable[[dict[str, Any]], None] | None = None
) -> dict[str, Any]:
    """Check a whole checkpoint, give the model (and its optimizer) their values, and return the state.

    take: is given the state when the weights are known to fit, and before one is changed; it may refuse it.
    Raises ModelFileError if anything is damaged, missing or does not fit: nothing has been changed then.
    """
    with open(path, "rb") as file:
        with opened(file) as store:
            state = _checked_state(store)
        before = None if take is None else lambda: take(state)
        read_weights(model, file, state_required=True, before=before)
    return state


def verify_checkpoint(path: str | os.PathLike[str]) -> list[str]:
    """What is wrong with a checkpoint, a sentence for each damaged value; empty if it is whole."""
    try:
        with open(path, "rb") as file, opened(file) as store:
            return list(_damage(store, _note(store)["sums"]))
    except ModelFileError as error:
        return [str(error)]


def training_note(store: h5py.File) -> dict[str, Any] | None:
    """Where the training of a checkpoint stands, in plain values; None for a file that is none."""
    if checked_dataset(store, f"{_PLACE}/state") is None:
        return None
    state = _note(store)["state"]
    names = ("epoch", "done", "updates", "stopped")
    return {name: state.get(name) for name in names} if isinstance(state, dict) else {}


def newest_first(folder: str | os.PathLike[str]) -> list[Path]:
    """The checkpoints of a folder, by the number of updates in their names."""
    return sorted(Path(folder).glob("step-*.weights.h5"), key=lambda path: path.name, reverse=True)


def _checked_state(store: h5py.File) -> dict[str, Any]:
    note = _note(store)
    damaged = list(_damage(store, note["sums"]))
    if damaged:
        more = f" (and {len(damaged) - 3} more)" if len(damaged) > 3 else ""
        raise ModelFileError(f"the checkpoint is damaged: {'; '.join(damaged[:3])}{more}")
    arrays = [name for name in note["sums"] if name.startswith(f"{_PLACE}/")]
    room = Room(store.id.get_filesize())
    values = {name: values_of(_dataset(store, name), room) for name in arrays}
    try:
        state = _unpacked(note["state"], values)
    except (KeyError, TypeError, RecursionError) as error:
        raise ModelFileError("the checkpoint's state refers to an array that is not there") from error
    if not isinstance(state, dict):
        raise ModelFileError("the checkpoint's state is not a table")
    return state


def _note(store: h5py.File) -> dict[str, Any]:
    """The JSON text, if it is what was written."""
    dataset = checked_dataset(store, f"{_PLACE}/state")
    if dataset is None:
        raise ModelFileError(
            "the file has weights and no state of a training: load_weights() reads them, resume= cannot"
        )
    if dataset.dtype != np.uint8 or dataset.ndim != 1 or dataset.size > most_texts():
        raise ModelFileError(
            f"the checkpoint's state is not a text of at most {most_texts():,} bytes. {raised('text')}"
        )
    text = bytes(values_of(dataset))
    expected = checked_dataset(store, f"{_PLACE}/sha256")
    if (
        expected is None
        or expected.shape != (32,)
        or bytes(values_of(expected)) != hashlib.sha256(text).digest()
    ):
        raise ModelFileError("the checkpoint is damaged: its state is not what was written")
    note = parsed_json(text, "the checkpoint's state")
    version = note.get("version") if isinstance(note, dict) else None
    if not isinstance(version, int) or version > VERSION:
        raise ModelFileError(f"the checkpoint has version {version}, this Hornbeam reads up to {VERSION}")
    if not isinstance(note.get("sums"), dict):
        raise ModelFileError("the checkpoint lists no sums of its values")
    return note


def _damage(store: h5py.File, sums: dict[str, str]) -> Iterator[str]:
    for name, expected in sums.items():
        dataset = checked_dataset(store, name)
        if dataset is None:
            yield f"{name} is missing"
        else:
            try:
                same = _sum(values_of(dataset)) == expected
            except OSError:  # what HDF5 cannot read any more
                same = False
            if not same:
                yield f"{name} is not what was written"


def _dataset(store: h5py.File, name: str) -> h5py.Dataset:
    dataset = checked_dataset(store, name)
    assert dataset is not None, "its sum was checked"
    return dataset


def _sum(array: np.ndarray) -> str:
    """SHA-256 of an array's form and bytes."""
    form = f"{array.dtype.str} {array.shape} ".encode()
    return hashlib.sha256(form + np.ascontiguousarray(array).tobytes()).hexdigest()


def _packed(value: Any, arrays: list[np.ndarray]) -> Any:
    """The value as JSON, where an array is {"__array__": its number}. Raises TypeError for anything else."""
    if isinstance(value, dict):
        return {str(key): _packed(item, arrays) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_packed(item, arrays) for item in value]
    if isinstance(value, np.generic) and value.dtype.kind in "fiub":
        return value.item()
    if isinstance(value, np.ndarray):
        arrays.append(value)
        return {"__array__": len(arrays) - 1, "dtype": value.dtype.name}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(
        f"a checkpoint keeps numbers, texts, arrays, lists and dicts of them, got {type(value).__name__}"
    )


def _unpacked(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    if isinstance(value, list):
        return [_unpacked(item, arrays) for item in value]
    if isinstance(value, dict):
        if set(value) == {"__array__", "dtype"}:
            found = arrays[f"{_PLACE}/{value['__array__']}"]
            return found.astype(_dtype(value["dtype"]), copy=False)
        return {key: _unpacked(item, arrays) for key, item in value.items()}
    return value


def _dtype(name: Any) -> np.dtype:
    from hornbeam.ir.types import numpy_dtype

    return numpy_dtype(name)
