"""California housing: 20,640 districts with 8 features each, and the price of a house (Pace & Barry 1997)."""

from __future__ import annotations

from hornbeam._internal.lazy_imports import explain_missing
from hornbeam.datasets.images import Split
from hornbeam.datasets.tables import load_table

__all__ = ["load_data"]

_SHA256 = "1a2e3a52e0398de6463aebe6f4a8da34fb21fbb6b934cf88c3425e766f2a1a6f"


def load_data(
    version: str = "large", path: str = "california_housing.npz", test_split: float = 0.2, seed: int = 113
) -> tuple[Split, Split]:
    """Load the dataset, downloaded once (0.7 MB).

    Args:
        version: "large" for all districts, "small" for the first 600.
        path: Name of the file in the cache, or its absolute path.
        test_split: Fraction of the samples in the test set.
        seed: Seed of the shuffle before the split.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: float32 (n, 8), prices in dollars.

    Raises:
        DownloadError: Without network.
        ValueError: For another version, or unless 0 <= test_split < 1.

    Example:
        >>> (x_train, y_train), _ = hornbeam.datasets.california_housing.load_data()  # doctest: +SKIP
    """
    if version not in ("large", "small"):
        raise ValueError(f"version must be 'large' or 'small', got {version!r}")
    rows = 600 if version == "small" else None
    return load_table("california_housing.npz", path, _SHA256, test_split, seed, rows)


explain_missing(__name__)
