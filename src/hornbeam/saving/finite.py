"""Warn of weights in a file that are NaN or infinite."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from hornbeam._internal.warn import warn_user
from hornbeam.errors import NonFiniteWeightsWarning

_NAMED = 3


def warn_of_non_finite(arrays: Iterable[tuple[str, np.ndarray]]) -> None:
    """Warn, once, of the first arrays with values that are NaN or infinite.

    Args:
        arrays: Names and arrays that are loaded.
    """
    bad = [text for name, array in arrays if (text := _describe(name, array))]
    if bad:
        more = f" and {len(bad) - _NAMED} more" if len(bad) > _NAMED else ""
        warn_user(
            f"the file has weights that are not finite: {', '.join(bad[:_NAMED])}{more}. The model predicts "
            "NaN with them: its training diverged before it was saved. Load an earlier file, and train with "
            "a smaller learning rate",
            NonFiniteWeightsWarning,
        )


def _describe(name: str, array: np.ndarray) -> str:
    if array.dtype.kind != "f" or not array.size:
        return ""
    with np.errstate(all="ignore"):
        if np.isfinite(array.sum()):
            return ""  # so are its terms
    count = int(array.size - np.isfinite(array).sum())
    kind = "NaN" if np.isnan(array).any() else "infinite"
    return f"{name!r} ({count:,} of {array.size:,} values, {kind})" if count else ""
