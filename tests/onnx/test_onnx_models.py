"""The ONNX models that graphs become: valid by ONNX's own checker, small, and exact where it matters."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import numpy as np
import pytest

import hornbeam
from hornbeam import config, layers
from hornbeam import primitives as p
from hornbeam._internal.extras import install_command
from hornbeam.engines import Engine, get_engine
from hornbeam.ir.graph import Graph
from hornbeam.ir.node import Node, placeholder
from hornbeam.ir.trace import trace_body
from hornbeam.ir.types import TensorType

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def engine() -> Engine:
    return get_engine("onnxruntime")


@pytest.fixture
def on_it() -> Any:
    yield config.set_engine("onnxruntime")
    config.set_engine("native")


def traced(fn: Any, *types: TensorType) -> Graph:
    return trace_body(fn, types)[0]


def onnx_model(graph: Graph) -> Any:
    from hornbeam.onnx.emitter.emit import Emitter
    from hornbeam.onnx.emitter.table import MAKERS, TABLE

    return Emitter(TABLE, MAKERS).model(graph)


def operators(result: Any) -> Counter[str]:
    return Counter(node.op_type for node in result.graph.node)


def run(engine: Engine, graph: Graph, *arrays: np.ndarray) -> list[np.ndarray]:
    buffers = engine.executable(graph).run([engine.put(a) for a in arrays])
    return [engine.get(buffer) for buffer in buffers]


MATRIX = TensorType((3, 4), "float32")


def test_models_pass_the_checker_with_loops_and_branches() -> None:
    def body(x: Node) -> list[Node]:
        _, (sums,) = p.control.scan(
            lambda c, xs: ([c[0] + xs[0]], [c[0]]), [p.reduce.reduce_sum(x, (0,))], [x], length=3
        )
        total = p.reduce.reduce_sum(sums, (0, 1))
        positive = p.elementwise.gt(total, 0.0)
        (chosen,) = p.control.cond(positive, lambda x: [x], lambda x: [-x], x)
        (grown,) = p.control.while_loop(lambda t: p.elementwise.lt(t, 9.0), lambda t: [t + 1.0], total)
        return [chosen, grown]

    result = onnx_model(traced(body, MATRIX))
    onnx.checker.check_model(result, full_check=True)
    assert {"Scan", "If", "Loop"} <= set(operators(result))


def test_equal_nodes_are_written_once_and_repeated_values_not_expanded() -> None:
    def body(x: Node) -> list[Node]:
        scale = p.shape.broadcast(p.reduce.reduce_sum(x, (1,)), x.shape, (0,))
        return [p.elementwise.exp(x * scale) + 1.0, p.elementwise.exp(x * scale) - 1.0]

    result = operators(onnx_model(traced(body, MATRIX)))
    assert result["Exp"] == result["ReduceSum"] == 1
    assert not result["Expand"]


def test_select_keeps_nothing_of_what_it_leaves_out(engine: Engine) -> None:
    odd = np.array([np.nan, np.inf, -np.inf, -0.0, 3e38, 1e-45], np.float32)
    condition = np.array([True, False, True, False, True, False])
    types = [TensorType((6,), "bool"), *[TensorType((6,), "float32")] * 2]
    graph = traced(lambda c, x, y: [p.elementwise.select(c, x, y), p.elementwise.select(c, x, 0.0)], *types)
    actual = run(engine, graph, condition, odd, odd[::-1].copy())
    for mine, expected in zip(
        actual, (np.where(condition, odd, odd[::-1]), np.where(condition, odd, 0)), strict=True
    ):
        np.testing.assert_array_equal(mine.view(np.int32), expected.astype(np.float32).view(np.int32))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_every_operation_on_halves_is_rounded(engine: Engine, dtype: str) -> None:
    """(x + y) - y: a wider dtype carried through would give x back."""
    kind = TensorType((2,), dtype)
    graph = traced(lambda x, y: [(x + y) - y], kind, kind)
    x, y = (np.array(v, p.numerics.numpy_dtype(dtype)) for v in ([1e-3, 1.0], [2048.0, 1.0]))
    (result,) = run(engine, graph, x, y)
    np.testing.assert_array_equal(result.astype(np.float32), ((x + y) - y).astype(np.float32))


def test_inputs_and_constants_may_be_outputs(engine: Engine) -> None:
    x = placeholder(MATRIX, 0)
    inputs = np.arange(12, dtype=np.float32).reshape(3, 4)
    graph = Graph([x], [x, x, p.elementwise.full(2.0, MATRIX)])
    first, second, third = run(engine, graph, inputs)
    np.testing.assert_array_equal(first, inputs)
    np.testing.assert_array_equal(second, inputs)
    np.testing.assert_array_equal(third, np.full((3, 4), 2, np.float32))


def test_results_are_read_without_a_copy_and_outlive_their_buffer(engine: Engine) -> None:
    (buffer,) = engine.executable(traced(lambda x: [x + 1.0], MATRIX)).run(
        [engine.put(np.zeros((3, 4), "float32"))]
    )
    first, second = engine.get(buffer), engine.get(buffer)
    assert np.shares_memory(first, second)
    assert not first.flags.writeable
    del buffer, second
    np.testing.assert_array_equal(first, 1)


@pytest.mark.parametrize("threads", [0, 2])
def test_sessions_of_the_user_keep_threads_of_their_own(engine: Engine, threads: int) -> None:
    import onnxruntime

    def run_model(options: Any) -> np.ndarray:
        graph = traced(lambda x: [x + 1.0], MATRIX)
        session = onnxruntime.InferenceSession(
            onnx_model(graph).SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        return session.run(None, {session.get_inputs()[0].name: np.zeros((3, 4), "float32")})[0]

    run(engine, traced(lambda x: [x * 2.0], MATRIX), np.ones((3, 4), "float32"))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    np.testing.assert_array_equal(run_model(options), 1)


def test_a_refusal_names_the_layer(on_it: None) -> None:
    model = hornbeam.Sequential([layers.Input((3,)), layers.Activation("gelu", name="bend", dtype="float64")])
    with pytest.raises(
        NotImplementedError, match=r"onnxruntime engine does not compute 'erf' of float64.*bend"
    ):
        model.predict(np.ones((2, 3)), verbose=0)


def test_a_missing_library_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.delitem(sys.modules, "hornbeam.engines.onnxruntime", raising=False)
    with pytest.raises(ImportError, match="ONNX Runtime.*" + re.escape(install_command("onnx"))):
        get_engine("onnxruntime:cpu:7")
