"""Keras's older place for helpers on pictures and sequences; they live in `hornbeam.utils`."""

from __future__ import annotations

from typing import Any

from hornbeam.preprocessing import image as image
from hornbeam.preprocessing import sequence as sequence
from hornbeam.utils import MISSING as _UTILS_MISSING

__all__ = ["image", "sequence"]

# Keras's names that are not here, with the reason.
MISSING = {
    name: _UTILS_MISSING[name]
    for name in (
        "image_dataset_from_directory",
        "text_dataset_from_directory",
        "timeseries_dataset_from_array",
    )
}


def __getattr__(name: str) -> Any:
    reason = f" is not there: {MISSING[name]}" if name in MISSING else " is not known"
    raise AttributeError(f"hornbeam.preprocessing.{name}{reason}")
