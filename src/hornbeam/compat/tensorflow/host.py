"""Text, which our graphs do not hold: arrays of bytes on the host that look like tensors of strings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from hornbeam import tree


def holds_text(x: Any) -> bool:
    """Whether `x` is a string, an array of strings, or nested lists of them."""
    if isinstance(x, (str, bytes, StringTensor)):
        return True
    if isinstance(x, np.ndarray):
        return x.dtype.kind in "SUO"
    if isinstance(x, (list, tuple)) and x:
        leaves = tree.flatten(list(x))
        return bool(leaves) and isinstance(leaves[0], (str, bytes, np.str_, np.bytes_))
    return False


class StringTensor:
    """Strings as bytes: `numpy()`, indexing and comparison as of a tf.Tensor of dtype string."""

    dtype = "string"

    def __init__(self, value: Any) -> None:
        given: np.ndarray = value.array if isinstance(value, StringTensor) else np.array(value, dtype=object)
        self.array: np.ndarray = _map(_to_bytes, given)

    @property
    def shape(self) -> Any:
        from hornbeam.compat.tensorflow.dtypes import TensorShape

        return TensorShape(self.array.shape)

    def numpy(self) -> Any:
        """Bytes, or an array of them."""
        return self.array[()]

    def texts(self) -> np.ndarray:
        """The strings, decoded from UTF-8, in an array of objects."""
        return _map(lambda x: x.decode("utf-8", "replace"), self.array)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self.array if dtype is None else self.array.astype(dtype)

    def __getitem__(self, key: Any) -> StringTensor:
        return StringTensor(self.array[key])

    def __len__(self) -> int:
        return len(self.array)

    def __iter__(self) -> Iterator[StringTensor]:
        return (self[i] for i in range(len(self)))

    def __add__(self, other: Any) -> StringTensor:
        return StringTensor(self.array + StringTensor(other).array)

    def __radd__(self, other: Any) -> StringTensor:
        return StringTensor(StringTensor(other).array + self.array)

    def __eq__(self, other: object) -> Any:
        return StringTensor(other).array == self.array if holds_text(other) else NotImplemented

    def __ne__(self, other: object) -> Any:
        return StringTensor(other).array != self.array if holds_text(other) else NotImplemented

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        return f"<StringTensor shape={self.shape}\n{self.array}>"


def _to_bytes(x: Any) -> bytes:
    return x if isinstance(x, bytes) else str(x).encode()


def _map(fn: Callable[[Any], Any], array: np.ndarray) -> np.ndarray:
    """`fn` of every element."""
    made = np.empty(array.shape, object)
    for index in np.ndindex(array.shape):
        made[index] = fn(array[index])
    return made
