"""VGG19: sixteen 3x3 convolutions and three dense layers.

Simonyan & Zisserman 2014, https://arxiv.org/abs/1409.1556.
"""

from __future__ import annotations

from hornbeam._internal.lazy_imports import explain_missing
from hornbeam.applications.vgg16 import decode_predictions as decode_predictions
from hornbeam.applications.vgg16 import preprocess_input as preprocess_input
from hornbeam.applications.vgg16 import vgg

__all__ = ["VGG19", "decode_predictions", "preprocess_input"]

VGG19 = vgg(
    "VGG19", (2, 2, 4, 4, 4), ("cbe5617147190e668d6c5d5026f83318", "253f8cb515780f3b799900260a226db6")
)


explain_missing(__name__)
