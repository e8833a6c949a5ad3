"""Checks of the data that the layers and the loss receive."""

from __future__ import annotations

from typing import Any

import numpy as np

from hornbeam import layers as kinds
from hornbeam.diagnostics.doctor.findings import Checks, Evidence
from hornbeam.diagnostics.doctor.step_probe import LayerSnapshot
from hornbeam.diagnostics.doctor.training_trace import TrainingTrace
from hornbeam.training.array_data import ArrayData, TableData
from hornbeam.training.check_labels import loss_function_name, loss_kind
from hornbeam.training.steps import training_state

check = Checks()

# Layers whose initial weights are drawn for inputs of about 1.
_WEIGHTED = (
    kinds.Dense, kinds.EinsumDense, kinds.Conv1D, kinds.Conv2D, kinds.Conv3D, kinds.SeparableConv1D,
    kinds.SeparableConv2D, kinds.DepthwiseConv1D, kinds.DepthwiseConv2D, kinds.SimpleRNN, kinds.LSTM,
    kinds.GRU,
)  # fmt: skip
# Inputs above the first make steps a hundred times too large; below the second, they have no effect.
_LARGE, _SMALL = 20.0, 0.01


def _fed(trace: TrainingTrace) -> list[LayerSnapshot]:
    """List weighted layers that read the data, directly or through layers without trained weights."""
    snapshots = trace.snapshots[0].layers
    return [
        snapshot for snapshot in snapshots if snapshot.from_data and isinstance(snapshot.layer, _WEIGHTED)
    ]


@check(
    "constant_inputs",
    "snapshot",
    "the same input for every sample",
    "Look at the data: a division of integers (x // 255), a wrong column, an array that was never filled?",
)
def constant_inputs(trace: TrainingTrace) -> Evidence | None:
    for x in trace.probe[0]:
        if len(x) > 3 and x.size and (x == x[:1]).all():
            return Evidence(f"all {len(x):,} probed samples are equal, each value {_range(x)}")
    return None


def _range(x: np.ndarray) -> str:
    low, high = float(x.min()), float(x.max())
    return f"{low:.4g}" if low == high else f"between {low:.4g} and {high:.4g}"


@check(
    "unscaled_inputs",
    "snapshot",
    "inputs far larger than the initial weights assume",
    "Divide images by 255 (layers.Rescaling(1 / 255)); fit a layers.Normalization on the training part of "
    "tables",
)
def unscaled_inputs(trace: TrainingTrace) -> Evidence | None:
    for snapshot in _fed(trace):
        largest = snapshot.input_rms if snapshot.feature_rms is None else float(np.max(snapshot.feature_rms))
        if largest > _LARGE:
            text = (
                f"{str(snapshot.path)!r} gets inputs of up to {snapshot.input_largest:.4g}, "
                f"{snapshot.input_rms:.3g} on average (root mean square)"
            )
            if snapshot.feature_rms is not None and len(snapshot.feature_rms) > 1:
                least = float(np.min(snapshot.feature_rms))
                text += f"; its features lie between {least:.3g} and {largest:.3g}"
            return Evidence(text, [snapshot.path])
    return None


@check(
    "tiny_inputs",
    "snapshot",
    "inputs far smaller than the initial weights assume",
    "Bring inputs to about 1: were they divided by 255 twice?",
    unless=("constant_inputs",),
)
def tiny_inputs(trace: TrainingTrace) -> Evidence | None:
    for snapshot in _fed(trace):
        if 0 < snapshot.input_largest < _SMALL:
            return Evidence(
                f"the largest input that {str(snapshot.path)!r} gets is {snapshot.input_largest:.2g}",
                [snapshot.path],
            )
    return None


@check(
    "unscaled_targets",
    "snapshot",
    "targets that are far from the outputs of a new network",
    "Train on (y - mean) / deviation of the training part, and invert that after predict()",
)
def unscaled_targets(trace: TrainingTrace) -> Evidence | None:
    if trace.loss is None or loss_function_name(trace.loss) not in (
        "mean_squared_error",
        "mean_absolute_error",
    ):
        return None
    y = trace.target
    if y is None or not y.size or len(trace.snapshots[0].predictions) != 1:
        return None
    size = float(np.sqrt(np.mean(np.square(y.astype("float64")))))
    output = float(np.sqrt(np.mean(np.square(trace.snapshots[0].predictions[0].astype("float64")))))
    if size < 300 or output * 30 > size:
        return None
    return Evidence(
        f"the targets lie {_range(y)}; before training the model gives outputs of about {output:.2g}"
    )


