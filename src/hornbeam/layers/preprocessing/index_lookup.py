"""Base of StringLookup and IntegerLookup: a vocabulary, and indices for tokens out of it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from typing import Any

import numpy as np

from hornbeam._internal.typing import ArrayLike, ShapeTree, Tree
from hornbeam._internal.validation import check_choice, check_int
from hornbeam.config import floatx
from hornbeam.core.typing import Self
from hornbeam.layers.preprocessing._hashing.fingerprints import fingerprint64, siphash
from hornbeam.layers.preprocessing.adapting import adapt_to_tokens
from hornbeam.layers.preprocessing.host import HostLayer, check_sparse
from hornbeam.layers.preprocessing.vocabulary import TokenCounts, Vocabulary, repeated
from hornbeam.layers.tracking import Tracked

MODES = ("int", "one_hot", "multi_hot", "count", "tf_idf")
OOV_METHODS = ("floormod", "farmhash")
# Names in older versions of Keras.
_OLD_NAMES = {"binary": "multi_hot", "tf-idf": "tf_idf"}
VOCABULARY_FILE = "vocabulary.txt"


def output_mode_of(owner: str, mode: str) -> str:
    """Check the output mode and return its present name."""
    return check_choice("output_mode", _OLD_NAMES.get(mode, mode), MODES, where=owner)


def salt_of(owner: str, salt: int | Sequence[int] | None) -> list[int] | None:
    """Convert a salt to two integers."""
    if salt is None:
        return None
    numbers = [salt, salt] if isinstance(salt, int) else salt
    if not isinstance(numbers, (list, tuple)) or len(numbers) != 2:
        raise ValueError(f"{owner}: salt must be an integer or two of them, got {salt!r}")
    return [int(number) for number in numbers]


def buckets(tokens: Sequence[bytes], number: int, salt: list[int] | None) -> np.ndarray:
    """Map strings to bins, int64: by FarmHash, or with a salt by SipHash."""
    hashes = fingerprint64(tokens) if salt is None else siphash(tokens, salt)
    return (hashes % np.uint64(number)).astype(np.int64)


class IndexLookup(HostLayer):
    """Map tokens to indices: the mask token, then out-of-vocabulary indices, then the vocabulary."""

    # Long lists of scalars.
    _untracked = frozenset({"input_vocabulary", "input_idf_weights"})

    def __init__(
        self,
        max_tokens: int | None,
        num_oov_indices: int,
        mask_token: int | str | bytes | None,
        oov_token: int | str | bytes | None,
        vocabulary: str | ArrayLike | None = None,
        idf_weights: ArrayLike | None = None,
        invert: bool = False,
        output_mode: str = "int",
        sparse: bool = False,
        pad_to_max_tokens: bool = False,
        oov_method: str = "floormod",
        salt: int | Sequence[int] | None = None,
        name: str | None = None,
        vocabulary_size: int | None = None,
        has_input_vocabulary: bool | None = None,
        **kwargs: Any,
    ) -> None:
        owner = type(self).__name__
        # Configs have `trainable` and `dtype`, but there is nothing to train or to cast.
        layer_arguments = {key: value for key, value in kwargs.items() if key not in ("trainable", "dtype")}
        super().__init__(name=name, **layer_arguments)
        if max_tokens is not None:
            check_int("max_tokens", max_tokens, 2, where=owner)
        if pad_to_max_tokens and max_tokens is None:
            raise ValueError(f"{owner}: pad_to_max_tokens=True needs max_tokens")
        if num_oov_indices < 0:
            raise ValueError(f"{owner}: num_oov_indices must be at least 0, got {num_oov_indices}")
        self.max_tokens = max_tokens
        self.num_oov_indices = num_oov_indices
        self.mask_token = mask_token
        self.oov_token = oov_token
        self.output_mode = output_mode_of(owner, output_mode)
        if invert and self.output_mode != "int":
            raise ValueError(f'{owner}: invert=True needs output_mode="int", got {output_mode!r}')
        if idf_weights is not None and self.output_mode != "tf_idf":
            raise ValueError(f'{owner}: idf_weights need output_mode="tf_idf", got {output_mode!r}')
        self.invert = invert
        self.sparse = check_sparse(owner, sparse, self.output_mode)
        self.pad_to_max_tokens = pad_to_max_tokens
        self.oov_method = check_choice("oov_method", oov_method, OOV_METHODS, where=owner)
        self.salt = salt_of(owner, salt)
        if vocabulary is not None and not hasattr(vocabulary, "__len__"):
            raise TypeError(
                f"{owner}: vocabulary must be a list of tokens or the path of a file, got {vocabulary!r}"
            )
        self.input_vocabulary = None if isinstance(vocabulary, str) else _plain(vocabulary)
        self.input_idf_weights = _plain(idf_weights)
        self.idf_weights: np.ndarray | None = None
        self._fixed = vocabulary is not None if has_input_vocabulary is None else has_input_vocabulary
        # Configs of layers without a vocabulary have the size of the special tokens.
        self._frozen_size = None if vocabulary_size == self._token_start else vocabulary_size
        self._counts = TokenCounts()
        self._vocabulary: Vocabulary | None = None
        self.built = True
        if vocabulary is not None:
            self._frozen_size = None
            self.set_vocabulary(vocabulary, idf_weights)

    # -- tokens: strings or integers ---------------------------------------------------------------------

    def _read(self, values: Tree) -> np.ndarray:
        """Convert data to an array of keys, which are counted and looked up."""
        raise NotImplementedError

    def _token(self, key: Any) -> int | str:
        """Convert a key to a token of the vocabulary."""
        return key

    def _key(self, token: Any) -> int | bytes:
        """Convert a token of the vocabulary to a key."""
        return token

    # -- the vocabulary ----------------------------------------------------------------------------------

    @property
    def _oov_start(self) -> int:
        return 1 if self.mask_token is not None and self.output_mode == "int" else 0

    @property
    def _token_start(self) -> int:
        return self._oov_start + self.num_oov_indices

    def vocabulary_size(self) -> int:
        """Return the number of indices, those of the mask and of unknown tokens included."""
        return self._token_start + (0 if self._vocabulary is None else len(self._vocabulary))

    def get_vocabulary(self, include_special_tokens: bool = True) -> list[Any]:
        """Return the tokens in the order of their indices.

        Args:
            include_special_tokens: Whether mask and out-of-vocabulary tokens are included.
        """
        tokens = [] if self._vocabulary is None else list(self._vocabulary.tokens)
        return self._special_tokens() + tokens if include_special_tokens else tokens

    def _special_tokens(self) -> list[Any]:
        return [self.mask_token] * self._oov_start + [self.oov_token] * self.num_oov_indices

    def set_vocabulary(
        self, vocabulary: str | ArrayLike | None, idf_weights: ArrayLike | None = None
    ) -> None:
        """Set the vocabulary.

        Args:
            vocabulary: Tokens in a list or an array, or the path of a text file with one token a line. Mask
                and out-of-vocabulary tokens may be at the start, and only there.
            idf_weights: Weight of each token, for output_mode="tf_idf".

        Raises:
            ValueError: If tokens are repeated, special tokens are in the middle, tokens exceed `max_tokens`,
                or the number of weights is wrong.
        """
        if (self.output_mode == "tf_idf") != (idf_weights is not None):
            problem = "needs idf_weights" if idf_weights is None else "takes no idf_weights"
            raise ValueError(f"{self.describe()}: output_mode={self.output_mode!r} {problem}")
        entries = self._read_file(vocabulary) if isinstance(vocabulary, str) else _plain(vocabulary)
        if not entries:
            raise ValueError(f"{self.describe()}: the vocabulary is empty")
        entries = [self._token(self._key(token)) for token in entries]
        # A config may claim any number of special tokens: they are listed only if they can match.
        start = self._token_start
        has_special = 0 < start <= len(entries) and entries[:start] == self._special_tokens()
        tokens = entries[start:] if has_special else entries
        self._check_tokens(tokens)
        self._set_vocabulary(Vocabulary(tokens))
        if idf_weights is not None:
            self.idf_weights = self._pad_weights(np.asarray(idf_weights), len(entries), has_special)

    def _read_file(self, path: str) -> list[Any]:
        if not os.path.isfile(path):
            raise ValueError(f"{self.describe()}: the vocabulary file {path!r} does not exist")
        with open(path, encoding="utf-8") as file:
            return [self._parse_line(line) for line in file.read().splitlines()]

    def _parse_line(self, line: str) -> int | str:
        """Parse a token from a line of a vocabulary file."""
        return line

    def _check_tokens(self, tokens: list[Any]) -> None:
        duplicates = repeated(tokens)
        if duplicates:
            raise ValueError(
                f"{self.describe()}: the vocabulary repeats {', '.join(map(repr, duplicates[:5]))}"
            )
        special = [("mask", self.mask_token), ("out-of-vocabulary", self.oov_token if self.invert else None)]
        for kind, token in special:
            if token is not None and token in tokens:
                raise ValueError(
                    f"{self.describe()}: the {kind} token {token!r} is at {tokens.index(token)} in the "
                    "vocabulary. Omit special tokens, or start with exactly the mask token (if any) "
                    f"and {self.num_oov_indices} times {self.oov_token!r}"
                )
        size = self._token_start + len(tokens)
        if self.max_tokens is not None and size > self.max_tokens:
            raise ValueError(
                f"{self.describe()}: the vocabulary has {size} entries with the special ones, "
                f"but max_tokens is {self.max_tokens}"
            )

    def _set_vocabulary(self, vocabulary: Vocabulary) -> None:
        size = self._token_start + len(vocabulary)
        fixed = self.output_mode != "int" and not self.pad_to_max_tokens
        if fixed and self._frozen_size is not None and size != self._frozen_size:
            raise RuntimeError(
                f"{self.describe()}: outputs have {self._frozen_size} entries, on which following layers may "
                f"depend; the new vocabulary has {size}. Create a new layer, or use pad_to_max_tokens=True"
            )
        self._vocabulary = vocabulary
        self._frozen_size = size
        Tracked.changes += 1

    def _pad_weights(self, weights: np.ndarray, count: int, has_special: bool) -> np.ndarray:
        """Pad the weights at the start for special tokens, and at the end for unused indices."""
        if weights.shape != (count,):
            raise ValueError(
                f"{self.describe()}: idf_weights must be {count} numbers, one for each token, "
                f"got shape {weights.shape}"
            )
        front = 0 if has_special else self._token_start
        weights = np.pad(weights, (front, 0), constant_values=weights.mean())
        if self.pad_to_max_tokens and self.max_tokens is not None:
            weights = np.pad(weights, (0, self.max_tokens - len(weights)))
        return weights.astype(floatx())

    # -- adapting ----------------------------------------------------------------------------------------

    def adapt(self, data: ArrayLike | Iterable[ArrayLike], steps: int | None = None) -> None:
        """Compute the vocabulary from data: the most frequent tokens first, at most `max_tokens`.

        With output_mode="tf_idf" each row is a document.

        Args:
            data: Array, list or column of tokens, or an iterable of batches.
            steps: Number of batches to read, all by default.

        Raises:
            ValueError: If the vocabulary is fixed.
        """
        self._check_adaptable()
        adapt_to_tokens(self, data, steps)

    def _check_adaptable(self) -> None:
        if self._fixed:
            raise ValueError(f"{self.describe()} has a fixed vocabulary: adapt() has nothing to compute")

    def reset_state(self) -> None:
        """Discard the counts."""
        self._counts = TokenCounts()

    def update_state(self, data: ArrayLike | Iterable[ArrayLike]) -> None:
        """Count the tokens of a batch.

        Args:
            data: Array or list of tokens.
        """
        self._check_adaptable()
        tokens = self._read(data)
        self._count(tokens.reshape(1, -1) if tokens.ndim < 2 else tokens.reshape(len(tokens), -1))

    def _count(self, rows: Iterable[Any]) -> None:
        rows = [row.tolist() if isinstance(row, np.ndarray) else row for row in rows]
        self._counts.add(rows, self.output_mode == "tf_idf")

    def finalize_state(self) -> None:
        """Compute the vocabulary from the counts."""
        special = [self._key(token) for token in (self.mask_token, self.oov_token) if token is not None]
        number = None if self.max_tokens is None else max(self.max_tokens - self._token_start, 0)
        keys = self._counts.most_common(number, special)
        self._set_vocabulary(Vocabulary(map(self._token, keys)))
        if self.output_mode == "tf_idf":
            weights = self._counts.inverse_document_frequency(keys)
            self.idf_weights = self._pad_weights(weights, len(keys), False)
        self.reset_state()

    # -- calling -----------------------------------------------------------------------------------------

    def _require_vocabulary(self) -> Vocabulary:
        if self._vocabulary is None:
            raise ValueError(
                f"{self.describe()} has no vocabulary yet: call adapt(data) or set_vocabulary([...])"
            )
        return self._vocabulary

    @property
    def _depth(self) -> int:
        """Length of the output's vectors."""
        if self.pad_to_max_tokens and self.max_tokens is not None:
            return self.max_tokens
        if self._frozen_size is None:
            self._require_vocabulary()
        assert self._frozen_size is not None
        return self._frozen_size

    def _refuse_unknown(self, unknown: Sequence[Any]) -> None:
        shown = ", ".join(repr(self._token(key)) for key in list(dict.fromkeys(unknown))[:5])
        raise ValueError(
            f"{self.describe()}: {shown} is not in the vocabulary, "
            "and num_oov_indices=0 leaves no index for unknown tokens: use num_oov_indices=1"
        )

    def compute_output_shape(self, input_shape: ShapeTree) -> ShapeTree:
        """Return the input's shape; for vectors, the vocabulary's size replaces or follows the last axis.

        Args:
            input_shape: Sizes of the input.
        """
        shape = tuple(input_shape)
        if self.output_mode == "int":
            return shape
        if self.output_mode == "one_hot" and not (len(shape) > 1 and shape[-1] == 1):
            return (*shape, self._depth)
        return (*shape[:-1], self._depth)

    @property
    def output_dtype(self) -> str:
        return "int64" if self.output_mode == "int" else floatx()

    # -- configs and files -------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        return {
            **self._base_config(),
            "invert": self.invert,
            "max_tokens": self.max_tokens,
            "num_oov_indices": self.num_oov_indices,
            "oov_token": self.oov_token,
            "mask_token": self.mask_token,
            "output_mode": self.output_mode,
            "sparse": self.sparse,
            "pad_to_max_tokens": self.pad_to_max_tokens,
            "idf_weights": self.input_idf_weights,
            "vocabulary": self.input_vocabulary,
            "vocabulary_size": self._frozen_size,
            "oov_method": self.oov_method,
            "salt": self.salt,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        check_no_path(cls.__name__, config)
        return cls(**config)

    def save_own_variables(self, store: MutableMapping[str, np.ndarray]) -> None:
        """Save the weights of tf-idf.

        Args:
            store: Mapping that receives the arrays.
        """
        if self.idf_weights is not None:
            store["idf_weights"] = self.idf_weights

    def load_own_variables(self, store: Mapping[str, np.ndarray]) -> None:
        """Load the weights of tf-idf.

        Args:
            store: Mapping of the arrays.
        """
        if self.output_mode == "tf_idf" and "idf_weights" in store:
            self.idf_weights = np.asarray(store["idf_weights"], floatx())

    def asset_texts(self) -> dict[str, str]:
        """Return the texts that a model's file stores: the vocabulary, unless it is in the config."""
        if self.input_vocabulary is not None:
            return {}
        lines = [str(token) for token in self.get_vocabulary()]
        multiline = next((line for line in lines if "\n" in line or "\r" in line), None)
        if multiline is not None:
            raise ValueError(
                f"{self.describe()}: the token {multiline!r} contains a line break, "
                "and the vocabulary in a file has one token a line. "
                "Create the layer with vocabulary=layer.get_vocabulary(), which the config stores"
            )
        return {VOCABULARY_FILE: "\n".join(lines)}

    def take_asset_texts(self, texts: dict[str, str]) -> None:
        """Set the texts that `asset_texts` returned.

        Args:
            texts: Text by file name.

        Raises:
            ValueError: If the vocabulary is missing or does not fit.
        """
        if self.input_vocabulary is not None:
            return
        if VOCABULARY_FILE not in texts:
            raise ValueError(f"{self.describe()}: the file has no vocabulary for this layer")
        lines = texts[VOCABULARY_FILE].replace("\r\n", "\n").split("\n")
        tokens = [self._parse_line(line) for line in lines[: _last_filled(lines)]]
        if len(tokens) > self._token_start:
            weights = self.idf_weights
            self.set_vocabulary(tokens, None if weights is None else weights[: len(tokens)])


def check_no_path(owner: str, config: dict[str, Any]) -> None:
    """Refuse configs that name files to read."""
    if isinstance(config.get("vocabulary"), str):
        raise ValueError(
            f"{owner}: the config names a vocabulary file, {config['vocabulary']!r}: "
            "files are not read on behalf of a config. Call set_vocabulary(path) on the layer"
        )


def _last_filled(lines: list[str]) -> int:
    count = len(lines)
    while count and not lines[count - 1]:
        count -= 1
    return count


def _plain(values: Any) -> Any:
    """Convert an array or a list to a list of Python values."""
    if values is None:
        return None
    if hasattr(values, "to_numpy"):
        values = values.to_numpy()
    return np.asarray(values).tolist() if hasattr(values, "__array__") else list(values)
