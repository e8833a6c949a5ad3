"""Creation of matrices: diagonals, triangles, powers."""

from __future__ import annotations

import math

from hornbeam import primitives as p
from hornbeam._internal.typing import DTypeLike
from hornbeam.config import floatx
from hornbeam.core.convert import broadcast_node
from hornbeam.core.dispatch import operation
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import TensorLike
from hornbeam.ir.node import Node
from hornbeam.ir.types import (
    ShapeError,
    TensorType,
    dtype_name,
)
from hornbeam.ops._common import node_of, static_int
from hornbeam.ops.shaping import diagonal

__all__ = ["diag", "diagflat", "eye", "identity", "tri", "tril", "triu", "vander"]


def _below(rows: int, columns: int, k: int) -> Node:
    """Return a mask (rows, columns) of the elements on or below the k-th diagonal."""
    shape = (rows, columns)
    return p.ge(p.iota("int32", shape, 0) + k, p.iota("int32", shape, 1))


def eye(N: int, M: int | None = None, k: int = 0, dtype: DTypeLike | None = None) -> Tensor:
    """Create a matrix with ones on a diagonal and zeros elsewhere.

    Args:
        N: Integer, number of rows.
        M: Integer, number of columns; None for `N`.
        k: Integer, the diagonal: 0 for the main one, positive above it, negative below it.
        dtype: Dtype of the result; None for `hornbeam.config.floatx()`.

    Returns:
        Tensor (N, M).

    Example:
        >>> np.asarray(hornbeam.ops.eye(2)).tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """
    shape = (static_int(N, "N"), static_int(N if M is None else M, "M"))
    hit = p.eq(p.iota("int32", shape, 0) + static_int(k, "k"), p.iota("int32", shape, 1))
    return Tensor(p.convert(hit, dtype_name(dtype or floatx())))


def identity(n: int, dtype: DTypeLike | None = None) -> Tensor:
    """Create an identity matrix.

    Args:
        n: Integer, number of rows and columns.
        dtype: Dtype of the result; None for `hornbeam.config.floatx()`.

    Returns:
        Tensor (n, n).
    """
    return eye(n, dtype=dtype)


def tri(N: int, M: int | None = None, k: int = 0, dtype: DTypeLike | None = None) -> Tensor:
    """Create a matrix with ones on and below a diagonal and zeros above it.

    Args:
        N: Integer, number of rows.
        M: Integer, number of columns; None for `N`.
        k: Integer, the diagonal: 0 for the main one, positive above it, negative below it.
        dtype: Dtype of the result; None for `hornbeam.config.floatx()`.

    Returns:
        Tensor (N, M).

    Example:
        >>> np.asarray(hornbeam.ops.tri(2)).tolist()
        [[1.0, 0.0], [1.0, 1.0]]
    """
    below = _below(static_int(N, "N"), static_int(N if M is None else M, "M"), static_int(k, "k"))
    return Tensor(p.convert(below, dtype_name(dtype or floatx())))


def _triangle(x: TensorLike, k: int, lower: bool, name: str) -> Tensor:
    node = node_of(x)
    if node.rank < 2:
        raise ShapeError(f"{name} needs a matrix, got shape {node.shape}")
    rows, columns = node.shape[-2:]
    below = _below(rows, columns, k if lower else k - 1)
    mask = broadcast_node(below if lower else p.logical_not(below), node.shape)
    return Tensor(p.select(mask, node, p.zeros_like(node)))


@operation
def tril(x: TensorLike, k: int = 0) -> Tensor:
    """Set the elements above a diagonal to zero.

    Args:
        x: Tensor (..., n, m).
        k: Integer, the diagonal: 0 for the main one, positive above it, negative below it.

    Returns:
        Tensor of the shape of `x` and in its dtype.

    Raises:
        ShapeError: If `x` has less than two axes.
    """
    return _triangle(x, k, True, "tril")


@operation
def triu(x: TensorLike, k: int = 0) -> Tensor:
    """Set the elements below a diagonal to zero.

    Args:
        x: Tensor (..., n, m).
        k: Integer, the diagonal: 0 for the main one, positive above it, negative below it.

    Returns:
        Tensor of the shape of `x` and in its dtype.

    Raises:
        ShapeError: If `x` has less than two axes.
    """
    return _triangle(x, k, False, "triu")


def _on_diagonal(vector: Node, k: int) -> Node:
    size = vector.shape[0] + abs(k)
    low, high = (max(-k, 0), max(k, 0))
    placed = p.pad(vector, 0, (low,), (size - vector.shape[0] - low,))
    rows = p.broadcast(placed, (size, size), (0,))
    hit = p.eq(p.iota("int32", (size, size), 0) + (high - low), p.iota("int32", (size, size), 1))
    return p.select(hit, rows, p.zeros_like(rows))


@operation
def diag(x: TensorLike, k: int = 0) -> Tensor:
    """Put a vector on a diagonal of a square matrix, or extract a diagonal of a matrix.

    Args:
        x: Tensor of one or two axes.
        k: Integer, the diagonal: 0 for the main one, positive above it, negative below it.

    Returns:
        Matrix for a vector, vector for a matrix.

    Raises:
        ShapeError: If `x` is neither a vector nor a matrix.

    Example:
        >>> np.asarray(hornbeam.ops.diag([1, 2])).tolist()
        [[1, 0], [0, 2]]
    """
    node = node_of(x)
    if node.rank == 1:
        return Tensor(_on_diagonal(node, k))
    if node.rank == 2:
        return diagonal(x, k)
    raise ShapeError(f"diag needs a vector or a matrix, got shape {node.shape}")


@operation
def diagflat(x: TensorLike, k: int = 0) -> Tensor:
    """Put the flattened `x` on a diagonal of a square matrix.

    Args:
        x: Tensor of any shape, or anything that converts to one.
        k: Integer, the diagonal: 0 for the main one, positive above it, negative below it.

    Returns:
        Tensor of two axes.
    """
    node = node_of(x)
    return Tensor(_on_diagonal(p.reshape(node, (math.prod(node.shape),)), k))


@operation
def vander(x: TensorLike, N: int | None = None, increasing: bool = False) -> Tensor:
    """Create a Vandermonde matrix: the powers N - 1 ... 0 of a vector as columns.

    Args:
        x: Tensor (n,).
        N: Integer, number of columns; None for n.
        increasing: Order the powers from 0 to N - 1.

    Returns:
        Tensor (n, N).

    Raises:
        ShapeError: If `x` is not a vector.

    Example:
        >>> np.asarray(hornbeam.ops.vander([2, 3], 3)).tolist()
        [[4, 2, 1], [9, 3, 1]]
    """
    node = node_of(x)
    if node.rank != 1:
        raise ShapeError(f"vander needs a vector, got shape {node.shape}")
    count = node.shape[0] if N is None else static_int(N, "N")
    shape = (node.shape[0], count)
    if not count:
        return Tensor(p.full(0, TensorType(shape, node.dtype)))
    base = p.broadcast(node, shape, (0,))
    first = p.eq(p.iota("int32", shape, 1), p.full(0, TensorType(shape, "int32")))
    powers = p.cumprod(p.select(first, p.ones_like(base), base), 1)
    return Tensor(powers if increasing else p.reverse(powers, (1,)))
