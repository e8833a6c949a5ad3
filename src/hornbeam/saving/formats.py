"""Formats of files by their names and first bytes, with advice for names and files of other kinds."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from hornbeam._internal.naming import nearest
from hornbeam.errors import MissingFileError, ModelFileError

SaveFormat = Literal["keras", "h5", "folder"]

# Version of Keras that defines the file formats.
FORMAT_VERSION = "3.15.1"
# Key of the version of Hornbeam that wrote a file, beside `keras_version`.
WRITER = "hornbeam_version"
METADATA, CONFIG, WEIGHTS = "metadata.json", "config.json", "model.weights.h5"
# Vocabularies, each under the path of its layer.
ASSETS = "assets/"

HDF5 = (".h5", ".hdf5")
# Files of weights alone, by name.
NAMED_WEIGHTS = (".weights.h5", ".safetensors", ".npz")

_HDF5_BYTES = b"\x89HDF\r\n\x1a\n"
# What else a file with a suffix may be, and the way to load it here.
_OTHERS = {
    (".safetensors", ".npz"): "contains weights and no model: build the model and call model.load_weights()",
    (".json",): "is JSON, maybe the architecture of a model: use models.model_from_json(text)",
    (".pt", ".pth"): "is a checkpoint of PyTorch, which has weights and maybe code, but no model that can be "
    "read: export the model there, as ONNX, and load the .onnx file, or read its weights alone, without "
    "running code, by saving.load_arrays()",
    (".ckpt",): "is a checkpoint of PyTorch or TensorFlow, which may contain code: export the model there, "
    "as ONNX, and load the .onnx file",
    (".pkl", ".pickle", ".joblib"): "is a pickle, which may run any code: it is not read. Save the model as "
    ".keras where it was trained",
    (".pb", ".tflite"): "is a compiled graph of TensorFlow, not a model of Keras: save the model as .keras, "
    "or export it as ONNX, where it was trained",
}  # fmt: skip


def path_text(path: str | bytes | os.PathLike[str], function: str) -> str:
    """Return a path as text.

    Raises:
        TypeError: For other values, such as open files.
    """
    if not isinstance(path, (str, bytes, os.PathLike)):
        raise TypeError(f"{function} needs the path of a file, got {type(path).__name__}: {path!r:.80}")
    text = os.fsdecode(path)
    if not text:
        raise ValueError(f"{function} needs the path of a file, got an empty one")
    return text


def reject_suffix(path: str, save_format: str | None) -> SaveFormat:
    """Raise ValueError for the name of a model's file with an unknown suffix, or with none."""
    suffix = os.path.splitext(path)[1]
    if path.endswith(NAMED_WEIGHTS):
        advice = f"Files that end in {suffix!r} contain weights: model.save_weights({path!r})"
    elif path.startswith("hf://"):
        advice = f"hornbeam.hub.push(model, {path!r}) uploads it to the hub"
    elif suffix in (".onnx", ".tflite"):
        kind = {".onnx": "onnx", ".tflite": "litert"}[suffix]
        advice = f'model.export({path!r}, format="{kind}") writes it'
    else:
        advice = (
            f"Use {_with_suffix(path)!r}, or model.export({path!r}) for a SavedModel that TensorFlow serves"
        )
    setting = "" if save_format is None else f", save_format={save_format!r}"
    raise ValueError(
        f"a model is saved to a file that ends in .keras or .h5, got {path!r}{setting}. {advice}"
    )


# `hornbeam run` replaces it by a function that chooses what Keras 2 wrote.
without_suffix = reject_suffix


def format_of(path: str, zipped: bool | None = None, save_format: str | None = None) -> SaveFormat:
    """Return the format in which a model is saved to a path.

    Raises:
        ValueError: For an unknown suffix.
    """
    if zipped is False:
        if path.endswith((".keras", *HDF5)):
            raise ValueError(f"zipped=False writes a folder, whose name has no suffix, got {path!r}")
        return "folder"
    if path.endswith(".keras"):
        return "keras"
    if path.endswith(HDF5) and not path.endswith(".weights.h5"):
        return "h5"
    return without_suffix(path, save_format)


def contents_of(path: str) -> SaveFormat | Literal["onnx"]:
    """Return the format of an existing model's file or folder.

    Raises:
        MissingFileError: If it does not exist.
        ModelFileError: If it is something else.
    """
    if os.path.isdir(path):
        if os.path.isfile(os.path.join(path, CONFIG)):
            return "folder"
        raise ModelFileError(f"{path!r} is a folder without a model: {_inside(path)}")
    check_exists(path)
    if path.endswith(".keras"):
        return "keras"
    if path.endswith(HDF5):
        return "h5"
    if path.endswith(".onnx"):
        return "onnx"
    for suffixes, meaning in _OTHERS.items():
        if path.endswith(suffixes):
            raise ModelFileError(f"{path!r} {meaning}")
    with open(path, "rb") as file:
        begin = file.read(8)
    if begin == _HDF5_BYTES:
        return "h5"
    if begin[:4] == b"PK\3\4":
        return "keras"
    raise ModelFileError(f"{path!r} is not the file of a model: these end in .keras, .h5 or .onnx")


def check_exists(path: str) -> None:
    """Raise MissingFileError for a file that does not exist, with the nearest name in its folder."""
    if not os.path.exists(path):
        raise MissingFileError(_missing(path))
    if os.path.isdir(path):
        raise MissingFileError(f"{path!r} is a folder, not a file: {_inside(path)}")


def _with_suffix(path: str) -> str:
    base, suffix = os.path.splitext(path.rstrip("/" + os.sep))
    return f"{base}.keras" if suffix in (".model", ".pkl", ".pt", ".pth", ".hdf", ".json", ".zip") else (
        f"{base}{suffix}.keras"
    )  # fmt: skip


def _inside(folder: str) -> str:
    """Describe a folder that has no model in Keras's format."""
    names = sorted(os.listdir(folder))
    if "saved_model.pb" in names:
        return (
            "it is a SavedModel of TensorFlow. Load it where it was saved, and save it as .keras or export "
            "it as ONNX"
        )
    models = [name for name in names if name.endswith((".keras", *HDF5, ".onnx"))]
    if models:
        return f"load one of its files: {', '.join(repr(os.path.join(folder, name)) for name in models[:5])}"
    return "it is empty" if not names else f"it has {', '.join(map(repr, names[:5]))}"


def _missing(path: str) -> str:
    """Describe a file that does not exist: the folder that was searched, and the nearest name in it."""
    scheme = path.partition("://")[0]
    if scheme == "hf":
        return (
            f"{path!r} is on the hub: hornbeam.hub.load() loads its model, and hornbeam.hub.download() "
            "returns the path of one of its files"
        )
    if scheme in ("gs", "s3", "http", "https"):
        return f"{path!r} is not on this machine: download it, and pass the path of the file"
    if path.startswith("~"):
        return f"{path!r} does not exist: ~ is not expanded, use os.path.expanduser({path!r})"
    absolute = Path(path).absolute()
    if not absolute.parent.is_dir():
        return f"{path!r} does not exist: neither does its folder {str(absolute.parent)!r}"
    if os.path.islink(path):
        return f"{path!r} is a link to {os.readlink(path)!r}, which does not exist"
    guess = nearest(absolute.name, os.listdir(absolute.parent))
    return f"{path!r} does not exist in {str(absolute.parent)!r}.{guess}"
