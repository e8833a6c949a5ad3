"""How sure the accuracies are that `evaluate` shows."""

from __future__ import annotations

from typing import Any

from hornbeam import metrics
from hornbeam._internal.intervals import Interval, wilson

# Those that compare numbers, and those that compare rows.
_OF_NUMBERS = (metrics.Accuracy, metrics.BinaryAccuracy)
_OF_ROWS = (
    metrics.CategoricalAccuracy,
    metrics.SparseCategoricalAccuracy,
    metrics.TopKCategoricalAccuracy,
    metrics.SparseTopKCategoricalAccuracy,
)


def accuracy_intervals(model: Any) -> dict[str, Interval]:
    """Wilson's interval of every accuracy that was right or wrong once for each sample since the last reset.

    Accuracies with weights, masks, or several judgements a sample (which are not independent) have none here:
    `hornbeam.evaluation.evaluate` resamples those.
    """
    state = model._training_state
    if state.metrics is None or state.loss_tracker is None:
        return {}
    samples = float(state.loss_tracker.count)
    found = {}
    for index, metric, weighted, name in state.metrics.rows:
        shape = state.metrics.shapes[index]
        once = isinstance(metric, _OF_NUMBERS) and shape in ((), (1,))
        once = once or (isinstance(metric, _OF_ROWS) and len(shape) == 1)
        if once and not weighted and float(metric.count) == samples > 0:
            found[name] = wilson(min(float(metric.total), samples), samples)
    return found
