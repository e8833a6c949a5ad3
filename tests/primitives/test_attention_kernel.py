"""Attention: derivatives to the second order, and the kernel against the body."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from hornbeam import ops
from hornbeam import primitives as p
from hornbeam.core.jit import trace_function
from hornbeam.core.tensor import Tensor
from hornbeam.engines.native import NativeEngine
from hornbeam.engines.reference import ReferenceEngine
from hornbeam.ir.autodiff import gradients, outputs_of
from hornbeam.ir.node import Node
from hornbeam.ir.trace import trace_body
from hornbeam.ir.types import TensorType, dtype_name, numpy_dtype
from tests.helpers.gradcheck import check_gradients

KEY = np.array([11, 3], "uint32")


def operands(
    rng: np.random.Generator,
    batch: int,
    heads: int,
    queries: int,
    keys: int,
    depth: int,
    dtype: str,
    group: int = 1,
) -> list[np.ndarray]:
    """q, k, v and a bias for the heads, whose batches are all alike; `group` heads share k and v."""
    shared = heads // group
    shapes = [(batch, queries, heads, depth), (batch, keys, shared, depth), (batch, keys, shared, depth + 2)]
    return [rng.normal(size=shape).astype(dtype) for shape in (*shapes, (heads, queries, keys))]


def spread(q: Node, k: Node, v: Node, *bias: Node) -> list[Node]:
    shape = (q.shape[0], q.shape[2], q.shape[1], k.shape[1])
    return [q, k, v, *(p.broadcast(b, shape, (1, 2, 3)) for b in bias)]


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize(("causal", "rate"), [(False, 0.0), (True, 0.0), (True, 0.4)])
def test_derivatives(rng: np.random.Generator, biased: bool, causal: bool, rate: float) -> None:
    def attend(*nodes: Node) -> Sequence[Node]:
        key = [p.constant(KEY, "uint32")] if rate else []
        return outputs_of(p.attention(*spread(*nodes), *key, scale=0.7, causal=causal, rate=rate))[:1]

    check_gradients(attend, operands(rng, 2, 2, 3, 4, 2, "float64")[: 3 + biased])


def test_derivatives_of_what_was_kept(rng: np.random.Generator) -> None:
    def totals(*nodes: Node) -> list[Node]:
        out, peaks, totals = outputs_of(p.attention(*nodes, scale=0.7, causal=False, rate=0.0))
        return [out, p.log(totals) + peaks]

    q, k, v, _ = operands(rng, 1, 2, 3, 4, 2, "float64")
    # The largest score counts as a constant, so only the sum of both has a derivative of meaning.
    graph = trace_body(lambda *n: [totals(*n)[1]], [TensorType(a.shape, "float64") for a in (q, k, v)])[0]
    scores = np.einsum("bthd,bshd->bhts", q, k) * 0.7
    result = ReferenceEngine().compile(graph).run([q, k, v])[0]
    np.testing.assert_allclose(result, np.log(np.exp(scores).sum(-1)), rtol=1e-12)


def step_and_back(biased: bool, learned: bool, causal: bool, rate: float) -> Any:
    def fn(*nodes: Node) -> list[Node]:
        inner = [*spread(*nodes[: 3 + biased]), *nodes[3 + biased :]]
        out = p.project(p.attention(*inner, scale=0.3, causal=causal, rate=rate), 0)
        result = gradients([out], [p.sin(out)], nodes[: 3 + learned])
        return [out, *(ct for ct in result if ct is not None)]

    return fn


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("biased", "learned"), [(False, False), (True, False), (True, True)])
@pytest.mark.parametrize(("causal", "rate"), [(False, 0.0), (True, 0.0), (False, 0.2), (True, 0.6)])
def test_the_kernel_agrees_with_the_body(
    rng: np.random.Generator, biased: bool, learned: bool, causal: bool, rate: float, dtype: str
) -> None:
    for group, extents in [
        (1, (1, 1, 1, 1, 3)),
        (1, (2, 3, 9, 17, 16)),
        (1, (1, 2, 70, 600, 8)),
        (2, (2, 4, 60, 20, 8)),
        (3, (2, 3, 1, 90, 5)),
    ]:
        arrays = [*operands(rng, *extents, dtype, group)[: 3 + biased], *([KEY] if rate else [])]
        types = [TensorType(a.shape, dtype_name(a.dtype)) for a in arrays]
        graph = trace_body(step_and_back(biased, learned, causal, rate), types)[0]
        native = NativeEngine()
        executable = native.compile(graph)
        size = "x".join(map(str, extents[:4]))
        assert f"attention {size}" in executable.text
        assert f"attention_grad {size}" in executable.text
        assert "dot_general" not in executable.text
        assert "copy" not in executable.text, "a bias is read as it lies"
        actual = [native.get(x) for x in executable.run([native.put(a) for a in arrays])]
        expected = ReferenceEngine().compile(graph).run(arrays)
        for got, want in zip(actual, expected, strict=True):
            tolerance = 3e-5 if dtype == "float32" else 1e-12
            np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("queries", [1, 3, 70])
def test_operands_of_16_bits_are_read_as_they_lie(rng: np.random.Generator, queries: int, dtype: str) -> None:
    def body(q: Node, k: Node, v: Node, ct: Node) -> list[Node]:
        wide = (p.convert(x, "float32") for x in (q, k, v))
        out = p.convert(p.project(p.attention(*wide, scale=0.3, causal=False, rate=0.0), 0), dtype)
        return [out, *gradients([out], [ct], (q, k, v))]

    def numbers(*shape: int) -> Any:
        return rng.normal(size=shape).astype(numpy_dtype(dtype))

    q, k, v = numbers(2, queries, 4, 8), numbers(2, 50, 2, 8), numbers(2, 50, 2, 8)
    arrays = [q, k, v, numbers(2, queries, 4, 8)]
    graph = trace_body(body, [TensorType(a.shape, dtype) for a in arrays])[0]
    native = NativeEngine()
    executable = native.compile(graph)
    assert "attention_grad" in executable.text
    assert "convert" not in executable.text
    actual = [native.get(x) for x in executable.run([native.put(a) for a in arrays])]
    expected = ReferenceEngine().compile(graph).run(arrays)
    for got, want in zip(actual, expected, strict=True):
        assert got.dtype == want.dtype
        np.testing.assert_allclose(got.astype("float32"), want.astype("float32"), rtol=2e-2, atol=2e-2)


def test_masks_are_not_spread_out(rng: np.random.Generator) -> None:
    q, k, v, _ = (a.astype("float32") for a in operands(rng, 3, 2, 20, 30, 8, "float32"))
    mask = rng.random((3, 1, 1, 30)) < 0.5

    def fn(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
        return ops.dot_product_attention(q, k, v, mask=mask, is_causal=True)

    arrays = [ops.array(a) for a in (q, k, v, mask)]
    text = NativeEngine().compile(trace_function(fn, arrays).graph).text
    assert "fused 1800 " in text, "one bias for all heads"
    assert "copy" not in text
    actual = fn(*arrays).numpy()
    scores = np.einsum("bthd,bshd->bhts", q, k) / np.sqrt(8)
    seen = mask & (np.arange(20)[:, None] >= np.arange(30))
    # A query that may look at nothing is left out: what it gets has no meaning.
    any_key = seen.any(-1)
    weights = np.where(seen, np.exp(scores), 0)
    weights = weights / np.maximum(weights.sum(-1, keepdims=True), 1e-30)
    want = np.einsum("bhts,bshd->bthd", weights, v)
    rows = np.broadcast_to(any_key, (3, 2, 20)).transpose(0, 2, 1)
    np.testing.assert_allclose(actual[rows], want[rows], rtol=2e-5, atol=2e-5)


def test_a_causal_mask_is_not_in_memory(rng: np.random.Generator) -> None:
    q, k, v, _ = (a.astype("float32") for a in operands(rng, 2, 2, 70, 70, 8, "float32"))

    def fn(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return ops.dot_product_attention(q, k, v, is_causal=True)

    arrays = [ops.array(a) for a in (q, k, v)]
    text = NativeEngine().compile(trace_function(fn, arrays).graph).text
    assert "fused" not in text
    past = np.tril(np.ones((70, 70), bool))
    want = ops.dot_product_attention(q, k, v, mask=past)
    np.testing.assert_allclose(fn(*arrays), want, rtol=1e-5, atol=1e-6)
