"""Scores of classifiers and regressors, and the labels of classes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from hornbeam import ops
from hornbeam.core.tensor import Tensor
from hornbeam.errors import GraphError
from hornbeam.onnx.operators.strings import Later
from hornbeam.onnx.operators.vocabulary import Call, operator

F = TypeVar("F", bound=Callable[..., Any])


def ml_operator(names: str, tensors: int = 1) -> Callable[[F], F]:
    """Register a function under the names of operators of the domain `ai.onnx.ml`."""
    return operator(" ".join(f"ai.onnx.ml::{name}" for name in names.split()), tensors=tensors)


def _softmax_zero(x: Tensor) -> Tensor:
    """Compute the softmax over elements that are not 0, and leave the others."""
    powers = ops.where(ops.absolute(x) > 1e-7, ops.exp(x - ops.max(x, -1, True)), 0.0)
    return powers / ops.sum(powers, -1, True)


POST: dict[str, Callable[[Tensor], Tensor]] = {
    "NONE": lambda x: x,
    "LOGISTIC": ops.sigmoid,
    "SOFTMAX": lambda x: ops.softmax(x, -1),
    "SOFTMAX_ZERO": _softmax_zero,
    "PROBIT": lambda x: np.float32(np.sqrt(2)) * ops.erfinv(2 * x - 1),
}


def transformed(scores: Tensor, name: str) -> Tensor:
    """Apply a post transform to scores (rows, classes). Raises GraphError."""
    if name not in POST:
        raise GraphError(f"post_transform={name!r} is not supported")
    return ops.cast(POST[name](scores), "float32")


def both_classes(score: Tensor, name: str, is_probability: bool) -> Tensor:
    """Return the scores of two classes from that of the second (rows, 1)."""
    other = 1 - score if is_probability and name != "LOGISTIC" else -score
    # As in ONNX Runtime, a softmax is not applied to them.
    return transformed(ops.concatenate([other, score], -1), "NONE" if name.startswith("SOFTMAX") else name)


def class_labels(call: Call) -> list[Any]:
    """Return the labels among the attributes: strings or integers."""
    names = ("classlabels_strings", "classlabels_int64s", "classlabels_ints")
    return next((labels for name in names if (labels := call.get(name))), [])


def chosen(values: list[Any] | np.ndarray, index: Any) -> Any:
    """Return the values at an index."""
    if isinstance(values[0], str):
        return Later(np.array(values, object), index).now_or_later()
    return ops.take(np.asarray(values), index, axis=0)


def matrix(x: Tensor, dtype: str = "float32") -> Tensor:
    """Return x as rows of features, one if it has a single axis."""
    rows = ops.cast(x, dtype)
    return ops.reshape(rows, (1, -1)) if len(x.shape) == 1 else rows
