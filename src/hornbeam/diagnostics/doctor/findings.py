"""Findings, and the table of checks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from hornbeam.diagnostics.doctor.training_trace import TrainingTrace


@dataclass(frozen=True)
class Finding:
    """A problem of a training.

    Attributes:
        name: Name of the check.
        evidence: Numbers of this run.
        advice: Likely fix.
        layers: Paths of the layers concerned.
        epoch: Epoch in which it was found, counted from 1; 0 before the first update.
    """

    name: str
    evidence: str
    advice: str
    layers: tuple[str, ...] = ()
    epoch: int = 0

    def _repr_html_(self) -> str:
        from hornbeam.visualization.findings import findings_html

        return findings_html([self])

    def __str__(self) -> str:
        return f"{self.name}: {self.evidence}. {self.advice}."


class Evidence(NamedTuple):
    """Evidence of a check: a sentence without its full stop, and the layers concerned."""

    text: str
    layers: Sequence[str] = ()


Find = Callable[["TrainingTrace"], Evidence | None]


class Check(NamedTuple):
    """A row of the table.

    when: "snapshot" (after each snapshot), "epoch" (at each epoch's end). meaning: the problem in words.
        unless:
    findings that explain this one, or "any".
    """

    name: str
    when: str
    meaning: str
    advice: str
    find: Find
    unless: tuple[str, ...]


class Checks(list[Check]):
    """Checks of a module; decorating a function adds it."""

    def __call__(
        self, name: str, when: str, meaning: str, advice: str, unless: tuple[str, ...] = ()
    ) -> Callable[[Find], Find]:
        def add(find: Find) -> Find:
            self.append(Check(name, when, meaning, advice, find, unless))
            return find

        return add


def listed(paths: Sequence[str], most: int = 3) -> str:
    """List the first few layers by name."""
    shown = ", ".join(repr(str(path)) for path in paths[:most])
    return shown + (f" and {len(paths) - most} more" if len(paths) > most else "")
