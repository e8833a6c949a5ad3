"""Labels and arrays: one-hot vectors, normalization, padding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, overload

import numpy as np

from hornbeam import ops
from hornbeam._internal.typing import ArrayLike, DTypeLike
from hornbeam._internal.validation import check_int
from hornbeam.config import floatx
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import TensorLike


@overload
def to_categorical(x: Tensor, num_classes: int | None = None) -> Tensor: ...
@overload
def to_categorical(x: ArrayLike, num_classes: int | None = None) -> np.ndarray: ...
def to_categorical(x: TensorLike, num_classes: int | None = None) -> np.ndarray | Tensor:
    """Encode class indices as one-hot rows.

    Args:
        x: Integers from 0 to `num_classes` - 1; a last axis of size 1 is dropped.
        num_classes: Number of classes; the largest class index + 1 if None.

    Returns:
        float64 array of shape (*x.shape, num_classes); for a tensor, a tensor of
        `hornbeam.config.floatx()`.

    Raises:
        ValueError: For fractional or negative numbers, and for numbers of at least `num_classes`.

    Example:
        >>> to_categorical([0, 2], num_classes=3).tolist()
        [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    """
    if isinstance(x, Tensor):
        return ops.convert_to_tensor(to_categorical(np.asarray(x), num_classes), dtype=floatx())
    numbers = np.asarray(x)
    if numbers.dtype.kind == "f" and not np.array_equal(numbers, np.trunc(numbers)):
        fraction = float(numbers[numbers != np.trunc(numbers)].flat[0])
        raise ValueError(f"to_categorical takes class indices, which are integers, got {fraction!r}")
    if numbers.dtype.kind not in "iufb":
        hint = (
            ": np.unique(labels, return_inverse=True)[1] numbers them" if numbers.dtype.kind in "US" else ""
        )
        raise ValueError(f"to_categorical takes class indices, got an array of {numbers.dtype}{hint}")
    numbers = numbers.astype("int64")
    if numbers.ndim > 1 and numbers.shape[-1] == 1:
        numbers = numbers[..., 0]
    highest = int(numbers.max()) if numbers.size else -1
    if numbers.size and numbers.min() < 0:
        raise ValueError(f"to_categorical takes class indices from 0 on, got {int(numbers.min())}")
    classes = highest + 1 if num_classes is None else int(num_classes)
    if numbers.size and highest >= classes:
        raise ValueError(
            f"class {highest} does not exist among {classes} classes (numbered 0 to {classes - 1})"
        )
    encoded = np.zeros((numbers.size, classes))
    encoded[np.arange(numbers.size), numbers.ravel()] = 1.0
    return encoded.reshape(*numbers.shape, classes)


@overload
def normalize(x: Tensor, axis: int = -1, order: int = 2) -> Tensor: ...
@overload
def normalize(x: ArrayLike, axis: int = -1, order: int = 2) -> np.ndarray: ...
def normalize(x: TensorLike, axis: int = -1, order: int = 2) -> np.ndarray | Tensor:
    """Divide `x` by its norm along an axis; vectors of norm 0 stay 0.

    Args:
        x: Array of numbers; integers are converted to float64.
        axis: Axis of the vectors.
        order: Order of the norm, e.g. 2 for the Euclidean norm.

    Returns:
        Array of the shape of `x`; for a tensor, a tensor.

    Example:
        >>> normalize(np.array([[3.0, 4.0]])).tolist()
        [[0.6, 0.8]]
    """
    if isinstance(x, Tensor):
        return ops.normalize(x, axis=axis, order=order)
    array = np.asarray(x)
    array = array if array.dtype.kind == "f" else array.astype("float64")
    norm = np.linalg.norm(array, order, axis, keepdims=True)
    return array / np.where(norm == 0, 1, norm)


def pad_sequences(
    sequences: Sequence[Any],
    maxlen: int | None = None,
    dtype: DTypeLike = "int32",
    padding: str = "pre",
    truncating: str = "pre",
    value: float | str = 0.0,
) -> np.ndarray:
    """Pad or truncate sequences to one length.

    Args:
        sequences: List of sequences; their items may be arrays of one shape.
        maxlen: Length of the result; that of the longest sequence if None.
        dtype: Dtype of the result.
        padding: "pre" or "post": whether to pad at the beginning or at the end.
        truncating: "pre" or "post": whether to cut off at the beginning or at the end.
        value: Value to pad with.

    Returns:
        Array of shape (n, maxlen, ...).

    Raises:
        ValueError: If an item is not a sequence, or items differ in shape.

    Example:
        >>> pad_sequences([[1], [2, 3], [4, 5, 6]], maxlen=2).tolist()
        [[0, 1], [2, 3], [5, 6]]
    """
    for name, choice in (("padding", padding), ("truncating", truncating)):
        if choice not in ("pre", "post"):
            raise ValueError(f"{name} must be 'pre' or 'post', got {choice!r}")
    if not hasattr(sequences, "__len__"):
        raise TypeError(f"pad_sequences takes a list of sequences, got {sequences!r}")
    if maxlen is not None:
        check_int("maxlen", maxlen, minimum=0)
    for index, item in enumerate(sequences):
        if not hasattr(item, "__len__"):
            raise ValueError(f"pad_sequences takes a list of sequences, item {index} is {item!r}")
    text = isinstance(value, str)
    if text and np.dtype(dtype) != object and np.dtype(dtype).kind not in "US":
        raise ValueError(f"an array of {dtype} cannot hold the value {value!r}: set dtype=object")
    length = max((len(item) for item in sequences), default=0) if maxlen is None else maxlen
    item_shape = next((np.asarray(item).shape[1:] for item in sequences if len(item)), ())
    padded = np.full((len(sequences), length, *item_shape), value, dtype=dtype)
    for index, item in enumerate(sequences):
        truncated = item[max(len(item) - length, 0) :] if truncating == "pre" else item[:length]
        if not len(truncated):
            continue
        part = np.asarray(truncated, dtype=dtype)
        if part.shape[1:] != item_shape:
            raise ValueError(
                f"sequence {index} has items of shape {part.shape[1:]}, those before it of shape {item_shape}"
            )
        if padding == "post":
            padded[index, : len(truncated)] = part
        else:
            padded[index, length - len(truncated) :] = part
    return padded
