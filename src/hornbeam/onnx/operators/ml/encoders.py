"""Encodings of categories: strings or numbers to others, or to vectors."""

from __future__ import annotations

from typing import Any

import numpy as np

from hornbeam import ops
from hornbeam.core.convert import as_tensor
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import TensorLike
from hornbeam.errors import GraphError
from hornbeam.onnx.operators.ml.scores import chosen, class_labels, ml_operator
from hornbeam.onnx.operators.strings import is_text
from hornbeam.onnx.operators.vocabulary import Call, known


def _position(x: TensorLike, keys: Any) -> Any:
    """Return where each element is among the keys, or their number."""
    if len(keys) and isinstance(keys[0], str):
        table = {key: i for i, key in reversed(list(enumerate(keys)))}
        values = known(x, "text")
        if not is_text(values):
            raise GraphError(f"it takes strings, got {values.dtype}")
        indices = [table.get(s, len(keys)) for s in values.reshape(-1).tolist()]
        return np.array(indices, "int64").reshape(values.shape)
    if is_text(x):
        raise GraphError("it takes numbers, got strings")
    numbers = np.asarray(keys)
    x = as_tensor(x)
    x = x if x.dtype == "float64" or numbers.dtype.kind == "f" else ops.cast(x, "int64")
    numbers = numbers.astype(x.dtype)
    order = np.argsort(numbers, kind="stable")
    nearest = ops.minimum(ops.searchsorted(numbers[order], ops.reshape(x, (-1,))), len(keys) - 1)
    nearest = ops.reshape(nearest, x.shape)
    is_same = ops.take(numbers[order], nearest) == x
    index = ops.where(is_same, ops.take(order.astype("int64"), nearest), len(keys))
    missing = np.flatnonzero(np.isnan(numbers)) if numbers.dtype.kind == "f" else ()
    return ops.where(ops.isnan(x), int(missing[0]), index) if len(missing) else index


def _list(call: Call, name: str) -> tuple[str, Any]:
    """Return the kind and the values of an attribute that is written in one of several kinds."""
    kinds = ("strings", "int64s", "floats", "tensor")
    lists = {kind: call.get(f"{name}_{kind}") for kind in kinds}
    kind = next((kind for kind in kinds if lists[kind] is not None), None)
    if kind is None:
        raise GraphError(f"it needs one of the attributes {', '.join(f'{name}_{kind}' for kind in kinds)}")
    values = lists[kind]
    if kind == "floats":
        values = np.array(values, "float32")
    return kind, values.reshape(-1) if isinstance(values, np.ndarray) else values


@ml_operator("LabelEncoder", tensors=0)
def label_encoder(call: Call, x: TensorLike) -> Any:
    """Map keys to values, and all others to a default."""
    if call.get("classes_strings") is not None:  # of version 1: strings to their positions, and back
        names, other = call.get("classes_strings"), call.get("default_int64", -1)
        unknown = call.get("default_string", "_Unused")
        if not is_text(x):
            return _looked_up(x, range(len(names)), [*names, unknown])
        return _looked_up(x, names, [*range(len(names)), other])
    keys, (kind, values) = _list(call, "keys")[1], _list(call, "values")
    defaults = {
        "strings": call.get("default_string", "_Unused"),
        "int64s": call.get("default_int64", -1),
        "floats": call.get("default_float", -0.0),
        "tensor": call.get("default_tensor"),
    }
    default = defaults[kind]
    if kind == "tensor" and default is None:
        text = len(values) and isinstance(values[0], str)
        default = "_Unused" if text else -1 if values.dtype.kind == "i" else -0.0
    default = np.asarray(default).reshape(-1)[0]
    if isinstance(values, np.ndarray) and values.dtype.kind in "fi":
        return _looked_up(x, keys, np.append(values, values.dtype.type(default)))
    return _looked_up(x, keys, [*values, default if kind == "int64s" else str(default)])


def _looked_up(x: TensorLike, keys: Any, values: Any) -> Any:
    return chosen(values, _position(x, keys))


@ml_operator("CategoryMapper", tensors=0)
def category_mapper(call: Call, x: TensorLike) -> Any:
    """Map strings to integers, or integers to strings."""
    names, numbers = call.get("cats_strings", []), call.get("cats_int64s", [])
    unknown, other = call.get("default_string", "_Unused"), call.get("default_int64", -1)
    if is_text(x):
        return _looked_up(x, names, [*numbers, other])
    return _looked_up(x, numbers, [*names, unknown])


@ml_operator("OneHotEncoder", tensors=0)
def one_hot_encoder(call: Call, x: TensorLike) -> Tensor:
    """Return a vector for each category; for an unknown one of zeros, or NaN where `zeros` forbids that."""
    names, numbers = call.get("cats_strings"), call.get("cats_int64s")
    cats = names or numbers or []
    index = as_tensor(_position(x, cats))
    vectors = ops.cast(ops.expand_dims(index, -1) == np.arange(len(cats)), "float32")
    if call.get("zeros", 1):
        return vectors
    return ops.where(ops.expand_dims(index == len(cats), -1), np.float32("nan"), vectors)


@ml_operator("ZipMap", tensors=0)
def zip_map(call: Call, x: TensorLike) -> np.ndarray:
    """Return a dict of label and score for each row, in an array of objects."""
    labels, scores = class_labels(call), known(x, "scores")
    rows = scores.reshape(-1, scores.shape[-1]).tolist()
    result = np.empty(len(rows), object)
    result[:] = [dict(zip(labels, row, strict=True)) for row in rows]
    return result
