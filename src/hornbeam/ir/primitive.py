"""Primitives, the operations of a graph, and their application to nodes.

A primitive is defined in one place: its type rule, derivative, cost, NumPy reference and samples form one
`primitive(...)` block of `hornbeam/primitives/<family>.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from hornbeam.ir.graph import Graph
from hornbeam.ir.limits import count_steps, limits
from hornbeam.ir.node import InnerNode, Node, intern, interned, set_operator_hook
from hornbeam.ir.sizes import SymbolicSize, merged_shape, same_shape
from hornbeam.ir.types import (
    DTYPES,
    HornbeamTypeError,
    ShapeError,
    TensorType,
    ValueType,
    is_complex,
    numpy_dtype,
)

Cotangents = Sequence[Node | None]


@dataclass(frozen=True)
class Sample:
    """Inputs on which the generated tests run a primitive.

    Attributes:
        shapes: Shapes of the operands.
        params: Keyword parameters.
        domain: Bounds of the random values.
        dtypes: Dtype of each operand, None for the dtype under test.
        make: Function `make(rng, dtype)` that returns the operands instead of random ones.
        derivative: False leaves the sample out of derivative tests (kinks, integers).
    """

    shapes: tuple[tuple[int, ...], ...]
    params: dict[str, Any] = field(default_factory=dict)
    domain: tuple[float, float] = (-2.0, 2.0)
    dtypes: tuple[str | None, ...] | None = None
    make: Callable[[np.random.Generator, str], Sequence[np.ndarray]] | None = None
    derivative: bool = True


@dataclass(frozen=True, eq=False)
class Primitive:
    """Name and rules of one operation of the graph.

    Attributes:
        name: Name, unique among all primitives.
        type_rule: `type_rule(*types, **params)` checks the operands and returns the result's TensorType, or a
            tuple of them.
        reference: `reference(*arrays, **params)` computes the result with NumPy: the specification.
        vjp: `vjp(ct, out, *inputs, **params)` returns one cotangent Node (or None) per input, made of
            primitives. With several outputs `ct` is a tuple, None for unused outputs, and `out` the
            multi-output node.
        cost: `cost(in_types, out_type, **params)` returns (FLOPs, bytes moved).
        dtypes: Dtypes of operands that it accepts.
        samples: Inputs of the generated tests.
        composite: Whether the name denotes the graph `params["body"]`, which engines may replace by a kernel.
        selective: Whether `vjp` takes `active`, a bool for each input: which cotangents are needed. Other
            rules may compute unneeded cotangents, since unused nodes are never run; this one's derivative is
            a single node.
    """

    name: str
    type_rule: Callable[..., ValueType]
    reference: Callable[..., Any]
    vjp: Callable[..., Cotangents] | None
    cost: Callable[..., tuple[int, int]]
    dtypes: tuple[str, ...]
    samples: tuple[Sample, ...]
    composite: bool = False
    selective: bool = False

    def __repr__(self) -> str:
        return f"<primitive {self.name}>"

    def __call__(self, *inputs: Any, **params: Any) -> Node:
        return bind(self, *inputs, **params)


PRIMITIVES: dict[str, Primitive] = {}


def elementwise_cost(types: Sequence[TensorType], out: ValueType, **params: Any) -> tuple[int, int]:
    """Cost of one FLOP per output element, with every operand and output moved once."""
    outs = out if isinstance(out, tuple) else (out,)
    return sum(t.size for t in outs), movement_bytes(types, out)


def movement_cost(types: Sequence[TensorType], out: ValueType, **params: Any) -> tuple[int, int]:
    """Cost without FLOPs, with every operand and output moved once."""
    return 0, movement_bytes(types, out)


def movement_bytes(types: Sequence[TensorType], out: ValueType) -> int:
    outs = out if isinstance(out, tuple) else (out,)
    return sum(t.nbytes for t in types) + sum(t.nbytes for t in outs)


def node_cost(node: Node) -> tuple[int, int]:
    """Return the FLOPs and the bytes moved of a node that applies a primitive."""
    assert node.primitive is not None
    return node.primitive.cost([x.type for x in node.inputs], node.type, **node.params)


def graph_cost(graph: Graph, times: int = 1) -> tuple[int, int]:
    """Return the FLOPs and the bytes moved of a graph that runs `times` times."""
    costs = [node_cost(node) for node in graph.nodes]
    return sum(flops for flops, _ in costs) * times, sum(moved for _, moved in costs) * times


def primitive(
    name: str,
    *,
    type_rule: Callable[..., ValueType],
    reference: Callable[..., Any],
    vjp: Callable[..., Cotangents] | None,
    cost: Callable[..., tuple[int, int]] = elementwise_cost,
    dtypes: tuple[str, ...] = DTYPES,
    samples: Sequence[Sample] = (),
    composite: bool = False,
) -> Primitive:
    """Register a primitive. `vjp=None`: it has no derivative (integers, comparisons)."""
    if name in PRIMITIVES:
        raise ValueError(f"primitive {name!r} is defined twice")
    PRIMITIVES[name] = Primitive(name, type_rule, reference, vjp, cost, dtypes, tuple(samples), composite)
    return PRIMITIVES[name]


def bind(primitive: Primitive, *inputs: Any, **params: Any) -> Node:
    """Apply `primitive`: check types and return the interned node.

    Python scalars become constants of the type of the first Node.
    """
    if limits:
        count_steps(1)
    # Hot: runs for every operation of eager code.
    level, uids = 0, []
    for x in inputs:
        if not isinstance(x, Node):
            return bind(primitive, *lift_scalars(inputs), **params)
        uids.append(x.uid)
        if x.level > level:
            level = x.level
    key = (primitive, *uids, tuple(sorted(params.items()))) if params else (primitive, *uids)
    known = interned(key)
    # A node that released its history is a mere value, through which no derivative flows: create it anew.
    if known is not None and known.primitive is not None:
        return known
    types = [x.type for x in inputs]
    check_dtypes(primitive, types)
    return intern(key, InnerNode(primitive, inputs, params, primitive.type_rule(*types, **params), level))


set_operator_hook(lambda name, *args: bind(PRIMITIVES[name], *args))


# Rules of primitives for complex operands, by name: see `ir/complex_pairs.py`.
COMPLEX_RULES: dict[str, Callable[..., Any]] = {}


def takes_complex(primitive: Primitive) -> bool:
    """True if complex operands are accepted: by a rule, or, of a composite for any dtype, by its body."""
    return primitive.name in COMPLEX_RULES or (primitive.composite and primitive.dtypes is DTYPES)


def check_dtypes(primitive: Primitive, types: Sequence[ValueType]) -> None:
    for type in types:
        if isinstance(type, TensorType) and type.dtype not in primitive.dtypes:
            if is_complex(type.dtype) and takes_complex(primitive):
                continue
            raise HornbeamTypeError(
                f"{primitive.name} does not take {type.dtype}; it takes {', '.join(primitive.dtypes)}"
            )


def lift_scalars(inputs: Sequence[Any]) -> tuple[Node, ...]:
    """Replace Python numbers by constants of the shape and dtype of the first Node among `inputs`."""
    like = next((x for x in inputs if isinstance(x, Node)), None)
    if like is None:
        raise TypeError("at least one operand of a primitive must be a Node")
    return tuple(x if isinstance(x, Node) else full(x, like.type) for x in inputs)


def _constant_type(*, data: bytes, shape: tuple[int, ...], dtype: str) -> TensorType:
    return TensorType(shape, dtype)


def _constant_reference(*, data: bytes, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    return np.frombuffer(data, numpy_dtype(dtype)).reshape(shape)


CONSTANT = primitive(
    "constant",
    type_rule=_constant_type,
    reference=_constant_reference,
    vjp=lambda ct, out, **_: (),
    cost=movement_cost,
    samples=(Sample((), {"data": np.array([1, 2], "float32").tobytes(), "shape": (2,), "dtype": "float32"}),),
)


def constant(value: Any, dtype: str) -> Node:
    """Create a node for a small value that is known while tracing.

    It is part of the graph's text; large arrays are leaves instead.
    """
    array = np.asarray(value, numpy_dtype(dtype))
    return bind(CONSTANT, data=array.tobytes(), shape=array.shape, dtype=dtype)


def _size_reference(*, size: SymbolicSize) -> np.ndarray:
    raise TypeError(f"the size {size.expression} is not known: graphs of unknown sizes are not run")


# Not in the table: engines run graphs whose sizes are numbers.
SIZE = Primitive(
    name="size",
    type_rule=lambda *, size: TensorType((), "int32"),
    reference=_size_reference,
    vjp=lambda ct, out, **_: (),
    cost=movement_cost,
    dtypes=DTYPES,
    samples=(),
)


def size_node(size: Any) -> Node:
    """Return a size as a scalar int32 value."""
    return bind(SIZE, size=size) if isinstance(size, SymbolicSize) else constant(size, "int32")


def full(value: Any, type: ValueType) -> Node:
    """Broadcast a constant scalar, or a size, to `type`."""
    if isinstance(type, tuple):
        raise TypeError(
            "a scalar cannot be combined with a value of several outputs; project one of them first"
        )
    # Equal numbers have equal bits, except for the two zeros.
    return _cached_full(value, type) if isinstance(value, (int, float)) and value else _full(value, type)


def _full(value: Any, type: TensorType) -> Node:
    if isinstance(value, SymbolicSize):
        scalar = size_node(value)
        if type.dtype != scalar.dtype:
            scalar = bind(PRIMITIVES["convert"], scalar, dtype=type.dtype)
    else:
        scalar = constant(value, type.dtype)
    return scalar if not type.shape else bind(PRIMITIVES["broadcast"], scalar, shape=type.shape, dims=())


# Loops use the same few numbers repeatedly.
_cached_full = lru_cache(maxsize=256)(_full)


def zeros_like(node: Node) -> Node:
    return full(0, node.type)


def ones_like(node: Node) -> Node:
    return full(1, node.type)


def expect_same(name: str, *types: TensorType) -> TensorType:
    """Return the common type of the operands, or raise a ShapeError or HornbeamTypeError that lists them."""
    first = types[0]
    for other in types[1:]:
        if other.dtype != first.dtype:
            raise HornbeamTypeError(f"{name} needs operands of one dtype, got {', '.join(map(str, types))}")
        if other.shape != first.shape:
            if not same_shape(other.shape, first.shape):
                raise ShapeError(f"{name} needs operands of one shape, got {', '.join(map(str, types))}")
            first = TensorType(merged_shape(first.shape, other.shape), first.dtype)
    return first


def graph_param(params: dict[str, Any]) -> list[Graph]:
    """Return the graphs among a node's parameters: bodies of composites and of control flow."""
    return [value for value in params.values() if isinstance(value, Graph)]
