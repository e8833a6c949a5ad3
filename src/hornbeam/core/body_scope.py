"""Assignments of variables inside the bodies of branches and loops."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from hornbeam.core.tensor import Tensor
from hornbeam.core.variable import Variable, VariableTracer
from hornbeam.ir.node import Node
from hornbeam.ir.trace import current_level
from hornbeam.ir.types import is_inexact
from hornbeam.primitives import stop_gradient

Result = TypeVar("Result")


class BodyScope(VariableTracer):
    """Scope of a body: assignments stay in it, and the construct (cond, scan, ...) returns the new values.

    Args:
        values: Variables that a loop carries, with their values at the beginning of the body.
    """

    def __init__(self, values: Iterable[tuple[Variable, Node]] = ()) -> None:
        super().__init__(current_level())
        self.values = dict(values)

    def read(self, variable: Variable) -> Node:
        """Return the value inside the body: the last one assigned, the carried one, or that outside."""
        node = self.values.get(variable)
        if node is not None:  # gradients do not flow through assignments
            return stop_gradient(node) if is_inexact(node.dtype) else node
        return self.read_outside(variable)

    def assign(self, variable: Variable, node: Node) -> None:
        self.values[variable] = node
        self.assigned[variable] = None


def trace_with_assignments(
    build: Callable[[tuple[Variable, ...], dict[Variable, None]], tuple[Result, Sequence[Node]]],
) -> Result:
    """Build a construct whose bodies may assign variables, and assign them its results.

    Which variables the bodies assign is known after they were traced once: then they are traced again, with
    those as further results.

    Args:
        build: Function of the variables that the construct carries, and of a dict to which it adds those that
            its bodies assign. Returns the result, and the new values of the carried variables.
    """
    variables: tuple[Variable, ...] = ()
    for _ in range(3):
        assigned: dict[Variable, None] = {}
        result, values = build(variables, assigned)
        if not assigned.keys() - set(variables):
            for variable, node in zip(variables, values, strict=True):
                variable.assign(Tensor(node))
            return result
        variables = (*variables, *(variable for variable in assigned if variable not in variables))
    raise RuntimeError(
        f"a branch or loop body makes new variables each time it is traced, such as {variables[-1].path!r}: "
        "make them outside"
    )


def check_no_assignment(scope: VariableTracer, where: str) -> None:
    """Raise RuntimeError if a function assigned variables in its scope."""
    for variable in scope.assigned:
        raise RuntimeError(f"variable {variable.path!r} is assigned in {where}: assign it in the body")
