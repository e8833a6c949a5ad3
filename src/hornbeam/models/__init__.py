"""Models, with Keras's names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hornbeam._internal.lazy_imports import attach
from hornbeam.models.clone import clone_model as clone_model
from hornbeam.models.clone import model_from_json as model_from_json
from hornbeam.models.functional import Function as Function
from hornbeam.models.functional import Functional as Functional
from hornbeam.models.model import Model as Model
from hornbeam.models.sequential import Sequential as Sequential

if TYPE_CHECKING:
    from hornbeam.saving.archive import load_model as load_model
    from hornbeam.saving.archive import save_model as save_model

if not TYPE_CHECKING:  # there, `__getattr__` would let misspelled names pass
    _SAVING = "hornbeam.saving.archive"
    __getattr__, __dir__, _ = attach(__name__, {"load_model": _SAVING, "save_model": _SAVING})

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
