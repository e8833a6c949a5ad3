"""Layers, with Keras's names. A module is imported when one of its names is first used."""

from __future__ import annotations

from hornbeam._internal.lazy_imports import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
