"""tf.RaggedTensor: rows of different lengths, as flat values and the positions at which rows end."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any, SupportsInt

import numpy as np

from hornbeam import Tensor, ops
from hornbeam.errors import ShapeError
from hornbeam.extensions.tensors import Composite, as_tensor
from hornbeam_compat.tensorflow.dtypes import DType, TensorShape, as_dtype
from hornbeam_compat.tensorflow.ragged_rows import RaggedRow, RaggedTensorSpec
from hornbeam_compat.tensorflow.sparse import SparseTensor
from hornbeam_compat.tensorflow.strings import StringTensor, holds_text, to_bytes
from hornbeam_compat.tensorflow.typing import (
    RaggedLike,
    RaggedOrTensor,
    Sizes,
    TensorLike,
    Tensors,
    TextOrTensor,
)


class RaggedTensor(Composite):
    """Rows of different lengths.

    The lengths are known on the host; values are a tensor, so gradients flow to them.

    Args:
        values: The rows one after the other: a tensor, or a RaggedTensor for rows of rows.
        row_splits: Integers (rows + 1,): row i has the values from row_splits[i] to row_splits[i + 1].
    """

    def __init__(self, values: RaggedLike, row_splits: TensorLike) -> None:
        self.values = as_flat(values)
        self._splits = np.asarray(row_splits, np.int64)

    # -- construction --------------------------------------------------------------------------------------

    @classmethod
    def from_row_splits(
        cls, values: RaggedLike, row_splits: TensorLike, name: str | None = None, validate: bool = True
    ) -> RaggedTensor:
        """Create it from the positions at which rows begin and end."""
        splits, values = np.asarray(row_splits, np.int64), as_flat(values)
        if validate and (splits[:1].any() or (np.diff(splits) < 0).any() or splits[-1] != len(values)):
            raise ValueError(
                f"row_splits must rise from 0 to the number of values, {len(values)}, got {splits.tolist()}"
            )
        return cls(values, splits)

    @classmethod
    def from_row_lengths(
        cls, values: RaggedLike, row_lengths: TensorLike, name: str | None = None, validate: bool = True
    ) -> RaggedTensor:
        """Create it from the length of each row."""
        return cls.from_row_splits(
            values, np.concatenate([[0], np.cumsum(np.asarray(row_lengths))]), None, validate
        )

    @classmethod
    def from_row_starts(
        cls, values: RaggedLike, row_starts: TensorLike, name: str | None = None, validate: bool = True
    ) -> RaggedTensor:
        """Create it from the position at which each row begins."""
        values = as_flat(values)
        return cls.from_row_splits(values, [*np.asarray(row_starts).tolist(), len(values)], None, validate)

    @classmethod
    def from_row_limits(
        cls, values: RaggedLike, row_limits: TensorLike, name: str | None = None, validate: bool = True
    ) -> RaggedTensor:
        """Create it from the position at which each row ends."""
        return cls.from_row_splits(values, [0, *np.asarray(row_limits).tolist()], None, validate)

    @classmethod
    def from_value_rowids(
        cls, values: RaggedLike, value_rowids: TensorLike, nrows: SupportsInt | None = None,
        name: str | None = None, validate: bool = True,
    ) -> RaggedTensor:  # fmt: skip
        """Create it from the number of the row of each value, in order."""
        ids = np.asarray(value_rowids)
        count = int(ids[-1]) + 1 if nrows is None and len(ids) else int(nrows or 0)
        return cls.from_row_lengths(values, np.bincount(ids, minlength=count), None, validate)

    @classmethod
    def from_uniform_row_length(
        cls, values: RaggedLike, uniform_row_length: SupportsInt, nrows: SupportsInt | None = None,
        name: str | None = None, validate: bool = True,
    ) -> RaggedTensor:  # fmt: skip
        """Create it from rows of one length."""
        length, values = int(uniform_row_length), as_flat(values)
        return cls.from_row_splits(values, np.arange(0, len(values) + 1, length), None, validate)

    @classmethod
    def from_nested_row_splits(
        cls, flat_values: RaggedLike, nested_row_splits: Tensors, **options: object
    ) -> RaggedOrTensor:
        """Create rows of rows from the splits of each level, the outermost first."""
        return _nest(as_flat(flat_values), [np.asarray(splits) for splits in nested_row_splits])

    @classmethod
    def from_nested_row_lengths(
        cls, flat_values: RaggedLike, nested_row_lengths: Tensors, **options: object
    ) -> RaggedOrTensor:
        """Create rows of rows from the lengths at each level, the outermost first."""
        return _nest(
            as_flat(flat_values),
            [np.concatenate([[0], np.cumsum(n)]) for n in map(np.asarray, nested_row_lengths)],
        )

    @classmethod
    def from_tensor(
        cls, tensor: TensorLike, lengths: TensorLike | None = None, padding: object = None,
        ragged_rank: int = 1, **options: object,
    ) -> RaggedTensor:  # fmt: skip
        """Create it from a tensor: rows end at `lengths`, or before the values equal to `padding`."""
        array = as_values(tensor)
        rows = list(array)
        if ragged_rank > 1:
            return as_ragged([cls.from_tensor(row, None, padding, ragged_rank - 1) for row in rows])
        if lengths is None:
            lengths = [len(row) if padding is None else _padded_length(row, padding) for row in rows]
        return as_ragged([row[: int(length)] for row, length in zip(rows, np.asarray(lengths), strict=True)])

    @classmethod
    def from_sparse(
        cls, st_input: SparseTensor, name: str | None = None, row_splits_dtype: object = None
    ) -> RaggedTensor:
        """Create it from a sparse matrix whose values are at the beginning of each row."""
        places = np.asarray(st_input.indices)
        if places.shape[1] != 2:
            raise ShapeError(f"from_sparse takes a sparse matrix, got shape {tuple(st_input.shape)}")
        lengths = np.bincount(places[:, 0], minlength=int(st_input.shape[0]))
        rows = cls.from_row_lengths(st_input.values, lengths)
        if not np.array_equal(_places(rows), places):
            raise ShapeError("from_sparse takes rows whose values are side by side from the first column on")
        return rows

    # -- parts ---------------------------------------------------------------------------------------------

    @property
    def row_splits(self) -> Tensor:
        return as_tensor(self._splits)

    @property
    def flat_values(self) -> TextOrTensor:
        """The values without any rows."""
        return self.values.flat_values if isinstance(self.values, RaggedTensor) else self.values

    @property
    def nested_row_splits(self) -> tuple[Tensor, ...]:
        inner = self.values.nested_row_splits if isinstance(self.values, RaggedTensor) else ()
        return (self.row_splits, *inner)

    def _inner(self) -> RaggedTensor:
        """Return the rows in rows. Raises TypeError if there are none."""
        if not isinstance(self.values, RaggedTensor):
            raise TypeError(f"a ragged tensor of shape {self.shape} has no rows in rows")
        return self.values

    @property
    def ragged_rank(self) -> int:
        return len(self.nested_row_splits)

    @property
    def dtype(self) -> DType:
        flat = self.flat_values
        return as_dtype("string" if isinstance(flat, StringTensor) else flat.dtype)

    @property
    def shape(self) -> TensorShape:
        """Sizes: None for axes of rows of different lengths."""
        inner = tuple(self.values.shape)[1:]
        return TensorShape((len(self), None, *inner))

    def get_shape(self) -> TensorShape:
        return self.shape

    def nrows(self, out_type: object = None, name: str | None = None) -> Tensor:
        """Return the number of rows."""
        return ops.cast(as_tensor(len(self)), "int64")

    def row_starts(self, name: str | None = None) -> Tensor:
        return as_tensor(self._splits[:-1])

    def row_limits(self, name: str | None = None) -> Tensor:
        return as_tensor(self._splits[1:])

    def lengths(self) -> np.ndarray:
        """Return the lengths of the rows, on the host."""
        return np.diff(self._splits)

    def row_lengths(self, axis: int = 1, name: str | None = None) -> RaggedOrTensor:
        """Return the lengths of the rows, or with axis=2 of the rows inside of rows."""
        if axis == 1:
            return as_tensor(self.lengths())
        return RaggedTensor(self._inner().row_lengths(axis - 1), self._splits)

    def rowids(self) -> np.ndarray:
        """Return the number of the row of each value, on the host."""
        return np.repeat(np.arange(len(self)), self.lengths())

    def value_rowids(self, name: str | None = None) -> Tensor:
        return as_tensor(self.rowids())

    def bounding_shape(
        self, axis: int | None = None, name: str | None = None, out_type: object = None
    ) -> Tensor:
        """Return the sizes of the smallest tensor that contains all rows."""
        longest = int(self.lengths().max(initial=0))
        inner = self.values.bounding_shape() if isinstance(self.values, RaggedTensor) else self.values.shape
        sizes = [len(self), longest, *(int(n) for n in np.asarray(inner)[1:])]
        return as_tensor(np.array(sizes, np.int64) if axis is None else np.int64(sizes[axis]))

    def with_values(self, new_values: RaggedLike) -> RaggedTensor:
        """Return the same rows of other values."""
        return RaggedTensor(new_values, self._splits)

    def with_flat_values(self, new_values: RaggedLike) -> RaggedTensor:
        """Return the same rows, and rows of rows, of other values."""
        inner = self.values
        return self.with_values(
            inner.with_flat_values(new_values) if isinstance(inner, RaggedTensor) else new_values
        )

    def merge_dims(self, outer_axis: int, inner_axis: int) -> RaggedOrTensor:
        """Merge neighboring axes into one."""
        if outer_axis == inner_axis:
            return self
        if outer_axis > 1:
            return self.with_values(self._inner().merge_dims(outer_axis - 1, inner_axis - 1))
        if outer_axis == 1:
            inner = self.values
            if not isinstance(inner, RaggedTensor):
                inner = RaggedTensor.from_tensor(inner)
            merged = RaggedTensor(inner.values, inner._splits[self._splits])
            return merged.merge_dims(1, inner_axis - 1)
        if inner_axis == 1:
            return self.values
        if not isinstance(self.values, RaggedTensor):
            return ops.reshape(self.values, (-1, *self.values.shape[inner_axis:]))
        return self.values.merge_dims(0, inner_axis - 1)

    # -- values --------------------------------------------------------------------------------------------

    def rows(self) -> list[Any]:
        """Return the rows: tensors, or RaggedTensors."""
        return [
            self.values[a:b]
            for a, b in zip(self._splits[:-1].tolist(), self._splits[1:].tolist(), strict=True)
        ]

    def to_list(self) -> list[Any]:
        """Return the values as nested lists; strings as bytes."""
        return [
            row.to_list() if isinstance(row, RaggedTensor) else np.asarray(row).tolist()
            for row in self.rows()
        ]

    def numpy(self) -> np.ndarray:
        """Return an array of objects, the rows; a plain one if all rows have one length."""
        rows = [row.numpy() for row in self.rows()]
        if len({row.shape for row in rows}) == 1 and rows[0].dtype != object:
            return np.stack(rows)
        array = np.empty(len(rows), object)
        for i, row in enumerate(rows):
            array[i] = row
        return array

    def to_tensor(
        self, default_value: TensorLike | None = None, name: str | None = None, shape: Sizes | None = None
    ) -> TextOrTensor:
        """Pad short rows with `default_value` ("" or 0 by default), and stack them.

        Args:
            default_value: Scalar.
            name: Ignored.
            shape: Sizes of the result; None for those that are needed. Longer rows are cut.
        """
        sizes = list(shape) if shape is not None else []
        width = int(self.lengths().max(initial=0)) if len(sizes) < 2 or sizes[1] is None else int(sizes[1])
        fill: Any = ("" if self.dtype == "string" else 0) if default_value is None else default_value
        inner = self.values
        if isinstance(inner, RaggedTensor):
            inner = inner.to_tensor(fill, shape=[None, *sizes[2:]] if len(sizes) > 2 else None)
        columns = np.arange(width)
        present = columns < self.lengths()[:, None]
        places = np.where(present, self._splits[:-1, None] + columns, len(inner))
        if isinstance(inner, StringTensor):
            padded = np.concatenate([inner.array, np.full((1, *inner.shape[1:]), to_bytes(fill), object)])
            return StringTensor(padded[places])
        last = ops.broadcast_to(ops.cast(as_tensor(fill), inner.dtype), (1, *inner.shape[1:]))
        return ops.take(ops.concatenate([inner, last]), places.astype(np.int32), axis=0)

    def to_sparse(self, name: str | None = None) -> SparseTensor:
        """Return a SparseTensor with every value at its row, its column, and its places on inner axes."""
        values = self.flat_values.reshape(-1)
        return SparseTensor(_places(self), values, np.asarray(self.bounding_shape()))

    # -- as part of a dataset ------------------------------------------------------------------------------

    def stack(self, values: Sequence[RaggedTensor]) -> RaggedTensor:
        """Stack ragged tensors along a new first axis."""
        return as_ragged(list(values))

    def row(self, index: int) -> RaggedTensor | RaggedRow:
        """Return a row, which stays ragged when rows are stacked again."""
        row = self.rows()[index]
        return row if isinstance(row, RaggedTensor) else RaggedRow(row, stack_rows)

    def row_count(self) -> int:
        """Return the number of rows."""
        return len(self)

    def spec(self) -> RaggedTensorSpec:
        """Return the type."""
        return RaggedTensorSpec(self.shape, self.dtype, self.ragged_rank)

    def __len__(self) -> int:
        return len(self._splits) - 1

    def __iter__(self) -> Iterator[Any]:
        return iter(self.rows())

    def __getitem__(self, key: Any) -> RaggedOrTensor:
        first, *rest = key if isinstance(key, tuple) else (key,)
        if first is Ellipsis or (isinstance(first, slice) and first == slice(None) and rest == [Ellipsis]):
            return self
        if isinstance(first, slice):
            rows = self.rows()[first]
            return stack_rows([row[tuple(rest)] if rest else row for row in rows], like=self)
        row = self.rows()[int(first)]
        return row[tuple(rest) if len(rest) > 1 else rest[0]] if rest else row

    def __repr__(self) -> str:
        return f"<tf.RaggedTensor {self.to_list()}>"

    def __bool__(self) -> bool:
        raise ValueError("a ragged tensor has no truth value: compare its values or its number of rows")

    __hash__ = object.__hash__


RaggedTensorSpec.value_type = RaggedTensor


def _binary(fn: Callable[[Any, Any], Any], reverse: bool = False) -> Callable[..., RaggedTensor]:
    def method(self: RaggedTensor, other: RaggedLike) -> RaggedTensor:
        return elementwise(fn, other, self) if reverse else elementwise(fn, self, other)

    return method


for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "and_", "or_", "xor"):
    _fn = getattr(operator, _name)
    setattr(RaggedTensor, f"__{_name.rstrip('_')}__", _binary(_fn))
    setattr(RaggedTensor, f"__r{_name.rstrip('_')}__", _binary(_fn, reverse=True))
for _name in ("eq", "ne", "lt", "le", "gt", "ge"):
    setattr(RaggedTensor, f"__{_name}__", _binary(getattr(operator, _name)))


def _unary(fn: Callable[[Any], Any]) -> Callable[[RaggedTensor], RaggedTensor]:
    return lambda self: elementwise(fn, self)


for _name in ("neg", "abs", "invert"):
    setattr(RaggedTensor, f"__{_name}__", _unary(getattr(operator, _name)))


# -- helpers -------------------------------------------------------------------------------------------------


def as_flat(values: RaggedLike) -> RaggedOrTensor:
    """Convert values to a tensor, unless they are ragged."""
    return values if isinstance(values, (RaggedTensor, StringTensor)) else as_values(values)


def as_values(values: TensorLike) -> TextOrTensor:
    """Convert values to a tensor, or a tensor of strings."""
    return StringTensor(values) if holds_text(values) else as_tensor(values)


def _padded_length(row: TensorLike, padding: object) -> int:
    array = np.asarray(row)
    different = np.flatnonzero(array != (to_bytes(padding) if array.dtype == object else padding))
    return int(different[-1]) + 1 if len(different) else 0


def _places(values: RaggedOrTensor) -> np.ndarray:
    """Return the indices of all values, (values, rank), in their order."""
    if not isinstance(values, RaggedTensor):
        return np.argwhere(np.ones(tuple(values.shape), bool))
    rows, inner = values.rowids(), _places(values.values)
    columns = np.arange(len(rows)) - np.asarray(values.row_starts())[rows]
    number = inner[:, 0]  # of the value among those of all rows
    return np.column_stack([rows[number], columns[number], inner[:, 1:]])


def _nest(values: RaggedOrTensor, splits: list[np.ndarray]) -> RaggedOrTensor:
    for level in reversed(splits):
        values = RaggedTensor(values, level)
    return values


def concatenate(parts: list[Any]) -> RaggedOrTensor:
    """Concatenate tensors, tensors of strings or ragged tensors along their first axis."""
    if any(isinstance(part, RaggedTensor) for part in parts):
        ragged = [p if isinstance(p, RaggedTensor) else RaggedTensor.from_tensor(p) for p in parts]
        lengths = np.concatenate([part.lengths() for part in ragged])
        return RaggedTensor.from_row_lengths(concatenate([part.values for part in ragged]), lengths)
    if any(isinstance(part, StringTensor) for part in parts):
        return StringTensor(np.concatenate([StringTensor(part).array for part in parts]))
    return ops.concatenate([as_tensor(part) for part in parts], axis=0)


def stack_rows(rows: list[Any], like: RaggedTensor | None = None) -> RaggedOrTensor:
    """Return the ragged tensor of these rows; a tensor if they are scalars. See `as_ragged`."""
    if rows and not isinstance(rows[0], RaggedTensor) and not len(rows[0].shape):
        return (
            StringTensor([r.numpy() for r in rows]) if isinstance(rows[0], StringTensor) else ops.stack(rows)
        )
    return as_ragged(rows, like)


def as_ragged(rows: list[Any], like: RaggedTensor | None = None) -> RaggedTensor:
    """Return the ragged tensor of these rows.

    Args:
        rows: Tensors, tensors of strings, or ragged tensors.
        like: Tensor whose values have the dtype, for no rows at all.
    """
    if not rows:
        return RaggedTensor(like.values[:0] if like is not None else np.zeros(0, "float32"), [0])
    return RaggedTensor.from_row_lengths(concatenate(rows), [len(row) for row in rows])


def elementwise(fn: Callable[..., Any], *args: RaggedLike, **kwargs: object) -> RaggedTensor:
    """Apply a function of tensors to the flat values of ragged tensors with the same rows.

    Other arguments are scalars, or tensors of shape (rows, 1).

    Raises:
        ShapeError: If the rows differ.
    """
    ragged = [x for x in (*args, *kwargs.values()) if isinstance(x, RaggedTensor)]
    first = ragged[0]
    for other in ragged[1:]:
        same = zip(first.nested_row_splits, other.nested_row_splits, strict=False)
        if not all(np.array_equal(a, b) for a, b in same):
            raise ShapeError(
                f"ragged tensors must have the same rows, got {first.to_list()} and {other.to_list()}"
            )

    def flat(x: object) -> object:
        if isinstance(x, RaggedTensor):
            return x.flat_values
        if isinstance(x, Tensor) and len(x.shape) > 1 and x.shape[0] == len(first) and first.ragged_rank == 1:
            return ops.take(x, first.rowids().astype(np.int32), axis=0)[:, 0]
        return x

    result = fn(*map(flat, args), **{key: flat(value) for key, value in kwargs.items()})
    return first.with_flat_values(result)
