"""Save and load models. Loading is safe by design: no code in a file is ever run."""

from __future__ import annotations

from hornbeam._internal.lazy_imports import explain_missing
from hornbeam._internal.limits import Budget as Budget
from hornbeam._internal.limits import budget as budget
from hornbeam.core.registry import custom_object_scope as CustomObjectScope
from hornbeam.core.registry import custom_object_scope as custom_object_scope
from hornbeam.core.registry import get_custom_objects as get_custom_objects
from hornbeam.core.registry import get_registered_name as get_registered_name
from hornbeam.core.registry import get_registered_object as get_registered_object
from hornbeam.core.registry import register_keras_serializable as register_keras_serializable
from hornbeam.core.registry import serialize as serialize_keras_object
from hornbeam.errors import LegacyFormatWarning as LegacyFormatWarning
from hornbeam.errors import ModelFileError as ModelFileError
from hornbeam.onnx.reading.load import load_onnx as load_onnx
from hornbeam.saving.archive import load_model as load_model
from hornbeam.saving.archive import save_model as save_model
from hornbeam.saving.arrays import load_arrays as load_arrays
from hornbeam.saving.editor import KerasFileEditor as KerasFileEditor
from hornbeam.saving.inspection import inspect_model as inspect_model
from hornbeam.saving.inspection import verify_model as verify_model
from hornbeam.saving.weights import load_weights as load_weights
from hornbeam.saving.weights import save_weights as save_weights
from hornbeam.utils.session import deserialize_keras_object as deserialize_keras_object

__all__ = [
    "Budget",
    "CustomObjectScope",
    "KerasFileEditor",
    "LegacyFormatWarning",
    "ModelFileError",
    "budget",
    "custom_object_scope",
    "deserialize_keras_object",
    "get_custom_objects",
    "get_registered_name",
    "get_registered_object",
    "inspect_model",
    "load_arrays",
    "load_model",
    "load_onnx",
    "load_weights",
    "register_keras_serializable",
    "save_model",
    "save_weights",
    "serialize_keras_object",
    "verify_model",
]


explain_missing(__name__)
