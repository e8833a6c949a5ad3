"""State of a training when its model was saved: `fit(initial_epoch=n)` continues its random order."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from hornbeam._internal.resume_point import ResumePoint
from hornbeam.errors import ModelFileError
from hornbeam.saving.files import parse_json
from hornbeam.saving.hdf5 import Store, checked_dataset, values_of

if TYPE_CHECKING:
    from hornbeam.layers.network import Network

# In a group that Keras and `KerasFileEditor` pass over, as that of checkpoints.
DATASET = "training/resume"
_MAX_BYTES = 1 << 16
_LARGEST = 1 << 53
_WORD = 1 << 32


def trainer_of(model: Network) -> Any:
    """Return the state of a model's training, None for a layer."""
    return getattr(model, "_hb_trainer", None)


def end_of_training(model: Network) -> ResumePoint | None:
    """Return the point at which the training of a model ended, None for a layer, or in the middle."""
    trainer = trainer_of(model)
    return None if trainer is None else trainer.present_point()


def write_resume_point(point: ResumePoint | None, store: h5py.File) -> None:
    """Add the point of a model that was trained to a file of weights."""
    if point is not None:
        store[DATASET] = np.frombuffer(json.dumps(asdict(point)).encode(), np.uint8)


def read_resume_point(store: Store) -> ResumePoint | None:
    """Read the point of a file, None if it has none.

    Raises:
        ModelFileError: If it is not one.
    """
    dataset = checked_dataset(store, DATASET)
    if dataset is None:
        return None
    if dataset.dtype != np.uint8 or dataset.ndim != 1 or dataset.size > _MAX_BYTES:
        raise ModelFileError(f"{DATASET} in the file is not a text of at most {_MAX_BYTES:,} bytes")
    values = parse_json(bytes(values_of(dataset)), DATASET)
    if not _is_point(values):
        raise ModelFileError(f"{DATASET} in the file is not the state of a training")
    return ResumePoint(**values)


def _is_point(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and set(value) == set(ResumePoint.__dataclass_fields__)
        and _natural(value["epoch"])
        and isinstance(value["form"], dict)
        and all(size is None or _natural(size) for size in value["form"].values())
        and _words(value["start"])
        and _words(value["random"])
        and _position(value["data"])
        and (value["validation"] is None or _position(value["validation"]))
    )


def _natural(value: Any) -> bool:
    return type(value) is int and 0 <= value <= _LARGEST


def _words(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(_natural(x) and x < _WORD for x in value)


def _position(value: Any) -> bool:
    if not isinstance(value, dict) or set(value) != {"taken", "orders", "random", "ahead"}:
        return False
    orders = value["orders"]
    pairs = orders if isinstance(orders, list) else []
    return (
        (value["taken"] is None or _natural(value["taken"]))
        and (value["random"] is None or _words(value["random"]))
        and (value["taken"] is None) == (value["random"] is None)
        and isinstance(value["ahead"], bool)
        and (orders is None or isinstance(orders, list))
        and all(isinstance(pair, list) and len(pair) == 2 and all(map(_integer, pair)) for pair in pairs)
    )


def _integer(value: Any) -> bool:
    return type(value) is int and abs(value) <= 1 << 64
