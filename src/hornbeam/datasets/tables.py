"""Tables of houses and their prices, read and split as Keras does."""

from __future__ import annotations

import numpy as np

from hornbeam.datasets.images import Split
from hornbeam.datasets.texts import fetch


def load_table(
    name: str, path: str, sha256: str, test_split: float, seed: int, rows: int | None = None
) -> tuple[Split, Split]:
    """Load a shuffled table, with its last `test_split` as the test set. rows: use only the first rows."""
    if not 0 <= test_split < 1:
        raise ValueError(f"test_split must be at least 0 and below 1, got {test_split!r}")
    with np.load(fetch(name, path, sha256), allow_pickle=False) as data:
        x, y = data["x"][:rows], data["y"][:rows]
    order = np.arange(len(x))
    np.random.RandomState(seed).shuffle(order)
    x, y = x[order], y[order]
    cut = int(len(x) * (1 - test_split))
    return (x[:cut], y[:cut]), (x[cut:], y[cut:])
