"""Support vector machines, with the decisions and the probabilities of LIBSVM."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from hornbeam import ops
from hornbeam.core.tensor import Tensor
from hornbeam.errors import GraphError
from hornbeam.ir.limits import count_elements
from hornbeam.onnx.operators.ml import results
from hornbeam.onnx.operators.ml.results import ml_operator
from hornbeam.onnx.operators.vocabulary import Call


def _floats(call: Call, name: str) -> np.ndarray:
    return np.array(call.get(name, []), "float64")


def _kernel(call: Call, x: Tensor, vectors: np.ndarray) -> Tensor:
    """Return the kernel of each row with each vector."""
    name, (gamma, bias, degree) = call.get("kernel_type", "LINEAR"), _floats(call, "kernel_params")[:3]
    if name == "RBF":
        squares = ops.sum(x * x, -1, True) - 2 * ops.matmul(x, vectors.T) + (vectors * vectors).sum(-1)
        return ops.exp(-gamma * ops.maximum(squares, 0.0))
    products = ops.matmul(x, vectors.T)
    if name == "LINEAR":
        return products
    if name not in ("POLY", "SIGMOID"):
        raise GraphError(f"kernel_type={name!r} is not supported")
    value = gamma * products + bias
    return ops.power(value, degree) if name == "POLY" else ops.tanh(value)


@ml_operator("SVMRegressor")
def regressor(call: Call, x: Tensor) -> Tensor:
    """Weigh the kernels with support vectors, or compute a linear function; one class is 1, the others -1."""
    rows, count = results.matrix(x, "float64"), call.get("n_supports", 0)
    weights = _floats(call, "coefficients")
    if count:
        rows = _kernel(call, rows, _floats(call, "support_vectors").reshape(count, -1))
    else:
        call.only(kernel_type="LINEAR")
        call.get("kernel_params")
    values = ops.matmul(rows, weights.reshape(-1, 1)) + _floats(call, "rho")[0]
    if call.get("one_class", 0):
        return ops.where(values > 0, np.float32(1), np.float32(-1))
    return results.transformed(values, call.get("post_transform", "NONE"))


@ml_operator("SVMClassifier")
def classifier(call: Call, x: Tensor) -> tuple[Any, Tensor]:
    """Return labels, and probabilities or decision values, of each pair of classes by the vectors of both."""
    rows, labels = results.matrix(x, "float64"), results.class_labels(call)
    name = call.get("post_transform", "NONE")
    sizes, rho = call.get("vectors_per_class", []), _floats(call, "rho")
    a, b = _floats(call, "prob_a"), _floats(call, "prob_b")
    weights = _floats(call, "coefficients")
    vectors = _floats(call, "support_vectors")
    if not sizes:
        scores = ops.matmul(rows, weights.reshape(len(labels), -1).T) + rho[0]
        call.only(kernel_type="LINEAR")
        call.get("kernel_params")
        return results.chosen(labels, ops.argmax(scores, -1)), results.transformed(scores, name)
    count, total = len(sizes), sum(sizes)
    pairs = list(itertools.combinations(range(count), 2))
    count_elements(len(pairs) * total)
    part = [slice(stop - size, stop) for size, stop in zip(sizes, np.cumsum(sizes), strict=True)]
    table, by_pair = weights.reshape(count - 1, total), np.zeros((len(pairs), total), "float32")
    for row, (i, j) in enumerate(pairs):
        by_pair[row, part[i]], by_pair[row, part[j]] = table[j - 1, part[i]], table[i, part[j]]
    decisions = ops.matmul(_kernel(call, rows, vectors.reshape(total, -1)), by_pair.T) + rho
    # A positive decision is a vote for the first class of a pair.
    first, second = (np.eye(count, dtype="float32")[[pair[k] for pair in pairs]] for k in (0, 1))
    wins = ops.cast(decisions > 0, "float32")
    votes = ops.matmul(wins, first) + ops.matmul(1 - wins, second)
    label = results.chosen(labels, ops.argmax(votes, -1))  # the most probable class may be another
    if a.size:
        shares = ops.clip(ops.sigmoid(-(decisions * a + b)), 1e-7, 1 - 1e-7)
        return label, results.transformed(_coupled(shares, pairs, count), name)
    if count > 2:
        return label, results.transformed(decisions, name)
    return label, results.both_classes(decisions, name, False)


def _coupled(shares: Tensor, pairs: list[tuple[int, int]], count: int) -> Tensor:
    """Return probabilities of classes from those of one against another (rows, pairs).

    The second method of Wu, Lin and Weng (2004), with LIBSVM's steps and end.
    """
    columns = {pair: shares[:, k] for k, pair in enumerate(pairs)}
    columns.update({(j, i): 1 - x for (i, j), x in columns.items()})
    zero = ops.zeros_like(shares[:, 0])
    against = [[zero if i == j else columns[j, i] for j in range(count)] for i in range(count)]
    rows = [
        ops.stack([sum((x * x for x in against[i]), zero) if i == j else -columns[j, i] * columns[i, j]
                   for j in range(count)], -1)
        for i in range(count)
    ]  # fmt: skip
    start = ops.zeros_like(rows[0]) + np.float32(1 / count)
    products = ops.stack([ops.sum(row * start, -1) for row in rows], -1)

    def is_far(p: Tensor, products: Tensor) -> Tensor:
        error = ops.absolute(products - ops.sum(p * products, -1, True))
        return ops.max(error, -1, True) >= 0.005 / count

    def goes_on(step: Tensor, p: Tensor, products: Tensor) -> Tensor:
        return ops.logical_and(step < max(100, count), ops.any(is_far(p, products)))

    def improved(step: Tensor, p: Tensor, products: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        new_p, new_products = p, products
        total = ops.sum(p * products, -1)
        for i, row in enumerate(rows):
            change = (total - new_products[:, i]) / row[:, i]
            total = (total + change * (change * row[:, i] + 2 * new_products[:, i])) / (1 + change) ** 2
            by = ops.expand_dims(change, -1)
            new_products = (new_products + by * row) / (1 + by)
            new_p = (new_p + by * np.eye(count, dtype="float32")[i]) / (1 + by)
        far = is_far(p, products)
        return step + 1, ops.where(far, new_p, p), ops.where(far, new_products, products)

    return ops.while_loop(goes_on, improved, (ops.zeros((), "int32"), start, products))[1]
