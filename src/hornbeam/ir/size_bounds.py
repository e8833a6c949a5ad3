"""Bounds of unknown sizes, and their growth where all symbols are one large number."""

from __future__ import annotations

from fractions import Fraction
from typing import TypeAlias

# Numbers that a size is certainly not below and not above.
Bounds: TypeAlias = tuple[float, float]
INFINITE = float("inf")

# What a size is if all symbols are one large number: the coefficient of each of its powers.
Growth: TypeAlias = dict[int, Fraction]


def multiplied_bounds(a: Bounds, b: Bounds) -> Bounds:
    """Return the bounds of a product."""
    products = [x * y if x and y else 0 for x in a for y in b]
    return min(products), max(products)


def divided_bounds(number: Bounds, by: Bounds) -> Bounds:
    """Return the bounds of a floor division."""
    if by[0] <= 0:
        return -INFINITE, INFINITE
    low, high = number
    # A negative number is the closer to 0 the more it is divided by.
    return _floor(low, by[1] if low >= 0 else by[0]), _floor(high, by[0] if high >= 0 else by[1])


def _floor(number: float, by: float) -> float:
    if abs(number) == INFINITE:
        return number
    return number // by if by != INFINITE else -1 if number < 0 else 0


def summed_growth(a: Growth, b: Growth) -> Growth:
    """Add two growths."""
    return {d: a.get(d, Fraction(0)) + b.get(d, Fraction(0)) for d in {*a, *b}}


def scaled_growth(a: Growth, factor: int) -> Growth:
    """Multiply a growth by an integer."""
    return {d: c * factor for d, c in a.items()}


def growth_sign(growth: Growth) -> int:
    """Return the sign of the coefficient of the highest power."""
    degree = max((d for d, c in growth.items() if c), default=None)
    return 0 if degree is None else 1 if growth[degree] > 0 else -1
