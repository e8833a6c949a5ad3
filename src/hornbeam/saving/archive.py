"""`.keras` files: a zip of a JSON config and HDF5 weights, read without running or extracting anything."""

from __future__ import annotations

import io
import json
import os
import struct
import time
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import h5py
import numpy as np

from hornbeam._internal.limits import current_budget
from hornbeam.core import registry
from hornbeam.core.variable import AllocationError, allocation_budget
from hornbeam.ir.limits import WorkLimitError, work_limit
from hornbeam.layers.context import shapes_only
from hornbeam.layers.preprocessing.host import STRAY_BYTES
from hornbeam.saving.files import ModelFileError as ModelFileError
from hornbeam.saving.files import Room, most_texts, parsed_json, raised, replace_file
from hornbeam.saving.hdf5_attributes import Raw, texts
from hornbeam.saving.legacy.h5 import read_legacy_weights
from hornbeam.saving.legacy.keras2_config import modern_config
from hornbeam.saving.legacy.optimizer import read_legacy_optimizer
from hornbeam.saving.onnx.load import load_onnx, onnx_arrays
from hornbeam.saving.weights import (
    assets_of,
    opened,
    read_weights,
    stored_arrays,
    take_assets,
    values_of,
    write_weights,
)
from hornbeam.saving.zip_files import opened_zip, unpacked

# The version of Keras whose file format this is.
FORMAT_VERSION = "3.15.1"
METADATA, CONFIG, WEIGHTS = "metadata.json", "config.json", "model.weights.h5"
# Vocabularies, each at the place of its layer.
ASSETS = "assets/"

# Operations applied while the model is built, besides one for every byte of the config.
WORK = 150_000


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
    lambdas), FileExistsError unless `overwrite`.
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
    assets = assets_of(model)
    with replace_file(name, overwrite) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(METADATA, metadata)
        archive.writestr(CONFIG, config)
        archive.writestr(WEIGHTS, weights.getbuffer())
        for place, content in assets.items():
            archive.writestr(ASSETS + place, content.encode("utf-8", STRAY_BYTES))


def load_model(
    filepath: str | os.PathLike[str],
    custom_objects: Mapping[str, Any] | None = None,
    compile: bool = True,
    safe_mode: bool = True,
    *,
    weights_only: bool = False,
) -> Any:
    """The model in a `.keras` file, with its weights and, with `compile`, its optimizer and loss; or in an
    `.h5` file of Keras 2; or in an `.onnx` file (see `load_onnx`).

    Classes and functions of yours must be registered (`@register_keras_serializable`) or given in
    `custom_objects`; all names that are missing are listed at once. No code in the file is ever run.

    weights_only: return the layers' arrays instead, {place in the file: array}, and build nothing: a way out
    where classes are missing. `inspect_model` shows what is in a file.

    Raises ModelFileError if the file is damaged or breaks a rule, UnknownObjectError for unknown names.
    """
    if safe_mode is not True:
        raise ValueError(
            "safe_mode=False is not there: no code from a file is ever run. Register your functions instead"
        )
    path = os.fspath(filepath)
    if not os.path.isfile(path):
        kind = "is a folder, not a .keras file" if os.path.isdir(path) else "does not exist"
        raise FileNotFoundError(f"{path!r} {kind}")
    if path.endswith((".h5", ".hdf5")):
        return _load_legacy(path, custom_objects, compile, weights_only)
    if path.endswith(".onnx"):
        return onnx_arrays(path) if weights_only else load_onnx(path)
    members = read_archive(path)
    text, weights = members.config, members.weights
    if weights_only:
        return _arrays_alone(weights)
    config = parsed_config(text)
    if not compile:
        config.pop("compile_config", None)
    _check_names(path, config, custom_objects)
    model = _built(path, config, custom_objects, len(text), len(weights))
    read_weights(model, io.BytesIO(weights))
    take_assets(model, members.assets)
    return model


