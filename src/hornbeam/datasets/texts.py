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
    """Return the local path of a file of Keras's datasets at Google, downloaded if missing."""
    return get_file(path, GOOGLE + name, file_hash=checksum)


def word_index(name: str, path: str, md5: str) -> dict[str, int]:
    """Return the number of each word (from 1, by frequency; texts have `index_from` added)."""
    return json.loads(Path(fetch(name, path, md5)).read_text(encoding="utf-8"))


def load(path: str) -> dict[str, np.ndarray]:
    """Return the arrays of an archive, including lists, read without a full unpickler."""
    return load_npz(path)


def shuffle(texts: np.ndarray, labels: np.ndarray, random: np.random.RandomState) -> tuple[Texts, np.ndarray]:
    """Shuffle texts and labels, in Keras's order for the same generator."""
    order = np.arange(len(texts))
    random.shuffle(order)
    return [list(texts[i]) for i in order], np.asarray(labels)[order]


def add_start(texts: Texts, start_char: int | None, index_from: int) -> Texts:
    """Add `index_from` to word numbers, and `start_char` at the beginning."""
    start = [] if start_char is None else [start_char]
    return [[*start, *(word + (index_from or 0) for word in text)] for text in texts]


def select_shorter(texts: Texts, labels: np.ndarray, maxlen: int | None) -> tuple[Texts, np.ndarray]:
    """Return the texts of fewer than `maxlen` words. Raises ValueError if none is left."""
    if not maxlen:
        return texts, labels
    rows = [i for i, text in enumerate(texts) if len(text) < maxlen]
    if not rows:
        raise ValueError(f"no text has fewer than maxlen={maxlen} words")
    return [texts[i] for i in rows], labels[rows]


def limit_words(texts: Texts, num_words: int | None, skip_top: int, oov_char: int | None) -> Texts:
    """Replace words outside of [skip_top, num_words) by `oov_char`, or drop them if that is None."""
    # Without num_words Keras's limit is the largest number, so that it is replaced as well.
    top = num_words or max(max(text) for text in texts)
    if oov_char is None:
        return [[word for word in text if skip_top <= word < top] for text in texts]
    return [[word if skip_top <= word < top else oov_char for word in text] for text in texts]


def as_split(texts: Texts, labels: np.ndarray) -> Split:
    """Return an object array of lists, as Keras does, and the labels."""
    array = np.empty(len(texts), dtype=object)
    array[:] = texts
    return array, labels
