"""The state of optimizers in the HDF5 files of Keras 1 and 2."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from hornbeam._internal.warn import warn_user
from hornbeam.saving.hdf5 import checked_dataset, checked_object
from hornbeam.saving.hdf5_attributes import Raw
from hornbeam.saving.legacy.h5 import Stored, is_numeric, names_in, stored_layers

if TYPE_CHECKING:
    from hornbeam.layers.network import Network

# Names of a variable's state in tf.keras, in its last versions and earlier ones.
_SLOTS = {
    "m": "momentum", "v": "velocity", "vhat": "velocity_hat", "rms": "velocity", "mg": "average_gradient",
    "accum_grad": "accumulated_grad", "accum_var": "accumulated_delta_var",
}  # fmt: skip
_SLOTS_OF = {"Adamax": {"m": "momentum", "u": "norm", "v": "norm"}}
_STEPS = ("iteration", "iter")
# Keras 2 had two other rules for the product of Nadam's momenta, and did not store it.
_NOT_READ = ("Nadam",)
# Keras itself had no names for it: for each kind of state an array per variable, in this order.
_ORDER = {
    "SGD": ("momentum",), "RMSprop": ("velocity",), "Adagrad": ("accumulator",),
    "Adadelta": ("accumulated_grad", "accumulated_delta_var"), "Adamax": ("momentum", "norm"),
    "Adam": ("momentum", "velocity", "velocity_hat"),
}  # fmt: skip

# Variables and functions that return their values.
Values = list[tuple[Any, Callable[[], np.ndarray]]]
Datasets = Sequence[h5py.Dataset | None]


def read_legacy_optimizer(model: Network, store: h5py.File, raw: Raw, version: str) -> None:
    """Load the state of a model's optimizer from a file of a whole model, so that training continues.

    Without a state that fits, the optimizer keeps its initial state, with a warning.

    Args:
        model: The model.
        store: The open file.
        raw: Bytes of the file.
        version: Version of Keras that wrote the file.
    """
    group = checked_object(store, "optimizer_weights")
    names = names_in(group, "weight_names", raw) if isinstance(group, h5py.Group) else []
    if not names or not model.trainable_variables:
        return
    optimizer = model.optimizer
    optimizer.build(model.trainable_variables)
    datasets = [checked_dataset(group, name) for name in names]
    values = None
    if version.startswith("3."):
        values = _in_order(optimizer, datasets)
    elif type(optimizer).__name__ not in _NOT_READ and all(d is not None and is_numeric(d) for d in datasets):
        steps = [name.split(":")[0].split("/") for name in names]
        if any(path[-1] in _STEPS for path in steps):
            values = _by_name(model, steps, datasets)
        else:
            values = _by_position(model, stored_layers(model, store, raw, named=True), datasets)
    if values is None:
        warn_user(
            f"the state of {optimizer.name!r} in the file ({len(names)} arrays) does not fit: it "
            "starts from its initial state"
        )
        return
    for variable, value in values:
        variable.assign(value())


def _in_order(optimizer: Any, datasets: Datasets) -> Values | None:
    """Return the values of Keras 3: those of all variables, in their order."""
    variables = optimizer.variables
    shapes = [None if d is None or not is_numeric(d) else d.shape for d in datasets]
    if set(shapes) == {()} and datasets[0] is not None and not int(datasets[0][()]):
        variables = variables[: len(shapes)]  # saved before its first step, and without slots
    if not shapes or [tuple(variable.shape) for variable in variables] != shapes:
        return None
    return [(v, partial(_values, d)) for v, d in zip(variables, datasets, strict=True) if d is not None]


def _by_name(model: Network, names: Sequence[list[str]], datasets: Datasets) -> Values | None:
    optimizer = model.optimizer
    slots = {**_SLOTS, **_SLOTS_OF.get(type(optimizer).__name__, {})}
    stored: dict[str, list[h5py.Dataset]] = {}
    newer = any(path == ["iteration"] for path in names)
    for path, dataset in zip(names, datasets, strict=True):
        # "Adam/m/dense/kernel", and before "Adam/dense/kernel/m".
        kind = path[1] if newer and len(path) > 1 else path[-1]
        stored.setdefault(slots.get(kind, kind), []).append(dataset)
    counted = [dataset for key in _STEPS for dataset in stored.pop(key, ())]
    if not stored and all(dataset.shape == () and int(dataset[()]) == 0 for dataset in counted):
        return []  # saved before its first step
    slot_names = {name for group in optimizer.slots() for name in group}
    trained = model.trainable_variables
    if set(stored) != slot_names or len(counted) != 1 or any(len(x) != len(trained) for x in stored.values()):
        return None
    pairs = [(optimizer.iterations, counted[0])]
    pairs += [
        (optimizer.slot(v, name), d) for name in stored for v, d in zip(trained, stored[name], strict=True)
    ]
    if any(tuple(variable.shape) != dataset.shape for variable, dataset in pairs):
        return None
    return [(variable, partial(_values, dataset)) for variable, dataset in pairs]


def _by_position(model: Network, stored: Sequence[Stored], datasets: Datasets) -> Values | None:
    optimizer = model.optimizer
    positions = [(name, at, i) for at, entry in enumerate(stored) for i, name in entry.trained()]
    if any(entry.origin.first for entry in stored):
        positions.sort(key=lambda position: position[0])
    counted = datasets[0] if datasets and datasets[0] is not None and datasets[0].shape == () else None
    rest = list(datasets[1:] if counted is not None else datasets)
    order = _ORDER.get(type(optimizer).__name__, ())
    slot_names = {name for group in optimizer.slots() for name in group}
    if not positions or len(rest) % len(positions) or not len(rest) <= len(order) * len(positions):
        return None
    groups = dict(zip(order, range(0, len(rest), len(positions)), strict=False))
    if not slot_names <= set(groups):
        return None
    values: Values = [] if counted is None else [(optimizer.iterations, partial(_values, counted))]
    for slot in slot_names:
        by_layer: list[list[Any]] = [[None] * len(entry.names) for entry in stored]
        for (_, at, i), dataset in zip(positions, rest[groups[slot] :], strict=False):
            by_layer[at][i] = dataset
        for entry, arrays in zip(stored, by_layer, strict=True):
            shapes = [None if array is None else array.shape for array in arrays]
            for variable, conversion in zip(
                entry.layer.trainable_weights, entry.conversions or (), strict=False
            ):
                if conversion.shape(shapes) != tuple(variable.shape):
                    return None
                values.append((optimizer.slot(variable, slot), partial(conversion.value, arrays)))
    return values


def _values(dataset: h5py.Dataset) -> np.ndarray:
    return np.asarray(dataset[()])
