"""`keras.legacy`: what is left of Keras 2's formats."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hornbeam._internal.lazy_imports import attach
from hornbeam.legacy import saving as saving

__all__ = ["saving"]


if not TYPE_CHECKING:  # there, `__getattr__` would let misspelled names pass
    __getattr__, __dir__, _ = attach(__name__)
