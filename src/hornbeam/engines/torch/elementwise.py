"""Elementwise functions, conversions, and carriers of unsigned integers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from hornbeam.engines.table import Table
from hornbeam.ir.node import Node
from hornbeam.ir.types import numpy_dtype

Tensor = Any
# Dtypes that carry unsigned integers inside a graph.
CARRIERS = {"uint16": torch.int32, "uint32": torch.int64}
_WIDE = {torch.uint16: torch.int32, torch.uint32: torch.int64}


def torch_dtype(name: str) -> torch.dtype:
    return getattr(torch, name)


def carried(x: Tensor) -> Tensor:
    wide = _WIDE.get(x.dtype)
    return x if wide is None else x.to(wide)


def widened(fn: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Wrap `fn`: compute 16-bit floats in float32, and round the result once."""

    def widened(x: Tensor, *rest: Tensor, **params: Any) -> Tensor:
        if x.dtype not in (torch.float16, torch.bfloat16):
            return fn(x, *rest, **params)
        return fn(x.float(), *(y.float() for y in rest), **params).to(x.dtype)

    return widened


def _minus_one(x: Tensor) -> Tensor:
    return x == -1 if x.dtype.is_signed else torch.zeros_like(x, dtype=torch.bool)


def _safe(y: Tensor) -> Tensor:
    """Replace the divisors 0 and -1 by 1: x / 0 and the lowest integer / -1 trap."""
    return torch.where((y == 0) | _minus_one(y), torch.ones_like(y), y)


def _divide(x: Tensor, y: Tensor) -> Tensor:
    if x.is_floating_point():
        return x / y
    quotient = torch.div(x, _safe(y), rounding_mode="trunc")
    quotient = torch.where(_minus_one(y), torch.zeros_like(x) - x, quotient)
    return torch.where(y == 0, torch.zeros_like(x), quotient)


def _remainder(x: Tensor, y: Tensor) -> Tensor:
    if x.is_floating_point():  # PyTorch's fmod by infinity is NaN
        return torch.where(torch.isinf(y) & torch.isfinite(x), x, torch.fmod(x, y))
    return torch.where((y == 0) | _minus_one(y), torch.zeros_like(x), torch.fmod(x, _safe(y)))


def _power(x: Tensor, y: Tensor) -> Tensor:
    if x.is_floating_point():
        return torch.pow(x, y)
    result, base, rest = torch.ones_like(x), x, y
    for _ in range(8 * x.element_size()):
        result = torch.where(rest & 1 != 0, result * base, result)
        base, rest = base * base, rest >> 1
    one, zero = torch.ones_like(x), torch.zeros_like(x)
    reciprocal = torch.where(x == 1, one, torch.where(_minus_one(x), torch.where(y & 1 != 0, x, one), zero))
    return torch.where(y < 0, reciprocal, result)


def _shift(fn: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Apply `fn` to amounts within the bit width; beyond it (and below 0) only the sign remains."""

    def shifted(x: Tensor, y: Tensor) -> Tensor:
        width = 8 * x.element_size()
        inside = (y >= 0) & (y < width)
        far = fn(fn(x, torch.full_like(x, width - 1)), torch.ones_like(x))
        return torch.where(inside, fn(x, torch.where(inside, y, torch.zeros_like(y))), far)

    return shifted


def is_zero(node: Node) -> bool:
    """Return whether a node is a constant of zero bits."""
    source = node.inputs[0] if node.name == "broadcast" else node
    return source.name == "constant" and not any(source.params["data"])


_SAME_SIZE = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def keep_or_zero(condition: Tensor, x: Tensor, zero: Tensor) -> Tensor:
    """Select x or 0 by a condition, bitwise: on CPUs `torch.where` takes several times as long."""
    bits = _SAME_SIZE[x.element_size()]
    if x.dtype == torch.bool:
        return condition & x
    return condition.to(bits).neg_().bitwise_and_(x.view(bits)).view(x.dtype)


def _sign(x: Tensor) -> Tensor:
    return torch.where(torch.isnan(x), x, torch.sign(x)) if x.is_floating_point() else torch.sign(x)


def convert(x: Tensor, *, dtype: str) -> Tensor:
    if dtype == "bool":
        return x != 0
    target = CARRIERS.get(dtype) or torch_dtype(dtype)
    if not x.is_floating_point() or target.is_floating_point:
        return x.to(target)
    limits = np.iinfo(dtype)
    truncated = torch.trunc(x.float() if x.element_size() < 4 else x)
    # Both are exact in float32: the lowest integer, and the one above the highest.
    inside = (truncated >= float(limits.min)) & (truncated < float(int(limits.max) + 1))
    low, high, zero = (x.new_full((), int(v), dtype=target) for v in (limits.min, limits.max, 0))
    clipped = torch.where(truncated > 0, high, low)
    clipped = torch.where(torch.isnan(truncated), zero, clipped)
    return torch.where(inside, torch.where(inside, truncated, 0.0).to(target), clipped)


def bitcast(x: Tensor, *, dtype: str) -> Tensor:
    size = np.dtype(numpy_dtype(dtype)).itemsize
    if x.element_size() != size:  # a carried unsigned integer
        x = x.to({2: torch.int16, 4: torch.int32}[size])
    if dtype not in CARRIERS:
        return x.view(torch_dtype(dtype))
    return x.view({2: torch.int16, 4: torch.int32}[size]).to(CARRIERS[dtype])


UNARY: Table = {
    "neg": torch.neg, "sign": _sign, "abs": torch.abs, "floor": torch.floor, "ceil": torch.ceil,
    "round": torch.round, "exp": torch.exp, "expm1": torch.expm1, "log": torch.log, "log1p": torch.log1p,
    "sqrt": torch.sqrt, "rsqrt": torch.rsqrt, "logistic": torch.sigmoid, "sin": torch.sin, "cos": torch.cos,
    "tan": torch.tan, "asin": torch.asin, "acos": torch.acos, "atan": torch.atan, "sinh": torch.sinh,
    "cosh": torch.cosh, "tanh": torch.tanh, "asinh": torch.asinh, "acosh": torch.acosh, "atanh": torch.atanh,
    "erf": torch.erf, "erf_inv": torch.erfinv, "lgamma": torch.lgamma, "digamma": torch.digamma,
    "logical_not": torch.bitwise_not, "is_finite": torch.isfinite, "relu": lambda x, **_: torch.relu(x),
}  # fmt: skip
BINARY: Table = {
    "add": torch.add, "sub": torch.sub, "mul": torch.mul, "div": _divide, "rem": _remainder, "pow": _power,
    "atan2": torch.atan2, "max": torch.maximum, "min": torch.minimum, "and": torch.bitwise_and,
    "or": torch.bitwise_or, "xor": torch.bitwise_xor, "shift_left": _shift(torch.bitwise_left_shift),
    "shift_right": _shift(torch.bitwise_right_shift), "eq": torch.eq, "ne": torch.ne, "lt": torch.lt,
    "le": torch.le, "gt": torch.gt, "ge": torch.ge,
}  # fmt: skip
