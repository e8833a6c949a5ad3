"""`ops.vectorize` beside NumPy's."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest

from hornbeam import ops
from hornbeam.ir.types import ShapeError

RNG = np.random.default_rng(0)
A, B = RNG.normal(size=(2, 3, 4)).astype("float32"), RNG.normal(size=(3, 1)).astype("float32")
M = RNG.normal(size=(5, 4, 3)).astype("float32")


def test_scalars_broadcast() -> None:
    result = ops.vectorize(lambda a, b: a * 2 + b)(A, B)
    np.testing.assert_allclose(result, A * 2 + B, rtol=1e-6)
    assert ops.vectorize(lambda a: a + 1)(3).item() == 4


@pytest.mark.parametrize(
    ("signature", "function", "args"),
    [
        ("(n)->()", lambda k, x: k.sum(x), (A,)),
        ("(n),(n)->()", lambda k, x, y: k.sum(x * y), (A, A[0, 0])),
        ("(n), (n) -> (n)", lambda k, x, y: x - y, (A, A[:, :1])),
        ("(m,n),(n,k)->(m,k)", lambda k, x, y: k.matmul(x, y), (M, M.transpose(0, 2, 1)[:1])),
        ("(),(n)->(n)", lambda k, x, y: x * y, (B[:, 0], A)),
    ],
)
def test_signatures(signature: str, function: Any, args: Any) -> None:
    theirs = np.vectorize(functools.partial(function, np), signature=signature)(*args)
    ours = ops.vectorize(functools.partial(function, ops), signature=signature)
    np.testing.assert_allclose(ours(*args), theirs, rtol=1e-5, atol=1e-6)


def test_several_results_and_what_is_left_alone() -> None:
    low, high = ops.vectorize(lambda x: (ops.min(x), ops.max(x)), signature="(n)->(),()")(A)
    np.testing.assert_array_equal(low, A.min(-1))
    np.testing.assert_array_equal(high, A.max(-1))
    result = ops.vectorize(lambda x, power: x**power, excluded={1})(A, 2)
    np.testing.assert_allclose(result, A**2, rtol=1e-6)


def test_mistakes() -> None:
    for wrong in ("n->n", "(n)", "(n)->", "(n)(n)->()"):
        with pytest.raises(ValueError, match="signature must look like"):
            ops.vectorize(lambda x: x, signature=wrong)
    with pytest.raises(ValueError, match="has 1 arguments, got 2"):
        ops.vectorize(lambda x: x, signature="(n)->()")(A, A)
    with pytest.raises(ShapeError, match="axis 'n' has sizes 4 and 3"):
        ops.vectorize(lambda x, y: x, signature="(n),(n)->()")(A, np.ones(3))
    with pytest.raises(ShapeError, match="argument 0 has shape"):
        ops.vectorize(lambda x: x, signature="(n)->()")(1.0)
