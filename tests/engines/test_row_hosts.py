"""Composites over rows as engines compute them, forward and backward, beside the composites' bodies."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

import hornbeam.primitives as p
from hornbeam.engines import Engine, get_engine
from hornbeam.ir.autodiff import gradients
from hornbeam.ir.graph import Graph
from hornbeam.ir.node import Node, placeholder
from hornbeam.ir.types import TensorType
from tests.helpers.installed import engine_or_skip

LIMITS = {"float64": 1e-13, "float32": 3e-6, "float16": 6e-3, "bfloat16": 5e-2}
ROWS: dict[str, tuple[list[tuple[int, ...]], dict[str, Any]]] = {
    "softmax": ([(3, 4, 6)], {}),
    "log_softmax": ([(3, 4, 6)], {}),
    "logsumexp": ([(3, 4, 6)], {}),
    "gelu": ([(3, 7)], {"approximate": False}),
    "gelu tanh": ([(3, 7)], {"approximate": True}),
    "silu": ([(3, 7)], {}),
    "layer_norm": ([(3, 4, 6), (6,), (6,)], {"epsilon": 1e-3}),
    "softmax of one": ([(5, 1)], {}),
    "softmax of none": ([(0, 4)], {}),
}


@pytest.fixture(scope="module", params=("jax", "torch", "tensorflow", "mlx"))
def host(request: pytest.FixtureRequest) -> Engine:
    return engine_or_skip(request.param)


def results(engine: Engine, row: str, arrays: list[np.ndarray], ct: bool) -> list[np.ndarray]:
    """The composite's value and, with a cotangent as the last array, its gradients."""
    inputs = [placeholder(TensorType(x.shape, x.dtype.name), i) for i, x in enumerate(arrays)]
    result: list[Node] = inputs[:-1] if ct else inputs
    out = getattr(p, row.split()[0])(*result, **ROWS[row][1])
    graph = Graph(inputs, [out, *(gradients([out], [inputs[-1]], result) if ct else [])])
    buffers = engine.executable(graph).run([engine.put(x.copy()) for x in arrays])
    return [np.asarray(engine.get(x)) for x in buffers]


def operands(row: str, dtype: str, draw: np.random.Generator) -> list[np.ndarray]:
    kind = np.dtype(getattr(ml_dtypes, dtype, None) or dtype)
    shapes = [*ROWS[row][0]]
    shapes.append(shapes[0][:-1] if row == "logsumexp" else shapes[0])
    return [draw.normal(size=shape).astype(kind) for shape in shapes]


@pytest.mark.parametrize("dtype", LIMITS)
@pytest.mark.parametrize("row", ROWS)
def test_agrees_with_the_body(host: Engine, row: str, dtype: str, rng: np.random.Generator) -> None:
    arrays = operands(row, dtype, rng)
    wide = [x.astype("float64") for x in arrays]
    expected = results(get_engine("reference"), row, wide, True)
    for exact, actual in zip(expected, results(host, row, arrays, True), strict=True):
        assert actual.dtype == arrays[0].dtype
        np.testing.assert_allclose(actual.astype("float64"), exact, atol=LIMITS[dtype], rtol=LIMITS[dtype])


@pytest.mark.parametrize("row", ["softmax", "log_softmax", "logsumexp"])
def test_rows_with_numbers_that_are_not_finite(host: Engine, row: str) -> None:
    x = np.array([[1, -np.inf, 2], [np.nan, 1, 2], [-np.inf, 0, -np.inf], [500, 800, -800]], "float32")
    expected = results(get_engine("reference"), row, [x], False)
    for mine, actual in zip(expected, results(host, row, [x], False), strict=True):
        np.testing.assert_allclose(actual, mine, rtol=1e-6)
