"""Reuters: 11,228 newswires of 1987 in 46 topics."""

from __future__ import annotations

import numpy as np

from hornbeam._internal.lazy_imports import explain_missing
from hornbeam.datasets import texts
from hornbeam.datasets.images import Split

__all__ = ["get_label_names", "get_word_index", "load_data"]

_SHA256 = "d6586e694ee56d7a4e65172e12b3e987c03096cb01eab99753921ef915959916"
_TOPICS = (
    "cocoa grain veg-oil earn acq wheat copper housing money-supply coffee sugar trade reserves ship cotton "
    "carcass crude nat-gas cpi money-fx interest gnp meal-feed alum oilseed gold tin strategic-metal "
    "livestock retail ipi iron-steel rubber heat jobs lei bop zinc orange pet-chem dlr gas silver wpi hog "
    "lead"
)


def load_data(
    path: str = "reuters.npz",
    num_words: int | None = None,
    skip_top: int = 0,
    maxlen: int | None = None,
    test_split: float = 0.2,
    seed: int = 113,
    start_char: int | None = 1,
    oov_char: int | None = 2,
    index_from: int = 3,
) -> tuple[Split, Split]:
    """Load the dataset, downloaded once (2 MB).

    Args:
        path: Name of the file in the cache, or its absolute path.
        num_words: Words with numbers of at least `num_words` are replaced by `oov_char`; None for no limit.
        skip_top: Words with numbers below `skip_top` are replaced by `oov_char`.
        maxlen: Only newswires with fewer words are returned; None for all.
        test_split: Fraction of the newswires in the test set.
        seed: Seed of the order.
        start_char: Number at the beginning of each newswire, None for none.
        oov_char: Number for words outside of [skip_top, num_words); None drops them.
        index_from: Added to the numbers of `get_word_index`.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: object arrays of lists of word numbers, topics 0 ... 45.

    Raises:
        DownloadError: Without network.
        ValueError: If no newswire is shorter than `maxlen`.

    Example:
        >>> (x_train, y_train), _ = hornbeam.datasets.reuters.load_data(num_words=10000)  # doctest: +SKIP
    """
    data = texts.load(texts.fetch("reuters.npz", path, _SHA256))
    wires, labels = texts.shuffle(data["x"], data["y"], np.random.RandomState(seed))
    wires = texts.add_start(wires, start_char, index_from)
    wires, labels = texts.select_shorter(wires, labels, maxlen)
    wires = texts.limit_words(wires, num_words, skip_top, oov_char)
    cut = int(len(wires) * (1 - test_split))
    return texts.as_split(wires[:cut], labels[:cut]), texts.as_split(wires[cut:], labels[cut:])


def get_word_index(path: str = "reuters_word_index.json") -> dict[str, int]:
    """Return the number of each word, by frequency from 1; `load_data` adds `index_from` to it.

    Args:
        path: Name of the file in the cache, or its absolute path.

    Example:
        >>> index = hornbeam.datasets.reuters.get_word_index()  # doctest: +SKIP
    """
    return texts.word_index("reuters_word_index.json", path, "4d44cc38712099c9e383dc6e5f11a921")


def get_label_names() -> tuple[str, ...]:
    """Return the names of the 46 topics, in the order of their numbers.

    Example:
        >>> get_label_names()[3]
        'earn'
    """
    return tuple(_TOPICS.split())


explain_missing(__name__)
