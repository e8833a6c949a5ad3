"""The table of ONNX operators: a name, what computes it, which of its inputs are weights, and where its
channels may stand.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from hornbeam.core.convert import as_tensor
from hornbeam.core.tensor import Tensor
from hornbeam.ir.node import Node

F = TypeVar("F", bound=Callable[..., Any])

# Positions of inputs of operators that take any number.
EVERY = range(1000)

# How an operator takes tensors whose channels have been moved to the end.
PLAIN = "plain"  # it does not: they are moved back first
ANY = "any"  # it works element by element, wherever the channels are
LAST = "last"  # it wants its first input, and gives its first output, with channels last


class GraphError(ValueError):
    """An ONNX graph that breaks a rule, or needs something that is not there."""


@dataclass(frozen=True)
class Operator:
    """One row of the table. `compute(call, *inputs)` takes tensors, arrays whose values are known (of shapes,
    mostly) and Nones for inputs that are left out.

    weights: positions at which a float array of the file is trainable. through: how many of its first inputs
    it hands on, so that weights may stand behind it.
    """

    compute: Callable[..., Any]
    layout: str
    weights: Sequence[int]
    through: int


OPERATORS: dict[str, Operator] = {}


def operator(
    name: str, layout: str = PLAIN, weights: Sequence[int] = (), through: int = 0
) -> Callable[[F], F]:
    """Put a function into the table, under one name or several."""

    def add(compute: F) -> F:
        for each in name.split():
            OPERATORS[each] = Operator(compute, layout, weights, through)
        return compute

    return add


@dataclass(frozen=True)
class Call:
    """One use of an operator: its attributes, how many outputs are wanted, and the version of the operator
    set.

    branch: evaluates a graph among the attributes, which may use all that was computed before.
    """

    op: str
    attributes: dict[str, Any]
    outputs: int
    opset: int
    branch: Callable[..., list[Any]]

    def get(self, name: str, default: Any = None) -> Any:
        """An attribute, of the same kind as `default`. Raises GraphError."""
        value = self.attributes.get(name, default)
        kind = type(default)
        if default is not None and type(value) is not kind and not (kind is float and type(value) is int):
            raise GraphError(f"attribute {name!r} should be a {kind.__name__}, got {value!r}")
        return value

    def only(self, **attributes: Any) -> None:
        """Raises GraphError for an attribute with another value than the one that is there."""
        for name, value in attributes.items():
            if (found := self.attributes.get(name, value)) != value:
                raise GraphError(f"{name}={found!r} is not there, only {value!r}")


def node_of(x: Any) -> Node:
    """The node of a tensor, or of an array that is known."""
    return as_tensor(x).node


def known(x: Any, what: str) -> np.ndarray:
    """The value of an input that has to be known when the graph is traced. Raises GraphError."""
    if isinstance(x, np.ndarray):
        return x
    raise GraphError(
        f"its {what} is computed from the data: it must follow from shapes and constants, since memory is "
        "planned before the model runs"
    )


def ints(x: Any, what: str) -> list[int]:
    """Whole numbers that have to be known."""
    values = known(x, what) if not isinstance(x, list) else np.asarray(x, "int64")
    if values.dtype.kind not in "iu":
        raise GraphError(f"its {what} should be whole numbers, got {values.dtype}")
    return [int(value) for value in values.reshape(-1)]


def number(x: Any, what: str) -> Any:
    """One number that has to be known."""
    values = known(x, what).reshape(-1)
    if values.size != 1:
        raise GraphError(f"its {what} should be one number, got {values.size}")
    return values[0].item()


def axis_of(axis: Any, rank: int) -> int:
    """An axis counted from the front."""
    if not isinstance(axis, int) or not -rank <= axis < rank:
        raise GraphError(f"axis {axis!r} of a tensor with {rank} axes")
    return axis % rank


def axes_of(call: Call, given: Any, rank: int, since: int) -> tuple[int, ...] | None:
    """Axes that are an attribute before version `since` and an input from then on; None if there are none."""
    axes = call.get("axes") if call.opset < since else given
    if axes is None:
        return None
    found = sorted(axis_of(axis, rank) for axis in ints(axes, "axes"))
    if len(set(found)) != len(found):
        raise GraphError(f"an axis is listed twice in {found}")
    return tuple(found)


def tensors(nodes: Sequence[Node]) -> tuple[Tensor, ...]:
    """Nodes as tensors."""
    return tuple(Tensor(node) for node in nodes)
