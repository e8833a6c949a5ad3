"""Scopes: the layer path that nodes carry for errors and profiles, with a line of the user's code."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from hornbeam.ir.limits import SCOPE_STEPS, count_steps, limits

# `Node.__init__` reads its attribute `scope` without a call.
local = threading.local()

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


def current_scope() -> str:
    return getattr(local, "scope", "")


@contextmanager
def scope(name: str) -> Iterator[None]:
    """Let nodes created inside carry `name`, a layer path."""
    if limits:
        count_steps(SCOPE_STEPS)
    previous = current_scope()
    local.scope = name
    try:
        yield
    finally:
        local.scope = previous


def backward_scope(name: str) -> str:
    """Scope of the nodes that differentiate nodes of the scope `name`."""
    if not name or name.endswith(BACKWARD):
        return name
    return Located(name + BACKWARD, name.line) if isinstance(name, Located) else name + BACKWARD
