"""Generated: the native engine against the reference, for every primitive, sample and dtype."""

from __future__ import annotations

import pytest
from engine_cases import (
    DECOMPOSITIONS,
    ELEMENTWISE,
    SUMS,
    compare,
    sample_errors,
    sweep_operands,
    sweepable,
)
from primitive_cases import CASES, NAMES

from hornbeam.engines import Engine, get_engine
from hornbeam.ir.types import FLOATS

# Largest error in units of the last place. What moves, compares or rounds once is exact: half a unit at most.
TRANSCENDENTAL = {
    "acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "cos", "cosh", "erf", "exp", "expm1", "log",
    "log1p", "logistic", "pow", "rsqrt", "sin", "sinh", "tan", "tanh",
}  # fmt: skip
RARE = {"digamma", "erf_inv", "lgamma"}
EXACT = 0.5
LIMITS: dict[str, float] = {
    **dict.fromkeys(TRANSCENDENTAL, 4.0),
    **dict.fromkeys(RARE, 32.0),
    **dict.fromkeys(SUMS, 4.0),
    **dict.fromkeys(DECOMPOSITIONS, 64.0),
    **dict.fromkeys(("cholesky", "lu", "triangular_solve"), 64.0),
    **dict.fromkeys(("cumprod", "reduce_prod", "scatter"), 8.0),
}


@pytest.fixture(scope="module")
def native() -> Engine:
    return get_engine("native")


@pytest.mark.parametrize(("name", "index"), CASES)
def test_native_agrees_with_the_reference(native: Engine, name: str, index: int) -> None:
    for dtype, error in sample_errors(native, name, index).items():
        assert error.strays == 0, f"{name} {dtype}: {error}"
        assert error.ulp <= LIMITS.get(name, EXACT), f"{name} {dtype}: {error}"


@pytest.mark.slow
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", [name for name in ELEMENTWISE if sweepable(name)])
def test_native_agrees_on_all_of_the_dtype(native: Engine, name: str, dtype: str) -> None:
    error = compare(native, name, sweep_operands(name, dtype), {})
    assert error.strays == 0, f"{name} {dtype}: {error}"
    assert error.ulp <= LIMITS.get(name, EXACT), f"{name} {dtype}: {error}"


def test_the_limits_name_primitives() -> None:
    assert set(LIMITS) <= set(NAMES)
