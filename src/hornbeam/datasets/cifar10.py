"""CIFAR-10: 60,000 small photographs of ten kinds of things (Krizhevsky 2009)."""

from __future__ import annotations

from hornbeam.datasets.images import Split, load_cifar10


def load_data() -> tuple[Split, Split]:
    """`(x_train, y_train), (x_test, y_test)`: images uint8 (50000 and 10000, 32, 32, 3), labels (n, 1).

    Airplane, automobile, bird, cat, deer, dog, frog, horse, ship, truck. Downloaded once (170 MB); the
    pickles inside are read by a reader that can only build arrays. Channels come first if `image_data_format`
    says so. Raises DownloadError without network.

    >>> (x_train, y_train), (x_test, y_test) = hornbeam.datasets.cifar10.load_data()  # doctest: +SKIP
    """
    return load_cifar10()
