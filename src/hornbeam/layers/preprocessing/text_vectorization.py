"""`TextVectorization`: texts as sequences of word indices, or as vectors of word counts."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from hornbeam._internal.validation import check_choice, check_unsupported
from hornbeam.config import floatx
from hornbeam.core import registry
from hornbeam.core.convert import as_tensor
from hornbeam.core.registry import exported
from hornbeam.core.tensor import Tensor
from hornbeam.layers.config import serialize_argument
from hornbeam.layers.preprocessing.adapting import batches_of, remembered, whole_array
from hornbeam.layers.preprocessing.host import HostLayer, as_bytes, object_array, text_of
from hornbeam.layers.preprocessing.index_lookup import check_no_path, output_mode_of
from hornbeam.layers.preprocessing.string_lookup import StringLookup

STANDARDIZE = ("lower_and_strip_punctuation", "lower", "strip_punctuation")
SPLIT = ("whitespace", "character")
# Bytes of ASCII alone, as in TensorFlow: other letters keep their case.
PUNCTUATION = b"!\"#$%&()*+,-./:;<=>?@[\\]^_`{|}~'"
LOWER = bytes(range(256)).lower()

Row = Sequence[bytes]


@exported("keras.layers")
class TextVectorization(HostLayer):
    """Texts as whole numbers: standardize, split into words, join words to n-grams, look them up.

    standardize: "lower_and_strip_punctuation", "lower", "strip_punctuation" (of ASCII letters and
    punctuation), None, or a function from an array of str to such. split: "whitespace", "character", None
    (each string is a word), or a function from an array of str to one list of words for each. ngrams: n for
    all n-grams of 1 to n words, or a tuple of sizes. output_mode: "int", indices with zeros behind, as many
    as the longest text has or output_sequence_length; "multi_hot", "count", "tf_idf", one vector a text, as
    in StringLookup. vocabulary: a list or the path of a file with one word a line; else `adapt(data)` finds
    it. Index 0 is padding (with "int"), then comes "[UNK]", then max_tokens at most in all.

    x (batch,) or (batch, 1), str or bytes in `encoding` -> int64 (batch, words), or vectors (batch, size).
    The layer runs on the host, in NumPy: a model runs it before its compiled part.

    Raises ValueError for bad arguments and without a vocabulary, HornbeamTypeError for numbers.

    >>> layer = hornbeam.layers.TextVectorization(); layer.adapt(["the cat", "The dog."])
    >>> layer.get_vocabulary(), np.asarray(layer(["the cow"])).tolist()
    (['', '[UNK]', 'the', 'dog', 'cat'], [[2, 1]])
    """

    def __init__(
        self,
        max_tokens: int | None = None,
        standardize: Any = "lower_and_strip_punctuation",
        split: Any = "whitespace",
        ngrams: Any = None,
        output_mode: str = "int",
        output_sequence_length: int | None = None,
        pad_to_max_tokens: bool = False,
        vocabulary: Any = None,
        idf_weights: Any = None,
        sparse: bool = False,
        ragged: bool = False,
        encoding: str = "utf-8",
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        owner = type(self).__name__
        check_unsupported(
            owner, "tensors are dense: outputs are padded with zeros", sparse=sparse, ragged=ragged
        )
        lookup = {key: kwargs.pop(key, None) for key in ("vocabulary_size", "has_input_vocabulary")}
        super().__init__(name=name, **kwargs)
        for what, value, known in (("standardize", standardize, STANDARDIZE), ("split", split, SPLIT)):
            if not callable(value):
                check_choice(what, value, (*known, None), where=owner)
        self.standardize, self.split = standardize, split
        self.ngrams = tuple(ngrams) if isinstance(ngrams, list) else ngrams
        self.output_mode = output_mode_of(owner, output_mode)
        self.output_sequence_length = output_sequence_length
        self._check_sizes(owner)
        self.encoding = encoding
        self._lookup_layer = StringLookup(
            max_tokens=max_tokens,
            vocabulary=vocabulary,
            idf_weights=idf_weights,
            pad_to_max_tokens=pad_to_max_tokens,
            mask_token="",
            output_mode=self.output_mode,
            encoding=encoding,
            **lookup,
        )
        self.built = True

    def _check_sizes(self, owner: str) -> None:
        widths = (self.ngrams,) if isinstance(self.ngrams, int) else self.ngrams or ()
        if not isinstance(widths, tuple) or any(not isinstance(n, int) or n < 1 for n in widths):
            raise ValueError(
                f"{owner}: ngrams must be a whole number or a tuple of them, got {self.ngrams!r}"
            )
        length = self.output_sequence_length
        if length is not None and (not isinstance(length, int) or length < 1):
            raise ValueError(f"{owner}: output_sequence_length must be a positive number, got {length!r}")
        if length is not None and self.output_mode != "int":
            raise ValueError(
                f'{owner}: output_sequence_length belongs to output_mode="int", not to {self.output_mode!r}'
            )

    # -- the vocabulary ----------------------------------------------------------------------------------

    def adapt(self, data: Any, batch_size: int | None = None, steps: int | None = None) -> None:
        """Make the vocabulary of the words in `data`, the most frequent first, max_tokens at most.

        data: strings in an array, a list or a column, or an iterable of batches, of which `steps` are read.
        batch_size: without meaning. Raises ValueError if the vocabulary was given.
        """
        self._lookup_layer._check_adaptable()
        self.reset_state()
        whole = whole_array(data)
        if whole is not None:
            data = [whole[:, None] if whole.ndim == 1 else whole]
        for batch in remembered(self, batches_of(data, steps)):
            self.update_state(batch)
        self.finalize_state()

    def update_state(self, data: Any) -> None:
        """Count the words of a batch."""
        self._lookup_layer._check_adaptable()
        self._lookup_layer._count(self._words(data)[0])

    def reset_state(self) -> None:
        """Forget what has been counted."""
        self._lookup_layer.reset_state()

    def finalize_state(self) -> None:
        """Make the vocabulary of what has been counted."""
        self._lookup_layer.finalize_state()

    def get_vocabulary(self, include_special_tokens: bool = True) -> list[str]:
        """The words in the order of their indices, with or without "" and "[UNK]"."""
        return self._lookup_layer.get_vocabulary(include_special_tokens)

    def vocabulary_size(self) -> int:
        """Number of indices, those of padding and unknown words among them."""
        return self._lookup_layer.vocabulary_size()

    def set_vocabulary(self, vocabulary: Any, idf_weights: Any = None) -> None:
        """Set the words: a list, an array or the path of a file; see `StringLookup.set_vocabulary`."""
        self._lookup_layer.set_vocabulary(vocabulary, idf_weights)

    # -- words -------------------------------------------------------------------------------------------

    def _words(self, inputs: Any) -> tuple[list[Row], tuple[int, ...]]:
        """The words of every text, and the shape of the texts. Without a split, rows along the last axis."""
        texts = self._standardized(inputs)
        rows: list[Row]
        if self.split is None:
            shape = texts.shape
            rows = list(texts.reshape(-1, shape[-1] if shape else 1).tolist())
            lead = shape[:-1]
        else:
            if texts.ndim > 1 and texts.shape[-1] != 1:
                raise ValueError(
                    f"{self.describe()} splits texts of shape (batch,) or (batch, 1), it got "
                    f"{texts.shape}: use split=None for words in columns"
                )
            lead = texts.shape[:-1] if texts.ndim > 1 else texts.shape
            rows = self._split_up(texts.reshape(-1))
        if self.ngrams is not None:
            sizes = range(1, self.ngrams + 1) if isinstance(self.ngrams, int) else self.ngrams
            rows = [_ngrams(row, sizes) for row in rows]
        return rows, lead

    def _standardized(self, inputs: Any) -> np.ndarray:
        texts = as_bytes(inputs, self.describe(), self.encoding)
        if callable(self.standardize):
            return as_bytes(self.standardize(_as_str(texts)), f"{self.describe()}: what standardize gave")
        if self.standardize is None:
            return texts
        table = LOWER if self.standardize.startswith("lower") else None
        remove = PUNCTUATION if self.standardize.endswith("punctuation") else b""
        flat = [text.translate(table, remove) for text in texts.reshape(-1).tolist()]
        return object_array(flat, texts.shape)

    def _split_up(self, texts: np.ndarray) -> list[Row]:
        if self.split == "whitespace":  # bytes split at ASCII's white space alone, as TensorFlow does
            return [text.split() for text in texts]
        if self.split == "character":
            return [[c.encode() for c in text.decode("utf-8", "replace")] for text in texts.tolist()]
        parts = self.split(_as_str(texts))
        if len(parts) != len(texts):
            raise ValueError(
                f"{self.describe()}: split must give a list of words for each of {len(texts)} texts, it gave "
                f"{len(parts)}"
            )
        where = f"{self.describe()}: what split gave"
        return [as_bytes(np.array(list(row), object), where).tolist() for row in parts]

    # -- calling -----------------------------------------------------------------------------------------

    def call(self, inputs: Any) -> Tensor:
        lookup = self._lookup_layer
        lookup._require_vocabulary()
        rows, lead = self._words(inputs)
        lengths = np.fromiter(map(len, rows), np.int64, len(rows))
        found = lookup.indices(list(itertools.chain.from_iterable(rows)))
        if self.output_mode == "int":
            padded = self._padded(found, lengths)
            return as_tensor(padded.reshape(*lead, padded.shape[1]))
        if self.output_mode == "one_hot":
            if len(set(lengths.tolist())) > 1:
                raise ValueError(
                    f'{self.describe()}: output_mode="one_hot" needs texts of equally many words; use '
                    '"multi_hot" or "count"'
                )
            return lookup.vectors(found.reshape(*lead, -1))
        of_row = np.repeat(np.arange(len(rows)), lengths)
        vectors = lookup.rows(found, of_row, len(rows))
        return vectors if len(lead) == 1 else as_tensor(np.asarray(vectors).reshape(*lead, lookup._depth))

    def _padded(self, found: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """A row for each text: cut off, and zeros behind."""
        longest = int(lengths.max(initial=0))
        width = longest if self.output_sequence_length is None else self.output_sequence_length
        made = np.zeros((len(lengths), max(longest, width)), np.int64)
        made[np.arange(made.shape[1]) < lengths[:, None]] = found
        return made[:, :width]

    def compute_output_shape(self, input_shape: Any) -> Any:
        """(batch, words) or (batch, vocabulary size)."""
        shape = tuple(input_shape)
        lead = shape[:-1] if len(shape) > 1 or self.split is None else shape
        size = self.output_sequence_length if self.output_mode == "int" else self._lookup_layer._depth
        return (*lead, None, size) if self.output_mode == "one_hot" else (*lead, size)

    @property
    def output_dtype(self) -> str:
        return "int64" if self.output_mode == "int" else floatx()

    # -- configs and files -------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        lookup = self._lookup_layer
        return {
            **self._base_config(),
            "max_tokens": lookup.max_tokens,
            "standardize": serialize_argument(self.standardize),
            "split": serialize_argument(self.split),
            "ngrams": self.ngrams,
            "output_mode": self.output_mode,
            "output_sequence_length": self.output_sequence_length,
            "pad_to_max_tokens": lookup.pad_to_max_tokens,
            "sparse": False,
            "ragged": False,
            "vocabulary": lookup.input_vocabulary,
            "idf_weights": lookup.input_idf_weights,
            "encoding": self.encoding,
            "vocabulary_size": self.vocabulary_size(),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        check_no_path(cls.__name__, config)
        config = dict(config)
        for name in ("standardize", "split"):
            if isinstance(config.get(name), dict):
                config[name] = registry.deserialize(config[name])
        return cls(**config)

    def save_own_variables(self, store: Any) -> None:
        """Put the weights of tf-idf into a mapping."""
        self._lookup_layer.save_own_variables(store)

    def load_own_variables(self, store: Any) -> None:
        """Take the weights of tf-idf from a mapping."""
        self._lookup_layer.load_own_variables(store)

    def asset_texts(self) -> dict[str, str]:
        """What a file of the model keeps besides weights, by name: the vocabulary."""
        return self._lookup_layer.asset_texts()

    def take_asset_texts(self, texts: dict[str, str]) -> None:
        """Set what `asset_texts` gave."""
        self._lookup_layer.take_asset_texts(texts)


def _as_str(texts: np.ndarray) -> np.ndarray:
    """Texts as functions of the user's get them: an array of str."""
    return object_array([text_of(text) for text in texts.reshape(-1).tolist()], texts.shape).astype(str)


def _ngrams(row: Row, sizes: Sequence[int]) -> Row:
    """All runs of so many words, joined by spaces; those of the first size first."""
    return [b" ".join(row[at : at + n]) for n in sizes for at in range(len(row) - n + 1)]
