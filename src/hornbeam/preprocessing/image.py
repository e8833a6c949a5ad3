"""Images as arrays and files, under Keras's older name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hornbeam.utils.images import array_to_img as array_to_img
from hornbeam.utils.images import img_to_array as img_to_array
from hornbeam.utils.images import load_img as load_img
from hornbeam.utils.images import save_img as save_img
from hornbeam.utils.images import smart_resize as smart_resize

__all__ = ["array_to_img", "img_to_array", "load_img", "save_img", "smart_resize"]


if not TYPE_CHECKING:  # there, it would let misspelled names pass

    def __getattr__(name: str) -> Any:
        # Keras 2; Keras 3 keeps it for programs that still use it.
        if name == "ImageDataGenerator":
            from hornbeam.preprocessing.generator import ImageDataGenerator

            return ImageDataGenerator
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
