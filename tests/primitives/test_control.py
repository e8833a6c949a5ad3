"""Control flow and composites, forward and to the second derivative."""

import numpy as np
import pytest

from hornbeam import ops
from hornbeam import primitives as p
from hornbeam.core.convert import as_tensor
from hornbeam.core.grad import checkpoint, grad
from hornbeam.core.jit import trace_function
from hornbeam.core.tensor import Tensor
from hornbeam.errors import DerivativeError
from hornbeam.ir.types import ShapeError
from hornbeam.ir.verify import verify

pytestmark = pytest.mark.usefixtures("engine")


def total(x: Tensor) -> Tensor:
    return Tensor(p.reduce_sum(x.node, tuple(range(x.ndim))))


def numeric(fn, x, step=1e-6):
    gradients = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        moved = np.zeros_like(x)
        moved[index] = step
        gradients[index] = (float(fn(as_tensor(x + moved))) - float(fn(as_tensor(x - moved)))) / (2 * step)
    return gradients


def check_twice(fn, x):
    """First and second derivative against differences, and every derivative graph against its type rules."""
    first = grad(fn)
    np.testing.assert_allclose(first(as_tensor(x)).numpy(), numeric(fn, x), rtol=1e-5, atol=1e-7)
    weights = np.linspace(0.5, 1.5, x.size).reshape(x.shape)
    second = grad(lambda y: total(first(y) * weights))
    np.testing.assert_allclose(
        second(as_tensor(x)).numpy(), numeric(lambda y: total(first(y) * weights), x), rtol=1e-4, atol=1e-6
    )
    verify(trace_function(second, [as_tensor(x)]).graph)


def rnn(x0, xs, k, reverse=False):
    carry, ys = p.scan(
        lambda c, x: ([p.tanh(c[0] * k.node + x[0])], [c[0] * x[0]]),
        [x0.node], [xs.node], length=xs.shape[0], reverse=reverse,
    )  # fmt: skip
    return total(Tensor(carry[0])) + total(Tensor(ys[0]))


@pytest.mark.parametrize("reverse", [False, True])
def test_scan_is_a_loop(rng, reverse):
    xs, x0, k = rng.normal(size=(4, 3)), rng.normal(size=3), rng.normal(size=3)
    carry, expected = x0, 0.0
    for x in xs[::-1] if reverse else xs:
        expected += (carry * x).sum()
        carry = np.tanh(carry * k + x)
    actual = rnn(as_tensor(x0), as_tensor(xs), as_tensor(k), reverse)
    np.testing.assert_allclose(float(actual), carry.sum() + expected, rtol=1e-12)


def test_scan_derivatives(rng):
    xs, x0, k = rng.normal(size=(4, 3)), rng.normal(size=3), rng.normal(size=3)
    check_twice(lambda v: rnn(v, as_tensor(xs), as_tensor(k)), x0)
    check_twice(lambda v: rnn(as_tensor(x0), v, as_tensor(k)), xs)
    check_twice(lambda v: rnn(as_tensor(x0), as_tensor(xs), v, reverse=True), k)


def test_scan_with_dependent_captures(rng):
    """A body that captures both a value and something computed from it gets each derivative once."""
    xs = as_tensor(rng.normal(size=(3, 2)))

    def fn(k):
        half, square = (k * 0.5).node, (k * k).node
        carry, _ = p.scan(
            lambda c, x: ([c[0] * half + square * x[0]], []), [p.zeros_like(half)], [xs.node], length=3
        )
        return total(Tensor(carry[0]) * k)

    check_twice(fn, rng.normal(size=2))


def test_scan_of_nothing():
    carry, ys = p.scan(
        lambda c, x: ([c[0] + x[0]], [c[0]]),
        [as_tensor(2.0).node], [as_tensor(np.zeros((0,), "float32")).node], length=0,
    )  # fmt: skip
    assert float(Tensor(carry[0])) == 2.0
    assert Tensor(ys[0]).numpy().shape == (0,)


def test_scan_refuses_a_carry_that_changes_type():
    with pytest.raises(ShapeError, match="keep the types of its carry"):
        p.scan(lambda c, x: ([p.reshape(c[0], (1,))], []), [as_tensor(1.0).node], [], length=2)


