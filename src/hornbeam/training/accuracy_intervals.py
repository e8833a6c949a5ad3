"""Notes beside accuracies: confidence intervals, and what the most frequent class alone reaches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hornbeam import metrics
from hornbeam._internal.intervals import Interval, wilson
from hornbeam.data.splits.split import class_ids
from hornbeam.training.array_data import ArrayData
from hornbeam.training.steps import Steps, training_state

# Metrics that compare numbers, and metrics that compare rows.
_OF_NUMBERS = (metrics.Accuracy, metrics.BinaryAccuracy)
_OF_THE_LARGEST = (metrics.CategoricalAccuracy, metrics.SparseCategoricalAccuracy)
_OF_ROWS = (*_OF_THE_LARGEST, metrics.TopKCategoricalAccuracy, metrics.SparseTopKCategoricalAccuracy)


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


def baseline_notes(model: Steps, logs: Mapping[str, Any], prefix: str, data: object) -> dict[str, str]:
    """Say of accuracies that are not clearly above it what the most frequent class alone reaches.

    prefix: of the names in `logs`. data: what was measured; nothing is said of streams and several outputs.
    """
    state = training_state(model)
    if not isinstance(data, ArrayData) or len(data.table.y_leaves) != 1 or state.metrics is None:
        return {}
    classes = class_ids(data.table.y_leaves[0])
    if classes is None:
        return {}
    values, counts = np.unique(classes if data.rows is None else classes[data.rows], return_counts=True)
    samples = int(counts.sum())
    share = counts.max() / samples
    note = f"always answering {int(values[counts.argmax()])} is right in {share:.4g}"
    kinds = (*_OF_NUMBERS, *_OF_THE_LARGEST)
    names = [prefix + name for _, metric, _, name in state.metrics.rows if isinstance(metric, kinds)]
    right = {name: min(float(logs[name]), 1.0) * samples for name in names if name in logs}
    return {name: note for name, count in right.items() if wilson(count, samples).low <= share}
