"""Datasets to learn with: MNIST is inside the package, the others are downloaded once and verified.

Downloads are stored where Keras stores them (`$KERAS_HOME` or ~/.keras, in `datasets`), so files that Keras
has downloaded are used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hornbeam._internal.lazy_imports import attach

_MODULES = (
    "boston_housing",
    "california_housing",
    "cifar10",
    "cifar100",
    "fashion_mnist",
    "imdb",
    "mnist",
    "reuters",
)

if TYPE_CHECKING:
    from hornbeam.datasets import boston_housing as boston_housing
    from hornbeam.datasets import california_housing as california_housing
    from hornbeam.datasets import cifar10 as cifar10
    from hornbeam.datasets import cifar100 as cifar100
    from hornbeam.datasets import fashion_mnist as fashion_mnist
    from hornbeam.datasets import imdb as imdb
    from hornbeam.datasets import mnist as mnist
    from hornbeam.datasets import reuters as reuters

if not TYPE_CHECKING:  # there, `__getattr__` would let misspelled names pass
    __getattr__, __dir__, __all__ = attach(__name__, modules=_MODULES)
