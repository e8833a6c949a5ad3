"""tf.SparseTensor, tf.sparse and tf.sets: values at known places, and sets as the rows of tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias, TypeVar

import numpy as np

from hornbeam import SparseTensor as CoreSparseTensor
from hornbeam import Tensor, ops
from hornbeam.extensions.tensors import Composite, as_tensor
from hornbeam_compat.patch import Patch
from hornbeam_compat.tensorflow.dtypes import TensorShape, TypeSpec, as_dtype
from hornbeam_compat.tensorflow.strings import StringTensor, holds_text, take
from hornbeam_compat.tensorflow.typing import DTypeLike, ShapeLike, Sizes, TensorLike, TextOrTensor

T = TypeVar("T")
AnySparse: TypeAlias = "SparseTensor | CoreSparseTensor"

# Namespace -> its names.
NAMESPACES = {
    "sparse": (
        "SparseTensor add concat expand_dims eye from_dense map_values maximum minimum mask reduce_max "
        "reduce_sum reorder reset_shape reshape retain slice softmax sparse_dense_matmul split to_dense "
        "to_indicator transpose"
    ),
    "sets": "difference intersection size union",
}


class Places(np.ndarray):
    """Indices of a sparse tensor, on the host, with the method `numpy()` of a tensor."""

    def numpy(self) -> np.ndarray:
        return np.asarray(self)


class SparseTensor(Composite):
    """Tensor given by values at places; all others are 0, or "" for strings.

    Places are sorted by row. Numbers are Hornbeam's sparse tensors, which layers and operations take.

    Args:
        indices: Integers (values, rank).
        values: Tensor (values,), or strings.
        dense_shape: Sizes of the axes.
    """

    __slots__ = ()

    if TYPE_CHECKING:  # attributes of both subclasses
        indices: np.ndarray
        values: Any
        shape: Any
        dtype: Any

    def __new__(cls, indices: TensorLike, values: TensorLike, dense_shape: object) -> SparseTensor:
        if cls is SparseTensor:
            cls = SparseStrings if holds_text(values) else SparseNumbers
        return object.__new__(cls)

    @property
    def dense_shape(self) -> Tensor:
        return as_tensor(np.array(tuple(self.shape), np.int64))

    def get_shape(self) -> TensorShape:
        return TensorShape(self.shape)

    def with_values(self, new_values: TensorLike) -> SparseTensor:
        """Return other values at the same places."""
        return SparseTensor(self.indices, new_values, self.shape)

    # As part of a dataset.

    def stack(self, values: Sequence[SparseTensor]) -> SparseTensor:
        """Stack sparse tensors along a new first axis."""
        return concat(0, [expand_dims(value, 0) for value in values])

    def row(self, index: int) -> SparseTensor:
        """Return a row."""
        places, values, shape = _parts(self)
        rows = np.flatnonzero(places[:, 0] == index)
        return SparseTensor(places[rows][:, 1:], take(values, rows), shape[1:])

    def row_count(self) -> int:
        """Return the size of the first axis."""
        return int(self.shape[0])

    def spec(self) -> SparseTensorSpec:
        """Return the type."""
        return SparseTensorSpec(self.shape, self.dtype)

    def __repr__(self) -> str:
        places = np.asarray(self.indices).tolist()
        return f"SparseTensor(indices={places}, values={self.values}, dense_shape={self.shape})"


class SparseTensorSpec(TypeSpec):
    """Sizes and dtype of a sparse tensor.

    Args:
        shape: Sizes, with None for unknown ones.
        dtype: Dtype.
    """

    value_type = SparseTensor

    def __init__(self, shape: ShapeLike | None = None, dtype: DTypeLike = "float32") -> None:
        self.shape = None if shape is None else TensorShape(shape)
        self.dtype = as_dtype(dtype)

    def row(self) -> SparseTensorSpec:
        """Return the type of a row."""
        return SparseTensorSpec(self.shape[1:], self.dtype)  # type: ignore[index]

    def batch(self, size: int | None) -> SparseTensorSpec:
        """Return the type of a batch."""
        return SparseTensorSpec((size, *self.shape), self.dtype)  # type: ignore[misc]

    def __repr__(self) -> str:
        return f"SparseTensorSpec({self.shape!r}, {self.dtype!r})"


class IndexedSlices:
    """Rows of a tensor: `values[i]` is its row `indices[i]`, and all others are 0.

    Args:
        values: Tensor (rows, ...).
        indices: Integers (rows,).
        dense_shape: Sizes of the tensor, or None.
    """

    def __init__(self, values: TensorLike, indices: TensorLike, dense_shape: ShapeLike | None = None) -> None:
        self.values, self.indices = as_tensor(values), as_tensor(indices)
        self.dense_shape = None if dense_shape is None else as_tensor(dense_shape)

    def to_tensor(self) -> Tensor:
        """Return the tensor. Raise ValueError without `dense_shape`."""
        if self.dense_shape is None:
            raise ValueError("these IndexedSlices have no dense_shape: the number of rows is unknown")
        shape = np.asarray(self.dense_shape).tolist()
        return ops.scatter(ops.expand_dims(self.indices, -1), self.values, shape)

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self.to_tensor(), dtype)


class SparseNumbers(CoreSparseTensor, SparseTensor):  # type: ignore[misc]  # both have `with_values`
    """Sparse tensor of numbers."""

    __slots__ = ()

    def __init__(self, indices: TensorLike, values: TensorLike, dense_shape: ShapeLike) -> None:
        super().__init__(_places(indices, dense_shape), values, np.asarray(dense_shape).tolist())
        self.indices = self.host_places(self.indices)

    @staticmethod
    def host_places(indices: np.ndarray) -> np.ndarray:
        return indices.view(Places)

    __repr__ = SparseTensor.__repr__


class SparseStrings(SparseTensor):
    """Sparse tensor of strings, on the host."""

    __slots__ = ("dtype", "indices", "shape", "values")

    def __init__(self, indices: TensorLike, values: TensorLike, dense_shape: ShapeLike) -> None:
        places = _places(indices, dense_shape)
        order = np.lexsort(places.T[::-1])
        self.indices = places[order].view(Places)
        self.values = StringTensor(StringTensor(values).array[order])
        self.shape = TensorShape(np.asarray(dense_shape).tolist())
        self.dtype = "string"


def _places(indices: TensorLike, dense_shape: ShapeLike) -> np.ndarray:
    return np.asarray(indices, np.int64).reshape(-1, len(np.asarray(dense_shape)))


def _parts(sp: AnySparse) -> tuple[np.ndarray, Any, tuple[int, ...]]:
    return np.asarray(sp.indices), sp.values, tuple(int(n) for n in sp.shape)


def patches() -> list[Patch]:
    """List the patch by which operations on sparse tensors return those of TensorFlow."""
    return [Patch(CoreSparseTensor, "result_class", SparseNumbers)]


# -- tf.sparse -----------------------------------------------------------------------------------------------


def from_dense(tensor: TensorLike, name: str | None = None) -> SparseTensor:
    """Return the values that are not 0, or not "", and their places."""
    if holds_text(tensor):
        array = StringTensor(tensor).array
        places = np.argwhere(array != b"")
        return SparseTensor(places, StringTensor(array[tuple(places.T)]), array.shape)
    dense = as_tensor(tensor)
    places = np.argwhere(np.asarray(dense))
    return SparseTensor(places, dense[tuple(places.T)], dense.shape)


def to_dense(
    sp_input: AnySparse, default_value: TensorLike | None = None, validate_indices: bool = True,
    name: str | None = None,
) -> TextOrTensor:  # fmt: skip
    """Return the tensor, with `default_value` (0 or "") elsewhere."""
    places, values, shape = _parts(sp_input)
    if isinstance(sp_input, SparseStrings):
        array = np.full(
            shape, b"" if default_value is None else StringTensor(default_value).array[()], object
        )
        array[tuple(places.T)] = values.array
        return StringTensor(array)
    dense = ops.full(shape, 0 if default_value is None else default_value, dtype=values.dtype)
    return ops.scatter_update(dense, places.astype(np.int32), values) if len(places) else dense


def reorder(sp_input: T, name: str | None = None) -> T:
    """Return `sp_input`: places are always sorted."""
    return sp_input


def map_values(op: Callable[..., Any], *args: AnySparse | TensorLike, **kwargs: object) -> SparseTensor:
    """Apply a function to the values; other arguments that are sparse have the same places."""
    first = next(x for x in args if isinstance(x, CoreSparseTensor))
    flat = [x.values if isinstance(x, CoreSparseTensor) else x for x in args]
    return SparseTensor(first.indices, op(*flat, **kwargs), first.shape)


def add(
    a: TensorLike, b: TensorLike, threshold: object = 0, name: str | None = None
) -> SparseTensor | Tensor:
    """Add two tensors; the sum of two sparse ones is sparse."""
    if not (isinstance(a, CoreSparseTensor) and isinstance(b, CoreSparseTensor)):
        return ops.add(a, b)
    (places_a, values_a, shape), (places_b, values_b, _) = _parts(a), _parts(b)
    places, inverse = np.unique(np.concatenate([places_a, places_b]), axis=0, return_inverse=True)
    values = ops.concatenate([values_a, values_b])
    return SparseTensor(
        places, ops.segment_sum(values, inverse.reshape(-1).astype(np.int32), len(places)), shape
    )


def _extremum(fn: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    def compute(sp_a: AnySparse, sp_b: AnySparse, name: str | None = None) -> SparseTensor:
        places = np.unique(np.concatenate([np.asarray(sp_a.indices), np.asarray(sp_b.indices)]), axis=0)
        dense = fn(to_dense(sp_a), to_dense(sp_b))
        return SparseTensor(places, dense[tuple(places.T)], sp_a.shape)

    return compute


maximum, minimum = _extremum(ops.maximum), _extremum(ops.minimum)


def sparse_dense_matmul(
    sp_a: TensorLike, b: TensorLike, adjoint_a: bool = False, adjoint_b: bool = False, name: str | None = None
) -> Tensor:
    """Multiply matrices, of which one or both are sparse."""
    left: Any = transpose(sp_a) if adjoint_a and isinstance(sp_a, CoreSparseTensor) else sp_a
    right = ops.transpose(b) if adjoint_b else b
    return ops.matmul(left, right)


def transpose(sp_input: AnySparse, perm: Sizes | None = None, name: str | None = None) -> SparseTensor:
    """Reverse the order of the axes, or permute them."""
    places, values, shape = _parts(sp_input)
    order = list(reversed(range(len(shape)))) if perm is None else [int(axis) for axis in perm]
    sort = np.lexsort(places[:, order].T[::-1])
    return SparseTensor(places[sort][:, order], take(values, sort), [shape[axis] for axis in order])


def reshape(sp_input: AnySparse, shape: ShapeLike, name: str | None = None) -> SparseTensor:
    """Change the shape."""
    places, values, sizes = _parts(sp_input)
    flat = np.ravel_multi_index(tuple(places.T), sizes)
    new = np.zeros(sizes, bool).reshape(np.asarray(shape).tolist()).shape
    return SparseTensor(np.stack(np.unravel_index(flat, new), axis=1), values, new)


def expand_dims(sp_input: AnySparse, axis: int | None = None, name: str | None = None) -> SparseTensor:
    """Add an axis of size 1."""
    places, values, shape = _parts(sp_input)
    at = axis if axis is not None else -1
    at = at + len(shape) + 1 if at < 0 else at
    return SparseTensor(np.insert(places, at, 0, axis=1), values, (*shape[:at], 1, *shape[at:]))


def slice(sp_input: AnySparse, start: TensorLike, size: TensorLike, name: str | None = None) -> SparseTensor:
    """Return the values in a block."""
    places, values, shape = _parts(sp_input)
    first, extent = np.asarray(start), np.asarray(size)
    inside = ((places >= first) & (places < first + extent)).all(axis=1)
    sizes = np.maximum(np.minimum(extent, np.array(shape) - first), 0)
    return SparseTensor(places[inside] - first, take(values, np.flatnonzero(inside)), sizes)


def split(sp_input: AnySparse, num_split: int = 1, axis: int = 0, name: str | None = None) -> list[Any]:
    """Split along an axis; the first parts are larger by one where sizes are not equal."""
    shape = [int(n) for n in sp_input.shape]
    parts, start = [], 0
    for index in range(num_split):
        extent = shape[axis] // num_split + (index < shape[axis] % num_split)
        first, sizes = [0] * len(shape), list(shape)
        first[axis], sizes[axis] = start, extent
        parts.append(slice(sp_input, first, sizes))
        start += extent
    return parts


def concat(
    axis: int, sp_inputs: Sequence[AnySparse], expand_nonconcat_dims: bool = False, name: str | None = None
) -> SparseTensor:
    """Concatenate along an axis."""
    at, offset, places = axis % len(sp_inputs[0].shape), 0, []
    for sp in sp_inputs:
        moved = np.array(sp.indices)
        moved[:, at] += offset
        offset += int(sp.shape[at])
        places.append(moved)
    text = isinstance(sp_inputs[0], SparseStrings)
    values: list[Any] = [sp.values for sp in sp_inputs]
    joined = StringTensor(np.concatenate([v.array for v in values])) if text else ops.concatenate(values)
    sizes = np.max([[int(n) for n in sp.shape] for sp in sp_inputs], axis=0)
    sizes[at] = offset
    everything = np.concatenate(places)
    order = np.lexsort(everything.T[::-1])
    return SparseTensor(everything[order], take(joined, order), sizes)


def reset_shape(sp_input: AnySparse, new_shape: ShapeLike | None = None) -> SparseTensor:
    """Return the same values in another shape of the same rank; the smallest one if None."""
    places, values, _ = _parts(sp_input)
    return SparseTensor(places, values, places.max(axis=0) + 1 if new_shape is None else new_shape)


def retain(sp_input: AnySparse, to_retain: TensorLike) -> SparseTensor:
    """Select values by a mask."""
    places, values, shape = _parts(sp_input)
    kept = np.flatnonzero(np.asarray(to_retain))
    return SparseTensor(places[kept], take(values, kept), shape)


def mask(a: SparseTensor | TensorLike, mask_indices: object, name: str | None = None) -> NoReturn:
    """Raise NotImplementedError: IndexedSlices are missing."""
    raise NotImplementedError(
        "tf.sparse.mask takes tf.IndexedSlices, which gradients are not here: gather rows"
    )


def reduce_sum(
    sp_input: AnySparse, axis: int | Sequence[int] | None = None, keepdims: bool | None = None,
    output_is_sparse: bool = False, **options: object,
) -> SparseTensor | Tensor:  # fmt: skip
    """Sum along axes, to a dense tensor."""
    total = ops.sum(to_dense(sp_input), axis=axis, keepdims=bool(keepdims))
    return from_dense(total) if output_is_sparse else total


def reduce_max(
    sp_input: AnySparse, axis: int | Sequence[int] | None = None, keepdims: bool | None = None,
    output_is_sparse: bool = False, **options: object,
) -> SparseTensor | Tensor:  # fmt: skip
    """Return the largest of the values along axes, 0 where there are none."""
    lowest = to_dense(
        sp_input, default_value=-np.inf if "float" in sp_input.dtype else np.iinfo(str(sp_input.dtype)).min
    )
    largest = ops.max(lowest, axis=axis, keepdims=bool(keepdims))
    present = ops.max(to_dense(map_values(ops.ones_like, sp_input)), axis=axis, keepdims=bool(keepdims)) > 0
    result = ops.where(present, largest, ops.zeros_like(largest))
    return from_dense(result) if output_is_sparse else result


def softmax(sp_logits: AnySparse, name: str | None = None) -> SparseTensor:
    """Apply softmax to the values of each row."""
    places, _, shape = _parts(sp_logits)
    dense = ops.softmax(to_dense(sp_logits, default_value=-np.inf), axis=-1)
    return SparseTensor(places, dense[tuple(places.T)], shape)


def to_indicator(sp_input: AnySparse, vocab_size: int, name: str | None = None) -> Tensor:
    """Return True at the columns that the values name."""
    places, values, shape = _parts(sp_input)
    result = np.zeros((*shape[:-1], int(vocab_size)), bool)
    result[tuple([*places[:, :-1].T, np.asarray(values)])] = True
    return as_tensor(result)


def eye(
    num_rows: int, num_columns: int | None = None, dtype: DTypeLike = "float32", name: str | None = None
) -> SparseTensor:
    """Create an identity matrix."""
    count = min(int(num_rows), int(num_columns or num_rows))
    values = ops.ones((count,), dtype)
    return SparseTensor(
        np.repeat(np.arange(count)[:, None], 2, axis=1), values, (num_rows, num_columns or num_rows)
    )


# -- tf.sets -------------------------------------------------------------------------------------------------


def _rows(x: SparseStrings | TensorLike) -> tuple[list[set[Any]], tuple[int, ...], bool]:
    """Return the sets along the last axis, the other sizes, and True for strings."""
    if isinstance(x, (CoreSparseTensor, SparseStrings)):
        places, values, shape = _parts(x)
        rows: list[set[Any]] = [set() for _ in range(int(np.prod(shape[:-1])))]
        flat = (
            np.ravel_multi_index(tuple(places[:, :-1].T), shape[:-1])
            if shape[:-1]
            else np.zeros(len(places), int)
        )
        listed = values.array if isinstance(values, StringTensor) else np.asarray(values)
        for row, value in zip(flat, listed.tolist(), strict=True):
            rows[row].add(value)
        return rows, shape[:-1], isinstance(values, StringTensor)
    text = holds_text(x)
    array = StringTensor(x).array if text else np.asarray(x)
    return [set(row) for row in array.reshape(-1, array.shape[-1]).tolist()], array.shape[:-1], text


def _combined(
    fn: Callable[[set[Any], set[Any]], set[Any]], a: SparseStrings | TensorLike, b: SparseStrings | TensorLike
) -> SparseTensor:
    (rows_a, shape, text), (rows_b, _, _) = _rows(a), _rows(b)
    return _as_sparse([fn(x, y) for x, y in zip(rows_a, rows_b, strict=True)], shape, text, a)


def _as_sparse(
    rows: Sequence[set[Any]], shape: tuple[int, ...], text: bool, like: SparseStrings | TensorLike
) -> SparseTensor:
    ordered = [sorted(row) for row in rows]
    places = [(*np.unravel_index(i, shape), j) for i, row in enumerate(ordered) for j in range(len(row))]
    flat = [value for row in ordered for value in row]
    dtype = (
        None
        if text or isinstance(like, SparseStrings)
        else getattr(like, "dtype", None) or as_tensor(like).dtype
    )
    values: Any = StringTensor(np.array(flat, object)) if text else ops.cast(as_tensor(np.array(flat)), dtype)
    width = max(map(len, ordered), default=0)
    return SparseTensor(np.array(places, np.int64).reshape(-1, len(shape) + 1), values, (*shape, width))


def union(
    a: SparseStrings | TensorLike, b: SparseStrings | TensorLike, validate_indices: bool = True
) -> SparseTensor:
    """Return the union of the sets along the last axis."""
    return _combined(set.union, a, b)


def intersection(
    a: SparseStrings | TensorLike, b: SparseStrings | TensorLike, validate_indices: bool = True
) -> SparseTensor:
    """Return the intersection of the sets along the last axis."""
    return _combined(set.intersection, a, b)


def difference(
    a: SparseStrings | TensorLike, b: SparseStrings | TensorLike, aminusb: bool = True,
    validate_indices: bool = True,
) -> SparseTensor:  # fmt: skip
    """Return the elements of the sets of `a` that are not in those of `b`."""
    return _combined(set.difference, a, b) if aminusb else _combined(set.difference, b, a)


def size(a: SparseStrings | TensorLike, validate_indices: bool = True) -> Tensor:
    """Return the number of elements of each set."""
    rows, shape, _ = _rows(a)
    return as_tensor(np.array([len(row) for row in rows], np.int32).reshape(shape))
