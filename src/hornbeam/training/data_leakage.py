"""Data leakage: test data that served for validation, or samples that were in training."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np

from hornbeam._internal.row_hash import (
    HashSketch,
    count_matches,
    evenly_spaced,
    fingerprint,
    hash_rows,
    hash_samples,
)
from hornbeam._internal.typing import Tree
from hornbeam._internal.warn import warn_user
from hornbeam.data import Dataset
from hornbeam.data.inspection.leakage import adapted_layers
from hornbeam.data.pipeline.memory import stage_of
from hornbeam.data.samples import as_samples, named_arrays
from hornbeam.data.splits.sealed import Sealed, check_not_sealed, find_sealed
from hornbeam.data.splits.split import class_ids
from hornbeam.distribution.processes import print_once
from hornbeam.errors import LeakWarning, LikelyMistakeWarning, TestSetWarning
from hornbeam.layers.network import Network
from hornbeam.training.array_data import ArrayData
from hornbeam.training.packing import Batch
from hornbeam.training.sources import Data, is_stream
from hornbeam.training.sparse_rows import SparseRows


class ValidationFingerprints:
    """Fingerprints of the data that a model was validated on."""

    def __init__(self) -> None:
        # Fingerprint -> True once it was warned of.
        self._warned: dict[str, bool] = {}

    def add(self, data: Data) -> None:
        """Remember validation data."""
        key = _key_of(data)
        if key is not None:
            self._warned.setdefault(key, False)

    def check(self, data: Data) -> None:
        """Warn, once, if `data` served as validation data."""
        if not self._warned:
            return
        key = _key_of(data)
        if key is not None and self._warned.get(key) is False:
            self._warned[key] = True
            warn_user(
                "evaluate() got the data that fit() was given as validation_data. If you chose anything by "
                "it (when to stop, which settings), the score is too good to be true: validate on "
                "validation_split=0.1 of the training data, and evaluate on the test set once, at the end",
                TestSetWarning,
            )


def _key_of(data: Data) -> str | None:
    """Return a fingerprint of arrays, or of the first batch and the number of batches of a stream."""
    if isinstance(data, ArrayData):
        return fingerprint(data.table.leaves) if data.uses_all_rows else None
    if data.once or data.steps is None:  # a generator may give other batches each time
        return None
    return f"{data.steps} batches, {fingerprint(data.first_batch().leaves)}"


# Of so many held-out samples, evenly spaced, the result is certain.
_ENOUGH = 64


def warn_of_shared_samples(train: Batch, held_out: Batch) -> None:
    """Warn if validation data are training data.

    That is so if 64 evenly spaced samples of them, no two equal, are all in the training data about once
    each. In tables of few categories equal rows are frequent by chance.
    """
    if len(train.x_leaves) != 1 or len(held_out.x_leaves) != 1:
        return
    (training,), (validation,) = train.x_leaves, held_out.x_leaves
    if (
        training.dtype != validation.dtype
        or training.shape[1:] != validation.shape[1:]
        or training.dtype.kind not in "biuf"
    ):
        return
    rows = validation[evenly_spaced(len(validation), _ENOUGH)]
    if len(rows) < _ENOUGH or not rows.size or len(np.unique(hash_rows(rows, rows.dtype))) < _ENOUGH:
        return
    counts = count_matches(training, rows)
    if counts is not None and counts.all() and counts.sum() <= 1.1 * _ENOUGH:
        warn_user(
            "fit() got validation_data whose samples are in the training data, too: val_ metrics then "
            "measure what was memorized, not what will be right on new samples. Hold samples out with "
            "validation_split=0.1 or data.split; data.find_leaks names the ones in common",
            LeakWarning,
        )


def warn_of_neighboring_copies(data: Batch) -> None:
    """Warn before a random split if samples are copies of their neighbors, nearly: frames, windows, copies.

    That is so if six of ten samples, out of 64, are less than half as far from the nearer neighbor as from
    the nearer of two random samples, of the same class where there are classes (which may come in order).
    """
    if len(data.x_leaves) != 1 or len(data) < 4 * _ENOUGH:
        return
    x = data.x_leaves[0]
    # Of one column, such as a grid of points for a curve, neighbors say nothing.
    if x.dtype.kind not in "iuf" or x.ndim < 2 or x[0].size < 2 or isinstance(x, SparseRows):
        return
    generator = np.random.default_rng(0)
    rows = 1 + evenly_spaced(len(x) - 2, _ENOUGH)
    others = generator.integers(0, len(x), (2, len(rows)))
    classes = class_ids(data.y_leaves[0]) if len(data.y_leaves) == 1 else None
    if classes is not None:
        alike = [np.flatnonzero(classes == classes[row]) for row in rows]
        others = np.array([generator.choice(same, 2) for same in alike]).T
    near = np.minimum(_distances(x, rows, rows - 1), _distances(x, rows, rows + 1))
    far = np.minimum(_distances(x, rows, others[0]), _distances(x, rows, others[1]))
    if (near < far / 2).mean() > 0.6:
        warn_user(
            "validation_split draws samples at random, but neighbors in these data are nearly equal (copies, "
            "frames of a video, overlapping windows?): samples like the held-out ones are trained on. Keep "
            "them together: validation_split_mode='tail', or data.split(x, y, groups=...)",
            LeakWarning,
        )


def _distances(x: np.ndarray, rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    differences = x[rows].astype(np.float64) - x[others].astype(np.float64)
    return np.square(differences).reshape(len(rows), -1).sum(1) ** 0.5


def warn_of_reshuffled_parts(x: Tree, validation: Tree) -> None:
    """Warn if training and validation data are parts of a dataset that has a new order in every pass."""
    if not isinstance(x, Dataset) or not isinstance(validation, Dataset):
        return
    train, held_out = stage_of(x), stage_of(validation)
    shared = set(map(id, train.shuffles())) & {id(s) for s in held_out.shuffles() if s.reshuffles}
    names = (*train.pipeline_names(), *held_out.pipeline_names())
    if shared and any(name.startswith(("take", "skip", "shard")) for name in names):
        warn_user(
            "training and validation data are parts (take, skip) of one dataset with a new order in every "
            "pass: samples of one epoch's validation are trained on in the next. Write "
            "shuffle(..., reshuffle_each_iteration=False) before take() and skip()",
            LeakWarning,
        )


def warn_of_unknown_order(dataset: Dataset, data: Data) -> None:
    """Warn if predictions come in an order that no other pass over the labels has."""
    if any(stage.reshuffles for stage in stage_of(dataset).shuffles()) and data.known.y is not None:
        warn_user(
            "predict() got a dataset with a new order in every pass: labels that another pass reads do not "
            "belong to these predictions. Leave shuffle() out, or take both from one pass: "
            "for x, y in dataset: model.predict_on_batch(x)",
            LikelyMistakeWarning,
        )


class TrainingRowHashes:
    """Row hashes of the training data of a model with adapted layers (Normalization, TextVectorization, ...).

    They tell whether those layers saw data that the model is evaluated on. Other models cost nothing.
    """

    def __init__(self) -> None:
        self._fingerprints: set[str] = set()
        self._hashes: dict[str, HashSketch] = {}
        self._warned: set[str] = set()

    def add(self, model: Network, x: Tree) -> None:
        """Remember training data, arrays in memory."""
        if not adapted_layers(model) or is_stream(x):
            return
        arrays = named_arrays(as_samples(x, "x"), "x")
        key = fingerprint(list(arrays.values()))
        if key not in self._fingerprints:
            self._fingerprints.add(key)
            for name, array in arrays.items():
                self._hashes.setdefault(name, HashSketch()).add(hash_rows(array))

    def check(self, model: Network, x: Tree) -> None:
        """Warn, once a layer, if layers of the model were adapted on `x`, which is not training data.

        It is certain if a layer saw all of the samples, out of 64, that are not training data, and these are
        20 or more.
        """
        if not self._hashes or is_stream(x):
            return
        for name, array in named_arrays(as_samples(x, "x"), "x").items():
            trained = self._hashes.get(name)
            if trained is None:
                continue
            hashes = np.unique(hash_rows(array[evenly_spaced(len(array), _ENOUGH)]))
            for layer in adapted_layers(model):
                adapted = layer._adapted_on
                unseen = trained.comparable(adapted.comparable(hashes))
                unseen = unseen[~trained.has(unseen)]
                if 2 * len(unseen) < len(hashes) or len(unseen) < 20 or not adapted.has(unseen).all():
                    continue
                if layer.name in self._warned:
                    continue
                self._warned.add(layer.name)
                warn_user(
                    f"adapt() of {layer.describe()} saw the data that evaluate() got, which are not among "
                    "the training data: the model contains information about them, and the score is too "
                    "good. Call adapt(x_train), with the training part alone, before fit()",
                    LeakWarning,
                )


# So many samples of a training are hashed, by so many of their numbers, and so many trainings are known: less
# than a hundredth of the time of an epoch.
_HASHED_ROWS, _HASHED_COLUMNS, _TRAININGS = 512, 64, 1000


class TrainingSamples:
    """Hashes of samples, arrays in memory, that a model was trained on; of many, of evenly spaced ones."""

    def __init__(self) -> None:
        # Hashes of a training, and the fraction of its samples that they are of.
        self._trainings: deque[tuple[np.ndarray, float]] = deque(maxlen=_TRAININGS)

    def add(self, data: Data) -> None:
        """Remember the samples of a training."""
        if not isinstance(data, ArrayData) or not (leaves := _numbers(data.table)):
            return
        if data.rows is None and not data.uses_all_rows:
            return
        size = len(data.table) if data.rows is None else len(data.rows)
        kept = evenly_spaced(size, _HASHED_ROWS)
        rows = kept if data.rows is None else data.rows[kept]
        hashes = _hashes_of([leaf[rows] for leaf in leaves])
        if not self._trainings or not np.array_equal(hashes, self._trainings[-1][0]):
            self._trainings.append((hashes, len(kept) / size))

    def count(self, data: Data) -> int:
        """Count samples that were trained on, among those that are hashed; 0 if chance may explain it.

        In tables of few categories samples equal others by chance: new ones as often as those of the training
        equal each other.
        """
        if not self._trainings or not isinstance(data, ArrayData) or not (leaves := _numbers(data.table)):
            return 0
        hashes = _hashes_of(leaves)
        matches = int(np.isin(hashes, np.concatenate([words for words, _ in self._trainings])).sum())
        by_chance = len(hashes) * max(_repeated(words) for words, _ in self._trainings)
        allowed = 0.01 * len(hashes) * max(fraction for _, fraction in self._trainings)
        return matches if matches > 1.5 * by_chance + 4 * by_chance**0.5 + allowed + 1 else 0


def _repeated(hashes: np.ndarray) -> float:
    """Return the fraction of samples that equal others of them."""
    counts = np.unique(hashes, return_counts=True)[1]
    return float(counts[counts > 1].sum() / len(hashes))


def _numbers(batch: Batch) -> list[np.ndarray]:
    """Return the inputs if all of them are dense arrays of numbers, else an empty list."""
    dense = all(not isinstance(x, SparseRows) and x.dtype.kind in "biuf" and x.size for x in batch.x_leaves)
    return list(batch.x_leaves) if dense else []


def _hashes_of(arrays: list[np.ndarray]) -> np.ndarray:
    flat = [array.reshape(len(array), -1) for array in arrays]
    columns = [array[:, evenly_spaced(array.shape[1], _HASHED_COLUMNS)] for array in flat]
    return hash_samples(columns, [np.float32] * len(columns))


def unsealed(x: Tree, y: Tree, sample_weight: Tree, fitting: bool) -> tuple[Any, Any, Any, Sealed | None]:
    """Return the arguments of `evaluate`, taken out of their seal if they have one, and the seal.

    Raises SealedError during `fit`: such an evaluation serves to choose by.
    """
    sealed = find_sealed(x)
    if sealed is None:
        return x, y, sample_weight, None
    if fitting:
        check_not_sealed(sealed, "evaluate() in the middle of fit() is validation")
    if x is not sealed:  # its arrays
        return x, y, sample_weight, sealed
    for name, value in (("y", y), ("sample_weight", sample_weight)):
        if value is not None:
            raise ValueError(f"evaluate(): sealed data bring their own {name}: omit {name}")
    return *sealed._unsealed(), sealed


def count_evaluation(sealed: Sealed | None, description: str, quiet: bool) -> None:
    """Count an evaluation of sealed data and print it; if `quiet`, warn of the second and later ones."""
    if sealed is None:
        return
    sentence = sealed.record_use(description)
    if not quiet:
        print_once(sentence)
    elif not sentence.startswith("first"):
        warn_user(sentence, TestSetWarning)
