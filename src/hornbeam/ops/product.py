"""Products of vectors, matrices and tensors: dot, tensordot, einsum."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, cast

from hornbeam import primitives as p
from hornbeam._internal.formatting import brief
from hornbeam.config import floatx
from hornbeam.core.convert import cast_node, result_dtype
from hornbeam.core.dispatch import operation
from hornbeam.core.operators import matmul, multiply
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import TensorLike
from hornbeam.ir.node import Node
from hornbeam.ir.sizes import is_one, merged_size, same_shape, same_size
from hornbeam.ir.types import ShapeError, is_complex, is_float
from hornbeam.ops._common import one_axis
from hornbeam.ops.joining import stack
from hornbeam.ops.reduction import sum as total
from hornbeam.ops.shaping import diagonal, moveaxis

__all__ = [
    "correlate", "cross", "dot", "einsum", "inner", "kron", "matmul", "outer", "tensordot", "trace", "vdot",
]  # fmt: skip


def _pair(x1: TensorLike, x2: TensorLike) -> tuple[Node, Node]:
    dtype = result_dtype(x1, x2)
    if dtype == "bool":
        dtype = "int32"
    return cast_node(x1, dtype), cast_node(x2, dtype)


@operation
def dot(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Sum products over the last axis of `x1` and the second-to-last axis of `x2`.

    The only axis of a vector is used; scalars multiply.

    Args:
        x1: Tensor of any shape.
        x2: Tensor whose last axis but one, or only axis, has the size of the last of `x1`; or a scalar.

    Returns:
        Tensor in the promoted dtype.

    Raises:
        ShapeError: If the two sizes differ.

    Example:
        >>> float(hornbeam.ops.dot([1.0, 2.0], [3.0, 4.0]))
        11.0
    """
    a, b = _pair(x1, x2)
    if not a.rank or not b.rank:
        return multiply(Tensor(a), Tensor(b))
    over = max(b.rank - 2, 0)
    if a.shape[-1] != b.shape[over]:
        raise ShapeError(
            f"dot of {a.shape} and {b.shape}: the sizes {a.shape[-1]} and {b.shape[over]} differ"
        )
    return Tensor(p.dot_general(a, b, contract=((a.rank - 1,), (over,))))


