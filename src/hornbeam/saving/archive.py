"""`.keras` files: a zip of a JSON config and HDF5 weights, read without running code or extracting files."""

from __future__ import annotations

import io
import json
import os
import struct
import time
import zipfile
import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast, overload

import h5py
import numpy as np

from hornbeam._internal.limits import current_budget
from hornbeam.core import registry
from hornbeam.core.variable import allocation_budget
from hornbeam.errors import AllocationError, WorkLimitError
from hornbeam.errors import ModelFileError as ModelFileError
from hornbeam.ir.limits import work_limit
from hornbeam.layers.context import shapes_only
from hornbeam.layers.preprocessing.host import STRAY_BYTES
from hornbeam.saving.files import SizeBudget, how_to_raise, max_text_bytes, parse_json, replace_file
from hornbeam.saving.hdf5 import open_hdf5, stored_arrays, values_of
from hornbeam.saving.hdf5_attributes import Raw, texts
from hornbeam.saving.legacy.h5 import read_legacy_weights
from hornbeam.saving.legacy.keras2_config import modern_config
from hornbeam.saving.legacy.optimizer import read_legacy_optimizer
from hornbeam.saving.model_parts import assets_of, load_assets
from hornbeam.saving.onnx.load import load_onnx, onnx_arrays
from hornbeam.saving.weights import read_weights, write_weights
from hornbeam.saving.zip_files import open_zip, unpacked

if TYPE_CHECKING:
    from hornbeam.models import Model

# Version of Keras that defines the file format.
FORMAT_VERSION = "3.15.1"
METADATA, CONFIG, WEIGHTS = "metadata.json", "config.json", "model.weights.h5"
# Vocabularies, each under the path of its layer.
ASSETS = "assets/"

# Operations allowed while the model is built, besides one for every byte of the config.
WORK = 150_000


def save_model(
    model: Model,
    filepath: str | os.PathLike[str],
    overwrite: bool = True,
    zipped: bool | None = None,
    **kwargs: Any,
) -> None:
    """Save architecture, weights, compile settings and optimizer state to a `.keras` file.

    The file is staged in the same folder and renamed, so that an existing file survives a crash.

    Args:
        model: A built model.
        filepath: Path that ends in ".keras".
        overwrite: Whether an existing file is replaced.
        zipped: Must be True or None: folders are not written.
        **kwargs: None are accepted; Keras's old `save_format` is refused by name.

    Raises:
        ValueError: For another suffix, or a model that is not built.
        TypeError: For parts without a config, such as lambdas.
        FileExistsError: If the file exists and `overwrite` is False.

    Example:
        >>> hornbeam.saving.save_model(model, "model.keras")  # doctest: +SKIP
    """
    if kwargs:
        raise TypeError(f"save_model takes no argument {', '.join(kwargs)}: it writes the .keras format only")
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
        for name, content in assets.items():
            archive.writestr(ASSETS + name, content.encode("utf-8", STRAY_BYTES))


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
    """Load a model from a `.keras` file, an `.h5` file of Keras 1 or 2, or an `.onnx` file.

    Custom classes and functions must be registered (`@register_keras_serializable`) or passed in
    `custom_objects`. No code in the file is ever run. `inspect_model` shows the contents of a file.

    Args:
        filepath: Path of the file.
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
        raise ValueError(
            "safe_mode=False is not supported: no code from a file is ever run. Register your functions "
            "instead"
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
        return _layer_arrays(weights)
    config = parse_config(text)
    if not compile:
        config.pop("compile_config", None)
    _check_names(path, config, custom_objects)
    model = _build_model(path, config, custom_objects, len(text), len(weights))
    read_weights(model, io.BytesIO(weights))
    load_assets(model, members.assets)
    return model


def _check_names(path: str, config: dict[str, Any], custom_objects: Mapping[str, Any] | None) -> None:
    """Raise an error that lists all unknown names of a config."""
    missing = registry.missing_names(config, custom_objects)
    if "__lambda__" in missing:
        raise ModelFileError(
            f"{path!r} contains the code of a lambda, which is never run. Save the model with a named "
            "function that is decorated with @register_keras_serializable()"
        )
    if missing:
        raise registry.UnknownObjectError(
            f"the file uses {', '.join(map(repr, missing))}, which Hornbeam does not know. Decorate them "
            "with @register_keras_serializable() before loading, or pass custom_objects={name: class}"
        )


def _layer_arrays(weights: bytes) -> dict[str, np.ndarray]:
    """Read the arrays of layers by their paths."""
    with open_hdf5(io.BytesIO(weights)) as store:
        budget = SizeBudget(len(weights))
        datasets = [(name, x) for name, x in stored_arrays(store) if not name.startswith("optimizer")]
        return {name: values_of(x, budget) for name, x in datasets}


def _load_legacy(
    path: str, custom_objects: Mapping[str, Any] | None, compile: bool, weights_only: bool
) -> Any:
    """Load a model from one HDF5 file, in the format of Keras 1 and 2."""
    with open(path, "rb") as file:
        data = file.read()
    if weights_only:
        return _layer_arrays(data)
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
    _check_names(path, config, custom_objects)
    model = _build_model(path, config, custom_objects, len(model_text), len(data))
    _check_shapes(model, shapes)
    read_legacy_weights(model, io.BytesIO(data), named=True)
    if getattr(model, "optimizer", None) is not None:
        with open_hdf5(io.BytesIO(data)) as store:
            read_legacy_optimizer(model, store, data)
    return model


def _check_shapes(model: Model, shapes: Mapping[str, Any]) -> None:
    """Raise ModelFileError if the output shape of a layer differs from the file's."""
    for layer in model.layers:
        if hasattr(layer, "layers"):
            _check_shapes(cast("Model", layer), shapes)
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
    limit = current_budget().text
    if len(values) != 1 or len(values[0]) > limit:
        raise ModelFileError(
            f"the file's {name} is not one text of at most {limit:,} bytes. {how_to_raise('text')}"
        )
    return values[0].encode()


