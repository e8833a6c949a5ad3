"""Control flow, scatters, linear algebra, signals and segments."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest

import hornbeam
from hornbeam import Variable, jit, ops
from hornbeam.core.jit import trace_function
from hornbeam.ir.node import topological
from hornbeam.ir.types import ShapeError

RNG = np.random.default_rng(5)
X = RNG.normal(size=(3, 4)).astype(np.float32)


def test_cond_and_switch() -> None:
    fn = jit(
        lambda x: ops.cond(ops.sum(x) > 0, lambda: {"a": x * 2, "b": None}, lambda: {"a": -x, "b": None})
    )
    np.testing.assert_array_equal(fn(np.ones(2, np.float32))["a"], [2, 2])
    np.testing.assert_array_equal(fn(-np.ones(2, np.float32))["a"], [1, 1])
    gradient = hornbeam.grad(lambda x: ops.cond(x > 0, lambda: x * x, lambda: -x))
    assert [float(gradient(v)) for v in (3.0, -1.0)] == [6.0, -1.0]
    assert [float(ops.switch(ops.array(i), [lambda: 1.0, lambda: 2.0, lambda: 3.0])) for i in (-1, 1, 9)] == [
        1,
        2,
        3,
    ]
    with pytest.raises(ShapeError, match="scalar predicate"):
        ops.cond(X > 0, lambda: 1.0, lambda: 2.0)
    with pytest.raises(ValueError, match="different structures"):
        ops.cond(ops.array(True), lambda: (1.0, 2.0), lambda: [1.0, {"a": 2.0}])


def test_a_switch_works_only_on_the_branch_that_is_chosen() -> None:
    """Computations of branches are inside of them: nothing is computed beforehand."""
    branches = [lambda x, k: x @ x * k["by"], lambda x, k: ops.sin(x), lambda x, k: k["to"] + x]
    square, number = (
        np.eye(3, dtype="float32"),
        {"by": np.float32(2), "to": np.ones(3, "float32"), "no": None},
    )

    def fn(i: Any, x: Any) -> Any:
        return ops.switch(i, branches, x, number)

    outer = topological([trace_function(fn, (np.int32(1), square)).result.node], [])
    assert {"dot_general", "sin"} & {node.name for node in outer if node.primitive} == set()
    step = jit(fn)
    for i, expected in enumerate((square * 2, np.sin(square), 1 + square)):
        np.testing.assert_allclose(np.asarray(step(np.int32(i), square)), expected, rtol=1e-6)


def test_while_loop() -> None:
    i, total = ops.while_loop(lambda i, t: i < 10, lambda i, t: (i + 1, t + ops.cast(i, "float32")), (0, 0.0))
    assert (int(i), float(total)) == (10, 45.0)
    assert int(ops.while_loop(lambda i: i < 100, lambda i: i + 1, 0, maximum_iterations=7)) == 7
    # A dict is one loop variable.
    ends = ops.while_loop(
        lambda d: d["a"] < 5, lambda d: {"a": d["a"] + d["by"], "by": d["by"]}, {"a": 0, "by": 2}
    )
    assert int(ends["a"]) == 6
    with pytest.raises(ShapeError, match="changes its shape"):
        ops.while_loop(lambda x: ops.sum(x) < 1, lambda x: ops.append(x, 0.0), ops.zeros((1,)))


def test_scan_is_a_loop_and_has_a_derivative() -> None:
    xs = RNG.normal(size=(5, 2)).astype(np.float32)
    carry, ys = ops.scan(lambda c, x: (c * 0.5 + x, {"c": c}), np.zeros(2, np.float32), xs)
    state, kept = np.zeros(2, np.float32), []
    for x in xs:
        kept.append(state)
        state = state * 0.5 + x
    np.testing.assert_allclose(carry, state, rtol=1e-6)
    np.testing.assert_allclose(ys["c"], kept, rtol=1e-6)
    backwards, _ = ops.scan(lambda c, x: (c * 0.5 + x, c), np.zeros(2, np.float32), xs, reverse=True)
    np.testing.assert_allclose(
        backwards, ops.scan(lambda c, x: (c * 0.5 + x, c), np.zeros(2, np.float32), xs[::-1])[0]
    )
    gradients = hornbeam.grad(
        lambda v: ops.sum(ops.scan(lambda c, x: (c * 0.5 + x, c), np.zeros(2, np.float32), v)[0])
    )(xs)
    np.testing.assert_allclose(gradients, 0.5 ** np.arange(4, -1, -1)[:, None] * np.ones((1, 2)), rtol=1e-6)
    count, none = ops.scan(lambda c, _: (c + 1, None), 0, length=4)
    assert (int(count), none) == (4, None)
    with pytest.raises(ValueError, match="needs xs or length"):
        ops.scan(lambda c, x: (c, x), 0.0)


def test_fori_loop_map_and_associative_scan() -> None:
    assert int(ops.fori_loop(2, 5, lambda i, v: v * i, 1)) == 24
    assert int(ops.fori_loop(ops.array(2), ops.array(5), lambda i, v: v * i, 1)) == 24
    gradient = hornbeam.grad(lambda x: ops.fori_loop(0, 3, lambda i, v: v * x, x))(2.0)
    assert float(gradient) == pytest.approx(4 * 2.0**3)
    np.testing.assert_allclose(ops.map(lambda x: ops.sum(x), X), X.sum(axis=1), rtol=1e-5)
    np.testing.assert_allclose(
        ops.vectorized_map(lambda t: t[0] @ t[1], (X, X)), (X * X).sum(axis=1), rtol=1e-5
    )
    for axis, reverse in itertools.product((0, 1), (False, True)):
        x = np.flip(X, axis) if reverse else X
        expected = np.cumsum(x, axis=axis)
        expected = np.flip(expected, axis) if reverse else expected
        np.testing.assert_allclose(
            ops.associative_scan(ops.add, X, reverse, axis), expected, rtol=1e-5, atol=1e-6
        )


def test_slices_and_scatters() -> None:
    np.testing.assert_array_equal(ops.slice(X, [1, 0], [2, 3]), X[1:3, 0:3])
    np.testing.assert_array_equal(ops.slice(X, np.array([1, 2]), (-1, -1)), X[1:, 2:])
    changed = X.copy()
    changed[1:, 1:3] = 7
    np.testing.assert_array_equal(ops.slice_update(X, [1, 1], np.full((2, 2), 7.0)), changed)
    with pytest.raises(ShapeError, match="does not fit"):
        ops.slice(X, [0, 0], [4, 4])
    np.testing.assert_array_equal(ops.scatter([[0], [2], [2]], [1.0, 2.0, 3.0], (4,)), [1, 0, 5, 0])
    changed = X.copy()
    changed[[0, -1], [1, 2]] = [5, 6]
    np.testing.assert_array_equal(ops.scatter_update(X, [[0, 1], [-1, 2]], [5.0, 6.0]), changed)
    for reduction, expected in (
        ("add", [1, 5, 3]),
        ("max", [1, 3, 3]),
        ("min", [1, 2, 3]),
        ("mul", [1, 6, 3]),
    ):
        np.testing.assert_array_equal(ops.scatter_update([1, 2, 3], [[1]], [3], reduction), expected)
    assert [t.shape for t in ops.unstack(X, axis=1)] == [(3,)] * 4
    with pytest.raises(ShapeError, match="num=2"):
        ops.unstack(X, 2)


def test_casts() -> None:
    np.testing.assert_array_equal(ops.saturate_cast([-5.0, 300.0, 7.9], "uint8"), [0, 255, 7])
    np.testing.assert_array_equal(ops.saturate_cast(np.array([-5, 300, 7]), "int8"), [-5, 127, 7])
    np.testing.assert_array_equal(ops.saturate_cast([1e6, -1e6], "float16"), [65504, -65504])
    assert ops.dtype(ops.cast(X, "bfloat16")) == "bfloat16"
    assert ops.shape(X) == (3, 4)
    assert ops.is_tensor(ops.array(1.0))
    assert not ops.is_tensor(X)
    assert isinstance(ops.convert_to_numpy(ops.array([1.0])), np.ndarray)


def test_tensors_made_of_variables_keep_their_value() -> None:
    variable = Variable([1.0, 2.0])
    result = [ops.convert_to_tensor(variable), ops.array(variable), ops.real(variable), ops.copy(variable)]
    variable.assign([5.0, 6.0])
    for tensor in result:
        np.testing.assert_array_equal(tensor, [1, 2])


def test_stop_gradient_and_jvp() -> None:
    assert float(hornbeam.grad(lambda x: x * ops.stop_gradient(x))(3.0)) == 3.0
    value, gradient = ops.jvp(lambda x, y: ops.sin(x) * y, (0.5, 2.0), (1.0, 0.5))
    assert float(value) == pytest.approx(math.sin(0.5) * 2, rel=1e-6)
    assert float(gradient) == pytest.approx(math.cos(0.5) * 2 + math.sin(0.5) * 0.5, rel=1e-6)


def test_custom_gradients() -> None:
    weight = np.float32(5.0)

    @ops.custom_gradient
    def product(x: object, y: object) -> object:
        inner = x * y

        def rule(upstream: object, other: object) -> object:
            return upstream * 10 * inner + other, upstream * weight

        return (inner * 2, x + y), rule

    first, second = hornbeam.grad(lambda x, y: ops.add(*product(x, y)), argnums=(0, 1))(2.0, 3.0)
    assert (float(first), float(second)) == (61.0, 5.0)
    scanned = hornbeam.grad(lambda x: ops.scan(lambda c, _: (product(c, 1.0)[0], None), x, length=2)[0])
    assert float(scanned(1.0)) == (10 * 2) * (10 * 1)
    assert float(jit(lambda x: product(x, x)[0])(np.float32(3))) == 18.0
    # Integers keep their dtype, and None means zeros.
    unpacked = ops.custom_gradient(
        lambda x, packed, y: (x * ops.cast(packed, "float32") + y, lambda ct: (ct * 3, None, None))
    )
    packed = np.array([4, 5], "int8")
    assert ops.custom_gradient(lambda x: (x, lambda ct: ct))(packed).dtype == "int8"
    first, last = hornbeam.grad(lambda x, y: ops.sum(unpacked(x, packed, y)), argnums=(0, 1))(
        np.ones(2, "float32"), np.ones(2, "float32")
    )
    assert (first.tolist(), last.tolist()) == ([3.0, 3.0], [0.0, 0.0])
    wrong = ops.custom_gradient(lambda x: (x, lambda ct: (ct, ct)))
    with pytest.raises(ValueError, match="2 gradients for 1 argument"):
        wrong(1.0)


# -- linear algebra ------------------------------------------------------------------------------------------

A = RNG.normal(size=(2, 4, 4)).astype(np.float64)
SPD = A @ A.transpose(0, 2, 1) + np.eye(4)
B = RNG.normal(size=(2, 4, 3))
TALL = RNG.normal(size=(5, 3))


def test_factorisations() -> None:
    np.testing.assert_allclose(ops.cholesky(SPD), np.linalg.cholesky(SPD), atol=1e-9)
    upper = np.asarray(ops.cholesky(SPD, upper=True))
    np.testing.assert_allclose(upper.transpose(0, 2, 1) @ upper, SPD, atol=1e-9)
    np.testing.assert_allclose(ops.cholesky_inverse(np.linalg.cholesky(SPD)), np.linalg.inv(SPD), atol=1e-9)
    for x, mode in itertools.product((TALL, TALL.T, A), ("reduced", "complete")):
        q, r = (np.asarray(t) for t in ops.qr(x, mode))
        assert q.shape[-1] == (x.shape[-2] if mode == "complete" else min(x.shape[-2:]))
        np.testing.assert_allclose(q @ r, x, atol=1e-9)
        np.testing.assert_allclose(
            np.swapaxes(q, -1, -2) @ q,
            np.broadcast_to(np.eye(q.shape[-1]), (*q.shape[:-2], q.shape[-1], q.shape[-1])),
            atol=1e-9,
        )
    for x, full in itertools.product((TALL, TALL.T, A), (True, False)):
        u, s, vh = (np.asarray(t) for t in ops.svd(x, full))
        k = min(x.shape[-2:])
        assert u.shape[-1] == (x.shape[-2] if full else k)
        assert vh.shape[-2] == (x.shape[-1] if full else k)
        np.testing.assert_allclose(u[..., :k] * s[..., None, :] @ vh[..., :k, :], x, atol=1e-9)
        np.testing.assert_allclose(
            np.swapaxes(u, -1, -2) @ u,
            np.broadcast_to(np.eye(u.shape[-1]), (*u.shape[:-2], u.shape[-1], u.shape[-1])),
            atol=1e-9,
        )
    w, v = (np.asarray(t) for t in ops.eigh(SPD))
    np.testing.assert_allclose(v * w[:, None, :] @ v.transpose(0, 2, 1), SPD, atol=1e-9)
    lu, pivots = (np.asarray(t) for t in ops.lu_factor(A[0]))
    rows = np.arange(4)
    for k, swap in enumerate(pivots):
        rows[[k, swap]] = rows[[swap, k]]
    np.testing.assert_allclose((np.tril(lu, -1) + np.eye(4)) @ np.triu(lu), A[0][rows], atol=1e-9)


def test_solutions() -> None:
    np.testing.assert_allclose(ops.solve(A, B), np.linalg.solve(A, B), atol=1e-8)
    np.testing.assert_allclose(ops.solve(A[0], B[0, :, 0]), np.linalg.solve(A[0], B[0, :, 0]), atol=1e-8)
    np.testing.assert_allclose(ops.inv(A), np.linalg.inv(A), atol=1e-8)
    np.testing.assert_allclose(ops.det(A), np.linalg.det(A), atol=1e-9)
    for got, expected in zip(ops.slogdet(A), np.linalg.slogdet(A), strict=True):
        np.testing.assert_allclose(got, expected, atol=1e-9)
    np.testing.assert_allclose(ops.logdet(SPD), np.linalg.slogdet(SPD)[1], atol=1e-9)
    np.testing.assert_allclose(
        ops.solve_triangular(np.tril(SPD), B, lower=True), np.linalg.solve(np.tril(SPD), B), atol=1e-9
    )
    np.testing.assert_allclose(ops.pinv(TALL), np.linalg.pinv(TALL), atol=1e-9)
    for b in (RNG.normal(size=(5,)), RNG.normal(size=(5, 2))):
        np.testing.assert_allclose(ops.lstsq(TALL, b), np.linalg.lstsq(TALL, b, rcond=None)[0], atol=1e-9)
    assert int(ops.matrix_rank(np.outer([1.0, 2.0], [3.0, 4.0]))) == 1
    with pytest.raises(ShapeError, match="square"):
        ops.inv(TALL)


@pytest.mark.parametrize("order", [None, 0, 1, 2, 3.5, np.inf, -np.inf])
def test_vector_norms(order: float | None) -> None:
    np.testing.assert_allclose(ops.norm(X, order, axis=1), np.linalg.norm(X, order, axis=1), rtol=1e-5)
    assert ops.norm(X, order, axis=1, keepdims=True).shape == (3, 1)


@pytest.mark.parametrize("order", [None, "fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf])
def test_matrix_norms(order: object) -> None:
    np.testing.assert_allclose(
        ops.norm(A, order, axis=(1, 2)), np.linalg.norm(A, order, axis=(1, 2)), rtol=1e-6
    )
    np.testing.assert_allclose(
        ops.norm(A, order, axis=(2, 1)), np.linalg.norm(A, order, axis=(2, 1)), rtol=1e-6
    )


# -- signals and segments ------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 12, 30, 31, 64, 77, 121, 243])
def test_fourier_transforms_of_any_length(size: int) -> None:
    real, imag = RNG.normal(size=(2, 3, size))
    expected = np.fft.fft(real + 1j * imag)
    got = ops.fft((real, imag))
    np.testing.assert_allclose(got[0], expected.real, atol=1e-9)
    np.testing.assert_allclose(got[1], expected.imag, atol=1e-9)
    half = np.fft.rfft(real)
    np.testing.assert_allclose(ops.rfft(real)[0], half.real, atol=1e-9)
    np.testing.assert_allclose(ops.rfft(real)[1], half.imag, atol=1e-9)
    np.testing.assert_allclose(ops.irfft(ops.rfft(real), size), real, atol=1e-9)


def test_two_dimensional_transforms() -> None:
    real, imag = RNG.normal(size=(2, 2, 6, 5))
    got = ops.fft2((real, imag))
    expected = np.fft.fft2(real + 1j * imag)
    np.testing.assert_allclose(got[0], expected.real, atol=1e-9)
    back = ops.ifft2(got)
    np.testing.assert_allclose(back[0], real, atol=1e-9)
    np.testing.assert_allclose(back[1], imag, atol=1e-9)


@pytest.mark.parametrize("window", ["hann", "hamming", None])
def test_short_time_transforms(window: str | None) -> None:
    x = RNG.normal(size=(2, 96))
    spectrum = ops.stft(x, 16, 4, 32, window, center=False)
    turns = 2 * np.pi * np.arange(16) / 16
    weights = {"hann": 0.5 - 0.5 * np.cos(turns), "hamming": 0.54 - 0.46 * np.cos(turns), None: np.ones(16)}[
        window
    ]
    third = np.fft.rfft(x[:, 8:40] * np.pad(weights, 8))
    np.testing.assert_allclose(np.asarray(spectrum[0])[:, 2], third.real, atol=1e-9)
    np.testing.assert_allclose(np.asarray(spectrum[1])[:, 2], third.imag, atol=1e-9)
    back = ops.istft(ops.stft(x, 16, 4, 16, window), 16, 4, 16, length=96, window=window)
    np.testing.assert_allclose(back, x, atol=1e-9)


def test_segments() -> None:
    ids = np.array([2, 0, 2])
    np.testing.assert_allclose(ops.segment_sum(X, ids), [X[1], np.zeros(4), X[0] + X[2]], rtol=1e-6)
    np.testing.assert_allclose(ops.segment_prod(X, ids), [X[1], np.ones(4), X[0] * X[2]], rtol=1e-6)
    np.testing.assert_array_equal(ops.segment_max(X, ids, 3)[2], np.maximum(X[0], X[2]))
    np.testing.assert_array_equal(ops.segment_min(X, ids, 3)[1], np.full(4, np.inf))
    np.testing.assert_array_equal(ops.segment_sum([1, 2, 3], [0, 5, -1], 2), [1, 0])


def test_ranks_and_distances() -> None:
    scores = np.array([[0.1, 0.9, 0.8], [0.5, 0.5, 0.1]], np.float32)
    np.testing.assert_array_equal(ops.in_top_k([2, 2], scores, 2), [True, False])
    np.testing.assert_array_equal(ops.in_top_k([0, 1], scores, 1), [False, True])
    expected = np.linalg.norm(X[:, None] - X[None], axis=-1)
    np.testing.assert_allclose(ops.cdist(X, X), expected, atol=1e-5)
    assert np.isfinite(np.asarray(hornbeam.grad(lambda x: ops.sum(ops.cdist(x, x)))(X))).all()


def ctc_by_enumeration(target: list[int], logits: np.ndarray) -> float:
    """-log of the summed probabilities of all paths that spell the target."""
    logs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    total = 0.0
    for path in itertools.product(range(logits.shape[1]), repeat=len(logits)):
        merged = [c for i, c in enumerate(path) if i == 0 or path[i - 1] != c]
        if [c for c in merged if c] == target:
            total += math.exp(sum(logs[t, c] for t, c in enumerate(path)))
    return -math.log(total)


def test_ctc_loss_sums_over_all_alignments() -> None:
    logits = RNG.normal(size=(4, 5, 3)).astype(np.float32)
    targets = np.array([[1, 2, 1], [1, 1, 0], [2, 0, 0], [0, 0, 0]])
    lengths, steps = np.array([3, 2, 1, 0]), np.array([5, 4, 5, 3])
    expected = [
        ctc_by_enumeration(list(t[:n]), x[:s].astype(np.float64))
        for t, n, x, s in zip(targets, lengths, logits, steps, strict=True)
    ]
    np.testing.assert_allclose(ops.ctc_loss(targets, logits, lengths, steps), expected, rtol=1e-5)
    gradients = hornbeam.grad(lambda x: ops.sum(ops.ctc_loss(targets, x, lengths, steps)))(logits)
    assert np.isfinite(np.asarray(gradients)).all()
    np.testing.assert_array_equal(np.asarray(gradients)[3, 3:], 0)


def test_ctc_decode() -> None:
    classes = np.array([[0, 1, 1, 0, 1, 2], [2, 2, 0, 0, 1, 1]])
    logits = np.eye(3, dtype=np.float32)[classes] * 5
    labels, scores = ops.ctc_decode(logits, [6, 4])
    np.testing.assert_array_equal(labels[0], [[1, 1, 2, -1, -1, -1], [2, -1, -1, -1, -1, -1]])
    np.testing.assert_array_equal(scores, [[-30], [-20]])
    with pytest.raises(ValueError, match='"greedy" or "beam_search"'):
        ops.ctc_decode(logits, [6, 4], strategy="best")
    with pytest.raises(ValueError, match="top_paths <= beam_width"):
        ops.ctc_decode(logits, [6, 4], strategy="beam_search", beam_width=2, top_paths=3)


@pytest.mark.parametrize("blank", [0, 2])
def test_beam_search_adds_up_all_alignments(blank: int) -> None:
    """With enough beams the scores are the log probabilities that ctc_loss gives for the labels."""
    logits = RNG.normal(size=(2, 4, 3)).astype(np.float32)
    lengths = [4, 3]
    labels, scores = ops.ctc_decode(
        logits, lengths, strategy="beam_search", beam_width=64, top_paths=15, mask_index=blank
    )
    decoded = np.asarray(labels)
    assert len({tuple(path) for path in decoded[:, 0]}) == 15
    for path, score in zip(decoded, np.asarray(scores).T, strict=True):
        counts = (path >= 0).sum(axis=1)
        loss = ops.ctc_loss(np.maximum(path, 0), logits, counts, lengths, mask_index=blank)
        known = np.isfinite(score)
        np.testing.assert_allclose(-np.asarray(loss)[known], score[known], rtol=1e-4)
    # Two labels in four steps have 15 sequences, in three steps fewer.
    assert np.isneginf(np.asarray(scores)).sum(axis=1).tolist() == [0, 6]
    np.testing.assert_allclose(np.exp(scores).sum(axis=1), 1, rtol=1e-5)


def test_sequences_cut_out_of_signals() -> None:
    x = np.arange(10)
    np.testing.assert_array_equal(ops.extract_sequences(x, 4, 3), [[0, 1, 2, 3], [3, 4, 5, 6], [6, 7, 8, 9]])
