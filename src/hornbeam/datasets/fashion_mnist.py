"""Fashion-MNIST: 70,000 images of clothes, a harder MNIST (Xiao et al. 2017).

https://arxiv.org/abs/1708.07747
"""

from __future__ import annotations

from hornbeam._internal.lazy_imports import explain_missing
from hornbeam.datasets.images import Split, load_fashion_mnist

__all__ = ["load_data"]


def load_data() -> tuple[Split, Split]:
    """Load the dataset, downloaded once (30 MB).

    The classes are T-shirt, trouser, pullover, dress, coat, sandal, shirt, sneaker, bag, ankle boot.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: images uint8 (60000 and 10000, 28, 28), labels 0 ... 9.

    Raises:
        DownloadError: Without network.

    Example:
        >>> (x_train, y_train), _ = hornbeam.datasets.fashion_mnist.load_data()  # doctest: +SKIP
    """
    return load_fashion_mnist()


explain_missing(__name__)