@pytest.mark.parametrize("holds", [True, False])
def test_cond(rng, holds):
    k = as_tensor(rng.normal(size=3))

    def fn(x):
        out = p.cond(
            as_tensor(holds).node,
            lambda v: [p.reduce_sum(p.exp(v) * k.node, (0,))],
            lambda v: [p.reduce_sum(v * v * v, (0,))],
            x.node,
        )
        return Tensor(out[0])

    x = rng.normal(size=3)
    expected = (np.exp(x) * k.numpy()).sum() if holds else (x**3).sum()
    np.testing.assert_allclose(float(fn(as_tensor(x))), expected, rtol=1e-12)
    check_twice(fn, x)


def test_while_loop():
    limit = as_tensor(10)
    i, powers = p.while_loop(
        lambda i, x: p.lt(i, limit.node),
        lambda i, x: [i + 3, x * 2.0],
        as_tensor(0).node, as_tensor(1.0).node,
    )  # fmt: skip
    assert (int(Tensor(i)), float(Tensor(powers))) == (12, 16.0)


def test_while_loop_has_no_derivative():
    def fn(x):
        return Tensor(p.while_loop(lambda v: p.lt(v, p.ones_like(v)), lambda v: [v * 2.0], x.node)[0])

    with pytest.raises(DerivativeError, match="while_loop has no derivative"):
        grad(fn)(0.3)


def test_checkpoint_recomputes(rng):
    x = rng.normal(size=(2, 3))

    def inner(v):
        return Tensor(p.tanh(v.node)) * Tensor(p.exp(v.node))

    check_twice(lambda v: total(checkpoint(inner)(v)), x)
    graph = trace_function(grad(lambda v: total(checkpoint(inner)(v))), [as_tensor(x)]).graph
    names = [n.name for n in graph.nodes]
    assert "checkpoint_vjp" in names
    assert "exp" not in names


COMPOSITES = {
    "softmax": lambda x: Tensor(p.softmax(x.node)),
    "log_softmax": lambda x: Tensor(p.log_softmax(x.node)),
    "logsumexp": lambda x: Tensor(p.logsumexp(x.node)),
    "gelu": lambda x: Tensor(p.gelu(x.node, approximate=False)),
    "gelu_tanh": lambda x: Tensor(p.gelu(x.node, approximate=True)),
    "silu": lambda x: Tensor(p.silu(x.node)),
    "relu": lambda x: Tensor(p.relu(x.node)) * x,
    "sort": lambda x: Tensor(p.sort(x.node)) * np.arange(4.0),
    "top_k": lambda x: Tensor(p.project(p.top_k(x.node, k=2), 0)) * np.array([1.0, 3.0]),
    "softmax_cross_entropy": lambda x: Tensor(p.softmax_cross_entropy(x.node, p.exp(x.node))),
    "sparse_softmax_cross_entropy": lambda x: Tensor(
        p.sparse_softmax_cross_entropy(x.node, as_tensor([1, 3, 0]).node)
    ),
    "layer_norm": lambda x: Tensor(
        p.layer_norm(x.node, as_tensor(np.arange(4.0)).node, as_tensor(np.ones(4)).node, epsilon=1e-3)
    ),
}


@pytest.mark.parametrize("name", COMPOSITES)
def test_composite_derivatives(rng, name):
    x = rng.normal(size=(3, 4))
    weights = rng.normal(size=COMPOSITES[name](as_tensor(x)).shape)
    check_twice(lambda v: total(COMPOSITES[name](v) * weights), x)


def test_softmax_of_minus_infinity():
    x = as_tensor(np.array([[-np.inf, 0.0, 0.0], [-np.inf, -np.inf, -np.inf]]))
    result = ops.softmax(x).numpy()
    np.testing.assert_array_equal(result[0], [0.0, 0.5, 0.5])
    assert np.isnan(result[1]).all()


def test_attention_derivatives(rng):
    q, k, v = (rng.normal(size=(1, 2, 3, 4)) for _ in range(3))

    def fn(x):
        result = p.attention(x.node, as_tensor(k).node, as_tensor(v).node, scale=0.5, causal=False, rate=0.0)
        return total(Tensor(p.project(result, 0)) * 1.5)

    check_twice(fn, q)


def test_top_k_keeps_the_order_of_equals():
    values, order = (
        p.project(p.top_k(as_tensor([1.0, 3.0, 3.0, 2.0]).node, k=3), 0),
        p.project(p.top_k(as_tensor([1.0, 3.0, 3.0, 2.0]).node, k=3), 1),
    )
    assert Tensor(values).tolist() == [3.0, 3.0, 2.0]
    assert Tensor(order).tolist() == [1, 2, 3]
