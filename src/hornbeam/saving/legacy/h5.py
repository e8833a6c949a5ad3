"""Weights in the HDF5 layout of Keras 1 and 2, as in the published weights of `applications`.

Each layer has a group, whose attribute `weight_names` lists its arrays.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import h5py
import numpy as np

from hornbeam._internal.warn import warn_user
from hornbeam.errors import ModelFileError
from hornbeam.layers.weights import own_weights
from hornbeam.saving.finite import warn_of_non_finite
from hornbeam.saving.hdf5 import checked_dataset, checked_object
from hornbeam.saving.hdf5_attributes import Raw, texts
from hornbeam.saving.legacy.arrays import (
    Conversion,
    Origin,
    Shape,
    conversions_of,
    has_convolutions,
    incompatible_padding,
)
from hornbeam.saving.mismatches import report_skipped

if TYPE_CHECKING:
    from hornbeam.layers import Layer
    from hornbeam.layers.network import Network

# A list of names may be split over several attributes, `names0`, `names1`, ..., since HDF5 limits their size.
_MAX_PARTS = 1000
# Names of kernels in Keras 1 with Theano. With TensorFlow they end in ":0".
_THEANO = re.compile(r"_[WU](_[icfo])?$")


@dataclass(frozen=True)
class Stored:
    """A layer of a model and its arrays in a file.

    Attributes:
        layer: The layer.
        name: Name of the layer in the file.
        names: Names of the arrays.
        datasets: The arrays, None for missing ones.
        conversions: Conversion of each weight, trainable ones first, None if the number of arrays differs.
        origin: Writer of the file.
    """

    layer: Layer
    name: str
    names: list[str]
    datasets: list[h5py.Dataset | None]
    conversions: list[Conversion] | None
    origin: Origin

    def shapes(self) -> list[Shape | None]:
        """Return the shapes of the arrays in the file, None for missing ones."""
        return [None if d is None else d.shape for d in self.datasets]

    def weights(self) -> list[Any]:
        """Return the layer's weights, in the order of the conversions."""
        return [*self.layer.trainable_weights, *self.layer.non_trainable_weights]

    def trained(self) -> list[tuple[int, str]]:
        """Return indices and names of the arrays of trainable weights, in the file's order."""
        used = (self.conversions or [])[: len(self.layer.trainable_weights)]
        return [(i, self.names[i]) for i in sorted({i for conversion in used for i in conversion.sources})]


def read_legacy_weights(
    model: Network, file: BinaryIO, skip_mismatch: bool = False, named: bool = False, by_name: bool = False
) -> None:
    """Read the weights of a model, layer by layer in the order of the file. Nothing is assigned unless all
    fit.

    Args:
        model: The model.
        file: Open binary file.
        skip_mismatch: Whether layers whose arrays do not fit keep their weights.
        named: The model is from the same file, so layers are matched by name, if all names are equal.
        by_name: Load only the layers whose names are in the file.

    Raises:
        ModelFileError: If the file is damaged, unsafe, or does not fit.
    """
    try:
        raw = file.read()
        with h5py.File(io.BytesIO(raw), "r") as store:
            stored = stored_layers(model, store, raw, named, by_name)
            if named and any(entry.origin.turned for entry in stored):
                _check_padding(model)
            pairs = _pairs(stored, skip_mismatch) + _top_level(model, store, raw, skip_mismatch)
            skipped = [problem for entry in stored if (problem := _problem(entry))]
    except ModelFileError:
        raise
    except Exception as error:  # h5py raises many types for damaged files
        raise ModelFileError(f"the weights are not a readable HDF5 file: {error}") from error
    report_skipped(skipped, len(pairs))
    warn_of_non_finite((variable.path, array) for variable, array in pairs)
    for variable, array in pairs:
        variable.assign(array)


def _check_padding(model: Network) -> None:
    incompatible = incompatible_padding(model)
    if incompatible:
        raise ModelFileError(
            "this model was computed with Theano, which pads differently for padding='same' with even "
            f"kernels or strides: {', '.join(incompatible[:20])}. Build it again with ZeroPadding layers and "
            "padding='valid' there, and use load_weights()"
        )


