"""Text, which our graphs do not hold: arrays of bytes on the host that look like tensors of strings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from hornbeam import tree
from hornbeam.core.convert import as_tensor
from hornbeam.data import Strings


def holds_text(x: Any) -> bool:
    """Whether `x` is a string, an array of strings, or nested lists of them."""
    if isinstance(x, (str, bytes)):
        return True
    if isinstance(x, np.ndarray):
        return x.dtype.kind in "SUO"
    if isinstance(x, (list, tuple)) and x:
        leaves = tree.flatten(list(x))
        return bool(leaves) and (isinstance(leaves[0], (str, bytes)) or holds_text(leaves[0]))
    return False


class StringTensor(Strings):
    """Strings as bytes: `numpy()`, indexing and comparison as of a tf.Tensor of dtype string."""

    def __new__(cls, value: Any) -> StringTensor:
        return mapped(_to_bytes, np.array(value, dtype=object)).view(cls)

    @property
    def array(self) -> np.ndarray:
        """The same bytes in a plain array."""
        return self.view(np.ndarray)

    def texts(self) -> np.ndarray:
        """The strings, decoded from UTF-8, in an array of objects."""
        return mapped(lambda x: x.decode("utf-8", "replace"), self.array)

    def get_shape(self) -> tuple[int, ...]:
        return self.shape

    def __getitem__(self, key: Any) -> Any:
        return StringTensor(self.array[key])

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def __add__(self, other: Any) -> StringTensor:
        return StringTensor(self.array + StringTensor(other).array)

    def __radd__(self, other: Any) -> StringTensor:
        return StringTensor(StringTensor(other).array + self.array)

    def __eq__(self, other: object) -> Any:
        if not holds_text(other):
            return NotImplemented
        return as_tensor(np.asarray(self.array == StringTensor(other).array, dtype=bool))

    def __ne__(self, other: object) -> Any:
        return ~(self == other) if holds_text(other) else NotImplemented

    __hash__ = None  # type: ignore[assignment]


def as_bytes(strings: Strings) -> Any:
    """What `numpy()` of a tensor of strings gives: bytes, or an array of them."""
    array = StringTensor(strings).array
    return array if array.ndim else array.item()


def _to_bytes(x: Any) -> bytes:
    return x if isinstance(x, bytes) else str(x).encode()


def mapped(fn: Callable[[Any], Any], array: np.ndarray) -> np.ndarray:
    """`fn` of every element, in an array of objects."""
    made = np.empty(array.shape, object)
    for index in np.ndindex(array.shape):
        made[index] = fn(array[index])
    return made
