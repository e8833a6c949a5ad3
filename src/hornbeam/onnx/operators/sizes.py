"""Values that a graph computes from sizes, where some of those are not known yet.

While a model is built, the operator Shape returns a tensor that depends on symbols (`ir/sizes.py`). Where an
operator needs its value, to reshape by it, it is computed as NumPy would, on an array of objects.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from hornbeam import ops
from hornbeam import primitives as p
from hornbeam.core.tensor import Tensor
from hornbeam.errors import GraphError
from hornbeam.ir.limits import count_steps
from hornbeam.ir.node import Node, topological
from hornbeam.ir.primitive import SIZE, size_node
from hornbeam.ir.sizes import in_symbolic_trace, is_unknown, maximum, minimum, new_size
from hornbeam.ir.types import is_float, numpy_dtype

_MAX_ELEMENTS = 1 << 14


def sizes_tensor(sizes: tuple[Any, ...]) -> Tensor:
    """Return sizes, of which some are not known, as a tensor of int64."""
    return Tensor(p.convert(p.concatenate(*(p.reshape(size_node(n), (1,)) for n in sizes), axis=0), "int64"))


def with_size(x: Tensor, axis: int, size: Any) -> Tensor:
    """Return a tensor like x with another size of an axis, while types alone are inferred.

    Raises GraphError where values would be computed.
    """
    if not in_symbolic_trace():
        raise GraphError("it needs sizes that are not known: give the model's Input fixed sizes")
    return ops.take(x, Tensor(p.iota("int32", (size,), 0)), axis=axis)


def exact(x: Any) -> Any:
    """Return a float without fraction as an integer, which sizes can be computed with."""
    return int(x) if isinstance(x, float) and x.is_integer() else x


def value_from_sizes(node: Node) -> np.ndarray | None:
    """Return the value of a node that depends on sizes and constants alone, else None.

    Its array is one of objects if sizes in it are not known.
    """
    values: dict[Node, Any] = {}
    order = topological([node], [])
    count_steps(len(order))
    for each in order:
        value = _computed(each, [values.get(x) for x in each.inputs])
        if value is None:
            return None
        values[each] = value
    return values[node]


def depends_on_open_sizes(node: Node) -> bool:
    """True if a size that is not known yet is among what a node is computed from."""
    return any(each.primitive is SIZE for each in topological([node], []))


def _computed(node: Node, operands: list[Any]) -> Any:
    if isinstance(node.type, tuple) or node.level > 0 or node.type.size > _MAX_ELEMENTS:
        return None
    if node.primitive is None:
        return node.value[1] if node.value is not None and node.value[0] is None else None
    if node.primitive is SIZE:
        return _objects((), [node.params["size"]])
    if not any(x.dtype == object for x in operands):
        return None if node.name == "unknown_constant" else node.primitive.reference(*operands, **node.params)
    if node.name in _MOVES:
        return _moved(node, operands)
    if node.name in _SUMS:
        totals = _SUMS[node.name](operands[0], axis=node.params["axes"], keepdims=True)
        return _settled(totals.reshape(node.type.shape), node)
    if node.name == "convert":
        numbers = [x if is_unknown(x) or is_float(node.dtype) else int(x) for x in operands[0].flat]
        return _settled(_objects(node.type.shape, numbers), node)
    rule = operator.truediv if node.name == "div" and is_float(node.dtype) else _ELEMENTWISE.get(node.name)
    if rule is None and node.name not in _CURVED:
        return None
    elements = zip(*(x.reshape(-1).tolist() for x in operands), strict=True)
    results = [_element(rule, each, node.dtype) for each in elements]
    return None if None in results else _settled(_objects(node.type.shape, results), node)


def _moved(node: Node, operands: list[Any]) -> np.ndarray | None:
    """Apply a primitive that moves elements to their numbers."""
    assert node.primitive is not None
    elements: list[Any] = []
    arguments = list(operands)
    moved = range(len(operands))[_MOVES[node.name]]
    if any(x.dtype == object for i, x in enumerate(operands) if i not in moved):
        return None  # an index that is not known
    for i in moved:
        arguments[i] = len(elements) + np.arange(operands[i].size).reshape(operands[i].shape)
        elements += operands[i].reshape(-1).tolist()
    order = np.asarray(node.primitive.reference(*arguments, **node.params))
    return _settled(_objects(order.shape, [elements[k] for k in order.reshape(-1).tolist()]), node)


def _objects(shape: tuple[int, ...], elements: list[Any]) -> np.ndarray:
    array = np.empty(len(elements), object)
    for i, element in enumerate(elements):
        array[i] = element
    return array.reshape(shape)


def _settled(array: np.ndarray, node: Node) -> np.ndarray:
    """Return an array of numbers if all are known."""
    dtype = node.dtype
    if dtype == "bool":
        return array.astype(bool)
    if any(map(is_unknown, array.reshape(-1).tolist())):
        return array
    return (array.astype(float) if is_float(dtype) else array).astype(numpy_dtype(dtype))


def _element(rule: Callable[..., Any] | None, operands: tuple[Any, ...], dtype: str) -> Any:
    """Compute one element. A size by a fraction, or its root, which is rounded later, is some size."""
    if rule is not None and not any(map(is_unknown, operands)):
        return rule(*operands)
    numbers = [exact(x) for x in operands]
    if rule in (operator.truediv, None) or any(isinstance(x, float) for x in numbers):
        return None if dtype == "bool" else new_size()
    return rule(*numbers)


def _rounded(to: Callable[[float], int]) -> Callable[[Any], Any]:
    return lambda x: x if is_unknown(x) else to(x)


# Which operands are moved.
_MOVES = {
    **dict.fromkeys(("broadcast", "concatenate", "reshape", "reverse", "slice", "transpose"), slice(None)),
    "gather": slice(1),
    "select": slice(1, None),
}
# Functions whose results at sizes are not polynomials.
_CURVED = {"sqrt", "rsqrt", "pow", "exp", "log"}
_SUMS: dict[str, Callable[..., Any]] = {"reduce_sum": np.add.reduce, "reduce_prod": np.multiply.reduce}
_ELEMENTWISE: dict[str, Callable[..., Any]] = {
    "add": operator.add, "sub": operator.sub, "neg": operator.neg, "mul": operator.mul,
    "div": operator.floordiv, "rem": operator.mod, "max": maximum, "min": minimum,
    "eq": operator.eq, "ne": operator.ne, "lt": operator.lt, "le": operator.le, "gt": operator.gt,
    "ge": operator.ge, "floor": _rounded(math.floor), "ceil": _rounded(math.ceil),
}  # fmt: skip
