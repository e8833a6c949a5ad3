"""Honest numbers: scores with how sure they are, and comparisons that may say "cannot tell".

Names are imported when they are first used, so that training, which states intervals, stays quick to import.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

# Public name -> the file it lives in.
_NAMES = {
    "Baselines": "standing",
    "baselines": "standing",
    "BestOfWarning": "repeating",
    "Calibration": "calibrating",
    "calibration": "calibrating",
    "compare": "comparing",
    "Comparison": "comparing",
    "Confusion": "confusing",
    "confusion": "confusing",
    "Difference": "comparing",
    "Estimate": "evaluating",
    "evaluate": "evaluating",
    "Evaluation": "evaluating",
    "f1_interval": "intervals",
    "Interval": "intervals",
    "IntervalWarning": "showing",
    "learning_curve": "learning",
    "LearningCurve": "learning",
    "mcnemar": "paired",
    "mean_interval": "intervals",
    "Mistakes": "mistaking",
    "mistakes": "mistaking",
    "repeat": "repeating",
    "Repeated": "repeating",
    "share_difference": "paired",
    "Spread": "repeating",
    "Temperature": "calibrating",
    "temperature": "calibrating",
    "wilson": "intervals",
}

__all__ = list(_NAMES)

if TYPE_CHECKING:
    from hornbeam.evaluation.calibrating import Calibration as Calibration
    from hornbeam.evaluation.calibrating import Temperature as Temperature
    from hornbeam.evaluation.calibrating import calibration as calibration
    from hornbeam.evaluation.calibrating import temperature as temperature
    from hornbeam.evaluation.comparing import Comparison as Comparison
    from hornbeam.evaluation.comparing import Difference as Difference
    from hornbeam.evaluation.comparing import compare as compare
    from hornbeam.evaluation.confusing import Confusion as Confusion
    from hornbeam.evaluation.confusing import confusion as confusion
    from hornbeam.evaluation.evaluating import Estimate as Estimate
    from hornbeam.evaluation.evaluating import Evaluation as Evaluation
    from hornbeam.evaluation.evaluating import evaluate as evaluate
    from hornbeam.evaluation.intervals import Interval as Interval
    from hornbeam.evaluation.intervals import f1_interval as f1_interval
    from hornbeam.evaluation.intervals import mean_interval as mean_interval
    from hornbeam.evaluation.intervals import wilson as wilson
    from hornbeam.evaluation.learning import LearningCurve as LearningCurve
    from hornbeam.evaluation.learning import learning_curve as learning_curve
    from hornbeam.evaluation.mistaking import Mistakes as Mistakes
    from hornbeam.evaluation.mistaking import mistakes as mistakes
    from hornbeam.evaluation.paired import mcnemar as mcnemar
    from hornbeam.evaluation.paired import share_difference as share_difference
    from hornbeam.evaluation.repeating import BestOfWarning as BestOfWarning
    from hornbeam.evaluation.repeating import Repeated as Repeated
    from hornbeam.evaluation.repeating import Spread as Spread
    from hornbeam.evaluation.repeating import repeat as repeat
    from hornbeam.evaluation.showing import IntervalWarning as IntervalWarning
    from hornbeam.evaluation.standing import Baselines as Baselines
    from hornbeam.evaluation.standing import baselines as baselines


def __getattr__(name: str) -> Any:
    if name not in _NAMES:
        from hornbeam.naming import nearest

        raise AttributeError(f"hornbeam.evaluation has no {name!r}.{nearest(name, __all__)}")
    value = getattr(importlib.import_module(f"hornbeam.evaluation.{_NAMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
