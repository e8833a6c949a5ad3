"""Further names of tf.data.experimental."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from hornbeam.data import Dataset, TensorSpec

__all__ = ["Counter", "unbatch"]


def Counter(start: int = 0, step: int = 1, dtype: Any = "int64") -> Dataset:
    """Create an endless dataset of start, start + step, ..."""

    def count() -> Any:
        return (np.int64(value) for value in itertools.count(start, step))

    return Dataset.from_generator(count, output_signature=TensorSpec((), "int64"))


def unbatch() -> Callable[[Dataset], Dataset]:
    """Return a function for `Dataset.apply` that splits batches into their elements."""
    return lambda dataset: dataset.unbatch()
