"""`keras.utils.legacy`: configs in the format of Keras 2, see `hornbeam.legacy.saving`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hornbeam._internal.lazy_imports import attach
from hornbeam.legacy.saving import deserialize_keras_object as deserialize_keras_object
from hornbeam.legacy.saving import serialize_keras_object as serialize_keras_object

__all__ = ["deserialize_keras_object", "serialize_keras_object"]


if not TYPE_CHECKING:  # there, `__getattr__` would let misspelled names pass
    __getattr__, __dir__, _ = attach(__name__)
