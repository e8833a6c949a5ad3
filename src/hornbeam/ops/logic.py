"""Truth values and bits."""

from __future__ import annotations

from typing import Any

from hornbeam import primitives as p
from hornbeam.ir.types import dtype_name
from hornbeam.ops._common import node_of
from hornbeam.ops.elementwise import integer_pair
from hornbeam.tensor import Tensor, bitwise_and, bitwise_or, bitwise_xor, cast_node, invert, operation, unify

# fmt: off
__all__ = [
    "bitwise_and", "bitwise_invert", "bitwise_left_shift", "bitwise_not", "bitwise_or",
    "bitwise_right_shift", "bitwise_xor", "left_shift", "logical_and", "logical_not", "logical_or",
    "logical_xor", "right_shift", "view",
]
# fmt: on


@operation
def logical_and(x1: Any, x2: Any) -> Tensor:
    """Elementwise and of truth values (nonzero is true)."""
    return Tensor(p.bit_and(*unify(Tensor(cast_node(x1, "bool")), Tensor(cast_node(x2, "bool")))))


@operation
def logical_or(x1: Any, x2: Any) -> Tensor:
    """Elementwise or of truth values (nonzero is true)."""
    return Tensor(p.bit_or(*unify(Tensor(cast_node(x1, "bool")), Tensor(cast_node(x2, "bool")))))


@operation
def logical_xor(x1: Any, x2: Any) -> Tensor:
    """Elementwise exclusive or of truth values (nonzero is true)."""
    return Tensor(p.bit_xor(*unify(Tensor(cast_node(x1, "bool")), Tensor(cast_node(x2, "bool")))))


@operation
def logical_not(x: Any) -> Tensor:
    """Elementwise not of truth values (nonzero is true)."""
    return Tensor(p.logical_not(cast_node(x, "bool")))


bitwise_not = bitwise_invert = invert


@operation
def left_shift(x: Any, y: Any) -> Tensor:
    """Elementwise bits of x moved left by y places; 0 once y reaches the number of bits."""
    return Tensor(p.shift_left(*integer_pair("left_shift", x, y)))


@operation
def right_shift(x: Any, y: Any) -> Tensor:
    """Elementwise bits of x moved right by y places; signed integers keep their sign."""
    return Tensor(p.shift_right(*integer_pair("right_shift", x, y)))


bitwise_left_shift, bitwise_right_shift = left_shift, right_shift


@operation
def view(x: Any, dtype: Any = None) -> Tensor:
    """The same bits read as another dtype of the same size. Raises HornbeamTypeError for another size."""
    node = node_of(x)
    return Tensor(node if dtype is None else p.bitcast(node, dtype_name(dtype)))
