"""All members of a mesh axis in one process, a thread each, on the primitives' references."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from hornbeam.ir.graph import Graph
from hornbeam.ir.interpret import reference
from hornbeam.ir.partition import PARTIAL, Placement
from hornbeam.ir.partition.collectives import process_group


class Meeting:
    """Exchange of arrays between threads, on a mesh of `shape`; members count row-major."""

    def __init__(self, **shape: int) -> None:
        self.shape = shape
        self.size = int(np.prod(list(shape.values())))
        self._barrier = threading.Barrier(self.size)
        self._given: dict[int, Any] = {}

    def coordinates(self, number: int) -> dict[str, int]:
        placements = np.unravel_index(number, tuple(self.shape.values()))
        return dict(zip(self.shape, map(int, placements), strict=True))

    def exchange(self, number: int, axis: str, array: np.ndarray) -> list[np.ndarray]:
        """Return the arrays of the members of `number`'s row along `axis`."""
        self._given[number] = array
        self._barrier.wait(60)
        step = int(np.prod(list(self.shape.values())[list(self.shape).index(axis) + 1 :]))
        first = number - step * self.coordinates(number)[axis]
        results = [self._given[first + step * i] for i in range(self.shape[axis])]
        self._barrier.wait(60)
        return results

    def run(self, graph: Graph, inputs: Sequence[Sequence[np.ndarray]]) -> list[list[np.ndarray]]:
        """The outputs of every member."""

        def member(number: int) -> list[np.ndarray]:
            try:
                with process_group(Member(self, number)):
                    return reference(graph, inputs[number])
            except BaseException:
                self._barrier.abort()
                raise

        with ThreadPoolExecutor(self.size) as pool:
            futures = [pool.submit(member, number) for number in range(self.size)]
            errors = [e for e in (f.exception() for f in futures) if e is not None]
            for error in errors:
                if not isinstance(error, threading.BrokenBarrierError):
                    raise error
            return [future.result() for future in futures]


class Member:
    """A thread's view of a meeting."""

    def __init__(self, meeting: Meeting, number: int) -> None:
        self._meeting, self._number = meeting, number

    def index(self, axis: str) -> int:
        return self._meeting.coordinates(self._number)[axis]

    def exchange(self, axis: str, array: np.ndarray) -> list[np.ndarray]:
        return self._meeting.exchange(self._number, axis, array)


def pieces(array: np.ndarray, placement: Placement, size: int) -> list[np.ndarray]:
    """Return the piece of an array that each of `size` members has."""
    if placement is None:
        return [array] * size
    assert isinstance(placement, int)
    return [np.ascontiguousarray(part) for part in np.split(array, size, placement)]


def assembled(parts: Sequence[np.ndarray], placement: Placement) -> np.ndarray:
    """The value that the members have together; whole ones must be the same bits."""
    if placement == PARTIAL:
        return np.sum(np.stack(parts), 0, dtype=parts[0].dtype)
    if isinstance(placement, int):
        return np.concatenate(parts, placement)
    for part in parts[1:]:
        np.testing.assert_array_equal(part, parts[0])
    return parts[0]
