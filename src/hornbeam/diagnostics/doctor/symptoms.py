"""Checks for what no other finding explains: they compare the model with its neighbours' vote."""

from __future__ import annotations

import numpy as np

from hornbeam.diagnostics.doctor.findings import Checks, Evidence
from hornbeam.diagnostics.doctor.training_trace import TrainingTrace
from hornbeam.training.check_labels import loss_function_name

check = Checks()

_NEIGHBOURS = 5


def neighbours(x: np.ndarray, among: np.ndarray, count: int) -> np.ndarray:
    """Row numbers (n, count) of those of `among` that are nearest to each row of x, itself left out."""
    scale = among.std(axis=0)
    weight = 1 / np.where(scale > 1e-12, scale, np.inf) if among.shape[1] <= 256 else np.ones(among.shape[1])
    a, b = x * weight, among * weight
    distance = (a**2).sum(axis=1)[:, None] - 2 * a @ b.T + (b**2).sum(axis=1)
    distance[distance <= 1e-9 * (a**2).sum(axis=1)[:, None] + 1e-12] = np.inf
    return np.argpartition(distance, count, axis=1)[:, :count]


def votes(labels: np.ndarray) -> np.ndarray:
    """The class that most of each row (n, count) have."""
    classes, numbers = np.unique(labels, return_inverse=True)
    counts = np.eye(len(classes), dtype=int)[numbers.reshape(labels.shape)].sum(axis=1)
    return classes[counts.argmax(axis=1)]


def _resting(trace: TrainingTrace) -> int:
    """For how many epochs the training loss has been at rest: the last third, at least five and a hundred
    updates, in which it fell by less than 3%; 0 if it still falls."""
    losses = trace.losses()
    third = max(5, len(losses) // 3)
    if len(losses) < 2 * third or trace.updates * third < 100 * len(losses) or not np.isfinite(losses).all():
        return 0
    before, after = np.mean(losses[-2 * third : -third]), np.mean(losses[-third:])
    return third if after > 0.97 * before else 0


@check(
    "label_noise",
    "epoch",
    "labels that neighbours and the model agree to be wrong",
    "Look at those samples; if many are wrong indeed, correct or drop them, or train on softer targets "
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
    labels, seen = trace.probe_labels, trace.probabilities()
    if labels is None or seen is None or trace.reference is None or len(labels) < 96:
        return None
    if trace.updates < 50 or trace.snapshots[-1].epoch != trace.epoch or not len(_odd(seen, labels, 0.6)):
        return None
    # The samples looked at raise a suspicion; many more must bear it out.
    (x, y), answers = trace.reference, trace.answers()
    if answers is None or len(answers) < 200:
        return None
    labels, answer = _labels_of(y), answers.argmax(axis=1)
    odd = _odd(answers, labels, 0.75)
    if len(odd) < 10:
        return None
    voted = votes(labels[neighbours(x[odd], x, _NEIGHBOURS)])
    against = odd[(voted == answer[odd]) & (voted != labels[odd])]
    if len(against) < 0.75 * len(odd):
        return None
    assert trace.reference_rows is not None
    rows = ", ".join(map(str, np.sort(trace.reference_rows[against])[:8]))
    return Evidence(
        f"of the {len(labels) // 2} samples, out of {len(labels)}, that the model is most certain of, "
        f"{len(odd)} have another label, and for {len(against)} of those most of the "
        f"{_NEIGHBOURS} nearest samples side with the model: rows {rows}, ..."
    )


def _odd(probabilities: np.ndarray, labels: np.ndarray, share: float) -> np.ndarray:
    """Numbers of samples that the model is certain of and gives another class, if they are as frequent among
    those as among all, nearly: hard samples are those of which it is least certain, wrong labels are
    everywhere. None if it has learned too little to have a say."""
    wrong = probabilities.argmax(axis=1) != labels
    largest = np.unique(labels, return_counts=True)[1].max() / len(labels)
    if not 0.04 < wrong.mean() < 0.6 * (1 - largest):
        return np.zeros(0, int)
    certain = np.argsort(-probabilities.max(axis=1), kind="stable")[: len(labels) // 2]
    odd = certain[wrong[certain]]
    return odd if len(odd) >= share * wrong.mean() * len(certain) else odd[:0]


def _labels_of(y: np.ndarray) -> np.ndarray:
    return y.argmax(axis=1) if y.ndim == 2 and y.shape[1] > 1 else y.reshape(-1).astype(np.int64)


@check(
    "underfitting",
    "epoch",
    "a loss that came to rest while the samples' neighbours know better",
    "Take more layers or units, less regularization, a higher rate, or features that show what is asked for",
    unless=("any",),
)
def underfitting(trace: TrainingTrace) -> Evidence | None:
    if not _resting(trace) or trace.reference is None or trace.snapshots[-1].epoch != trace.epoch:
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
    known = float((votes(labels[neighbours(x, x, _NEIGHBOURS)]) == labels).mean())
    right = float((probabilities.argmax(axis=1) == trace.probe_labels).mean())
    if right > known - 0.15:
        return None
    return Evidence(
        f"the loss has not fallen for {_resting(trace)} epochs at {right:.0%} of the training samples right; "
        f"a vote of the {_NEIGHBOURS} nearest other samples is right for {known:.0%}"
    )


def _worse_than_means(trace: TrainingTrace) -> Evidence | None:
    x, y = trace.reference  # type: ignore[misc]
    if loss_function_name(trace.loss) != "mean_squared_error" or trace.constant_loss is None or len(x) < 64:
        return None
    target = y.reshape(len(y), -1).astype("float64")
    guess = target[neighbours(x, x, _NEIGHBOURS)].mean(axis=1)
    known = float(np.square(guess - target).mean())
    loss = trace.data_loss(trace.losses()[-1])
    if known > 0.5 * trace.constant_loss or loss < known + 0.3 * trace.constant_loss:
        return None
    return Evidence(
        f"the loss has not fallen for {_resting(trace)} epochs at {loss:.3g}; the mean of the "
        f"{_NEIGHBOURS} nearest other samples has {known:.3g}, a constant answer {trace.constant_loss:.3g}"
    )


@check(
    "loss_not_falling",
    "epoch",
    "a loss that does not fall and is no better than that of a constant answer",
    "Do labels belong to their samples (shuffled apart)? Then hornbeam.lr_find(model, x, y) for the rate, "
    "and try whether the model can learn 32 samples by heart",
    unless=("any",),
)
def loss_not_falling(trace: TrainingTrace) -> Evidence | None:
    losses = trace.losses()
    if not _resting(trace) or not trace.nothing_learned():
        return None
    return Evidence(
        f"loss was {losses[0]:.4g} in epoch {trace.began + 1} and is {losses[-1]:.4g} in epoch "
        f"{trace.epoch_now}; a constant answer has {trace.constant_loss:.4g}"
    )
