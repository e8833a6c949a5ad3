"""Measure cases on all sides in alternation, and compare their results."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.atlas.cases import Case
from benchmarks.atlas.session import Session, SideError

# Most of the arithmetic of a gradient: as much as the forward pass for each of two operands.
BACKWARD_FLOPS = 3.0
# Largest differences of results. In bfloat16 only other work is noticed: PyTorch adds gradients of
# normalizations up in bfloat16, with errors of a fifth.
TOLERANCES = {"float32": 1e-4, "bfloat16": 0.4}
# Of a random result, the tolerance of its mean and deviation.
RANDOM_TOLERANCE = 0.05


@dataclass
class Row:
    """Times of a case, by the name of the side."""

    case: Case
    dtype: str
    backward: bool
    seconds: dict[str, float] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    differences: dict[str, float] = field(default_factory=dict)
    nbytes: float = 0.0

    @property
    def name(self) -> str:
        """Case, dtype and pass."""
        return f"{self.case.name}, {self.dtype}, {'backward' if self.backward else 'forward'}"

    @property
    def flops(self) -> float:
        """Floating-point operations, of the gradients too; 0 if memory alone bounds."""
        return self.case.flops * (BACKWARD_FLOPS if self.backward else 1.0)

    def ratio(self, ours: str, peers: Sequence[str]) -> float | None:
        """Return the time of the quickest peer divided by ours: above 1 where ours is quicker."""
        times = [self.seconds[name] for name in peers if name in self.seconds]
        return min(times) / self.seconds[ours] if times and ours in self.seconds else None

    def roof_seconds(self, peak: Mapping[str, Any]) -> float:
        """Return the least time on this machine: of the arithmetic, or of moving operands and results."""
        half = (peak["bfloat16"] or 0.0) if self.dtype == "bfloat16" else 0.0
        flops = max(peak["float32"], half)  # values of bfloat16 can be multiplied as float32, too
        levels = peak["memory"]
        threads = peak["threads"]
        _, read, copy = next((x for x in levels[:-1] if self.nbytes <= x[0] * threads), levels[-1])
        return max(self.flops / flops, self.nbytes / max(read, copy))

    def difference_allowed(self) -> float:
        """Return the largest difference that `check` accepts."""
        return RANDOM_TOLERANCE if self.case.random else TOLERANCES[self.dtype]


def measure(
    case: Case, dtype: str, backward: bool, sessions: Sequence[Session], rounds: int, check: bool = False
) -> Row:
    """Measure a case: the least time of `rounds` rounds, in each of which all sides run once.

    With `check` the results of the sides are compared with the first one's. What fails on a side is noted.
    """
    row = Row(case, dtype, backward)
    with tempfile.TemporaryDirectory(prefix="hornbeam-atlas-") as folder:
        files = {session.name: Path(folder) / f"{number}.npz" for number, session in enumerate(sessions)}
        able = []
        for session in sessions:
            request = case.request(dtype, backward)
            if check:
                request["save"] = str(files[session.name])
            try:
                answer = session.ask(request)
            except SideError as error:
                row.failures[session.name] = str(error)
                continue
            row.settings[session.name] = answer["setting"]
            row.nbytes = row.nbytes or answer["bytes"]
            able.append(session)
        if check and len(able) > 1 and able[0] is sessions[0]:
            first, *others = (read_results(files[session.name]) for session in able)
            for session, results in zip(able[1:], others, strict=True):
                row.differences[session.name] = difference(first, results, row)
    for _ in range(rounds):
        for session in list(able):
            try:
                seconds = session.ask({"do": "time"})["seconds"]
            except SideError as error:
                row.failures[session.name] = str(error)
                row.seconds.pop(session.name, None)
                able.remove(session)
            else:
                row.seconds[session.name] = min(seconds, row.seconds.get(session.name, seconds))
    return row


def measure_all(
    cases: Sequence[Case],
    dtypes: Sequence[str],
    passes: Sequence[bool],
    sessions: Sequence[Session],
    rounds: int,
    check: bool = False,
    watch: Callable[[str], None] = lambda text: None,
) -> Iterator[Row]:
    """Measure cases in every dtype, forward (False) and with gradients (True), one after the other."""
    jobs = [
        (case, dtype, backward)
        for case in cases
        for dtype in dtypes
        for backward in passes
        if case.backward or not backward
    ]
    try:
        for number, (case, dtype, backward) in enumerate(jobs, 1):
            watch(f"{number} of {len(jobs)}: {case.name}, {dtype}")
            yield measure(case, dtype, backward, sessions, rounds, check)
    finally:
        for session in sessions:
            session.close()


def read_results(path: Path) -> list[np.ndarray]:
    """Read the results that a side has saved."""
    with np.load(path) as file:
        return [file[name] for name in file.files]


def difference(ours: Sequence[np.ndarray], theirs: Sequence[np.ndarray], row: Row) -> float:
    """Return the largest relative difference of results, |a - b| / |b| by Euclidean norms.

    It is infinite for other shapes. Of random results, mean and deviation are compared. In bfloat16 the order
    of equal values is open: neither indices nor gradients are compared.
    """
    if [x.shape for x in ours] != [x.shape for x in theirs]:
        return float("inf")
    count = 1 if row.case.ordered and row.dtype == "bfloat16" else len(ours)
    return max(_difference(a, b, row) for a, b in zip(ours[:count], theirs[:count], strict=True))


def _difference(a: np.ndarray, b: np.ndarray, row: Row) -> float:
    if row.case.random:
        a, b = (np.array([x.mean(dtype="float64"), x.std(dtype="float64")]) for x in (a, b))
    elif not np.issubdtype(a.dtype, np.floating):
        return 0.0 if row.dtype == "bfloat16" or np.array_equal(a, b) else float("inf")
    a, b = a.astype("float64").ravel(), b.astype("float64").ravel()
    error = float(np.linalg.norm(a - b) / max(float(np.linalg.norm(b)), 1e-30))
    return error if np.isfinite(error) else float("inf")
