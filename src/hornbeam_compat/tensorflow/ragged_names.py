"""tf.ragged, and what functions of `tf` do to ragged tensors."""

from __future__ import annotations

import builtins
import functools
from collections.abc import Callable, Sequence
from typing import Any, SupportsInt, TypeVar

import numpy as np

from hornbeam import Tensor, ops
from hornbeam.extensions.tensors import as_tensor
from hornbeam_compat.tensorflow import string_parts
from hornbeam_compat.tensorflow.dispatch import dispatched, holds_extension
from hornbeam_compat.tensorflow.dtypes import as_dtype
from hornbeam_compat.tensorflow.ragged import RaggedTensor, as_values, concatenate, elementwise, stack_rows
from hornbeam_compat.tensorflow.string_arrays import for_strings
from hornbeam_compat.tensorflow.strings import StringTensor, take
from hornbeam_compat.tensorflow.typing import (
    AxisLike,
    DTypeLike,
    RaggedLike,
    RaggedOrTensor,
    ShapeLike,
    Sizes,
    TensorLike,
    Tree,
)

T = TypeVar("T")

# Namespace -> its names.
NAMESPACES = {
    "ragged": (
        "boolean_mask constant map_flat_values range row_splits_to_segment_ids "
        "segment_ids_to_row_splits stack"
    )
}


# -- tf.ragged -----------------------------------------------------------------------------------------------


def constant(
    pylist: Tree, dtype: DTypeLike | None = None, ragged_rank: int | None = None,
    inner_shape: Sizes | None = None, name: str | None = None, row_splits_dtype: object = "int64",
) -> RaggedOrTensor:  # fmt: skip
    """Create a ragged tensor from nested lists."""
    depth = _depth(pylist)
    rank = ragged_rank if ragged_rank is not None else depth - 1 - len(tuple(inner_shape or ()))
    lengths, level = [], list(pylist)
    for _ in builtins.range(rank):
        lengths.append([len(row) for row in level])
        level = [value for row in level for value in row]
    values = as_values(level) if level else as_tensor(np.zeros((0, *(inner_shape or ())), "float32"))
    if dtype is not None and not isinstance(values, StringTensor):
        values = ops.cast(values, as_dtype(dtype))
    elif dtype is not None and not level and as_dtype(dtype) == "string":
        values = StringTensor([])
    return RaggedTensor.from_nested_row_lengths(values, lengths) if rank else values


def _depth(value: object) -> int:
    if not isinstance(value, (list, tuple)) and not (isinstance(value, np.ndarray) and value.ndim):
        return 0
    return 1 + max((_depth(part) for part in value), default=0)


def range(
    starts: TensorLike, limits: TensorLike | None = None, deltas: TensorLike = 1,
    dtype: DTypeLike | None = None, name: str | None = None, **options: object,
) -> RaggedTensor:  # fmt: skip
    """Return rows start, start + delta, ... below limit."""
    starts, limits = (0, starts) if limits is None else (starts, limits)
    first, last, step = np.broadcast_arrays(*(np.atleast_1d(np.asarray(x)) for x in (starts, limits, deltas)))
    rows = [np.arange(a, b, c) for a, b, c in zip(first, last, step, strict=True)]
    values = as_tensor(np.concatenate([np.zeros(0, first.dtype), *rows]).astype(np.result_type(first, step)))
    flat = values if dtype is None else ops.cast(values, as_dtype(dtype))
    return RaggedTensor.from_row_lengths(flat, [len(row) for row in rows])


def stack(values: Sequence[RaggedLike], axis: int = 0, name: str | None = None) -> RaggedOrTensor:
    """Stack tensors of different lengths to a ragged tensor."""
    rows = [value if isinstance(value, RaggedTensor) else as_values(value) for value in values]
    if axis == 0:
        return stack_rows(rows)
    return stack_rows([stack([row[i] for row in rows], axis - 1) for i in builtins.range(len(rows[0]))])


def map_flat_values(op: Callable[..., Any], *args: RaggedLike, **kwargs: object) -> RaggedTensor:
    """Apply a function to the values."""
    return elementwise(op, *args, **kwargs)


def boolean_mask(data: RaggedLike, mask: RaggedLike, name: str | None = None) -> RaggedTensor:
    """Select values by a mask; rows remain."""
    ragged, keep = (x if isinstance(x, RaggedTensor) else RaggedTensor.from_tensor(x) for x in (data, mask))
    chosen = np.asarray(keep.flat_values, bool)
    lengths = np.bincount(keep.rowids(), weights=chosen, minlength=len(keep)).astype(np.int64)
    return RaggedTensor.from_row_lengths(_take(ragged.values, np.flatnonzero(chosen)), lengths)


