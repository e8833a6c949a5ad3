"""Transfer learning: what a network has learned, for another task.

`optimizers` take learning rates by layer: `learning_rate_multipliers`.
"""

from __future__ import annotations

from hornbeam._internal.lazy_imports import explain_missing
from hornbeam.transfer.freezing import freeze, layerwise_decay, unfreeze
from hornbeam.transfer.unfreezing import GradualUnfreezing

__all__ = ["GradualUnfreezing", "freeze", "layerwise_decay", "unfreeze"]


explain_missing(__name__)
