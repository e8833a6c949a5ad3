"""Texts to download, as lists of word numbers: IMDB reviews and Reuters newswires."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from hornbeam.datasets.files import get_file
from hornbeam.datasets.images import GOOGLE, Split
from hornbeam.datasets.pickles import load_npz

Texts = list[list[int]]


def fetch(name: str, path: str, checksum: str) -> str:
    """Local path of one of Google's copies of Keras's data sets."""
    return get_file(path, GOOGLE + name, file_hash=checksum)


def word_index(name: str, path: str, md5: str) -> dict[str, int]:
    """Word -> number (from 1 on, by frequency; `index_from` is added to it in the texts)."""
    return json.loads(Path(fetch(name, path, md5)).read_text(encoding="utf-8"))


def load(path: str) -> dict[str, np.ndarray]:
    """The arrays of an archive, lists included, read without a full pickle."""
    return load_npz(path)


def shuffled(
    texts: np.ndarray, labels: np.ndarray, random: np.random.RandomState
) -> tuple[Texts, np.ndarray]:
    """Texts and labels in a new order, which is Keras's for the same generator."""
    order = np.arange(len(texts))
    random.shuffle(order)
    return [list(texts[i]) for i in order], np.asarray(labels)[order]


def marked(texts: Texts, start_char: int | None, index_from: int) -> Texts:
    """Word numbers raised by `index_from`, behind a mark of the start."""
    start = [] if start_char is None else [start_char]
    return [[*start, *(word + (index_from or 0) for word in text)] for text in texts]


def shorter(texts: Texts, labels: np.ndarray, maxlen: int | None) -> tuple[Texts, np.ndarray]:
    """Only texts of fewer than `maxlen` words. Raises ValueError if none is left."""
    if not maxlen:
        return texts, labels
    kept = [i for i, text in enumerate(texts) if len(text) < maxlen]
    if not kept:
        raise ValueError(f"no text has fewer than maxlen={maxlen} words")
    return [texts[i] for i in kept], labels[kept]


def limited(texts: Texts, num_words: int | None, skip_top: int, oov_char: int | None) -> Texts:
    """Words outside of [skip_top, num_words) replaced by `oov_char`, or dropped if that is None."""
    # Without a limit Keras takes the largest number itself as the limit, so that it is replaced as well.
    top = num_words or max(max(text) for text in texts)
    if oov_char is None:
        return [[word for word in text if skip_top <= word < top] for text in texts]
    return [[word if skip_top <= word < top else oov_char for word in text] for text in texts]


def as_split(texts: Texts, labels: np.ndarray) -> Split:
    """An object array of lists, as Keras gives, and the labels."""
    array = np.empty(len(texts), dtype=object)
    array[:] = texts
    return array, labels