def row_splits_to_segment_ids(splits: TensorLike, name: str | None = None, out_type: object = None) -> Tensor:
    """Return the number of the row of each value."""
    lengths = np.diff(np.asarray(splits))
    return as_tensor(np.repeat(np.arange(len(lengths)), lengths))


def segment_ids_to_row_splits(
    segment_ids: TensorLike, num_segments: SupportsInt | None = None, out_type: object = None,
    name: str | None = None,
) -> Tensor:  # fmt: skip
    """Return the positions at which rows begin and end."""
    counts = np.bincount(np.asarray(segment_ids), minlength=int(num_segments or 0))
    return as_tensor(np.concatenate([[0], np.cumsum(counts)]))


# -- functions of tf -----------------------------------------------------------------------------------------


def _take(values: RaggedOrTensor, places: np.ndarray) -> RaggedOrTensor:
    if isinstance(values, RaggedTensor):
        rows = values.rows()
        return stack_rows([rows[i] for i in places], like=values)
    return take(values, places)


def _concat(values: Sequence[RaggedLike], axis: int = 0, name: str | None = None) -> RaggedOrTensor:
    if axis == 0:
        return concatenate(list(values))
    parts = [v if isinstance(v, RaggedTensor) else RaggedTensor.from_tensor(v) for v in values]
    if axis > 1:
        return parts[0].with_values(_concat([part.values for part in parts], axis - 1))
    return stack_rows(
        [concatenate(list(rows)) for rows in zip(*(part.rows() for part in parts), strict=True)]
    )


def _gather(
    params: RaggedLike, indices: RaggedLike, validate_indices: object = None, axis: object = None,
    **options: object,
) -> RaggedOrTensor:  # fmt: skip
    if isinstance(indices, RaggedTensor):
        return indices.with_flat_values(_gather(params, indices.flat_values))
    if not isinstance(params, RaggedTensor):
        return _take(as_values(params), np.asarray(indices))
    places = np.asarray(indices)
    return params[int(places)] if places.ndim == 0 else _take(params, places)


def _expand_dims(input: RaggedOrTensor, axis: int, name: str | None = None) -> RaggedOrTensor:
    if axis == 0:
        return RaggedTensor(input, [0, len(input)])
    if not isinstance(input, RaggedTensor):
        return ops.expand_dims(input, axis)
    if axis == 1:
        return RaggedTensor(input, np.arange(len(input) + 1))
    return input.with_values(_expand_dims(input.values, axis - 1))


def _reverse(tensor: RaggedTensor, axis: AxisLike, name: str | None = None) -> RaggedOrTensor:
    axes = {int(a) % len(tensor.shape) for a in np.asarray(axis).reshape(-1)}
    rows = tensor.rows()
    inner = sorted(a - 1 for a in axes if a)
    if inner:
        reverse = accepting_ragged("reverse", ops.flip)
        rows = [reverse(row, inner) for row in rows]
    return stack_rows(rows[::-1] if 0 in axes else rows, like=tensor)


def _size(input: RaggedTensor, out_type: object = None, name: str | None = None) -> Tensor:
    return as_tensor(np.int32(np.prod(input.flat_values.shape)))


def _rank(input: RaggedTensor, name: str | None = None) -> Tensor:
    return as_tensor(np.int32(len(input.shape)))


