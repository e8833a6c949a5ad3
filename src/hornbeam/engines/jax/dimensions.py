"""Unknown sizes as symbolic dimensions of JAX, by which it infers the shapes of a function's results."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax import export

from hornbeam.ir.sizes import evaluate, maximum, minimum, named_size, symbols_of
from hornbeam.ir.types import TensorType, dtype_name, numpy_dtype

# JAX decides comparisons by bounds, and unknown sizes are taken to be large: see `ir/sizes.py`.
_LARGE = 2**20
_FACTOR = 32  # sizes that are halved five times


def _floor_divided(a: Any, b: Any) -> Any:
    return a // b if a >= 0 else -((b - 1 - a) // b)  # -(-n // 2), which is rounded up, as (n + 1) // 2


_OPERATIONS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Pow: operator.pow
}  # fmt: skip
_FUNCTIONS = {"floordiv": _floor_divided, "mod": operator.mod, "max": maximum, "min": minimum}


class Dimensions:
    """Dimensions of JAX that stand for the symbols in the types of arguments.

    Args:
        types: Types of the arguments.
        alike: Take all unknown sizes of first axes to be equal, and all others to be one multiple of 32. What
            JAX cannot decide otherwise, as in networks that halve and double a size, it then mostly can.
    """

    def __init__(self, types: Sequence[TensorType], alike: bool = False) -> None:
        names = list(dict.fromkeys(n for t in types for size in t.shape for n in sorted(symbols_of(size))))
        batch = set().union(*(symbols_of(t.shape[0]) for t in types if t.shape))
        labels = {
            n: ("batch" if n in batch else "size") + ("" if alike else str(names.index(n))) for n in names
        }
        scope = export.SymbolicScope([f"{label} >= {_LARGE}" for label in dict.fromkeys(labels.values())])
        self._dimensions: dict[str, Any] = {}
        # What a dimension of JAX is here: a symbol, divided by a number.
        self._symbols: dict[str, tuple[Any, int]] = {}
        for name, label in labels.items():
            (dimension,) = export.symbolic_shape(label, scope=scope)
            factor = _FACTOR if alike and name not in batch else 1
            self._dimensions[name] = dimension * factor
            self._symbols.setdefault(label, (named_size(name), factor))

    def encode(self, type: TensorType) -> jax.ShapeDtypeStruct:
        """Return an argument of abstract evaluation."""
        shape = tuple(evaluate(size, self._dimensions) for size in type.shape)
        return jax.ShapeDtypeStruct(shape, numpy_dtype(type.dtype))

    def decode(self, result: jax.ShapeDtypeStruct) -> TensorType:
        """Return the type of a result of abstract evaluation."""
        return TensorType(tuple(map(self._size, result.shape)), dtype_name(result.dtype))

    def _size(self, dimension: Any) -> Any:
        """Compute a dimension from our symbols. Its text is an expression whose form JAX documents."""
        if isinstance(dimension, int):
            return dimension
        return self._value(ast.parse(str(dimension).replace("^", "**"), mode="eval").body)

    def _value(self, node: ast.expr) -> Any:
        match node:
            case ast.Constant(int(number)):
                return number
            case ast.Name(label):
                return self._multiple(1, label)
            case ast.BinOp(ast.Constant(int(count)), ast.Mult(), ast.Name(label)):
                return self._multiple(count, label)
            case ast.UnaryOp(ast.USub(), operand):
                return -self._value(operand)
            case ast.BinOp(left, operation, right):
                return _OPERATIONS[type(operation)](self._value(left), self._value(right))
            case ast.Call(ast.Name(function), [first, second]):
                return _FUNCTIONS[function](self._value(first), self._value(second))
        raise NotImplementedError(f"a dimension of JAX of unknown form: {ast.unparse(node)}")

    def _multiple(self, count: int, label: str) -> Any:
        size, factor = self._symbols[label]
        common = math.gcd(count, factor)
        return size * (count // common) // (factor // common)
