"""`IntegerLookup`: whole numbers of any size as indices into a vocabulary, and back."""

from __future__ import annotations

from typing import Any

import numpy as np

from hornbeam import ops
from hornbeam.config import floatx
from hornbeam.core.registry import exported
from hornbeam.core.symbolic import sample_of
from hornbeam.core.tensor import Tensor
from hornbeam.layers.preprocessing.categories import encode
from hornbeam.layers.preprocessing.decimals import decimal_buckets
from hornbeam.layers.preprocessing.host import no_strings
from hornbeam.layers.preprocessing.index_lookup import IndexLookup


@exported("keras.layers")
class IntegerLookup(IndexLookup):
    """Whole numbers as indices into a vocabulary: y = place of x in it, or one of the indices of unknown
    ones.

    As StringLookup, with tokens that are whole numbers. Several indices for unknown numbers are told apart by
    x mod num_oov_indices, or with oov_method="farmhash" by the hash of the number's decimal digits (with a
    salt, its SipHash).

    x: whole numbers of any shape -> int64 of the same shape, or vectors in place of the last axis. Part of
    the graph, unless unknown numbers have to be refused: then it runs on the host, before it. A
    model that was run with one vocabulary has to be compiled again to see another.

    Raises ValueError without a vocabulary, for unknown numbers with num_oov_indices=0, and for vocabularies
    that repeat tokens or are too long; HornbeamTypeError for strings.

    >>> layer = hornbeam.layers.IntegerLookup(vocabulary=[12, 1138])
    >>> np.asarray(layer([1138, 7, 12])).tolist()
    [2, 0, 1]
    """

    takes_strings = False

    def __init__(
        self,
        max_tokens: int | None = None,
        num_oov_indices: int = 1,
        mask_token: int | None = None,
        oov_token: int = -1,
        vocabulary: Any = None,
        vocabulary_dtype: str = "int64",
        idf_weights: Any = None,
        invert: bool = False,
        output_mode: str = "int",
        sparse: bool = False,
        pad_to_max_tokens: bool = False,
        oov_method: str = "floormod",
        salt: Any = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        if vocabulary_dtype != "int64":
            raise ValueError(f'IntegerLookup: vocabulary_dtype must be "int64", got {vocabulary_dtype!r}')
        if salt is not None and oov_method != "farmhash":
            raise ValueError('IntegerLookup: a salt needs oov_method="farmhash"')
        self.vocabulary_dtype = vocabulary_dtype
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
            oov_method=oov_method,
            salt=salt,
            name=name,
            **kwargs,
        )

    @property
    def on_host(self) -> bool:
        return not self.invert and self.num_oov_indices == 0

    def _read(self, values: Any) -> np.ndarray:
        array = np.asarray(values.to_numpy() if hasattr(values, "to_numpy") else values)
        no_strings(array, self.describe())
        whole = array.astype(np.int64)
        if array.dtype.kind not in "biu" and not np.array_equal(whole, array):
            raise ValueError(f"{self.describe()} takes whole numbers, it got {sample_of(array)}")
        return whole

    def _key(self, token: Any) -> int:
        return token if type(token) is int else int(self._read(token))

    def _parsed(self, line: str) -> int:
        return int(line)

    def call(self, inputs: Any) -> Tensor:
        tokens = np.array(self._require_vocabulary().tokens, np.int64)
        x = ops.cast(self._read(inputs) if self.on_host else inputs, "int64")
        if self.invert:
            return self._inverted(tokens, x)
        found = self._unknown(x) if self.num_oov_indices else ops.full_like(x, -1)
        if len(tokens):
            order = np.argsort(tokens, kind="stable")
            place = ops.minimum(ops.searchsorted(tokens[order], ops.reshape(x, (-1,))), len(tokens) - 1)
            place = ops.reshape(place, x.shape)
            index = ops.take(order + self._token_start, place)
            found = ops.where(ops.take(tokens[order], place) == x, index, found)
        if self.mask_token is not None:
            found = ops.where(x == self.mask_token, 0 if self.output_mode == "int" else -2, found)
        if self.num_oov_indices == 0:
            self._check_known(np.asarray(x), np.asarray(found))
        return self._encoded(found)

    def _unknown(self, x: Tensor) -> Tensor:
        """Where a number goes that is not in the vocabulary."""
        hashed = self.num_oov_indices > 1 and self.oov_method == "farmhash"
        found = decimal_buckets(x, self.num_oov_indices, self.salt) if hashed else x % self.num_oov_indices
        return found + self._oov_start

    def _check_known(self, x: np.ndarray, found: np.ndarray) -> None:
        unknown = x[found == -1]
        if len(unknown):
            self._refuse_unknown(unknown.tolist())

    def _encoded(self, found: Tensor) -> Tensor:
        if self.output_mode == "int":
            return found
        if self.output_mode == "tf_idf":
            weights: Any = self.idf_weights
            return encode(found, self._depth, "count", floatx()) * ops.cast(weights, floatx())
        return encode(found, self._depth, self.output_mode, "int64")

    def _inverted(self, tokens: np.ndarray, x: Tensor) -> Tensor:
        place = x - self._token_start
        inside = ops.logical_and(place >= 0, place < len(tokens))
        found = ops.full_like(x, self.oov_token)
        if len(tokens):
            found = ops.where(inside, ops.take(tokens, ops.clip(place, 0, len(tokens) - 1)), found)
        return found if self.mask_token is None else ops.where(x == 0, self.mask_token, found)

    @property
    def output_dtype(self) -> str:
        return floatx() if self.output_mode == "tf_idf" else "int64"

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config["vocabulary_dtype"] = self.vocabulary_dtype
        return config
