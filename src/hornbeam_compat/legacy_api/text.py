"""`keras.preprocessing.text` of Keras 2: words as integers."""

from __future__ import annotations

import collections
import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal

import numpy as np

REPLACEMENTS = {
    "Tokenizer": "keras.layers.TextVectorization",
    "hashing_trick": "keras.layers.Hashing",
    "one_hot": "keras.layers.Hashing",
    "text_to_word_sequence": "keras.layers.TextVectorization",
}
__all__ = ["Tokenizer", "hashing_trick", "one_hot", "text_to_word_sequence"]

_FILTERS = '!"#$%&()*+,-./:;<=>?@[\\]^_`{|}~\t\n'


def text_to_word_sequence(
    text: str, filters: str = _FILTERS, lower: bool = True, split: str = " "
) -> list[str]:
    """Split a text into words.

    Args:
        text: The text.
        filters: Characters that separate words as `split` does.
        lower: True to convert the text to lower case.
        split: Separator of words.

    Returns:
        List of the words.
    """
    text = text.lower() if lower else text
    return [word for word in text.translate({ord(c): split for c in filters}).split(split) if word]


def hashing_trick(
    text: str, n: int, hash_function: Callable[[str], int] | Literal["md5"] | None = None,
    filters: str = _FILTERS, lower: bool = True, split: str = " ",
) -> list[int]:  # fmt: skip
    """Hash the words of a text to integers from 1 to n - 1.

    Args:
        text: The text.
        n: Number of buckets, of which 0 stays unused.
        hash_function: "md5", a function from str to int, or None for Python's `hash`.
        filters: Characters that separate words as `split` does.
        lower: True to convert the text to lower case.
        split: Separator of words.

    Returns:
        List of integers, one a word.
    """
    hash_word = _md5 if hash_function == "md5" else hash_function or hash
    return [hash_word(word) % (n - 1) + 1 for word in text_to_word_sequence(text, filters, lower, split)]


def _md5(word: str) -> int:
    return int(hashlib.md5(word.encode(), usedforsecurity=False).hexdigest(), 16)


def one_hot(text: str, n: int, filters: str = _FILTERS, lower: bool = True, split: str = " ") -> list[int]:
    """Hash the words of a text by Python's `hash`; see `hashing_trick`."""
    return hashing_trick(text, n, None, filters, lower, split)


class Tokenizer:
    """Vocabulary of the texts that it is fitted on. The most frequent word has the integer 1.

    Args:
        num_words: Integer; results contain only words whose integer is below it. None for all words.
        filters: Characters that separate words as `split` does.
        lower: True to convert texts to lower case.
        split: Separator of words.
        char_level: True for characters instead of words.
        oov_token: Word with the integer 1, which replaces words outside of the vocabulary. None omits them.
        **kwargs: `nb_words`, the name of `num_words` in Keras 1.
    """

    def __init__(
        self, num_words: int | None = None, filters: str = _FILTERS, lower: bool = True, split: str = " ",
        char_level: bool = False, oov_token: str | None = None, **kwargs: int,
    ) -> None:  # fmt: skip
        self.num_words = kwargs.pop("nb_words", num_words)
        self.filters, self.lower, self.split = filters, lower, split
        self.char_level, self.oov_token = char_level, oov_token
        self.word_counts: dict[str, int] = collections.OrderedDict()
        self.word_docs: dict[str, int] = collections.defaultdict(int)
        self.word_index: dict[str, int] = {}
        self.index_word: dict[int, str] = {}
        self.document_count = 0

    def _words(self, text: str | list[str] | tuple[str, ...]) -> Sequence[str]:
        if isinstance(text, (list, tuple)):
            return [word.lower() for word in text] if self.lower else text
        if self.char_level:
            return list(text.lower() if self.lower else text)
        return text_to_word_sequence(text, self.filters, self.lower, self.split)

    def fit_on_texts(self, texts: Iterable[Any]) -> None:
        """Count the words of texts, and assign integers by frequency."""
        for text in texts:
            self.document_count += 1
            words = self._words(text)
            for word in words:
                self.word_counts[word] = self.word_counts.get(word, 0) + 1
            for word in set(words):
                self.word_docs[word] += 1
        by_count = sorted(self.word_counts, key=lambda word: -self.word_counts[word])
        vocabulary = by_count if self.oov_token is None else [self.oov_token, *by_count]
        self.word_index = {word: index for index, word in enumerate(vocabulary, 1)}
        self.index_word = {index: word for word, index in self.word_index.items()}

    def texts_to_sequences(self, texts: Iterable[Any]) -> list[list[int]]:
        """Convert texts to lists of integers."""
        return list(self.texts_to_sequences_generator(texts))

    def texts_to_sequences_generator(self, texts: Iterable[Any]) -> Iterator[list[int]]:
        """Yield the list of integers of each text."""
        oov_index = self.word_index.get(self.oov_token) if self.oov_token is not None else None
        for text in texts:
            indices = (self.word_index.get(word) for word in self._words(text))
            limited = (
                n if n is None or self.num_words is None or n < self.num_words else None for n in indices
            )
            yield [n for n in (oov_index if n is None else n for n in limited) if n is not None]

    def sequences_to_texts(self, sequences: Iterable[Sequence[int]]) -> list[str]:
        """Convert lists of integers to texts, without unknown integers."""
        return [
            " ".join(self.index_word[int(n)] for n in indices if int(n) in self.index_word)
            for indices in sequences
        ]

    def texts_to_matrix(self, texts: Iterable[Any], mode: str = "binary") -> np.ndarray:
        """Convert texts to a matrix of words; see `sequences_to_matrix`."""
        return self.sequences_to_matrix(self.texts_to_sequences(texts), mode)

    def sequences_to_matrix(self, sequences: Sequence[Sequence[int]], mode: str = "binary") -> np.ndarray:
        """Convert lists of integers to a matrix with a row for each text and a column for each word.

        Args:
            sequences: Lists of integers.
            mode: "binary" for 1 where a word occurs, "count" for the number of its occurrences, "freq" for
                that number divided by the length of the text.

        Returns:
            Array of shape (texts, words).

        Raises:
            ValueError: If `mode` is unknown.
        """
        if mode not in ("binary", "count", "freq"):
            raise ValueError(f'mode must be "binary", "count" or "freq", got {mode!r}')
        width = self.num_words or len(self.word_index) + 1
        matrix = np.zeros((len(sequences), width))
        for row, indices in zip(matrix, sequences, strict=True):
            np.add.at(row, [n for n in indices if n < width], 1)
            if mode == "binary":
                row[row > 0] = 1
            elif mode == "freq" and len(indices):
                row /= len(indices)
        return matrix
