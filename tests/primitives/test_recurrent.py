"""Recurrent composites: derivatives to the second order, and kernels against bodies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from hornbeam import _native
from hornbeam import primitives as p
from hornbeam.engines.native import NativeEngine
from hornbeam.engines.reference import ReferenceEngine
from hornbeam.ir.autodiff import gradients, outputs_of
from hornbeam.ir.node import Node
from hornbeam.ir.trace import trace_body
from hornbeam.ir.types import TensorType, dtype_name
from tests.helpers.gradcheck import check_gradients

RESULTS = {"lstm": 3, "gru": 2}
WAYS = [(False, False), (True, False), (False, True), (True, True)]


def operands(
    rng: np.random.Generator,
    name: str,
    batch: int,
    steps: int,
    units: int,
    masked: bool,
    dtype: str = "float64",
) -> list[np.ndarray]:
    wide = {"lstm": 4, "gru": 3}[name] * units
    fourth = (wide,) if name == "gru" else (batch, units)
    shapes = [(batch, steps, wide), (units, wide), fourth, (batch, units)]
    arrays = [rng.normal(size=shape).astype(dtype) * (0.3 if len(shape) == 2 else 1) for shape in shapes]
    return [*arrays, rng.random((batch, steps)) < 0.6] if masked else arrays


@pytest.mark.parametrize("name", RESULTS)
@pytest.mark.parametrize(("reverse", "masked"), WAYS)
def test_derivatives(rng: np.random.Generator, name: str, reverse: bool, masked: bool) -> None:
    def results(*nodes: Node) -> Sequence[Node]:
        return outputs_of(getattr(p, name)(*nodes, reverse=reverse, masked=masked))[: RESULTS[name]]

    check_gradients(results, operands(rng, name, 2, 3, 2, masked))


@pytest.mark.parametrize("name", RESULTS)
def test_derivatives_of_what_was_kept(rng: np.random.Generator, name: str) -> None:
    def everything(*nodes: Node) -> Sequence[Node]:
        return outputs_of(getattr(p, name)(*nodes, reverse=False, masked=False))

    check_gradients(everything, operands(rng, name, 2, 3, 2, False), order=1)


def step_and_back(name: str, every: bool, **params: bool) -> Any:
    """All results, and the gradients of all operands."""

    def fn(*nodes: Node) -> list[Node]:
        results = outputs_of(getattr(p, name)(*nodes, **params))[: RESULTS[name]]
        seen = results if every else results[1:]
        wrt = [node for node in nodes if node.dtype != "bool"]
        result = gradients(seen, [p.sin(x) for x in seen], wrt)
        return [*results, *(ct for ct in result if ct is not None)]

    return fn


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", RESULTS)
@pytest.mark.parametrize(("reverse", "masked"), WAYS)
def test_kernels_agree_with_bodies(
    rng: np.random.Generator, name: str, reverse: bool, masked: bool, dtype: str
) -> None:
    for batch, steps, units in [(1, 1, 5), (3, 4, 16), (17, 3, 20), (33, 5, 7)]:
        for every in (True, False):
            arrays = operands(rng, name, batch, steps, units, masked, dtype)
            types = [TensorType(a.shape, dtype_name(a.dtype)) for a in arrays]
            fn = step_and_back(name, every, reverse=reverse, masked=masked)
            graph = trace_body(fn, types)[0]
            native, reference = NativeEngine(), ReferenceEngine()
            executable = native.compile(graph)
            text = executable.text
            assert f"{name} {batch}x{steps}x{units}" in text
            assert f"{name}_grad {batch}x{steps}x{units}" in text
            assert "scan" not in text
            actual = [native.get(x) for x in executable.run([native.put(a) for a in arrays])]
            expected = reference.compile(graph).run(arrays)
            for got, want in zip(actual, expected, strict=True):
                tolerance = 5e-5 if dtype == "float32" else 1e-11
                np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", RESULTS)
def test_half_precision_goes_through_the_body(rng: np.random.Generator, name: str) -> None:
    arrays = operands(rng, name, 2, 3, 4, False, "float16")
    types = [TensorType(a.shape, dtype_name(a.dtype)) for a in arrays]
    graph = trace_body(step_and_back(name, True, reverse=False, masked=False), types)[0]
    native, reference = NativeEngine(), ReferenceEngine()
    actual = [native.get(x) for x in native.compile(graph).run([native.put(a) for a in arrays])]
    for got, want in zip(actual, reference.compile(graph).run(arrays), strict=True):
        np.testing.assert_allclose(got.astype("float64"), want.astype("float64"), rtol=2e-2, atol=2e-2)


@pytest.mark.parametrize("name", RESULTS)
def test_the_same_bits_on_any_number_of_threads(rng: np.random.Generator, name: str) -> None:
    arrays = operands(rng, name, 33, 6, 20, True, "float32")
    types = [TensorType(a.shape, dtype_name(a.dtype)) for a in arrays]
    graph = trace_body(step_and_back(name, True, reverse=False, masked=True), types)[0]
    native = NativeEngine()
    executable = native.compile(graph)
    before = _native.threads()
    try:
        runs = []
        for threads in (1, 2, 3, 8):
            _native.set_threads(threads)
            runs.append([native.get(x).tobytes() for x in executable.run([native.put(a) for a in arrays])])
    finally:
        _native.set_threads(before)
    assert all(run == runs[0] for run in runs)
