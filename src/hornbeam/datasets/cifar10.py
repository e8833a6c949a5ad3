"""CIFAR-10: 60,000 small photographs of ten classes (Krizhevsky 2009)."""

from __future__ import annotations

from hornbeam._internal.lazy_imports import explain_missing
from hornbeam.datasets.images import Split, load_cifar10

__all__ = ["load_data"]


def load_data() -> tuple[Split, Split]:
    """Load the dataset, downloaded once (170 MB).

    The classes are airplane, automobile, bird, cat, deer, dog, frog, horse, ship, truck. The pickles inside
    are read by an unpickler that can only build arrays.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: images uint8 (50000 and 10000, 32, 32, 3), or channels first
        if `image_data_format()` says so; labels uint8 (n, 1).

    Raises:
        DownloadError: Without network.

    Example:
        >>> (x_train, y_train), (x_test, y_test) = hornbeam.datasets.cifar10.load_data()  # doctest: +SKIP
    """
    return load_cifar10()


explain_missing(__name__)
