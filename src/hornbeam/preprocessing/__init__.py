"""Keras's older names for helpers on images and sequences, which are in `hornbeam.utils`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hornbeam._internal.lazy_imports import attach
from hornbeam.preprocessing import image as image
from hornbeam.preprocessing import sequence as sequence
from hornbeam.utils import image_dataset_from_directory as image_dataset_from_directory
from hornbeam.utils import text_dataset_from_directory as text_dataset_from_directory
from hornbeam.utils import timeseries_dataset_from_array as timeseries_dataset_from_array

__all__ = [
    "image", "image_dataset_from_directory", "sequence", "text_dataset_from_directory",
    "timeseries_dataset_from_array",
]  # fmt: skip


if not TYPE_CHECKING:  # there, `__getattr__` would let misspelled names pass
    __getattr__, __dir__, _ = attach(__name__)