@operation
def inner(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Sum products over the last axes of both tensors.

    Args:
        x1: Tensor of any shape.
        x2: Tensor whose last axis has the size of that of `x1`; or a scalar.

    Returns:
        Tensor in the promoted dtype.
    """
    a, b = _pair(x1, x2)
    if not a.rank or not b.rank:
        return multiply(Tensor(a), Tensor(b))
    return tensordot(Tensor(a), Tensor(b), axes=[[a.rank - 1], [b.rank - 1]])


@operation
def outer(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Multiply every element of `x1` by every element of `x2`.

    Args:
        x1: Tensor of any shape; it is flattened.
        x2: Tensor of any shape; it is flattened.

    Returns:
        Tensor (size of x1, size of x2).

    Example:
        >>> np.asarray(hornbeam.ops.outer([1, 2], [3, 4])).tolist()
        [[3, 4], [6, 8]]
    """
    a, b = _pair(x1, x2)
    shape = (math.prod(a.shape), math.prod(b.shape))
    rows = p.broadcast(p.reshape(a, shape[:1]), shape, (0,))
    return Tensor(p.mul(rows, p.broadcast(p.reshape(b, shape[1:]), shape, (1,))))


@operation
def vdot(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Sum the products of all elements of two tensors; of complex `x1` the conjugates are taken.

    Args:
        x1: Tensor of any shape; it is flattened.
        x2: Tensor of the size of `x1`; it is flattened.

    Returns:
        Scalar tensor.

    Raises:
        ShapeError: If the numbers of elements differ.
    """
    a, b = _pair(x1, x2)
    count = math.prod(a.shape)
    if count != math.prod(b.shape):
        raise ShapeError(f"vdot needs equally many elements, got shapes {a.shape} and {b.shape}")
    a = p.conj(a) if is_complex(a.dtype) else a
    return Tensor(p.dot_general(p.reshape(a, (count,)), p.reshape(b, (count,)), contract=((0,), (0,))))


@operation
def tensordot(
    x1: TensorLike, x2: TensorLike, axes: int | Sequence[int] | Sequence[Sequence[int]] = 2
) -> Tensor:
    """Sum products over pairs of axes; the other axes of `x1`, then those of `x2`, remain.

    Args:
        x1: Tensor of any shape.
        x2: Tensor whose contracted axes have the sizes of those of `x1`.
        axes: Integer n for the last n axes of `x1` with the first n of `x2`, or two sequences of axes.

    Returns:
        Tensor in the promoted dtype.

    Raises:
        ShapeError: If the sizes of the contracted axes differ.

    Example:
        >>> hornbeam.ops.tensordot(hornbeam.ops.ones((2, 3)), hornbeam.ops.ones((3, 4)), 1).shape
        (2, 4)
    """
    a, b = _pair(x1, x2)
    if isinstance(axes, int):
        left, right = list(range(a.rank - axes, a.rank)), list(range(axes))
    else:
        left, right = ([side] if isinstance(side, int) else list(side) for side in cast(Any, axes))
    left = [one_axis(i, a.rank, "tensordot") for i in left]
    right = [one_axis(i, b.rank, "tensordot") for i in right]
    if not same_shape([a.shape[i] for i in left], [b.shape[i] for i in right]):
        raise ShapeError(
            f"tensordot of {a.shape} and {b.shape} over axes {left} and {right}: the sizes differ"
        )
    return Tensor(p.dot_general(a, b, contract=(tuple(left), tuple(right))))


@operation
def kron(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Compute the Kronecker product: every element of `x1` times `x2`, arranged as blocks.

    Args:
        x1: Tensor of any shape.
        x2: Tensor of any shape.

    Returns:
        Tensor in the promoted dtype.

    Example:
        >>> np.asarray(hornbeam.ops.kron([1, 2], [1, 1])).tolist()
        [1, 1, 2, 2]
    """
    a, b = _pair(x1, x2)
    rank = max(a.rank, b.rank)
    left, right = (1,) * (rank - a.rank) + a.shape, (1,) * (rank - b.rank) + b.shape
    shape = tuple(n for pair in zip(left, right, strict=True) for n in pair)
    rows = p.broadcast(p.reshape(a, left), shape, tuple(range(0, 2 * rank, 2)))
    blocks = p.broadcast(p.reshape(b, right), shape, tuple(range(1, 2 * rank, 2)))
    return Tensor(p.reshape(p.mul(rows, blocks), tuple(m * n for m, n in zip(left, right, strict=True))))


@operation
def cross(
    x1: TensorLike, x2: TensorLike, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None
) -> Tensor:
    """Compute the cross product of vectors of 3, or of 2 elements with 0 as their third.

    Args:
        x1: Tensor of vectors along `axisa`.
        x2: Tensor of vectors along `axisb`, broadcast against `x1`.
        axisa: Integer, the axis of the vectors of `x1`.
        axisb: Integer, the axis of the vectors of `x2`.
        axisc: Integer, the axis of the vectors of the result.
        axis: Integer that replaces `axisa`, `axisb` and `axisc`, or None.

    Returns:
        Tensor with 3 elements along `axisc`; of two vectors of 2 elements only the third, without an axis.

    Raises:
        ShapeError: If the vectors do not have 2 or 3 elements.

    Example:
        >>> np.asarray(hornbeam.ops.cross([1, 0, 0], [0, 1, 0])).tolist()
        [0, 0, 1]
    """
    if axis is not None:
        axisa = axisb = axisc = axis
    a, b = (Tensor(n) for n in _pair(x1, x2))
    a, b = moveaxis(a, axisa, -1), moveaxis(b, axisb, -1)
    sizes = (a.shape[-1], b.shape[-1])
    if not set(sizes) <= {2, 3}:
        raise ShapeError(f"cross needs vectors of 2 or 3 elements, got {sizes}")
    third = a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
    if sizes == (2, 2):
        return third
    zero = a[..., 0] * 0
    az = a[..., 2] if sizes[0] == 3 else zero
    bz = b[..., 2] if sizes[1] == 3 else zero
    first = a[..., 1] * bz - az * b[..., 1]
    second = az * b[..., 0] - a[..., 0] * bz
    return moveaxis(stack([first, second, third], axis=-1), -1, axisc)


@operation
def trace(x: TensorLike, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """Sum the diagonal of the matrices in two axes.

    Args:
        x: Tensor of two axes at least.
        offset: Integer, the diagonal: 0 for the main one, positive above it, negative below it.
        axis1, axis2: Integers, the axes of rows and columns.

    Returns:
        Tensor without the two axes.
    """
    return total(diagonal(x, offset, axis1, axis2), -1)


@operation
def correlate(x1: TensorLike, x2: TensorLike, mode: str = "valid") -> Tensor:
    """Compute the cross-correlation of two vectors: out[k] = sum over n of x1[n + k] * x2[n].

    Args:
        x1: Tensor (n,).
        x2: Tensor (m,).
        mode: "valid" (full overlap only), "same" (as long as the longer vector) or "full".

    Returns:
        Tensor of one axis, of floats.

    Raises:
        ShapeError: If an operand is not a vector.
        ValueError: If `mode` is unknown.
    """
    if mode not in ("valid", "same", "full"):
        raise ValueError(f'correlate: mode must be "valid", "same" or "full", got {mode!r}')
    a, b = _pair(x1, x2)
    if a.rank != 1 or b.rank != 1:
        raise ShapeError(f"correlate needs vectors, got shapes {a.shape} and {b.shape}")
    work = a.dtype if a.dtype in ("float32", "float64") else "float32"
    long, short = (a, b) if a.shape[0] >= b.shape[0] else (b, a)
    n, m = long.shape[0], short.shape[0]
    before = {"valid": 0, "same": m // 2, "full": m - 1}[mode]
    after = {"valid": 0, "same": m - 1 - m // 2, "full": m - 1}[mode]
    signal = p.reshape(p.convert(long, work), (1, n, 1))
    kernel = p.reshape(p.convert(short, work), (m, 1, 1))
    out = p.conv(signal, kernel, (1,), ((before, after),))
    out = p.reshape(out, (out.shape[1],))
    if long is b and long is not a:  # the operands were exchanged, which reverses the result
        out = p.reverse(out, (0,))
    return Tensor(p.convert(out, a.dtype if is_float(a.dtype) else floatx()))


# -- einsum --------------------------------------------------------------------------------------------------


@operation
def einsum(subscripts: str, *operands: TensorLike, **kwargs: Any) -> Tensor:
    """Sum products by Einstein's convention: "ij,jk->ik" is a matrix product.

    Operands are contracted in pairs from the left.

    Args:
        subscripts: A letter for each axis of the operands; letters that are absent from the result are
            summed; "..." matches axes that broadcast; without "->" the result has the letters that occur
            once, in alphabetical order.
        *operands: Tensors with the axes that `subscripts` names.
        **kwargs: `optimize` is accepted, without effect.

    Returns:
        Tensor in the promoted dtype.

    Raises:
        ValueError: If there is no operand.
        TypeError: If an argument is unknown.

    Example:
        >>> x, y = hornbeam.ops.ones((2, 3, 4)), hornbeam.ops.ones((2, 4, 5))
        >>> hornbeam.ops.einsum("bij,bjk->bik", x, y).shape
        (2, 3, 5)
    """
    unknown = set(kwargs) - {"optimize"}
    if unknown:
        raise TypeError(f"einsum: unknown arguments {sorted(unknown)}")
    if not operands:
        raise ValueError("einsum needs at least one operand")
    dtype = result_dtype(*operands)
    # Sums of truth values are counts, and those of int8 alone are held in 32 bits, as in Keras.
    if dtype == "bool" or (dtype == "int8" and all(result_dtype(x) == "int8" for x in operands)):
        dtype = "int32"
    nodes = [cast_node(x, dtype) for x in operands]
    terms, result = _parse(subscripts, [n.rank for n in nodes])
    sizes = _sizes(subscripts, terms, nodes)
    parts = [_own_axes(node, term) for node, term in zip(nodes, terms, strict=True)]
    for index, (node, term) in enumerate(parts):
        later = set(result).union(*(t for _, t in parts[:index] + parts[index + 1 :]))
        parts[index] = _summed(node, term, [c for c in term if c not in later])
    while len(parts) > 1:
        (a, left), (b, right), *rest = parts
        needed = set(result).union(*(t for _, t in rest))
        parts = [_contract(a, left, b, right, needed), *rest]
    node, term = parts[0]
    node, term = _summed(node, term, [c for c in term if c not in result])
    node = p.transpose(node, tuple(term.index(c) for c in result if c in term))
    shape = tuple(sizes[c] for c in result)
    return Tensor(p.broadcast(node, shape, tuple(i for i, c in enumerate(result) if c in term)))


def _parse(subscripts: str, ranks: Sequence[int]) -> tuple[list[str], str]:
    """Return the letters of the axes of operands and result; the axes of "..." get private letters."""
    if not isinstance(subscripts, str):
        raise TypeError(f"einsum: the subscripts come first, such as 'ij,jk->ik', got {brief(subscripts)}")
    text = subscripts.replace(" ", "")
    left, arrow, result = text.partition("->")
    terms = left.split(",")
    if len(terms) != len(ranks):
        raise ValueError(f"einsum {subscripts!r} names {len(terms)} operands, got {len(ranks)}")
    hidden = max(
        (rank - len(term.replace("...", "")) for term, rank in zip(terms, ranks, strict=True)), default=0
    )
    dots = "".join(chr(0x3B1 + i) for i in range(max(hidden, 0)))
    full = []
    for term, rank in zip(terms, ranks, strict=True):
        count = rank - len(term.replace("...", ""))
        if count < 0 or (count and "..." not in term):
            raise ShapeError(f"einsum {subscripts!r}: {term!r} does not fit a tensor with {rank} axes")
        full.append(term.replace("...", dots[len(dots) - count :]))
    letters = "".join(terms).replace("...", "") + result.replace("...", "")
    if not all(c.isalpha() for c in letters):
        raise ValueError(f"einsum {subscripts!r}: axes must be named by letters")
    if not arrow:
        once = sorted(c for c in set(letters) if letters.count(c) == 1)
        return full, dots + "".join(once)
    result = result.replace("...", dots)
    known = set("".join(full)) | set(dots)
    if len(set(result)) != len(result) or not set(result) <= known:
        raise ValueError(
            f"einsum {subscripts!r}: the result must name axes of the operands, each at most once"
        )
    return full, result


def _sizes(subscripts: str, terms: Sequence[str], nodes: Sequence[Node]) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for term, node in zip(terms, nodes, strict=True):
        for letter, size in zip(term, node.shape, strict=True):
            known = sizes.setdefault(letter, size)
            if known == 1:
                sizes[letter] = size
            elif not is_one(size):
                if not same_size(size, known):
                    raise ShapeError(f"einsum {subscripts!r}: axis {letter!r} has sizes {known} and {size}")
                sizes[letter] = merged_size(known, size)
    return sizes


def _own_axes(node: Node, term: str) -> tuple[Node, str]:
    """Reduce letters that repeat within an operand to its diagonal."""
    for letter in dict.fromkeys(term):
        while term.count(letter) > 1:
            first = term.index(letter)
            second = term.index(letter, first + 1)
            node = diagonal(Tensor(node), 0, first, second).node
            term = term[:first] + term[first + 1 : second] + term[second + 1 :] + letter
    return node, term


def _summed(node: Node, term: str, letters: Sequence[str]) -> tuple[Node, str]:
    axes = tuple(i for i, c in enumerate(term) if c in letters)
    return (p.reduce_sum(node, axes) if axes else node), "".join(c for c in term if c not in letters)


def _contract(a: Node, left: str, b: Node, right: str, needed: set[str]) -> tuple[Node, str]:
    """Contract two operands: shared letters are summed unless `needed`, when they are batch axes."""
    # An axis of size 1 broadcasts against a larger one, so it is dropped from this operand.
    a, left = _without_ones(a, left, b, right)
    b, right = _without_ones(b, right, a, left)
    shared = [c for c in left if c in right]
    batch = [c for c in shared if c in needed]
    over = [c for c in shared if c not in needed]
    node = p.dot_general(
        a,
        b,
        contract=(tuple(left.index(c) for c in over), tuple(right.index(c) for c in over)),
        batch=(tuple(left.index(c) for c in batch), tuple(right.index(c) for c in batch)),
    )
    term = (
        "".join(batch)
        + "".join(c for c in left if c not in shared)
        + "".join(c for c in right if c not in shared)
    )
    return _summed(node, term, [c for c in term if c not in needed])


def _without_ones(a: Node, left: str, b: Node, right: str) -> tuple[Node, str]:
    drop = [
        i
        for i, c in enumerate(left)
        if c in right and is_one(a.shape[i]) and not is_one(b.shape[right.index(c)])
    ]
    shape = tuple(n for i, n in enumerate(a.shape) if i not in drop)
    return p.reshape(a, shape), "".join(c for i, c in enumerate(left) if i not in drop)
