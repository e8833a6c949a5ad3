"""`keras.legacy`: what is left of Keras 2's formats."""

from __future__ import annotations

from hornbeam._internal.lazy_imports import explain_missing
from hornbeam.legacy import saving as saving

__all__ = ["saving"]


explain_missing(__name__)
