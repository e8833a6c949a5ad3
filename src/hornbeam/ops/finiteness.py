"""Tests for NaN, infinities and closeness, and their replacement."""

from __future__ import annotations

import math

import numpy as np

from hornbeam import primitives as p
from hornbeam.core.convert import unify
from hornbeam.core.dispatch import operation
from hornbeam.core.operators import absolute
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import TensorLike
from hornbeam.ir.node import Node
from hornbeam.ir.primitive import full
from hornbeam.ir.types import is_complex, is_float, is_inexact
from hornbeam.ops._common import check_ordered, float_pair, node_of

__all__ = ["isclose", "isfinite", "isinf", "isnan", "isneginf", "isposinf", "nan_to_num"]


@operation
def isnan(x: TensorLike) -> Tensor:
    """Test elementwise for NaN.

    Args:
        x: Tensor of any shape, or anything that converts to one.

    Returns:
        Tensor of the shape of `x`, of booleans.
    """
    node = node_of(x)
    return Tensor(p.ne(node, node))


@operation
def isfinite(x: TensorLike) -> Tensor:
    """Test elementwise for numbers that are neither infinite nor NaN.

    Args:
        x: Tensor of any shape, or anything that converts to one.

    Returns:
        Tensor of the shape of `x`, of booleans.
    """
    node = node_of(x)
    return Tensor(p.is_finite(node) if is_inexact(node.dtype) else p.eq(node, node))


def _equals(x: TensorLike, value: float, absolute_value: bool = False) -> Tensor:
    node = node_of(x)
    if not is_float(node.dtype):
        return Tensor(p.ne(node, node))
    return Tensor(p.eq(p.absolute(node) if absolute_value else node, full(value, node.type)))


@operation
def isinf(x: TensorLike) -> Tensor:
    """Test elementwise for inf and -inf.

    Args:
        x: Tensor of any shape, or anything that converts to one.

    Returns:
        Tensor of the shape of `x`, of booleans.
    """
    node = node_of(x)
    if is_complex(node.dtype):
        return Tensor(p.bit_or(*(isinf(Tensor(part)).node for part in (p.real(node), p.imag(node)))))
    return _equals(x, math.inf, absolute_value=True)


@operation
def isposinf(x: TensorLike) -> Tensor:
    """Test elementwise for inf.

    Args:
        x: Tensor of any shape, or anything that converts to one.

    Returns:
        Tensor of the shape of `x`, of booleans.

    Raises:
        HornbeamTypeError: If `x` is complex.
    """
    return _equals(Tensor(check_ordered(node_of(x), "isposinf")), math.inf)


@operation
def isneginf(x: TensorLike) -> Tensor:
    """Test elementwise for -inf.

    Args:
        x: Tensor of any shape, or anything that converts to one.

    Returns:
        Tensor of the shape of `x`, of booleans.

    Raises:
        HornbeamTypeError: If `x` is complex.
    """
    return _equals(Tensor(check_ordered(node_of(x), "isneginf")), -math.inf)


@operation
def isclose(
    x1: TensorLike, x2: TensorLike, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Tensor:
    """Test elementwise if |x1 - x2| <= atol + rtol |x2|; equal infinities are close.

    Args:
        x1: Tensor of any shape, or anything that converts to one.
        x2: Tensor or anything that converts to one, broadcast against `x1`.
        rtol: Relative tolerance.
        atol: Absolute tolerance.
        equal_nan: Count NaN as close to NaN.

    Returns:
        Tensor of the broadcast shape, of booleans.

    Example:
        >>> bool(hornbeam.ops.isclose(1.0, 1.000001))
        True
    """
    a, b = float_pair(x1, x2)
    gap, size = absolute(Tensor(a - b)).node, absolute(Tensor(b)).node
    near = p.le(gap, size * rtol + atol)
    finite = p.bit_and(p.is_finite(a), p.is_finite(b))
    close = p.bit_or(p.eq(a, b), p.bit_and(finite, near))
    if equal_nan:
        close = p.bit_or(close, p.bit_and(p.ne(a, a), p.ne(b, b)))
    return Tensor(close)


@operation
def nan_to_num(
    x: TensorLike, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None
) -> Tensor:
    """Replace NaN and infinities elementwise.

    Args:
        x: Tensor of any shape, or anything that converts to one.
        nan: Number in place of NaN.
        posinf: Number in place of inf; None for the largest number of the dtype.
        neginf: Number in place of -inf; None for the lowest number of the dtype.

    Returns:
        Tensor of the shape of `x` and in its dtype.

    Example:
        >>> float(hornbeam.ops.nan_to_num(float("nan")))
        0.0
    """
    node = node_of(x)
    if is_complex(node.dtype):
        parts = [nan_to_num(Tensor(part), nan, posinf, neginf).node for part in (p.real(node), p.imag(node))]
        return Tensor(p.complex_(*parts))
    if not is_float(node.dtype):
        return Tensor(node)
    limits = float_limits(node.dtype)

    def fill(value: float | None, default: float) -> Node:
        return unify(Tensor(node), default if value is None else value, dtype=node.dtype)[1]

    infinity = full(math.inf, node.type)
    result = p.select(p.ne(node, node), fill(nan, 0.0), node)
    result = p.select(p.eq(node, infinity), fill(posinf, limits[1]), result)
    return Tensor(p.select(p.eq(node, -infinity), fill(neginf, limits[0]), result))


def float_limits(dtype: str) -> tuple[float, float]:
    """Return the lowest and the largest finite value of a float dtype."""
    if dtype == "bfloat16":
        return -3.3895313892515355e38, 3.3895313892515355e38
    info = np.finfo(dtype)
    return float(info.min), float(info.max)
