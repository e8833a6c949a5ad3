"""Pickling and copying of models, by the bytes of their `.keras` file, without compile settings."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from hornbeam.layers.weights import flatten_layers
from hornbeam.saving.archive import load_model, save_model

if TYPE_CHECKING:
    from hornbeam.models.model import Model


def packed(model: Model) -> tuple[bytes, dict[str, type]]:
    """Return the bytes of the model's file, and the custom classes of its layers."""
    custom = {type(layer) for layer in flatten_layers(model) if "_keras_module" not in vars(type(layer))}
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.keras")
        save_model(model, path)
        return Path(path).read_bytes(), {cls.__name__: cls for cls in custom}


def unpacked(data: bytes, classes: dict[str, type]) -> Model:
    """Rebuild a model from the result of `packed`."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.keras")
        path.write_bytes(data)
        return load_model(path, custom_objects=classes)
