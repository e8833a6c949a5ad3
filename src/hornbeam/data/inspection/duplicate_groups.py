"""Groups of duplicate samples, and the report on them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from hornbeam._internal.terminal import columns, folded

_SHOWN = 10


class Member(NamedTuple):
    """A sample: the part of the data that holds it, its row there, and its path (or None)."""

    part: str
    row: int
    path: str | None = None

    def __str__(self) -> str:
        return self.path or (f"{self.part}[{self.row}]" if self.part else f"row {self.row}")


class Group(NamedTuple):
    """Duplicate samples. kind: "exact" (same bytes or pixels) or "near" (at least some of them)."""

    kind: str
    members: tuple[Member, ...]

    @property
    def parts(self) -> list[str]:
        """Parts of the data that hold its samples."""
        return list(dict.fromkeys(member.part for member in self.members))


@dataclass(frozen=True)
class Duplicates:
    """Result of `find_duplicates`; prints as a report.

    groups: groups of duplicates, those in several parts first. samples: number of samples that were compared.
    bad: reasons by path of files that cannot be read.
    """

    groups: list[Group]
    samples: int
    bad: dict[str, str] = field(default_factory=dict)

    @property
    def across(self) -> list[Group]:
        """Groups with samples in more than one part: data leakage."""
        return [group for group in self.groups if len(group.parts) > 1]

    def rows(self, part: str = "") -> np.ndarray:
        """Return the rows of a part to drop (int64) so that each sample occurs once.

        The first sample of a group stays. Parts count in the order in which they were passed, so pass first
        the part to be kept.

        Args:
            part: Name of the part.
        """
        rows = [m.row for group in self.groups for m in group.members[1:] if m.part == part]
        return np.array(sorted(rows), np.int64)

    def __len__(self) -> int:
        return len(self.groups)

    def __str__(self) -> str:
        return folded("\n".join(self._lines()), columns(), "  ")

    def _lines(self) -> Iterator[str]:
        kinds = Counter(group.kind for group in self.groups)
        redundant = sum(len(group.members) - 1 for group in self.groups)
        if not self.groups:
            yield f"{self.samples:,} samples, no duplicates."
        else:
            yield (
                f"{self.samples:,} samples, {redundant:,} of them redundant: {kinds['exact']:,} groups of "
                f"exact duplicates, {kinds['near']:,} of near-duplicates; {len(self.across):,} in more than "
                "one part."
            )
        for group in self.groups[:_SHOWN]:
            parts = "across " + " and ".join(group.parts) if len(group.parts) > 1 else group.parts[0]
            names = ", ".join(map(str, group.members[:_SHOWN]))
            more = len(group.members) - _SHOWN
            yield f"  {group.kind}{' ' + parts if parts else ''}: {names}{f' and {more:,} more' * (more > 0)}"
        if len(self.groups) > _SHOWN:
            yield f"  and {len(self.groups) - _SHOWN:,} more groups"
        for path, reason in self.bad.items():
            yield f"  cannot be read: {path}: {reason}"


def first_of_each(exact: Iterable[Sequence[int]], count: int) -> np.ndarray:
    """Return a mask of the samples that are not an exact duplicate of an earlier one."""
    firsts = np.ones(count, bool)
    for group in exact:
        firsts[list(group[1:])] = False
    return firsts


def group_members(
    members: Sequence[Member], exact: list[list[int]], near: Iterable[tuple[int, int]]
) -> list[Group]:
    """Return the connected components of duplicates.

    Those in several parts come first, then by their first sample.
    """
    parent = list(range(len(members)))

    def find(number: int) -> int:
        while parent[number] != number:
            parent[number] = parent[parent[number]]
            number = parent[number]
        return number

    for group in exact:
        for number in group[1:]:
            parent[max(find(group[0]), find(number))] = min(find(group[0]), find(number))
    exact_roots = {number: find(number) for group in exact for number in group}
    for a, b in near:
        parent[max(find(a), find(b))] = min(find(a), find(b))
    components: dict[int, list[int]] = defaultdict(list)
    for number in sorted({*exact_roots, *(number for pair in near for number in pair)}):
        components[find(number)].append(number)
    groups = []
    for numbers in components.values():
        is_exact = len({exact_roots.get(number, -1 - number) for number in numbers}) == 1
        groups.append(Group("exact" if is_exact else "near", tuple(members[number] for number in numbers)))
    return sorted(groups, key=lambda group: len(group.parts) == 1)
