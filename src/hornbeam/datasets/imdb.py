"""IMDB: 50,000 film reviews, praise or blame (Maas et al. 2011,
https://ai.stanford.edu/~amaas/data/sentiment/).
"""

from __future__ import annotations

import numpy as np

from hornbeam.datasets import texts
from hornbeam.datasets.images import Split

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
    """`(x_train, y_train), (x_test, y_test)`: lists of word numbers, labels 0 (blame) and 1 (praise).

    num_words, skip_top: words numbered outside of [skip_top, num_words) become `oov_char` (or go, if that is
        None).
    maxlen: only reviews with fewer words. seed: of the order. start_char: stands before each review.
    index_from: added to the numbers of `get_word_index`. Downloaded once (17 MB). Raises DownloadError
        without network.

    >>> (x_train, y_train), _ = hornbeam.datasets.imdb.load_data(num_words=10000)  # doctest: +SKIP
    """
    data = texts.load(texts.fetch("imdb.npz", path, _SHA256))
    random = np.random.RandomState(seed)
    parts = []
    for part in ("train", "test"):
        reviews, labels = texts.shuffled(data[f"x_{part}"], data[f"y_{part}"], random)
        parts.append(texts.shorter(texts.marked(reviews, start_char, index_from), labels, maxlen))
    (train, train_labels), (test, test_labels) = parts
    both = texts.limited([*train, *test], num_words, skip_top, oov_char)
    return texts.as_split(both[: len(train)], train_labels), texts.as_split(both[len(train) :], test_labels)


def get_word_index(path: str = "imdb_word_index.json") -> dict[str, int]:
    """Word -> number, by frequency from 1 on; `load_data` adds `index_from` to it.

    >>> words = {n + 3: word for word, n in hornbeam.datasets.imdb.get_word_index().items()}  # doctest: +SKIP
    """
    return texts.word_index("imdb_word_index.json", path, "bfafd718b763782e994055a2d397834f")
