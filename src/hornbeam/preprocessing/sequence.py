"""Sequences of different lengths, under Keras's older name."""

from __future__ import annotations

from hornbeam._internal.lazy_imports import explain_missing
from hornbeam.utils.arrays import pad_sequences as pad_sequences

__all__ = ["pad_sequences"]


explain_missing(__name__)
