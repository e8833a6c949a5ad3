"""Search for hyperparameters, by Optuna, with an honest report of what the search has gained.

`tune` trains a model with many settings, chooses by validation samples, and confirms the winner with new
seeds on samples that chose nothing. `hornbeam tune` does it for scripts.
"""

from __future__ import annotations

from hornbeam._internal.lazy_imports import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
