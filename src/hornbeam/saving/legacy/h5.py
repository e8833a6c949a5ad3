"""Weights in the HDF5 layout of Keras 1 and 2, which the published weights of `applications` have: one group
a layer, whose attribute `weight_names` lists its arrays.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import h5py
import numpy as np

from hornbeam.saving.files import ModelFileError
from hornbeam.saving.hdf5_attributes import Raw, texts
from hornbeam.saving.legacy.arrays import Origin, Piece, Shape, has_convolutions, padded_otherwise, pieces
from hornbeam.saving.weights import checked_dataset, checked_object

# A list of names may be split over several attributes, `names0`, `names1`, ..., since HDF5 limits their size.
_MAX_PARTS = 1000
# What Keras 1 called kernels. With TensorFlow another ":0" stands behind.
_THEANO = re.compile(r"_[WU](_[icfo])?$")


@dataclass(frozen=True)
class Stored:
    """A layer of a model and what a file has for it. pieces: of its weights, trainable ones first, None where
    the numbers of arrays differ."""

    layer: Any
    name: str
    names: list[str]
    datasets: list[h5py.Dataset | None]
    pieces: list[Piece] | None
    origin: Origin

    def shapes(self) -> list[Shape | None]:
        """Those of the arrays in the file, None for one that is not there."""
        return [None if d is None else d.shape for d in self.datasets]

    def weights(self) -> list[Any]:
        """The layer's, in the order of the pieces."""
        return [*self.layer.trainable_weights, *self.layer.non_trainable_weights]

    def trained(self) -> list[tuple[int, str]]:
        """Numbers and names of the arrays that trainable weights are made of, in the file's order."""
        used = (self.pieces or [])[: len(self.layer.trainable_weights)]
        return [(i, self.names[i]) for i in sorted({i for piece in used for i in piece.sources})]


def read_legacy_weights(model: Any, file: BinaryIO, skip_mismatch: bool = False, named: bool = False) -> None:
    """Read the weights of `model`, layer by layer in the order of the file. Nothing is assigned unless all
    fit.

    With `skip_mismatch`, layers whose arrays do not fit keep their weights. named: the file is where the
    model is from, so layers are those of the same names, if they all have one. Raises ModelFileError.
    """
    try:
        raw = file.read()
        with h5py.File(io.BytesIO(raw), "r") as store:
            stored = stored_layers(model, store, raw, named)
            if named and any(entry.origin.turned for entry in stored):
                _check_padding(model)
            pairs = _pairs(stored, skip_mismatch)
    except ModelFileError:
        raise
    except Exception as error:  # whatever h5py makes of a damaged file
        raise ModelFileError(f"the weights are not a readable HDF5 file: {error}") from error
    for variable, array in pairs:
        variable.assign(array)


def _check_padding(model: Any) -> None:
    found = padded_otherwise(model)
    if found:
        raise ModelFileError(
            "Keras computed this model with Theano, which pads otherwise for padding='same' where kernels "
            f"are even or make steps: {', '.join(found[:20])}. Build it anew with ZeroPadding layers and "
            "padding='valid' there, and take load_weights()"
        )


def stored_layers(model: Any, store: h5py.File, raw: Raw, named: bool) -> list[Stored]:
    """The layers that have weights, in the file's order, and what the file has for each."""
    root = store if "layer_names" in store.attrs or "layer_names0" in store.attrs else None
    root = checked_object(store, "model_weights") if root is None else root  # of a whole model
    if not isinstance(root, h5py.Group):
        raise ModelFileError('the file lists no layers: it has no attribute "layer_names"')
    layers = [layer for layer in model.layers if layer.weights]
    groups = [(name, checked_object(root, name)) for name in names_in(root, "layer_names", raw)]
    stored = [
        (name, group, names_in(group, "weight_names", raw)) for name, group in groups if group is not None
    ]
    stored = [entry for entry in stored if entry[2]]
    if len(stored) != len(layers):
        raise ModelFileError(f"the file holds {len(stored)} layers with weights, the model has {len(layers)}")
    by_name = {layer.name: layer for layer in layers}
    if named and set(by_name) == {name for name, _, _ in stored}:
        layers = [by_name[name] for name, _, _ in stored]
    origin = origin_of(store, root, raw, [name for _, _, names in stored for name in names], layers)
    found = []
    for layer, (name, group, names) in zip(layers, stored, strict=True):
        datasets = [checked_dataset(group, weight) for weight in names]
        shapes = [None if d is None else d.shape for d in datasets]
        found.append(Stored(layer, name, names, datasets, pieces(layer, shapes, origin), origin))
    return found


def origin_of(
    store: h5py.File, root: h5py.Group, raw: Raw, names: Sequence[str], layers: Sequence[Any]
) -> Origin:
    """What wrote a file. Keras 1 said its version in whole models alone, and never the backend, which its
    names of arrays show."""
    version, backend = (_said(store, root, key, raw) for key in ("keras_version", "backend"))
    if version is not None and not version.startswith("1."):
        return Origin(False, backend == "theano")
    turned = any(_THEANO.search(name) for name in names)
    if turned and version is None and any(has_convolutions(layer) for layer in layers):
        warnings.warn(
            "the file does not say what wrote it. Its arrays are named as by Keras 1 with Theano, so kernels "
            "of convolutions are turned around",
            stacklevel=5,
        )
    return Origin(True, turned)


def _said(store: h5py.File, root: h5py.Group, key: str, raw: Raw) -> str | None:
    for group in (root, store):
        found = texts(group, key, raw)
        if found:
            return found[0]
    return None


def _pairs(stored: Sequence[Stored], skip_mismatch: bool) -> list[tuple[Any, np.ndarray]]:
    problems = [(entry, _problem(entry)) for entry in stored]
    bad = [problem for _, problem in problems if problem]
    if bad and not skip_mismatch:
        listed = "\n  ".join(bad[:20])
        raise ModelFileError(f"the weights do not fit the model ({len(bad)} problems):\n  {listed}")
    return [
        (variable, piece.value(entry.datasets))
        for entry, problem in problems
        if not problem
        for variable, piece in zip(entry.weights(), entry.pieces or (), strict=True)
    ]


def _problem(entry: Stored) -> str:
    here, there = [tuple(variable.shape) for variable in entry.weights()], entry.shapes()
    if entry.pieces is None or here != [piece.shape(there) for piece in entry.pieces]:
        return f"layer {entry.layer.name!r} has shapes {here}, {entry.name!r} in the file {there}"
    wrong = [d.dtype for d in entry.datasets if d is not None and not is_numeric(d)]
    return f"{entry.name!r} in the file has the dtype {wrong[0]}, which is not read" if wrong else ""


def is_numeric(dataset: h5py.Dataset) -> bool:
    """Whether its values are numbers of at most 8 bytes."""
    return dataset.dtype.kind in "fiu" and dataset.dtype.itemsize <= 8


def names_in(group: h5py.Group, attribute: str, raw: Raw) -> list[str]:
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