def _check_names(path: str, config: dict[str, Any], custom_objects: Mapping[str, Any] | None) -> None:
    """Raises for names that a config needs and that are not known, all at once."""
    missing = registry.missing_names(config, custom_objects)
    if "__lambda__" in missing:
        raise ModelFileError(
            f"{path!r} holds the code of a lambda, which is never run. Save the model with a named function "
            "that is "
            "decorated with @register_keras_serializable()"
        )
    if missing:
        raise registry.UnknownObjectError(
            f"the file names {', '.join(map(repr, missing))}, which Hornbeam does not know. Decorate them "
            "with "
            "@register_keras_serializable() before loading, or pass custom_objects={name: class}"
        )


def _arrays_alone(weights: bytes) -> dict[str, np.ndarray]:
    """The arrays of layers by their places."""
    with opened(io.BytesIO(weights)) as store:
        room = Room(len(weights))
        found = [(name, x) for name, x in stored_arrays(store) if not name.startswith("optimizer")]
        return {name: values_of(x, room) for name, x in found}


def _load_legacy(
    path: str, custom_objects: Mapping[str, Any] | None, compile: bool, weights_only: bool
) -> Any:
    """A whole model in one HDF5 file, as Keras 2 wrote it (and Keras 3 does when told to)."""
    with open(path, "rb") as file:
        data = file.read()
    if weights_only:
        return _arrays_alone(data)
    with opened(io.BytesIO(data)) as store:
        names = ("model_config", "training_config", "keras_version")
        model_text, training_text, version = (text_of(store, name, data) for name in names)
    if model_text is None:
        raise ModelFileError(
            f"{path!r} holds weights and no model: build the model and call load_weights({path!r}), or take "
            "load_model(..., weights_only=True)"
        )
    training = parsed_config(training_text) if compile and training_text is not None else None
    written_by = "2" if version is None else version.decode()
    config, shapes = modern_config(parsed_config(model_text), training, written_by)
    _check_names(path, config, custom_objects)
    model = _built(path, config, custom_objects, len(model_text), len(data))
    _check_shapes(model, shapes)
    read_legacy_weights(model, io.BytesIO(data), named=True)
    if getattr(model, "optimizer", None) is not None:
        with opened(io.BytesIO(data)) as store:
            read_legacy_optimizer(model, store, data)
    return model


def _check_shapes(model: Any, shapes: Mapping[str, Any]) -> None:
    """Raises where the output of a layer has other sizes than the file says."""
    for layer in model.layers:
        if hasattr(layer, "layers"):
            _check_shapes(layer, shapes)
        elif layer.name in shapes:
            wanted, made = shapes[layer.name], tuple(layer.output.shape)
            sizes = wanted if isinstance(wanted, list) and len(wanted) == len(made) else made
            if wanted != sizes or any(
                n not in (None, size) for n, size in zip(wanted[1:], made[1:], strict=True)
            ):
                raise ModelFileError(
                    f"the output of layer {layer.name!r} has the shape {wanted} in the file, {made} here, "
                    "where strides and padding alone say it: build the model anew with output_padding=, and "
                    "take load_weights()"
                )


def text_of(store: h5py.File, name: str, raw: Raw) -> bytes | None:
    """An attribute that is a text, of a length that a config may have."""
    found = texts(store, name, raw)
    if found is None:
        return None
    if len(found) != 1 or len(found[0]) > current_budget().text:
        raise ModelFileError(
            f"the file's {name} is not one text of at most {current_budget().text:,} bytes. {raised('text')}"
        )
    return found[0].encode()


