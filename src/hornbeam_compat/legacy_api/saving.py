"""Names of files without a suffix, under which Keras 2 wrote TensorFlow's formats."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from hornbeam.extensions.files import MODEL_NAMES, WEIGHTS_NAMES
from hornbeam_compat.messages import log_once
from hornbeam_compat.patch import Patch

# What the library does without patches.
_reject_model_name, _reject_weights_name = getattr(*MODEL_NAMES), getattr(*WEIGHTS_NAMES)


def choose_format(path: str, save_format: str | None) -> Literal["h5", "folder"]:
    """Return the format for a name with another suffix than .keras and .h5, with a line on stderr.

    Raises:
        ValueError: For names of other kinds of files.
    """
    if path.endswith((".weights.h5", ".safetensors", ".npz", ".onnx", ".tflite")):
        return _reject_model_name(path, save_format)
    if save_format in ("h5", "hdf5"):
        log_once(f"{path!r} is written as HDF5, as by Keras 2. The name of such a file ends in .h5 now")
        return "h5"
    log_once(
        f"Keras 2 wrote a SavedModel of TensorFlow to the folder {path!r}. Its config and weights are "
        "written there, as by model.save(folder, zipped=False) of Keras 3: load_model(folder) reads them, "
        "TensorFlow does not. model.export(folder) writes a SavedModel"
    )
    return "folder"


def choose_weights_name(path: str, exists: bool) -> str:
    """Return the name of a file of weights for the prefix of a checkpoint of TensorFlow."""
    if path.endswith((".keras", ".onnx", ".tflite")):
        return _reject_weights_name(path, exists)
    if not exists:
        Path(path).parent.mkdir(parents=True, exist_ok=True)  # as TensorFlow's checkpoints
        log_once(
            f"Keras 2 wrote weights to a checkpoint of TensorFlow named {path!r}. They are written to "
            f"{path + '.weights.h5'!r}, which load_weights({path!r}) reads"
        )
    return path + ".weights.h5"


def patches() -> Iterator[Patch]:
    """Yield patches that choose formats for names without a suffix, instead of an error."""
    yield Patch(*MODEL_NAMES, choose_format)
    yield Patch(*WEIGHTS_NAMES, choose_weights_name)
