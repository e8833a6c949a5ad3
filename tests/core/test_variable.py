"""Variables: assigning, dtypes, errors, recorders, memory that may and may not be given away, budgets."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import hornbeam
from hornbeam import engines, initializers, ops
from hornbeam.core.tensor import Tensor
from hornbeam.core.variable import (
    Variable,
    VariableTracer,
    allocation_budget,
    autocast,
    borrow_buffers,
    current_variable_tracer,
    eager_scope,
)
from hornbeam.errors import AllocationError
from hornbeam.ir.trace import new_level
from hornbeam.ir.types import ShapeError

pytestmark = pytest.mark.usefixtures("engine")


def test_dtypes_of_initial_values() -> None:
    values = [1, True, [1], 1.0, [1.0], np.ones(2), np.ones(2, int), np.float16([1]), ops.ones(2, "int8")]
    results = [Variable(value).dtype for value in values]
    assert results == [
        "int32", "bool", "int32", "float32", "float32", "float64", "int64", "float16", "int8",
    ]  # fmt: skip
    assert Variable([1.5], dtype="int32").numpy().tolist() == [1]
    assert Variable(1, dtype="float64").dtype == "float64"


def test_initializers_are_called_once() -> None:
    asked = []

    def initializer(shape: tuple[int, ...], dtype: str) -> Tensor:
        asked.append((shape, dtype))
        return ops.ones(shape, dtype)

    assert Variable(initializer, shape=[2, 3]).shape == (2, 3)
    assert asked == [((2, 3), "float32")]
    assert Variable(initializer, shape=(), dtype="float16").dtype == "float16"
    assert Variable("ones", shape=(2,)).numpy().tolist() == [1.0, 1.0]
    assert Variable(initializers.Constant(3.0), shape=(1,)).numpy().tolist() == [3.0]


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: Variable("ones"), ValueError, "needs `shape`"),
        (lambda: Variable("onse", shape=(1,)), ValueError, "Did you mean 'ones'"),
        (lambda: Variable(initializers.Ones, shape=(1,)), ValueError, r"is the class: write Ones\(\)"),
        (
            lambda: Variable(np.ones(2), shape=(3,), name="w"),
            ShapeError,
            r"variable w should have shape \(3,\)",
        ),
        (lambda: Variable(1.0, name="a/b"), ValueError, "without '/'"),
        (lambda: Variable(None), TypeError, "cannot convert NoneType to a tensor"),
        (lambda: Variable(1.0, layout="x"), TypeError, "TensorLayout"),
    ],
)
def test_what_cannot_be_a_variable(make: object, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        make()


def test_assign() -> None:
    v = Variable([1.0, 2.0], name="w")
    before = v.value
    result = v.assign([3, 4])
    assert (v.dtype, v.numpy().tolist(), result.tolist()) == ("float32", [3.0, 4.0], [3.0, 4.0])
    assert before.tolist() == [1.0, 2.0]
    assert v.assign_add([1.0, 1.0]).tolist() == v.numpy().tolist() == [4.0, 5.0]
    assert v.assign_sub(1.0).tolist() == v.numpy().tolist() == [3.0, 4.0]
    i = Variable([1, 2])
    i.assign([1.9, -1.9])
    assert i.numpy().tolist() == [1, -1]
    for wrong in (1.0, [1.0, 2.0, 3.0], [[1.0, 2.0]]):
        with pytest.raises(ShapeError, match=r"variable 'w' has shape \(2,\), it cannot take"):
            v.assign(wrong)


def test_a_variable_is_a_tensor() -> None:
    v = Variable([1.0, 2.0])
    assert (v + 1).tolist() == (1 + v).tolist() == [2.0, 3.0]
    assert (float(v[1]), len(v), v.ndim, v.shape, [float(x) for x in v]) == (2.0, 2, 1, (2,), [1.0, 2.0])
    assert np.asarray(v).tolist() == [1.0, 2.0]
    assert {v: 1}[v] == 1
    w = v
    w += 1  # as everywhere in Python: a new value under the name, not a changed variable
    assert isinstance(w, Tensor)
    assert v.numpy().tolist() == [1.0, 2.0]


def test_values_do_not_alias() -> None:
    source = np.ones(3, "float32")
    v = Variable(source)
    w = Variable(v)
    source[:] = 5.0
    v.assign_add([1.0, 1.0, 1.0])
    assert v.numpy().tolist() == [2.0] * 3
    assert w.numpy().tolist() == [1.0] * 3


def test_printing() -> None:
    v = Variable([1.0, 2.0], name="w")
    assert repr(v) == str(v) == "<Variable w shape=(2,) dtype=float32\n[1. 2.]>"
    assert repr(Variable(3.0, name="s")) == "<Variable s shape=() dtype=float32 3.0>"
    shown = []
    hornbeam.jit(lambda: [shown.append(repr(v)), v][1])()
    assert shown == ["<Variable w shape=(2,) dtype=float32 (being traced)>"]


def test_copies() -> None:
    v = Variable([1.0, 2.0], trainable=False, name="w")
    for duplicate in (copy.deepcopy(v), pickle.loads(pickle.dumps(v))):
        assert isinstance(duplicate, Variable)
        assert (duplicate.name, duplicate.trainable, duplicate.numpy().tolist()) == ("w", False, [1.0, 2.0])
        duplicate.assign([5.0, 6.0])
    assert v.numpy().tolist() == [1.0, 2.0]


# -- autocast ------------------------------------------------------------------------------------------------


def test_autocast() -> None:
    v, exact, count = Variable([1.0 + 2**-12]), Variable([1.0], autocast=False), Variable([1])
    with autocast("float16"):
        assert (v.dtype, v.value.dtype, (v * 2).dtype) == ("float16",) * 3
        assert (exact.dtype, count.dtype) == ("float32", "int32")
        assert v.value.tolist() == [1.0]
        v.assign_add([2**-12])
        with autocast(None):
            assert v.dtype == "float32"
    assert v.numpy().tolist() == [1.0 + 2**-11]  # what is stored lost nothing


# -- compiled code -------------------------------------------------------------------------------------------


def test_a_recorder_notes_reads_and_writes() -> None:
    read, written, unused = Variable(1.0), Variable(2.0), Variable(3.0)
    with new_level() as level, VariableTracer(level) as tracer:
        written.assign(read + 1.0)
        assert written.value.node.inputs == (tracer.values[written],)  # without its derivative
        with eager_scope():
            assert current_variable_tracer() is None
            assert float(read) == 1.0
    assert list(tracer.inputs) == [read, written]
    assert list(tracer.assigned) == [written]
    assert unused not in tracer.values
    assert float(written) == 2.0  # a trace changes nothing


def test_what_was_read_stays_when_memory_is_given_away() -> None:
    """References to the old value keep it: a Tensor, an array, a view of it, pending work."""
    v = Variable(np.arange(100_000, dtype="float32"))

    @hornbeam.jit
    def step() -> None:
        v.assign(v * 2.0 + 1.0)

    expected = np.arange(100_000, dtype="float32")
    held = []
    for _ in range(4):
        held.append((v.value, v.numpy(), v.numpy()[::7], v + 1.0, Variable(v), expected))
        step()
        expected = expected * 2 + 1
    np.testing.assert_array_equal(v.numpy(), expected)
    for value, array, view, pending, duplicate, truth in held:
        for actual in (value.numpy(), array, duplicate.numpy(), pending.numpy() - 1.0):
            np.testing.assert_array_equal(actual, truth)
        np.testing.assert_array_equal(view, truth[::7])


def test_memory_is_donated_when_it_is_not_referenced() -> None:
    v = Variable(np.zeros(1000, "float32"))
    engine = engines.current_engine()
    v.assign_add(1.0)
    assert borrow_buffers([v], engine)[1][0]
    before = v.value
    assert not borrow_buffers([v], engine)[1][0]
    del before
    pending = v + 1.0
    assert not borrow_buffers([v], engine)[1][0]
    del pending
    duplicate = Variable(v)
    assert not borrow_buffers([v], engine)[1][0]
    del duplicate
    assert borrow_buffers([v], engine)[1][0]


def test_conditional_assignment_in_compiled_code() -> None:
    v = Variable(0.0)

    @hornbeam.jit
    def step(x: Tensor) -> Tensor:
        v.assign(ops.where(x > 0, v + x, v))
        return v * 10.0

    assert [float(step(np.float32(x))) for x in (1.0, -5.0, 2.0)] == [10.0, 10.0, 30.0]
    assert float(v) == 3.0


def test_errors_in_compiled_code_leave_the_variable_alone() -> None:
    v = Variable([1.0, 2.0])

    @hornbeam.jit
    def step() -> None:
        v.assign([5.0, 6.0])
        v.assign([1.0])

    with pytest.raises(ShapeError):
        step()
    assert v.numpy().tolist() == [1.0, 2.0]
    assert current_variable_tracer() is None


# -- budgets -------------------------------------------------------------------------------------------------


def test_allocation_budget() -> None:
    with allocation_budget(100, size=1000):
        Variable("zeros", shape=(10,))
        with pytest.raises(AllocationError, match=r"shape \(16,\) needs 64 bytes"):
            Variable("zeros", shape=(16,))
        with allocation_budget(1000, size=250):
            Variable("zeros", shape=(200,), dtype="float16")
            with pytest.raises(AllocationError, match="too many parameters"):
                Variable("zeros", shape=(51,), dtype="int8")
        Variable("zeros", shape=(15,))
        with pytest.raises(AllocationError):
            Variable("zeros", shape=(1,))
    Variable("zeros", shape=(100,))


def test_the_budget_is_checked_before_anything_is_made() -> None:
    def refuse(shape: tuple[int, ...], dtype: str) -> Tensor:
        raise AssertionError("the initializer must not run")

    with allocation_budget(1 << 20, size=1 << 60), pytest.raises(AllocationError):
        Variable(refuse, shape=(600_000_000, 128))


def test_derivatives_do_not_go_through_assignments() -> None:
    """The assigned value of a variable is a value, in compiled code as in eager code."""
    source, target = Variable(3.0), Variable(0.0)

    def gradients() -> list[Tensor]:
        target.assign(source * source)
        return hornbeam.gradients(target * source, [source, target])

    for run in (gradients, hornbeam.jit(gradients)):
        assert [float(gradient) for gradient in run()] == [9.0, 3.0]
