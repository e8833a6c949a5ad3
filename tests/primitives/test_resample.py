"""Weighted sums along an axis: derivatives, and the kernel against the body."""

from __future__ import annotations

import numpy as np
import pytest

from hornbeam import ops
from hornbeam import primitives as p
from hornbeam.core.jit import trace_function
from hornbeam.engines.native import NativeEngine
from hornbeam.engines.reference import ReferenceEngine
from hornbeam.ir.autodiff import gradients
from hornbeam.ir.node import Node
from hornbeam.ir.trace import trace_body
from hornbeam.ir.types import TensorType, dtype_name
from tests.helpers.gradcheck import check_gradients


def test_derivatives(rng: np.random.Generator) -> None:
    arrays = [rng.normal(size=shape) for shape in ((2, 3, 4), (5, 3))]
    check_gradients(lambda x, weights: [p.resample(x, weights, axis=1)], arrays)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_kernel_agrees_with_the_body(rng: np.random.Generator, dtype: str, axis: int) -> None:
    x = rng.normal(size=(5, 6, 7)).astype(dtype)
    weights = rng.normal(size=(9, x.shape[axis])).astype(dtype) * (rng.random((9, x.shape[axis])) < 0.4)
    arrays = [x, weights.astype(dtype)]

    def fn(x: Node, weights: Node) -> list[Node]:
        y = p.resample(x, weights, axis=axis)
        return [y, *(ct for ct in gradients([y], [p.sin(y)], [x, weights]) if ct is not None)]

    graph = trace_body(fn, [TensorType(a.shape, dtype_name(a.dtype)) for a in arrays])[0]
    native = NativeEngine()
    executable = native.compile(graph)
    assert executable.text.count("resample") == 2
    actual = [native.get(y) for y in executable.run([native.put(a) for a in arrays])]
    for got, want in zip(actual, ReferenceEngine().compile(graph).run(arrays), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


def test_interpolation_takes_the_kernel() -> None:
    images = ops.ones((2, 16, 16, 3))
    graph = trace_function(lambda x: ops.image.resize(x, (24, 20)), [images]).graph
    text = NativeEngine().compile(graph).text
    assert text.count("resample") == 2
    assert "dot_general" not in text
