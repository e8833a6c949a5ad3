"""Weighted sums along an axis as a composite: an engine may leave out the weights that are 0."""

from __future__ import annotations

from typing import Any

from hornbeam.ir.node import Node
from hornbeam.ir.primitive import Cotangents, Sample
from hornbeam.ir.types import FLOATS
from hornbeam.primitives import contract, shape
from hornbeam.primitives.composite import composite

__all__ = ["resample"]


def _resample_body(x: Node, weights: Node, *, axis: int) -> Node:
    result = contract.dot_general(x, weights, contract=((axis,), (1,)))
    return shape.transpose(result, (*range(axis), result.rank - 1, *range(axis, result.rank - 1)))


def _resample_vjp(ct: Node, out: Node, x: Node, weights: Node, *, axis: int, **_: Any) -> Cotangents:
    others = tuple(i for i in range(x.rank) if i != axis)
    return [
        resample(ct, shape.transpose(weights, (1, 0)), axis=axis),
        contract.dot_general(ct, x, contract=(others, others)),
    ]


# x (..., n, ...), weights (out, n) -> (..., out, ...): y[..., j, ...] is the sum over i of
# weights[j, i] x[..., i, ...].
resample = composite(
    "resample",
    _resample_body,
    vjp=_resample_vjp,
    dtypes=FLOATS,
    samples=(
        Sample(((2, 3, 4), (5, 3)), {"axis": 1}),
        Sample(((3, 2), (2, 3)), {"axis": 0}),
        Sample(((2, 4), (3, 4)), {"axis": 1}),
    ),
)
