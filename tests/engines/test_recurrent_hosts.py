"""Kernels that engines run for recurrent composites, against the bodies of the composites."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from hornbeam.engines import Engine, get_engine
from hornbeam.ir.autodiff import outputs_of
from hornbeam.ir.graph import Graph
from hornbeam.ir.node import placeholder
from hornbeam.ir.types import TensorType
from hornbeam.primitives import recurrent
from tests.helpers.installed import engine_or_skip

BATCH, STEPS, UNITS = 3, 5, 2
FLAGS = list(itertools.product((False, True), (False, True)))


@pytest.fixture(scope="module", params=("jax", "torch", "tensorflow", "mlx"))
def host(request: pytest.FixtureRequest) -> Engine:
    return engine_or_skip(request.param)


def shapes(name: str, every: bool) -> list[tuple[int, ...]]:
    """Of the operands but for the mask; `every`: with gradients of the outputs of all steps."""
    state, sequence, gates = (BATCH, UNITS), (BATCH, STEPS, UNITS), (BATCH, STEPS, 4 * UNITS)
    if name == "lstm":
        return [gates, (UNITS, 4 * UNITS), state, state]
    return [(UNITS, 4 * UNITS), state, sequence, gates, state, state, *([sequence] if every else [])]


def results(engine: Engine, name: str, arrays: list[np.ndarray], params: dict[str, Any]) -> list[np.ndarray]:
    inputs = [placeholder(TensorType(x.shape, x.dtype.name), i) for i, x in enumerate(arrays)]
    graph = Graph(inputs, outputs_of(getattr(recurrent, name)(*inputs, **params)))
    buffers = engine.executable(graph).run([engine.put(x.copy()) for x in arrays])
    return [np.asarray(engine.get(x)) for x in buffers]


@pytest.mark.parametrize(("reverse", "masked"), FLAGS)
@pytest.mark.parametrize(("name", "every"), [("lstm", False), ("lstm_grad", False), ("lstm_grad", True)])
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
def test_agrees_with_the_body(
    host: Engine, name: str, every: bool, reverse: bool, masked: bool, dtype: str, rng: np.random.Generator
) -> None:
    arrays = [rng.uniform(-0.9, 0.9, shape).astype(dtype) for shape in shapes(name, every)]
    if masked:
        arrays.append(rng.random((BATCH, STEPS)) < 0.6)
    params = {"reverse": reverse, "masked": masked}
    expected = results(get_engine("reference"), name, arrays, params)
    limit = {"float64": 1e-13, "float32": 2e-6, "float16": 8e-3}[dtype]
    for mine, other in zip(expected, results(host, name, arrays, params), strict=True):
        assert other.dtype == mine.dtype
        np.testing.assert_allclose(other, mine, atol=limit, rtol=limit)
