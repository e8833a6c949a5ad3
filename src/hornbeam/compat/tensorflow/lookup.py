"""tf.lookup: tables on the host, from strings or numbers to strings or numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hornbeam import ops
from hornbeam.compat.tensorflow.host import StringTensor, holds_text, mapped
from hornbeam.core.convert import as_tensor
from hornbeam.core.tensor import Tensor

__all__ = ["KeyValueTensorInitializer", "StaticHashTable", "TextFileIndex", "TextFileInitializer"]


class TextFileIndex:
    """What of a line is a key or a value: all of it, or its number."""

    WHOLE_LINE, LINE_NUMBER = -2, -1


class KeyValueTensorInitializer:
    """Keys and the value of each."""

    def __init__(
        self, keys: Any, values: Any, key_dtype: Any = None, value_dtype: Any = None, name: str | None = None
    ) -> None:
        self.keys, self.values = _plain(keys), _plain(values)
        self.value_dtype = value_dtype
        if self.keys.shape != self.values.shape:
            raise ValueError(
                f"a table needs a value for each key, got {self.keys.size} keys and {self.values.size} values"
            )


class TextFileInitializer(KeyValueTensorInitializer):
    """The lines of a file, from or to their numbers."""

    def __init__(
        self,
        filename: str,
        key_dtype: Any,
        key_index: int,
        value_dtype: Any,
        value_index: int,
        vocab_size: int | None = None,
        delimiter: str = "\t",
        name: str | None = None,
    ) -> None:
        lines = Path(filename).read_text(encoding="utf-8").splitlines()[:vocab_size]

        def column(index: int) -> Any:
            if index == TextFileIndex.LINE_NUMBER:
                return np.arange(len(lines))
            texts = lines if index == TextFileIndex.WHOLE_LINE else [x.split(delimiter)[index] for x in lines]
            return np.array(texts, object)

        super().__init__(column(key_index), column(value_index), key_dtype, value_dtype)


class StaticHashTable:
    """A table that does not change; what it does not know is `default_value`.

    It works on values, so inside of a compiled function it makes the function run line by line.
    """

    def __init__(
        self,
        initializer: KeyValueTensorInitializer,
        default_value: Any,
        name: str | None = None,
        experimental_is_anonymous: bool = False,
    ) -> None:
        keys, values = initializer.keys.reshape(-1).tolist(), initializer.values.reshape(-1).tolist()
        self._known = dict(zip(keys, values, strict=True))
        self._text = holds_text(initializer.values)
        self._dtype = initializer.value_dtype or (None if self._text else initializer.values.dtype.name)
        self._default = _plain(default_value).item()

    def size(self, name: str | None = None) -> Tensor:
        """How many keys there are."""
        return ops.cast(as_tensor(len(self._known)), "int64")

    def lookup(self, keys: Any, name: str | None = None) -> Any:
        """The value of each key, in the shape of the keys."""
        found = mapped(lambda key: self._known.get(key, self._default), _plain(keys).astype(object))
        if self._text:
            return StringTensor(found)
        return ops.cast(as_tensor(np.array(found.tolist())), str(self._dtype))

    __getitem__ = lookup


def _plain(values: Any) -> np.ndarray:
    return StringTensor(values).array if holds_text(values) else np.asarray(values)
