"""Models, with Keras's names."""

from __future__ import annotations

from typing import Any

from hornbeam.models.clone import clone_model, model_from_json
from hornbeam.models.functional import Function, Functional
from hornbeam.models.model import Model
from hornbeam.models.sequential import Sequential

__all__ = [
    "Function",
    "Functional",
    "Model",
    "Sequential",
    "clone_model",
    "load_model",
    "model_from_json",
    "save_model",
]


def load_model(
    filepath: Any,
    custom_objects: Any = None,
    compile: bool = True,
    safe_mode: bool = True,
    *,
    weights_only: bool = False,
) -> Any:
    """The model in a `.keras` file; see `hornbeam.saving.load_model`."""
    from hornbeam import saving

    return saving.load_model(filepath, custom_objects, compile, safe_mode, weights_only=weights_only)


def save_model(model: Any, filepath: Any, overwrite: bool = True, zipped: Any = None, **kwargs: Any) -> None:
    """Save a model to a `.keras` file; see `hornbeam.saving.save_model`."""
    from hornbeam import saving

    saving.save_model(model, filepath, overwrite=overwrite, zipped=zipped, **kwargs)
