"""Save and load models: `.keras` files, a zip of a JSON config and HDF5 weights, and folders of the same.

They are read without running code or extracting files.
"""

from __future__ import annotations

import io
import json
import os
import time
import zipfile
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, cast, overload

import numpy as np

from hornbeam._internal import warning_policy
from hornbeam._internal.conformal_config import CONFORMAL, conformal_config
from hornbeam._internal.input_statistics import TRAINING_INPUTS, from_config, to_config
from hornbeam._internal.version import version
from hornbeam._internal.warn import warn_user
from hornbeam.core import registry
from hornbeam.errors import ArgumentTypeError
from hornbeam.errors import ModelFileError as ModelFileError
from hornbeam.layers.preprocessing.host import STRAY_BYTES
from hornbeam.onnx.reading.files import onnx_arrays
from hornbeam.onnx.reading.load import load_onnx
from hornbeam.saving.building import build_model, check_built, check_names, has_weights, parse_config
from hornbeam.saving.files import parse_json, replace_file
from hornbeam.saving.folders import replace_folder
from hornbeam.saving.formats import (
    ASSETS,
    CONFIG,
    FORMAT_VERSION,
    METADATA,
    WEIGHTS,
    WRITER,
    SaveFormat,
    contents_of,
    format_of,
    path_text,
)
from hornbeam.saving.hdf5 import holds_arrays, layer_arrays
from hornbeam.saving.legacy.load import load_legacy
from hornbeam.saving.legacy.write import write_legacy_model
from hornbeam.saving.members import read_archive, read_folder
from hornbeam.saving.model_parts import assets_of, complete_parts, load_assets
from hornbeam.saving.orbax import is_orbax, load_orbax
from hornbeam.saving.resume_point import end_of_training, trainer_of
from hornbeam.saving.weights import read_weights, write_weights

if TYPE_CHECKING:
    from hornbeam.models.model import Model


def save_model(
    model: Model,
    filepath: str | os.PathLike[str],
    overwrite: bool = True,
    zipped: bool | None = None,
    **kwargs: Any,
) -> None:
    """Save architecture, weights, compile settings and optimizer state to a `.keras` file.

    The file is staged in the same folder and renamed, so that an existing file survives a crash.

    A name that ends in `.h5` or `.hdf5` gets the HDF5 format of Keras 2, with a `LegacyFormatWarning`: it
    lacks random states, vocabularies, and what layers save themselves.

    Args:
        model: A model. If it is not built, neither is the one that is loaded.
        filepath: Path that ends in ".keras" or ".h5".
        overwrite: Whether an existing file is replaced.
        zipped: False writes the same members to a folder instead of one file.
        **kwargs: `include_optimizer`: whether an `.h5` file has compile settings and optimizer state, True by
            default. `save_format`, deprecated: the suffix of the path chooses the format.

    Raises:
        ValueError: For another suffix, or a model that is not built although layers of it are.
        TypeError: For parts without a config, such as lambdas.
        FileExistsError: If the file exists and `overwrite` is False, or if the folder has other files.

    Example:
        >>> hornbeam.saving.save_model(model, "model.keras")  # doctest: +SKIP
    """
    path = path_text(filepath, "save()")
    include_optimizer, save_format = kwargs.pop("include_optimizer", True), kwargs.pop("save_format", None)
    if kwargs:
        names = ", ".join(map(repr, kwargs))
        raise ArgumentTypeError(
            f"save_model() has no argument {names}, only include_optimizer and save_format"
        )
    kind = format_of(path, zipped, save_format)
    # A Sequential of built layers has their shapes in its config.
    known = model.built or (model.layers_in_file == "first" and kind != "h5" and has_weights(model))
    if not known and (model.weights or kind == "h5"):
        raise ValueError("the model is not built yet: build it or call it on data before saving it")
    if save_format is not None:
        warn_user(f"save_format={save_format!r} is deprecated: the suffix of {path!r} chooses the format",
                  DeprecationWarning)  # fmt: skip
    WRITERS[kind](model, path, overwrite, include_optimizer)


def _write_archive(model: Model, path: str, overwrite: bool, _: bool) -> None:
    members = _members_of(model)
    with replace_file(path, overwrite) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def _write_folder(model: Model, path: str, overwrite: bool, _: bool) -> None:
    members = _members_of(model)
    with replace_folder(path, overwrite) as write:
        for name, content in members.items():
            write(name, content)


