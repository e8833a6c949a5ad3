"""Architectures of image classifiers, with Keras's names, layers and weights: `keras.applications`.

>>> model = hornbeam.applications.MobileNetV2(weights=None, input_shape=(32, 32, 3), classes=10)
>>> model.count_params()
2270794
"""

from __future__ import annotations

from hornbeam._internal.lazy_imports import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
