"""Checks of the results of a training."""

from __future__ import annotations

import numpy as np

from hornbeam.diagnostics.doctor.findings import Checks, Evidence
from hornbeam.diagnostics.doctor.training_trace import TrainingTrace
from hornbeam.diagnostics.doctor.update_ratios import rate_of, update_ratio

check = Checks()


@check(
    "rate_too_low",
    "epoch",
    "updates so small that the whole training cannot change the weights",
    "Multiply the rate by ten or a hundred; hornbeam.lr_find(model, x, y) shows which rates work",
    unless=(
        "vanishing_gradients", "dead_units", "saturated_units", "saturated_outputs", "constant_output",
        "constant_inputs", "symmetric_units", "tiny_inputs", "no_gradient",
    ),
)  # fmt: skip
def rate_too_low(trace: TrainingTrace) -> Evidence | None:
    if len(trace.snapshots) < 2 or trace.planned is None or trace.planned < 100:
        return None
    parts = [part for snapshot in trace.snapshots if (part := update_ratio(snapshot)) is not None]
    if not parts or max(parts) * trace.planned > 0.003 or max(parts) == 0.0:
        return None
    first, last = trace.snapshots[0].loss, trace.snapshots[-1].loss
    if first is not None and last is not None and last < 0.98 * first:
        return None
    return Evidence(
        f"{rate_of(trace)} moves weights by {max(parts):.1g} of their size in one update: all "
        f"{trace.planned:,} updates in one direction would change them by {max(parts) * trace.planned:.1g}"
    )


@check(
    "class_collapse",
    "epoch",
    "one class predicted for every sample",
    "Check class balance and class_weight, labels that do not belong to their samples, and the rate",
    unless=(
        "rate_too_low", "rate_too_high", "not_finite", "constant_inputs", "constant_output", "dead_units",
        "frozen", "saturated_outputs",
    ),
)  # fmt: skip
def class_collapse(trace: TrainingTrace) -> Evidence | None:
    snapshots = [snapshot for snapshot in trace.snapshots[-2:] if snapshot.updates >= 50]
    labels = trace.probe_labels
    if len(snapshots) < 2 or labels is None:
        return None
    classes, counts = np.unique(labels, return_counts=True)
    probabilities = [trace.probabilities(snapshot) for snapshot in snapshots]
    if len(labels) < 32 or counts.max() > 0.95 * len(labels) or any(p is None for p in probabilities):
        return None
    chosen = {int(c) for p in probabilities if p is not None for c in p.argmax(axis=1)}
    if len(chosen) > 1 or (chosen == {int(classes[counts.argmax()])} and not trace.nothing_learned()):
        return None
    return Evidence(
        f"after {snapshots[-1].updates:,} updates the model predicts class {chosen.pop()} for all "
        f"{len(labels)} probed samples, which belong to {len(classes)} classes"
    )


# -- gaps and plateaus -------------------------------------------------------------------------------------


@check(
    "overfitting",
    "epoch",
    "a validation loss that rises while the training loss falls",
    "Stop earlier (callbacks.EarlyStopping(restore_best_weights=True)), or use more data, augmentation, "
    "dropout, a smaller model",
)
def overfitting(trace: TrainingTrace) -> Evidence | None:
    val_losses, losses = trace.losses("val_loss"), trace.losses()
    if len(val_losses) < 4 or len(val_losses) != len(losses) or _stops_early(trace):
        return None
    best = int(np.argmin(val_losses))
    since = len(val_losses) - 1 - best
    if since < 3 or not losses[-1] < 0.8 * losses[best] or not min(val_losses[-2:]) > 1.3 * val_losses[best]:
        return None
    return Evidence(
        f"val_loss was lowest in epoch {trace.began + best + 1} ({val_losses[best]:.3g}) and is "
        f"{val_losses[-1]:.3g} now, while loss fell from {losses[best]:.3g} to {losses[-1]:.3g}"
    )


def _stops_early(trace: TrainingTrace) -> bool:
    """Return whether a callback keeps the best weights anyway."""
    return any(
        getattr(callback, "restore_best_weights", False) or getattr(callback, "save_best_only", False)
        for callback in trace.callbacks
    )
