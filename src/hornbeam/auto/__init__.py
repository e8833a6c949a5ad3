"""From a table to a model with an honest account of it: `fit`, and the steps that it takes.

Nets are Hornbeam's; boosted trees are made by LightGBM (extra `auto`) and then are a layer like any other, so
that the result is one model of named inputs, which can be saved, served and exported.
"""

from __future__ import annotations

from hornbeam._internal.lazy_imports import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
