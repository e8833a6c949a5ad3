"""`keras.utils.legacy`: configs in the format of Keras 2, see `hornbeam.legacy.saving`."""

from __future__ import annotations

from hornbeam._internal.lazy_imports import explain_missing
from hornbeam.legacy.saving import deserialize_keras_object as deserialize_keras_object
from hornbeam.legacy.saving import serialize_keras_object as serialize_keras_object

__all__ = ["deserialize_keras_object", "serialize_keras_object"]


explain_missing(__name__)
