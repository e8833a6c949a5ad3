"""Scores with intervals, and comparisons whose verdict may be "cannot tell".

Names are imported when they are first used, so that training, which reports intervals, imports quickly.
"""

from __future__ import annotations

from hornbeam._internal.lazy_imports import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