@check(
    "unreachable_targets",
    "snapshot",
    "targets that the last activation cannot reach",
    "Use a last layer without an activation for numbers of any size, or scale the targets",
)
def unreachable_targets(trace: TrainingTrace) -> Evidence | None:
    outputs = [snapshot for _, snapshot in trace.leaf_layers() if snapshot.is_output]
    y = trace.target
    if trace.loss is None or y is None or len(outputs) != 1 or not y.size or y.dtype.kind not in "fiu":
        return None
    snapshot, kind = outputs[0], loss_kind(trace.loss)
    if kind == "binary" and snapshot.kind == "softmax" and y.ndim == 2:
        sums = y.astype("float64").sum(axis=1)
        if (sums > 1.5).mean() > 0.01:
            return Evidence(
                f"{str(snapshot.path)!r} is a softmax, whose outputs sum to 1, but {(sums > 1.5).mean():.0%} "
                "of the samples have several ones: several classes at once need a sigmoid",
                [snapshot.path],
            )
    if loss_function_name(trace.loss) not in ("mean_squared_error", "mean_absolute_error"):
        return None
    low, high = {"sigmoid": (0, 1), "softmax": (0, 1), "tanh": (-1, 1), "relu": (0, np.inf)}.get(
        snapshot.kind, (-np.inf, np.inf)
    )
    outside = float(((y < low - 0.01) | (y > high + 0.01)).mean())
    if outside < 0.05:
        return None
    most = f"{low} to {high}" if np.isfinite(high) else "0 and more"
    return Evidence(
        f"{str(snapshot.path)!r} ends in a {snapshot.kind} and gives {most}, but {outside:.0%} "
        f"of the targets, which lie {_range(y)}, are outside",
        [snapshot.path],
    )


# Metrics that show what accuracy hides.
_NOTICED = (
    "auc",
    "precision",
    "recall",
    "f1",
    "fbeta",
    "specificity",
    "sensitivity",
    "iou",
    "true_",
    "false_",
)


@check(
    "imbalance",
    "snapshot",
    "classes of very different size, and nothing that accounts for it",
    "Watch recall and precision (metrics.F1Score, Recall, AUC) beside accuracy, and give fit() class_weight",
)
def imbalance(trace: TrainingTrace) -> Evidence | None:
    labels = trace.labels
    if labels is None or trace.weighted or "focal" in loss_function_name(trace.loss):
        return None
    metrics = training_state(trace.model).metrics
    names = [metric.name.lower() for metric in (metrics.metrics if metrics is not None else [])]
    if any(part in name for name in names for part in _NOTICED):
        return None
    classes, counts = np.unique(labels, return_counts=True)
    if len(labels) < 100 or len(classes) < 2:
        return None
    largest, smallest = int(counts.max()), int(counts.min())
    if largest < 0.85 * len(labels) and largest < 25 * smallest:
        return None
    return Evidence(
        f"class {classes[counts.argmax()]} has {largest:,} of {len(labels):,} samples, class "
        f"{classes[counts.argmin()]} has {smallest:,}: always answering {classes[counts.argmax()]} is "
        f"{largest / len(labels):.1%} accurate"
    )


@check(
    "sorted_labels",
    "snapshot",
    "samples that come class by class, in the same order each epoch",
    "Leave shuffle=True, or shuffle the data before they are batched: each update sees one class alone",
)
def sorted_labels(trace: TrainingTrace) -> Evidence | None:
    labels = trace.labels
    if labels is None or not isinstance(trace.data, ArrayData) or len(labels) < 64:
        return None
    if trace.data.order is not None and not trace.data.by_batch:
        return None
    proportion = np.unique(labels, return_counts=True)[1] / len(labels)
    if isinstance(trace.data, TableData):
        labels = labels[trace.data.row_order()] if _keeps_order(trace.data) else labels[:0]
    changes = int((labels[1:] != labels[:-1]).sum())
    expected = (len(labels) - 1) * float(1 - (proportion**2).sum())
    if not len(labels) or changes > 0.1 * expected or len(labels) / (changes + 1) < 2 * trace.batch_size:
        return None
    return Evidence(
        f"the class changes {changes:,} times along {len(labels):,} samples, where a random order would "
        f"change it {expected:,.0f} times, and a batch takes {trace.batch_size} in a row"
    )


def _keeps_order(data: Any) -> bool:
    """Return whether a Dataset does not shuffle its rows: then reading its order changes no state."""
    source = data.cursor.source
    return source is not None and not source._orders()
