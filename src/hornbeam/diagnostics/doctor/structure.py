"""Checks of the architecture."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from hornbeam import layers as kinds
from hornbeam.activations import linear
from hornbeam.diagnostics.doctor.findings import Checks, Evidence, listed
from hornbeam.diagnostics.doctor.step_probe import LayerSnapshot
from hornbeam.diagnostics.doctor.training_trace import TrainingTrace
from hornbeam.layers import Layer
from hornbeam.layers.tracking import sublayers

check = Checks()

_DROPOUTS = (
    kinds.Dropout, kinds.SpatialDropout1D, kinds.SpatialDropout2D, kinds.SpatialDropout3D, kinds.AlphaDropout,
    kinds.GaussianDropout,
)  # fmt: skip
_CONVOLUTIONS = (kinds.Conv1D, kinds.Conv2D, kinds.Conv3D)
# Layers that a weighted sum passes through unchanged when the model is used.
_PASSING = (*_DROPOUTS, kinds.GaussianNoise, kinds.Identity)


@check(
    "frozen",
    "snapshot",
    "a model without a trained weight",
    "Set trainable = True on the layers that are to learn, and compile again",
)
def frozen(trace: TrainingTrace) -> Evidence | None:
    if trace.snapshots[-1].weights or not trace.model.weights:
        return None
    count = sum(int(np.prod(v.shape)) for v in trace.model.weights)
    return Evidence(f"all {count:,} weights are frozen: an update changes nothing")


def _sources(trace: TrainingTrace) -> Iterator[tuple[LayerSnapshot, LayerSnapshot]]:
    """Yield pairs of layers of which the first feeds the second alone, perhaps through a dropout."""
    snapshots = trace.snapshots[-1].layers
    for _, second in trace.leaf_layers():
        snapshot = second
        while snapshot.sole and snapshot.inputs and snapshot.inputs[0] is not None:
            snapshot = snapshots[snapshot.inputs[0]]
            if not isinstance(snapshot.layer, _PASSING) and not _is_linear_activation(snapshot.layer):
                if not sublayers(snapshot.layer):
                    yield snapshot, second
                break


def _is_linear_activation(layer: Layer) -> bool:
    return isinstance(layer, kinds.Activation) and layer.activation in (None, linear)


def _is_weighted_sum(layer: Layer) -> bool:
    return (
        isinstance(layer, (kinds.Dense, *_CONVOLUTIONS))
        and layer.activation in (None, linear)
        and getattr(layer, "groups", 1) == 1
    )


@check(
    "linear_chain",
    "snapshot",
    "two layers of weighted sums with no activation between them, which one smaller layer could replace",
    "Give the first of each pair an activation, for example activation='relu', or remove it",
)
def linear_chain(trace: TrainingTrace) -> Evidence | None:
    pairs = [
        (a, b)
        for a, b in _sources(trace)
        if _is_weighted_sum(a.layer)
        and isinstance(b.layer, (kinds.Dense, *_CONVOLUTIONS))
        and _replaceable(a, b)
    ]
    if not pairs:
        return None
    a, b = pairs[0]
    before, after = _weights(a.layer) + _weights(b.layer), _merged(a.layer, b.layer)
    return Evidence(
        f"{str(a.path)!r} and {str(b.path)!r} have no activation between them: their {before:,} weights can "
        f"do no more than one layer with {after:,}"
        + (f", and likewise for {len(pairs) - 1} more pairs" if len(pairs) > 1 else ""),
        [a.path for a, _ in pairs],
    )


def _weights(layer: Any) -> int:
    return int(np.prod(layer.kernel.shape))


def _merged(a: Any, b: Any) -> int:
    """Return the number of weights of the one layer that computes the same as two."""
    first, second = a.kernel.shape, b.kernel.shape
    sizes = [m + n - 1 for m, n in zip(first[:-2], second[:-2], strict=True)]
    return int(np.prod(sizes)) * first[-2] * second[-1]


def _replaceable(a: LayerSnapshot, b: LayerSnapshot) -> bool:
    """Return whether one layer with no more weights can replace two: no bottleneck lies between them."""
    first: Any = a.layer
    second: Any = b.layer
    if isinstance(first, kinds.Dense) is not isinstance(second, kinds.Dense):
        return False
    if len(first.kernel.shape) != len(second.kernel.shape) or getattr(second, "groups", 1) != 1:
        return False
    for layer in (first, second):
        if (
            max(np.ravel(getattr(layer, "dilation_rate", 1))) > 1
            or max(np.ravel(getattr(layer, "strides", 1))) > 1
        ):
            return False
    middle = first.kernel.shape[-1]
    if middle < min(first.kernel.shape[-2], second.kernel.shape[-1]):
        return False
    return _merged(first, second) <= _weights(first) + _weights(second)


# (first activation, second activation) -> effect of the second.
_TWICE = {
    ("softmax", "softmax"): "probabilities become almost equal and gradients small",
    ("sigmoid", "softmax"): "scores between 0 and 1 cannot make any class more than e times as likely",
    ("softmax", "sigmoid"): "outputs lie between 0.5 and 0.73",
    ("sigmoid", "sigmoid"): "outputs lie between 0.5 and 0.73",
    ("relu", "sigmoid"): "no output can be below 0.5",
    ("relu", "softmax"): "no class can get a score below 0, and classes whose score is 0 do not learn",
    ("relu", "relu"): "the second one changes nothing",
    ("tanh", "tanh"): "outputs lie between -0.76 and 0.76",
}


@check(
    "activation_twice",
    "snapshot",
    "an activation applied to the output of another one",
    "Remove one of them: the activation argument of the layer before, or the layer after",
)
def activation_twice(trace: TrainingTrace) -> Evidence | None:
    for a, b in _sources(trace):
        bare = isinstance(b.layer, (kinds.Activation, kinds.Softmax, kinds.ReLU))
        text = _TWICE.get((a.kind, b.kind))
        if bare and text and not a.is_output:
            return Evidence(
                f"{str(b.path)!r} ({b.kind}) is applied to the {a.kind} of {str(a.path)!r}: {text}", [b.path]
            )
    return None


@check(
    "dropout_zero",
    "snapshot",
    "a dropout layer with rate 0",
    "Give it a rate, 0.2 to 0.5 is usual, or remove it",
)
def dropout_zero(trace: TrainingTrace) -> Evidence | None:
    paths = [snapshot.path for _, snapshot in trace.leaf_layers() if _rate(snapshot) == 0]
    return Evidence(f"{listed(paths)} drops nothing: its rate is 0", paths) if paths else None


@check(
    "dropout_extreme",
    "snapshot",
    "a dropout layer that drops nearly everything",
    "The rate is the dropped fraction, not the kept one: 0.2 to 0.5 is usual",
)
def dropout_extreme(trace: TrainingTrace) -> Evidence | None:
    matches = [
        (snapshot.path, _rate(snapshot))
        for _, snapshot in trace.leaf_layers()
        if (_rate(snapshot) or 0) >= 0.85
    ]
    if not matches:
        return None
    path, rate = matches[0]
    return Evidence(f"{str(path)!r} drops {rate:.0%} of its inputs", [path for path, _ in matches])


@check(
    "dropout_last",
    "snapshot",
    "a dropout after the model's last layer",
    "Put it before the last layer with weights: here it sets outputs to zero",
)
def dropout_last(trace: TrainingTrace) -> Evidence | None:
    matches = [snapshot for _, snapshot in trace.leaf_layers() if snapshot.is_output and _rate(snapshot)]
    if not matches:
        return None
    return Evidence(
        f"{str(matches[0].path)!r} sets {_rate(matches[0]):.0%} of the model's outputs to zero in training",
        [matches[0].path],
    )


def _rate(snapshot: LayerSnapshot) -> float | None:
    return float(snapshot.layer.rate) if isinstance(snapshot.layer, _DROPOUTS) else None


@check(
    "batch_norm_small_batch",
    "snapshot",
    "batch normalization over too few samples",
    "Use batches of 16 and more, or a normalization that does not depend on the batch "
    "(LayerNormalization, GroupNormalization)",
)
def batch_norm_small_batch(trace: TrainingTrace) -> Evidence | None:
    norms = [snapshot for snapshot in trace.batch_norms() if snapshot.layer.trainable]
    if not norms:
        return None
    size = trace.batch_size
    flat = any(snapshot.rank == 2 for snapshot in norms)
    if size < (5 if flat else 2):
        batch = f"{size} sample{'s' if size > 1 else ''}"
        return Evidence(
            f"{listed([snapshot.path for snapshot in norms])} takes means and variances of "
            f"{batch}: they are mostly noise",
            [snapshot.path for snapshot in norms],
        )
    samples = getattr(trace.data, "samples", None)
    if flat and samples and samples > size and samples % size == 1 and trace.steps == -(-samples // size):
        return Evidence(
            f"the last batch of an epoch has 1 sample ({samples:,} = {samples // size:,} x {size} + 1), of "
            f"which {listed([snapshot.path for snapshot in norms])} makes zero",
            [snapshot.path for snapshot in norms],
        )
    return None
