"""Datasets to learn with: MNIST is inside the package, the others are downloaded once and verified.

Downloads are stored where Keras stores them (`$KERAS_HOME` or ~/.keras, in `datasets`), so files that Keras
has downloaded are used.
"""

from __future__ import annotations

from hornbeam._internal.lazy_imports import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
