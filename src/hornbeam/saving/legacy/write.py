"""Write HDF5 files in the format of Keras 1 and 2, as Keras 3 writes a model to a name that ends in `.h5`.

A file of a whole model has the configs as attributes, a group of arrays for every layer, and the state of the
optimizer. Random states, vocabularies and values that layers save themselves have no place in it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO

import h5py
import numpy as np

from hornbeam._internal.version import version
from hornbeam._internal.warn import warn_user
from hornbeam.core import registry
from hornbeam.core.registry import get_registered_name
from hornbeam.distribution.processes import is_first
from hornbeam.errors import LegacyFormatWarning
from hornbeam.layers.weights import own_weights
from hornbeam.saving.files import replace_file, to_storable
from hornbeam.saving.formats import FORMAT_VERSION, WRITER
from hornbeam.saving.hdf5 import create_hdf5
from hornbeam.saving.model_parts import assets_of, saved_parts

if TYPE_CHECKING:
    from hornbeam.layers.network import Network

# Short names of losses that Keras 3 reads in `.keras` files, but not in these.
_LOSSES = {
    "mse": "mean_squared_error", "mae": "mean_absolute_error", "mape": "mean_absolute_percentage_error",
    "msle": "mean_squared_logarithmic_error", "kld": "kl_divergence", "bce": "binary_crossentropy",
}  # fmt: skip
# HDF5 limits an attribute to 64 KiB: a longer list of names is split over several attributes.
_MAX_ATTRIBUTE = 60_000


def write_legacy_model(model: Network, path: str, overwrite: bool, include_optimizer: bool) -> None:
    """Write a whole model, and warn of the format.

    Args:
        model: A built model.
        path: Path of the file. Its folder is created if it does not exist, as Keras does.
        overwrite: Whether an existing file is replaced.
        include_optimizer: Whether compile settings and the state of the optimizer are written.

    Raises:
        TypeError: For parts without a config, such as lambdas.
    """
    if is_first():
        os.makedirs(os.path.dirname(path) or os.curdir, exist_ok=True)
    config = registry.serialize(model)
    compiled = config.pop("compile_config", None) if model.optimizer is not None else None
    # The layers inside keep the modules of their classes, which Keras 3 omits here and then guesses wrong.
    name = config.get("registered_name") or config["class_name"]
    attributes = {"model_config": {**config, "class_name": name, "module": None}}
    if include_optimizer and compiled is not None:
        attributes["training_config"] = _training_config(compiled, model.optimizer)
    with replace_file(path, overwrite) as file, create_hdf5(file) as store:
        store.attrs["keras_version"] = FORMAT_VERSION
        store.attrs["backend"] = "hornbeam"
        store.attrs[WRITER] = version()
        for name, value in attributes.items():
            store.attrs[name] = json.dumps(value)
        _write_layers(model, store.create_group("model_weights"))
        if include_optimizer and compiled is not None and model.optimizer.variables:
            _write_arrays(model.optimizer.variables, store.create_group("optimizer_weights"))
    warn_of_legacy_format(model, path, f"model.save({os.path.splitext(path)[0] + '.keras'!r})")


def write_legacy_weights(model: Network, file: BinaryIO) -> None:
    """Write the weights of a model to an open binary file, layer by layer."""
    with create_hdf5(file) as store:
        _write_layers(model, store)
        store.attrs[WRITER] = version()


def warn_of_legacy_format(model: Network, path: str, advice: str) -> None:
    """Warn of the format, and of what is missing in it, at the user's line."""
    absent = sorted({name.rpartition("/")[0] or name for name in assets_of(saved_parts(model))})
    lost = f" The vocabulary of {', '.join(map(repr, absent[:3]))} is not in it." if absent else ""
    warn_user(
        f"{path!r} is an HDF5 file as Keras 2 wrote it, a legacy format without random states.{lost} "
        f"{advice} saves everything",
        LegacyFormatWarning,
    )


def _training_config(compiled: Mapping[str, Any], optimizer: Any) -> dict[str, Any]:
    """Convert compile settings: losses and metrics have no modules, functions are their names."""
    settings = {key: _plain(value) for key, value in compiled.items() if key != "optimizer"}
    settings["loss"] = _full_names(settings.get("loss"))
    # Settings of the optimizer itself, such as schedules, keep Keras 3's format.
    settings["optimizer_config"] = {
        "class_name": get_registered_name(type(optimizer)),
        "config": registry.serialize(optimizer)["config"],
    }
    return settings


def _full_names(loss: Any) -> Any:
    if isinstance(loss, list):
        return [_full_names(item) for item in loss]
    if isinstance(loss, Mapping) and "class_name" not in loss:
        return {key: _full_names(item) for key, item in loss.items()}
    return _LOSSES.get(loss.lower(), loss) if isinstance(loss, str) else loss


def _plain(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    if value.get("class_name") == "function":
        return value["config"]
    if "class_name" in value and "config" in value:
        name = value.get("registered_name") or value["class_name"]
        return {"class_name": name, "config": _plain(value["config"])}
    return {key: _plain(item) for key, item in value.items()}


def _write_layers(model: Network, group: h5py.Group) -> None:
    group.attrs["keras_version"] = FORMAT_VERSION
    group.attrs["backend"] = "hornbeam"
    _write_names(group, "layer_names", [layer.name for layer in model.layers])
    for layer in model.layers:
        weights = [*layer.trainable_weights, *layer.non_trainable_weights]
        _write_arrays(weights, group.require_group(layer.name))
    own = sorted(own_weights(model), key=lambda weight: not weight.trainable)
    _write_arrays(own, group.require_group("top_level_model_weights"))


def _write_arrays(variables: Sequence[Any], group: h5py.Group) -> None:
    """Write variables under their paths, and the list of these."""
    names = [variable.path for variable in variables]
    folders = {path[:at] for path in names for at, letter in enumerate(path) if letter == "/"}
    if len(set(names)) < len(names) or not folders.isdisjoint(names):
        names = [f"{index}/{variable.name}" for index, variable in enumerate(variables)]
    _write_names(group, "weight_names", names)
    for name, variable in zip(names, variables, strict=True):
        group[name] = to_storable(np.array(variable.numpy()))


def _write_names(group: h5py.Group, attribute: str, names: Sequence[str]) -> None:
    encoded = np.asarray([name.encode() for name in names]) if names else np.zeros(0)
    count = -(-encoded.nbytes // _MAX_ATTRIBUTE)
    if count <= 1:
        group.attrs[attribute] = encoded
        return
    per_part = max(_MAX_ATTRIBUTE // encoded.itemsize, 1)
    for number, start in enumerate(range(0, len(encoded), per_part)):
        group.attrs[f"{attribute}{number}"] = encoded[start : start + per_part]
