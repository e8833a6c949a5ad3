"""Fashion-MNIST: 70,000 pictures of clothes, a harder MNIST (Xiao et al. 2017,
https://arxiv.org/abs/1708.07747).
"""

from __future__ import annotations

from hornbeam.datasets.images import Split, load_fashion_mnist


def load_data() -> tuple[Split, Split]:
    """`(x_train, y_train), (x_test, y_test)`: images uint8 (60000 and 10000, 28, 28), labels 0 ... 9.

    T-shirt, trouser, pullover, dress, coat, sandal, shirt, sneaker, bag, ankle boot. Downloaded once (30 MB).
    Raises DownloadError without network.

    >>> (x_train, y_train), (x_test, y_test) = hornbeam.datasets.fashion_mnist.load_data()  # doctest: +SKIP
    """
    return load_fashion_mnist()
