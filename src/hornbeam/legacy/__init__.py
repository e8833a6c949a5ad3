"""`keras.legacy`: what is left of Keras 2's formats."""

from hornbeam.legacy import saving as saving

__all__ = ["saving"]
