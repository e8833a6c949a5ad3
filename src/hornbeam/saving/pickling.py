"""Models in pickles and copies: by the bytes of their `.keras` file, with nothing of what was compiled."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from hornbeam.saving.archive import load_model, save_model


def packed(model: Any) -> tuple[bytes, dict[str, type]]:
    """The model's file, and the classes of its layers that only its author knows."""
    theirs = {type(layer) for layer in model._flatten_layers() if "_keras_module" not in vars(type(layer))}
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.keras")
        save_model(model, path)
        return Path(path).read_bytes(), {cls.__name__: cls for cls in theirs}


def unpacked(data: bytes, classes: dict[str, type]) -> Any:
    """The model that `packed` gave."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.keras")
        path.write_bytes(data)
        return load_model(path, custom_objects=classes)
