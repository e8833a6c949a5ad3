"""Exponential moving averages of variables."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hornbeam import ops
from hornbeam.core.tensor import Tensor
from hornbeam.core.variable import Variable
from hornbeam.optimizers.updates import Updates


def update_averages(
    averages: Sequence[tuple[Variable, Variable]], momentum: float, iterations: Tensor
) -> None:
    """Move the average of each variable toward its value; at iteration 0 start at the value."""
    first = ops.equal(iterations, 0)
    for variable, average in averages:
        running = average * momentum + variable * (1.0 - momentum)
        average.assign(ops.where(first, variable.value, running))


def overwrite_every(frequency: int, iterations: Tensor, overwrite: Callable[[], None]) -> None:
    """Make the assignments of `overwrite` after every `frequency` updates."""
    due = ops.equal((iterations + 1) % frequency, 0)
    with Updates() as updates:
        overwrite()
    updates.commit(when=due)
