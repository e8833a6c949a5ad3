"""Is the test set still a test set? What served as validation data is remembered by a fingerprint."""

from __future__ import annotations

import hashlib
import warnings
from typing import Any

import numpy as np

from hornbeam.training.data import leaves_of

_SAMPLES = 64


class TestSetWarning(UserWarning):
    """The data given to `evaluate` as a test have served as validation data before."""

    __test__ = False


def fingerprint(data: Any) -> str:
    """Equal for equal data: shapes, dtypes and a hash of some rows spread over the arrays."""
    digest = hashlib.blake2b(digest_size=16)
    for array in leaves_of(data):
        digest.update(f"{array.shape}{array.dtype}".encode())
        rows = np.unique(np.linspace(0, len(array) - 1, min(_SAMPLES, len(array))).astype(np.int64))
        digest.update(np.ascontiguousarray(array[rows]).tobytes())
    return digest.hexdigest()


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
