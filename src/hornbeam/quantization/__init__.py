"""Quantization of a trained model to int8, with its cost in accuracy.

`calibrate` converts convolutions and dense layers with scales from sample data; `model.quantize(mode)` needs
no data, and has Keras's modes.
"""

from __future__ import annotations

from hornbeam._internal.lazy_imports import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
