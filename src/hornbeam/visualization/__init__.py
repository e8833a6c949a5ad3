"""Images with boxes and masks, and galleries of them.

Galleries need the extra `plot` (Matplotlib). Names of classes drawn into images need the extra `image`
(Pillow).
"""

from __future__ import annotations

from hornbeam._internal.lazy_imports import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
