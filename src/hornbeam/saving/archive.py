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
from typing import Any, BinaryIO, NamedTuple

import h5py
import numpy as np

from hornbeam import registry
from hornbeam.ir.graph import work_limit
from hornbeam.layers.context import shapes_only
from hornbeam.layers.preprocessing.host import STRAY_BYTES
from hornbeam.saving.attributes import Raw, texts
from hornbeam.saving.files import ModelFileError as ModelFileError
from hornbeam.saving.files import most_bytes, replace_file
from hornbeam.saving.legacy_config import modern_config
from hornbeam.saving.legacy_h5 import read_legacy_weights
from hornbeam.saving.onnx_file import load_onnx, onnx_arrays
from hornbeam.saving.weights import (
    assets_of,
    opened,
    read_weights,
    stored_arrays,
    take_assets,
    values_of,
    write_weights,
)
from hornbeam.variable import allocation_budget

# The version of Keras whose file format this is.
FORMAT_VERSION = "3.15.1"
METADATA, CONFIG, WEIGHTS = "metadata.json", "config.json", "model.weights.h5"
# Vocabularies, each at the place of its layer.
ASSETS = "assets/"

# What a file may cost to read. A config of a megabyte describes a model of a thousand layers.
MAX_DIRECTORY_BYTES = 1 << 20
MAX_CONFIG_BYTES = 8 << 20
MAX_CONFIG_DEPTH = 200
# All vocabularies together: some millions of words.
MAX_ASSETS_BYTES = 64 << 20
# Operations applied while the model is built: some for every byte of the config, and for a start.
WORK_PER_BYTE, WORK = 1, 150_000


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
    `.h5` file of Keras 2, whose optimizer begins afresh; or in an `.onnx` file (see `load_onnx`).

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
    model = _built(path, config, custom_objects, WORK + WORK_PER_BYTE * len(text), len(weights))
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
        found = dict(stored_arrays(store))
        return {name: values_of(x) for name, x in found.items() if not name.startswith("optimizer")}


def _load_legacy(
    path: str, custom_objects: Mapping[str, Any] | None, compile: bool, weights_only: bool
) -> Any:
    """A whole model in one HDF5 file, as Keras 2 wrote it (and Keras 3 does when told to)."""
    with open(path, "rb") as file:
        data = file.read()
    if weights_only:
        return _arrays_alone(data)
    with opened(io.BytesIO(data)) as store:
        model_text, training_text = (text_of(store, n, data) for n in ("model_config", "training_config"))
    if model_text is None:
        raise ModelFileError(
            f"{path!r} holds weights and no model: build the model and call load_weights({path!r}), or take "
            "load_model(..., weights_only=True)"
        )
    training = parsed_config(training_text) if compile and training_text is not None else None
    config = modern_config(parsed_config(model_text), training)
    _check_names(path, config, custom_objects)
    model = _built(path, config, custom_objects, WORK + WORK_PER_BYTE * len(model_text), len(data))
    read_legacy_weights(model, io.BytesIO(data))
    return model


def text_of(store: h5py.File, name: str, raw: Raw) -> bytes | None:
    """An attribute that is a text, of a length that a config may have."""
    found = texts(store, name, raw)
    if found is None:
        return None
    if len(found) != 1 or len(found[0]) > MAX_CONFIG_BYTES:
        raise ModelFileError(f"the file's {name} is not one text of at most {MAX_CONFIG_BYTES:,} bytes")
    return found[0].encode()


def _built(
    path: str, config: dict[str, Any], custom_objects: Mapping[str, Any] | None, work: int, nbytes: int
) -> Any:
    """The model that a config describes, all weights zero, within what its file accounts for."""
    # float16 on disk may be float32 in memory, and an optimizer may begin with more state than it saved.
    budget = most_bytes(nbytes)
    try:
        with allocation_budget(budget), work_limit(work), shapes_only():
            model = registry.deserialize(config, custom_objects)
    except registry.UnknownObjectError:
        raise
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
            _check_directory(file)
            with zipfile.ZipFile(file) as archive:
                return _read_members(archive, os.fstat(file.fileno()).st_size)
    except ModelFileError as error:
        raise ModelFileError(f"{path!r}: {error}") from None
    except (
        zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, OSError, RuntimeError,
        ValueError,
    ) as error:  # fmt: skip
        raise ModelFileError(f"{path!r} is not a .keras file, or is damaged: {error}") from error


def _check_directory(file: BinaryIO) -> None:
    """The zip's table of contents is small: it is read as a whole, and every entry becomes an object.

    It must be described in the file's last bytes, as Keras and Python's zipfile write it; a comment behind
    it, or a second description, could make readers see different files.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(max(size - 98, 0))
    tail = file.read()
    end = tail[-22:]
    if end[:4] != b"PK\5\6" or end[-2:] != b"\0\0":
        raise ModelFileError("not a zip file as .keras files are")
    length = struct.unpack("<L", end[12:16])[0]
    if tail[-42:-38] == b"PK\6\7":  # of a file beyond 4 GiB
        place = struct.unpack("<Q", tail[-34:-26])[0]
        if tail[-98:-94] != b"PK\6\6" or place != size - 98:
            raise ModelFileError("the zip's table of contents is not where it should be")
        length = struct.unpack("<Q", tail[-58:-50])[0]
    if length > MAX_DIRECTORY_BYTES:
        raise ModelFileError(
            f"the zip's table of contents takes {length} bytes; a model has a handful of members"
        )


def _read_members(archive: zipfile.ZipFile, size: int) -> Members:
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
    if total > MAX_ASSETS_BYTES:
        raise ModelFileError(
            f"the vocabularies unpack to {total} bytes; at most {MAX_ASSETS_BYTES} are read: refused as a "
            "decompression bomb"
        )
    for member, most in (
        *([(metadata, MAX_CONFIG_BYTES)] if metadata else []),
        (config, MAX_CONFIG_BYTES),
        (weights, most_bytes(min(weights.compress_size, size))),
        *((member, MAX_ASSETS_BYTES) for member in assets.values()),
    ):
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ModelFileError(f"{member.filename} is compressed in a way that is not read")
        if member.file_size > most:
            raise ModelFileError(
                f"{member.filename} unpacks to {member.file_size} bytes; at most {most} are read: refused as "
                "a "
                "decompression bomb"
            )
    about = _bounded(archive, metadata) if metadata else b""
    texts = {
        name[len(ASSETS) :]: _bounded(archive, member).decode("utf-8", STRAY_BYTES)
        for name, member in assets.items()
    }
    return Members(_bounded(archive, config), _bounded(archive, weights), about, texts)


def _bounded(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """The member's bytes, never more than its header declares."""
    with archive.open(info) as member:
        data = member.read(info.file_size + 1)
    if len(data) != info.file_size:
        raise ModelFileError(f"{info.filename} does not have the size that it declares")
    return data


# -- the config ----------------------------------------------------------------------------------------------


def parsed_config(text: bytes) -> dict[str, Any]:
    """The config of a model as what JSON makes of it. Raises ModelFileError."""
    try:
        config = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelFileError(f"the config is not JSON: {error}") from None
    if not isinstance(config, dict) or _depth(config) > MAX_CONFIG_DEPTH:
        raise ModelFileError("the config is not an object, or is nested too deeply")
    return config


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
