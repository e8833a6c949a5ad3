"""Is the test set still a test set? What served as validation data is remembered by a fingerprint."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from hornbeam import tree
from hornbeam._internal.row_hash import HashSketch, count_matches, evenly_spaced, fingerprint, hash_rows
from hornbeam.data.inspection.leakage import adapted_layers
from hornbeam.data.samples import as_samples, named_arrays
from hornbeam.data.splits.sealed import Sealed, find_sealed
from hornbeam.distribution.processes import say
from hornbeam.training.sources import is_stream


class TestSetWarning(UserWarning):
    """The data given to `evaluate` as a test have served as validation data before."""

    __test__ = False


class ValidationFingerprints:
    """Fingerprints of what a model was validated on."""

    def __init__(self) -> None:
        self._known: dict[str, bool] = {}

    def remember(self, data: Any) -> None:
        """Note validation data."""
        self._known.setdefault(fingerprint(data), False)

    def check(self, data: Any) -> None:
        """Warn, once, if `data` is known as validation data."""
        if not self._known:
            return
        mark = fingerprint(data)
        if self._known.get(mark) is False:
            self._known[mark] = True
            warnings.warn(
                "evaluate() got the data that fit() was given as validation_data. If you chose anything by "
                "it (when to stop, which settings), the score is too good to be true: validate on "
                "validation_split=0.1 of the training data, and look at the test set once, at the end",
                TestSetWarning,
                stacklevel=4,
            )


class LeakWarning(UserWarning):
    """Something of the held-out data was in training: their score is too good to be true."""


# Of so many samples, spread over the held-out ones, something is sure.
_SURE = 64


def warn_of_shared_samples(train: Any, held: Any) -> None:
    """Warn if validation data are training data: 64 samples spread over them, no two of which are the same,
    are all in there, once each (in tables of few categories equal rows are there by chance, and often)."""
    tables = [[leaf for leaf in tree.flatten(_first(data)) if leaf is not None] for data in (train, held)]
    if any(len(part) != 1 for part in tables):
        return
    (ours,), (theirs,) = tables
    if ours.dtype != theirs.dtype or ours.shape[1:] != theirs.shape[1:] or ours.dtype.kind not in "biuf":
        return
    rows = theirs[evenly_spaced(len(theirs), _SURE)]
    if len(rows) < _SURE or not rows.size or len(np.unique(hash_rows(rows, rows.dtype))) < _SURE:
        return
    counts = count_matches(ours, rows)
    if counts is not None and counts.all() and counts.sum() <= 1.1 * _SURE:
        warnings.warn(
            "fit() got validation_data whose samples are in the training data, too: val_ metrics then show "
            "what was learned by heart, not what will be right on new samples. Hold samples out with "
            "validation_split=0.1 or data.split; data.find_leaks names the ones in common",
            LeakWarning,
            stacklevel=4,
        )


def _first(data: Any) -> Any:
    return data[0] if isinstance(data, tuple) else data


class TrainingRowHashes:
    """What a model with adapted layers (Normalization, TextVectorization, ...) was trained on, to tell
    whether those saw what it is evaluated on. Models without such layers cost nothing."""

    def __init__(self) -> None:
        self._marks: set[str] = set()
        self._known: dict[str, HashSketch] = {}
        self._named: set[str] = set()

    def remember(self, model: Any, x: Any) -> None:
        """Note training data, arrays in memory."""
        if is_stream(x) or not adapted_layers(model):
            return
        arrays = named_arrays(as_samples(x, "x"), "x")
        mark = fingerprint(list(arrays.values()))
        if mark not in self._marks:
            self._marks.add(mark)
            for name, array in arrays.items():
                self._known.setdefault(name, HashSketch()).add(hash_rows(array))

    def check(self, model: Any, x: Any) -> None:
        """Warn, once a layer, if layers of the model were adapted on `x`, which is no training data.

        Sure is what holds for 20 samples or more of 64 that are not among the training data, and for all of
        them.
        """
        if not self._known or is_stream(x):
            return
        for name, array in named_arrays(as_samples(x, "x"), "x").items():
            trained = self._known.get(name)
            if trained is None:
                continue
            words = np.unique(hash_rows(array[evenly_spaced(len(array), _SURE)]))
            for layer in adapted_layers(model):
                saw = layer._adapted_on
                own = trained.comparable(saw.comparable(words))
                own = own[~trained.has(own)]
                if 2 * len(own) < len(words) or len(own) < 20 or not saw.has(own).all():
                    continue
                if layer.name in self._named:
                    continue
                self._named.add(layer.name)
                warnings.warn(
                    f"adapt() of {layer.describe()} saw the data that evaluate() got, which are not among "
                    "the training data: something of them is in the model, and the score is too good. Call "
                    "adapt(x_train), with the training part alone, before fit()",
                    LeakWarning,
                    stacklevel=4,
                )


def unsealed(x: Any, y: Any, sample_weight: Any, fitting: bool) -> tuple[Any, Any, Any, Sealed | None]:
    """What `evaluate` was given, out of its seal if it is under one, and the seal.

    Raises SealedError in the middle of `fit`: such a look is made to choose by.
    """
    sealed = find_sealed(x)
    if sealed is None:
        return x, y, sample_weight, None
    if fitting:
        sealed._refuse("evaluate() in the middle of fit() is validation")
    if x is not sealed:  # its arrays
        return x, y, sample_weight, sealed
    for name, value in (("y", y), ("sample_weight", sample_weight)):
        if value is not None:
            raise ValueError(f"evaluate(): what is sealed brings its own {name}: leave {name} away")
    return *sealed._opened(), sealed


def count_evaluation(sealed: Sealed | None, what: str, quiet: bool) -> None:
    """Count a look at what is sealed, and say so; a quiet caller hears of the second and later ones."""
    if sealed is None:
        return
    sentence = sealed.count(what)
    if not quiet:
        say(sentence)
    elif not sentence.startswith("first"):
        warnings.warn(sentence, TestSetWarning, stacklevel=4)