def _reduction(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Return a reduction over all values, over rows, or over the values of each row."""

    def reduce(
        input_tensor: RaggedTensor, axis: int | None = None, keepdims: bool = False, name: str | None = None,
        **options: Any,
    ) -> RaggedOrTensor:  # fmt: skip
        rt = input_tensor
        if axis is None:
            return fn(rt.flat_values, **options)
        axis = axis + len(rt.shape) if axis < 0 else axis
        if axis == 0:
            columns = int(rt.lengths().max(initial=0))
            rows = [row for row in rt.rows()]
            return ops.stack(
                [fn(ops.stack([r[i] for r in rows if len(r) > i]), axis=0) for i in builtins.range(columns)]
            )
        if axis > 1:
            inner = rt.values
            return rt.with_values(
                reduce(inner, axis - 1, keepdims, **options)
                if isinstance(inner, RaggedTensor)
                else fn(inner, axis=axis - 1, keepdims=keepdims, **options)
            )
        results: list[Any] = [
            reduce(row, 0, **options) if isinstance(row, RaggedTensor) else fn(row, axis=0, **options)
            for row in rt.rows()
        ]
        if any(isinstance(row, RaggedTensor) for row in rt.rows()):
            return stack_rows(results)
        text = isinstance(results[0], StringTensor)
        stacked = StringTensor([r.numpy() for r in results]) if text else ops.stack(results)
        return ops.expand_dims(stacked, 1) if keepdims else stacked

    return reduce


def _tile(input: RaggedTensor, multiples: ShapeLike, name: str | None = None) -> RaggedOrTensor:
    outer, *inner = (int(n) for n in np.asarray(multiples))
    rows = input.rows()
    if any(n != 1 for n in inner):
        tile = accepting_ragged("tile", ops.tile)
        rows = [tile(row, inner) for row in rows]
    return stack_rows(rows * outer, like=input)


def _softmax(logits: RaggedTensor, axis: SupportsInt = -1, name: str | None = None) -> RaggedOrTensor:
    at = int(axis) % len(logits.shape)
    if at > logits.ragged_rank:
        return logits.with_flat_values(ops.softmax(logits.flat_values, axis=at - logits.ragged_rank))
    if at != 1:
        raise TypeError(f"tf.nn.softmax(axis={axis}) of a ragged tensor is that of rows or of values in them")
    return stack_rows([ops.softmax(row, axis=0) for row in logits.rows()], like=logits)


_HANDLERS: dict[str, Callable[..., Any]] = {
    "boolean_mask": boolean_mask,
    "concat": _concat,
    "expand_dims": _expand_dims,
    "gather": _gather,
    "rank": _rank,
    "reverse": _reverse,
    "size": _size,
    "softmax": _softmax,
    "stack": stack,
    "tile": _tile,
}
# Functions of whole tensors, which would mix the rows if they were applied to the values.
_NOT_ELEMENTWISE = frozenset(
    [
        "argmax", "argmin", "argsort", "bincount", "broadcast_to", "clip_by_norm", "confusion_matrix",
        "count_nonzero", "cumprod", "cumsum", "einsum", "gather_nd", "in_top_k", "l2_normalize",
        "log_softmax", "matmul", "moments", "norm", "pad", "repeat", "reshape", "roll", "scatter_nd", "slice",
        "sort", "split", "squeeze", "tensordot", "top_k", "transpose", "unique", "unique_with_counts",
        "unstack", "zero_fraction",
    ]
)  # fmt: skip
# Functions that see the ragged tensor itself.
_STRING_FUNCTIONS = frozenset(string_parts.NAMESPACES["strings"].split())
_UNCHANGED = frozenset(
    [
        "Module", "cond", "constant", "convert_to_tensor", "foldl", "function", "is_tensor", "map_fn",
        "numpy_function", "print", "py_function", "shape", "type_spec_from_value", "vectorized_map",
        "while_loop",
    ]
)  # fmt: skip


def accepting_ragged(name: str, fn: T, namespace: str = "tensorflow") -> T:
    """Return a function of `tf` that takes ragged tensors too: reductions, the ones above, elementwise ones.

    Args:
        name: Its name.
        fn: The function for tensors.
        namespace: Module of the function.
    """
    if not callable(fn) or isinstance(fn, type) or name in _UNCHANGED:
        return fn
    if namespace == "tensorflow.strings" and name in _STRING_FUNCTIONS:
        return fn

    @functools.wraps(fn)
    def call(*args: Tree, **kwargs: Tree) -> Tree:
        if holds_extension((*args, *kwargs.values())):
            return dispatched(name, fn, args, kwargs)
        if not any(_is_ragged(x) for x in (*args, *kwargs.values())):
            return (for_strings(name, args, kwargs) or fn)(*args, **kwargs)
        if name in _NOT_ELEMENTWISE:
            raise TypeError(
                f"tf.{name} takes no ragged tensors here: pass x.to_tensor(), or call it on each row"
            )
        handler = _HANDLERS.get(name) or (_reduction(fn) if name.startswith("reduce_") else None)
        return handler(*args, **kwargs) if handler else elementwise(fn, *args, **kwargs)

    return call  # type: ignore[return-value]  # with the signature of fn


def _is_ragged(x: object) -> bool:
    if isinstance(x, (list, tuple)):
        return any(isinstance(part, RaggedTensor) for part in x)
    return isinstance(x, RaggedTensor)
