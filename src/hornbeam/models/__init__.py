"""Models, with Keras's names."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, overload

from hornbeam.models.clone import clone_model, model_from_json
from hornbeam.models.functional import Function, Functional
from hornbeam.models.model import Model
from hornbeam.models.sequential import Sequential

if TYPE_CHECKING:
    import numpy as np

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
    """Load a model from a file; see `hornbeam.saving.load_model`.

    Args:
        filepath: `.keras` file, an `.h5` file of Keras 2, or an `.onnx` file.
        custom_objects: Classes and functions of the user's by name.
        compile: Also restore optimizer and loss.
        safe_mode: True: no code from a file is ever run.
        weights_only: Return the layers' arrays as a dict, and build nothing.

    Returns:
        The model with its weights.

    Raises:
        ModelFileError: If the file is damaged or breaks a rule.
        UnknownObjectError: For unknown names.
    """
    from hornbeam import saving

    return saving.load_model(filepath, custom_objects, compile, safe_mode, weights_only=weights_only)


def save_model(
    model: Model,
    filepath: str | os.PathLike[str],
    overwrite: bool = True,
    zipped: bool | None = None,
    **kwargs: Any,
) -> None:
    """Save a model; see `hornbeam.saving.save_model`.

    Args:
        model: The model.
        filepath: Path that ends in `.keras`.
        overwrite: Replace an existing file.
        zipped: None or True: files are always zipped.
        **kwargs: None are accepted.
    """
    from hornbeam import saving

    saving.save_model(model, filepath, overwrite=overwrite, zipped=zipped, **kwargs)
