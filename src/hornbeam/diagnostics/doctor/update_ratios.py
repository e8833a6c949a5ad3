"""Checks of the size of updates, and of regularizers."""

from __future__ import annotations

import math

import numpy as np

from hornbeam.diagnostics.doctor.findings import Checks, Evidence
from hornbeam.diagnostics.doctor.step_probe import Snapshot
from hornbeam.diagnostics.doctor.training_trace import TrainingTrace
from hornbeam.training.callbacks.base import learning_rates

check = Checks()

# Updates after which an anomaly is not an accident of the initial weights.
_SETTLED = 10


@check(
    "regularization_swamps",
    "snapshot",
    "regularizers that weigh more than the loss itself",
    "Use a smaller factor, 1e-5 to 1e-3 is usual, or less weight decay",
)
def regularization_swamps(trace: TrainingTrace) -> Evidence | None:
    first, last = trace.snapshots[0], trace.snapshots[-1]
    if trace.standard and first.loss is not None and first.penalty > 3 * abs(first.loss - first.penalty) > 0:
        return Evidence(
            f"before training {first.penalty:.3g} of a loss of {first.loss:.3g} are penalties on weights, "
            f"{first.loss - first.penalty:.3g} compare predictions with targets"
        )
    decay = last.penalty > 0 or getattr(trace.model.optimizer, "weight_decay", None)
    if not decay or last.updates < _SETTLED or not trace.nothing_learned():
        return None
    shrunk = [
        (after.path, before.rms, after.rms)
        for before, after in zip(first.kernels(), last.kernels(), strict=False)
        if before.path == after.path and after.rms < 0.05 * before.rms
    ]
    if not shrunk or len(shrunk) < 0.5 * len(first.kernels()):
        return None
    path, before, after = shrunk[0]
    return Evidence(
        f"weights shrink to nothing: {str(path)!r} from {before:.2g} to {after:.2g} on average in "
        f"{last.updates:,} updates, and the model is no better than a constant prediction",
        [path for path, *_ in shrunk],
    )


def update_ratio(snapshot: Snapshot) -> float | None:
    """Return the median update-to-weight ratio, |dw| / |w|, over kernels (weights of rank >= 2)."""
    parts = [w.update / w.rms for w in snapshot.kernels() if w.rms > 1e-8 and w.size >= 4]
    parts = [part for part in parts if math.isfinite(part)]
    return float(np.median(parts)) if parts else None


def rate_of(trace: TrainingTrace) -> str:
    """Return the learning rate in words."""
    rates = list(learning_rates(trace.model.optimizer).values())
    return f"the learning rate {rates[0]:.2g}" if rates else "the optimizer"


def _diverged(trace: TrainingTrace) -> str | None:
    """Return a sentence about a loss that is NaN or far above its start, None if neither is."""
    for name in ("loss", "val_loss"):
        values = trace.losses(name)
        if values and not math.isfinite(values[-1]):
            return f"the {name} is {values[-1]} in epoch {trace.epoch_now}"
    first, last = trace.snapshots[0].loss, trace.losses()
    if first is None or not last or not math.isfinite(first) or trace.snapshots[-1].updates < 10:
        return None
    recent = [*last[-1:], *([trace.snapshots[-1].loss] if trace.snapshots[-1].loss is not None else [])]
    if min(recent) <= 1.5 * abs(first) + 1e-6:
        return None
    return f"the loss went from {first:.3g} before training to {min(recent):.3g} in epoch {trace.epoch_now}"


@check(
    "rate_too_high",
    "epoch",
    "updates so large that the loss rises or does not fall",
    "Use a tenth of the rate; hornbeam.lr_find(model, x, y) shows which rates work",
    unless=("unscaled_targets", "unscaled_inputs", "exploding_gradients", "regularization_swamps"),
)
def rate_too_high(trace: TrainingTrace) -> Evidence | None:
    parts = [part for snapshot in trace.snapshots if (part := update_ratio(snapshot)) is not None]
    diverged = _diverged(trace) if trace.standard else None
    if not parts or max(parts) < 0.03:
        return None
    stuck = max(parts) > 0.2 and trace.updates >= 20 and trace.epoch >= 2 and trace.nothing_learned()
    if diverged is None and not stuck:
        return None
    text = diverged or f"after {trace.updates:,} updates the model is no better than a constant prediction"
    return Evidence(
        f"{rate_of(trace)} moves weights by up to {max(parts):.0%} of their size in one update; {text}"
    )


@check(
    "not_finite",
    "epoch",
    "a loss that became NaN or infinite",
    "fit(debug_nans=True) finds the layer and operation where that began",
    unless=("rate_too_high", "exploding_gradients"),
)
def not_finite(trace: TrainingTrace) -> Evidence | None:
    for name, value in trace.history[-1].items():
        if "loss" in name and np.ndim(value) == 0 and not math.isfinite(value):
            return Evidence(f"{name} is {value} in epoch {trace.epoch_now}")
    return None