def _built(
    path: str, config: dict[str, Any], custom_objects: Mapping[str, Any] | None, described: int, nbytes: int
) -> Any:
    """The model that a config describes, all weights zero, within what its file accounts for."""
    # float16 on disk may be float32 in memory, and an optimizer may begin with more state than it saved.
    budget = current_budget()
    room = allocation_budget(budget.bytes_for(nbytes), budget.parameters)
    try:
        with room, work_limit(budget.work_for(described, WORK)), shapes_only():
            model = registry.deserialize(config, custom_objects)
    except registry.UnknownObjectError:
        raise
    except AllocationError as error:
        raise ModelFileError(
            f"the model in {path!r} cannot be built: {error}. {raised('bytes=..., parameters')}"
        ) from error
    except WorkLimitError as error:
        raise ModelFileError(f"the model in {path!r} cannot be built: {error}. {raised('work')}") from error
    except Exception as error:
        raise ModelFileError(f"the model in {path!r} cannot be built: {error}") from error
    if not hasattr(model, "layers") and not getattr(model, "saved_alone", False):
        raise ModelFileError(f"{path!r} holds a {type(model).__name__}, not a model")
    if not model.built:
        raise ModelFileError(f"{path!r} does not say the shapes of the model's inputs, so it has no weights")
    return model


# -- the archive ---------------------------------------------------------------------------------------------


class Members(NamedTuple):
    """What is read of an archive: bytes, and the vocabularies by their place."""

    config: bytes
    weights: bytes
    metadata: bytes
    assets: dict[str, str]


def read_archive(path: str) -> Members:
    """The members of an archive, every size checked before anything is read."""
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            with opened_zip(file) as archive:
                return _read_members(archive, size)
    except ModelFileError as error:
        raise ModelFileError(f"{path!r}: {error}") from None
    except (
        zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, OSError, RuntimeError,
        ValueError,
    ) as error:  # fmt: skip
        raise ModelFileError(f"{path!r} is not a .keras file, or is damaged: {error}") from error


def _read_members(archive: zipfile.ZipFile, size: int) -> Members:
    budget = current_budget()
    names = [member.filename for member in archive.infolist()]
    for name in (CONFIG, WEIGHTS):
        if names.count(name) != 1:
            raise ModelFileError(
                f"the file holds {names.count(name)} members called {name!r}; a model has exactly one"
            )
    config, weights = archive.getinfo(CONFIG), archive.getinfo(WEIGHTS)
    metadata = archive.getinfo(METADATA) if names.count(METADATA) == 1 else None
    assets = {name: archive.getinfo(name) for name in names if name.startswith(ASSETS) and name[-1] != "/"}
    total = sum(member.file_size for member in assets.values())
    if total > most_texts():
        raise ModelFileError(
            f"the vocabularies unpack to {total} bytes; at most {most_texts()} are read: refused as a "
            f"decompression bomb. {raised('text')}"
        )
    for member, most in (
        *([(metadata, budget.text)] if metadata else []),
        (config, budget.text),
        (weights, budget.bytes_for(min(weights.compress_size, size))),
    ):
        if member.file_size > most:
            limit = "bytes" if member is weights else "text"
            raise ModelFileError(
                f"{member.filename} unpacks to {member.file_size} bytes; at most {most} are read: refused as "
                f"a decompression bomb. {raised(limit)}"
            )
    about = unpacked(archive, metadata) if metadata else b""
    texts = {
        name[len(ASSETS) :]: unpacked(archive, member).decode("utf-8", STRAY_BYTES)
        for name, member in assets.items()
    }
    return Members(unpacked(archive, config), unpacked(archive, weights), about, texts)


def parsed_config(text: bytes) -> dict[str, Any]:
    """The config of a model as what JSON makes of it. Raises ModelFileError."""
    config = parsed_json(text, "the config")
    most = current_budget().nesting
    if not isinstance(config, dict) or _depth(config, most) > most:
        raise ModelFileError(
            f"the config is not an object, or is nested more than {most} deep. {raised('nesting')}"
        )
    return config


def _depth(value: Any, most: int) -> int:
    """Nesting depth up to `most` and one more, by levels instead of recursion."""
    depth, level = 0, [value]
    while level and depth <= most:
        depth += 1
        level = [
            child
            for part in level
            if isinstance(part, (dict, list))
            for child in (part.values() if isinstance(part, dict) else part)
        ]
    return depth
