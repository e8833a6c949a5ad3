"""Checks for symptoms that no other finding explains: they compare the model with nearest neighbors."""

from __future__ import annotations

import numpy as np

from hornbeam.diagnostics.doctor.findings import Checks, Evidence
from hornbeam.diagnostics.doctor.training_trace import TrainingTrace
from hornbeam.training.check_labels import loss_function_name

check = Checks()

_NEIGHBORS = 5


def neighbors(x: np.ndarray, among: np.ndarray, count: int) -> np.ndarray:
    """Return the indices (n, count) of the rows of `among` nearest to each row of x, except itself."""
    scale = among.std(axis=0)
    weight = 1 / np.where(scale > 1e-12, scale, np.inf) if among.shape[1] <= 256 else np.ones(among.shape[1])
    a, b = x * weight, among * weight
    distance = (a**2).sum(axis=1)[:, None] - 2 * a @ b.T + (b**2).sum(axis=1)
    distance[distance <= 1e-9 * (a**2).sum(axis=1)[:, None] + 1e-12] = np.inf
    return np.argpartition(distance, count, axis=1)[:, :count]


def votes(labels: np.ndarray) -> np.ndarray:
    """Return the most frequent class of each row (n, count)."""
    classes, numbers = np.unique(labels, return_inverse=True)
    counts = np.eye(len(classes), dtype=int)[numbers.reshape(labels.shape)].sum(axis=1)
    return classes[counts.argmax(axis=1)]


def _converged(trace: TrainingTrace) -> int:
    """Return for how many epochs the training loss has converged, 0 if it still falls.

    It has if it fell by less than 3% in the last third, of at least five epochs and a hundred updates.
    """
    losses = trace.losses()
    third = max(5, len(losses) // 3)
    if len(losses) < 2 * third or trace.updates * third < 100 * len(losses) or not np.isfinite(losses).all():
        return 0
    before, after = np.mean(losses[-2 * third : -third]), np.mean(losses[-third:])
    return third if after > 0.97 * before else 0


@check(
    "label_noise",
    "epoch",
    "labels that neighbors and the model agree to be wrong",
    "Inspect those samples; if many are wrong indeed, correct or drop them, or train on softer targets "
    "(label_smoothing)",
    unless=(
        "class_collapse",
        "rate_too_high",
        "rate_too_low",
        "not_finite",
        "sorted_labels",
        "saturated_outputs",
    ),
)
def label_noise(trace: TrainingTrace) -> Evidence | None:
    labels, probed = trace.probe_labels, trace.probabilities()
    if labels is None or probed is None or trace.reference is None or len(labels) < 96:
        return None
    if (
        trace.updates < 50
        or trace.snapshots[-1].epoch != trace.epoch
        or not len(_confident_errors(probed, labels, 0.6))
    ):
        return None
    # The probed samples raise a suspicion; many more must confirm it.
    (x, y), predicted = trace.reference, trace.predict_reference()
    if predicted is None or len(predicted) < 200:
        return None
    labels, answer = _labels_of(y), predicted.argmax(axis=1)
    errors = _confident_errors(predicted, labels, 0.75)
    if len(errors) < 10:
        return None
    majority = votes(labels[neighbors(x[errors], x, _NEIGHBORS)])
    refuted = errors[(majority == answer[errors]) & (majority != labels[errors])]
    if len(refuted) < 0.75 * len(errors):
        return None
    assert trace.reference_rows is not None
    rows = ", ".join(map(str, np.sort(trace.reference_rows[refuted])[:8]))
    return Evidence(
        f"of the {len(labels) // 2} samples, out of {len(labels)}, that the model is most certain of, "
        f"{len(errors)} have another label, and for {len(refuted)} of those most of the "
        f"{_NEIGHBORS} nearest samples side with the model: rows {rows}, ..."
    )


def _confident_errors(probabilities: np.ndarray, labels: np.ndarray, fraction: float) -> np.ndarray:
    """Return indices of samples to which the model assigns another class with certainty.

    They count if they are nearly as frequent among the certain samples as among all: the model is least
    certain of hard samples, while wrong labels are everywhere. Empty if the model has learned too little.
    """
    wrong = probabilities.argmax(axis=1) != labels
    largest = np.unique(labels, return_counts=True)[1].max() / len(labels)
    if not 0.04 < wrong.mean() < 0.6 * (1 - largest):
        return np.zeros(0, int)
    certain = np.argsort(-probabilities.max(axis=1), kind="stable")[: len(labels) // 2]
    errors = certain[wrong[certain]]
    return errors if len(errors) >= fraction * wrong.mean() * len(certain) else errors[:0]


def _labels_of(y: np.ndarray) -> np.ndarray:
    return y.argmax(axis=1) if y.ndim == 2 and y.shape[1] > 1 else y.reshape(-1).astype(np.int64)


@check(
    "underfitting",
    "epoch",
    "a loss that converged while the samples' neighbors predict better",
    "Use more layers or units, less regularization, a higher rate, or features that carry the answer",
    unless=("any",),
)
def underfitting(trace: TrainingTrace) -> Evidence | None:
    if not _converged(trace) or trace.reference is None or trace.snapshots[-1].epoch != trace.epoch:
        return None
    if trace.labels is not None:
        return _worse_than_votes(trace)
    return _worse_than_means(trace)


def _worse_than_votes(trace: TrainingTrace) -> Evidence | None:
    probabilities = trace.probabilities()
    x, y = trace.reference  # type: ignore[misc]
    if probabilities is None or trace.probe_labels is None or len(x) < 64:
        return None
    labels = _labels_of(y)
    known = float((votes(labels[neighbors(x, x, _NEIGHBORS)]) == labels).mean())
    right = float((probabilities.argmax(axis=1) == trace.probe_labels).mean())
    if right > known - 0.15:
        return None
    return Evidence(
        f"the loss has not fallen for {_converged(trace)} epochs at {right:.0%} of the training samples "
        f"right; a vote of the {_NEIGHBORS} nearest other samples is right for {known:.0%}"
    )


def _worse_than_means(trace: TrainingTrace) -> Evidence | None:
    x, y = trace.reference  # type: ignore[misc]
    if loss_function_name(trace.loss) != "mean_squared_error" or trace.constant_loss is None or len(x) < 64:
        return None
    target = y.reshape(len(y), -1).astype("float64")
    guess = target[neighbors(x, x, _NEIGHBORS)].mean(axis=1)
    known = float(np.square(guess - target).mean())
    loss = trace.data_loss(trace.losses()[-1])
    if known > 0.5 * trace.constant_loss or loss < known + 0.3 * trace.constant_loss:
        return None
    return Evidence(
        f"the loss has not fallen for {_converged(trace)} epochs at {loss:.3g}; the mean of the "
        f"{_NEIGHBORS} nearest other samples has {known:.3g}, a constant prediction {trace.constant_loss:.3g}"
    )


@check(
    "loss_not_falling",
    "epoch",
    "a loss that does not fall below that of a constant prediction",
    "Do labels belong to their samples (shuffled apart)? Then hornbeam.lr_find(model, x, y) for the rate, "
    "and test whether the model can memorize 32 samples",
    unless=("any",),
)
def loss_not_falling(trace: TrainingTrace) -> Evidence | None:
    losses = trace.losses()
    if not _converged(trace) or not trace.nothing_learned():
        return None
    return Evidence(
        f"loss was {losses[0]:.4g} in epoch {trace.began + 1} and is {losses[-1]:.4g} in epoch "
        f"{trace.epoch_now}; a constant prediction has {trace.constant_loss:.4g}"
    )
