"""Boston housing: 506 districts with 13 features each, and the price of a house (Harrison & Rubinfeld 1978).

One feature was designed on the assumption that house prices depend on the proportion of Black residents.
Prefer `california_housing` for anything but comparisons with old results.
"""

from __future__ import annotations

from hornbeam._internal.lazy_imports import explain_missing
from hornbeam.datasets.images import Split
from hornbeam.datasets.tables import load_table

__all__ = ["load_data"]

_SHA256 = "f553886a1f8d56431e820c5b82552d9d95cfcb96d1e678153f8839538947dff5"


def load_data(
    path: str = "boston_housing.npz", test_split: float = 0.2, seed: int = 113
) -> tuple[Split, Split]:
    """Load the dataset, downloaded once (57 kB).

    Args:
        path: Name of the file in the cache, or its absolute path.
        test_split: Fraction of the samples in the test set.
        seed: Seed of the shuffle before the split.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: float64 (404, 13) and (102, 13), prices in 1000 dollars.

    Raises:
        DownloadError: Without network.
        ValueError: Unless 0 <= test_split < 1.

    Example:
        >>> (x_train, y_train), _ = hornbeam.datasets.boston_housing.load_data()  # doctest: +SKIP
    """
    return load_table("boston_housing.npz", path, _SHA256, test_split, seed)


explain_missing(__name__)
