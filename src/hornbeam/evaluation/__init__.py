"""Scores with intervals, and comparisons whose verdict may be "cannot tell".

Names are imported when they are first used, so that training, which reports intervals, imports quickly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hornbeam._internal.lazy_imports import attach

# Public name -> module.
_NAMES = {
    "Baselines": "baseline_models",
    "baselines": "baseline_models",
    "BestOfWarning": "hornbeam.errors",
    "Calibration": "probability_calibration",
    "calibration": "probability_calibration",
    "compare": "comparison",
    "Comparison": "comparison",
    "Confusion": "confusion_matrix",
    "confusion": "confusion_matrix",
    "Difference": "comparison",
    "Estimate": "estimates",
    "evaluate": "estimates",
    "Evaluation": "estimates",
    "f1_interval": "hornbeam._internal.intervals",
    "Interval": "hornbeam._internal.intervals",
    "IntervalWarning": "hornbeam.errors",
    "learning_curve": "learning_curves",
    "LearningCurve": "learning_curves",
    "mcnemar": "paired",
    "mean_interval": "hornbeam._internal.intervals",
    "Mistakes": "top_errors",
    "mistakes": "top_errors",
    "repeat": "seed_variance",
    "RepeatedRuns": "seed_variance",
    "proportion_difference": "paired",
    "SeedVariance": "seed_variance",
    "Temperature": "probability_calibration",
    "temperature": "probability_calibration",
    "wilson": "hornbeam._internal.intervals",
}

if TYPE_CHECKING:
    from hornbeam._internal.intervals import Interval as Interval
    from hornbeam._internal.intervals import f1_interval as f1_interval
    from hornbeam._internal.intervals import mean_interval as mean_interval
    from hornbeam._internal.intervals import wilson as wilson
    from hornbeam.errors import BestOfWarning as BestOfWarning
    from hornbeam.errors import IntervalWarning as IntervalWarning
    from hornbeam.evaluation.baseline_models import Baselines as Baselines
    from hornbeam.evaluation.baseline_models import baselines as baselines
    from hornbeam.evaluation.comparison import Comparison as Comparison
    from hornbeam.evaluation.comparison import Difference as Difference
    from hornbeam.evaluation.comparison import compare as compare
    from hornbeam.evaluation.confusion_matrix import Confusion as Confusion
    from hornbeam.evaluation.confusion_matrix import confusion as confusion
    from hornbeam.evaluation.estimates import Estimate as Estimate
    from hornbeam.evaluation.estimates import Evaluation as Evaluation
    from hornbeam.evaluation.estimates import evaluate as evaluate
    from hornbeam.evaluation.learning_curves import LearningCurve as LearningCurve
    from hornbeam.evaluation.learning_curves import learning_curve as learning_curve
    from hornbeam.evaluation.paired import mcnemar as mcnemar
    from hornbeam.evaluation.paired import proportion_difference as proportion_difference
    from hornbeam.evaluation.probability_calibration import Calibration as Calibration
    from hornbeam.evaluation.probability_calibration import Temperature as Temperature
    from hornbeam.evaluation.probability_calibration import calibration as calibration
    from hornbeam.evaluation.probability_calibration import temperature as temperature
    from hornbeam.evaluation.seed_variance import RepeatedRuns as RepeatedRuns
    from hornbeam.evaluation.seed_variance import SeedVariance as SeedVariance
    from hornbeam.evaluation.seed_variance import repeat as repeat
    from hornbeam.evaluation.top_errors import Mistakes as Mistakes
    from hornbeam.evaluation.top_errors import mistakes as mistakes

if not TYPE_CHECKING:  # there, `__getattr__` would let misspelled names pass
    __getattr__, __dir__, __all__ = attach(__name__, _NAMES)
