"""Properties of movement and indexing primitives on shapes that Hypothesis makes up."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hornbeam import primitives as p
from hornbeam.ir.autodiff import gradients
from hornbeam.ir.node import Node, leaf_array
from tests.helpers.primitive_cases import value

shapes = st.lists(st.integers(0, 4), min_size=0, max_size=4).map(tuple)
filled = st.lists(st.integers(1, 4), min_size=1, max_size=3).map(tuple)
seeds = st.integers(0, 2**32 - 1)
few = settings(max_examples=60)


def normal(shape: tuple[int, ...], seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def assert_transpose(forward: Node, x: Node, seed: int) -> None:
    """<ct, J v> = <J^T ct, v> for a map that is linear in x, with v = x."""
    ct = leaf_array(normal(forward.shape, seed + 1))
    (back,) = gradients([forward], [ct], [x])
    left = np.sum(ct.value * value(forward))
    right = 0.0 if back is None else np.sum(value(back) * x.value)
    np.testing.assert_allclose(left, right, atol=1e-9)


@few
@given(shapes, seeds)
def test_reshape_and_back_is_the_same_node(shape: tuple[int, ...], seed: int) -> None:
    x = leaf_array(normal(shape, seed))
    flat = p.reshape(x, (x.value.size,))
    np.testing.assert_array_equal(value(p.reshape(flat, shape)), x.value)
    assert p.reshape(x, shape) is x


@few
@given(st.data(), shapes, seeds)
def test_transpose_composes_and_inverts(data: st.DataObject, shape: tuple[int, ...], seed: int) -> None:
    x = leaf_array(normal(shape, seed))
    perm = tuple(data.draw(st.permutations(range(len(shape)))))
    turned = p.transpose(x, perm)
    np.testing.assert_array_equal(value(turned), x.value.transpose(perm))
    assert p.transpose(turned, tuple(perm.index(a) for a in range(len(perm)))) is x
    assert_transpose(turned, x, seed)


@few
@given(st.data(), filled, seeds)
def test_broadcast_is_numpy_s(data: st.DataObject, shape: tuple[int, ...], seed: int) -> None:
    dims = tuple(sorted(data.draw(st.sets(st.integers(0, len(shape) - 1)))))
    small = tuple(data.draw(st.sampled_from((1, shape[d]))) for d in dims)
    x = leaf_array(normal(small, seed))
    out = p.broadcast(x, shape, dims)
    aligned = [1] * len(shape)
    for size, axis in zip(small, dims, strict=True):
        aligned[axis] = size
    np.testing.assert_array_equal(value(out), np.broadcast_to(x.value.reshape(aligned), shape))
    assert_transpose(out, x, seed)


@few
@given(st.data(), shapes, seeds)
def test_slice_undoes_pad(data: st.DataObject, shape: tuple[int, ...], seed: int) -> None:
    amounts = st.lists(st.integers(0, 3), min_size=len(shape), max_size=len(shape)).map(tuple)
    low, high, interior = data.draw(amounts), data.draw(amounts), data.draw(amounts)
    x = leaf_array(normal(shape, seed))
    out = p.pad(x, 0.0, low, high, interior)
    stop = tuple(size - after for size, after in zip(out.shape, high, strict=True))
    start = tuple(min(a, b) for a, b in zip(low, stop, strict=True))
    back = p.slice_(out, start, stop, tuple(i + 1 for i in interior))
    np.testing.assert_array_equal(value(back), x.value)
    assert_transpose(out, x, seed)


@few
@given(st.data(), shapes, seeds)
def test_negative_pad_is_a_slice(data: st.DataObject, shape: tuple[int, ...], seed: int) -> None:
    cut = [
        data.draw(st.tuples(st.integers(0, n), st.integers(0, n)).filter(lambda c, n=n: sum(c) <= n))
        for n in shape
    ]
    x = leaf_array(normal(shape, seed))
    out = p.pad(x, 0.0, tuple(-a for a, _ in cut), tuple(-b for _, b in cut))
    np.testing.assert_array_equal(
        value(out), x.value[tuple(slice(a, n - b) for (a, b), n in zip(cut, shape, strict=True))]
    )
    assert_transpose(out, x, seed)


@few
@given(st.data(), filled, seeds)
def test_slice_is_numpy_s(data: st.DataObject, shape: tuple[int, ...], seed: int) -> None:
    bounds = [sorted(data.draw(st.tuples(st.integers(0, n), st.integers(0, n)))) for n in shape]
    step = tuple(data.draw(st.integers(1, 5)) for _ in shape)
    x = leaf_array(normal(shape, seed))
    out = p.slice_(x, tuple(a for a, _ in bounds), tuple(b for _, b in bounds), step)
    expected = x.value[tuple(slice(a, b, s) for (a, b), s in zip(bounds, step, strict=True))]
    np.testing.assert_array_equal(value(out), expected)
    assert_transpose(out, x, seed)


@few
@given(st.data(), filled, st.integers(0, 4), seeds)
def test_gather_and_scatter_are_transposes(
    data: st.DataObject, shape: tuple[int, ...], rows: int, seed: int
) -> None:
    batch = data.draw(st.integers(0, len(shape)))
    depth = data.draw(st.integers(0, len(shape) - batch))
    rng = np.random.default_rng(seed)
    indices = leaf_array(rng.integers(-1, 6, (*shape[:batch], rows, depth)).astype(np.int32))
    x = leaf_array(rng.normal(size=shape))
    out = p.gather(x, indices, batch)
    assert out.shape == (*shape[:batch], rows, *shape[batch + depth :])
    assert_transpose(out, x, seed)
    updates = leaf_array(rng.normal(size=out.shape))
    for mode in ("add", "set"):
        assert_transpose(p.scatter(p.zeros_like(x), indices, updates, mode, batch), updates, seed)


@few
@given(st.data(), filled, seeds)
def test_dynamic_slice_reads_what_update_wrote(
    data: st.DataObject, shape: tuple[int, ...], seed: int
) -> None:
    sizes = tuple(data.draw(st.integers(0, n)) for n in shape)
    starts = [leaf_array(np.array(data.draw(st.integers(-2, 6)), np.int32)) for _ in shape]
    x, update = leaf_array(normal(shape, seed)), leaf_array(normal(sizes, seed + 1))
    written = p.dynamic_update_slice(x, update, *starts)
    np.testing.assert_array_equal(value(p.dynamic_slice(written, *starts, sizes=sizes)), update.value)
    assert_transpose(p.dynamic_slice(x, *starts, sizes=sizes), x, seed)


@few
@given(st.data(), filled, seeds)
def test_reduce_sum_and_cumsum_are_numpy_s(data: st.DataObject, shape: tuple[int, ...], seed: int) -> None:
    axes = tuple(sorted(data.draw(st.sets(st.integers(0, len(shape) - 1)))))
    axis, backwards = data.draw(st.integers(0, len(shape) - 1)), data.draw(st.booleans())
    x = leaf_array(normal(shape, seed))
    np.testing.assert_allclose(value(p.reduce_sum(x, axes)), x.value.sum(axes), atol=1e-12)
    expected = np.flip(x.value, axis).cumsum(axis) if backwards else x.value.cumsum(axis)
    expected = np.flip(expected, axis) if backwards else expected
    np.testing.assert_allclose(value(p.cumsum(x, axis, backwards)), expected, atol=1e-12)
    assert_transpose(p.cumsum(x, axis, backwards), x, seed)


@few
@given(st.data(), seeds)
def test_dot_general_is_einsum(data: st.DataObject, seed: int) -> None:
    letters = "abcdefg"
    sizes = {letter: data.draw(st.integers(0, 3)) for letter in letters}
    batch, inner, left, right = (
        "a"[: data.draw(st.integers(0, 1))],
        "bc"[: data.draw(st.integers(0, 2))],
        "de",
        "fg",
    )
    x_axes = "".join(data.draw(st.permutations(batch + inner + left)))
    y_axes = "".join(data.draw(st.permutations(batch + inner + right)))
    rng = np.random.default_rng(seed)
    x, y = (leaf_array(rng.normal(size=[sizes[a] for a in axes])) for axes in (x_axes, y_axes))
    out = p.dot_general(
        x,
        y,
        contract=(tuple(map(x_axes.index, inner)), tuple(map(y_axes.index, inner))),
        batch=(tuple(map(x_axes.index, batch)), tuple(map(y_axes.index, batch))),
    )
    free = [a for a in x_axes if a in left] + [a for a in y_axes if a in right]
    expected = np.einsum(f"{x_axes},{y_axes}->{batch}{''.join(free)}", x.value, y.value)
    np.testing.assert_allclose(value(out), expected, atol=1e-12)
    assert_transpose(out, x, seed)
    assert_transpose(out, y, seed)
