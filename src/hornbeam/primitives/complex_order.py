"""Rules of primitives that order complex numbers: by real parts, and equal ones by imaginary parts, as NumPy
does, and composites that compare. See `ir/complex_pairs.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from hornbeam.ir.complex_pairs import Pair, Value, lower_body
from hornbeam.ir.node import Node
from hornbeam.ir.primitive import COMPLEX_RULES, full
from hornbeam.primitives import elementwise as e
from hornbeam.primitives.complex_numbers import _select
from hornbeam.primitives.index import argsort, gather
from hornbeam.primitives.reduce import Reduction, reduce_max, reduce_min, reduce_or
from hornbeam.primitives.shape import broadcast, reshape, transpose

Compare = Callable[[Node, Node], Node]


def _ordered(strict: Compare, last: Compare) -> Callable[[Pair, Pair], Node]:
    """Lexicographic comparison: `strict` of real parts, `last` of imaginary parts where those are equal."""
    return lambda a, b: e.bit_or(
        strict(a.real, b.real), e.bit_and(e.eq(a.real, b.real), last(a.imag, b.imag))
    )


def _is_nan(z: Pair) -> Node:
    return e.bit_or(e.ne(z.real, z.real), e.ne(z.imag, z.imag))


def _better(strict: Compare, last: Compare) -> Callable[..., Value]:
    """Return the rule of the larger or smaller one of two numbers; NaN if either is."""

    def rule(node: Node, a: Pair, b: Pair) -> Pair:
        chosen = e.bit_and(_ordered(strict, last)(a, b), e.eq(b.imag, b.imag))
        return _select(e.bit_or(chosen, _is_nan(a)), a, b)

    return rule


def _best(reduce: Reduction, neutral: float) -> Callable[..., Value]:
    """Return the rule of the largest or smallest over axes; NaN if there is one."""

    def rule(node: Node, z: Pair, *, axes: tuple[int, ...]) -> Pair:
        kept = tuple(axis for axis in range(z.real.rank) if axis not in axes)
        real = reduce(z.real, axes)
        equal = e.eq(z.real, broadcast(real, z.real.shape, kept))
        imag = reduce(e.select(equal, z.imag, full(neutral, z.imag.type)), axes)
        invalid = reduce_or(_is_nan(z), axes)
        return Pair(*(e.select(invalid, full(math.nan, part.type), part) for part in (real, imag)))

    return rule


def _argsort(node: Node, z: Pair, *, axis: int) -> Node:
    """Sort by imaginary parts, then by real parts: the order of equal ones stays. NaN in either is last."""
    last = z.real.rank - 1
    moved = tuple(axis if a == last else last if a == axis else a for a in range(last + 1))
    x, y = (transpose(part, moved) for part in z)
    x = e.select(e.bit_and(e.ne(y, y), e.eq(x, x)), full(math.inf, x.type), x)
    first = argsort(y, last)
    second = argsort(_take(x, first), last)
    return transpose(_take(first, second), moved)


def _take(x: Node, order: Node) -> Node:
    return gather(x, reshape(order, (*order.shape, 1)), batch_dims=x.rank - 1)


def _compare(strict: Compare, last: Compare) -> Callable[..., Value]:
    return lambda node, a, b: _ordered(strict, last)(a, b)


COMPLEX_RULES.update(
    lt=_compare(e.lt, e.lt),
    le=_compare(e.lt, e.le),
    gt=_compare(e.gt, e.gt),
    ge=_compare(e.gt, e.ge),
    max=_better(e.gt, e.ge),
    min=_better(e.lt, e.le),
    reduce_max=_best(reduce_max, -math.inf),
    reduce_min=_best(reduce_min, math.inf),
    argsort=_argsort,
    **dict.fromkeys(("sort", "softmax", "log_softmax", "logsumexp"), lower_body),
)
