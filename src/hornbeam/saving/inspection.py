"""What is in a file of a model, without building anything of it."""

from __future__ import annotations

import io
import mmap
import os
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from hornbeam.core import registry
from hornbeam.saving.archive import parsed_config, read_archive, text_of
from hornbeam.saving.arrays import ENDINGS, arrays_in
from hornbeam.saving.checkpoint import training_note, verify_checkpoint
from hornbeam.saving.files import ModelFileError, parsed_json
from hornbeam.saving.legacy.keras2_config import modern_config
from hornbeam.saving.weights import checked_dataset, opened, stored_arrays, values_of


@dataclass(frozen=True)
class LayerInfo:
    """A layer of a config: its path, its class, and the settings that stand for it."""

    path: str
    class_name: str
    settings: str


@dataclass(frozen=True)
class ArrayInfo:
    """An array of a file: where it is, its shape and its dtype."""

    name: str
    shape: tuple[int, ...]
    dtype: str

    @property
    def size(self) -> int:
        """Number of values."""
        return int(np.prod(self.shape, dtype=object))


@dataclass
class Inspection:
    """What `inspect_model` found; print it.

    kind: "model", "weights", "checkpoint" or "arrays". missing: names of classes and functions that the
    caller would have to give to load it. training: where a checkpoint's training stands. refused: why
    `load_model` would not load it. notes: what else is in it.
    """

    path: str
    kind: str
    nbytes: int
    version: str | None = None
    layers: list[LayerInfo] = field(default_factory=list)
    arrays: list[ArrayInfo] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    training: dict[str, Any] | None = None
    refused: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def parameters(self) -> int:
        """Number of values in arrays that belong to layers."""
        return sum(array.size for array in self._of_layers())

    def _of_layers(self) -> list[ArrayInfo]:
        return [a for a in self.arrays if not a.name.startswith(("optimizer/", "training/"))]

    def __str__(self) -> str:
        made = f", written by Keras {self.version}" if self.version else ""
        lines = [f"{self.path}: {self.kind}, {self.nbytes:,} bytes{made}, {self.parameters:,} parameters"]
        lines += [f"  {layer.path}  {layer.class_name}({layer.settings})" for layer in self.layers]
        lines += [f"  {array.name}  {array.dtype} {array.shape}" for array in self._of_layers()]
        others = len(self.arrays) - len(self._of_layers())
        if others:
            lines.append(f"  and {others} arrays of the optimizer's and the training's state")
        if self.training:
            lines.append("  training: " + ", ".join(f"{k} {v}" for k, v in self.training.items()))
        if self.missing:
            lines.append(
                f"  to load it, register or give in custom_objects: {', '.join(map(repr, self.missing))}"
            )
        lines += [f"  refused: {reason}" for reason in self.refused]
        return "\n".join([*lines, *(f"  with {note}" for note in self.notes)])


def inspect_model(
    path: str | os.PathLike[str], custom_objects: Mapping[str, Any] | None = None
) -> Inspection:
    """What is in a `.keras`, `.weights.h5`, `.h5`, `.safetensors` or `.npz` file: layers, arrays, and what it
    would need to be loaded. Nothing is built and no code is run; sizes are checked as in `load_model`.

    Raises FileNotFoundError, ValueError for another ending, ModelFileError for what cannot be read.

    >>> print(hornbeam.saving.inspect_model("model.keras"))  # doctest: +SKIP
    """
    name = os.fspath(path)
    if not os.path.isfile(name):
        raise FileNotFoundError(f"{name!r} is not there, or no file")
    found = Inspection(name, "arrays", os.path.getsize(name))
    if name.endswith(".keras"):
        _inspect_archive(found, custom_objects)
        return found
    with open(name, "rb") as file:
        if name.endswith((".h5", ".hdf5")):
            _inspect_hdf5(found, file, custom_objects)
        elif name.endswith(ENDINGS):
            arrays = arrays_in(file, Path(name).suffix)
            found.arrays = [ArrayInfo(n, a.shape, a.dtype.name) for n, a in arrays.items()]
        else:
            raise ValueError(
                f"{name!r}: the files of models end in .keras, .h5, .weights.h5, .safetensors or .npz"
            )
    return found


