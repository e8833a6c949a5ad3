"""Generated: the native engine against the reference, for every primitive, sample and dtype."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hornbeam.engines import Engine, get_engine
from hornbeam.ir.primitive import PRIMITIVES
from hornbeam.ir.types import FLOATS, Shape
from tests.helpers.engine_cases import (
    ELEMENTWISE,
    compare,
    sample_errors,
    sweep_operands,
    sweepable,
)
from tests.helpers.native_cases import CONVOLUTIONS, EXACT, LARGE, LIMITS, convolution_limit
from tests.helpers.primitive_cases import CASES, NAMES, floats_of, random_array


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


@pytest.mark.slow
@pytest.mark.parametrize(("name", "shapes", "params"), LARGE)
def test_native_agrees_on_large_operands(
    native: Engine, name: str, shapes: tuple[Shape, ...], params: dict[str, Any]
) -> None:
    for dtype in floats_of(PRIMITIVES[name]):
        rng = np.random.default_rng(0)
        error = compare(native, name, [random_array(rng, shape, dtype, (-1, 1)) for shape in shapes], params)
        limit = convolution_limit(dtype, shapes[1], params) if name == "conv" else LIMITS.get(name, EXACT)
        assert error.strays == 0, f"{name} {dtype}: {error}"
        assert error.ulp <= limit, f"{name} {dtype}: {error}"


@pytest.mark.slow
@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_native_convolution_gradients_on_large_operands(native: Engine, case: tuple) -> None:
    x_shape, w_shape, window = case
    for dtype in FLOATS:
        rng = np.random.default_rng(0)
        x, w = (random_array(rng, shape, dtype, (-1, 1)) for shape in (x_shape, w_shape))
        dy = PRIMITIVES["conv"].reference(x, w, **window)
        calls: list[tuple[str, list[np.ndarray], dict[str, Any]]] = [
            ("conv_input_grad", [dy, w], {"input_shape": x_shape, **window}),
            ("conv_kernel_grad", [x, dy], {"kernel_shape": w_shape, **window}),
        ]
        for name, arrays, params in calls:
            error = compare(native, name, arrays, params)
            assert error.strays == 0, f"{name} {dtype}: {error}"
            assert error.ulp <= convolution_limit(dtype, w_shape, window), f"{name} {dtype}: {error}"


def test_the_limits_name_primitives() -> None:
    assert set(LIMITS) <= set(NAMES)
