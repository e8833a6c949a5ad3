"""Names of files without a suffix, under which Keras 2 wrote TensorFlow's formats."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from hornbeam.extensions.files import formats, weights
from hornbeam_compat.messages import log_once
from hornbeam_compat.patch import Patch


def choose_format(path: str, save_format: str | None) -> formats.SaveFormat:
    """Return the format for a name with another suffix than .keras and .h5, with a line on stderr.

    Raises:
        ValueError: For names of other kinds of files.
    """
    if path.endswith((*formats.NAMED_WEIGHTS, ".onnx", ".tflite")):
        return formats.reject_suffix(path, save_format)
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
        return weights.reject_weights_suffix(path, exists)
    if not exists:
        Path(path).parent.mkdir(parents=True, exist_ok=True)  # as TensorFlow's checkpoints
        log_once(
            f"Keras 2 wrote weights to a checkpoint of TensorFlow named {path!r}. They are written to "
            f"{path + '.weights.h5'!r}, which load_weights({path!r}) reads"
        )
    return path + ".weights.h5"


def patches() -> Iterator[Patch]:
    """Yield patches that choose formats for names without a suffix, instead of an error."""
    yield Patch(formats, "without_suffix", choose_format)
    yield Patch(weights, "without_suffix", choose_weights_name)
