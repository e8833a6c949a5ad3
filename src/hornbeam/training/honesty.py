"""Is the test set still a test set? What served as validation data is remembered by a fingerprint."""

from __future__ import annotations

import warnings
from typing import Any

from hornbeam.data.sealed import Sealed, sealed_with
from hornbeam.distribution.processes import say
from hornbeam.rows import fingerprint


class TestSetWarning(UserWarning):
    """The data given to `evaluate` as a test have served as validation data before."""

    __test__ = False


class Seen:
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
                "it (when to "
                "stop, which settings), the score is too good to be true: validate on validation_split=0.1 "
                "of the training "
                "data, and look at the test set once, at the end",
                TestSetWarning,
                stacklevel=4,
            )


def unsealed(x: Any, y: Any, sample_weight: Any, fitting: bool) -> tuple[Any, Any, Any, Sealed | None]:
    """What `evaluate` was given, out of its seal if it is under one, and the seal.

    Raises SealedError in the middle of `fit`: such a look is made to choose by.
    """
    sealed = sealed_with(x)
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


def count_look(sealed: Sealed | None, what: str, quiet: bool) -> None:
    """Count a look at what is sealed, and say so; a quiet caller hears of the second and later ones."""
    if sealed is None:
        return
    sentence = sealed.count(what)
    if not quiet:
        say(sentence)
    elif not sentence.startswith("first"):
        warnings.warn(sentence, TestSetWarning, stacklevel=5)
