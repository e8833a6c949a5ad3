"""`tensor[...]` and `reshape` against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import hornbeam
from hornbeam import ops
from hornbeam.core.convert import as_tensor
from hornbeam.core.indexing import reshape
from hornbeam.errors import ConcretizationError
from hornbeam.ir.types import ShapeError

pytestmark = pytest.mark.usefixtures("engine")
many = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])

ARRAY = np.arange(24.0).reshape(2, 3, 4)


def check(array: np.ndarray, key: Any) -> None:
    """The same values as NumPy gives, or IndexError where NumPy raises it."""
    try:
        expected = array[key]
    except IndexError:
        with pytest.raises(IndexError):
            as_tensor(array)[key]
        return
    actual = as_tensor(array)[key].numpy()
    assert actual.shape == expected.shape
    np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize(
    "key",
    [
        0, -1, (1, 2, 3), (), ..., (..., 0), (0, ..., 1), None, (..., None), (None, 0, None),
        slice(None, None, -1), slice(5, 2), slice(1, 100), slice(-100, -1),
        (slice(None, None, -2), slice(1, None), None, slice(None, None, 2)),
        (slice(2, None, -1), slice(0, 0)),
        np.int64(1), np.array(1), range(2), [0, 1], [0, -1, 0], [], np.array([], int),
        np.array([[0, 1], [1, 0]]), np.array([0, 1], "uint8"),
        ([0, -1], [1, 2]), ([0], slice(None), [1]), (0, slice(None), [1, 2]), ([1, 0], 0), (0, [1, 0]),
        (slice(None), 0, [1, 2]), (slice(None), 0, ..., [1, 2]), ([0, 1], ..., [0, 1]),
        ([0, 1], None, [0, 1]), (None, [0, 1], [0, 1]),
        (slice(None), np.array([0, 2])[:, None], np.array([1, 3])),
        ARRAY > 5, ARRAY[:, :, 0] > 5, ARRAY > 100, [True, False], np.array([True, True]),
        (slice(None), [True, False, True]), ([[True, False, True], [False, True, False]], 1),
        ([True, False], [2], ...),
    ],
    ids=repr,
)  # fmt: skip
def test_getitem(key: Any) -> None:
    check(ARRAY, key)


@pytest.mark.parametrize(
    ("key", "text"),
    [
        (2, "index 2 is out of range for axis 0 with size 2"),
        (-3, "index -3 is out of range"),
        ((0, 0, 4), "axis 2 with size 4"),
        ([0, 5], r"index \[0 5\] is out of range for axis 0"),
        ((slice(None), [-4]), "out of range for axis 1 with size 3"),
        ((0, 0, 0, 0), r"too many indices: 4 for a tensor of shape \(2, 3, 4\)"),
        ((..., ...), "one Ellipsis"),
        (np.array([True, False, True]), "a mask of size 3 cannot select along axis 0 with size 2"),
        (1.0, "got float64 1.0"),
        ([0.0, 1.0], "array of ints or bools"),
        ("a", "got <U1 'a'"),
        (True, "got bool True"),
    ],
)
def test_wrong_indices(key: Any, text: str) -> None:
    with pytest.raises(IndexError, match=text):
        as_tensor(ARRAY)[key]


def test_other_errors_are_python_s() -> None:
    with pytest.raises(ValueError, match="step cannot be zero"):
        as_tensor(ARRAY)[::0]
    with pytest.raises(TypeError, match="slice indices must be integers"):
        as_tensor(ARRAY)[:"a"]  # type: ignore[misc]
    with pytest.raises(ShapeError, match="do not broadcast"):
        as_tensor(ARRAY)[[0, 1], [0, 1, 2]]
    with pytest.raises(TypeError, match="tensors do not change"):
        as_tensor(ARRAY)[0] = 1.0


def test_tensors_as_indices() -> None:
    x = as_tensor(ARRAY)
    for key in ([1, 0], [[0, -1]], 1):
        np.testing.assert_array_equal(x[as_tensor(key)], ARRAY[np.array(key)])
    np.testing.assert_array_equal(x[0, as_tensor([1, 2])], ARRAY[0, [1, 2]])
    np.testing.assert_array_equal(x[as_tensor([0, 1]), :, as_tensor(2)], ARRAY[[0, 1], :, 2])
    np.testing.assert_array_equal(x[as_tensor(0) : as_tensor(1)], ARRAY[0:1])
    np.testing.assert_array_equal(x[x > 5], ARRAY[ARRAY > 5])
    # Values of tensors may not be known yet, so they are held inside the range instead of being refused.
    np.testing.assert_array_equal(x[as_tensor([7, -9])], ARRAY[[1, 0]])


def test_indices_inside_compiled_functions() -> None:
    fn = hornbeam.jit(lambda x, i: x[i, ..., -1])
    np.testing.assert_array_equal(fn(ARRAY, np.array([1, 0])), ARRAY[[1, 0], ..., -1])
    with pytest.raises(ConcretizationError, match="only shapes and dtypes are known"):
        hornbeam.jit(lambda x: x[x > 5])(ARRAY)


def test_derivative_of_indexing() -> None:
    """Adds up where an element is taken twice."""
    gradient = hornbeam.grad(lambda x: ops.sum(x[[0, 0, 1], ..., ::-2] * 2.0))(ARRAY)
    expected = np.zeros_like(ARRAY)
    expected[0, :, 1::2], expected[1, :, 1::2] = 4.0, 2.0
    np.testing.assert_array_equal(gradient, expected)


@st.composite
def part_of_key(draw: st.DrawFn, size: int, gather: tuple[int, ...]) -> Any:
    """An index along one axis; arrays broadcast to `gather`."""
    kind = draw(st.sampled_from(["slice", "slice", "int", "ints", "mask"]))
    if kind == "int" and size:
        return draw(st.integers(-size, size - 1))
    if kind == "ints" and size:
        shape = tuple(draw(st.sampled_from((1, n))) for n in gather[draw(st.integers(0, len(gather))) :])
        count = int(np.prod(shape))
        flat = draw(st.lists(st.integers(-size, size - 1), min_size=count, max_size=count))
        return np.array(flat, draw(st.sampled_from(["int64", "int32", "int8"]))).reshape(shape)
    if kind == "mask" and size and gather in ((), (1,)):
        return np.arange(size) == draw(st.integers(0, size - 1))
    ends = st.none() | st.integers(-6, 6)
    return slice(draw(ends), draw(ends), draw(st.none() | st.integers(-3, 3).filter(bool)))


@st.composite
def arrays_with_keys(draw: st.DrawFn) -> tuple[np.ndarray, tuple]:
    shape = draw(st.lists(st.integers(0, 4), min_size=1, max_size=4).map(tuple))
    gather = draw(st.lists(st.integers(1, 3), max_size=2).map(tuple))
    front = draw(st.integers(0, len(shape)))
    back = draw(st.integers(0, len(shape) - front))
    sizes: list[Any] = list(shape[:front])
    if back or draw(st.booleans()):
        sizes += [..., *shape[len(shape) - back :]]
    key = [size if size is ... else draw(part_of_key(size, gather)) for size in sizes]
    for _ in range(draw(st.integers(0, 2))):
        key.insert(draw(st.integers(0, len(key))), None)
    return np.arange(np.prod(shape, dtype=float)).reshape(shape), tuple(key)


@many
@given(arrays_with_keys())
def test_getitem_is_numpy_s(case: tuple[np.ndarray, tuple]) -> None:
    check(*case)


@many
@given(st.data())
def test_reshape_is_numpy_s(data: st.DataObject) -> None:
    array = np.arange(data.draw(st.sampled_from([0, 1, 6, 12, 24])))
    shape = tuple(data.draw(st.lists(st.sampled_from([-1, 0, 1, 2, 3, 4, 6, 12]), max_size=4)))
    try:
        expected = array.reshape(shape)
    except ValueError:
        with pytest.raises(ShapeError):
            reshape(array, shape)
    else:
        np.testing.assert_array_equal(reshape(array, shape), expected)


def test_ways_to_write_a_shape() -> None:
    x = as_tensor(np.arange(6.0))
    for result in (
        x.reshape(2, 3),
        x.reshape((2, 3)),
        x.reshape([2, -1]),
        x.reshape(np.array([2, 3])),
        x.reshape(2, -1),
    ):
        assert result.shape == (2, 3)
    assert x.reshape(as_tensor([3, 2])).shape == (3, 2)
    assert x.reshape(-1).shape == reshape(x, 6).shape == (6,)
    assert as_tensor(1.0).reshape(()).shape == ()
    for wrong in (-2, -3), (-1, -1):
        with pytest.raises(ShapeError, match="sizes must not be negative"):
            x.reshape(wrong)
    with pytest.raises(ShapeError, match=r"cannot reshape \(6,\) \(6 values\) to \(4, -1\)"):
        x.reshape(4, -1)
    with pytest.raises(TypeError, match="sizes must be integers, got"):
        x.reshape(2.0, 3)
