"""Images as arrays and files, under Keras's older name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hornbeam._internal.lazy_imports import attach
from hornbeam.utils.images import array_to_img as array_to_img
from hornbeam.utils.images import img_to_array as img_to_array
from hornbeam.utils.images import load_img as load_img
from hornbeam.utils.images import save_img as save_img
from hornbeam.utils.images import smart_resize as smart_resize

__all__ = ["array_to_img", "img_to_array", "load_img", "save_img", "smart_resize"]

if TYPE_CHECKING:
    from hornbeam.preprocessing.generator import ImageDataGenerator as ImageDataGenerator
else:  # there, `__getattr__` would let misspelled names pass
    # Keras 2; Keras 3 keeps it for programs that still use it.
    __getattr__, __dir__, _ = attach(__name__, {"ImageDataGenerator": "hornbeam.preprocessing.generator"})
