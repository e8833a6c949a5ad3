"""`.keras` files: a zip of a JSON config and HDF5 weights, read without running or extracting anything."""

from __future__ import annotations

import io
import json
import os
import time
import zipfile
from collections.abc import Mapping
from typing import Any

from hornbeam import registry
from hornbeam.saving.files import ModelFileError as ModelFileError
from hornbeam.saving.files import replace_file
from hornbeam.saving.weights import read_weights, write_weights
from hornbeam.variable import allocation_budget

# The version of Keras whose file format this is.
FORMAT_VERSION = "3.15.1"
METADATA, CONFIG, WEIGHTS = "metadata.json", "config.json", "model.weights.h5"

MAX_CONFIG_BYTES = 64 << 20
MAX_CONFIG_DEPTH = 200
MAX_MEMBERS = 1000
# Weights are hardly compressible: a member that unpacks to far more than it takes is a bomb.
MAX_WEIGHTS_RATIO = 50
SLACK_BYTES = 256 << 20


def save_model(
    model: Any,
    filepath: str | os.PathLike[str],
    overwrite: bool = True,
    zipped: bool | None = None,
    **kwargs: Any,
) -> None:
    """Write architecture, weights, compile settings and optimizer state to a `.keras` file.

    The file is staged beside its target and renamed, so that what was there survives a crash. Raises
    ValueError for another ending or a model that is not built, TypeError for parts without a config (such as
    lambdas).
    """
    if kwargs:
        raise TypeError(f"save_model does not take {', '.join(kwargs)}: only the .keras format is written")
    name = os.fspath(filepath)
    if not name.endswith(".keras") or zipped is False:
        raise ValueError(f'a model is saved to a file whose name ends in ".keras", got {name!r}')
    if not model.built:
        raise ValueError("the model has no weights yet: build it or call it on data before saving it")
    config = json.dumps(registry.serialize(model))
    metadata = json.dumps({"keras_version": FORMAT_VERSION, "date_saved": time.strftime("%Y-%m-%d@%H:%M:%S")})
    weights = io.BytesIO()
    write_weights(model, weights)
    with replace_file(name, overwrite) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(METADATA, metadata)
        archive.writestr(CONFIG, config)
        archive.writestr(WEIGHTS, weights.getbuffer())


def load_model(
    filepath: str | os.PathLike[str],
    custom_objects: Mapping[str, Any] | None = None,
    compile: bool = True,
    safe_mode: bool = True,
) -> Any:
    """The model in a `.keras` file, with its weights and, with `compile`, its optimizer and loss.

    Classes and functions of yours must be registered (`@register_keras_serializable`) or given in
    `custom_objects`; all names that are missing are listed at once. No code in the file is ever run, whatever
    `safe_mode` says.

    Raises ModelFileError if the file is damaged or breaks a rule, UnknownObjectError for unknown names.
    """
    if safe_mode is not True:
        raise ValueError(
            "safe_mode=False is not there: no code from a file is ever run. Register your functions instead"
        )
    if not os.path.isfile(filepath):
        raise FileNotFoundError(f"there is no model file {os.fspath(filepath)!r}")
    try:
        archive = zipfile.ZipFile(filepath)
    except (zipfile.BadZipFile, OSError) as error:
        raise ModelFileError(f"{os.fspath(filepath)} is not a .keras file: {error}") from None
    with archive:
        try:
            config, weights = _read_members(archive)
        except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
            raise ModelFileError(f"{os.fspath(filepath)} is damaged: {error}") from None
    missing = registry.missing_names(config, custom_objects)
    if missing:
        raise registry.UnknownObjectError(
            f"the file names {', '.join(map(repr, missing))}, which Hornbeam does not know. Decorate them "
            "with "
            "@register_keras_serializable() before loading, or pass custom_objects={name: class}"
        )
    if not compile:
        config.pop("compile_config", None)
    # float16 on disk may be float32 in memory, and the optimizer's state is made anew: hence the factor.
    with allocation_budget(len(weights) * 4 + SLACK_BYTES):
        try:
            model = registry.deserialize(config, custom_objects)
        except (KeyError, AttributeError, RecursionError) as error:
            raise ModelFileError(f"the config in the file is not a model's: {error!r}") from error
    if not hasattr(model, "layers"):
        raise ModelFileError(f"the file holds a {type(model).__name__}, not a model")
    optimizer = getattr(model, "optimizer", None)
    if optimizer is not None and not optimizer.built:
        optimizer.build(model.trainable_variables)
    read_weights(model, io.BytesIO(weights))
    return model


def _read_members(archive: zipfile.ZipFile) -> tuple[dict[str, Any], bytes]:
    """The config and the bytes of the weights, after checking every size before reading."""
    members = archive.infolist()
    if len(members) > MAX_MEMBERS:
        raise ModelFileError(f"the file has {len(members)} members; a model has a handful")
    names = [member.filename for member in members]
    for name in (CONFIG, WEIGHTS):
        if names.count(name) != 1:
            raise ModelFileError(
                f"the file holds {names.count(name)} members called {name!r}; a model has exactly one"
            )
    config_info, weights_info = archive.getinfo(CONFIG), archive.getinfo(WEIGHTS)
    if config_info.file_size > MAX_CONFIG_BYTES:
        raise ModelFileError(
            f"the config is {config_info.file_size} bytes; at most {MAX_CONFIG_BYTES} are read"
        )
    if weights_info.file_size > max(weights_info.compress_size, 1) * MAX_WEIGHTS_RATIO + (1 << 20):
        raise ModelFileError("the weights unpack to far more than they take: refused as a decompression bomb")
    text = _bounded(archive, config_info)
    try:
        config = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelFileError(f"the config is not JSON: {error}") from None
    if not isinstance(config, dict) or _depth(config) > MAX_CONFIG_DEPTH:
        raise ModelFileError("the config is not an object, or is nested too deeply")
    return config, _bounded(archive, weights_info)


def _bounded(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """The member's bytes, never more than its header declares."""
    with archive.open(info) as member:
        data = member.read(info.file_size + 1)
    if len(data) != info.file_size:
        raise ModelFileError(f"{info.filename} does not have the size that it declares")
    return data


def _depth(value: Any) -> int:
    """Nesting depth, by levels instead of recursion."""
    depth, level = 0, [value]
    while level and depth <= MAX_CONFIG_DEPTH:
        depth += 1
        level = [
            child
            for part in level
            if isinstance(part, (dict, list))
            for child in (part.values() if isinstance(part, dict) else part)
        ]
    return depth
