"""Confidence intervals of the accuracies that `evaluate` prints."""

from __future__ import annotations

from hornbeam import metrics
from hornbeam._internal.intervals import Interval, wilson
from hornbeam.training.steps import Steps, training_state

# Metrics that compare numbers, and metrics that compare rows.
_OF_NUMBERS = (metrics.Accuracy, metrics.BinaryAccuracy)
_OF_ROWS = (
    metrics.CategoricalAccuracy,
    metrics.SparseCategoricalAccuracy,
    metrics.TopKCategoricalAccuracy,
    metrics.SparseTopKCategoricalAccuracy,
)


def accuracy_intervals(model: Steps) -> dict[str, Interval]:
    """Compute Wilson's interval of every accuracy with one result per sample since the last reset.

    Accuracies with weights, masks, or several results per sample (which are not independent) are left to
    `hornbeam.evaluation.evaluate`, which resamples them.
    """
    state = training_state(model)
    if state.metrics is None or state.loss_tracker is None:
        return {}
    samples = float(state.loss_tracker.count)
    intervals = {}
    for index, metric, weighted, name in state.metrics.rows:
        shape = state.metrics.shapes[index]
        one_result = isinstance(metric, _OF_NUMBERS) and shape in ((), (1,))
        one_result = one_result or (isinstance(metric, _OF_ROWS) and len(shape) == 1)
        if one_result and not weighted and float(metric.count) == samples > 0:
            intervals[name] = wilson(min(float(metric.total), samples), samples)
    return intervals
