"""Saving and loading by the functions behind `keras.saving`."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from typing import IO, TYPE_CHECKING, Any

from hornbeam import saving
from hornbeam.layers.context import is_shapes_only

if TYPE_CHECKING:
    from hornbeam.models import Model

File = str | os.PathLike[str] | IO[bytes]


def save_model(model: Model, filepath: File, weights_format: str = "h5", zipped: bool = True) -> None:
    """Save a model to a `.keras` file.

    Args:
        model: A model.
        filepath: Path, or a binary file that is open for writing.
        weights_format: "h5".
        zipped: False writes a folder.

    Raises:
        ValueError: For another format of the weights.
    """
    if weights_format != "h5":
        raise ValueError(f"weights_format must be 'h5', got {weights_format!r}")
    if isinstance(filepath, (str, os.PathLike)):
        saving.save_model(model, filepath, zipped=zipped)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.keras")
        saving.save_model(model, path)
        with open(path, "rb") as file:
            filepath.write(file.read())


def load_model(
    filepath: File,
    custom_objects: Mapping[str, Any] | None = None,
    compile: bool = True,
    safe_mode: bool = True,
) -> Any:
    """Load a model; see `keras.saving.load_model`.

    Args:
        filepath: Path, or a binary file that is open for reading.
        custom_objects: Dict from names in the file to classes and functions.
        compile: Whether the optimizer, loss and metrics are restored too.
        safe_mode: Must be True.
    """
    if isinstance(filepath, (str, os.PathLike)):
        return saving.load_model(filepath, custom_objects, compile, safe_mode)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.keras")
        with open(path, "wb") as file:
            file.write(filepath.read())
        return saving.load_model(path, custom_objects, compile, safe_mode)


def in_safe_mode() -> bool:
    """Return True while the model of a file is built: files may not name other files to read."""
    return is_shapes_only()
