"""Limit on the work of building a graph, for models from untrusted files.

A small file can describe a model that takes forever to build: unrolled loops, models inside models.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from hornbeam._internal.context import context_variable, override
from hornbeam.errors import WorkLimitError
from hornbeam.ir.sizes import is_unknown

# Operations that may still be applied, None for any number.
_steps: ContextVar[int | None] = context_variable("work limit", None)

# One entry per open limit, of all threads: while it is empty, counting costs the check of an empty list.
limits: list[None] = []

# What calling a layer counts, beside its operations.
SCOPE_STEPS = 5


@contextmanager
def work_limit(steps: int) -> Iterator[None]:
    """Allow at most `steps` operations inside; a layer's call counts as five."""
    limits.append(None)
    try:
        with override(_steps, steps):
            yield
    finally:
        limits.pop()


def count_steps(number: int) -> None:
    """Count `number` operations against the innermost limit, if one is open here."""
    steps = _steps.get()
    if steps is not None:
        if steps < number:
            raise WorkLimitError("the model takes more operations to build than its size accounts for")
        _steps.set(steps - number)


def count_elements(number: int) -> None:
    """Count an array or list of `number` elements that is built outside of the graph.

    Call it before allocating: a file may ask for a billion pixels, parts or thresholds. Unknown sizes are
    counted when they are known.
    """
    if limits and not is_unknown(number):
        count_steps(number // 200)
