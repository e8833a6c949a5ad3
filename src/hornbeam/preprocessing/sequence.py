"""Sequences of different lengths, under Keras's older name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hornbeam._internal.lazy_imports import attach
from hornbeam.utils.arrays import pad_sequences as pad_sequences

__all__ = ["pad_sequences"]


if not TYPE_CHECKING:  # there, `__getattr__` would let misspelled names pass
    __getattr__, __dir__, _ = attach(__name__)
