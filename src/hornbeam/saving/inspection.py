"""Inspect and verify files of models, without building anything."""

from __future__ import annotations

import io
import mmap
import os
import warnings
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np

from hornbeam._internal.terminal import columns, folded
from hornbeam.core import registry
from hornbeam.errors import ModelFileError
from hornbeam.onnx.operators import OPERATORS
from hornbeam.onnx.operators.structure import graphs_in
from hornbeam.onnx.reading.files import inspect_onnx
from hornbeam.runtime import FrozenModel
from hornbeam.saving.arrays import ENDINGS, PYTORCH, arrays_in, stored_checksum
from hornbeam.saving.building import parse_config
from hornbeam.saving.checkpoint import training_summary, verify_checkpoint
from hornbeam.saving.files import parse_json
from hornbeam.saving.formats import HDF5, WEIGHTS, WRITER, check_exists, contents_of, path_text
from hornbeam.saving.hdf5 import check_sum, checked_dataset, open_hdf5, stored_arrays, values_of
from hornbeam.saving.legacy.keras2_config import modern_config
from hornbeam.saving.legacy.load import read_text
from hornbeam.saving.members import Members, read_archive, read_folder
from hornbeam.saving.resume_point import read_resume_point

# Beginnings of the names of arrays that belong to no layer.
_OF_TRAINING = ("optimizer/", "training/", "optimizer_weights/")


@dataclass(frozen=True)
class LayerInfo:
    """A layer of a config.

    Attributes:
        path: Names of the enclosing models and the layer.
        class_name: Its class.
        settings: Its main arguments, as text.
    """

    path: str
    class_name: str
    settings: str


