"""Everything the doctor knows about a training, and what follows from it."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from hornbeam.data.splits.split import class_ids
from hornbeam.diagnostics.doctor.step_probe import LayerSnapshot, Snapshot
from hornbeam.layers import BatchNormalization
from hornbeam.losses import Loss
from hornbeam.training.array_data import ArrayData
from hornbeam.training.check_labels import loss_function_name, loss_kind
from hornbeam.training.packing import Batch
from hornbeam.training.trainer import Trainer

# Samples that the doctor looks at, batches that they may come in, and samples it compares them with.
PROBE, BATCHES, REFERENCE = 128, 4, 1024
_SQUARED = ("mean_squared_error",)
_ABSOLUTE = ("mean_absolute_error",)


class TrainingTrace:
    """A training: its model, its data, what was seen so far.

    snapshots: into training steps; the first is from before the first update. history: logs of the epochs.
    batches: those that are looked at. found: names of findings.
    """

    def __init__(self, model: Any, run: Any, epochs: int, steps: int | None) -> None:
        self.model = model
        self.data = run.data
        self.callbacks = run.callbacks.callbacks
        self.epochs, self.steps = epochs, steps
        self.snapshots: list[Snapshot] = []
        self.history: list[dict[str, Any]] = []
        self.found: set[str] = set()
        # Epochs of it that another fit had made.
        self.began = 0
        self.batches = probe_batches(run.data)

    # -- the data --------------------------------------------------------------------------------------------

    @functools.cached_property
    def probe(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """x and y of all samples that are looked at, each as a list of arrays."""
        x = zip(*(batch.x_leaves for batch in self.batches), strict=True)
        y = zip(*(batch.y_leaves for batch in self.batches), strict=True)
        return [np.concatenate(c) for c in x], [np.concatenate(c) for c in y]

    @functools.cached_property
    def reference_rows(self) -> np.ndarray | None:
        """Numbers of up to a thousand samples, whole batches of them; None for streams."""
        if not isinstance(self.data, ArrayData):
            return None
        rows = _spread(self.data, REFERENCE)
        return rows[: len(rows) - len(rows) % self.batch_size]

    @functools.cached_property
    def reference(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Those samples (of a stream, the ones that are looked at) as (n, features), and their labels or
        targets, in which neighbours are looked for. None for several inputs, whole numbers (tokens) and large
        samples."""
        x, y = self.probe
        if self.reference_rows is not None:
            samples = self.data.table.take(self.reference_rows)
            x, y = samples.x_leaves, samples.y_leaves
        if len(x) != 1 or len(y) != 1 or (x[0].dtype.kind in "iu" and x[0].dtype.itemsize > 1):
            return None
        flat = x[0].reshape(len(x[0]), -1).astype("float64")
        return (flat, y[0]) if flat.shape[1] <= 4096 else None

    def answers(self) -> np.ndarray | None:
        """What the model gives each class of each reference sample now, as it is used; None for streams and
        for layers that would remember the samples."""
        layers = self.model._flatten_layers()
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
        """The targets of all samples (of a stream, of those that are looked at), if there is one array."""
        if isinstance(self.data, ArrayData):
            leaves = self.data.table.y_leaves
            rows = self.data.rows
            return None if len(leaves) != 1 else leaves[0] if rows is None else leaves[0][rows]
        return self.probe[1][0] if len(self.probe[1]) == 1 else None

    @property
    def weighted(self) -> bool:
        """Whether samples or classes have weights."""
        weighted_samples = self.batches[0].sample_weight is not None
        return weighted_samples or getattr(self.data, "class_weight", None) is not None

    # -- the loss --------------------------------------------------------------------------------------------

    @property
    def standard(self) -> bool:
        """Whether the step and its loss are the library's, and not the user's."""
        kind = type(self.model)
        return kind.train_step is Trainer.train_step and kind.compute_loss is Trainer.compute_loss

    @functools.cached_property
    def loss(self) -> Loss | None:
        """The loss, if the step is the library's and there is one for one output."""
        losses = self.model._training_state.losses
        if not self.standard or losses is None or len(losses.by_output) != 1:
            return None
        found = losses.by_output[0]
        return found if isinstance(found, Loss) else None

    @functools.cached_property
    def labels(self) -> np.ndarray | None:
        """The classes of all samples, where the loss compares classes."""
        kind = loss_kind(self.loss)
        if kind is None or self.target is None:
            return None
        if kind == "binary" and self.target.ndim > 1 and self.target.shape[-1] > 1:
            return None
        return class_ids(self.target)

    @functools.cached_property
    def probe_labels(self) -> np.ndarray | None:
        """The classes of the samples that are looked at."""
        return None if self.labels is None else class_ids(self.probe[1][0])

    @functools.cached_property
    def from_logits(self) -> bool:
        """Whether the model's outputs are scores that the loss makes probabilities of."""
        return bool(getattr(self.loss, "options", {}).get("from_logits", False))

    @functools.cached_property
    def constant_loss(self) -> float | None:
        """What the best constant answer would lose: entropy of the classes, variance or spread of numbers.
        None for other losses, and where samples have weights."""
        if self.loss is None or self.weighted or self.target is None:
            return None
        if getattr(self.loss, "options", {}).get("label_smoothing", 0.0):
            return None
        if self.labels is not None:
            share = np.unique(self.labels, return_counts=True)[1] / len(self.labels)
            found = float(-(share * np.log(share)).sum())
        else:
            name, y = loss_function_name(self.loss), self.target.astype("float64")
            if name in _SQUARED:
                found = float(np.var(y, axis=0).mean())
            elif name in _ABSOLUTE:
                found = float(np.abs(y - np.median(y, axis=0)).mean())
            else:
                return None
        return found if found > 1e-12 else None

    def data_loss(self, loss: float) -> float:
        """A loss without what regularizers of weights add to it."""
        return loss - (self.snapshots[-1].penalty if self.snapshots else 0.0)

    # -- the training ----------------------------------------------------------------------------------------

    @property
    def epoch(self) -> int:
        """How many epochs were seen."""
        return len(self.history)

    @property
    def epoch_now(self) -> int:
        """The number of the last of them, as `fit` counts from 1; 0 before the first."""
        return self.began + self.epoch

    @property
    def updates(self) -> int:
        """Updates up to the last snapshot."""
        return self.snapshots[-1].updates if self.snapshots else 0

    @property
    def planned(self) -> int | None:
        """Updates of the whole training, if that is known."""
        return None if self.steps is None else self.steps * self.epochs

    def losses(self, name: str = "loss") -> list[float]:
        """A log of all epochs that have it."""
        return [float(logs[name]) for logs in self.history if name in logs]

    def nothing_learned(self) -> bool:
        """Whether the model is no better than a constant answer, by the last look and the last epoch."""
        if self.constant_loss is None or not self.losses() or not self.snapshots:
            return False
        seen = [self.data_loss(self.losses()[-1])]
        if self.snapshots[-1].updates and self.snapshots[-1].loss is not None:
            seen.append(self.data_loss(self.snapshots[-1].loss))
        return not any(loss < 0.95 * self.constant_loss for loss in seen)

    def leaf_layers(self) -> list[tuple[int, LayerSnapshot]]:
        """The last look's layers that hold no other layers, with their numbers."""
        snapshots = self.snapshots[-1].layers
        return [(i, snapshot) for i, snapshot in enumerate(snapshots) if not snapshot.layer._sublayers()]

    def probabilities(self, snapshot: Snapshot | None = None) -> np.ndarray | None:
        """What the model gave each class of each sample that was looked at, (n, classes)."""
        snapshot = snapshot or self.snapshots[-1]
        if self.probe_labels is None or len(snapshot.predictions) != 1:
            return None
        found = self._as_probabilities(snapshot.predictions[0])
        return found if found is not None and len(found) == len(self.probe_labels) else None

    def _as_probabilities(self, outputs: np.ndarray) -> np.ndarray | None:
        """Outputs of the model as probabilities (n, classes); None for one of another rank."""
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
        """Calls of layers that normalize by the batch, while they are trained."""
        return [
            snapshot for _, snapshot in self.leaf_layers() if isinstance(snapshot.layer, BatchNormalization)
        ]


def probe_batches(data: Any) -> list[Batch]:
    """Batches to look at: of arrays some rows spread over all of them, of a stream its first batch."""
    if not isinstance(data, ArrayData):
        return [data.first_batch()]
    size = min(data.batch_size, data.samples or 1)
    count = max(1, min(BATCHES, -(-PROBE // size), (data.samples or 1) // size))
    rows = _spread(data, count * size)
    return [data.table.take(rows[start::count]) for start in range(count)]


def _spread(data: ArrayData, most: int) -> np.ndarray:
    """Numbers of at most so many rows, spread evenly over those that take part."""
    count = data.samples or 1
    rows = np.linspace(0, count - 1, min(most, count)).astype(np.int64)
    return rows if data.rows is None else data.rows[rows]
