"""Linear models, and the scaling of features before them."""

from __future__ import annotations

import numpy as np

from hornbeam import ops
from hornbeam.core.convert import as_tensor
from hornbeam.core.tensor import Tensor
from hornbeam.errors import GraphError
from hornbeam.ir.types import is_float
from hornbeam.onnx.operators.ml import results
from hornbeam.onnx.operators.ml.results import ml_operator
from hornbeam.onnx.operators.vocabulary import Call


def _linear(call: Call, x: Tensor) -> Tensor:
    rows = results.matrix(x)
    weights = np.array(call.get("coefficients", []), "float32").reshape(-1, rows.shape[-1])
    return ops.matmul(rows, weights.T) + np.array(call.get("intercepts") or [0.0], "float32")


@ml_operator("LinearClassifier")
def classifier(call: Call, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return labels, and the scores of linear functions, one for each class or one for the second of two."""
    scores, labels = _linear(call, x), results.class_labels(call)
    call.get("multi_class")
    name = call.get("post_transform", "NONE")
    if scores.shape[-1] > 1:
        return results.chosen(labels, ops.argmax(scores, -1)), results.transformed(scores, name)
    positive = ops.cast(scores[:, 0] > (0.5 if name == "NONE" else 0), "int64")
    score = scores if name.startswith("SOFTMAX") else results.transformed(scores, name)
    return results.chosen(labels, positive), results.both_classes(score, "NONE", True)


@ml_operator("LinearRegressor")
def regressor(call: Call, x: Tensor) -> Tensor:
    """Compute linear functions of features."""
    call.get("targets")
    return results.transformed(_linear(call, x), call.get("post_transform", "NONE"))


@ml_operator("Scaler")
def scaler(call: Call, x: Tensor) -> Tensor:
    """Subtract offsets, then multiply by scales."""
    offset, scale = call.get("offset", [0.0]), call.get("scale", [1.0])
    return (ops.cast(x, "float32") - np.array(offset, "float32")) * np.array(scale, "float32")


@ml_operator("Normalizer")
def normalizer(call: Call, x: Tensor) -> Tensor:
    """Divide rows by a norm; rows of norm 0 stay as they are."""
    rows, norm = ops.cast(x, "float32"), call.get("norm", "MAX")
    if norm == "MAX":
        size = ops.max(rows, -1, True)
    elif norm in ("L1", "L2"):
        size = ops.norm(rows, int(norm[1]), -1, True)
    else:
        raise GraphError(f"norm={norm!r} is not supported")
    return rows / ops.where(size == 0, ops.ones_like(size), size)


@ml_operator("Binarizer")
def binarizer(call: Call, x: Tensor) -> Tensor:
    """Return 1 above a threshold, 0 elsewhere."""
    return ops.cast(x > ops.cast(as_tensor(call.get("threshold", 0.0)), x.dtype), x.dtype)


@ml_operator("Imputer")
def imputer(call: Call, x: Tensor) -> Tensor:
    """Replace a value, or NaN, by one for each feature."""
    floats = call.get("imputed_value_floats"), call.get("replaced_value_float", 0.0)
    integers = call.get("imputed_value_int64s"), call.get("replaced_value_int64", 0)
    values, marker = floats if is_float(x.dtype) else integers
    missing = ops.isnan(x) if np.isnan(marker) else x == ops.cast(as_tensor(marker), x.dtype)
    return ops.where(missing, ops.cast(as_tensor(np.array(values)), x.dtype), x)


@ml_operator("FeatureVectorizer", tensors=1000)
def vectorizer(call: Call, *xs: Tensor) -> Tensor:
    """Concatenate the features of several inputs, each cut or filled with zeros to its size."""
    parts = []
    for x, size in zip(xs, call.get("inputdimensions", []), strict=True):
        rows = ops.reshape(results.matrix(x), (x.shape[0] if len(x.shape) > 1 else 1, -1))[:, :size]
        parts.append(ops.pad(rows, [(0, 0), (0, size - rows.shape[1])]))
    return ops.concatenate(parts, 1)


@ml_operator("ArrayFeatureExtractor", tensors=2)
def extractor(call: Call, x: Tensor, indices: Tensor) -> Tensor:
    """Choose features of each row."""
    rows = ops.reshape(x, (1, -1)) if len(x.shape) == 1 else x
    return ops.take(rows, ops.reshape(indices, (-1,)), axis=-1)
