"""What layers that are fitted on data before training take in `adapt`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from hornbeam.layers.call import is_array


def batches_of(data: Any) -> list[np.ndarray]:
    """What `adapt` is given, as arrays: one array, or an iterable of batches (of pairs: their first part)."""
    if is_array(data):
        return [np.asarray(data)]
    if isinstance(data, (list, tuple)) and all(isinstance(x, (int, float, list)) for x in data):
        return [np.asarray(data)]
    if not isinstance(data, Iterable):
        raise ValueError(f"adapt takes an array or an iterable of batches, got {type(data).__name__}")
    arrays = [np.asarray(batch[0] if isinstance(batch, (list, tuple)) else batch) for batch in data]
    if not arrays:
        raise ValueError("adapt got no data")
    return arrays
