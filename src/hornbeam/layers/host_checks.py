"""Checks of indices that layers read from the data, on the host, before they are computed with."""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from hornbeam._internal import warning_policy
from hornbeam._internal.context import context_variable, override
from hornbeam.core.tensor import Tensor
from hornbeam.core.variable import current_variable_tracer
from hornbeam.ir.node import Node


class TakesIndices(Protocol):
    """A layer that takes indices below a number."""

    input_dim: int

    def check_values(self, x: np.ndarray) -> None:
        """Raise ValueError for values that it does not take."""


@dataclass
class Notes:
    """The arguments of a traced function that layers take indices from.

    are_checked: whether the host will check them before each run.
    """

    are_checked: bool
    readers: list[tuple[Node, TakesIndices]] = field(default_factory=list)

    def by_position(self, arguments: Sequence[Node]) -> list[tuple[int, TakesIndices]]:
        """Return the layers with the positions of the arguments that they read."""
        positions = {node: index for index, node in enumerate(arguments)}
        return [(positions[node], layer) for node, layer in self.readers if node in positions]


_notes: ContextVar[Notes | None] = context_variable("indices of a traced function", None)


def noted_indices(*, are_checked: bool) -> override[Notes | None]:
    """Note, while a function is traced, which of its arguments are indices."""
    return override(_notes, Notes(are_checked))


def are_checked(layer: TakesIndices, x: Tensor) -> bool:
    """Return whether the host checks what `layer` reads: now, or before each run of the traced step.

    It cannot check what the step computes, nor what comes to exported functions.
    """
    node = x.node
    while node.primitive is not None and node.name == "convert":
        node = node.inputs[0]
    if node.primitive is not None:
        return False
    if node.value is not None:
        check_values(layer, np.asarray(Tensor(node)))
        return True
    notes, tracer = _notes.get(), current_variable_tracer()
    if notes is None or node.level != 1 or (tracer is not None and node in tracer.inputs.values()):
        return False
    notes.readers.append((node, layer))
    return notes.are_checked


def check_values(layer: TakesIndices, x: np.ndarray) -> None:
    """Call a layer's `check_values`. Its error goes through the warning policy."""
    try:
        layer.check_values(x)
    except ValueError as error:
        warning_policy.on_warning(str(error))


class StepChecks:
    """The noted checks of a step whose arguments are these nodes."""

    def __init__(self, notes: Notes, arguments: Sequence[Node]) -> None:
        self._checks = dict.fromkeys(notes.by_position(arguments))

    def __call__(self, arrays: Sequence[np.ndarray]) -> None:
        """Check the arguments of a run, or all rows that the runs will take them from."""
        for position, layer in self._checks:
            check_values(layer, np.asarray(arrays[position]))
