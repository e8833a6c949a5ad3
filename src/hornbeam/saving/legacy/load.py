"""Load whole models from HDF5 files in the format of Keras 1 and 2, which Keras 3 writes as `.h5`."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import h5py

from hornbeam._internal.limits import current_budget
from hornbeam.errors import ModelFileError
from hornbeam.saving.building import build_model, check_built, check_names, parse_config
from hornbeam.saving.files import how_to_raise
from hornbeam.saving.hdf5 import check_sum, layer_arrays, open_hdf5
from hornbeam.saving.hdf5_attributes import Raw, texts
from hornbeam.saving.legacy.h5 import read_legacy_weights
from hornbeam.saving.legacy.keras2_config import modern_config
from hornbeam.saving.legacy.optimizer import read_legacy_optimizer

if TYPE_CHECKING:
    from hornbeam.layers.network import Network


def load_legacy(
    path: str, custom_objects: Mapping[str, Any] | None, compile: bool, weights_only: bool
) -> Any:
    """Load a model from one HDF5 file, in the format of Keras 1 and 2."""
    with open(path, "rb") as file:
        check_sum(file)
        data = file.read()
    if weights_only:
        return layer_arrays(data)
    with open_hdf5(io.BytesIO(data)) as store:
        names = ("model_config", "training_config", "keras_version")
        model_text, training_text, version = (read_text(store, name, data) for name in names)
    if model_text is None:
        raise ModelFileError(
            f"{path!r} contains weights and no model: build the model and call load_weights({path!r}), or "
            "use load_model(..., weights_only=True)"
        )
    training = parse_config(training_text) if compile and training_text is not None else None
    written_by = "2" if version is None else version.decode()
    config, shapes = modern_config(parse_config(model_text), training, written_by)
    check_names(path, config, custom_objects)
    model = build_model(path, config, custom_objects, len(model_text), len(data))
    check_built(path, model)
    _check_shapes(model, shapes)
    read_legacy_weights(model, io.BytesIO(data), named=True)
    if getattr(model, "optimizer", None) is not None:
        with open_hdf5(io.BytesIO(data)) as store:
            read_legacy_optimizer(model, store, data, written_by)
    return model


def _check_shapes(model: Network, shapes: Mapping[str, Any]) -> None:
    """Raise ModelFileError if the output shape of a layer differs from the file's."""
    for layer in model.layers:
        if hasattr(layer, "layers"):
            _check_shapes(cast("Network", layer), shapes)
        elif layer.name in shapes:
            expected, actual = shapes[layer.name], tuple(layer.output.shape)
            comparable = isinstance(expected, list) and len(expected) == len(actual)
            if not comparable or any(
                n not in (None, size) for n, size in zip(expected[1:], actual[1:], strict=True)
            ):
                raise ModelFileError(
                    f"the output of layer {layer.name!r} has the shape {expected} in the file, but {actual} "
                    "here, where it follows from strides and padding: build the model again with "
                    "output_padding=, and use load_weights()"
                )


def read_text(store: h5py.File, name: str, raw: Raw) -> bytes | None:
    """Read a text attribute, of at most the length allowed for a config."""
    values = texts(store, name, raw)
    if values is None:
        return None
    limit = current_budget().short_text
    if len(values) != 1 or len(values[0]) > limit:
        raise ModelFileError(
            f"the file's {name} is not one text of at most {limit:,} bytes. {how_to_raise('text')}"
        )
    return values[0].encode()
