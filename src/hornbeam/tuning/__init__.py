"""Search for hyperparameters, by Optuna, with an honest report of what the search has gained.

`tune` trains a model with many settings, chooses by validation samples, and confirms the winner with new
seeds on samples that chose nothing. `hornbeam tune` does it for scripts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hornbeam._internal.lazy_imports import attach

_NAMES = {
    "Confirmation": "confirmation",
    "HyperParameters": "hyperparameters",
    "Trial": "result",
    "tune": "tune",
    "TuningResult": "result",
}

if TYPE_CHECKING:
    from hornbeam.tuning.confirmation import Confirmation as Confirmation
    from hornbeam.tuning.hyperparameters import HyperParameters as HyperParameters
    from hornbeam.tuning.result import Trial as Trial
    from hornbeam.tuning.result import TuningResult as TuningResult
    from hornbeam.tuning.tune import tune as tune
else:
    __getattr__, __dir__, __all__ = attach(__name__, _NAMES)
