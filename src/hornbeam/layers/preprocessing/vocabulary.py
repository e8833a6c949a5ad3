"""The vocabulary of a lookup layer: which tokens there are, in what order, and how they are found in data."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np


class Vocabulary:
    """Tokens in the order of their indices, without mask and out-of-vocabulary tokens. Never changed.

    One object, so that what looks through a layer's attributes need not look through a hundred thousand
    words.
    """

    def __init__(self, tokens: Iterable[Any]) -> None:
        self.tokens: tuple[Any, ...] = tuple(tokens)

    def __len__(self) -> int:
        return len(self.tokens)

    def table(self, start: int, key: Any = None) -> dict[Any, int]:
        """From token to index, of which `start` is the first; `key` makes of a token what is looked up."""
        keys = self.tokens if key is None else map(key, self.tokens)
        return {token: index for index, token in enumerate(keys, start)}


class TokenCounts:
    """How often tokens occur in data, and in how many documents."""

    def __init__(self) -> None:
        self.tokens: Counter = Counter()
        self.documents: Counter = Counter()
        self.total = 0

    def add(self, rows: Sequence[Sequence[Any]], documents: bool) -> None:
        """Count the tokens of rows, and with `documents` also the rows that hold them."""
        for row in rows:
            self.tokens.update(row)
        if documents:
            self.total += len(rows)
            for row in rows:
                self.documents.update(set(row))

    def most_common(self, number: int | None, without: Iterable[Any]) -> list[Any]:
        """Tokens, the most frequent first; of equally frequent ones, the last in the order of their values
        comes first, as in Keras.
        """
        left_out = set(without)
        found = [pair for pair in self.tokens.items() if pair[0] not in left_out]
        found.sort(key=lambda pair: (pair[1], pair[0]), reverse=True)
        return [token for token, _ in found[:number]]

    def inverse_document_frequency(self, tokens: Sequence[Any]) -> np.ndarray:
        """log(1 + documents / (1 + documents with the token)) for each token."""
        return np.array(
            [math.log(1 + self.total / (1 + self.documents[token])) for token in tokens], np.float32
        )


def repeated(tokens: Sequence[Any]) -> list[Any]:
    """The tokens that stand in a list more than once."""
    if len(set(tokens)) == len(tokens):
        return []
    return [token for token, count in Counter(tokens).items() if count > 1]
