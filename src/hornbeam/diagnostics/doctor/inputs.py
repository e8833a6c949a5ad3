"""Checks of the data, as the layers and the loss get them."""

from __future__ import annotations

from typing import Any

import numpy as np

from hornbeam import layers as kinds
from hornbeam.diagnostics.doctor.findings import Checks, Evidence
from hornbeam.diagnostics.doctor.step_probe import LayerLook
from hornbeam.diagnostics.doctor.training_trace import Case
from hornbeam.training import checks
from hornbeam.training.data import ArrayData, TableData

check = Checks()

# Layers that multiply what they are given by weights drawn for inputs of about 1.
_WEIGHTED = (
    kinds.Dense, kinds.EinsumDense, kinds.Conv1D, kinds.Conv2D, kinds.Conv3D, kinds.SeparableConv1D,
    kinds.SeparableConv2D, kinds.DepthwiseConv1D, kinds.DepthwiseConv2D, kinds.SimpleRNN, kinds.LSTM,
    kinds.GRU,
)  # fmt: skip
# Inputs of this size make first steps a hundred times larger than meant; of that size, next to nothing.
_LARGE, _SMALL = 20.0, 0.01


def _fed(case: Case) -> list[LayerLook]:
    """Weighted layers that see the data, or what layers without trained weights made of them."""
    looks = case.looks[0].layers
    return [look for look in looks if look.from_data and isinstance(look.layer, _WEIGHTED)]


@check(
    "constant_inputs",
    "look",
    "the same input for every sample",
    "Look at the data: a division of integers (x // 255), a wrong column, an array that was never filled?",
)
def constant_inputs(case: Case) -> Evidence | None:
    for x in case.probe[0]:
        if len(x) > 3 and x.size and (x == x[:1]).all():
            return Evidence(f"all {len(x):,} samples looked at are equal, each value {_range(x)}")
    return None


def _range(x: np.ndarray) -> str:
    low, high = float(x.min()), float(x.max())
    return f"{low:.4g}" if low == high else f"between {low:.4g} and {high:.4g}"


@check(
    "unscaled_inputs",
    "look",
    "inputs far larger than the weights are made for",
    "Divide images by 255 (layers.Rescaling(1 / 255)); fit a layers.Normalization on the training part of "
    "tables",
)
def unscaled_inputs(case: Case) -> Evidence | None:
    for look in _fed(case):
        largest = look.input_rms if look.feature_rms is None else float(np.max(look.feature_rms))
        if largest > _LARGE:
            text = (
                f"{str(look.path)!r} gets inputs of up to {look.input_largest:.4g}, {look.input_rms:.3g} on "
            )
            text += "average (root mean square)"
            if look.feature_rms is not None and len(look.feature_rms) > 1:
                least = float(np.min(look.feature_rms))
                text += f"; its features lie between {least:.3g} and {largest:.3g}"
            return Evidence(text, [look.path])
    return None


@check(
    "tiny_inputs",
    "look",
    "inputs far smaller than the weights are made for",
    "Bring inputs to about 1: were they divided by 255 twice?",
    unless=("constant_inputs",),
)
def tiny_inputs(case: Case) -> Evidence | None:
    for look in _fed(case):
        if 0 < look.input_largest < _SMALL:
            return Evidence(
                f"the largest input that {str(look.path)!r} gets is {look.input_largest:.2g}", [look.path]
            )
    return None


@check(
    "unscaled_targets",
    "look",
    "numbers to be predicted that are far from what a new network gives",
    "Train on (y - mean) / deviation of the training part, and undo that behind predict()",
)
def unscaled_targets(case: Case) -> Evidence | None:
    if case.loss is None or checks._function_of(case.loss) not in (
        "mean_squared_error",
        "mean_absolute_error",
    ):
        return None
    y = case.target
    if y is None or not y.size or len(case.looks[0].predictions) != 1:
        return None
    size = float(np.sqrt(np.mean(np.square(y.astype("float64")))))
    given = float(np.sqrt(np.mean(np.square(case.looks[0].predictions[0].astype("float64")))))
    if size < 300 or given * 30 > size:
        return None
    return Evidence(
        f"the targets lie {_range(y)}; before training the model gives numbers of about {given:.2g}"
    )


@check(
    "unreachable_targets",
    "look",
    "targets that the last activation cannot give",
    "Use a last layer without an activation for numbers of any size, or scale the targets",
)
def unreachable_targets(case: Case) -> Evidence | None:
    outputs = [look for _, look in case.leaf_layers() if look.is_output]
    y = case.target
    if case.loss is None or y is None or len(outputs) != 1 or not y.size or y.dtype.kind not in "fiu":
        return None
    look, kind = outputs[0], checks.loss_kind(case.loss)
    if kind == "binary" and look.kind == "softmax" and y.ndim == 2:
        sums = y.astype("float64").sum(axis=1)
        if (sums > 1.5).mean() > 0.01:
            return Evidence(
                f"{str(look.path)!r} is a softmax, whose outputs sum to 1, but {(sums > 1.5).mean():.0%} of "
                "the samples have several ones: several classes at once need a sigmoid",
                [look.path],
            )
    if checks._function_of(case.loss) not in ("mean_squared_error", "mean_absolute_error"):
        return None
    low, high = {"sigmoid": (0, 1), "softmax": (0, 1), "tanh": (-1, 1), "relu": (0, np.inf)}.get(
        look.kind, (-np.inf, np.inf)
    )
    outside = float(((y < low - 0.01) | (y > high + 0.01)).mean())
    if outside < 0.05:
        return None
    most = f"{low} to {high}" if np.isfinite(high) else "0 and more"
    return Evidence(
        f"{str(look.path)!r} ends in a {look.kind} and gives {most}, but {outside:.0%} of the targets, which "
        f"lie {_range(y)}, are outside",
        [look.path],
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
    "look",
    "classes of very different size, and nothing that takes account of it",
    "Watch recall and precision (metrics.F1Score, Recall, AUC) beside accuracy, and give fit() class_weight",
)
def imbalance(case: Case) -> Evidence | None:
    labels = case.labels
    if labels is None or case.weighted or "focal" in checks._function_of(case.loss):
        return None
    metrics = case.model._fit.metrics
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
    "look",
    "samples that come class by class, in the same order each epoch",
    "Leave shuffle=True, or shuffle the data before they are batched: each update sees one class alone",
)
def sorted_labels(case: Case) -> Evidence | None:
    labels = case.labels
    if labels is None or not isinstance(case.data, ArrayData) or len(labels) < 64:
        return None
    if case.data.order is not None and not case.data.by_batch:
        return None
    share = np.unique(labels, return_counts=True)[1] / len(labels)
    if isinstance(case.data, TableData):
        labels = labels[case.data._permuted()] if _keeps_order(case.data) else labels[:0]
    changes = int((labels[1:] != labels[:-1]).sum())
    expected = (len(labels) - 1) * float(1 - (share**2).sum())
    if not len(labels) or changes > 0.1 * expected or len(labels) / (changes + 1) < 2 * case.batch_size:
        return None
    return Evidence(
        f"the class changes {changes:,} times along {len(labels):,} samples, where chance would change it "
        f"{expected:,.0f} times, and a batch takes {case.batch_size} in a row"
    )


def _keeps_order(data: Any) -> bool:
    """Whether a Dataset gives its rows unshuffled: then looking at its order moves nothing on."""
    source = data.track._source
    return source is not None and not source._orders()
