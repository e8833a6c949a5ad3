"""`StringLookup`: strings as whole numbers, by a vocabulary, and back."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from hornbeam.core.convert import as_tensor
from hornbeam.core.registry import exported
from hornbeam.core.tensor import Tensor
from hornbeam.layers.preprocessing.host import (
    as_bytes,
    encode_array,
    encode_rows,
    object_array,
    text_of,
    token_bytes,
)
from hornbeam.layers.preprocessing.index_lookup import IndexLookup, buckets

# The index of what only vectors leave out.
NOWHERE = np.iinfo(np.int64).max


@exported("keras.layers")
class StringLookup(IndexLookup):
    """Strings as indices into a vocabulary: y = place of x in it, or one of the indices of unknown strings.

    Indices: 0 is `mask_token` (if there is one and output_mode="int"), then num_oov_indices for unknown
    strings (several are told apart by their FarmHash, or with a salt by their SipHash), then the vocabulary.
    vocabulary: a list, an array, or the path of a file with one token a line; else `adapt(data)` finds it,
    the most frequent max_tokens first.
    output_mode: "int"; "one_hot", "multi_hot" (which tokens occur in a row), "count" (how often), "tf_idf"
    (how often, times idf_weights). pad_to_max_tokens: vectors have max_tokens entries. invert=True: indices
    to strings. encoding: of bytes that come in.

    x: arrays or lists of str or bytes of any shape -> int64 of the same shape, or vectors in place of the
    last axis. The layer runs on the host, in NumPy: a model runs it before its compiled part.

    Raises ValueError without a vocabulary, for unknown strings with num_oov_indices=0, and for vocabularies
    that repeat tokens or are too long; HornbeamTypeError for numbers.

    >>> layer = hornbeam.layers.StringLookup(vocabulary=["cat", "dog"])
    >>> np.asarray(layer(["dog", "cow", "cat"])).tolist()
    [2, 0, 1]
    """

    def __init__(
        self,
        max_tokens: int | None = None,
        num_oov_indices: int = 1,
        mask_token: str | None = None,
        oov_token: str = "[UNK]",
        vocabulary: Any = None,
        idf_weights: Any = None,
        invert: bool = False,
        output_mode: str = "int",
        pad_to_max_tokens: bool = False,
        sparse: bool = False,
        encoding: str = "utf-8",
        name: str | None = None,
        salt: Any = None,
        **kwargs: Any,
    ) -> None:
        self._encoding = encoding
        super().__init__(
            max_tokens,
            num_oov_indices,
            mask_token,
            oov_token,
            vocabulary=vocabulary,
            idf_weights=idf_weights,
            invert=invert,
            output_mode=output_mode,
            sparse=sparse,
            pad_to_max_tokens=pad_to_max_tokens,
            salt=salt,
            name=name,
            **kwargs,
        )
        self.encoding = encoding

    def _read(self, values: Any) -> np.ndarray:
        return as_bytes(values, self.describe(), self._encoding)

    def _token(self, key: Any) -> str:
        return text_of(key)

    def _key(self, token: Any) -> bytes:
        return token_bytes(token, type(self).__name__, self._encoding)

    @property
    def output_dtype(self) -> str:
        return "string" if self.invert else super().output_dtype

    def call(self, inputs: Any) -> Any:
        vocabulary = self._require_vocabulary()
        if self.invert:
            return self._inverted(vocabulary.tokens, inputs)
        tokens = self._read(inputs)
        found = self.indices(tokens.reshape(-1).tolist()).reshape(tokens.shape)
        return as_tensor(found) if self.output_mode == "int" else self.vectors(found)

    def vectors(self, found: np.ndarray) -> Tensor:
        """Vectors for an array of indices."""
        return as_tensor(encode_array(found, self._depth, *self._how()))

    def rows(self, values: np.ndarray, rows: np.ndarray, count: int) -> Tensor:
        """Vectors for rows of tokens of different numbers, given by the tokens' indices and rows."""
        return as_tensor(encode_rows(values, rows, count, self._depth, *self._how()))

    def _how(self) -> tuple[str, np.ndarray | None]:
        return ("count", self.idf_weights) if self.output_mode == "tf_idf" else (self.output_mode, None)

    def indices(self, tokens: list[bytes]) -> np.ndarray:
        """The index of every token, int64."""
        table = self._table()
        found = np.fromiter(map(table.get, tokens, itertools.repeat(-1)), np.int64, len(tokens))
        unknown = np.flatnonzero(found == -1)
        if not len(unknown):
            return found
        strangers = [tokens[place] for place in unknown]
        if self.num_oov_indices == 0:
            self._refuse_unknown(strangers)
        if self.num_oov_indices == 1:
            found[unknown] = self._oov_start
        else:
            found[unknown] = self._oov_start + buckets(strangers, self.num_oov_indices, self.salt)
        return found

    def _table(self) -> dict[bytes, int]:
        vocabulary = self._require_vocabulary()
        known = self.__dict__.get("_tables")
        if known is None or known.vocabulary is not vocabulary:
            table = vocabulary.table(self._token_start, self._key)
            if self.mask_token is not None:
                table[self._key(self.mask_token)] = 0 if self.output_mode == "int" else NOWHERE
            known = self._tables = _Table(vocabulary, table)
        return known.table

    def _inverted(self, tokens: tuple[str, ...], inputs: Any) -> np.ndarray:
        indices = np.asarray(inputs)
        if indices.dtype.kind not in "iu":
            raise ValueError(
                f"{self.describe()}: invert=True takes whole numbers, it got {indices.dtype}: take the "
                "argmax of probabilities first"
            )
        start = self._token_start
        found = [
            tokens[index - start] if 0 <= index - start < len(tokens) else self.oov_token
            for index in indices.reshape(-1).tolist()
        ]
        made = object_array(found, indices.shape)
        if self.mask_token is not None:
            made[indices == 0] = self.mask_token
        return made

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "encoding": self.encoding}


class _Table:
    """The look-up table of a vocabulary; one object, so that tracking need not look into it."""

    def __init__(self, vocabulary: Any, table: dict[bytes, int]) -> None:
        self.vocabulary = vocabulary
        self.table = table
