"""What a finding is, and the table of checks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from hornbeam.diagnostics.doctor.training_trace import TrainingTrace


@dataclass(frozen=True)
class Finding:
    """Something about a training that should not be so.

    name: of the check. evidence: this run's numbers. advice: what to do. layers: paths of the layers that it
    is about. epoch: counted from 1 in which it was seen, 0 before the first update.
    """

    name: str
    evidence: str
    advice: str
    layers: tuple[str, ...] = ()
    epoch: int = 0

    def __str__(self) -> str:
        return f"{self.name}: {self.evidence}. {self.advice}."


class Evidence(NamedTuple):
    """What a check saw: a sentence without its full stop, and the layers it is about."""

    text: str
    layers: Sequence[str] = ()


Find = Callable[["TrainingTrace"], Evidence | None]


class Check(NamedTuple):
    """A row of the table. when: "snapshot" (at each look into a step), "epoch" (at each epoch's end). unless:
    findings that explain this one, or "any"."""

    name: str
    when: str
    what: str
    advice: str
    find: Find
    unless: tuple[str, ...]


class Checks(list[Check]):
    """The checks of a module, noted by decorating what finds them."""

    def __call__(
        self, name: str, when: str, what: str, advice: str, unless: tuple[str, ...] = ()
    ) -> Callable[[Find], Find]:
        def note(find: Find) -> Find:
            self.append(Check(name, when, what, advice, find, unless))
            return find

        return note


def listed(paths: Sequence[str], most: int = 3) -> str:
    """Layers by name, the first few."""
    shown = ", ".join(repr(str(path)) for path in paths[:most])
    return shown + (f" and {len(paths) - most} more" if len(paths) > most else "")
