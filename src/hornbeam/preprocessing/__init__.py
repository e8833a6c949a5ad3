"""Keras's older names for helpers on images and sequences, which are in `hornbeam.utils`."""

from __future__ import annotations

from hornbeam._internal.lazy_imports import explain_missing
from hornbeam.preprocessing import image as image
from hornbeam.preprocessing import sequence as sequence
from hornbeam.utils import image_dataset_from_directory as image_dataset_from_directory
from hornbeam.utils import text_dataset_from_directory as text_dataset_from_directory
from hornbeam.utils import timeseries_dataset_from_array as timeseries_dataset_from_array

__all__ = [
    "image", "image_dataset_from_directory", "sequence", "text_dataset_from_directory",
    "timeseries_dataset_from_array",
]  # fmt: skip


explain_missing(__name__)
