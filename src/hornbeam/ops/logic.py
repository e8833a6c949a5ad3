"""Logic, bits and divisors."""

from __future__ import annotations

from hornbeam import primitives as p
from hornbeam._internal.typing import DTypeLike
from hornbeam.core.convert import cast_node, unify
from hornbeam.core.dispatch import operation
from hornbeam.core.operators import bitwise_and, bitwise_or, bitwise_xor, invert
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import TensorLike
from hornbeam.ir.node import Node
from hornbeam.ir.primitive import full, ones_like, zeros_like
from hornbeam.ir.types import HornbeamTypeError, ShapeError, dtype_name, is_integer, itemsize
from hornbeam.ops._common import node_of

# fmt: off
__all__ = [
    "bitwise_and", "bitwise_invert", "bitwise_left_shift", "bitwise_not", "bitwise_or",
    "bitwise_right_shift", "bitwise_xor", "gcd", "lcm", "left_shift", "logical_and", "logical_not",
    "logical_or", "logical_xor", "right_shift", "view",
]
# fmt: on


@operation
def logical_and(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Compute the elementwise and of truth values; nonzero is true.

    Args:
        x1: Tensor of any shape, or anything that converts to one.
        x2: Tensor or anything that converts to one, broadcast against `x1`.

    Returns:
        Tensor of the broadcast shape, of booleans.
    """
    return Tensor(p.bit_and(*unify(Tensor(cast_node(x1, "bool")), Tensor(cast_node(x2, "bool")))))


@operation
def logical_or(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Compute the elementwise or of truth values; nonzero is true.

    Args:
        x1: Tensor of any shape, or anything that converts to one.
        x2: Tensor or anything that converts to one, broadcast against `x1`.

    Returns:
        Tensor of the broadcast shape, of booleans.
    """
    return Tensor(p.bit_or(*unify(Tensor(cast_node(x1, "bool")), Tensor(cast_node(x2, "bool")))))


@operation
def logical_xor(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Compute the elementwise exclusive or of truth values; nonzero is true.

    Args:
        x1: Tensor of any shape, or anything that converts to one.
        x2: Tensor or anything that converts to one, broadcast against `x1`.

    Returns:
        Tensor of the broadcast shape, of booleans.
    """
    return Tensor(p.bit_xor(*unify(Tensor(cast_node(x1, "bool")), Tensor(cast_node(x2, "bool")))))


@operation
def logical_not(x: TensorLike) -> Tensor:
    """Compute the elementwise not of truth values; nonzero is true.

    Args:
        x: Tensor of any shape, or anything that converts to one.

    Returns:
        Tensor of the shape of `x`, of booleans.
    """
    return Tensor(p.logical_not(cast_node(x, "bool")))


bitwise_not = bitwise_invert = invert


@operation
def left_shift(x: TensorLike, y: TensorLike) -> Tensor:
    """Shift the bits of `x` to the left by `y` places; 0 once `y` reaches the number of bits.

    Args:
        x: Tensor of integers.
        y: Tensor of non-negative integers, broadcast against `x`.

    Returns:
        Tensor of the broadcast shape, in the promoted dtype.
    """
    return Tensor(p.shift_left(*_integer_pair("left_shift", x, y)))


@operation
def right_shift(x: TensorLike, y: TensorLike) -> Tensor:
    """Shift the bits of `x` to the right by `y` places; signed integers keep their sign.

    Args:
        x: Tensor of integers.
        y: Tensor of non-negative integers, broadcast against `x`.

    Returns:
        Tensor of the broadcast shape, in the promoted dtype.
    """
    return Tensor(p.shift_right(*_integer_pair("right_shift", x, y)))


bitwise_left_shift, bitwise_right_shift = left_shift, right_shift


@operation
def view(x: TensorLike, dtype: DTypeLike | None = None) -> Tensor:
    """Reinterpret the bits as another dtype; the last axis shrinks or grows by the ratio of the sizes.

    Args:
        x: Tensor of any shape, or anything that converts to one.
        dtype: Dtype by name or as a NumPy dtype; None keeps that of `x`.

    Returns:
        Tensor (..., n * size of the dtype of `x` / size of `dtype`).

    Raises:
        ShapeError: If the last axis does not divide into elements of `dtype`.

    Example:
        >>> hornbeam.ops.view(hornbeam.ops.array([1, 2], "int32"), "int16").tolist()
        [1, 0, 2, 0]
    """
    node = node_of(x)
    name = node.dtype if dtype is None else dtype_name(dtype)
    if name == node.dtype:
        return Tensor(node)
    if node.dtype == "bool":
        return view(Tensor(p.convert(node, "uint8")), name)
    if name == "bool":
        return Tensor(p.convert(view(Tensor(node), "uint8").node, "bool"))
    old, new = itemsize(node.dtype), itemsize(name)
    if old == new:
        return Tensor(p.bitcast(node, name))
    lead, last = node.shape[:-1], node.shape[-1] if node.rank else 1
    if not node.rank or last * old % new:
        raise ShapeError(
            f"view: the last axis of {node.dtype}{list(node.shape)} does not divide into elements of {name}"
        )
    bits = p.bitcast(node, f"uint{8 * old}")
    if old > new:
        mask = full(2 ** (8 * new) - 1, bits.type)
        parts = [
            p.convert(p.bit_and(p.shift_right(bits, full(8 * new * i, bits.type)), mask), f"uint{8 * new}")
            for i in range(old // new)
        ]
        columns = [p.reshape(part, (*node.shape, 1)) for part in parts]
        joined = p.reshape(p.concatenate(*columns, axis=node.rank), (*lead, last * old // new))
    else:
        rows = p.reshape(p.convert(bits, f"uint{8 * new}"), (*lead, last * old // new, new // old))
        position = p.iota(rows.dtype, rows.shape, node.rank)
        # The parts have no bits in common: their sum is their union.
        joined = p.reduce_sum(p.shift_left(rows, position * (8 * old)), (node.rank,))
    return Tensor(p.bitcast(joined, name))


# -- divisors -----------------------------------------------------------------------------------------


def _gcd(a: Node, b: Node) -> Node:
    """Run Euclid's algorithm on all pairs at once."""

    def more(x: Node, y: Node) -> Node:
        return p.reduce_or(p.ne(y, zeros_like(y)), tuple(range(y.rank)))

    def step(x: Node, y: Node) -> list[Node]:
        done = p.eq(y, zeros_like(y))
        rest = p.rem(x, p.select(done, ones_like(y), y))
        return [p.select(done, x, y), p.select(done, y, rest)]

    return p.absolute(p.while_loop(more, step, a, b)[0])


def _integer_pair(name: str, x1: TensorLike, x2: TensorLike) -> list[Node]:
    a, b = unify(x1, x2)
    if a.dtype == "bool":
        a, b = p.convert(a, "int32"), p.convert(b, "int32")
    if not is_integer(a.dtype):
        raise HornbeamTypeError(f"{name} needs integers, got {a.dtype}")
    return [a, b]


@operation
def gcd(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Compute the elementwise greatest common divisor.

    Args:
        x1: Tensor of integers.
        x2: Tensor of integers, broadcast against `x1`.

    Returns:
        Tensor of the broadcast shape, in the promoted dtype.

    Raises:
        HornbeamTypeError: If an operand holds floats.

    Example:
        >>> int(hornbeam.ops.gcd(12, 18))
        6
    """
    return Tensor(_gcd(*_integer_pair("gcd", x1, x2)))


@operation
def lcm(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Compute the elementwise least common multiple, 0 if an operand is 0.

    Args:
        x1: Tensor of integers.
        x2: Tensor of integers, broadcast against `x1`.

    Returns:
        Tensor of the broadcast shape, in the promoted dtype.

    Raises:
        HornbeamTypeError: If an operand holds floats.

    Example:
        >>> int(hornbeam.ops.lcm(4, 6))
        12
    """
    a, b = _integer_pair("lcm", x1, x2)
    return Tensor(p.mul(p.div(p.absolute(a), p.maximum(_gcd(a, b), ones_like(a))), p.absolute(b)))
