"""CIFAR-100: 60,000 small photographs of 100 classes in 20 groups (Krizhevsky 2009)."""

from __future__ import annotations

from hornbeam._internal.lazy_imports import explain_missing
from hornbeam.datasets.images import Split, load_cifar100

__all__ = ["load_data"]


def load_data(label_mode: str = "fine") -> tuple[Split, Split]:
    """Load the dataset, downloaded once (170 MB).

    The pickles inside are read by an unpickler that can only build arrays.

    Args:
        label_mode: "fine" for 100 classes, "coarse" for 20.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: images uint8 (50000 and 10000, 32, 32, 3), or channels first
        if `image_data_format()` says so; labels uint8 (n, 1).

    Raises:
        DownloadError: Without network.
        ValueError: For another label_mode.

    Example:
        >>> (x_train, y_train), (x_test, y_test) = hornbeam.datasets.cifar100.load_data()  # doctest: +SKIP
    """
    return load_cifar100(label_mode)


explain_missing(__name__)
