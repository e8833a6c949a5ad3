"""Special functions that MLX lacks, by formula (Abramowitz & Stegun, chapters 6 and 7), for float32.

The arguments of gamma functions are moved to 8 and above, where few terms of the asymptotic series are exact.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import mlx.core as mx

Array = Any

_STEPS = 8
_LGAMMA = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680)
_DIGAMMA = (1 / 12, -1 / 120, 1 / 252, -1 / 240)


def polynomial(x: Array, coefficients: Sequence[float]) -> Array:
    """Evaluate a polynomial whose constant term comes first."""
    total = mx.full(x.shape, coefficients[-1], x.dtype)
    for coefficient in reversed(coefficients[:-1]):
        total = total * x + coefficient
    return total


def _reflected(x: Array) -> tuple[Array, Array, Array]:
    """Return where x < 0.5, the argument 1 - x there and x elsewhere, and x minus the nearest integer."""
    low = x < 0.5
    return low, mx.where(low, 1 - x, x), x - mx.round(x)


def lgamma(x: Array) -> Array:
    """Compute log |gamma(x)|; inf at the poles."""
    low, z, distance = _reflected(x)
    small = z < _STEPS
    base, product = mx.where(small, z, 1.0), mx.ones_like(z)
    for step in range(_STEPS):
        product = product * (base + step)
    far = mx.where(small, z + _STEPS, z)
    inverse = 1 / far
    series = inverse * polynomial(inverse * inverse, _LGAMMA)
    value = (far - 0.5) * (mx.log(far) - 1) - 0.5 + (0.5 * math.log(2 * math.pi) + series)
    value = value - mx.where(small, mx.log(product), 0.0)
    reflected = math.log(math.pi) - mx.log(mx.abs(mx.sin(math.pi * distance))) - value
    value = mx.where(low, reflected, value)
    pole = (x <= 0) & (distance == 0)
    return mx.where(mx.isinf(x) | pole, mx.array(math.inf, x.dtype), value)


def digamma(x: Array) -> Array:
    """Compute the derivative of lgamma; -inf at 0 (inf at -0), NaN at the other poles."""
    low, z, distance = _reflected(x)
    small = z < _STEPS
    base, fractions = mx.where(small, z, 1.0), mx.zeros_like(z)
    for step in range(_STEPS):
        fractions = fractions + 1 / (base + step)
    far = mx.where(small, z + _STEPS, z)
    inverse = 1 / far
    square = inverse * inverse
    value = mx.log(far) - 0.5 * inverse - square * polynomial(square, _DIGAMMA)
    value = value - mx.where(small, fractions, 0.0)
    angle = math.pi * distance
    value = mx.where(low, value - math.pi * mx.cos(angle) / mx.sin(angle), value)
    value = mx.where((x < 0) & (distance == 0), mx.array(math.nan, x.dtype), value)
    return mx.where(x == 0, -1 / x, value)


_ERF = tuple((-1) ** n * 2 / math.sqrt(math.pi) / (math.factorial(n) * (2 * n + 1)) for n in range(12))


def erf(x: Array) -> Array:
    """Compute erf, by its series below 1: MLX's own function is exact in absolute terms only."""
    small = mx.abs(x) < 1
    near = mx.where(small, x, 0.0)
    return mx.where(small, near * polynomial(near * near, _ERF), mx.erf(x))
