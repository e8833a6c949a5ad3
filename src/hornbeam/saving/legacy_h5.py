"""Weights in the HDF5 layout of Keras 2, which the published weights of `applications` have: one group a
layer, whose attribute `weight_names` lists its arrays.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from typing import Any, BinaryIO

import h5py
import numpy as np

from hornbeam.saving.attributes import Raw, texts
from hornbeam.saving.files import ModelFileError
from hornbeam.saving.weights import checked_dataset, checked_object

# A list of names may be split over several attributes, `names0`, `names1`, ..., since HDF5 limits their size.
_MAX_PARTS = 1000


def read_legacy_weights(model: Any, file: BinaryIO, skip_mismatch: bool = False) -> None:
    """Read the weights of `model`, layer by layer in the order of the file. Nothing is assigned unless all
    fit.

    With `skip_mismatch`, layers whose arrays do not fit keep their weights. Raises ModelFileError.
    """
    try:
        raw = file.read()
        with h5py.File(io.BytesIO(raw), "r") as store:
            pairs = _pairs(model, store, raw, skip_mismatch)
    except ModelFileError:
        raise
    except Exception as error:  # whatever h5py makes of a damaged file
        raise ModelFileError(f"the weights are not a readable HDF5 file: {error}") from error
    for variable, array in pairs:
        variable.assign(array)


# What optimizers of Keras 2 call the state of a variable, those of its last versions and the ones before.
_SLOTS = {
    "m": "momentum", "v": "velocity", "vhat": "velocity_hat", "momentum": "momentum", "velocity": "velocity",
    "rms": "velocity", "average_gradient": "average_gradient", "mg": "average_gradient",
    "accumulator": "accumulator",
}  # fmt: skip
_STEPS = ("iteration", "iter")


def read_legacy_optimizer(model: Any, store: h5py.File, raw: Raw) -> None:
    """Give the model's optimizer the state in a file of a whole model, so that training goes on as it would
    have in Keras 2. A state that is not there or does not fit leaves it as it begins, with a warning.
    """
    group = checked_object(store, "optimizer_weights")
    names = _names(group, "weight_names", raw) if isinstance(group, h5py.Group) else []
    if not names or not model.trainable_variables:
        return
    optimizer = model.optimizer
    optimizer.build(model.trainable_variables)
    found: dict[str, list[h5py.Dataset | None]] = {}
    newer = any(name.split(":")[0] == "iteration" for name in names)
    for name in names:
        steps = name.split(":")[0].split("/")
        # "Adam/m/dense/kernel:0", and before "Adam/dense/kernel/m:0".
        kind = steps[1] if newer and len(steps) > 1 else steps[-1]
        found.setdefault(_SLOTS.get(kind, kind), []).append(checked_dataset(group, name))
    pairs = [(optimizer.iterations, d) for key in _STEPS for d in found.pop(key, ())]
    wanted = {name for slots in optimizer.slots() for name in slots}
    if not found and all(d is not None and d.shape == () and int(d[()]) == 0 for _, d in pairs):
        return  # saved before its first step
    for name in wanted & set(found):
        own = [optimizer.slot(variable, name) for variable in model.trainable_variables]
        pairs += zip(own, found[name], strict=False)
    here = [tuple(variable.shape) for variable, _ in pairs]
    there = [None if dataset is None else dataset.shape for _, dataset in pairs]
    count = 1 + len(wanted) * len(model.trainable_variables)
    kinds = {d.dtype.kind for _, d in pairs if d is not None}
    if set(found) != wanted or len(names) != count or here != there or not kinds <= set("fiu"):
        warnings.warn(
            f"the state of {optimizer.name!r} in the file does not fit ({len(names)} arrays, {count} here): "
            "it starts afresh",
            stacklevel=4,
        )
        return
    for variable, dataset in pairs:
        variable.assign(np.asarray(dataset[()]))  # type: ignore[index]


def _pairs(model: Any, store: h5py.File, raw: Raw, skip_mismatch: bool) -> list[tuple[Any, np.ndarray]]:
    root = store if "layer_names" in store.attrs or "layer_names0" in store.attrs else None
    root = checked_object(store, "model_weights") if root is None else root  # a whole model of Keras 2
    if not isinstance(root, h5py.Group):
        raise ModelFileError('the file lists no layers: it has no attribute "layer_names"')
    layers = [layer for layer in model.layers if layer.weights]
    groups = [(name, checked_object(root, name)) for name in _names(root, "layer_names", raw)]
    stored = [
        (name, group, _names(group, "weight_names", raw)) for name, group in groups if group is not None
    ]
    stored = [entry for entry in stored if entry[2]]
    if len(stored) != len(layers):
        raise ModelFileError(f"the file holds {len(stored)} layers with weights, the model has {len(layers)}")
    found: list[tuple[Any, np.ndarray]] = []
    problems: list[str] = []
    for layer, (name, group, weights) in zip(layers, stored, strict=True):
        datasets = [checked_dataset(group, weight) for weight in weights]
        own = [*layer.trainable_weights, *layer.non_trainable_weights]
        problem = _problem(layer, name, own, datasets)
        if problem:
            problems.append(problem)
        else:
            # A dataset that is not there is a problem, so these all are.
            found.extend(
                (v, np.asarray(d[()]))  # type: ignore[index]
                for v, d in zip(own, datasets, strict=True)
            )
    if problems and not skip_mismatch:
        listed = "\n  ".join(problems[:20])
        raise ModelFileError(f"the weights do not fit the model ({len(problems)} problems):\n  {listed}")
    return found


def _problem(layer: Any, name: str, own: Sequence[Any], datasets: Sequence[h5py.Dataset | None]) -> str:
    here = [tuple(variable.shape) for variable in own]
    there = [None if dataset is None else dataset.shape for dataset in datasets]
    if here != there:
        return f"layer {layer.name!r} has shapes {here}, {name!r} in the file {there}"
    wrong = [
        d.dtype for d in datasets if d is not None and (d.dtype.kind not in "fiu" or d.dtype.itemsize > 8)
    ]
    return f"{name!r} in the file has the dtype {wrong[0]}, which is not read" if wrong else ""


def _names(group: h5py.Group, attribute: str, raw: Raw) -> list[str]:
    """A list of names among a group's attributes. One of none is stored as numbers."""
    if attribute in group.attrs:
        empty = group.attrs.get_id(attribute).shape == (0,)
        return [] if empty else texts(group, attribute, raw) or []
    found: list[str] = []
    for number in range(_MAX_PARTS):
        part = texts(group, f"{attribute}{number}", raw)
        if part is None:
            break
        found += part
    return found
