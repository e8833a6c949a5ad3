"""Scopes: the layer path that nodes carry for errors and profiles, with a line of the user's code."""

from __future__ import annotations

from hornbeam._internal.context import context_variable, override
from hornbeam.ir.limits import SCOPE_STEPS, count_steps, limits

_scope = context_variable("layer path of nodes", "")
# Layer path of the nodes that are created here, "" outside of layers. Not wrapped: every node reads it.
current_scope = _scope.get

# Suffix of the scope of nodes that belong to a layer's backward pass.
BACKWARD = " (backward)"

# File name and line number.
SourceLine = tuple[str, int]


class Located(str):
    """A scope with a source line: the one that created the layer, or the node itself."""

    __slots__ = ("line",)
    line: SourceLine

    def __new__(cls, name: str, line: SourceLine) -> Located:
        scope = super().__new__(cls, name)
        scope.line = line
        return scope

    def __getnewargs__(self) -> tuple[str, SourceLine]:  # type: ignore[override]
        return str(self), self.line


def scope(name: str) -> override[str]:
    """Let nodes created inside carry `name`, a layer path."""
    if limits:
        count_steps(SCOPE_STEPS)
    return override(_scope, name)


def backward_scope(name: str) -> str:
    """Scope of the nodes that differentiate nodes of the scope `name`."""
    if not name or name.endswith(BACKWARD):
        return name
    return Located(name + BACKWARD, name.line) if isinstance(name, Located) else name + BACKWARD
