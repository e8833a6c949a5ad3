"""Deferred assignments: collect the assignments of code, then make them together, or not at all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from hornbeam import ops
from hornbeam._internal.context import context_variable, override
from hornbeam.core.lazy import evaluate
from hornbeam.core.tensor import Tensor
from hornbeam.core.variable import Variable, VariableTracer, current_variable_tracer
from hornbeam.ir.node import Node
from hornbeam.ir.trace import current_level


class Updates(VariableTracer):
    """Deferred assignments: assigning changes what is read; `commit` then assigns the variables.

    Assignments are deferred inside `with`. Eagerly this makes one computation of a whole optimizer step. With
    a condition it makes a step that can be skipped without a branch in the graph; gradient accumulation and
    loss scaling are built on it.

    Example:
        >>> weight = Variable([1.0])
        >>> with Updates() as step:
        ...     change = weight.assign(weight + 1.0)
        >>> step.commit(when=weight < 0.0); weight.numpy().tolist()
        [1.0]
    """

    def __init__(self) -> None:
        super().__init__(current_level())
        self.held: dict[Variable, Node] = {}

    def __enter__(self) -> Updates:
        super().__enter__()
        return self

    def read(self, variable: Variable) -> Node:
        if variable in self.held:
            return self.held[variable]
        return self.read_outside(variable)

    def assign(self, variable: Variable, node: Node) -> None:
        self.held[variable] = node

    def commit(self, when: Tensor | None = None) -> None:
        """Make the assignments; with `when`, a boolean scalar tensor, only where it is true.

        Args:
            when: Boolean scalar tensor, or None.
        """
        values = {variable: Tensor(node) for variable, node in self.held.items()}
        if when is not None:
            values = {variable: ops.where(when, new, variable.value) for variable, new in values.items()}
        if current_variable_tracer() is None and not current_level():
            evaluate([value.node for value in values.values()])
        for variable, value in values.items():
            variable.assign(value)


_records: ContextVar[dict[Variable, Tensor] | None] = context_variable("gradient records", None)


@contextmanager
def record_gradients() -> Iterator[dict[Variable, Tensor]]:
    """Record the gradient of every variable that an optimizer updates.

    It is the unscaled gradient before clipping.
    """
    gradients: dict[Variable, Tensor] = {}
    with override(_records, gradients):
        yield gradients


def record_gradients_of(pairs: Sequence[tuple[Tensor, Variable]]) -> None:
    """Record the gradients by which an optimizer is about to update variables."""
    records = _records.get()
    if records is not None:
        records.update({variable: gradient for gradient, variable in pairs})
