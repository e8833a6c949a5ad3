"""`keras.preprocessing.text`: words as whole numbers."""

from __future__ import annotations

import collections
import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

NAMES = {
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
    """The words of a text; characters in `filters` separate them."""
    text = text.lower() if lower else text
    return [word for word in text.translate({ord(c): split for c in filters}).split(split) if word]


def hashing_trick(
    text: str,
    n: int,
    hash_function: Any = None,
    filters: str = _FILTERS,
    lower: bool = True,
    split: str = " ",
) -> list[int]:
    """Numbers from 1 to n - 1 that words hash to. hash_function: "md5", or a function of a string."""
    number: Callable[[str], int] = hash if hash_function is None else hash_function
    if hash_function == "md5":
        number = _md5
    return [number(word) % (n - 1) + 1 for word in text_to_word_sequence(text, filters, lower, split)]


def _md5(word: str) -> int:
    return int(hashlib.md5(word.encode(), usedforsecurity=False).hexdigest(), 16)


def one_hot(text: str, n: int, filters: str = _FILTERS, lower: bool = True, split: str = " ") -> list[int]:
    """`hashing_trick` by Python's hash."""
    return hashing_trick(text, n, None, filters, lower, split)


class Tokenizer:
    """Numbers words by how often they occur in the texts it is fitted on: the most frequent is 1.

    num_words: only words with numbers below it are kept in what is made of texts. char_level: characters
    instead of words. oov_token: stands, with number 1, for words that are not known.
    """

    def __init__(
        self,
        num_words: int | None = None,
        filters: str = _FILTERS,
        lower: bool = True,
        split: str = " ",
        char_level: bool = False,
        oov_token: str | None = None,
        **kwargs: Any,
    ) -> None:
        self.num_words = kwargs.pop("nb_words", num_words)
        self.filters, self.lower, self.split = filters, lower, split
        self.char_level, self.oov_token = char_level, oov_token
        self.word_counts: dict[str, int] = collections.OrderedDict()
        self.word_docs: dict[str, int] = collections.defaultdict(int)
        self.word_index: dict[str, int] = {}
        self.index_word: dict[int, str] = {}
        self.document_count = 0

    def _words(self, text: Any) -> Sequence[str]:
        if isinstance(text, (list, tuple)):
            return [word.lower() for word in text] if self.lower else text
        if self.char_level:
            return list(text.lower() if self.lower else text)
        return text_to_word_sequence(text, self.filters, self.lower, self.split)

    def fit_on_texts(self, texts: Iterable[Any]) -> None:
        """Count the words and number them."""
        for text in texts:
            self.document_count += 1
            words = self._words(text)
            for word in words:
                self.word_counts[word] = self.word_counts.get(word, 0) + 1
            for word in set(words):
                self.word_docs[word] += 1
        ordered = sorted(self.word_counts, key=lambda word: -self.word_counts[word])
        known = ordered if self.oov_token is None else [self.oov_token, *ordered]
        self.word_index = {word: number for number, word in enumerate(known, 1)}
        self.index_word = {number: word for word, number in self.word_index.items()}

    def texts_to_sequences(self, texts: Iterable[Any]) -> list[list[int]]:
        """The numbers of each text's words."""
        return list(self.texts_to_sequences_generator(texts))

    def texts_to_sequences_generator(self, texts: Iterable[Any]) -> Iterator[list[int]]:
        """As `texts_to_sequences`, one by one."""
        unknown = self.word_index.get(self.oov_token) if self.oov_token is not None else None
        for text in texts:
            numbers = (self.word_index.get(word) for word in self._words(text))
            limited = (
                n if n is None or self.num_words is None or n < self.num_words else None for n in numbers
            )
            yield [n for n in (unknown if n is None else n for n in limited) if n is not None]

    def sequences_to_texts(self, sequences: Iterable[Sequence[int]]) -> list[str]:
        """Texts out of numbers; those without a word are left out."""
        return [
            " ".join(self.index_word[int(n)] for n in numbers if int(n) in self.index_word)
            for numbers in sequences
        ]

    def texts_to_matrix(self, texts: Iterable[Any], mode: str = "binary") -> np.ndarray:
        """`sequences_to_matrix` of the texts."""
        return self.sequences_to_matrix(self.texts_to_sequences(texts), mode)

    def sequences_to_matrix(self, sequences: Sequence[Sequence[int]], mode: str = "binary") -> np.ndarray:
        """A row for each sequence, a column for each word: 1 where it occurs ("binary"), how often ("count"),
        or its share ("freq").
        """
        if mode not in ("binary", "count", "freq"):
            raise ValueError(f'mode is "binary", "count" or "freq", got {mode!r}')
        width = self.num_words or len(self.word_index) + 1
        made = np.zeros((len(sequences), width))
        for row, numbers in zip(made, sequences, strict=True):
            np.add.at(row, [n for n in numbers if n < width], 1)
            if mode == "binary":
                row[row > 0] = 1
            elif mode == "freq" and len(numbers):
                row /= len(numbers)
        return made
