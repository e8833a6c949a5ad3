"""CIFAR-100: 60,000 small photographs of 100 kinds of things in 20 groups (Krizhevsky 2009)."""

from __future__ import annotations

from hornbeam.datasets.images import Split, load_cifar100


def load_data(label_mode: str = "fine") -> tuple[Split, Split]:
    """`(x_train, y_train), (x_test, y_test)`: images uint8 (50000 and 10000, 32, 32, 3), labels (n, 1).

    label_mode: "fine" for 100 classes, "coarse" for 20. Downloaded once (170 MB); the pickles inside are read
    by a reader that can only build arrays. Raises DownloadError without network.

    >>> (x_train, y_train), (x_test, y_test) = hornbeam.datasets.cifar100.load_data()  # doctest: +SKIP
    """
    return load_cifar100(label_mode)