@dataclass(frozen=True)
class ArrayInfo:
    """An array of a file.

    Attributes:
        name: Path in the file.
        shape: Sizes of the axes.
        dtype: Element type.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str

    @property
    def size(self) -> int:
        """Number of values."""
        return int(np.prod(self.shape, dtype=object))


@dataclass
class Inspection:
    """Result of `inspect_model`; print it.

    Attributes:
        path: Path of the file.
        kind: "model", "weights", "checkpoint", "frozen model" or "arrays".
        nbytes: Size of the file.
        version: Version of Keras that wrote it, or for which Hornbeam wrote it, if the file has it.
        writer: Version of Hornbeam, if that wrote it.
        layers: Layers of the model.
        arrays: Arrays of the file.
        missing: Names of classes and functions that `load_model` would need in `custom_objects`.
        training: Progress of a checkpoint's training.
        epoch: Finished epochs of a training, if the file has where it ended.
        refused: Reasons why `load_model` would refuse the file.
        notes: Other contents.
        graph: Nodes of an ONNX file, as `layers.OnnxGraph` has them.
    """

    path: str
    kind: str
    nbytes: int
    version: str | None = None
    writer: str | None = None
    layers: list[LayerInfo] = field(default_factory=list)
    arrays: list[ArrayInfo] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    training: dict[str, Any] | None = None
    epoch: int | None = None
    refused: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    graph: dict[str, Any] | None = field(default=None, repr=False)

    @property
    def parameters(self) -> int:
        """Number of values in weights of layers, as `model.count_params` counts: without random states."""
        return sum(array.size for array in self._of_layers() if not _is_random_state(array))

    def _of_layers(self) -> list[ArrayInfo]:
        return [a for a in self.arrays if not a.name.startswith(_OF_TRAINING)]

    def __str__(self) -> str:
        writer = f", written by Keras {self.version}" if self.version else ""
        if self.writer:
            target = f" for Keras {self.version}" if self.version else ""
            writer = f", written by Hornbeam {self.writer}{target}"
        lines = [f"{self.path}: {self.kind}, {self.nbytes:,} bytes{writer}, {self.parameters:,} parameters"]
        lines += [f"  {layer.path}  {layer.class_name}({layer.settings})" for layer in self.layers]
        lines += [f"  {array.name}  {array.dtype} {array.shape}" for array in self._of_layers()]
        others = len(self.arrays) - len(self._of_layers())
        if others:
            lines.append(f"  and {others} arrays of the state of the optimizer and the training")
        if self.training:
            lines.append("  training: " + ", ".join(f"{k} {v}" for k, v in self.training.items()))
        if self.epoch is not None:
            lines.append(f"  trained to epoch {self.epoch}: fit(initial_epoch={self.epoch}) continues")
        if self.missing:
            lines.append(
                f"  to load it, register or pass in custom_objects: {', '.join(map(repr, self.missing))}"
            )
        lines += [f"  refused: {reason}" for reason in self.refused]
        lines += [f"  with {note}" for note in self.notes]
        return folded("\n".join(lines), columns(), "      ")


def _is_random_state(array: ArrayInfo) -> bool:
    """Return whether an array is the key of a `SeedGenerator`: two words of 32 bits."""
    return "generator" in array.name and (array.shape, array.dtype) == ((2,), "uint32")


def inspect_model(
    path: str | os.PathLike[str], custom_objects: Mapping[str, Any] | None = None
) -> Inspection:
    """Inspect a file of a model: its layers, arrays, and what it would need to be loaded.

    Nothing is built and no code is run; sizes are checked as in `load_model`.

    Args:
        path: A `.keras`, `.weights.h5`, `.h5`, `.safetensors`, `.npz`, `.onnx` or `.hornbeam` file, a PyTorch
            file (`.pth`, `.pt`, `.bin`), or a model's folder.
        custom_objects: Dict from names in the file to classes and functions, as for `load_model`.

    Returns:
        `Inspection`.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: For another suffix.
        ModelFileError: If the file cannot be read.

    Example:
        >>> print(hornbeam.saving.inspect_model("model.keras"))  # doctest: +SKIP
    """
    name = path_text(path, "inspect_model()")
    if os.path.isdir(name) and contents_of(name) == "folder":
        members = read_folder(name)
        sizes = (len(members.config), len(members.weights), len(members.metadata))
        inspection = Inspection(name, "arrays", sum(sizes))
        _inspect_members(inspection, members, custom_objects)
        return inspection
    check_exists(name)
    inspection = Inspection(name, "arrays", os.path.getsize(name))
    if name.endswith(".keras"):
        _inspect_members(inspection, read_archive(name), custom_objects)
        return inspection
    if name.endswith(".hornbeam"):
        _inspect_frozen(inspection)
        return inspection
    if name.endswith(".onnx"):
        _inspect_onnx(inspection)
        return inspection
    with open(name, "rb") as file:
        if name.endswith((".h5", ".hdf5")):
            _inspect_hdf5(inspection, file, custom_objects)
        elif name.endswith((*ENDINGS, *PYTORCH)):
            arrays = arrays_in(file, Path(name).suffix)
            inspection.arrays = [ArrayInfo(n, a.shape, a.dtype.name) for n, a in arrays.items()]
        else:
            raise ValueError(
                f"{name!r}: files of models end in .keras, .h5, .weights.h5, .safetensors, .npz, .pth, .pt, "
                ".bin, .onnx or .hornbeam"
            )
    return inspection


def _inspect_frozen(inspection: Inspection) -> None:
    frozen = FrozenModel(inspection.path)
    inspection.kind = "frozen model"
    inspection.writer = frozen.metadata.get("hornbeam_version")
    inspection.arrays = [ArrayInfo(w.name, w.shape, w.dtype) for w in frozen.weights]  # type: ignore[arg-type]
    for name, signature in frozen.signatures.items():
        ends = [
            ", ".join(f"{x.name} {x.dtype} {x.shape}" for x in specs)
            for specs in (signature.inputs, signature.outputs)
        ]
        inspection.notes.append(f"the signature {name}: {ends[0]} -> {ends[1]}")
    labels = frozen.metadata.get("labels")
    if labels:
        inspection.notes.append(f"labels: {', '.join(labels)}")


def _inspect_onnx(inspection: Inspection) -> None:
    inspection.kind = "ONNX model"
    inspection.graph, ends, arrays = inspect_onnx(inspection.path)
    nodes = [node for part, _ in graphs_in(inspection.graph) for node in part["nodes"]]
    inspection.notes = [*ends]
    inspection.arrays = [ArrayInfo(n, a.shape, a.dtype.name) for n, a in arrays.items()]
    counts = Counter(node["op"] for node in nodes)
    inspection.notes.append(
        f"{len(nodes)} nodes: " + ", ".join(f"{n} {op}" for op, n in counts.most_common())
    )
    for op in sorted(set(counts) - set(OPERATORS)):
        # Nodes need no names; what they compute has one.
        names = [repr(x["name"] or ", ".join(x["outputs"])) for x in nodes if x["op"] == op]
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        inspection.refused.append(f"the operator {op} is not supported: nodes {', '.join(names[:3])}{more}")


def verify_model(path: str | os.PathLike[str]) -> list[str]:
    """List the problems of a file, a sentence for each.

    Archives have checksums of their members, checkpoints of every value, other files that Hornbeam wrote of
    all their data; of files without (see `has_checksum`) the arrays are read.

    Args:
        path: Path of the file.

    Returns:
        List of strings, empty if everything can be read.
    """
    try:
        inspection = inspect_model(path)
    except (ModelFileError, FileNotFoundError, ValueError) as error:
        return [str(error)]
    if inspection.kind == "checkpoint":
        return verify_checkpoint(path)
    return [f"{array.name}: {note}" for array, note in _unreadable(inspection)] + inspection.refused


def has_checksum(path: str | os.PathLike[str]) -> bool:
    """Return whether a file that can be read has checksums; else values may be damaged and readable."""
    name = os.path.join(path, WEIGHTS) if os.path.isdir(path) else os.fspath(path)
    with open(name, "rb") as file:
        if name.endswith(HDF5):
            if check_sum(file):
                return True
            with open_hdf5(file) as store:
                return training_summary(store) is not None
        if name.endswith(".safetensors"):
            head = file.read(8)
            return stored_checksum(head + file.read(int.from_bytes(head, "little"))) is not None
        return name.endswith(".hornbeam") or zipfile.is_zipfile(file)


def _unreadable(inspection: Inspection) -> Iterator[tuple[ArrayInfo, str]]:
    if inspection.path.endswith((*ENDINGS, *PYTORCH, ".hornbeam", ".onnx")):
        return  # inspecting reads them
    if inspection.path.endswith(".keras"):
        data = read_archive(inspection.path).weights
    elif os.path.isdir(inspection.path):
        data = read_folder(inspection.path).weights
    else:
        data = Path(inspection.path).read_bytes()
    with open_hdf5(io.BytesIO(data)) as store:
        for array in inspection.arrays:
            dataset = checked_dataset(store, array.name)
            try:
                if dataset is not None:
                    values_of(dataset)
            except (OSError, ModelFileError) as error:
                yield array, f"cannot be read: {error}"


def _inspect_members(
    inspection: Inspection, members: Members, custom_objects: Mapping[str, Any] | None
) -> None:
    inspection.kind = "model"
    try:
        about = parse_json(members.metadata or b"{}", "metadata.json")
        if isinstance(about, dict):
            inspection.version = str(about.get("keras_version"))
            inspection.writer = str(about[WRITER]) if WRITER in about else None
    except ModelFileError as error:
        inspection.refused.append(str(error))
    _describe(inspection, parse_config(members.config), custom_objects)
    with open_hdf5(io.BytesIO(members.weights)) as store:
        inspection.arrays = [
            ArrayInfo(name, tuple(x.shape), x.dtype.name) for name, x in stored_arrays(store)
        ]
        inspection.epoch = _epoch_of(store, inspection)
    inspection.notes += [
        f"a text of {len(text):,} characters: {name}" for name, text in members.assets.items()
    ]


def _inspect_hdf5(inspection: Inspection, file: BinaryIO, custom_objects: Mapping[str, Any] | None) -> None:
    with open_hdf5(file) as store:
        inspection.arrays = [
            ArrayInfo(name, tuple(x.shape), x.dtype.name) for name, x in stored_arrays(store)
        ]
        inspection.epoch = _epoch_of(store, inspection)
        inspection.kind = "weights"
        note = training_summary(store)
        if note is not None:
            inspection.kind, inspection.training = "checkpoint", note
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as raw:
            names = ("model_config", "keras_version", WRITER)
            config, version, writer = (read_text(store, name, raw) for name in names)
    inspection.writer = None if writer is None else writer.decode()
    if config is not None:
        inspection.kind, inspection.version = "model", "2" if version is None else version.decode()
        described = parse_config(config)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # load_model issues them
                described, _ = modern_config(described, None, inspection.version)
        except ModelFileError as error:
            inspection.refused.append(str(error))
        _describe(inspection, described, custom_objects)


def _epoch_of(store: h5py.File, inspection: Inspection) -> int | None:
    try:
        point = read_resume_point(store)
    except ModelFileError as error:
        inspection.refused.append(str(error))
        return None
    return None if point is None else point.epoch


def _describe(
    inspection: Inspection, config: dict[str, Any], custom_objects: Mapping[str, Any] | None
) -> None:
    inspection.layers = list(_layers_of(config, ""))
    missing = registry.missing_names(config, custom_objects)
    if "__lambda__" in missing:
        missing.remove("__lambda__")
        inspection.refused.append("it contains the code of a lambda, which is never run")
    inspection.missing = missing


def _layers_of(config: Any, path: str) -> Iterator[LayerInfo]:
    """Yield the layers of a config, those of nested models after the model."""
    settings = config.get("config") if isinstance(config, dict) else None
    if not isinstance(settings, dict):
        return
    name = str(settings.get("name") or config.get("name") or "?")
    full_path = f"{path}/{name}" if path else name
    plain = {
        key: value
        for key, value in settings.items()
        if key not in ("name", "trainable", "dtype", "layers", "input_layers", "output_layers")
        and isinstance(value, (int, float, str, list))
        and not isinstance(value, bool)
    }
    short = ", ".join(f"{key}={value!r}" for key, value in list(plain.items())[:6])
    yield LayerInfo(full_path, str(config.get("class_name")), short[:120])
    inner = settings.get("layers")
    for layer in inner if isinstance(inner, list) else ():
        yield from _layers_of(layer, full_path)
