"""Generated: every primitive that takes complex numbers, and its derivative, on every engine."""

from __future__ import annotations

import numpy as np
import pytest

from hornbeam.engines import Engine
from hornbeam.ir.autodiff import gradients
from hornbeam.ir.complex_pairs import pack_array, unpack_array
from hornbeam.ir.graph import Graph
from hornbeam.ir.interpret import reference
from hornbeam.ir.node import Node
from hornbeam.ir.primitive import zeros_like
from hornbeam.ir.trace import trace_body
from hornbeam.ir.types import COMPLEX, TensorType, dtype_name, is_inexact
from hornbeam.ir.verify import verify
from tests.helpers.complex_cases import NAMES, Case, complex_cases
from tests.helpers.installed import engine_or_skip

ENGINES = ("native", "reference", "jax", "torch", "tensorflow", "onnxruntime", "pytensor", "mlx")
LACKS = {"onnxruntime": {"eigh", "svd"}}
ROUGH = {"bfloat16": 1e-2, "float16": 1e-3, "float32": 1e-4, "complex64": 1e-4}


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Engine:
    return engine_or_skip(request.param)


def numbers(case: Case) -> list[int]:
    """The operands that have derivatives."""
    return [i for i, array in enumerate(case.arrays) if is_inexact(dtype_name(array.dtype))]


def with_derivative(case: Case) -> tuple[Graph, list[np.ndarray], int]:
    """Return a graph of results and of their derivative in a random direction, its arguments, and the number
    of results.
    """
    count = len(case.arrays)
    forward, captured = trace_body(
        case.apply, [TensorType(a.shape, dtype_name(a.dtype)) for a in case.arrays]
    )
    assert not reference(Graph((), captured), []) or captured
    rng = np.random.default_rng(1)
    inexact = [i for i, type in enumerate(forward.out_types) if is_inexact(type.dtype)]
    weights = []
    for i in inexact if case.derivative else ():
        type = forward.out_types[i]
        weight = rng.normal(size=type.shape) + 1j * rng.normal(size=type.shape)
        weights.append((weight if type.dtype in COMPLEX else weight.real).astype(type.dtype))

    def both(*args: Node) -> list[Node]:
        outputs = list(case.apply(*args[:count]))
        targets = [args[i] for i in numbers(case)] if weights else []
        results = gradients([outputs[i] for i in inexact], args[count:], targets) if weights else []
        return outputs + [zeros_like(x) if ct is None else ct for ct, x in zip(results, targets, strict=True)]

    arguments = [*case.arrays, *weights]
    graph, captured = trace_body(both, [TensorType(a.shape, dtype_name(a.dtype)) for a in arguments])
    constants = reference(Graph((), captured), [])
    return verify(graph), [*arguments, *constants], len(forward.outputs)


def run(engine: Engine, graph: Graph, arguments: list[np.ndarray]) -> list[np.ndarray]:
    buffers = [engine.put(pack_array(np.array(a))) for a in arguments]
    results = engine.executable(graph).run(buffers)
    return [
        unpack_array(np.asarray(engine.get(x)), type.dtype)
        for x, type in zip(results, graph.out_types, strict=True)
    ]


def rebuilt(name: str, outputs: list[np.ndarray]) -> list[np.ndarray]:
    """Return what does not depend on the phases of vectors."""
    if name == "eigh":
        w, v = outputs
        return [w, (v * w[..., None, :]) @ v.conj().swapaxes(-1, -2)]
    if name == "svd":
        u, s, vh = outputs
        return [s, (u * s[..., None, :]) @ vh]
    return outputs


# Libraries compile every case, which takes them up to a second: a sample of them here, all in the slow sweep.
@pytest.mark.parametrize("name", NAMES)
def test_agrees_with_numpy(engine: Engine, name: str) -> None:
    if engine.name in ("native", "reference"):
        check(engine, name, [case for dtype in COMPLEX for case in complex_cases(name, dtype)])
    else:
        check(engine, name, complex_cases(name, "complex64")[:1])


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_agrees_in_every_case(engine: Engine, name: str) -> None:
    check(engine, name, [case for dtype in COMPLEX for case in complex_cases(name, dtype)])


def check(engine: Engine, name: str, cases: list[Case]) -> None:
    assert cases
    for index, case in enumerate(cases):
        graph, arguments, _ = with_derivative(case)
        if engine.name == "torch" and any(a.dtype == np.uint64 for a in arguments):
            continue  # which PyTorch does not compute with
        if name in LACKS.get(engine.name, ()):
            if not any(a.size == 0 or a.shape[-1] == 1 for a in arguments):
                with pytest.raises(NotImplementedError, match=f"the {engine.name} engine .*{name}"):
                    run(engine, graph, arguments)
            continue
        expected = rebuilt(name, reference(graph, arguments))
        results = rebuilt(name, run(engine, graph, arguments))
        for mine, theirs in zip(results, expected, strict=True):
            dtype = dtype_name(theirs.dtype)
            message = f"{name}, case {index}: {[str(dtype_name(a.dtype)) + str(a.shape) for a in arguments]}"
            assert (dtype_name(mine.dtype), mine.shape) == (dtype, theirs.shape), message
            close = ROUGH.get(dtype, 1e-10) if is_inexact(dtype) else 0
            largest = float(np.abs(theirs).max(initial=1.0)) if close else 1.0
            np.testing.assert_allclose(
                np.asarray(mine).astype("complex128"),
                np.asarray(theirs).astype("complex128"),
                rtol=close,
                atol=close * largest,
                err_msg=message,
            )


def total(results: list[np.ndarray], weights: list[np.ndarray], count: int) -> float:
    """Real part of the weighted sum of the first `count` results that have derivatives."""
    outputs = [out for out in results[:count] if is_inexact(dtype_name(out.dtype))]
    return sum(float(np.sum(w * out).real) for w, out in zip(weights, outputs, strict=False))


@pytest.mark.parametrize("name", NAMES)
def test_derivatives_agree_with_differences(name: str) -> None:
    """L = Re sum(weights * outputs) changes by Re sum(cotangents * changes of operands)."""
    for index, case in enumerate(complex_cases(name, "complex128")):
        if not case.derivative or not numbers(case):
            continue
        graph, arguments, count = with_derivative(case)
        rng = np.random.default_rng(2)
        direction = {}
        for i in numbers(case):
            step = rng.normal(size=arguments[i].shape) + 1j * rng.normal(size=arguments[i].shape)
            direction[i] = step if arguments[i].dtype.kind == "c" else step.real
            if name == "cholesky":
                direction[i] = step + step.conj().swapaxes(-1, -2)

        cotangents = reference(graph, arguments)[count:]
        exact = sum(
            float(np.sum(ct * direction[i]).real) for ct, i in zip(cotangents, numbers(case), strict=True)
        )
        weights = arguments[len(case.arrays) :]
        up, down = (
            total(
                reference(
                    graph, [a + h * direction[i] if i in direction else a for i, a in enumerate(arguments)]
                ),
                weights,
                count,
            )
            for h in (1e-6, -1e-6)
        )
        numeric = (up - down) / 2e-6
        scale = 1 + max((float(np.abs(ct).max(initial=0)) for ct in cotangents), default=0.0)
        assert abs(exact - numeric) < 1e-6 * scale, f"{name}, case {index}: {exact}, differences {numeric}"
