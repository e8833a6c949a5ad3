"""Sparse tensors: the values that may differ from 0, and their places.

A `SparseTensor` is a tensor whose dense value is computed only where an operation needs it. Operations with a
rule (`ops/sparse.py`) compute with the values alone, and give a sparse result or a dense one that is not
much larger than needed; every other operation, and every compiled function, takes the dense value. Places are
known numbers, values are tensors: gradients flow to them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, TypeGuard

import numpy as np

from hornbeam import primitives as p
from hornbeam import tree
from hornbeam._internal.typing import ShapeLike
from hornbeam.core.convert import as_tensor, leaf_of
from hornbeam.core.dispatch import set_sparse_call
from hornbeam.core.tensor import Handle, Tensor
from hornbeam.core.typing import TensorLike
from hornbeam.ir.node import Node
from hornbeam.ir.primitive import full
from hornbeam.ir.types import ShapeError, TensorType


class SparseTensor(Tensor):
    """Tensor given by its elements that may differ from 0 (coordinate format).

    `indices` is an integer array (elements, rank) of distinct places in row-major order, `values` a tensor
    (elements,). Values at equal places are added.

    Args:
        indices: Array of integers (elements, rank).
        values: Tensor (elements,).
        shape: Sizes of the axes.

    Raises:
        ShapeError: If the shapes do not fit, or a place is outside.

    Example:
        >>> x = hornbeam.ops.convert_to_tensor([[0.0, 2.0], [0.0, 0.0]], sparse=True)
        >>> x.indices.tolist(), x.values.tolist()
        ([[0, 1]], [2.0])
    """

    __slots__ = ("_shape", "indices", "values")
    sparse = True
    # Class of results; `hornbeam_compat` sets that of TensorFlow.
    result_class: ClassVar[type[SparseTensor]]

    def __init__(self, indices: np.ndarray | TensorLike, values: TensorLike, shape: ShapeLike) -> None:
        self._node = None  # type: ignore[assignment]
        self._keras_mask = self._handle = None
        self._shape: tuple[int, ...] = tuple(map(int, shape))  # type: ignore[arg-type]
        places, numbers = np.asarray(indices), as_tensor(values)
        if places.ndim != 2 or places.shape[1] != len(self._shape) or numbers.shape != places.shape[:1]:
            raise ShapeError(
                f"a sparse tensor of shape {self._shape} needs indices (elements, {len(self._shape)}) and "
                f"values (elements,), got shapes {places.shape} and {numbers.shape}"
            )
        if (places < 0).any() or (places >= np.array(self._shape, np.int64)).any():
            raise ShapeError(f"an index of the sparse tensor is outside of its shape {self._shape}")
        self.indices, self.values = _distinct(places.astype(np.int64), numbers, self._shape)

    @property
    def node(self) -> Node:
        """The dense value."""
        if self._node is None:
            values = self.values.node
            zeros = full(0, TensorType(self._shape, values.dtype))
            index = leaf_of(self.indices.astype(np.int32))
            self._node = p.scatter(zeros, index, values, "set")
            self._handle = Handle(self._node)
        return self._node

    @property
    def shape(self) -> tuple[int, ...]:
        return self._shape

    @property
    def dtype(self) -> str:
        return self.values.dtype

    @property
    def size(self) -> int:
        return math.prod(self._shape)

    def __repr__(self) -> str:
        held = f"shape={self._shape} dtype={self.dtype} elements={len(self.indices)}"
        return f"<SparseTensor {held}>"

    __str__ = __repr__
    __hash__ = object.__hash__

    def _repr_html_(self) -> str | None:
        return None

    def __reduce__(self) -> tuple[Any, ...]:
        return SparseTensor, (self.indices, np.asarray(self.values), self._shape)

    @staticmethod
    def host_places(indices: np.ndarray) -> np.ndarray:
        """Return indices as the attribute of that name.

        Args:
            indices: Array of integers (elements, rank).
        """
        return indices

    def with_values(self, values: Tensor) -> SparseTensor:
        """Return a sparse tensor with other values at the same places.

        Args:
            values: Tensor (elements,).
        """
        return _unchecked(self.indices, values, self._shape)

    @classmethod
    def of(cls, x: TensorLike) -> SparseTensor:
        """Return the elements of a tensor, an array or a matrix of SciPy that differ from 0.

        Args:
            x: Anything with a known value.
        """
        if isinstance(x, SparseTensor):
            return x
        if is_scipy_sparse(x):
            coo = x.tocoo()
            return SparseTensor.result_class(np.stack([coo.row, coo.col], 1), coo.data, coo.shape)
        tensor = as_tensor(x)
        places = np.argwhere(np.asarray(tensor))
        index = leaf_of(places.astype(np.int32))
        return _unchecked(places, Tensor(p.gather(tensor.node, index)), tensor.shape)


SparseTensor.result_class = SparseTensor


def as_sparse(x: Tensor) -> Tensor:
    """Return a sparse tensor of the elements that differ from 0; `x` itself where its value is not known."""
    return x if x.node.level else SparseTensor.of(x)


def is_scipy_sparse(x: object) -> TypeGuard[Any]:
    """Return True for sparse matrices and arrays of SciPy."""
    return type(x).__module__.startswith("scipy.sparse") and hasattr(x, "tocoo")


def _unchecked(indices: np.ndarray, values: Tensor, shape: tuple[int, ...]) -> SparseTensor:
    """Make a sparse tensor of distinct places in order."""
    created = object.__new__(SparseTensor.result_class)
    created._node = None  # type: ignore[assignment]
    created._keras_mask = created._handle = None
    created.indices, created.values, created._shape = created.host_places(indices), values, tuple(shape)
    return created


def _distinct(indices: np.ndarray, values: Tensor, shape: tuple[int, ...]) -> tuple[np.ndarray, Tensor]:
    """Sort places in row-major order, and add values at equal ones."""
    flat = np.ravel_multi_index(tuple(indices.T), shape) if shape else np.zeros(len(indices), np.int64)
    places, position = np.unique(flat, return_inverse=True)
    if len(places) == len(flat) and (position == np.arange(len(flat))).all():
        return indices, values
    zeros = full(0, TensorType((len(places),), values.dtype))
    index = leaf_of(position.reshape(-1, 1).astype(np.int32))
    total = Tensor(p.scatter(zeros, index, values.node, "add"))
    return np.stack(np.unravel_index(places, shape), 1) if shape else indices[: len(places)], total


# Rule of an operation, by the function: it returns NotImplemented for arguments that it does not take.
RULES: dict[Callable[..., Any], Callable[..., Any]] = {}
# Whether the result of an operation is sparse: `all` or `any` of which operands have to be.
SPARSE_WHEN: dict[Callable[..., Any], Callable[[Iterable[bool]], bool]] = {}


def _sparse_call(fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    rule = RULES.get(fn)
    if rule is not None:
        result = rule(*args, **kwargs)
        if result is not NotImplemented:
            return result
    return fn(*args, **kwargs)


def _mark(fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
    """Note that a symbolic result is sparse, where the same operation on sparse tensors gives one."""
    when = SPARSE_WHEN.get(fn)
    if when is None or not isinstance(result, Tensor) or not result.symbolic:
        return
    operands = [x for x in tree.flatten([*args, *kwargs.values()]) if hasattr(x, "shape")]
    if operands and when(bool(getattr(x, "sparse", False)) for x in operands):
        result.sparse = True


set_sparse_call(_sparse_call, _mark)