def stored_layers(
    model: Network, store: h5py.File, raw: Raw, named: bool, by_name: bool = False
) -> list[Stored]:
    """Return the layers that have weights, in the file's order, with their arrays."""
    root = _root(store)
    if not isinstance(root, h5py.Group):
        raise ModelFileError('the file lists no layers: it lacks the attribute "layer_names"')
    layers = [layer for layer in model.layers if layer.weights]
    groups = [(name, checked_object(root, name)) for name in names_in(root, "layer_names", raw)]
    stored = [
        (name, group, names_in(group, "weight_names", raw)) for name, group in groups if group is not None
    ]
    stored = [entry for entry in stored if entry[2]]
    layer_of = {layer.name: layer for layer in layers}
    if by_name:
        in_file = [name for name, _, _ in stored]
        stored = [entry for entry in stored if entry[0] in layer_of]
        if not stored:
            raise ModelFileError(
                f"no layer has a name of the file: the model has {', '.join(layer_of)}, the file "
                f"{', '.join(in_file)}"
            )
        layers = [layer_of[name] for name, _, _ in stored]
    elif len(stored) != len(layers):
        raise ModelFileError(
            f"the file has {len(stored)} layers with weights, the model {len(layers)}: the weights are those "
            "of another model. by_name=True loads the layers whose names are in the file"
        )
    elif named and set(layer_of) == {name for name, _, _ in stored}:
        layers = [layer_of[name] for name, _, _ in stored]
    origin = origin_of(store, root, raw, [name for _, _, names in stored for name in names], layers)
    result = []
    for layer, (name, group, names) in zip(layers, stored, strict=True):
        datasets = [checked_dataset(group, weight) for weight in names]
        shapes = [None if d is None else d.shape for d in datasets]
        conversions = conversions_of(layer, shapes, origin)
        result.append(Stored(layer, name, names, datasets, conversions, origin))
    return result


def _root(store: h5py.File) -> h5py.Group | h5py.Dataset | None:
    """Return the group that lists the layers."""
    listed = "layer_names" in store.attrs or "layer_names0" in store.attrs
    return store if listed else checked_object(store, "model_weights")  # of a whole model


def _top_level(
    model: Network, store: h5py.File, raw: Raw, skip_mismatch: bool
) -> list[tuple[Any, np.ndarray]]:
    """Return the weights of a model itself, which belong to none of its layers, with their values."""
    variables = sorted(own_weights(model), key=lambda weight: not weight.trainable)
    root = _root(store)
    group = checked_object(root, "top_level_model_weights") if variables and root is not None else None
    if not isinstance(group, h5py.Group):
        return []  # of a Keras before 2.5
    datasets = [checked_dataset(group, name) for name in names_in(group, "weight_names", raw)]
    shapes = [None if d is None or not is_numeric(d) else d.shape for d in datasets]
    expected = [tuple(variable.shape) for variable in variables]
    if shapes == expected:
        return [(v, np.asarray(d[()])) for v, d in zip(variables, datasets, strict=True) if d is not None]
    if skip_mismatch:
        return []
    raise ModelFileError(f"the model's own weights have shapes {expected}, in the file {shapes}")


def origin_of(
    store: h5py.File, root: h5py.Group, raw: Raw, names: Sequence[str], layers: Sequence[Any]
) -> Origin:
    """Detect the writer of a file.

    Keras 1 stored its version in files of whole models only, and never the backend, which the names of arrays
    show.
    """
    version, backend = (_attribute(store, root, key, raw) for key in ("keras_version", "backend"))
    if version is not None and not version.startswith("1."):
        return Origin(False, backend == "theano")
    turned = any(_THEANO.search(name) for name in names)
    if turned and version is None and any(has_convolutions(layer) for layer in layers):
        warn_user(
            "the file does not name its writer. Its arrays are named as by Keras 1 with Theano, so kernels "
            "of convolutions are flipped"
        )
    return Origin(True, turned)


def _attribute(store: h5py.File, root: h5py.Group, key: str, raw: Raw) -> str | None:
    for group in (root, store):
        values = texts(group, key, raw)
        if values:
            return values[0]
    return None


def _pairs(stored: Sequence[Stored], skip_mismatch: bool) -> list[tuple[Any, np.ndarray]]:
    problems = [(entry, _problem(entry)) for entry in stored]
    bad = [problem for _, problem in problems if problem]
    if bad and not skip_mismatch:
        listed = "\n  ".join(bad[:20])
        raise ModelFileError(f"the weights do not fit the model ({len(bad)} problems):\n  {listed}")
    return [
        (variable, conversion.value(entry.datasets))
        for entry, problem in problems
        if not problem
        for variable, conversion in zip(entry.weights(), entry.conversions or (), strict=True)
    ]


def _problem(entry: Stored) -> str:
    here, there = [tuple(variable.shape) for variable in entry.weights()], entry.shapes()
    if entry.conversions is None or here != [c.shape(there) for c in entry.conversions]:
        return f"layer {entry.layer.name!r} has shapes {here}, {entry.name!r} in the file {there}"
    wrong = [d.dtype for d in entry.datasets if d is not None and not is_numeric(d)]
    return f"{entry.name!r} in the file has the dtype {wrong[0]}, which is not supported" if wrong else ""


def is_numeric(dataset: h5py.Dataset) -> bool:
    """Return whether a dataset's values are numbers of at most 8 bytes."""
    return dataset.dtype.kind in "fiu" and dataset.dtype.itemsize <= 8


def names_in(group: h5py.Group, attribute: str, raw: Raw) -> list[str]:
    """Read a list of names in a group's attributes. An empty list is stored as numbers."""
    if attribute in group.attrs:
        empty = group.attrs.get_id(attribute).shape == (0,)
        return [] if empty else texts(group, attribute, raw) or []
    names: list[str] = []
    for number in range(_MAX_PARTS):
        chunk = texts(group, f"{attribute}{number}", raw)
        if chunk is None:
            break
        names += chunk
    return names
