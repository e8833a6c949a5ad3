"""Symbolic sizes: arithmetic and decisions against numbers."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hornbeam import Input, ops
from hornbeam.ir.sizes import (
    SymbolicSize,
    _bounds,
    certainly_differ,
    evaluate,
    known_or_none,
    maximum,
    merged_shape,
    minimum,
    new_size,
    noted_assumptions,
    same_shape,
    same_size,
    symbols_of,
    text_of,
)

N, M = new_size("n"), new_size("m")
(NAME_N,), (NAME_M,) = symbols_of(N), symbols_of(M)

_FUNCTIONS = [operator.add, operator.sub, operator.mul, operator.floordiv, operator.mod, minimum, maximum]


def _pair(draw: Any, depth: int) -> tuple[Any, str]:
    """Draw a size, and the same computation as a function of two numbers."""
    if depth == 0 or draw(st.booleans()):
        leaf = draw(st.sampled_from(["n", "m", "number"]))
        if leaf == "number":
            value = draw(st.integers(-6, 6))
            return value, lambda n, m: value
        return (N, lambda n, m: n) if leaf == "n" else (M, lambda n, m: m)
    function = draw(st.sampled_from(_FUNCTIONS))
    left, left_of = _pair(draw, depth - 1)
    if function in (operator.floordiv, operator.mod):
        divisor = draw(st.sampled_from([1, 2, 3, 5, 8]))
        return function(left, divisor), lambda n, m: function(left_of(n, m), divisor)
    right, right_of = _pair(draw, depth - 1)
    choose = {minimum: min, maximum: max}.get(function, function)
    return function(left, right), lambda n, m: choose(left_of(n, m), right_of(n, m))


@st.composite
def sizes(draw: Any) -> Any:
    return _pair(draw, 3)


numbers = st.integers(1, 40)


@given(sizes(), numbers, numbers)
def test_bounds_hold(size_and_function: Any, n: int, m: int) -> None:
    size, function = size_and_function
    low, high = _bounds(size)
    assert low <= function(n, m) <= high


@pytest.mark.parametrize(
    ("size", "low", "high"),
    [
        (N, 1, np.inf),
        (-(-N // 8), 1, np.inf),
        (minimum(N, 5) * 2 - 1, 1, 9),
        (3 - N * M, -np.inf, 2),
        (4 // N, 0, 4),
    ],
)
def test_bounds_are_close(size: Any, low: float, high: float) -> None:
    assert _bounds(size) == (low, high)


@given(sizes(), numbers, numbers)
def test_sizes_compute_as_numbers(pair: Any, n: int, m: int) -> None:
    size, function = pair
    assert evaluate(size, {NAME_N: n, NAME_M: m}) == function(n, m)


@given(sizes(), sizes(), numbers, numbers)
def test_what_is_certain_holds_for_all_numbers(first: Any, second: Any, n: int, m: int) -> None:
    (a, a_of), (b, b_of) = first, second
    if a == b:
        assert a_of(n, m) == b_of(n, m)
        assert hash(a) == hash(b)
    if certainly_differ(a, b):
        assert a_of(n, m) != b_of(n, m)
        assert a != b


@given(sizes(), sizes())
def test_order_is_that_of_large_sizes(first: Any, second: Any) -> None:
    """Exactly one of <, ==, > holds, where the sizes are known to differ when all symbols are large."""
    (a, _), (b, _) = first, second
    assert (a < b) == (b > a)
    assert (a <= b) == (not a > b)


@given(sizes(), st.integers(1, 7))
def test_division_with_remainder(pair: Any, divisor: int) -> None:
    size, _ = pair
    quotient, remainder = divmod(size, divisor)
    assert quotient * divisor + remainder == size


def test_what_cancels_is_a_number() -> None:
    assert N - N == 0
    assert type(N - N) is int
    assert (2 * N + 7) // 2 == N + 3
    assert N * M * 6 // (N * 2) == 3 * M
    assert (N + 1) * (N - 1) // (N - 1) == N + 1
    assert N // 2 // 3 == N // 6
    assert N % 1 == 0
    assert np.int64(3) * N == N * 3
    assert isinstance(N + np.int64(1), SymbolicSize)


def test_comparisons_of_what_is_not_known() -> None:
    for other in (3, M):
        assert [compare(N, other) for compare in (operator.eq, operator.ne)] == [False, False]
    assert N != N + 1
    assert N != 0
    assert N != "n"
    assert N > 10**6
    assert N >= M
    assert not N < M
    assert N * M > 7 * N
    assert bool(N)
    assert not N % 4
    assert minimum(N, N + 2) == N
    assert minimum(N, 5) != minimum(N, 5) + 1


def test_division_by_zero() -> None:
    with pytest.raises(ZeroDivisionError):
        N // 0


def test_shapes() -> None:
    assert same_shape((N, 3), (5, 3))
    assert not same_shape((N, 3), (5, 4))
    assert not same_shape((N, N), (N, N + 1))
    assert not same_shape((N,), (N, 1))
    assert merged_shape((N, 3, M), (5, 3, N)) == (5, 3, M)
    assert known_or_none((N, 3)) == (None, 3)


def test_assumptions_are_noted() -> None:
    with noted_assumptions() as pairs:
        assert same_size(N, N)
        assert same_size(N, 4)
        assert not same_size(N, N + 4)
    assert pairs == [(N, 4)]


def test_text() -> None:
    assert str(N) == repr(N) == f"{N:>4}".strip() == "None"
    assert text_of(N * 2 - 1) == f"2*{NAME_N} - 1"
    assert text_of((N + 3) // 2 * M) == f"{NAME_M} + (({NAME_N} + 1)//2)*{NAME_M}"
    assert text_of(minimum(N, 5)) == f"min(5, {NAME_N})"


@pytest.mark.parametrize("use", [range, int, float, np.asarray, lambda n: [0] * n])
def test_python_code_cannot_use_them_as_numbers(use: Any) -> None:
    with pytest.raises(TypeError, match="unknown"):
        use(N)


def test_tensors_of_sizes() -> None:
    x = Input((None, 3))
    for y in (ops.mean(x, axis=1), x / ops.shape(x)[2], ops.sum(x) / ops.size(x)):
        assert y.dtype == "float32"
