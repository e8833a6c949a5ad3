"""Arithmetic, logic, comparisons and the matrix product, and the operators of `Tensor`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeGuard

import numpy as np

from hornbeam import primitives as p
from hornbeam._internal.typing import DTypeLike
from hornbeam.config import floatx
from hornbeam.core.convert import (
    as_tensor,
    broadcast_node,
    broadcast_shapes,
    cast,
    cast_node,
    result_dtype,
    unify,
)
from hornbeam.core.dispatch import operation
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import TensorLike
from hornbeam.ir.node import Node
from hornbeam.ir.primitive import full
from hornbeam.ir.types import (
    ShapeError,
    is_complex,
    is_float,
    is_inexact,
)


def _is_comparable(x: object) -> TypeGuard[TensorLike]:
    """Return True if `==` with a tensor is elementwise; None, strings and the like are just not equal."""
    return isinstance(x, (Tensor, bool, int, float, complex, list, tuple)) or hasattr(x, "__array__")


@operation
def add(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Add two tensors elementwise; logical or for booleans.

    Args:
        x1: Tensor of any shape, or anything that converts to one.
        x2: Tensor or anything that converts to one, broadcast against `x1`.

    Returns:
        Tensor of the broadcast shape, in the promoted dtype.
    """
    a, b = unify(x1, x2)
    return Tensor(p.bit_or(a, b) if a.dtype == "bool" else p.add(a, b))


