"""Encodings of categories: strings or numbers to others, or to vectors."""

from __future__ import annotations

from typing import Any

import numpy as np

from hornbeam import ops
from hornbeam.core.convert import as_tensor
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import TensorLike
from hornbeam.errors import GraphError
from hornbeam.onnx.operators.ml import results
from hornbeam.onnx.operators.ml.results import ml_operator
from hornbeam.onnx.operators.strings import Later, each, is_text
from hornbeam.onnx.operators.vocabulary import Call


def _position(x: TensorLike, keys: Any) -> Any:
    """Return where each element is among the keys, or their number."""
    numbers = np.asarray(keys)
    if numbers.dtype.kind in "OU":
        table = {key: i for i, key in reversed(list(enumerate(numbers.tolist())))}
        return each(x, lambda s: table.get(s, len(keys)), "int64")
    if is_text(x):
        raise GraphError("it takes numbers, got strings")
    x = as_tensor(x)
    x = x if x.dtype == "float64" or numbers.dtype.kind == "f" else ops.cast(x, "int64")
    numbers = numbers.astype(x.dtype)
    order = np.argsort(numbers, kind="stable")
    nearest = ops.minimum(ops.searchsorted(numbers[order], ops.reshape(x, (-1,))), len(keys) - 1)
    nearest = ops.reshape(nearest, x.shape)
    is_same = ops.take(numbers[order], nearest) == x
    index = ops.where(is_same, ops.take(order.astype("int64"), nearest), len(keys))
    missing = np.flatnonzero(numbers != numbers)
    return ops.where(ops.isnan(x), int(missing[0]), index) if missing.size else index


def _mapped(x: TensorLike, keys: Any, values: Any, other: Any) -> Any:
    return results.chosen([*values, other], _position(x, keys))


_KINDS: dict[str, Any] = {"strings": object, "int64s": "int64", "floats": "float32", "tensor": None}


@ml_operator("LabelEncoder", tensors=0)
def label_encoder(call: Call, x: TensorLike) -> Any:
    """Map keys to values, and all others to a default."""
    if "classes_strings" in call.attributes:  # of version 1
        return category_mapper(call, x)
    keys, values = (
        next((np.asarray(v, dtype).reshape(-1) for kind, dtype in _KINDS.items()
              if (v := call.get(f"{name}_{kind}")) is not None), None)
        for name in ("keys", "values")
    )  # fmt: skip
    if keys is None or values is None:
        raise GraphError("it needs keys and values")
    defaults = (("O", "string", "_Unused"), ("i", "int64", -1), ("f", "float", -0.0))
    other: Any = {kind: call.get(f"default_{name}", value) for kind, name, value in defaults}
    default = call.get("default_tensor")
    default = np.array([other[values.dtype.kind]] if default is None else default, values.dtype)
    return results.chosen(np.append(values, default), _position(x, keys))


@ml_operator("CategoryMapper", tensors=0)
def category_mapper(call: Call, x: TensorLike) -> Any:
    """Map strings to integers, or integers to strings; those of a LabelEncoder are positions."""
    names = call.get("cats_strings") or call.get("classes_strings", [])
    numbers = call.get("cats_int64s", list(range(len(names))))
    unknown, other = call.get("default_string", "_Unused"), call.get("default_int64", -1)
    return _mapped(x, names, numbers, other) if is_text(x) else _mapped(x, numbers, names, unknown)


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
def zip_map(call: Call, x: TensorLike) -> Any:
    """Return a dict of label and score for each row, in an array of objects."""
    return Later(np.array(results.class_labels(call), object), x, as_rows=True).now_or_later()