def _build_model(
    path: str, config: dict[str, Any], custom_objects: Mapping[str, Any] | None, described: int, nbytes: int
) -> Any:
    """Build the model of a config with zero weights, within limits that follow from the file's size."""
    # float16 on disk may be float32 in memory, and an optimizer may create more state than it saved.
    budget = current_budget()
    allocations = allocation_budget(budget.bytes_for(nbytes), budget.parameters)
    try:
        with allocations, work_limit(budget.work_for(described, WORK)), shapes_only():
            model = registry.deserialize(config, custom_objects)
    except registry.UnknownObjectError:
        raise
    except AllocationError as error:
        raise ModelFileError(
            f"the model in {path!r} cannot be built: {error}. {how_to_raise('bytes=..., parameters')}"
        ) from error
    except WorkLimitError as error:
        raise ModelFileError(
            f"the model in {path!r} cannot be built: {error}. {how_to_raise('work')}"
        ) from error
    except Exception as error:
        raise ModelFileError(f"the model in {path!r} cannot be built: {error}") from error
    if not hasattr(model, "layers") and not getattr(model, "saved_alone", False):
        raise ModelFileError(f"{path!r} contains a {type(model).__name__}, not a model")
    if not model.built:
        raise ModelFileError(f"{path!r} has no input shapes, so the model has no weights")
    return model


# -- the archive ---------------------------------------------------------------------------------------------


class Members(NamedTuple):
    """Contents of an archive: bytes of its members, and vocabularies by path."""

    config: bytes
    weights: bytes
    metadata: bytes
    assets: dict[str, str]


def read_archive(path: str) -> Members:
    """Read the members of an archive, after checking every size."""
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            with open_zip(file) as archive:
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
                f"the file has {names.count(name)} members named {name!r}; a model has exactly one"
            )
    config, weights = archive.getinfo(CONFIG), archive.getinfo(WEIGHTS)
    metadata = archive.getinfo(METADATA) if names.count(METADATA) == 1 else None
    assets = {name: archive.getinfo(name) for name in names if name.startswith(ASSETS) and name[-1] != "/"}
    total = sum(member.file_size for member in assets.values())
    if total > max_text_bytes():
        raise ModelFileError(
            f"the vocabularies unpack to {total} bytes, but at most {max_text_bytes()} are allowed: refused "
            f"as a decompression bomb. {how_to_raise('text')}"
        )
    for member, allowed in (
        *([(metadata, budget.text)] if metadata else []),
        (config, budget.text),
        (weights, budget.bytes_for(min(weights.compress_size, size))),
    ):
        if member.file_size > allowed:
            limit = "bytes" if member is weights else "text"
            raise ModelFileError(
                f"{member.filename} unpacks to {member.file_size} bytes, but at most {allowed} are allowed: "
                f"refused as a decompression bomb. {how_to_raise(limit)}"
            )
    about = unpacked(archive, metadata) if metadata else b""
    texts = {
        name[len(ASSETS) :]: unpacked(archive, member).decode("utf-8", STRAY_BYTES)
        for name, member in assets.items()
    }
    return Members(unpacked(archive, config), unpacked(archive, weights), about, texts)


def parse_config(text: bytes) -> dict[str, Any]:
    """Parse the config of a model.

    Raises:
        ModelFileError: If it is not a JSON object, or is nested too deeply.
    """
    config = parse_json(text, "the config")
    limit = current_budget().nesting
    if not isinstance(config, dict) or _depth(config, limit) > limit:
        raise ModelFileError(
            f"the config is not an object, or is nested more than {limit} deep. {how_to_raise('nesting')}"
        )
    return config


def _depth(value: Any, limit: int) -> int:
    """Return the nesting depth, at most `limit` + 1, by levels instead of recursion."""
    depth, level = 0, [value]
    while level and depth <= limit:
        depth += 1
        level = [
            child
            for container in level
            if isinstance(container, (dict, list))
            for child in (container.values() if isinstance(container, dict) else container)
        ]
    return depth
