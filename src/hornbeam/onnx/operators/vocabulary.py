"""The table of ONNX operators: name, implementation, positions of weights, and layout of channels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from hornbeam.core.convert import as_tensor
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import TensorLike
from hornbeam.errors import GraphError, ValueNeededError
from hornbeam.ir.node import Node
from hornbeam.ir.trace import current_level
from hornbeam.onnx.operators.sizes import value_from_sizes

F = TypeVar("F", bound=Callable[..., Any])

# Positions of inputs of operators that take any number of them.
EVERY = range(1000)

# Layouts: how an operator takes tensors whose channels were moved to the end.
PLAIN = "plain"  # channels are moved back first
ANY = "any"  # elementwise, in any layout
ONE = "one"  # elementwise if all inputs but the first are single numbers
LAST = "last"  # first input and first output have channels last


@dataclass(frozen=True)
class OnnxOperator:
    """A row of the table.

    `compute(call, *inputs)` takes tensors, arrays whose values are known (mostly of shapes) and None for
    omitted inputs. weights: positions at which a float array of the file is trainable. through: number of
    first inputs that are passed through, so that weights may precede them. tensors: number of first inputs
    that are converted to tensors; `compute` takes the others as they are, to read known values.
    """

    compute: Callable[..., Any]
    layout: str
    weights: Sequence[int]
    through: int
    tensors: int

    def apply(self, call: Call, inputs: Sequence[Any]) -> tuple[Any, ...]:
        """Return the results, in a tuple."""
        first = [x if x is None else as_tensor(x) for x in inputs[: self.tensors]]
        results = self.compute(call, *first, *inputs[self.tensors :])
        return tuple(results) if isinstance(results, (tuple, list)) else (results,)


OPERATORS: dict[str, OnnxOperator] = {}
# Operators on results of DequantizeLinear: they take levels, scale and zero of the first two inputs.
ON_LEVELS: dict[str, OnnxOperator] = {}


def operator(
    name: str,
    layout: str = PLAIN,
    weights: Sequence[int] = (),
    through: int = 0,
    tensors: int = len(EVERY),
    table: dict[str, OnnxOperator] = OPERATORS,
) -> Callable[[F], F]:
    """Register a function in a table, under one name or several, separated by spaces."""

    def add(compute: F) -> F:
        for alias in name.split():
            table[alias] = OnnxOperator(compute, layout, weights, through, tensors)
        return compute

    return add


def microsoft(names: str, *arguments: Any, **options: Any) -> Callable[[F], F]:
    """Register a function under names of the domain com.microsoft, as `operator` does."""
    return operator(" ".join(f"com.microsoft::{name}" for name in names.split()), *arguments, **options)


class Attributes(dict[str, Any]):
    """Attributes of a node. `read` are the names of those that its operator looked at."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        super().__init__(values)
        self.read: set[str] = set()

    def get(self, name: str, default: Any = None) -> Any:
        self.read.add(name)
        return super().get(name, default)


@dataclass(frozen=True)
class Call:
    """One use of an operator: its attributes, the number of its outputs, and the version of the operator set.

    branch: evaluates a graph among the attributes, which may use all values computed before.
    """

    op: str
    attributes: Attributes
    outputs: int
    opset: int
    branch: Callable[..., list[Any]]

    def get(self, name: str, default: Any = None) -> Any:
        """Return an attribute of the type of `default`. Raises GraphError."""
        value = self.attributes.get(name, default)
        expected = type(default)
        if (
            default is not None
            and type(value) is not expected
            and not (expected is float and type(value) is int)
        ):
            raise GraphError(f"attribute {name!r} should be a {expected.__name__}, got {value!r}")
        return value

    def only(self, **attributes: Any) -> None:
        """Raise GraphError for attributes with other values than the supported ones."""
        for name, value in attributes.items():
            if (actual := self.attributes.get(name, value)) != value:
                raise GraphError(f"{name}={actual!r} is not supported, only {value!r}")


def node_of(x: TensorLike) -> Node:
    """Return the node of a tensor or of a known array."""
    return as_tensor(x).node


def resolved(x: TensorLike) -> TensorLike:
    """Return the value of a tensor that is known, or follows from sizes, and any other operand as it is."""
    if not isinstance(x, Tensor) or x.node.level > 0:
        return x
    # Outside of traces every value can be read; negative levels are of symbolic sizes.
    if x.node.level == 0 and not current_level():
        return x.numpy()
    value = value_from_sizes(x.node)
    return x if value is None else value


def known(x: TensorLike, name: str) -> np.ndarray:
    """Return the value of an input that has to be known when the graph is traced. Raises GraphError.

    It is an array of objects where it follows from sizes that are not known yet.
    """
    value = resolved(x)
    if isinstance(value, np.ndarray):
        return value
    raise ValueNeededError(
        f"its {name} is computed from the data: predict and fit compile a model for all data, so that shapes "
        "must follow from shapes and constants; call the model, as model(x), to read values"
    )


def ints(x: TensorLike, name: str) -> list[int]:
    """Return integers that have to be known."""
    values = known(x, name) if not isinstance(x, list) else np.asarray(x, "int64")
    if values.dtype.kind not in "iuO":
        raise GraphError(f"its {name} should be integers, got {values.dtype}")
    return list(values.reshape(-1).tolist())


def number(x: TensorLike, name: str) -> Any:
    """Return one number that has to be known."""
    values = known(x, name).reshape(-1)
    if values.size != 1:
        raise GraphError(f"its {name} should be one number, got {values.size}")
    return values.tolist()[0]


def filled(inputs: Sequence[Any], count: int) -> list[Any]:
    """Return `count` inputs: None for those that are left out at the end."""
    return list(inputs) + [None] * (count - len(inputs))


def axis_of(axis: Any, rank: int) -> int:
    """Return an axis as a non-negative index."""
    if not isinstance(axis, int) or not -rank <= axis < rank:
        raise GraphError(f"axis {axis!r} of a tensor with {rank} axes")
    return axis % rank


def axes_of(call: Call, axes_input: Any, rank: int, since: int) -> tuple[int, ...] | None:
    """Return axes that are an attribute before version `since` and an input from then on, or None."""
    axes = call.get("axes") if call.opset < since else axes_input
    if axes is None:
        return None
    indices = sorted(axis_of(axis, rank) for axis in ints(axes, "axes"))
    if len(set(indices)) != len(indices):
        raise GraphError(f"an axis is listed twice in {indices}")
    return tuple(indices)


def object_array(items: Sequence[Any], shape: Sequence[int]) -> np.ndarray:
    """Return objects, such as strings, as an array of a shape."""
    result = np.empty(len(items), object)
    result[:] = items
    return result.reshape(tuple(shape))


def tensors(nodes: Sequence[Node]) -> tuple[Tensor, ...]:
    """Convert nodes to tensors."""
    return tuple(Tensor(node) for node in nodes)
