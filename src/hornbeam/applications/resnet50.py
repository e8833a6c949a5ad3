"""`keras.applications.resnet50`: ResNet50 alone, see `hornbeam.applications.resnet`."""

from __future__ import annotations

from hornbeam._internal.lazy_imports import explain_missing
from hornbeam.applications.resnet import ResNet50 as ResNet50
from hornbeam.applications.resnet import decode_predictions as decode_predictions
from hornbeam.applications.resnet import preprocess_input as preprocess_input

__all__ = ["ResNet50", "decode_predictions", "preprocess_input"]


explain_missing(__name__)