def verify_model(path: str | os.PathLike[str]) -> list[str]:
    """What is wrong with a file, a sentence for each thing; empty if everything can be read.

    Archives have checksums of their members, checkpoints of every value; of other files the arrays are read.
    """
    try:
        found = inspect_model(path)
    except (ModelFileError, FileNotFoundError, ValueError) as error:
        return [str(error)]
    if found.kind == "checkpoint":
        return verify_checkpoint(path)
    return [f"{array.name}: {note}" for array, note in _unreadable(found)] + found.refused


def _unreadable(found: Inspection) -> Iterator[tuple[ArrayInfo, str]]:
    if found.path.endswith(ENDINGS):
        return  # they were read
    if found.path.endswith(".keras"):
        data = read_archive(found.path).weights
    else:
        data = Path(found.path).read_bytes()
    with opened(io.BytesIO(data)) as store:
        for array in found.arrays:
            dataset = checked_dataset(store, array.name)
            try:
                if dataset is not None:
                    values_of(dataset)
            except (OSError, ModelFileError) as error:
                yield array, f"cannot be read: {error}"


def _inspect_archive(found: Inspection, custom_objects: Mapping[str, Any] | None) -> None:
    members = read_archive(found.path)
    found.kind = "model"
    try:
        about = parsed_json(members.metadata or b"{}", "metadata.json")
        found.version = str(about.get("keras_version")) if isinstance(about, dict) else None
    except ModelFileError as error:
        found.refused.append(str(error))
    _describe(found, parsed_config(members.config), custom_objects)
    with opened(io.BytesIO(members.weights)) as store:
        found.arrays = [ArrayInfo(name, tuple(x.shape), x.dtype.name) for name, x in stored_arrays(store)]
    found.notes += [f"a text of {len(text):,} characters: {name}" for name, text in members.assets.items()]


def _inspect_hdf5(found: Inspection, file: BinaryIO, custom_objects: Mapping[str, Any] | None) -> None:
    with opened(file) as store:
        found.arrays = [ArrayInfo(name, tuple(x.shape), x.dtype.name) for name, x in stored_arrays(store)]
        found.kind = "weights"
        note = training_note(store)
        if note is not None:
            found.kind, found.training = "checkpoint", note
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as raw:
            config, version = (text_of(store, name, raw) for name in ("model_config", "keras_version"))
    if config is not None:
        found.kind, found.version = "model", "2" if version is None else version.decode()
        described = parsed_config(config)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # load_model gives them
                described, _ = modern_config(described, None, found.version)
        except ModelFileError as error:
            found.refused.append(str(error))
        _describe(found, described, custom_objects)


def _describe(found: Inspection, config: dict[str, Any], custom_objects: Mapping[str, Any] | None) -> None:
    found.layers = list(_layers_of(config, ""))
    missing = registry.missing_names(config, custom_objects)
    if "__lambda__" in missing:
        missing.remove("__lambda__")
        found.refused.append("it holds the code of a lambda, which is never run")
    found.missing = missing


def _layers_of(config: Any, path: str) -> Iterator[LayerInfo]:
    """The layers of a config, nested models behind their own line."""
    settings = config.get("config") if isinstance(config, dict) else None
    if not isinstance(settings, dict):
        return
    name = str(settings.get("name") or config.get("name") or "?")
    place = f"{path}/{name}" if path else name
    plain = {
        key: value
        for key, value in settings.items()
        if key not in ("name", "trainable", "dtype", "layers", "input_layers", "output_layers")
        and isinstance(value, (int, float, str, list))
        and not isinstance(value, bool)
    }
    short = ", ".join(f"{key}={value!r}" for key, value in list(plain.items())[:6])
    yield LayerInfo(place, str(config.get("class_name")), short[:120])
    inner = settings.get("layers")
    for layer in inner if isinstance(inner, list) else ():
        yield from _layers_of(layer, place)
