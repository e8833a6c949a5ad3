"""Labels and arrays: one-hot vectors, normalisation, padding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hornbeam._internal.validation import check_int


def to_categorical(x: Any, num_classes: int | None = None) -> np.ndarray:
    """Class numbers as one-hot rows: float64 of shape (*x.shape, num_classes).

    x: whole numbers from 0 on; a last axis of size 1 is dropped. num_classes: the largest number + 1 if None.

    Raises ValueError for numbers that are not whole, negative, or not below `num_classes`.

    >>> to_categorical([0, 2], num_classes=3).tolist()
    [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    """
    numbers = np.asarray(x)
    if numbers.dtype.kind == "f" and not np.array_equal(numbers, np.trunc(numbers)):
        raise ValueError(
            f"to_categorical takes class numbers, got values that are not whole such as {_odd(numbers)!r}"
        )
    if numbers.dtype.kind not in "iufb":
        raise ValueError(f"to_categorical takes class numbers, got an array of {numbers.dtype}")
    numbers = numbers.astype("int64")
    if numbers.ndim > 1 and numbers.shape[-1] == 1:
        numbers = numbers[..., 0]
    highest = int(numbers.max()) if numbers.size else -1
    if numbers.size and numbers.min() < 0:
        raise ValueError(f"to_categorical takes class numbers from 0 on, got {int(numbers.min())}")
    classes = highest + 1 if num_classes is None else int(num_classes)
    if numbers.size and (numbers.min() < 0 or highest >= classes):
        wrong = int(numbers.min()) if numbers.min() < 0 else highest
        raise ValueError(
            f"class {wrong} does not exist among {classes} classes (numbered 0 to {classes - 1})"
        )
    made = np.zeros((numbers.size, classes))
    made[np.arange(numbers.size), numbers.ravel()] = 1.0
    return made.reshape(*numbers.shape, classes)


def _odd(numbers: np.ndarray) -> float:
    return float(numbers[numbers != np.trunc(numbers)].flat[0])


def normalize(x: Any, axis: int = -1, order: int = 2) -> np.ndarray:
    """`x` divided by its norm of `order` along `axis`; zero stays zero.

    >>> normalize(np.array([[3.0, 4.0]])).tolist()
    [[0.6, 0.8]]
    """
    array = np.asarray(x)
    array = array if array.dtype.kind == "f" else array.astype("float64")
    norm = np.linalg.norm(array, order, axis, keepdims=True)
    return array / np.where(norm == 0, 1, norm)


def pad_sequences(
    sequences: Sequence[Any],
    maxlen: int | None = None,
    dtype: Any = "int32",
    padding: str = "pre",
    truncating: str = "pre",
    value: Any = 0.0,
) -> np.ndarray:
    """Sequences of different lengths as one array (n, maxlen, ...), filled up with `value`.

    maxlen: length of the longest if None. padding, truncating: whether sequences are filled up and cut off at
    their beginning ("pre") or end ("post").

    Raises ValueError where the items are no sequences or do not fit each other.

    >>> pad_sequences([[1], [2, 3], [4, 5, 6]], maxlen=2).tolist()
    [[0, 1], [2, 3], [5, 6]]
    """
    for name, choice in (("padding", padding), ("truncating", truncating)):
        if choice not in ("pre", "post"):
            raise ValueError(f"{name} must be 'pre' or 'post', got {choice!r}")
    if not hasattr(sequences, "__len__"):
        raise TypeError(f"pad_sequences takes a list of sequences, got {sequences!r}")
    if maxlen is not None:
        check_int("maxlen", maxlen, 0)
    for index, item in enumerate(sequences):
        if not hasattr(item, "__len__"):
            raise ValueError(f"pad_sequences takes a list of sequences, item {index} is {item!r}")
    text = isinstance(value, str)
    if text and np.dtype(dtype) != object and np.dtype(dtype).kind not in "US":
        raise ValueError(f"value {value!r} does not go into an array of {dtype}: set dtype=object")
    length = max((len(item) for item in sequences), default=0) if maxlen is None else maxlen
    inner = next((np.asarray(item).shape[1:] for item in sequences if len(item)), ())
    made = np.full((len(sequences), length, *inner), value, dtype=dtype)
    for index, item in enumerate(sequences):
        kept = item[max(len(item) - length, 0) :] if truncating == "pre" else item[:length]
        if not len(kept):
            continue
        part = np.asarray(kept, dtype=dtype)
        if part.shape[1:] != inner:
            raise ValueError(
                f"item {index} has items of shape {part.shape[1:]}, those before it of shape {inner}"
            )
        if padding == "post":
            made[index, : len(kept)] = part
        else:
            made[index, length - len(kept) :] = part
    return made
