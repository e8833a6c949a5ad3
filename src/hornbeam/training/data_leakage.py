"""Data leakage: test data that served for validation, or samples that were in training."""

from __future__ import annotations

from typing import Any

import numpy as np

from hornbeam._internal.row_hash import HashSketch, count_matches, evenly_spaced, fingerprint, hash_rows
from hornbeam._internal.typing import Tree
from hornbeam._internal.warn import warn_user
from hornbeam.data.inspection.leakage import adapted_layers
from hornbeam.data.samples import as_samples, named_arrays
from hornbeam.data.splits.sealed import Sealed, check_not_sealed, find_sealed
from hornbeam.distribution.processes import print_once
from hornbeam.errors import LeakWarning, TestSetWarning
from hornbeam.layers.network import Network
from hornbeam.training.array_data import ArrayData
from hornbeam.training.packing import Batch
from hornbeam.training.sources import Data, is_stream


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
