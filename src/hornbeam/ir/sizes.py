"""Sizes that are not known while a model is built, as symbols.

An unknown size of an `Input` is a symbol. What is computed from it is a polynomial of symbols with integer
coefficients, floor division, minimum and maximum included, so that type rules and layers compute with unknown
sizes as with numbers, as in JAX's shape polymorphism. A result that is a number again becomes an `int`.

Symbols exist in the types of symbolic tracing alone: what an engine runs has numbers. They are positive.
Comparisons never fail:

- `a == b` and `a != b` are true if that holds for all values of the symbols. Whether `n` is 3 is unknown, so
  `n == 3` and `n != 3` are both false, and a check that raises an error for what is certainly wrong lets
  unknown sizes pass. Tuples compare by `==` alone: use `same_shape` to compare shapes.
- `a < b` and the like assume that symbols are large and equally so: `n > 3` is true, `n < m` is false, and so
  is `bool(n % 2)`.
"""

from __future__ import annotations

import functools
import itertools
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fractions import Fraction
from typing import Any, NoReturn, TypeAlias, Union, cast

import numpy as np

from hornbeam._internal.context import context_variable, override
from hornbeam.ir.size_bounds import (
    INFINITE,
    Bounds,
    Growth,
    divided_bounds,
    growth_sign,
    multiplied_bounds,
    scaled_growth,
    summed_growth,
)

# What symbols stand for, to a type checker an int: code that computes with sizes need not tell them apart.
Size: TypeAlias = Union[int, "SymbolicSize"]

_serial = itertools.count()

# Pairs of sizes that were taken to be equal, in the order of the checks.
Assumptions: TypeAlias = list[tuple[Size, Size]]
_assumptions = context_variable("assumptions about sizes", cast("Assumptions | None", None))
_types_only = context_variable("whether types alone are inferred", False)


class _Atom:
    """Factor of a term: a symbol, or a floor division, minimum or maximum of sizes. Equal by its text."""

    __slots__ = ("_growth", "kind", "operands", "text")

    def __init__(self, kind: str, operands: tuple[Size, ...], text: str) -> None:
        self.kind = kind
        self.operands = operands
        self.text = text
        self._growth: Growth | None = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Atom) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __lt__(self, other: _Atom) -> bool:
        return self.text < other.text

    def evaluate(self, values: Mapping[str, Any], choose: Choices) -> Any:
        if self.kind == "symbol":
            return values[self.text]
        operands = [evaluate(x, values, choose) for x in self.operands]
        return operands[0] // operands[1] if self.kind == "floordiv" else choose[self.kind](*operands)

    def bounds(self) -> Bounds:
        if self.kind == "symbol":
            return 1, INFINITE
        first, second = map(_bounds, self.operands)
        if self.kind == "floordiv":
            return divided_bounds(first, second)
        return _CHOOSE[self.kind](first[0], second[0]), _CHOOSE[self.kind](first[1], second[1])

    def growth(self) -> Growth:
        if self._growth is None:
            self._growth = self._find_growth()
        return self._growth

    def _find_growth(self) -> Growth:
        if self.kind == "symbol":
            return {1: Fraction(1)}
        first, second = map(_growth, self.operands)
        if self.kind != "floordiv":
            first_is_less = growth_sign(summed_growth(first, scaled_growth(second, -1))) <= 0
            return first if first_is_less == (self.kind == "min") else second
        degree = max(second)
        return {d - degree: c / second[degree] for d, c in first.items() if d >= degree}


# Functions for "min" and "max" of two sizes.
Choices: TypeAlias = Mapping[str, Callable[..., Any]]
_CHOOSE: Choices = {"min": min, "max": max}

# A product of powers of atoms, in their order; () is the constant term's.
_Monomial: TypeAlias = tuple[tuple[_Atom, int], ...]
_Terms: TypeAlias = dict[_Monomial, int]


