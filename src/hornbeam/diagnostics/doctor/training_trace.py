"""Record of a training for the doctor: data, loss, snapshots and history."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from hornbeam.data.splits.split import class_ids
from hornbeam.diagnostics.doctor.step_probe import LayerSnapshot, Snapshot
from hornbeam.layers import BatchNormalization
from hornbeam.layers.tracking import sublayers
from hornbeam.layers.weights import flatten_layers
from hornbeam.losses import Loss
from hornbeam.models import Model
from hornbeam.training.array_data import ArrayData
from hornbeam.training.check_labels import loss_function_name, loss_kind
from hornbeam.training.packing import Batch
from hornbeam.training.run import TrainingRun
from hornbeam.training.sources import Data
from hornbeam.training.steps import Steps, training_state

# Probed samples, their largest number of batches, and samples that they are compared with.
PROBE, BATCHES, REFERENCE = 128, 4, 1024
_SQUARED = ("mean_squared_error",)
_ABSOLUTE = ("mean_absolute_error",)


class TrainingTrace:
    """A training: its model, its data, and what was recorded so far.

    snapshots: of training steps; the first is from before the first update. history: logs of the epochs.
    batches: probed batches. reported: names of findings.
    """

    def __init__(self, model: Model, run: TrainingRun, epochs: int, steps: int | None) -> None:
        self.model = model
        self.data: Any = run.data
        self.callbacks = run.callbacks.callbacks
        self.epochs, self.steps = epochs, steps
        self.snapshots: list[Snapshot] = []
        self.history: list[dict[str, Any]] = []
        self.reported: set[str] = set()
        # Number of the first epoch, if the training was resumed.
        self.began = 0
        self.batches = probe_batches(run.data)

    # -- the data --------------------------------------------------------------------------------------------

    @functools.cached_property
    def probe(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """x and y of all probed samples, each as a list of arrays."""
        x = zip(*(batch.x_leaves for batch in self.batches), strict=True)
        y = zip(*(batch.y_leaves for batch in self.batches), strict=True)
        return [np.concatenate(c) for c in x], [np.concatenate(c) for c in y]

    @functools.cached_property
    def reference_rows(self) -> np.ndarray | None:
        """Row numbers of up to a thousand samples in complete batches; None for streams."""
        if not isinstance(self.data, ArrayData):
            return None
        rows = _spread(self.data, REFERENCE)
        return rows[: len(rows) - len(rows) % self.batch_size]

    @functools.cached_property
    def reference(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Those samples (of a stream, the probed ones) as (n, features), and their labels or targets.

        Nearest neighbors are searched among them. None for several inputs, integers (tokens) and large
        samples.
        """
        x, y = self.probe
        if self.reference_rows is not None:
            samples = self.data.table.take(self.reference_rows)
            x, y = samples.x_leaves, samples.y_leaves
        if len(x) != 1 or len(y) != 1 or (x[0].dtype.kind in "iu" and x[0].dtype.itemsize > 1):
            return None
        flat = x[0].reshape(len(x[0]), -1).astype("float64")
        return (flat, y[0]) if flat.shape[1] <= 4096 else None

    def predict_reference(self) -> np.ndarray | None:
        """Predict the probability of each class for each reference sample, (n, classes).

        None for streams, and for layers whose state the samples would change.
        """
        layers = flatten_layers(self.model)
        if self.reference_rows is None or any(getattr(layer, "stateful", False) for layer in layers):
            return None
        x = self.data.table.take(self.reference_rows).x
        return self._as_probabilities(self.model.predict(x, batch_size=self.batch_size, verbose=0))

    @property
    def batch_size(self) -> int:
        """Samples of an update."""
        return len(self.batches[0])

    @functools.cached_property
    def target(self) -> np.ndarray | None:
        """Targets of all samples (of a stream, of the probed ones), None unless they are one array."""
        if isinstance(self.data, ArrayData):
            leaves = self.data.table.y_leaves
            rows = self.data.rows
            return None if len(leaves) != 1 else leaves[0] if rows is None else leaves[0][rows]
        return self.probe[1][0] if len(self.probe[1]) == 1 else None

    @property
    def weighted(self) -> bool:
        """True if samples or classes have weights."""
        weighted_samples = self.batches[0].sample_weight is not None
        return weighted_samples or getattr(self.data, "class_weight", None) is not None

    # -- the loss --------------------------------------------------------------------------------------------

    @property
    def standard(self) -> bool:
        """True if the step and its loss are the library's, not the user's."""
        kind = type(self.model)
        return kind.train_step is Steps.train_step and kind.compute_loss is Steps.compute_loss

    @functools.cached_property
    def loss(self) -> Loss | None:
        """The loss, if the step is the library's and the model has one output."""
        losses = training_state(self.model).losses
        if not self.standard or losses is None or len(losses.by_output) != 1:
            return None
        loss = losses.by_output[0]
        return loss if isinstance(loss, Loss) else None

    @functools.cached_property
    def labels(self) -> np.ndarray | None:
        """Classes of all samples, None unless the loss compares classes."""
        kind = loss_kind(self.loss)
        if kind is None or self.target is None:
            return None
        if kind == "binary" and self.target.ndim > 1 and self.target.shape[-1] > 1:
            return None
        return class_ids(self.target)

    @functools.cached_property
    def probe_labels(self) -> np.ndarray | None:
        """Classes of the probed samples."""
        return None if self.labels is None else class_ids(self.probe[1][0])

    @functools.cached_property
    def from_logits(self) -> bool:
        """True if the model's outputs are scores that the loss converts to probabilities."""
        return bool(getattr(self.loss, "options", {}).get("from_logits", False))

    @functools.cached_property
    def constant_loss(self) -> float | None:
        """Loss of the best constant prediction: entropy of the classes, variance or deviation of numbers.

        None for other losses, and if samples have weights.
        """
        if self.loss is None or self.weighted or self.target is None:
            return None
        if getattr(self.loss, "options", {}).get("label_smoothing", 0.0):
            return None
        if self.labels is not None:
            proportion = np.unique(self.labels, return_counts=True)[1] / len(self.labels)
            loss = float(-(proportion * np.log(proportion)).sum())
        else:
            name, y = loss_function_name(self.loss), self.target.astype("float64")
            if name in _SQUARED:
                loss = float(np.var(y, axis=0).mean())
            elif name in _ABSOLUTE:
                loss = float(np.abs(y - np.median(y, axis=0)).mean())
            else:
                return None
        return loss if loss > 1e-12 else None

    def data_loss(self, loss: float) -> float:
        """Subtract the penalty of the regularizers from a loss."""
        return loss - (self.snapshots[-1].penalty if self.snapshots else 0.0)

    # -- the training ----------------------------------------------------------------------------------------

    @property
    def epoch(self) -> int:
        """Number of recorded epochs."""
        return len(self.history)

    @property
    def epoch_now(self) -> int:
        """Number of the last epoch, counted from 1; 0 before the first."""
        return self.began + self.epoch

    @property
    def updates(self) -> int:
        """Updates up to the last snapshot."""
        return self.snapshots[-1].updates if self.snapshots else 0

    @property
    def planned(self) -> int | None:
        """Updates of the training, None if unknown."""
        return None if self.steps is None else self.steps * self.epochs

    def losses(self, name: str = "loss") -> list[float]:
        """Return a log of all epochs that have it."""
        return [float(logs[name]) for logs in self.history if name in logs]

    def nothing_learned(self) -> bool:
        """Return whether the last snapshot and epoch are no better than a constant prediction."""
        if self.constant_loss is None or not self.losses() or not self.snapshots:
            return False
        recent = [self.data_loss(self.losses()[-1])]
        if self.snapshots[-1].updates and self.snapshots[-1].loss is not None:
            recent.append(self.data_loss(self.snapshots[-1].loss))
        return not any(loss < 0.95 * self.constant_loss for loss in recent)

    def leaf_layers(self) -> list[tuple[int, LayerSnapshot]]:
        """Return the last snapshot's layers without sublayers, with their indices."""
        snapshots = self.snapshots[-1].layers
        return [(i, snapshot) for i, snapshot in enumerate(snapshots) if not sublayers(snapshot.layer)]

    def probabilities(self, snapshot: Snapshot | None = None) -> np.ndarray | None:
        """Return the probability of each class for each probed sample, (n, classes)."""
        snapshot = snapshot or self.snapshots[-1]
        if self.probe_labels is None or len(snapshot.predictions) != 1:
            return None
        outputs = self._as_probabilities(snapshot.predictions[0])
        return outputs if outputs is not None and len(outputs) == len(self.probe_labels) else None

    def _as_probabilities(self, outputs: np.ndarray) -> np.ndarray | None:
        """Convert outputs of the model to probabilities (n, classes); None for another rank."""
        scores = outputs.astype("float64")
        if scores.ndim != 2:
            return None
        with np.errstate(all="ignore"):
            if scores.shape[1] == 1:
                p = 1 / (1 + np.exp(-scores)) if self.from_logits else scores
                return np.concatenate([1 - p, p], axis=1)
            if self.from_logits:
                shifted = np.exp(scores - scores.max(axis=1, keepdims=True))
                return shifted / shifted.sum(axis=1, keepdims=True)
        return scores

    def batch_norms(self) -> list[LayerSnapshot]:
        """Return the batch normalizations."""
        return [
            snapshot for _, snapshot in self.leaf_layers() if isinstance(snapshot.layer, BatchNormalization)
        ]


def probe_batches(data: Data) -> list[Batch]:
    """Return batches to probe: rows of arrays, evenly spaced, or the first batch of a stream."""
    if not isinstance(data, ArrayData):
        return [data.first_batch()]
    size = min(data.batch_size, data.samples or 1)
    count = max(1, min(BATCHES, -(-PROBE // size), (data.samples or 1) // size))
    rows = _spread(data, count * size)
    return [data.table.take(rows[start::count]) for start in range(count)]


def _spread(data: ArrayData, most: int) -> np.ndarray:
    """Return at most so many row numbers, evenly spaced over those that take part."""
    count = data.samples or 1
    rows = np.linspace(0, count - 1, min(most, count)).astype(np.int64)
    return rows if data.rows is None else data.rows[rows]
