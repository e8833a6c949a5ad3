"""Tensor: operators against NumPy, promotion, reading values, lazy evaluation, threads."""

from __future__ import annotations

import copy
import operator
import pickle
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import hornbeam
from hornbeam import engines, ops
from hornbeam.core import convert
from hornbeam.core.convert import as_tensor
from hornbeam.core.tensor import MAX_LAZY_DEPTH, Tensor
from hornbeam.ir.graph import Graph
from hornbeam.ir.types import HornbeamTypeError, ShapeError

pytestmark = pytest.mark.usefixtures("engine")
# The engine is the same for every example, so the fixture may be shared by them.
few = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])

BINARY = [
    operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv, operator.mod, operator.eq,
    operator.ne, operator.lt, operator.le, operator.gt, operator.ge,
]  # fmt: skip
BITS = [operator.and_, operator.or_, operator.xor]
ID = operator.attrgetter("__name__")


def same(actual: object, expected: np.ndarray, **close: float) -> None:
    """Equal in shape, dtype and values (within `close`, if given)."""
    array = np.asarray(actual)
    assert array.shape == np.shape(expected)
    assert array.dtype == expected.dtype
    if close:
        np.testing.assert_allclose(array, expected, **close)
    else:
        np.testing.assert_array_equal(array, expected)


# -- operators -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fn", BINARY, ids=ID)
@pytest.mark.parametrize("dtype", ["float32", "float64", "int8", "int32", "int64"])
def test_binary_operators(rng: np.random.Generator, fn: Callable, dtype: str) -> None:
    x = rng.integers(-9, 9, (4, 1, 5)).astype(dtype)
    y = rng.integers(1, 9, (3, 5)).astype(dtype) * np.where(rng.random((3, 5)) < 0.5, -1, 1).astype(dtype)
    expected = fn(x, y)
    if fn is operator.truediv and not dtype.startswith("float"):
        expected = fn(x.astype("float32"), y.astype("float32"))
    same(fn(as_tensor(x), as_tensor(y)), expected, rtol=1e-6)
    same(fn(as_tensor(x), y), expected, rtol=1e-6)
    same(fn(x, as_tensor(y)), expected, rtol=1e-6)
    assert isinstance(fn(x, as_tensor(y)), Tensor)


@pytest.mark.parametrize("fn", BITS, ids=ID)
@pytest.mark.parametrize("dtype", ["bool", "int16", "uint8", "uint64"])
def test_bit_operators(rng: np.random.Generator, fn: Callable, dtype: str) -> None:
    x, y = (rng.integers(0, 100, 20).astype(dtype) for _ in range(2))
    same(fn(as_tensor(x), as_tensor(y)), fn(x, y))
    same(fn(x, as_tensor(y)), fn(x, y))
    same(~as_tensor(x), ~x)


def test_unary_operators() -> None:
    x = np.array([-2.5, 0.0, 3.0], "float32")
    same(-as_tensor(x), -x)
    same(+as_tensor(x), x)
    same(abs(as_tensor(x)), abs(x))
    same(abs(as_tensor([True, False])), np.array([True, False]))
    same(-as_tensor(np.uint8([200])), np.uint8([56]))


