"""Variables that branches and loops assign."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import hornbeam
from hornbeam import ops


@pytest.fixture(params=["eager", "jit"])
def run(request: pytest.FixtureRequest) -> Callable[[Callable[..., object]], Callable[..., object]]:
    """Leaves a function as it is, or compiles it."""
    return hornbeam.jit if request.param == "jit" else lambda fn: fn


@pytest.mark.parametrize("pred", [True, False])
def test_only_one_branch_assigns(pred: bool, run: Callable) -> None:
    v, w = hornbeam.Variable(1.0), hornbeam.Variable(5.0)

    def branch() -> object:
        v.assign_add(10.0)
        return v * 2.0  # reads the new value

    def other() -> object:
        w.assign(v)
        return v + 0.0

    result = run(lambda p: ops.cond(p, branch, other))(ops.array(pred))
    assert (float(v), float(w), float(result)) == ((11, 5, 22) if pred else (1, 1, 1))


def test_branches_without_results(run: Callable) -> None:
    v = hornbeam.Variable([1.0, 2.0])
    run(lambda p: ops.cond(p, lambda: v.assign(v * 3.0) * 0, lambda: v * 0))(ops.array(False))
    run(lambda p: ops.cond(p, lambda: v.assign(v + 1.0) * 0, lambda: v * 0))(ops.array(True))
    assert v.tolist() == [2.0, 3.0]


def test_switch(run: Callable) -> None:
    v = hornbeam.Variable(0.0)
    branches = [lambda x, i=i: v.assign(v + x * 10.0**i) for i in range(3)]
    step = run(lambda i: ops.switch(i, branches, ops.array(2.0)))
    for i in (0, 2, 2, 1):
        step(ops.array(i))
    assert float(v) == 422


def test_while_loop_carries_variables(run: Callable) -> None:
    v = hornbeam.Variable(0.5)

    def body(i: hornbeam.Tensor) -> tuple[hornbeam.Tensor]:
        v.assign(v * 2.0)
        return (i + 1,)

    steps = run(lambda n: ops.while_loop(lambda i: i < n, body, (0,))[0])(ops.array(5))
    assert int(steps) == 5
    assert float(v) == 16.0


def test_condition_of_a_loop_must_not_assign() -> None:
    v = hornbeam.Variable(0.0)
    with pytest.raises(RuntimeError, match="in the condition of while_loop: assign it in the body"):
        ops.while_loop(lambda i: v.assign_add(1.0) < 3.0, lambda i: (i + 1,), (0,))


def test_scan_carries_variables(run: Callable) -> None:
    v = hornbeam.Variable(1.0)

    def step(total: hornbeam.Tensor, x: hornbeam.Tensor) -> tuple[hornbeam.Tensor, hornbeam.Tensor]:
        v.assign(v * 2.0 + x)
        return total + v, v + 0.0

    total, outputs = run(lambda x: ops.scan(step, ops.array(0.0), x))(ops.array([1.0, 2.0, 3.0]))
    assert np.asarray(outputs).tolist() == [3.0, 8.0, 19.0]
    assert (float(total), float(v)) == (30.0, 19.0)


def test_nested_bodies(run: Callable) -> None:
    v = hornbeam.Variable(0.0)

    def body(i: hornbeam.Tensor) -> tuple[hornbeam.Tensor]:
        ops.cond(i % 2 == 0, lambda: v.assign_add(1.0), lambda: v.assign_add(100.0))
        return (i + 1,)

    run(lambda n: ops.while_loop(lambda i: i < n, body, (0,))[0])(ops.array(5))
    assert float(v) == 203.0


def test_a_loop_draws_new_random_numbers_in_each_step() -> None:
    layer = hornbeam.layers.Dropout(0.5, seed=1)
    rows = ops.map(lambda row: layer(row, training=True), ops.ones((8, 64)))
    assert len({tuple(row) for row in np.asarray(rows).tolist()}) == 8


def test_gradient_through_a_loop_that_assigns() -> None:
    v = hornbeam.Variable(0.0)

    def loss(w: hornbeam.Tensor) -> hornbeam.Tensor:
        def step(total: hornbeam.Tensor, x: hornbeam.Tensor) -> tuple[hornbeam.Tensor, None]:
            v.assign_add(1.0)
            return total + w * x * v, None

        return ops.scan(step, ops.array(0.0), ops.array([1.0, 2.0]))[0]

    value, gradient = hornbeam.value_and_grad(loss)(ops.array(3.0))
    assert (float(value), float(gradient)) == (15.0, 5.0)


def test_variables_made_in_a_body_are_refused() -> None:
    def body(i: hornbeam.Tensor) -> tuple[hornbeam.Tensor]:
        hornbeam.Variable(0.0, name="fresh").assign(ops.cast(i, "float32"))
        return (i + 1,)

    with pytest.raises(RuntimeError, match="makes new variables each time it is traced, such as 'fresh'"):
        ops.while_loop(lambda i: i < 3, body, (0,))
