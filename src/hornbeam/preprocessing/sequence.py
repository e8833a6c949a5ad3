"""Sequences of different lengths, under Keras's older name."""

from hornbeam.utils.arrays import pad_sequences as pad_sequences

__all__ = ["pad_sequences"]
