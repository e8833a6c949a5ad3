"""Vocabularies of lookup layers: tokens in order, and their counts in data."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np


class Vocabulary:
    """Tokens in the order of their indices, without mask and out-of-vocabulary tokens. Immutable.

    One object, so that attribute tracking does not search a hundred thousand words.
    """

    def __init__(self, tokens: Iterable[Any]) -> None:
        self.tokens: tuple[Any, ...] = tuple(tokens)

    def __len__(self) -> int:
        return len(self.tokens)

    def table(self, start: int, key: Any = None) -> dict[Any, int]:
        """Return a dict from key to index, of which `start` is the first. `key` converts tokens to keys."""
        keys = self.tokens if key is None else map(key, self.tokens)
        return {token: index for index, token in enumerate(keys, start)}


class TokenCounts:
    """Number of occurrences of tokens in data, and of documents that contain them."""

    def __init__(self) -> None:
        self.tokens: Counter[Any] = Counter()
        self.documents: Counter[Any] = Counter()
        self.total = 0

    def add(self, rows: Sequence[Sequence[Any]], documents: bool) -> None:
        """Count the tokens of rows, and with `documents` also the rows that contain them."""
        for row in rows:
            self.tokens.update(row)
        if documents:
            self.total += len(rows)
            for row in rows:
                self.documents.update(set(row))

    def most_common(self, number: int | None, excluded: Iterable[Any]) -> list[Any]:
        """Return the most frequent tokens first; equally frequent ones in descending order, as in Keras."""
        excluded_tokens = set(excluded)
        pairs = [pair for pair in self.tokens.items() if pair[0] not in excluded_tokens]
        pairs.sort(key=lambda pair: (pair[1], pair[0]), reverse=True)
        return [token for token, _ in pairs[:number]]

    def inverse_document_frequency(self, tokens: Sequence[Any]) -> np.ndarray:
        """Compute log(1 + documents / (1 + documents with the token)) for each token."""
        return np.array(
            [math.log(1 + self.total / (1 + self.documents[token])) for token in tokens], np.float32
        )


def repeated(tokens: Sequence[Any]) -> list[Any]:
    """Return the tokens that occur more than once."""
    if len(set(tokens)) == len(tokens):
        return []
    return [token for token, count in Counter(tokens).items() if count > 1]
