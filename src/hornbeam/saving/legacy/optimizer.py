"""The state of optimizers in the HDF5 files of Keras 1 and 2."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import h5py
import numpy as np

from hornbeam.saving.hdf5_attributes import Raw
from hornbeam.saving.legacy.h5 import Stored, is_numeric, names_in, stored_layers
from hornbeam.saving.weights import checked_dataset, checked_object

# What tf.keras called the state of a variable, in its last versions and the ones before.
_SLOTS = {
    "m": "momentum", "v": "velocity", "vhat": "velocity_hat", "rms": "velocity", "mg": "average_gradient",
    "accum_grad": "accumulated_grad", "accum_var": "accumulated_delta_var",
}  # fmt: skip
_SLOTS_OF = {"Adamax": {"m": "momentum", "u": "norm", "v": "norm"}}
_STEPS = ("iteration", "iter")
# Keras 2 had two other rules for the product of its momenta, and kept it in no file.
_NOT_READ = ("Nadam",)
# Keras itself had no names for it: for each kind of state an array a variable, in this order.
_ORDER = {
    "SGD": ("momentum",), "RMSprop": ("velocity",), "Adagrad": ("accumulator",),
    "Adadelta": ("accumulated_grad", "accumulated_delta_var"), "Adamax": ("momentum", "norm"),
    "Adam": ("momentum", "velocity", "velocity_hat"),
}  # fmt: skip

# Variables and what gives their values.
Values = list[tuple[Any, Callable[[], np.ndarray]]]
Datasets = Sequence[h5py.Dataset | None]


def read_legacy_optimizer(model: Any, store: h5py.File, raw: Raw) -> None:
    """Give the model's optimizer the state in a file of a whole model, so that training goes on as it would
    have where it was saved. A state that is not there or does not fit leaves it as it begins, with a warning.
    """
    group = checked_object(store, "optimizer_weights")
    names = names_in(group, "weight_names", raw) if isinstance(group, h5py.Group) else []
    if not names or not model.trainable_variables:
        return
    optimizer = model.optimizer
    optimizer.build(model.trainable_variables)
    datasets = [checked_dataset(group, name) for name in names]
    values = None
    if type(optimizer).__name__ not in _NOT_READ and all(d is not None and is_numeric(d) for d in datasets):
        steps = [name.split(":")[0].split("/") for name in names]
        if any(parts[-1] in _STEPS for parts in steps):
            values = _by_name(model, steps, datasets)
        else:
            values = _by_position(model, stored_layers(model, store, raw, named=True), datasets)
    if values is None:
        warnings.warn(
            f"the state of {optimizer.name!r} in the file ({len(names)} arrays) does not fit: it starts "
            "afresh",
            stacklevel=4,
        )
        return
    for variable, value in values:
        variable.assign(value())


def _by_name(model: Any, names: Sequence[list[str]], datasets: Datasets) -> Values | None:
    optimizer = model.optimizer
    slots = {**_SLOTS, **_SLOTS_OF.get(type(optimizer).__name__, {})}
    found: dict[str, list[h5py.Dataset]] = {}
    newer = any(parts == ["iteration"] for parts in names)
    for parts, dataset in zip(names, datasets, strict=True):
        # "Adam/m/dense/kernel", and before "Adam/dense/kernel/m".
        kind = parts[1] if newer and len(parts) > 1 else parts[-1]
        found.setdefault(slots.get(kind, kind), []).append(dataset)
    counted = [dataset for key in _STEPS for dataset in found.pop(key, ())]
    if not found and all(dataset.shape == () and int(dataset[()]) == 0 for dataset in counted):
        return []  # saved before its first step
    wanted = {name for group in optimizer.slots() for name in group}
    trained = model.trainable_variables
    if set(found) != wanted or len(counted) != 1 or any(len(x) != len(trained) for x in found.values()):
        return None
    pairs = [(optimizer.iterations, counted[0])]
    pairs += [
        (optimizer.slot(v, name), d) for name in found for v, d in zip(trained, found[name], strict=True)
    ]
    if any(tuple(variable.shape) != dataset.shape for variable, dataset in pairs):
        return None
    return [(variable, partial(_whole, dataset)) for variable, dataset in pairs]


def _by_position(model: Any, stored: Sequence[Stored], datasets: Datasets) -> Values | None:
    optimizer = model.optimizer
    places = [(name, at, i) for at, entry in enumerate(stored) for i, name in entry.trained()]
    if any(entry.origin.first for entry in stored):
        places.sort(key=lambda place: place[0])
    counted = datasets[0] if datasets and datasets[0] is not None and datasets[0].shape == () else None
    rest = list(datasets[1:] if counted is not None else datasets)
    order = _ORDER.get(type(optimizer).__name__, ())
    wanted = {name for group in optimizer.slots() for name in group}
    if not places or len(rest) % len(places) or not len(rest) <= len(order) * len(places):
        return None
    groups = dict(zip(order, range(0, len(rest), len(places)), strict=False))
    if not wanted <= set(groups):
        return None
    values: Values = [] if counted is None else [(optimizer.iterations, partial(_whole, counted))]
    for slot in wanted:
        kept: list[list[Any]] = [[None] * len(entry.names) for entry in stored]
        for (_, at, i), dataset in zip(places, rest[groups[slot] :], strict=False):
            kept[at][i] = dataset
        for entry, arrays in zip(stored, kept, strict=True):
            shapes = [None if array is None else array.shape for array in arrays]
            for variable, piece in zip(entry.layer.trainable_weights, entry.pieces or (), strict=False):
                if piece.shape(shapes) != tuple(variable.shape):
                    return None
                values.append((optimizer.slot(variable, slot), partial(piece.value, arrays)))
    return values


def _whole(dataset: h5py.Dataset) -> np.ndarray:
    return np.asarray(dataset[()])
