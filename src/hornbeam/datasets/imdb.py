"""IMDB: 50,000 film reviews, positive or negative (Maas et al. 2011).

https://ai.stanford.edu/~amaas/data/sentiment/
"""

from __future__ import annotations

import numpy as np

from hornbeam._internal.lazy_imports import explain_missing
from hornbeam.datasets import texts
from hornbeam.datasets.images import Split

__all__ = ["get_word_index", "load_data"]

_SHA256 = "69664113be75683a8fe16e3ed0ab59fda8886cb3cd7ada244f7d9544e4676b9f"


def load_data(
    path: str = "imdb.npz",
    num_words: int | None = None,
    skip_top: int = 0,
    maxlen: int | None = None,
    seed: int = 113,
    start_char: int | None = 1,
    oov_char: int | None = 2,
    index_from: int = 3,
) -> tuple[Split, Split]:
    """Load the dataset, downloaded once (17 MB).

    Args:
        path: Name of the file in the cache, or its absolute path.
        num_words: Words with numbers of at least `num_words` are replaced by `oov_char`; None for no limit.
        skip_top: Words with numbers below `skip_top` are replaced by `oov_char`.
        maxlen: Only reviews with fewer words are returned; None for all.
        seed: Seed of the order.
        start_char: Number at the beginning of each review, None for none.
        oov_char: Number for words outside of [skip_top, num_words); None drops them.
        index_from: Added to the numbers of `get_word_index`.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: object arrays of lists of word numbers, labels 0 (negative)
        and 1 (positive).

    Raises:
        DownloadError: Without network.
        ValueError: If no review is shorter than `maxlen`.

    Example:
        >>> (x_train, y_train), _ = hornbeam.datasets.imdb.load_data(num_words=10000)  # doctest: +SKIP
    """
    data = texts.load(texts.fetch("imdb.npz", path, _SHA256))
    random = np.random.RandomState(seed)
    parts = []
    for part in ("train", "test"):
        reviews, labels = texts.shuffle(data[f"x_{part}"], data[f"y_{part}"], random)
        reviews = texts.add_start(reviews, start_char, index_from)
        parts.append(texts.select_shorter(reviews, labels, maxlen))
    (train, train_labels), (test, test_labels) = parts
    both = texts.limit_words([*train, *test], num_words, skip_top, oov_char)
    return texts.as_split(both[: len(train)], train_labels), texts.as_split(both[len(train) :], test_labels)


def get_word_index(path: str = "imdb_word_index.json") -> dict[str, int]:
    """Return the number of each word, by frequency from 1; `load_data` adds `index_from` to it.

    Args:
        path: Name of the file in the cache, or its absolute path.

    Example:
        >>> index = hornbeam.datasets.imdb.get_word_index()  # doctest: +SKIP
        >>> words = {number + 3: word for word, number in index.items()}  # doctest: +SKIP
    """
    return texts.word_index("imdb_word_index.json", path, "bfafd718b763782e994055a2d397834f")


explain_missing(__name__)
