"""Checks of arguments: errors that name the argument, what was expected and what was received.

All take `(name, value, ...)` in this order and return the value, converted where the name says so. `where`,
the name of a class or the path of a layer, is put in front of the message.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np

from hornbeam._internal.formatting import brief
from hornbeam._internal.naming import nearest
from hornbeam.errors import ArgumentTypeError


def _refuse(
    where: str, name: str, expected: str, value: Any, hint: str = "", error: type[ValueError] = ValueError
) -> NoReturn:
    if isinstance(getattr(value, "shape", None), tuple) and value.shape and where.isidentifier():
        hint = f". If {where} is a layer, make it first and call it afterwards: {where}(...)(x)"
    raise error(f"{_prefix(where)}{name} must be {expected}, got {brief(value)}{hint}")


def _prefix(where: str) -> str:
    return f"{where}: " if where else ""


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool)


def _is_int(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def check_number(
    name: str, value: Any, minimum: float | None = None, maximum: float | None = None, *, where: str = ""
) -> Any:
    """Return a number from `minimum` to `maximum`. Raises ValueError for any other value."""
    valid = _is_number(value)
    below = minimum is not None and valid and not value >= minimum
    beyond = maximum is not None and valid and not value <= maximum
    if not valid or below or beyond:
        if minimum is not None and maximum is not None:
            expected = f"a number between {minimum:g} and {maximum:g}"
        else:
            expected = "a number" if minimum is None else f"a number of at least {minimum:g}"
        _refuse(where, name, expected, value)
    return value


def check_positive(name: str, value: Any, *, where: str = "") -> Any:
    """Return a number above 0. Raises ValueError for any other value."""
    if not _is_number(value) or not value > 0:
        _refuse(where, name, "a positive number", value)
    return value


def check_rate(name: str, value: Any, *, closed: bool = False, where: str = "") -> float:
    """Return a number in [0, 1), or in [0, 1] if `closed`, as a float. Raises ValueError for any other."""
    if not _is_number(value) or not 0 <= value <= 1 or (value == 1 and not closed):
        percent = _is_number(value) and 1 < value < 100
        hint = f": for {value:g} percent write {value / 100:g}" if percent else ""
        _refuse(where, name, f"a number in [0, 1{']' if closed else ')'}", value, hint)
    return float(value)


def check_int(name: str, value: Any, minimum: int | None = None, *, where: str = "") -> int:
    """Return an integer of at least `minimum` as an int. Raises ValueError for any other value.

    >>> check_int("batch_size", 32, minimum=1)
    32
    """
    number = _as_int(value)
    if number is None or (minimum is not None and number < minimum):
        expected = "an integer" if minimum is None else f"an integer of at least {minimum}"
        hint = f": write {name}={int(value)}" if isinstance(value, float) and value.is_integer() else ""
        if name == "filters" and isinstance(value, tuple):
            hint = ". The order is (filters, kernel_size)"
        _refuse(where, name, expected, value, hint, ArgumentTypeError if number is None else ValueError)
    return number


def _as_int(value: Any) -> int | None:
    if isinstance(value, (bool, np.bool_)):
        return None
    try:
        return operator.index(value)
    except TypeError:
        return None


def check_sizes(name: str, value: Any, rank: int, minimum: int = 1, *, where: str = "") -> tuple[int, ...]:
    """Return `rank` integers of at least `minimum`; one integer is repeated. Raises ValueError otherwise."""
    sizes = (value,) * rank if isinstance(value, (int, np.integer)) else value
    if (
        not isinstance(sizes, (list, tuple))
        or len(sizes) != rank
        or any(not _is_int(size) or size < minimum for size in sizes)
    ):
        expected = f"an integer or {rank} of them" if rank > 1 else "an integer"
        hint = f". If it is the activation, write activation={value!r}" if isinstance(value, str) else ""
        _refuse(where, name, f"{expected}, each at least {minimum}", value, hint)
    return tuple(int(size) for size in sizes)


def check_padding(name: str, value: Any, rank: int, *, where: str = "") -> tuple[tuple[int, int], ...]:
    """Return (before, after) for each of `rank` axes, from an int, an int per axis, or a pair per axis.

    Raises ValueError for any other value, and for negative amounts.
    """
    amounts = (value,) * rank if isinstance(value, (int, np.integer)) else value
    if isinstance(amounts, (list, tuple)) and len(amounts) == rank:
        pairs = [(n, n) if isinstance(n, (int, np.integer)) else tuple(n) for n in amounts]
        if all(
            len(pair) == 2 and all(isinstance(n, (int, np.integer)) and n >= 0 for n in pair)
            for pair in pairs
        ):
            return tuple((int(before), int(after)) for before, after in pairs)
    _refuse(where, name, f"an integer, or an integer or a pair of them for each of {rank} axes", value)


def check_axes(name: str, value: Any, *, where: str = "") -> Any:
    """Return an axis, several axes, or None. Raises ValueError for any other value."""
    axes = value if isinstance(value, (list, tuple)) else () if value is None else (value,)
    if not all(_is_int(axis) for axis in axes):
        _refuse(where, name, "an integer axis or a sequence of them", value, error=ArgumentTypeError)
    return value


def check_choice(name: str, value: Any, choices: Sequence[Any], *, where: str = "") -> Any:
    """Return one of `choices`. Raises ValueError, with the nearest of them, for any other value."""
    if value not in choices:
        texts = [choice for choice in choices if isinstance(choice, str)]
        hint = nearest(value, texts) if isinstance(value, str) else ""
        _refuse(where, name, f"one of {', '.join(map(repr, choices))}", value, f".{hint}")
    return value


def check_callable(name: str, value: Any, *, where: str = "") -> Any:
    """Return a function or another callable. Raises TypeError for any other value."""
    if not callable(value):
        raise TypeError(f"{_prefix(where)}{name} must be a function, got {brief(value)}")
    return value


def check_model(value: Any, *, where: str) -> Any:
    """Return a model. Raises TypeError for any other value."""
    if not (hasattr(value, "predict") and hasattr(value, "layers")):
        raise TypeError(f"{where} takes a model, got {brief(value)}")
    return value