class SymbolicSize:
    """Size that depends on symbols: a polynomial of them. It prints as None, as Keras writes unknown sizes.

    Args:
        terms: Nonzero coefficient of every monomial.
    """

    __slots__ = ("_growth", "_key", "terms")
    __array_ufunc__ = None  # NumPy's numbers leave arithmetic to the methods below

    def __init__(self, terms: _Terms) -> None:
        self.terms = terms
        self._key = tuple(sorted(terms.items()))
        self._growth: Growth | None = None

    # -- arithmetic --

    def __add__(self, other: Any) -> Any:
        return _binary(operator.add, self, other)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Any:
        return _binary(operator.sub, self, other)

    def __rsub__(self, other: Any) -> Any:
        return _binary(operator.sub, other, self)

    def __mul__(self, other: Any) -> Any:
        return _binary(operator.mul, self, other)

    __rmul__ = __mul__

    def __neg__(self) -> Any:
        return _from_terms(_scaled(self.terms, -1))

    def __pos__(self) -> SymbolicSize:
        return self

    def __abs__(self) -> Any:
        return self if self >= 0 else -self

    def __pow__(self, exponent: Any) -> Any:
        if not isinstance(exponent, int) or exponent < 0:
            return NotImplemented
        result: Any = 1
        for _ in range(exponent):
            result = result * self
        return result

    def __floordiv__(self, other: Any) -> Any:
        return _floor_divided(self, other) if is_size(other) else NotImplemented

    def __rfloordiv__(self, other: Any) -> Any:
        return _floor_divided(other, self) if is_size(other) else NotImplemented

    def __mod__(self, other: Any) -> Any:
        return self - other * (self // other) if is_size(other) else NotImplemented

    def __rmod__(self, other: Any) -> Any:
        return other - self * (other // self) if is_size(other) else NotImplemented

    def __divmod__(self, other: Any) -> Any:
        return self // other, self % other

    def __rdivmod__(self, other: Any) -> Any:
        return other // self, other % self

    # What is no longer an integer is a tensor, whose value an engine will compute.

    def __truediv__(self, other: Any) -> Any:
        return to_tensor(self) / other

    def __rtruediv__(self, other: Any) -> Any:
        return other / to_tensor(self)

    # -- comparisons --

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SymbolicSize) and self._key == other._key

    def __ne__(self, other: object) -> bool:
        return not is_size(other) or certainly_differ(self, other)

    def __hash__(self) -> int:
        return hash(self._key)

    def __lt__(self, other: Any) -> bool:
        return _compare(self, other) < 0 if is_size(other) else NotImplemented

    def __le__(self, other: Any) -> bool:
        return _compare(self, other) <= 0 if is_size(other) else NotImplemented

    def __gt__(self, other: Any) -> bool:
        return _compare(self, other) > 0 if is_size(other) else NotImplemented

    def __ge__(self, other: Any) -> bool:
        return _compare(self, other) >= 0 if is_size(other) else NotImplemented

    def __bool__(self) -> bool:
        return growth_sign(_growth(self)) != 0

    # -- conversions --

    def _unknown(self, *_: Any) -> NoReturn:
        raise TypeError(
            "this size is unknown (None) until the model gets data: Python code cannot use it as a number. "
            "Compute with it in tensors (ops.arange, ops.cast), give Input a fixed size, or define "
            "compute_output_shape() in the layer"
        )

    __index__ = __int__ = __float__ = __array__ = _unknown

    def __repr__(self) -> str:
        return "None"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format("None", spec)

    @property
    def expression(self) -> str:
        """The polynomial as text, as in "4*batch + 1"."""
        parts = [_term_text(monomial, count) for monomial, count in reversed(self._key)]
        return " + ".join(parts).replace("+ -", "- ")


def is_size(x: object) -> bool:
    """Return True for an integer and for a size that is not known."""
    return isinstance(x, (int, SymbolicSize, np.integer))


def is_unknown(x: object) -> bool:
    """Return True for a size that is not known."""
    return isinstance(x, SymbolicSize)


def is_one(size: object) -> bool:
    """Return True for a size that is certainly 1, and so broadcasts."""
    return size == 1


def known_or_none(shape: Iterable[Any]) -> tuple[int | None, ...]:
    """Return a shape as Keras writes it: None for sizes that are not known."""
    return tuple([None if isinstance(size, SymbolicSize) else size for size in shape])


def new_size(name: str = "size") -> Any:
    """Return a new symbol. Its text is the name and a number, so that symbols of one name differ."""
    return named_size(f"{name}_{next(_serial)}")


def named_size(name: str) -> Any:
    """Return the symbol of a name. Symbols of one name are equal."""
    return _from_atom(_Atom("symbol", (), name))


def symbols_of(size: Size) -> set[str]:
    """Return the symbols that a size depends on."""
    if not isinstance(size, SymbolicSize):
        return set()
    atoms = {atom for monomial in size.terms for atom, _ in monomial}
    names = {atom.text for atom in atoms if atom.kind == "symbol"}
    return names.union(*(symbols_of(x) for atom in atoms for x in atom.operands))


def axes_of_symbols(shapes: Iterable[Sequence[Any]]) -> dict[str, tuple[int, int]]:
    """Return for every symbol that is a size of a shape the index of the shape, and the axis."""
    axes: dict[str, tuple[int, int]] = {}
    for index, shape in enumerate(shapes):
        for axis, size in enumerate(shape):
            if symbols_of(size) == {text_of(size)}:
                axes.setdefault(text_of(size), (index, axis))
    return axes


def evaluate(size: Size, values: Mapping[str, Any], choose: Choices = _CHOOSE) -> Any:
    """Return the value of a size for given values of its symbols.

    Args:
        size: Size.
        values: Value of each symbol: a number, or a scalar of a library that has `+`, `*` and `//`.
        choose: Functions "min" and "max" for these values.
    """
    if not isinstance(size, SymbolicSize):
        return size
    terms = [_term_value(monomial, count, values, choose) for monomial, count in size.terms.items()]
    return functools.reduce(operator.add, terms)


def _term_value(monomial: _Monomial, count: int, values: Mapping[str, Any], choose: Choices) -> Any:
    factors = [atom.evaluate(values, choose) for atom, power in monomial for _ in range(power)]
    return functools.reduce(operator.mul, factors if count == 1 and factors else [*factors, count])


def evaluated(x: Any, values: Mapping[str, Any], choose: Choices = _CHOOSE) -> Any:
    """Evaluate the sizes in a parameter of a node: a size or nested tuples of them; all else as it is."""
    if isinstance(x, tuple):
        return tuple([evaluated(part, values, choose) for part in x])
    return evaluate(x, values, choose) if isinstance(x, SymbolicSize) else x


def to_tensor(size: SymbolicSize) -> Any:
    """Return a scalar tensor of the size. Replaced by `hornbeam.core.convert`, which has tensors."""
    raise NotImplementedError("tensors exist only where hornbeam.core is imported")


def set_to_tensor(function: Callable[..., Any]) -> None:
    """Register the function that makes a scalar tensor of a size; its module needs this one."""
    global to_tensor
    to_tensor = function


# -- assumptions ---------------------------------------------------------------------------------------------


@contextmanager
def noted_assumptions(types_only: bool = False) -> Iterator[Assumptions]:
    """Collect the pairs of sizes that are assumed to be equal in a `with` block.

    Args:
        types_only: True while types are inferred for symbolic tensors, and nothing will be computed.
    """
    pairs: Assumptions = []
    with override(_assumptions, pairs), override(_types_only, types_only):
        yield pairs


def in_symbolic_trace() -> bool:
    """Return True while types are inferred for symbolic tensors, and nothing will be computed."""
    return _types_only.get()


def certainly_differ(a: Any, b: Any) -> bool:
    """Return True if two sizes differ for all values of their symbols."""
    difference = a - b
    if not isinstance(difference, SymbolicSize):
        return bool(difference != 0)
    return _lower_bound(difference) > 0 or _lower_bound(-difference) > 0


def certainly_exceeds(a: Any, b: Any) -> bool:
    """Return True if the first size is greater for all values of the symbols."""
    return _lower_bound(a - b) > 0


def same_size(a: Any, b: Any) -> bool:
    """Return True unless two sizes certainly differ. What is not certain is noted as an assumption."""
    if a == b:
        return True
    if certainly_differ(a, b):
        return False
    notes = _assumptions.get()
    if notes is not None:
        notes.append((a, b))
    return True


def same_shape(a: Sequence[Any], b: Sequence[Any]) -> bool:
    """Return True unless two shapes certainly differ, as `same_size`."""
    return a == b or (len(a) == len(b) and all(map(same_size, a, b)))


def merged_size(*sizes: Any) -> Any:
    """Return one of sizes that are taken to be equal: a known one if there is one."""
    return next((size for size in sizes if not isinstance(size, SymbolicSize)), sizes[0])


def merged_shape(*shapes: Sequence[Any]) -> tuple[Any, ...]:
    """Return one of shapes that are taken to be equal, with all sizes that are known in any of them."""
    return shapes[0] if len(set(shapes)) == 1 else tuple(map(merged_size, *shapes))  # type: ignore[return-value]


def minimum(a: Any, b: Any) -> Any:
    """Return the smaller of two sizes, without assumptions on what is not known."""
    return _min_or_max("min", a, b)


def maximum(a: Any, b: Any) -> Any:
    """Return the larger of two sizes, without assumptions on what is not known."""
    return _min_or_max("max", a, b)


def _min_or_max(kind: str, a: Any, b: Any) -> Any:
    if not (isinstance(a, SymbolicSize) or isinstance(b, SymbolicSize)):
        return _CHOOSE[kind](a, b)
    small, large = (a, b) if kind == "min" else (b, a)
    if _lower_bound(large - small) >= 0:
        return a
    if _lower_bound(small - large) >= 0:
        return b
    texts = sorted((text_of(a), text_of(b)))
    return _from_atom(_Atom(kind, (a, b), f"{kind}({texts[0]}, {texts[1]})"))


# -- polynomials ---------------------------------------------------------------------------------------------


def text_of(size: Any) -> str:
    """Return a size as text, with the names of its symbols."""
    return size.expression if isinstance(size, SymbolicSize) else str(size)


def _operand(size: Size) -> str:
    text = text_of(size)
    return f"({text})" if " " in text or "*" in text else text


def _term_text(monomial: _Monomial, count: int) -> str:
    factors = [atom.text if power == 1 else f"{atom.text}**{power}" for atom, power in monomial]
    if abs(count) != 1 or not factors:
        factors.insert(0, str(abs(count)))
    return ("-" if count < 0 else "") + "*".join(factors)


def _from_atom(atom: _Atom) -> SymbolicSize:
    return SymbolicSize({((atom, 1),): 1})


def _terms(size: Size) -> _Terms:
    return size.terms if isinstance(size, SymbolicSize) else {(): int(size)} if size else {}


def _from_terms(terms: _Terms) -> Size:
    terms = {monomial: count for monomial, count in terms.items() if count}
    if not terms:
        return 0
    return terms[()] if list(terms) == [()] else SymbolicSize(terms)


def _binary(operation: Callable[[Any, Any], Any], a: Any, b: Any) -> Any:
    if is_size(a) and is_size(b):
        return _from_terms(_COMBINE[operation](_terms(a), _terms(b)))
    if isinstance(a, float) or isinstance(b, float):  # no longer a size
        return operation(*(to_tensor(x) if isinstance(x, SymbolicSize) else x for x in (a, b)))
    return NotImplemented


def _add(a: _Terms, b: _Terms) -> _Terms:
    total = dict(a)
    for monomial, count in b.items():
        total[monomial] = total.get(monomial, 0) + count
    return total


def _scaled(a: _Terms, factor: int) -> _Terms:
    return {monomial: count * factor for monomial, count in a.items()}


def _monomial_product(a: _Monomial, b: _Monomial) -> _Monomial:
    powers = dict(a)
    for atom, power in b:
        powers[atom] = powers.get(atom, 0) + power
    return tuple(sorted(powers.items()))


def _multiply(a: _Terms, b: _Terms) -> _Terms:
    total: _Terms = {}
    for left, n in a.items():
        for right, m in b.items():
            monomial = _monomial_product(left, right)
            total[monomial] = total.get(monomial, 0) + n * m
    return total


_COMBINE: dict[Callable[[Any, Any], Any], Callable[[_Terms, _Terms], _Terms]] = {
    operator.add: _add,
    operator.sub: lambda a, b: _add(a, _scaled(b, -1)),
    operator.mul: _multiply,
}


def _floor_divided(a: Size, b: Size) -> Size:
    """Return a // b: the terms of a that b divides exactly, and an atom "floordiv" for the others.

    Equal quotients must have equal atoms, so constants are taken out, and divisions of divisions merged.
    """
    a = a if isinstance(a, SymbolicSize) else int(a)
    b = b if isinstance(b, SymbolicSize) else int(b)
    if isinstance(b, int):
        if b == 0:
            raise ZeroDivisionError("a size is divided by zero")
        if b < 0:
            return _floor_divided(-a, -b)
    exact, rest = _long_division(_terms(a), _terms(b))
    if isinstance(b, int) and () in rest:  # (n + 7) // 3 is (n + 1) // 3 + 2
        exact = _add(exact, {(): rest[()] // b})
        rest = {**rest, (): rest[()] % b}
    remainder = _from_terms(rest)
    if not isinstance(remainder, SymbolicSize):
        if isinstance(b, int) or remainder == 0:
            return _from_terms(_add(exact, {(): remainder // b if isinstance(b, int) else 0}))
    elif isinstance(b, int) and len(remainder.terms) == 1:  # n // 2 // 2 is n // 4
        ((monomial, count),) = remainder.terms.items()
        if count == 1 and len(monomial) == 1 and monomial[0][1] == 1 and monomial[0][0].kind == "floordiv":
            dividend, divisor = monomial[0][0].operands
            if isinstance(divisor, int):
                return _from_terms(_add(exact, _terms(_floor_divided(dividend, divisor * b))))
    text = f"({_operand(remainder)}//{_operand(b)})"
    return _from_terms(_add(exact, {((_Atom("floordiv", (remainder, b), text), 1),): 1}))


def _long_division(a: _Terms, b: _Terms) -> tuple[_Terms, _Terms]:
    """Return the quotients of the terms of a that b divides without remainder, and the other terms.

    If b has several terms, it must divide a as a whole. As in any long division of polynomials, the leading
    term of b (the one of the highest degree) cancels that of what is left of a.
    """
    lead, lead_coefficient = max(b.items(), key=_by_degree)
    exact: _Terms = {}
    rest, remainder = dict(a), {}
    while rest:
        monomial, coefficient = max(rest.items(), key=_by_degree)
        factor = _monomial_quotient(monomial, lead)
        if factor is None or coefficient % lead_coefficient:
            if len(b) > 1:
                return {}, a
            remainder[monomial] = rest.pop(monomial)
            continue
        step = {factor: coefficient // lead_coefficient}
        exact = _add(exact, step)
        rest = {m: c for m, c in _add(rest, _scaled(_multiply(step, b), -1)).items() if c}
    return exact, remainder


def _by_degree(term: tuple[_Monomial, int]) -> tuple[int, _Monomial]:
    return sum(power for _, power in term[0]), term[0]


def _monomial_quotient(a: _Monomial, b: _Monomial) -> _Monomial | None:
    """Return a / b, None if it has a negative power."""
    powers = dict(a)
    for atom, power in b:
        powers[atom] = powers.get(atom, 0) - power
    if min(powers.values(), default=0) < 0:
        return None
    return tuple(sorted((atom, power) for atom, power in powers.items() if power))


def _lower_bound(size: Size) -> float:
    """Return a number that a size is never below, -inf if none is known."""
    return _bounds(size)[0]


def _bounds(size: Size) -> Bounds:
    """Return a lower and an upper bound of a size, by interval arithmetic."""
    if not isinstance(size, SymbolicSize):
        return size, size
    low: float = 0
    high: float = 0
    for monomial, count in size.terms.items():
        term: Bounds = (count, count)
        for atom, power in monomial:
            for _ in range(power):
                term = multiplied_bounds(term, atom.bounds())
        low, high = low + term[0], high + term[1]
    return low, high


def _growth(size: Size) -> Growth:
    """Return a size as a polynomial of one large number n, which all symbols are."""
    if not isinstance(size, SymbolicSize):
        return {0: Fraction(size)}
    if size._growth is None:
        size._growth = _find_growth(size)
    return size._growth


def _find_growth(size: SymbolicSize) -> Growth:
    total: Growth = {}
    for monomial, count in size.terms.items():
        part: Growth = {0: Fraction(count)}
        for atom, power in monomial:
            factor = atom.growth()
            for _ in range(power):
                product: Growth = {}
                for (d, c), (e, k) in itertools.product(part.items(), factor.items()):
                    product[d + e] = product.get(d + e, Fraction(0)) + c * k
                part = product
        total = summed_growth(total, part)
    return total


def _compare(a: Any, b: Any) -> int:
    """Return the sign of a - b if all symbols are the same large number."""
    return growth_sign(_growth(a - b))
