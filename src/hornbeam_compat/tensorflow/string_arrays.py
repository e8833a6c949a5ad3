"""Functions of `tf` on arrays of strings: those that select, reorder and repeat elements."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from hornbeam import ops
from hornbeam.data import Strings
from hornbeam.extensions.tensors import as_tensor
from hornbeam_compat.tensorflow.strings import StringTensor, holds_text
from hornbeam_compat.tensorflow.tensors import integers_of
from hornbeam_compat.tensorflow.typing import AxisLike, DTypeLike, ShapeLike, TensorLike, Tensors


def _fill(dims: ShapeLike, value: TensorLike, name: str | None = None) -> StringTensor:
    return StringTensor(np.full(integers_of(dims), StringTensor(value).array[()], object))


def _zeros_like(input: TensorLike, dtype: object = None, name: str | None = None) -> StringTensor:
    return StringTensor(np.full(np.shape(input), b"", object))


def _where(condition: TensorLike, x: TensorLike, y: TensorLike, name: str | None = None) -> StringTensor:
    return StringTensor(np.where(np.asarray(condition), StringTensor(x).array, StringTensor(y).array))


def _tile(input: TensorLike, multiples: ShapeLike, name: str | None = None) -> StringTensor:
    return StringTensor(np.tile(StringTensor(input).array, integers_of(multiples)))


def _reverse(tensor: TensorLike, axis: TensorLike, name: str | None = None) -> StringTensor:
    return StringTensor(np.flip(StringTensor(tensor).array, integers_of(axis)))


def _transpose(
    a: TensorLike, perm: AxisLike = None, conjugate: bool = False, name: str | None = None
) -> StringTensor:
    return StringTensor(np.transpose(StringTensor(a).array, None if perm is None else integers_of(perm)))


def _repeat(
    input: TensorLike, repeats: TensorLike, axis: int | None = None, name: str | None = None
) -> StringTensor:
    return StringTensor(np.repeat(StringTensor(input).array, integers_of(repeats), axis))


def _roll(input: TensorLike, shift: TensorLike, axis: TensorLike, name: str | None = None) -> StringTensor:
    return StringTensor(np.roll(StringTensor(input).array, integers_of(shift), integers_of(axis)))


def _broadcast_to(input: TensorLike, shape: ShapeLike, name: str | None = None) -> StringTensor:
    return StringTensor(np.broadcast_to(StringTensor(input).array, integers_of(shape)))


def _boolean_mask(
    tensor: TensorLike, mask: TensorLike, axis: int | None = None, name: str | None = None
) -> StringTensor:
    places = np.asarray(mask).astype(bool)
    return StringTensor(StringTensor(tensor).array[(slice(None),) * int(axis or 0) + (places,)])


def _stack(values: Tensors, axis: int = 0, name: str | None = None) -> StringTensor:
    return StringTensor(np.stack([StringTensor(value).array for value in values], axis))


def _unstack(
    value: TensorLike, num: object = None, axis: int = 0, name: str | None = None
) -> list[StringTensor]:
    return [StringTensor(part) for part in np.moveaxis(StringTensor(value).array, axis, 0)]


def _split(
    value: TensorLike, num_or_size_splits: TensorLike, axis: int = 0, num: object = None,
    name: str | None = None,
) -> list[StringTensor]:  # fmt: skip
    sizes = integers_of(num_or_size_splits)
    places = sizes if isinstance(sizes, int) else np.cumsum(sizes)[:-1]
    return [StringTensor(part) for part in np.split(StringTensor(value).array, places, int(axis))]


def _gather_nd(
    params: TensorLike, indices: TensorLike, batch_dims: int = 0, name: str | None = None
) -> StringTensor:
    if batch_dims:
        raise NotImplementedError("tf.gather_nd(batch_dims=) takes no strings here")
    return StringTensor(StringTensor(params).array[tuple(np.moveaxis(np.asarray(indices), -1, 0))])


def _slice(input_: TensorLike, begin: ShapeLike, size: ShapeLike, name: str | None = None) -> StringTensor:
    pairs = zip(np.asarray(begin).tolist(), np.asarray(size).tolist(), strict=True)
    return StringTensor(
        StringTensor(input_).array[tuple(slice(a, None if n == -1 else a + n) for a, n in pairs)]
    )


def _pad(
    tensor: TensorLike, paddings: TensorLike, mode: str = "CONSTANT", constant_values: TensorLike = "",
    name: str | None = None,
) -> StringTensor:  # fmt: skip
    if mode.upper() != "CONSTANT":
        raise NotImplementedError(f"tf.pad(mode={mode!r}) takes no strings here")
    fill = b"" if isinstance(constant_values, int) else StringTensor(constant_values).array[()]
    return StringTensor(np.pad(StringTensor(tensor).array, np.asarray(paddings), constant_values=fill))


def _unique(x: TensorLike, out_idx: DTypeLike = "int32", name: str | None = None) -> tuple[StringTensor, Any]:
    values = StringTensor(x).array.tolist()
    known = {value: index for index, value in enumerate(dict.fromkeys(values))}
    return StringTensor(list(known)), ops.cast(as_tensor([known[value] for value in values]), out_idx)


def _sort(
    values: TensorLike, axis: int = -1, direction: str = "ASCENDING", name: str | None = None
) -> StringTensor:
    ordered = np.sort(StringTensor(values).array, int(axis))
    return StringTensor(ordered if direction == "ASCENDING" else np.flip(ordered, int(axis)))


def _same(input: TensorLike, *args: object, **kwargs: object) -> StringTensor:
    return StringTensor(input)


def _cast(x: TensorLike, dtype: DTypeLike, name: str | None = None) -> StringTensor:
    if str(dtype) != "string":
        raise TypeError(f"tf.cast does not read strings as {dtype}: tf.strings.to_number does")
    return StringTensor(x)


# Function of `tf` -> the one for strings.
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "boolean_mask": _boolean_mask,
    "broadcast_to": _broadcast_to,
    "cast": _cast,
    "ensure_shape": _same,
    "fill": _fill,
    "gather_nd": _gather_nd,
    "identity": _same,
    "pad": _pad,
    "repeat": _repeat,
    "reverse": _reverse,
    "roll": _roll,
    "slice": _slice,
    "sort": _sort,
    "split": _split,
    "stack": _stack,
    "tile": _tile,
    "transpose": _transpose,
    "unique": _unique,
    "unstack": _unstack,
    "where": _where,
    "zeros_like": _zeros_like,
}
_SECOND = frozenset(["fill", "where"])  # whose first argument has no strings


def for_strings(name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> Callable[..., Any] | None:
    """Return the function for strings if the arguments are some, else None."""
    function = _FUNCTIONS.get(name)
    if function is None:
        return None
    values = [*args[:2], *(kwargs.values() if len(args) < 2 else ())]
    subject = values[name in _SECOND :][:1]
    is_text = any(isinstance(x, (Strings, str, bytes)) or _lists_text(x) for x in subject)
    return function if is_text else None


def _lists_text(x: TensorLike) -> bool:
    return isinstance(x, (list, tuple)) and holds_text(x)