@operation
def subtract(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Subtract `x2` from `x1` elementwise.

    Args:
        x1: Tensor of any shape, or anything that converts to one.
        x2: Tensor or anything that converts to one, broadcast against `x1`.

    Returns:
        Tensor of the broadcast shape, in the promoted dtype.
    """
    a, b = unify(x1, x2)
    return Tensor(p.sub(a, b))


@operation
def multiply(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Multiply two tensors elementwise; logical and for booleans.

    Args:
        x1: Tensor of any shape, or anything that converts to one.
        x2: Tensor or anything that converts to one, broadcast against `x1`.

    Returns:
        Tensor of the broadcast shape, in the promoted dtype.
    """
    a, b = unify(x1, x2)
    return Tensor(p.bit_and(a, b) if a.dtype == "bool" else p.mul(a, b))


@operation
def true_divide(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Divide `x1` by `x2` elementwise; integers are divided as floats.

    Args:
        x1: Tensor of any shape, or anything that converts to one.
        x2: Tensor or anything that converts to one, broadcast against `x1`.

    Returns:
        Tensor of the broadcast shape, of floats.
    """
    dtype = result_dtype(x1, x2)
    a, b = unify(x1, x2, dtype=dtype if is_inexact(dtype) else floatx())
    return Tensor(p.div(a, b))


@operation
def floor_divide(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Divide `x1` by `x2` elementwise and round toward minus infinity.

    `x1 == (x1 // x2) * x2 + x1 % x2`. An integer divided by 0 gives 0.

    Args:
        x1: Tensor of any shape, or anything that converts to one.
        x2: Tensor or anything that converts to one, broadcast against `x1`.

    Returns:
        Tensor of the broadcast shape, in the promoted dtype.
    """
    a, b = _divisible(x1, x2)
    remainder = p.rem(a, b)
    down = _signs_differ(remainder, b)
    if not is_float(a.dtype):
        return Tensor(p.sub(p.div(a, b), p.convert(down, a.dtype)))
    # The quotient itself may be rounded up to an integer that is too large: 6 / 0.1 is 60, 6 // 0.1 is 59.
    # Without the remainder it is an integer, but for rounding; a half is rounded down, as in NumPy.
    near = p.sub(p.div(p.sub(a, remainder), b), p.convert(down, a.dtype))
    floor = p.floor(near)
    quotient = p.add(floor, p.convert(p.gt(p.sub(near, floor), full(0.5, b.type)), a.dtype))
    return Tensor(p.select(p.eq(b, full(0, b.type)), p.div(a, b), quotient))


@operation
def mod(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Compute the elementwise remainder with the sign of the divisor; an integer modulo 0 is 0.

    Args:
        x1: Tensor of any shape, or anything that converts to one.
        x2: Tensor or anything that converts to one, broadcast against `x1`.

    Returns:
        Tensor of the broadcast shape, in the promoted dtype.
    """
    a, b = _divisible(x1, x2)
    remainder = p.rem(a, b)
    return Tensor(p.select(_signs_differ(remainder, b), p.add(remainder, b), remainder))


def _divisible(x1: TensorLike, x2: TensorLike) -> list[Node]:
    dtype = result_dtype(x1, x2)
    return unify(x1, x2, dtype="int32" if dtype == "bool" else dtype)


def _signs_differ(remainder: Node, divisor: Node) -> Node:
    """Return True where the remainder is not 0 and has another sign than the divisor: round down by 1."""
    zero = full(0, divisor.type)
    return p.bit_and(p.ne(remainder, zero), p.ne(p.lt(remainder, zero), p.lt(divisor, zero)))


@operation
def power(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Raise `x1` to the power `x2` elementwise; small integer exponents become products.

    Args:
        x1: Tensor of any shape, or anything that converts to one, the base.
        x2: Tensor or anything that converts to one, the exponent, broadcast against `x1`.

    Returns:
        Tensor of the broadcast shape, in the promoted dtype.

    Raises:
        ValueError: If an integer base has a negative Python int as exponent: the result is not an integer.
    """
    dtype = result_dtype(x1, x2)
    if isinstance(x2, int) and not isinstance(x2, bool) and dtype != "bool":
        if x2 < 0 and not is_inexact(dtype):
            raise ValueError(f"{dtype} to the power {x2} is not an integer: cast to a float first")
        if 1 <= x2 <= 4:
            base = cast_node(x1, dtype)
            return Tensor(functools.reduce(p.mul, [base] * x2))
    a, b = unify(x1, x2, dtype="int32" if dtype == "bool" else dtype)
    return Tensor(p.power(a, b))


@operation
def negative(x: TensorLike) -> Tensor:
    """Negate elementwise.

    Args:
        x: Tensor of any shape, or anything that converts to one.

    Returns:
        Tensor of the shape of `x` and in its dtype.
    """
    return Tensor(p.neg(as_tensor(x).node))


@operation
def absolute(x: TensorLike) -> Tensor:
    """Compute the absolute value elementwise.

    Args:
        x: Tensor of any shape, or anything that converts to one.

    Returns:
        Tensor of the shape of `x` and in its dtype; real for complex `x`.
    """
    node = as_tensor(x).node
    if is_complex(node.dtype):
        return Tensor(p.magnitude(node))
    return Tensor(node if node.dtype == "bool" else p.absolute(node))


@operation
def invert(x: TensorLike) -> Tensor:
    """Invert elementwise: logical not of booleans, bitwise not of integers.

    Args:
        x: Tensor of booleans or integers.

    Returns:
        Tensor of the shape of `x` and in its dtype.
    """
    return Tensor(p.logical_not(as_tensor(x).node))


@operation
def bitwise_and(x: TensorLike, y: TensorLike) -> Tensor:
    """Compute the elementwise and of booleans, or of the bits of integers.

    Args:
        x: Tensor of booleans or integers.
        y: Tensor or anything that converts to one, broadcast against `x`.

    Returns:
        Tensor of the broadcast shape, in the promoted dtype.
    """
    return Tensor(p.bit_and(*unify(x, y)))


@operation
def bitwise_or(x: TensorLike, y: TensorLike) -> Tensor:
    """Compute the elementwise or of booleans, or of the bits of integers.

    Args:
        x: Tensor of booleans or integers.
        y: Tensor or anything that converts to one, broadcast against `x`.

    Returns:
        Tensor of the broadcast shape, in the promoted dtype.
    """
    return Tensor(p.bit_or(*unify(x, y)))


@operation
def bitwise_xor(x: TensorLike, y: TensorLike) -> Tensor:
    """Compute the elementwise exclusive or of booleans, or of the bits of integers.

    Args:
        x: Tensor of booleans or integers.
        y: Tensor or anything that converts to one, broadcast against `x`.

    Returns:
        Tensor of the broadcast shape, in the promoted dtype.
    """
    return Tensor(p.bit_xor(*unify(x, y)))


@operation
def equal(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Test `x1 == x2` elementwise.

    Args:
        x1: Tensor of any shape, or anything that converts to one.
        x2: Tensor or anything that converts to one, broadcast against `x1`.

    Returns:
        Tensor of the broadcast shape, of booleans.
    """
    return Tensor(p.eq(*unify(x1, x2)))


@operation
def not_equal(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Test `x1 != x2` elementwise.

    Args:
        x1: Tensor of any shape, or anything that converts to one.
        x2: Tensor or anything that converts to one, broadcast against `x1`.

    Returns:
        Tensor of the broadcast shape, of booleans.
    """
    return Tensor(p.ne(*unify(x1, x2)))


@operation
def less(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Test `x1 < x2` elementwise.

    Args:
        x1: Tensor of any shape, or anything that converts to one.
        x2: Tensor or anything that converts to one, broadcast against `x1`.

    Returns:
        Tensor of the broadcast shape, of booleans.
    """
    return Tensor(p.lt(*unify(x1, x2)))


@operation
def less_equal(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Test `x1 <= x2` elementwise.

    Args:
        x1: Tensor of any shape, or anything that converts to one.
        x2: Tensor or anything that converts to one, broadcast against `x1`.

    Returns:
        Tensor of the broadcast shape, of booleans.
    """
    return Tensor(p.le(*unify(x1, x2)))


@operation
def greater(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Test `x1 > x2` elementwise.

    Args:
        x1: Tensor of any shape, or anything that converts to one.
        x2: Tensor or anything that converts to one, broadcast against `x1`.

    Returns:
        Tensor of the broadcast shape, of booleans.
    """
    return Tensor(p.gt(*unify(x1, x2)))


@operation
def greater_equal(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Test `x1 >= x2` elementwise.

    Args:
        x1: Tensor of any shape, or anything that converts to one.
        x2: Tensor or anything that converts to one, broadcast against `x1`.

    Returns:
        Tensor of the broadcast shape, of booleans.
    """
    return Tensor(p.ge(*unify(x1, x2)))


@operation
def matmul(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Compute the matrix product over the last two axes.

    Leading axes broadcast; a vector is a row on the left and a column on the right. Products of int8 are
    int32.

    Args:
        x1: Tensor (..., n, k) or (k,).
        x2: Tensor (..., k, m) or (k,).

    Returns:
        Tensor (..., n, m), without the axis of a vector.

    Raises:
        ShapeError: If an operand is a scalar or the inner sizes differ.
    """
    dtype = result_dtype(x1, x2)
    dtype = "int32" if dtype == "int8" == result_dtype(x1) == result_dtype(x2) else dtype
    a, b = cast_node(x1, dtype), cast_node(x2, dtype)
    if not a.rank or not b.rank:
        raise ShapeError(f"matmul needs at least vectors, got shapes {a.shape} and {b.shape}")
    if a.shape[-1] != b.shape[-2 if b.rank > 1 else 0]:
        raise ShapeError(f"matmul of {a.shape} and {b.shape}: the inner sizes differ")
    if a.rank == 1 or b.rank <= 2:
        # One contraction: all leading axes of x1 are rows.
        if a.rank > 1 or b.rank <= 2:
            return Tensor(
                p.dot_general(a, b, contract=((a.rank - 1,), (max(b.rank - 2, 0),)), batch=((), ()))
            )
        moved = p.dot_general(b, a, contract=((b.rank - 2,), (0,)), batch=((), ()))
        return Tensor(moved)
    lead = broadcast_shapes(a.shape[:-2], b.shape[:-2])
    a, b = broadcast_node(a, (*lead, *a.shape[-2:])), broadcast_node(b, (*lead, *b.shape[-2:]))
    axes = tuple(range(len(lead)))
    return Tensor(p.dot_general(a, b, contract=((a.rank - 1,), (b.rank - 2,)), batch=(axes, axes)))


# -- operators of Tensor -------------------------------------------------------------------------------------


def _reflected(fn: Callable[[Any, Any], Tensor]) -> Callable[[Any, Any], Tensor]:
    def method(self: Tensor, other: TensorLike) -> Tensor:
        return fn(other, self)

    return method


def _eq(self: Tensor, other: object) -> Any:
    if self.symbolic and isinstance(other, Tensor) and other.symbolic:
        return _compare_symbols(equal, self, other, self is other)
    return equal(self, other) if _is_comparable(other) else NotImplemented


def _ne(self: Tensor, other: object) -> Any:
    if self.symbolic and isinstance(other, Tensor) and other.symbolic:
        return _compare_symbols(not_equal, self, other, self is not other)
    return not_equal(self, other) if _is_comparable(other) else NotImplemented


def _compare_symbols(compare: Callable[..., Any], a: Tensor, b: Tensor, decision: bool) -> Any:
    """Compare two symbolic tensors elementwise. As a condition, such as `a in inputs`, identity counts."""
    try:
        result = compare(a, b)
    except ShapeError:
        return decision
    result._decision = decision
    return result


def _pos(self: Tensor) -> Tensor:
    return self


def _astype(self: Tensor, dtype: DTypeLike) -> Tensor:
    """Return the tensor converted to a dtype.

    Args:
        dtype: Dtype by name or as a NumPy dtype.
    """
    return cast(self, dtype)


def _reduce(self: Tensor) -> tuple[Callable[..., Tensor], tuple[np.ndarray]]:
    """Pickle and copy by value."""
    return as_tensor, (np.asarray(self),)


Tensor._install(
    __add__=add, __radd__=_reflected(add), __sub__=subtract, __rsub__=_reflected(subtract),
    __mul__=multiply, __rmul__=_reflected(multiply),
    __truediv__=true_divide, __rtruediv__=_reflected(true_divide),
    __floordiv__=floor_divide, __rfloordiv__=_reflected(floor_divide),
    __mod__=mod, __rmod__=_reflected(mod), __pow__=power, __rpow__=_reflected(power),
    __matmul__=matmul, __rmatmul__=_reflected(matmul),
    __neg__=negative, __pos__=_pos, __abs__=absolute, __invert__=invert,
    __and__=bitwise_and, __rand__=bitwise_and, __or__=bitwise_or, __ror__=bitwise_or,
    __xor__=bitwise_xor, __rxor__=bitwise_xor,
    __eq__=_eq, __ne__=_ne, __lt__=less, __le__=less_equal, __gt__=greater, __ge__=greater_equal,
    astype=_astype, __reduce__=_reduce,
)  # fmt: skip
