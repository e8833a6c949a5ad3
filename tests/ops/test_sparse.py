"""Sparse tensors: rules against dense values, gradients, and models on sparse data."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.sparse

import hornbeam
from hornbeam import ops
from hornbeam.core.sparse import SparseTensor
from hornbeam.core.symbolic import KerasTensor
from hornbeam.errors import ShapeError

RNG = np.random.default_rng(11)


def _array(*shape: int) -> np.ndarray:
    values = RNG.uniform(-1, 1, shape).astype("float32")
    return np.where(RNG.random(shape) < 0.3, values, 0).astype("float32")


A, B, C = _array(5, 7), _array(5, 7), _array(7, 3)
DENSE = RNG.normal(size=(5, 7)).astype("float32")

# Each is computed on a sparse x and on the same x as an array; True if the result is sparse.
CASES: dict[str, tuple[Callable[[Any], Any], bool]] = {
    "negative": (lambda x: -x, True),
    "abs": (ops.abs, True),
    "tanh": (ops.tanh, True),
    "relu": (ops.relu, True),
    "cast": (lambda x: ops.cast(x, "float64"), True),
    "number": (lambda x: 2 * x / 3, True),
    "times dense": (lambda x: x * DENSE, True),
    "times a row": (lambda x: DENSE[0] * x, True),
    "times a column": (lambda x: x * DENSE[:, :1], True),
    "over dense": (lambda x: x / (DENSE * DENSE + 1), True),
    "sparse sum": (lambda x: x + _sparse_if(x, B), True),
    "sparse difference": (lambda x: x - _sparse_if(x, B), True),
    "sparse product": (lambda x: x * _sparse_if(x, B), True),
    "product with nothing": (lambda x: x * _sparse_if(x, B * 0), True),
    "transpose": (ops.transpose, True),
    "reshape": (lambda x: ops.reshape(x, (7, -1)), True),
    "expand_dims": (lambda x: ops.expand_dims(x, -1), True),
    "squeeze": (lambda x: ops.squeeze(ops.expand_dims(x, 1)), True),
    "concatenate": (lambda x: ops.concatenate([x, _sparse_if(x, B)], 1), True),
    "plus dense": (lambda x: x + DENSE, False),
    "plus a number": (lambda x: x + 1, False),
    "exp": (ops.exp, False),
    "matmul": (lambda x: x @ DENSE.T, False),
    "matmul with a vector": (lambda x: x @ DENSE[0], False),
    "dense matmul sparse": (lambda x: ops.matmul(DENSE.T, x), False),
    "sparse matmul sparse": (lambda x: ops.matmul(x, _sparse_if(x, C)), True),
    "sum": (ops.sum, False),
    "sum over rows": (lambda x: ops.sum(x, 0), False),
    "sum that keeps": (lambda x: ops.sum(x, -1, keepdims=True), False),
    "mean": (lambda x: ops.mean(x, 1), False),
    "max": (lambda x: ops.max(x, 1), False),
    "index": (lambda x: x[1:, 2], False),
}  # fmt: skip


def _sparse_if(x: Any, array: np.ndarray) -> Any:
    return ops.convert_to_tensor(array, sparse=True) if isinstance(x, SparseTensor) else array


@pytest.mark.parametrize("name", list(CASES))
@pytest.mark.parametrize("array", [A, np.zeros((5, 7), "float32")], ids=["some", "none"])
def test_rules_agree_with_dense_values(name: str, array: np.ndarray) -> None:
    fn, stays = CASES[name]
    result = fn(ops.convert_to_tensor(array, sparse=True))
    assert isinstance(result, SparseTensor) is stays
    expected = fn(ops.convert_to_tensor(array))
    assert (result.shape, result.dtype) == (expected.shape, expected.dtype)
    np.testing.assert_allclose(np.asarray(result), np.asarray(expected), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", list(CASES))
def test_gradients_flow_to_the_values(name: str) -> None:
    fn, _ = CASES[name]
    places = SparseTensor.of(A)

    def loss(values: Any, dense: bool) -> Any:
        x = places.with_values(values)
        return ops.sum(ops.square(fn(ops.convert_to_tensor(x, sparse=False) if dense else x)))

    results, expected = (
        hornbeam.grad(lambda v, dense=dense: loss(v, dense))(places.values) for dense in (False, True)
    )
    np.testing.assert_allclose(results, expected, rtol=1e-4, atol=1e-5)


def test_gradients_by_the_dense_operand_of_a_product() -> None:
    x = ops.convert_to_tensor(scipy.sparse.csr_matrix(A))
    assert isinstance(x, SparseTensor)
    gradient = hornbeam.grad(lambda w: ops.sum((x @ w) ** 2))(C)
    np.testing.assert_allclose(gradient, 2 * A.T @ A @ C, rtol=1e-4, atol=1e-5)
    layer = hornbeam.layers.Dense(3)
    np.testing.assert_allclose(layer(x), A @ np.asarray(layer.kernel), rtol=1e-4, atol=1e-6)


def test_equal_places_are_added_in_order() -> None:
    x = SparseTensor([[1, 0], [0, 1], [1, 0]], [1.0, 2.0, 3.0], (2, 2))
    assert x.indices.tolist() == [[0, 1], [1, 0]]
    assert x.values.tolist() == [2.0, 4.0]
    assert np.asarray(x).tolist() == [[0, 2], [4, 0]]
    assert ops.is_tensor(x)
    assert repr(x) == "<SparseTensor shape=(2, 2) dtype=float32 elements=2>"
    again = pickle.loads(pickle.dumps(x))
    assert isinstance(again, SparseTensor)
    assert np.asarray(again).tolist() == [[0, 2], [4, 0]]


def test_wrong_places_are_errors() -> None:
    with pytest.raises(ShapeError, match="outside"):
        SparseTensor([[2, 0]], [1.0], (2, 2))
    with pytest.raises(ShapeError, match=r"\(elements, 2\)"):
        SparseTensor([[0]], [1.0], (2, 2))
    with pytest.raises(ShapeError, match="inner sizes"):
        ops.convert_to_tensor(A, sparse=True) @ DENSE


def test_compiled_functions_take_sparse_tensors() -> None:
    x = ops.convert_to_tensor(A, sparse=True)
    np.testing.assert_allclose(hornbeam.jit(lambda v: v @ C)(x), A @ C, rtol=1e-5, atol=1e-6)
    assert ops.convert_to_numpy(x).tolist() == A.tolist()
    assert not isinstance(ops.convert_to_tensor(x, sparse=False), SparseTensor)


@pytest.mark.parametrize(
    ("fn", "sparse"),
    [
        (lambda x, y: ops.tanh(x), True),
        (lambda x, y: ops.transpose(x), True),
        (lambda x, y: x * y, True),
        (lambda x, y: x / y, True),
        (lambda x, y: y / x, False),
        (lambda x, y: x + x, True),
        (lambda x, y: x + y, False),
        (lambda x, y: ops.concatenate([x, x], 1), True),
        (lambda x, y: ops.concatenate([x, y], 1), False),
        (lambda x, y: ops.matmul(x, ops.transpose(x)), True),
        (lambda x, y: ops.matmul(x, ops.transpose(y)), False),
        (lambda x, y: ops.sum(x, 1), False),
        (lambda x, y: ops.exp(x), False),
    ],
)
def test_symbols_know_whether_results_are_sparse(fn: Callable[..., Any], sparse: bool) -> None:
    x, y = KerasTensor((5, 7), sparse=True), KerasTensor((5, 7))
    assert fn(x, y).sparse is sparse
    assert isinstance(fn(ops.convert_to_tensor(A, sparse=True), ops.array(DENSE)), SparseTensor) is sparse


@pytest.mark.parametrize(
    "encode",
    [
        lambda **a: ops.one_hot([[0, 2], [1, 1]], 4, **a),
        lambda **a: ops.multi_hot([[0, 2], [1, 1]], 4, **a),
        lambda **a: ops.bincount([[0, 2], [1, 1]], minlength=5, **a),
    ],
)
def test_encodings_are_sparse_on_request(encode: Callable[..., Any]) -> None:
    result = encode(sparse=True)
    assert isinstance(result, SparseTensor)
    np.testing.assert_array_equal(np.asarray(result), np.asarray(encode()))
    assert not isinstance(hornbeam.jit(lambda: encode(sparse=True))(), SparseTensor)