# Functions of the model, the path, `overwrite` and `include_optimizer`.
WRITERS: dict[SaveFormat, Callable[[Model, str, bool, bool], None]] = {
    "keras": _write_archive,
    "h5": write_legacy_model,
    "folder": _write_folder,
}


def _members_of(model: Model) -> dict[str, Any]:
    """Return the contents of a model's file by name."""
    config = json.dumps(registry.serialize(model))
    now = time.strftime("%Y-%m-%d@%H:%M:%S")
    trainer = trainer_of(model)  # a FeatureSpace has none
    inputs = {} if trainer is None else trainer.training_inputs.statistics
    metadata = {
        "keras_version": FORMAT_VERSION,
        "date_saved": now,
        WRITER: version(),
        TRAINING_INPUTS: to_config(inputs),
    }
    calibration = None if trainer is None else trainer.conformal.get(model)
    if calibration is not None:
        metadata[CONFORMAL] = calibration
    parts, weights = complete_parts(model), io.BytesIO()
    write_weights(parts, end_of_training(model), weights)
    texts = {ASSETS + name: text.encode("utf-8", STRAY_BYTES) for name, text in assets_of(parts).items()}
    head = {METADATA: json.dumps(metadata).encode(), CONFIG: config.encode()}
    return {**head, WEIGHTS: weights.getbuffer(), **texts}


@overload
def load_model(
    filepath: str | os.PathLike[str],
    custom_objects: Mapping[str, Any] | None = None,
    compile: bool = True,
    safe_mode: bool = True,
    *,
    weights_only: Literal[False] = False,
) -> Model: ...


@overload
def load_model(
    filepath: str | os.PathLike[str],
    custom_objects: Mapping[str, Any] | None = None,
    compile: bool = True,
    safe_mode: bool = True,
    *,
    weights_only: bool,
) -> Model | dict[str, np.ndarray]: ...


def load_model(
    filepath: str | os.PathLike[str],
    custom_objects: Mapping[str, Any] | None = None,
    compile: bool = True,
    safe_mode: bool = True,
    *,
    weights_only: bool = False,
) -> Model | dict[str, np.ndarray]:
    """Load a model from a `.keras` file, an `.h5` file of any Keras, an `.onnx` file, or a folder.

    Folders are those that `save(folder, zipped=False)` writes, and those of `callbacks.OrbaxCheckpoint`.

    Custom classes and functions must be registered (`@register_keras_serializable`) or passed in
    `custom_objects`. No code in the file is ever run. `inspect_model` shows the contents of a file.

    Args:
        filepath: Path of the file or folder.
        custom_objects: Dict from names in the file to classes and functions.
        compile: Whether the optimizer, loss and metrics are restored too.
        safe_mode: Must be True: there is no unsafe mode.
        weights_only: Return a dict from paths in the file to arrays instead, and build nothing, for files
            whose classes are missing.

    Returns:
        The model.

    Raises:
        ModelFileError: If the file is damaged or breaks a safety rule.
        UnknownObjectError: For unknown names, all listed at once.
        FileNotFoundError: If the file does not exist.

    Example:
        >>> model = hornbeam.saving.load_model("model.keras")  # doctest: +SKIP
    """
    if safe_mode is not True:
        warning_policy.on_warning(
            "safe_mode=False is not supported: no code from a file is ever run. Register your functions "
            "instead"
        )
    path = path_text(filepath, "load_model()")
    if is_orbax(path):
        if weights_only:
            raise ValueError(f"weights_only is for files, {path!r} is a checkpoint of Orbax")
        return cast("Model", load_orbax(path, custom_objects, compile))
    kind = contents_of(path)
    if kind == "h5":
        return load_legacy(path, custom_objects, compile, weights_only)
    if kind == "onnx":
        return onnx_arrays(path) if weights_only else load_onnx(path)
    members = read_folder(path) if kind == "folder" else read_archive(path)
    text, weights = members.config, members.weights
    if weights_only:
        return layer_arrays(weights)
    config = parse_config(text)
    if not compile:
        config.pop("compile_config", None)
    check_names(path, config, custom_objects)
    model = build_model(path, config, custom_objects, len(text), len(weights))
    if model.built or holds_arrays(weights):
        check_built(path, model)
        read_weights(model, io.BytesIO(weights))
    load_assets(model, members.assets)
    about = parse_json(members.metadata, METADATA) if members.metadata else None
    if isinstance(about, dict) and trainer_of(model) is not None:
        trainer_of(model).training_inputs.statistics = from_config(about.get(TRAINING_INPUTS))
        trainer_of(model).conformal.set(conformal_config(about.get(CONFORMAL)), model)
    return model
