"""The native engine as a whole: fusion, control flow, donation, many steps, threads, bad input.

Single primitives are tested against the reference in tests/primitives/test_native.py.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from hornbeam import _native
from hornbeam import primitives as p
from hornbeam.engines.native import NativeEngine, encode
from hornbeam.engines.reference import ReferenceEngine
from hornbeam.ir.graph import Graph
from hornbeam.ir.node import Node
from hornbeam.ir.primitive import PRIMITIVES, full
from hornbeam.ir.trace import trace_body
from hornbeam.ir.types import TensorType, dtype_name
from hornbeam.primitives.complex_numbers import LOWERED

NATIVE = NativeEngine()
REFERENCE = ReferenceEngine()


def graph_of(fn: Callable[..., Sequence[Node]], arrays: Sequence[np.ndarray]) -> Graph:
    graph, captured = trace_body(fn, [TensorType(a.shape, dtype_name(a.dtype)) for a in arrays])
    assert not captured
    return graph


def both(fn: Callable[..., Sequence[Node]], *arrays: np.ndarray, tolerance: float = 2e-5) -> Any:
    """Run on both engines and compare; returns the native executable."""
    graph = graph_of(fn, arrays)
    executable = NATIVE.compile(graph)
    actual = executable.run([NATIVE.put(a) for a in arrays])
    expected = REFERENCE.compile(graph).run(list(arrays))
    assert len(actual) == len(expected)
    for got, want in zip(map(NATIVE.get, actual), expected, strict=True):
        assert got.dtype == want.dtype
        assert got.shape == want.shape
        np.testing.assert_allclose(
            got.astype("float64"), want.astype("float64"), rtol=tolerance, atol=tolerance
        )
    return executable


def floats(rng: np.random.Generator, *shape: int, dtype: str = "float32") -> np.ndarray:
    return rng.normal(size=shape).astype(dtype)


def lines(executable: Any) -> list[str]:
    return executable.text.splitlines()


# -- fusion --------------------------------------------------------------------------------------------------


def test_broadcasts_of_all_kinds_in_one_loop(rng: np.random.Generator) -> None:
    def body(x: Node, row: Node, column: Node, plane: Node, scalar: Node) -> list[Node]:
        y = x * p.broadcast(row, x.shape, (2,)) + p.broadcast(column, x.shape, (0,))
        return [p.tanh(y - p.broadcast(plane, x.shape, (0, 1, 2))) * p.broadcast(scalar, x.shape, ())]

    executable = both(
        body, floats(rng, 9, 31, 65), floats(rng, 65), floats(rng, 9), floats(rng, 9, 1, 65), floats(rng)
    )
    assert len(lines(executable)) == 1
    assert "views=3" in executable.text


def test_many_outputs_mixed_dtypes_and_comparisons(rng: np.random.Generator) -> None:
    def body(x: Node, n: Node) -> list[Node]:
        y = p.exp(x * 0.3)
        big = p.gt(y, p.full(1.0, y.type))
        count = p.convert(big, "int32") + n
        half = p.convert(y, "bfloat16")
        wide = p.convert(half * half, "float64")
        return [p.select(big, y, -y), big, count, half, p.bitcast(y, "uint32"), wide]

    executable = both(body, floats(rng, 5000), rng.integers(-5, 5, 5000).astype("int32"))
    assert len(lines(executable)) == 1


def test_an_operand_that_waits_for_another_one(rng: np.random.Generator) -> None:
    """All three operands are loops of their own, and the last one needs the second one whole."""

    def body(x: Node, y: Node) -> list[Node]:
        a = p.exp(x)
        return [p.select(p.gt(y, p.full(0.0, y.type)), a, p.log(p.transpose(a, (1, 0)) + 1.0))]

    both(body, floats(rng, 33, 33), floats(rng, 33, 33))


def _web(kind: int, x: Node, y: Node, z: Node) -> Node:
    if kind == 0:
        return p.transpose(x, (1, 0))
    if kind == 1:
        return p.sin(x) * y
    if kind == 2:
        return p.select(p.gt(x, p.full(0.0, x.type)), y, z)
    if kind == 3:
        return p.tanh(x)
    return x + p.broadcast(p.reduce_sum(p.tanh(y), (1,)) * 0.1, y.shape, (0,))


@pytest.mark.parametrize("first", range(0, 150, 30))
def test_random_webs_of_loops_and_transposes(first: int) -> None:
    """Clusters form, merge and wait for each other in all ways, and never in a circle."""
    for seed in range(first, first + 30):
        rng = np.random.default_rng(seed)

        def body(*inputs: Node, rng: np.random.Generator = rng) -> list[Node]:
            values = list(inputs)
            for _ in range(14):
                picks = rng.choice(range(max(0, len(values) - 10), len(values)), 3, replace=False)
                values.append(_web(int(rng.integers(5)), *(values[int(i)] for i in picks)))
            return values[-3:]

        both(body, *(floats(rng, 12, 12) for _ in range(12)), tolerance=2e-4)


def test_a_value_read_again_after_a_result_is_stored(rng: np.random.Generator) -> None:
    """In place, the result of the first step must not be seen by the last, which reads the operand again."""

    def body(x: Node, y: Node) -> list[Node]:
        first = x + y
        return [first, p.sin(first) * x]

    graph = graph_of(body, [np.zeros(3000, "float32")] * 2)
    x, y = floats(rng, 3000), floats(rng, 3000)
    result = NATIVE.compile(graph).run([NATIVE.put(x.copy()), NATIVE.put(y.copy())], [True, True])
    np.testing.assert_array_equal(NATIVE.get(result[0]), x + y)
    np.testing.assert_allclose(NATIVE.get(result[1]), np.sin(x + y) * x, rtol=1e-5, atol=1e-6)


def test_views_and_contractions(rng: np.random.Generator) -> None:
    def body(x: Node, w: Node, b: Node) -> list[Node]:
        heads = p.transpose(p.reshape(x, (2, 7, 3, 4)), (0, 2, 1, 3))
        scores = p.dot_general(heads, heads, contract=((3,), (3,)), batch=((0, 1), (0, 1)))
        mixed = p.dot_general(scores, heads, contract=((3,), (2,)), batch=((0, 1), (0, 1)))
        joined = p.reshape(p.transpose(mixed, (0, 2, 1, 3)), (2, 7, 12))
        y = p.dot_general(joined, w, contract=((2,), (1,)))
        y = p.maximum(y + p.broadcast(b, y.shape, (2,)), p.zeros_like(y))
        part = p.slice_(y, (0, 1, 0), (2, 6, 5), (1, 2, 2))
        return [y, part * part, p.reverse(p.concatenate(part, part, axis=1), (1,))]

    executable = both(body, floats(rng, 2, 7, 12), floats(rng, 5, 12), floats(rng, 5), tolerance=1e-4)
    assert "+bias +relu" in executable.text


def test_relu_epilogue_keeps_nan() -> None:
    x, w = np.array([[np.nan, 1.0], [1.0, -2.0]], "float32"), np.eye(2, dtype="float32")

    def body(x: Node, w: Node) -> list[Node]:
        y = p.dot_general(x, w, contract=((1,), (0,)))
        return [p.maximum(y, p.zeros_like(y))]

    both(body, x, w)


def test_relu_and_pooling_mask_what_is_small(rng: np.random.Generator) -> None:
    window = {"window": (2, 2), "strides": (2, 2), "padding": ((0, 0), (0, 0))}

    def body(x: Node, dy: Node) -> list[Node]:
        y = p.maximum(x, p.zeros_like(x))
        pooled = p.max_pool(y, **window)
        back = p.max_pool_scatter(y, dy, **window)
        masked = p.select(p.gt(y, p.zeros_like(y)), back, p.zeros_like(back))
        return [pooled, masked, p.reduce_sum(masked, (0, 1, 2))]

    executable = both(body, floats(rng, 3, 8, 8, 5), floats(rng, 3, 4, 4, 5))
    assert sum("fused 240" in line for line in lines(executable)) == 1
    assert sum("fused 960" in line for line in lines(executable)) == 1
    assert "[gt select reduce_sum] over [1 -48 5]" in executable.text


def test_random_bits_stay_in_the_loop(rng: np.random.Generator) -> None:
    def body(x: Node, key: Node) -> list[Node]:
        uniform = p.convert(p.shift_right(p.random_bits(key, x.shape), 8), "float32") * 2.0**-24
        return [p.select(p.lt(uniform, p.full(0.7, x.type)), x, p.zeros_like(x))]

    executable = both(body, floats(rng, 301, 77), np.array([3, 9], "uint32"))
    assert len(lines(executable)) == 1


def test_normalisation_with_siblings(rng: np.random.Generator) -> None:
    def body(x: Node, scale: Node) -> list[Node]:
        count = x.shape[0] * x.shape[1]
        mean = p.reduce_sum(x, (0, 1)) * (1.0 / count)
        centred = x - p.broadcast(mean, x.shape, (2,))
        variance = p.reduce_sum(centred * centred, (0, 1)) * (1.0 / count)
        factor = p.rsqrt(variance + 1e-3) * scale
        return [centred * p.broadcast(factor, x.shape, (2,)), mean * 0.9, variance * 0.9]

    both(body, floats(rng, 16, 33, 12), floats(rng, 12))


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
def test_row_composites_have_kernels(rng: np.random.Generator, dtype: str) -> None:
    def body(x: Node, t: Node, labels: Node, gamma: Node) -> list[Node]:
        loss = p.softmax_cross_entropy(x, t)
        sparse = p.sparse_softmax_cross_entropy(x, labels)
        return [p.softmax(x), p.log_softmax(x), loss, sparse, p.layer_norm(x, gamma, gamma, epsilon=1e-3)]

    kind = np.dtype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)
    labels = rng.integers(-1, 11, (4, 6)).astype("int64")
    x, t, gamma = (rng.uniform(0.1, 1, s).astype(kind) for s in ((4, 6, 10), (4, 6, 10), (10,)))
    executable = both(body, x, t, labels, gamma, tolerance=2e-2 if kind.itemsize == 2 else 1e-5)
    # The parameters of 16-bit floats are converted.
    assert len(lines(executable)) == 5 + (kind.itemsize == 2)


# -- control flow --------------------------------------------------------------------------------------------


def test_while_loop_with_captures(rng: np.random.Generator) -> None:
    def body(x: Node, step: Node) -> list[Node]:
        zero = p.constant(0, "int32")
        return list(
            p.while_loop(
                lambda i, y: p.lt(i, p.constant(7, "int32")),
                lambda i, y: [i + 1, p.tanh(y) + step],
                zero,
                x,
            )
        )

    both(body, floats(rng, 40), floats(rng, 40))


def test_nested_loops_multiply_by_a_transposed_capture_in_place(rng: np.random.Generator) -> None:
    def body(x: Node, w: Node) -> list[Node]:
        zero, three = p.constant(0, "int32"), p.constant(3, "int32")
        transposed = p.transpose(w, (1, 0))

        def product(y: Node) -> Node:
            return p.tanh(p.dot_general(y, transposed, contract=((1,), (0,))))

        def step(i: Node, y: Node) -> list[Node]:
            inner = p.while_loop(lambda j, z: p.lt(j, three), lambda j, z: [j + 1, product(z)], zero, y)
            return [i + 1, inner[1] + product(x)]

        return list(p.while_loop(lambda i, y: p.lt(i, three), step, zero, x))

    executable = both(body, floats(rng, 1, 6), floats(rng, 6, 6))
    assert "copy 36" not in executable.text


@pytest.mark.parametrize("flag", [True, False])
def test_cond_runs_one_side(rng: np.random.Generator, flag: bool) -> None:
    def body(flag: Node, x: Node, y: Node) -> list[Node]:
        return list(p.cond(flag, lambda a: [a * y, a], lambda a: [a - y, p.exp(y)], x))

    both(body, np.array(flag), floats(rng, 30), floats(rng, 30))


@pytest.mark.parametrize("reverse", [False, True])
def test_scan_swaps_and_stacks(rng: np.random.Generator, reverse: bool) -> None:
    def body(a: Node, b: Node, xs: Node, w: Node) -> list[Node]:
        def step(carry: Sequence[Node], items: Sequence[Node]) -> tuple[list[Node], list[Node]]:
            a, b = carry
            mixed = p.tanh(p.dot_general(items[0] + a, w, contract=((1,), (0,))))
            return [b, mixed], [mixed + b, a]

        carry, ys = p.scan(step, [a, b], [xs], length=6, reverse=reverse)
        return [*carry, *ys]

    both(body, floats(rng, 3, 5), floats(rng, 3, 5), floats(rng, 6, 3, 5), floats(rng, 5, 5), tolerance=1e-4)


def test_gradient_of_a_scan(rng: np.random.Generator) -> None:
    from hornbeam.ir.autodiff import gradients

    def body(h: Node, xs: Node, w: Node) -> list[Node]:
        def step(carry: Sequence[Node], items: Sequence[Node]) -> tuple[list[Node], list[Node]]:
            new = p.tanh(p.dot_general(carry[0], w, contract=((1,), (0,))) + items[0])
            return [new], [new * new]

        (last,), (ys,) = p.scan(step, [h], [xs], length=5)
        loss = p.reduce_sum(ys, (0, 1, 2)) + p.reduce_sum(last, (0, 1))
        result = gradients([loss], [p.ones_like(loss)], [h, xs, w])
        return [loss, *(g for g in result if g is not None)]

    both(body, floats(rng, 2, 4), floats(rng, 5, 2, 4), floats(rng, 4, 4) * 0.5, tolerance=1e-4)


# -- donation, aliasing, many steps --------------------------------------------------------------------------


def _momentum(w: Node, m: Node, g: Node) -> list[Node]:
    moment = m * 0.9 + g
    return [w - moment * 0.1, moment]


def test_donation_reuses_memory_and_empties_the_buffer(rng: np.random.Generator) -> None:
    executable = NATIVE.compile(graph_of(_momentum, [np.zeros(1000, "float32")] * 3))
    first = executable.run([NATIVE.put(floats(rng, 1000)) for _ in range(3)])
    addresses = [NATIVE.get(b).ctypes.data for b in first]
    gradient = NATIVE.put(floats(rng, 1000))
    second = executable.run([*first, gradient], [True, True, False])
    assert [NATIVE.get(b).ctypes.data for b in second] == addresses
    assert first[0].donated
    assert not gradient.donated
    with pytest.raises(RuntimeError, match="donated"):
        NATIVE.get(first[0])
    with pytest.raises(RuntimeError, match="donated"):
        executable.run([*first, gradient])


def test_a_view_taken_before_donation_keeps_its_value(rng: np.random.Generator) -> None:
    executable = NATIVE.compile(graph_of(_momentum, [np.zeros(1000, "float32")] * 3))
    state = executable.run([NATIVE.put(floats(rng, 1000)) for _ in range(3)])
    view = NATIVE.get(state[0])
    kept = view.copy()
    assert not view.flags.writeable
    executable.run([*state, NATIVE.put(floats(rng, 1000))], [True, True, False])
    np.testing.assert_array_equal(view, kept)


def test_results_take_the_memory_of_freed_ones(rng: np.random.Generator) -> None:
    """Large blocks are kept for the next results, once nothing reads them: views are readers, too."""
    x = floats(rng, 100_000)
    executable = NATIVE.compile(graph_of(lambda x: [-x], [x]))
    buffer = NATIVE.put(x)
    held = [NATIVE.get(executable.run([buffer])[0]) for _ in range(3)]
    address = NATIVE.get(executable.run([buffer])[0]).ctypes.data
    assert address not in {view.ctypes.data for view in held}
    for _ in range(5):
        assert NATIVE.get(executable.run([buffer])[0]).ctypes.data == address
    other = floats(rng, 100_000)
    executable.run([NATIVE.put(other)])
    for view in held:
        np.testing.assert_array_equal(view, -x)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_of_results_is_kept_within_bounds() -> None:
    """Results of many sizes leave no more than the cache's budget behind."""
    code = (
        "import numpy as np, hornbeam as hb\n"
        "negative = hb.jit(hb.ops.negative)\n"
        "def resident():\n"
        "    return int(open('/proc/self/statm').read().split()[1]) * 4096 >> 20\n"
        "def use(size):\n"
        "    negative(np.ones(size << 18, 'float32')).numpy()\n"
        "use(1)\n"
        "before = resident()\n"
        "for size in range(20, 90, 5):\n"
        "    use(size)\n"
        "print(resident() - before)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 300  # all sizes are 760 MiB


def test_borrowed_arrays_are_never_written(rng: np.random.Generator) -> None:
    executable = NATIVE.compile(graph_of(_momentum, [np.zeros(1000, "float32")] * 3))
    arrays = [floats(rng, 1000) for _ in range(3)]
    copies = [a.copy() for a in arrays]
    executable.run([NATIVE.put(a) for a in arrays], [True, True, True])
    for array, copy in zip(arrays, copies, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_outputs_may_be_inputs_and_each_other(rng: np.random.Generator) -> None:
    def body(x: Node, y: Node) -> list[Node]:
        z = x + y
        return [y, z, z, x, p.reshape(z, (50, 2)), p.constant(np.arange(3.0), "float32")]

    both(body, floats(rng, 100), floats(rng, 100))


def _training_step(w: Node, n: Node, x: Node, y: Node) -> list[Node]:
    prediction = p.dot_general(x, w, contract=((1,), (0,)))
    error = prediction - y
    gradient = p.dot_general(x, error, contract=((0,), (0,)))
    loss = p.reduce_sum(error * error, (0,))
    return [w - gradient * 0.01, n + 1, loss, n]


def test_many_steps_equal_single_steps(rng: np.random.Generator) -> None:
    x, y = floats(rng, 200, 10), floats(rng, 200)
    w, n = floats(rng, 10), np.array(0, "int32")
    graph = graph_of(_training_step, [w, n, x[:16], y[:16]])
    executable = NATIVE.compile(graph)
    indices = rng.permutation(200)[:192].reshape(12, 16)
    state = [NATIVE.put(w), NATIVE.put(n)]
    losses = []
    for rows in indices:
        *state, loss, _ = executable.run([*state, NATIVE.put(x[rows]), NATIVE.put(y[rows])])
        losses.append(NATIVE.get(loss).copy())
    data = [NATIVE.put(x), NATIVE.put(y)]
    inputs = [NATIVE.put(w), NATIVE.put(n)]
    after, logs = executable.run_steps(inputs, data, indices)
    np.testing.assert_array_equal(NATIVE.get(after[0]), NATIVE.get(state[0]))
    assert after[1].item() == 12
    np.testing.assert_array_equal(NATIVE.get(logs[0]), np.stack(losses))
    np.testing.assert_array_equal(NATIVE.get(logs[1]), np.arange(12))
    assert all(buffer.donated for buffer in inputs)
    expected, _ = REFERENCE.compile(graph).run_steps([w, n], [x, y], indices)
    np.testing.assert_allclose(NATIVE.get(after[0]), expected[0], rtol=1e-4, atol=1e-5)


def test_bad_steps_are_refused_and_keep_the_state(rng: np.random.Generator) -> None:
    x, y, w, n = floats(rng, 20, 10), floats(rng, 20), floats(rng, 10), np.array(0, "int32")
    executable = NATIVE.compile(graph_of(_training_step, [w, n, x[:4], y[:4]]))
    state, data = [NATIVE.put(w), NATIVE.put(n)], [NATIVE.put(x), NATIVE.put(y)]
    with pytest.raises(ValueError, match="index 20 is outside of the 20 rows"):
        executable.run_steps(state, data, np.array([[0, 1, 2, 20]]))
    with pytest.raises(ValueError, match="index -1"):
        executable.run_steps(state, data, np.array([[0, 1, 2, -1]]))
    with pytest.raises(ValueError, match="batch of data array 0"):
        executable.run_steps(state, data, np.array([[0, 1, 2]]))
    with pytest.raises(ValueError, match="do not fit"):
        executable.run_steps(state, data[:1], np.array([[0, 1, 2, 3]]))
    np.testing.assert_array_equal(NATIVE.get(state[0]), w)


@pytest.mark.skipif(sys.platform == "win32", reason="os.kill does not send Ctrl-C there")
def test_ctrl_c_ends_a_long_call_and_keeps_the_state(rng: np.random.Generator) -> None:
    x, y, w, n = floats(rng, 20, 10), floats(rng, 20), floats(rng, 10), np.array(0, "int32")
    executable = NATIVE.compile(graph_of(_training_step, [w, n, x[:4], y[:4]]))
    state, data = [NATIVE.put(w), NATIVE.put(n)], [NATIVE.put(x), NATIVE.put(y)]
    timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        executable.run_steps(state, data, np.zeros((1_000_000, 4), "int64"))
    timer.join()
    assert 0 < state[1].item() < 1_000_000


# -- threads -------------------------------------------------------------------------------------------------


def test_the_same_bits_for_any_number_of_threads(rng: np.random.Generator) -> None:
    def body(x: Node, w: Node, key: Node) -> list[Node]:
        y = p.dot_general(x, w, contract=((1,), (0,)))
        noise = p.convert(p.random_bits(key, y.shape), "float32") * 1e-9
        z = p.tanh(y + noise)
        return [p.reduce_sum(z, (0,)), p.reduce_sum(z, (1,)), p.dot_general(z, x, contract=((0,), (0,)))]

    arrays = [floats(rng, 700, 90), floats(rng, 90, 130), np.array([1, 2], "uint32")]
    executable = NATIVE.compile(graph_of(body, arrays))
    before = NATIVE.threads
    results = []
    try:
        for threads in (1, 2, 8):
            NATIVE.set_threads(threads)
            results.append([NATIVE.get(b).tobytes() for b in executable.run([NATIVE.put(a) for a in arrays])])
    finally:
        NATIVE.set_threads(before)
    assert results[0] == results[1] == results[2]


def test_one_executable_in_eight_threads(rng: np.random.Generator) -> None:
    def body(x: Node, w: Node) -> list[Node]:
        y = p.exp(p.dot_general(x, w, contract=((1,), (0,))) * 0.01)
        return [p.reduce_sum(y, (0,)), y]

    w = floats(rng, 60, 200)
    inputs = [floats(rng, 150, 60) for _ in range(8)]
    executable = NATIVE.compile(graph_of(body, [inputs[0], w]))
    shared = NATIVE.put(w)
    expected = [NATIVE.get(executable.run([NATIVE.put(x), shared])[1]).copy() for x in inputs]
    failures: list[int] = []

    def work(index: int) -> None:
        for _ in range(10):
            out = executable.run([NATIVE.put(inputs[index]), shared])
            if not np.array_equal(NATIVE.get(out[1]), expected[index]):
                failures.append(index)

    workers = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert failures == []


def test_number_of_threads_is_checked() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        NATIVE.set_threads(0)


# -- buffers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "dtype", ["bool", "int8", "uint16", "int64", "uint64", "float16", "float32", "float64"]
)
def test_arrays_go_in_and_out(rng: np.random.Generator, dtype: str) -> None:
    for shape in ((), (0, 3), (5,), (70, 30)):
        array = (rng.normal(size=shape) * 50).astype(dtype)
        buffer = NATIVE.put(array)
        assert (buffer.dtype, buffer.shape, buffer.nbytes) == (dtype, shape, array.nbytes)
        back = NATIVE.get(buffer)
        assert back.dtype == array.dtype
        np.testing.assert_array_equal(back, array)


def test_large_arrays_are_borrowed_and_strided_ones_copied(rng: np.random.Generator) -> None:
    array = floats(rng, 100, 100)
    assert NATIVE.get(NATIVE.put(array)).ctypes.data == array.ctypes.data
    np.testing.assert_array_equal(NATIVE.get(NATIVE.put(array.T)), array.T)
    np.testing.assert_array_equal(NATIVE.get(NATIVE.put(array[::2, 1:])), array[::2, 1:])
    swapped = array.astype(array.dtype.newbyteorder())
    np.testing.assert_array_equal(NATIVE.get(NATIVE.put(swapped)), array)
    brain = array.astype(ml_dtypes.bfloat16)
    assert NATIVE.get(NATIVE.put(brain)).dtype == brain.dtype


def test_item() -> None:
    assert NATIVE.put(np.array(True)).item() is True
    assert NATIVE.put(np.array([2**60 + 1])).item() == 2**60 + 1
    assert NATIVE.put(np.array(1.5, ml_dtypes.bfloat16)).item() == 1.5
    with pytest.raises(ValueError, match="one element"):
        NATIVE.put(np.zeros(2)).item()


# -- texts ---------------------------------------------------------------------------------------------------


def test_every_primitive_has_an_instruction() -> None:
    names = set(NATIVE.instructions())
    missing = {n for n, primitive in PRIMITIVES.items() if not primitive.composite and n not in names}
    assert missing == set(LOWERED)
    assert {n for n in names if n not in PRIMITIVES and not n.endswith("_vjp")} == set()


def test_wrong_inputs_are_refused(rng: np.random.Generator) -> None:
    executable = NATIVE.compile(graph_of(_momentum, [np.zeros(10, "float32")] * 3))
    good = NATIVE.put(floats(rng, 10))
    with pytest.raises(ValueError, match="expected 3 inputs, got 2"):
        executable.run([good, good])
    with pytest.raises(ValueError, match=r"input 1 is float64\[10\], the executable takes float32\[10\]"):
        executable.run([good, NATIVE.put(np.zeros(10)), good], [True, True, True])
    assert not good.donated


def _mutate(rng: np.random.Generator, value: Any) -> Any:
    """The same JSON value with one thing somewhere made wrong."""
    if isinstance(value, dict) and value:
        key = list(value)[rng.integers(len(value))]
        if rng.random() < 0.15:
            return {k: v for k, v in value.items() if k != key}
        return {**value, key: _mutate(rng, value[key])}
    if isinstance(value, list | tuple) and len(value) > 0:
        index = int(rng.integers(len(value)))
        if rng.random() < 0.15:
            return [*value[:index], *value[index + 1 :]]
        return [*value[:index], _mutate(rng, value[index]), *value[index + 1 :]]
    choices = [-1, 0, 1, 2, 7, 10**6, 2**40, 2**63, "add", "float64", None, [], {}, 1.5, True]
    return choices[rng.integers(len(choices))]


@pytest.mark.parametrize("odd", [0.5, np.inf, np.nan])
def test_bound_weights_give_the_same_bits(rng: np.random.Generator, odd: float) -> None:
    def body(kernel: Node, bias: Node, weights: Node, x: Node) -> list[Node]:
        y = p.conv(x, kernel, (1, 1), ((1, 1), (1, 1)), (1, 1))
        y = p.maximum(y + p.broadcast(bias, y.shape, (3,)), full(0.0, y.type))
        pooled = p.max_pool(y, (2, 2), (2, 2), ((0, 0), (0, 0)))
        flat = p.reshape(pooled, (1, 6 * 6 * 24))
        return [pooled, p.dot_general(flat, weights, ((1,), (0,)), ((), ()))]

    arrays = [floats(rng, 3, 3, 16, 24), floats(rng, 24), floats(rng, 6 * 6 * 24, 200)]
    # Off behind the relu: what its weights are matters only where 0 times them is not 0.
    arrays[1][3] = -1e3
    arrays[2][3, 7] = odd
    x = floats(rng, 1, 12, 12, 16)
    executable = NATIVE.compile(graph_of(body, [*arrays, x]))
    inputs = [NATIVE.put(array) for array in [*arrays, x]]
    run = executable.bind(inputs[:3])
    for _ in range(2):
        for plain, bound in zip(executable.run(inputs), run(inputs[3:]), strict=True):
            np.testing.assert_array_equal(NATIVE.get(plain), NATIVE.get(bound))
    assert np.isnan(NATIVE.get(run(inputs[3:])[1])).any() == (not np.isfinite(odd))


def test_binding_checks_weights_and_inputs(rng: np.random.Generator) -> None:
    executable = NATIVE.compile(graph_of(lambda x, y: [x + y], [np.zeros(3, "float32")] * 2))
    good, bad = NATIVE.put(floats(rng, 3)), NATIVE.put(floats(rng, 4))
    with pytest.raises(ValueError, match=r"input 0 is float32\[4\]"):
        executable.bind([bad])
    with pytest.raises(ValueError, match="3 weights for 2 inputs"):
        executable.bind([good] * 3)
    with pytest.raises(ValueError, match="expected 2 inputs, got 1"):
        executable.bind([good])([])
    with pytest.raises(ValueError, match=r"input 1 is float32\[4\]"):
        executable.bind([good])([bad])
    np.testing.assert_array_equal(NATIVE.get(executable.bind([])([good, good])[0]), 2 * NATIVE.get(good))


def test_malformed_texts_never_crash(rng: np.random.Generator) -> None:
    """Whatever is wrong in a text, it is refused with an error, or it still is a graph that runs."""

    def body(x: Node, w: Node, i: Node) -> list[Node]:
        y = p.dot_general(x, w, contract=((1,), (0,)))
        y = p.pad(p.transpose(y, (1, 0)), 0.0, (1, 0), (0, 1), (0, 0))
        g = p.gather(x, i)
        (carry,), (ys,) = p.scan(
            lambda c, s: ([c[0] + s[0]], [c[0] * s[0]]), [p.reduce_sum(x, (0,))], [x], length=4
        )
        window = p.max_pool(p.reshape(x, (1, 4, 6, 1)), (2, 2), (2, 2), ((0, 0), (0, 0)))
        return [y, g, carry, ys, window, p.slice_(x, (1, 0), (3, 4), (1, 2)), p.iota("int32", (3, 2), 1)]

    arrays = [floats(rng, 4, 6), floats(rng, 6, 3), rng.integers(0, 4, (5, 1)).astype("int32")]
    text = json.loads(encode(graph_of(body, arrays), []))
    refused = 0
    for _ in range(1500):
        broken = _mutate(rng, json.loads(json.dumps(text)))
        try:
            executable = _native.compile(json.dumps(broken), [])
            executable.run([NATIVE.put(a) for a in arrays])
        except (ValueError, NotImplementedError):
            refused += 1
    assert refused > 750


def test_large_graphs_compile_in_milliseconds() -> None:
    def body(x: Node) -> list[Node]:
        total = x
        for index in range(1000):
            total = p.tanh(total * (1.0 + index / 1000) + x)
            if index % 50 == 0:
                total = total - p.broadcast(p.reduce_sum(total, (1,)), x.shape, (0,))
        return [total]

    graph = graph_of(body, [np.zeros((4, 8), "float32")])
    assert len(graph.nodes) > 3000
    text = encode(graph, [])
    start = time.thread_time()
    _native.compile(text, [])
    assert time.thread_time() - start < 0.25


_SHORT_OF_MEMORY = """
import resource
import numpy as np
from hornbeam import ops

decompose, x = getattr(ops, {name!r}), np.ones((4000, 4000), "float32")
np.asarray(decompose(x[:4, :4])[0])  # starts the threads
pages = int(open("/proc/self/statm").read().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + ({spare} << 20), -1))
try:
    np.asarray(decompose(x)[0])
except MemoryError as error:
    print(error)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits the address space")
# MiB that the results fit into, and the scratch space does not.
@pytest.mark.parametrize(("name", "spare"), [("svd", 230), ("eigh", 150)])
def test_kernels_short_of_memory_raise_a_memory_error(name: str, spare: int) -> None:
    code = _SHORT_OF_MEMORY.format(name=name, spare=spare)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "out of memory: a kernel needs 128000000 bytes of scratch space\n"