@pytest.mark.parametrize("dtype", ["int8", "int32", "int64", "float32", "float64"])
def test_signs_of_floor_divide_and_mod(dtype: str) -> None:
    x, y = (a.ravel().astype(dtype) for a in np.meshgrid(np.arange(-7, 8), [-3, -2, -1, 1, 2, 5]))
    same(as_tensor(x) // as_tensor(y), x // y)
    same(as_tensor(x) % as_tensor(y), x % y)
    same(7 // as_tensor(y), np.asarray(7, dtype) // y)
    same(-7 % as_tensor(y), np.asarray(-7, dtype) % y)


@few
@example(665170.8125, 0.080078125)  # the quotient of large floats may be rounded to a half
@given(st.floats(-1e6, 1e6, width=32), st.floats(-1e3, 1e3, width=32).filter(lambda y: abs(y) > 1e-3))
def test_floor_divide_of_floats_is_numpy_s(x: float, y: float) -> None:
    a, b = np.float32(x), np.float32(y)
    same(as_tensor(np.array([a])) // as_tensor(np.array([b])), np.array([a // b]))
    same(as_tensor(np.array([a])) % as_tensor(np.array([b])), np.array([a % b]))


def test_floor_divide_at_the_edges() -> None:
    assert float(as_tensor(6.0) // 0.1) == 59.0  # as Python and NumPy; floor(6 / 0.1) would be 60
    ends = as_tensor(np.array([1.0, -1.0, 0.0, np.inf, 5.0, -5.0]))
    with np.errstate(all="ignore"):
        for divisor in (0.0, np.inf, -np.inf):
            np.testing.assert_array_equal((ends // divisor).numpy(), ends.numpy() // divisor)
            np.testing.assert_array_equal((ends % divisor).numpy(), ends.numpy() % divisor)
    assert (as_tensor([7, -7]) // 0).tolist() == (as_tensor([7, -7]) % 0).tolist() == [0, 0]
    lowest = as_tensor(np.int32([-(2**31)]))
    assert ((lowest // -1).tolist(), (lowest % -1).tolist()) == ([-(2**31)], [0])


@pytest.mark.parametrize("exponent", [0, 1, 2, 3, 4, 5, 0.5, -1.0, 2.5])
def test_power(exponent: float) -> None:
    x = np.array([0.5, 1.0, 2.0, 3.5], "float32")
    same(as_tensor(x) ** exponent, x ** np.float32(exponent), rtol=1e-6)
    same(exponent ** as_tensor(x), np.float32(exponent) ** x, rtol=1e-6) if exponent > 0 else None
    if isinstance(exponent, int):
        i = np.array([-3, -1, 0, 1, 2])
        same(as_tensor(i) ** exponent, i**exponent)


def test_power_of_integers() -> None:
    same(as_tensor(np.int32([2, 3])) ** as_tensor(np.int32([10, 4])), np.int32([1024, 81]))
    same(as_tensor(True) ** 2, np.int32(1))
    with pytest.raises(ValueError, match="int32 to the power -1 is not an integer"):
        as_tensor([1, 2]) ** -1


def test_arithmetic_of_booleans() -> None:
    x, y = np.array([True, True, False]), np.array([True, False, False])
    same(as_tensor(x) + as_tensor(y), x | y)
    same(as_tensor(x) * as_tensor(y), x & y)
    same(as_tensor(x) // as_tensor([True, True, True]), np.int32([1, 1, 0]))
    same(as_tensor(x) % True, np.int32([0, 0, 0]))
    same(as_tensor(x) / True, np.float32([1, 1, 0]))
    for wrong in (lambda: as_tensor(x) - as_tensor(y), lambda: -as_tensor(x)):
        with pytest.raises(HornbeamTypeError, match="does not take bool"):
            wrong()
    with pytest.raises(HornbeamTypeError, match="does not take float32"):
        as_tensor([1.0]) & as_tensor([2.0])


def test_operators_take_numpy_scalars_and_lists() -> None:
    x = as_tensor(np.arange(3, dtype="float32"))
    for one in (
        np.float32(1),
        np.float64(1),
        np.int64(1),
        np.True_,
        True,
        1,
        1.0,
        [1, 1, 1],
        (1.0, 1.0, 1.0),
    ):
        assert isinstance(one + x, Tensor)
        assert (one + x).tolist() == (x + one).tolist() == [1.0, 2.0, 3.0]
    # NumPy's own in-place operators hand over to the tensor.
    array = np.ones(3, "float32")
    array += x
    assert isinstance(array, Tensor)
    assert array.tolist() == [1.0, 2.0, 3.0]
    same(np.exp(x), np.exp(np.arange(3, dtype="float32")), rtol=1e-6)


def test_nan_is_just_not_equal() -> None:
    x = as_tensor([1.0, 2.0])
    for other in (None, "a", object(), {"a": 1}):
        assert (x == other) is False
        assert (x != other) is True
    for other in (None, "a", object()):
        with pytest.raises(TypeError):
            x + other


# -- dtypes --------------------------------------------------------------------------------------------------

# Where NumPy (2) goes to float64, we go no wider than the widest float given, or to float32.
DTYPES = [
    "bool",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "float16",
    "float32",
    "float64",
]


@pytest.mark.parametrize("a", DTYPES)
@pytest.mark.parametrize("b", DTYPES)
def test_promotion_against_numpy(a: str, b: str) -> None:
    ours = convert.result_dtype(as_tensor(np.ones(1, a)), as_tensor(np.ones(1, b)))
    numpys = np.result_type(np.dtype(a), np.dtype(b)).name
    floats = [d for d in (a, b) if d.startswith("float")]
    if floats:
        assert ours == max(floats, key=lambda d: np.dtype(d).itemsize)
    elif numpys == "float64":
        assert ours == "float32"
    elif numpys == "int64" and not {a, b} & {"int64", "uint64"}:
        assert ours == "int32"  # 32 bits stay 32 bits, as in Keras
    else:
        assert ours == numpys


@pytest.mark.parametrize("dtype", [d for d in DTYPES if d != "bool"])
def test_python_numbers_take_the_tensor_s_dtype(dtype: str) -> None:
    x = as_tensor(np.ones(2, dtype))
    assert (x + 1).dtype == (1 + x).dtype == (x * True).dtype == dtype
    assert (
        (x + 1.0).dtype == (x + np.float64(1.0)).dtype == (dtype if dtype.startswith("float") else "float32")
    )


def test_python_numbers_that_do_not_fit_are_refused() -> None:
    for number in (300, -1):
        with pytest.raises(OverflowError, match=f"{number} out of bounds for uint8"):
            as_tensor(np.uint8([1])) + number


def test_dtypes_of_new_tensors() -> None:
    results = [
        as_tensor(x).dtype for x in (1, 1.0, True, [1], [1.0], [True], [[1], [2]], 2**40, [2**40], [2**63])
    ]
    assert results == [
        "int32", "float32", "bool", "int32", "float32", "bool", "int32", "int64", "int64", "uint64",
    ]  # fmt: skip
    assert as_tensor(2**40).item() == as_tensor([2**40]).tolist()[0] == 2**40
    assert as_tensor(np.arange(2)).dtype == "int64"
    assert as_tensor(np.arange(2), "float16").dtype == as_tensor([1, 2], "float16").dtype == "float16"
    same(as_tensor(np.arange(3, dtype=">f4")), np.arange(3, dtype="f4"))
    same(as_tensor(np.arange(6, dtype="f4")[::-2]), np.array([5, 3, 1], "f4"))
    try:
        hornbeam.config.set_floatx("float64")
        assert (as_tensor(1.0).dtype, as_tensor([1.0]).dtype, (as_tensor([1]) / 2).dtype) == ("float64",) * 3
    finally:
        hornbeam.config.set_floatx("float32")


def test_what_cannot_be_a_tensor() -> None:
    for wrong, text in [
        ("a", "tensors hold numbers"),
        (None, "cannot convert NoneType to a tensor"),
        (object(), "cannot convert object to a tensor"), ([1, None], "cannot convert list to a tensor"),
        (np.array(["2020-01-01"], "M8[D]"), "unknown dtype"),
    ]:  # fmt: skip
        with pytest.raises(HornbeamTypeError, match=text):
            as_tensor(wrong)
    with pytest.raises(ShapeError, match="inhomogeneous"):
        as_tensor([[1], [1, 2]])


def test_lists_of_tensors_are_stacked() -> None:
    x, y = as_tensor(np.float32([1, 2])), as_tensor(np.float32([3, 4]))
    same(as_tensor([x, y]), np.float32([[1, 2], [3, 4]]))
    same(as_tensor([x[0], 7]), np.float32([1, 7]))
    same(as_tensor([[x[0], 2], [3, y[1]]]), np.float32([[1, 2], [3, 4]]))
    assert as_tensor([x, y], "int32").dtype == "int32"
    assert hornbeam.grad(lambda v: as_tensor([v, v * v])[1])(3.0).item() == 6.0
    assert hornbeam.jit(lambda v: as_tensor([v, v + 1.0]))(np.float32(1)).tolist() == [1.0, 2.0]
    with pytest.raises(ShapeError, match=r"items of shapes \(\), \(2,\)"):
        as_tensor([x, y[0]])


def test_cast_truncates_and_saturates() -> None:
    x = as_tensor([1.7, -1.7, np.nan, 1e20, -1e20])
    assert x.astype("int32").tolist() == [1, -1, 0, 2**31 - 1, -(2**31)]
    assert x.astype(bool).tolist() == [True] * 5
    assert as_tensor(x, "float32") is x


# -- shapes --------------------------------------------------------------------------------------------------

shapes = st.lists(st.integers(0, 3), max_size=3).map(tuple)


@few
@given(shapes, shapes)
def test_broadcasting_is_numpy_s(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    x, y = np.arange(np.prod(a, dtype=int), dtype="f4").reshape(a), np.ones(b, "f4") * 3
    try:
        expected = x + y
    except ValueError:
        with pytest.raises(ShapeError) as error:
            as_tensor(x) + as_tensor(y)
        assert str(a) in str(error.value)
        assert str(b) in str(error.value)
    else:
        same(as_tensor(x) + as_tensor(y), np.asarray(expected))


@few
@given(st.data())
def test_matmul_is_numpy_s(data: st.DataObject) -> None:
    lead = data.draw(st.lists(st.integers(1, 3), max_size=2).map(tuple))
    m, k, n = (data.draw(st.integers(0, 4)) for _ in range(3))

    def part_of_lead() -> tuple[int, ...]:
        own = lead[data.draw(st.integers(0, len(lead))) :]
        return tuple(data.draw(st.sampled_from((1, size))) for size in own)

    a = data.draw(st.sampled_from([(k,), (*part_of_lead(), m, k)]))
    b = data.draw(st.sampled_from([(k,), (*part_of_lead(), k, n)]))
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=a), rng.normal(size=b)
    same(as_tensor(x) @ as_tensor(y), np.asarray(x @ y), rtol=1e-12, atol=1e-12)
    same(x @ as_tensor(y), np.asarray(x @ y), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("a", [(3,), (2, 3), (4, 2, 3), (5, 4, 2, 3), (5, 1, 2, 3)])
@pytest.mark.parametrize("b", [(3,), (3, 6), (4, 3, 6), (5, 4, 3, 6), (1, 4, 3, 6)])
def test_matmul_of_all_ranks(rng: np.random.Generator, a: tuple[int, ...], b: tuple[int, ...]) -> None:
    x, y = rng.normal(size=a), rng.normal(size=b)
    same(as_tensor(x) @ as_tensor(y), np.asarray(x @ y), rtol=1e-12)


def test_matmul_of_integers() -> None:
    x, y = np.arange(6, dtype="int32").reshape(2, 3), np.arange(12, dtype="int32").reshape(3, 4)
    same(as_tensor(x) @ as_tensor(y), x @ y)


def test_matmul_says_what_does_not_fit() -> None:
    x = as_tensor(np.ones((2, 3), "float32"))
    with pytest.raises(ShapeError, match=r"matmul of \(2, 3\) and \(2, 3\): the inner sizes differ"):
        x @ x
    with pytest.raises(ShapeError, match=r"at least vectors, got shapes \(2, 3\) and \(\)"):
        x @ 2.0
    with pytest.raises(ShapeError, match="do not broadcast"):
        as_tensor(np.ones((2, 2, 3))) @ np.ones((4, 3, 2))


# -- reading values ------------------------------------------------------------------------------------------


def test_values_are_copies_or_read_only() -> None:
    source = np.ones(3, "float32")
    x = as_tensor(source)
    source[0] = 7.0
    assert x.tolist() == [1.0, 1.0, 1.0]
    for held in (x, x + 1, x * 2.0, hornbeam.Variable(source)):
        with pytest.raises(ValueError, match="read-only"):
            held.numpy()[0] = 9.0
    array = np.asarray(x)
    array[0] = 5.0
    assert x.tolist() == [1.0, 1.0, 1.0]
    assert np.array(x, dtype="float64").dtype == "float64"
    if int(np.__version__.split(".")[0]) >= 2:
        assert not np.asarray(x, copy=False).flags.writeable
        with pytest.raises(ValueError, match="without a copy"):
            np.asarray(x, dtype="float64", copy=False)


def test_results_do_not_share_memory_with_arguments() -> None:
    """A compiled function borrows the arrays that it is called with, for the call."""
    for fn in (
        lambda x: x,
        lambda x: x[1:],
        lambda x: ops.reshape(x, (-1, 2)),
        lambda x: {"a": x, "b": x + 1}["a"],
    ):
        source = np.zeros(100_000, "float32")
        result = hornbeam.jit(fn)(source)
        source[:] = 7.0
        assert not np.any(np.asarray(result))


def test_python_numbers_out_of_tensors() -> None:
    assert float(as_tensor(1.5)) == as_tensor(1.5).item() == 1.5
    assert int(as_tensor(3.7)) == 3
    assert bool(as_tensor([0.0])) is False
    assert [10, 11, 12][as_tensor(1)] == 11
    assert f"{as_tensor(1.25):.1f}" == "1.2"
    assert list(range(as_tensor(3))) == [0, 1, 2]
    x = as_tensor([1.0, 2.0])
    for read in (float, int, bool):
        with pytest.raises(ValueError, match=r"is not one number|neither true nor false"):
            read(x)
    for wrong in (x, as_tensor(1.0)):
        with pytest.raises(TypeError, match="only an integer scalar can be an index, got float32"):
            [1, 2][wrong]


def test_length_and_iteration() -> None:
    x = as_tensor(np.arange(6.0).reshape(3, 2))
    assert len(x) == 3
    assert (x.ndim, x.size, x.shape, x.dtype) == (2, 6, (3, 2), "float64")
    assert [row.tolist() for row in x] == [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]
    first, *_ = x
    assert isinstance(first, Tensor)
    for fn in (len, iter):
        with pytest.raises(TypeError, match="a scalar tensor has no length"):
            fn(as_tensor(1.0))


def test_printing() -> None:
    assert str(as_tensor([1.0, 2.0])) == "<Tensor shape=(2,) dtype=float32\n[1. 2.]>"
    assert str(as_tensor(79)) == "<Tensor shape=() dtype=int32 79>"  # a scalar on one line
    assert f"{as_tensor(3)}" == "3"  # as in TensorFlow and JAX
    shown = []
    hornbeam.jit(lambda x: [shown.append(repr(x)), x][1])(np.ones((2, 1), "float32"))
    assert shown == ["<Tensor float32[2,1] (being traced)>"]


def test_methods_that_are_functions() -> None:
    with pytest.raises(AttributeError, match=r"a Tensor has no 'sum': write hornbeam\.ops\.sum\(x\)"):
        _ = as_tensor(1.0).sum
    with pytest.raises(AttributeError, match=r"a Tensor has no 'nonsense'$"):
        _ = as_tensor(1.0).nonsense


def test_attributes_of_the_user() -> None:
    """As those of PyTorch and TensorFlow, tensors take attributes; they are not part of the value."""
    x: Any = as_tensor(1.0)
    x.mark = "input"
    assert x.mark == "input"
    assert not hasattr(x * 1.0, "mark")


def test_tensors_are_pickled_and_copied_by_value() -> None:
    x = as_tensor([1.0, 2.0]) * 2
    for duplicate in (pickle.loads(pickle.dumps(x)), copy.copy(x), copy.deepcopy(x)):
        same(duplicate, np.float32([2, 4]))
    assert len({x: 1, as_tensor([1.0]): 2}) == 2


# -- lazy evaluation -----------------------------------------------------------------------------------------


class Counter:
    """Count the graphs that the engine ran, and their nodes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.runs: list[list[str]] = []
        engine = engines.current_engine()
        executable = engine.executable

        def counted(graph: Graph) -> object:
            self.runs.append([node.name for node in graph.nodes])
            return executable(graph)

        monkeypatch.setattr(engine, "executable", counted)

    def names(self) -> list[str]:
        return [name for names in self.runs for name in names]


def test_nothing_runs_until_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    counter = Counter(monkeypatch)
    x = ops.exp(as_tensor(np.arange(3.0))) + 1
    y = ops.sum(x)
    assert (x.shape, y.dtype) == ((3,), "float64")
    assert counter.runs == []
    float(y)
    assert len(counter.runs) == 1
    x.numpy()
    float(y)
    assert len(counter.runs) == 1  # what is held was computed on the way


def test_shared_values_are_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    counter = Counter(monkeypatch)
    x = as_tensor(np.arange(3.0))
    shared = ops.exp(x)
    results = [shared + i for i in range(5)]
    for result in results:
        result.numpy()
    float(ops.sum(shared))
    assert counter.names().count("exp") == 1
    # Asked for anew it is computed anew: who reads a value must not cut off other people's derivatives.
    float(ops.sum(ops.exp(x)))
    assert counter.names().count("exp") == 2


def test_values_without_references_are_not_kept() -> None:
    x = as_tensor(np.arange(3.0))
    y = ops.exp(ops.sin(x))
    inner = y.node.inputs[0]
    y.numpy()
    assert inner.value is None
    assert y.node.inputs == ()


def test_doubling_does_not_explode(monkeypatch: pytest.MonkeyPatch) -> None:
    x = as_tensor(np.float32([1.0]))
    for _ in range(100):
        x = x + x
    counter = Counter(monkeypatch)
    assert x.tolist() == [2.0**100]
    assert len(counter.names()) <= 100


def test_deep_chains() -> None:
    """Deeper than Python's recursion limit, eager and compiled."""
    depth = 3 * sys.getrecursionlimit()
    x = as_tensor(np.float32([0.0]))
    deepest = 0
    for _ in range(depth):
        x = x + 1.0
        deepest = max(deepest, x.node.depth)
    assert deepest <= MAX_LAZY_DEPTH + 1
    assert x.tolist() == [depth]

    def chain(v: Tensor) -> Tensor:
        for _ in range(depth):
            v = v * 1.0 + 1.0
        return v

    assert hornbeam.jit(chain)(np.float32([0.0])).tolist() == [depth]
    assert hornbeam.grad(lambda v: chain(v)[0])(np.float32([0.0])).tolist() == [1.0]


# -- threads -------------------------------------------------------------------------------------------------


def in_threads(work: Callable[[int], object], count: int = 8, rounds: int = 25) -> list[object]:
    """`work(i)` in `count` threads at once, `rounds` times each; errors are raised here."""
    barrier = threading.Barrier(count)

    def body(index: int) -> list[object]:
        barrier.wait()
        return [work(index) for _ in range(rounds)]

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(count) as pool:
            return [result for results in pool.map(body, range(count)) for result in results]
    finally:
        sys.setswitchinterval(interval)


def test_threads_reading_one_pending_value() -> None:
    for _ in range(30):
        x = as_tensor(np.arange(4.0))
        y = ops.exp(x) * 2
        z = ops.sum(y + 1)
        expected = float(np.sum(np.exp(np.arange(4.0)) * 2 + 1))
        actual = in_threads(lambda i, y=y, z=z: float(z) if i % 2 else float(ops.sum(y + 1)), rounds=1)
        np.testing.assert_allclose(actual, expected)


def test_threads_building_and_reading_their_own() -> None:
    def work(index: int) -> float:
        x = as_tensor(np.full(3, float(index)))
        for _ in range(5):
            x = x * 2 + 1
        return float(ops.sum(x)) - 3 * (index * 32 + 31)

    assert in_threads(work) == [0.0] * 200


def test_threads_calling_one_compiled_function() -> None:
    scale = hornbeam.Variable([2.0, 3.0])
    fn = hornbeam.jit(lambda x: ops.sum(x * scale))
    assert in_threads(lambda index: float(fn(np.float32([index, 1.0]))) - 2.0 * index) == [3.0] * 200


def test_threads_calling_a_compiled_function_that_assigns() -> None:
    total = hornbeam.Variable(np.zeros(1000, "float32"))

    @hornbeam.jit
    def add(x: Tensor) -> Tensor:
        total.assign_add(x)
        return ops.sum(x)

    assert in_threads(lambda index: float(add(np.ones(1000, "float32")))) == [1000.0] * 200
    assert total.numpy().tolist() == [200.0] * 1000


def test_repeated_code_is_compiled_once(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    result = engines.current_engine()
    compiled: list[Graph] = []
    compile = result.compile
    monkeypatch.setattr(result, "compile", lambda graph: (compiled.append(graph), compile(graph))[1])
    x = as_tensor(np.arange(7.0, dtype="float32"))
    step = as_tensor(np.full(7, 0.125, "float32"))
    for _ in range(5):
        x = x - 0.3125 * step
        x.numpy()
    assert len(compiled) <= 1
    before = len(compiled)
    (x - 0.4375 * step).numpy()
    (x + 0.3125 * step).numpy()
    assert len(compiled) == before + 2, "another number and another operation are other graphs"


def test_equal_operations_are_one_node_while_they_are_referenced() -> None:
    x, y = as_tensor(np.ones(3, "float32")), as_tensor(np.ones(3, "float32"))
    first = x + y
    assert (x + y).node is first.node
    uid = first.node.uid
    del first
    assert (x + y).node.uid != uid


def test_the_two_zeros_are_two_numbers() -> None:
    one = as_tensor(np.ones(2, "float32"))
    assert np.signbit(np.asarray(one * 0.0)).tolist() == [False, False]
    assert np.signbit(np.asarray(one * -0.0)).tolist() == [True, True]
