"""Transfer learning: what a network has learned, for another task.

`optimizers` take learning rates by layer: `learning_rate_multipliers`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hornbeam._internal.lazy_imports import attach
from hornbeam.transfer.freezing import freeze, layerwise_decay, unfreeze
from hornbeam.transfer.unfreezing import GradualUnfreezing

__all__ = ["GradualUnfreezing", "freeze", "layerwise_decay", "unfreeze"]


if not TYPE_CHECKING:  # there, `__getattr__` would let misspelled names pass
    __getattr__, __dir__, _ = attach(__name__)
