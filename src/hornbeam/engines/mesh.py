"""Where the pieces of values live: a mesh of devices, layouts on it, and the processes of a job.

Plain data. A graph means the same on a mesh as on one device; engines that run on several devices
(`Engine.on_mesh`) read here which piece of a value belongs to which of them.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

# The mesh axis along which each dimension of a value is cut, None for a dimension that is whole everywhere.
# Dimensions beyond its end are whole, so () is a value that every device has.
Layout = tuple[str | None, ...]


@dataclass(frozen=True)
class Mesh:
    """Devices in a box with named axes.

    devices: names as `Engine.devices` gives them, row-major, over all processes. batch: the axis along which
    batches of data are cut, None if they are not. own: whether each process gives rows of its own, which
    make up a batch together, where it else gives the whole batch as all others do.
    """

    shape: tuple[int, ...]
    axis_names: tuple[str, ...]
    devices: tuple[str, ...]
    batch: str | None = None
    own: bool = False

    @property
    def size(self) -> int:
        """How many devices."""
        return math.prod(self.shape)

    def length(self, axis: str) -> int:
        """How many pieces a dimension on `axis` is cut into."""
        return self.shape[self.axis_names.index(axis)]

    def coordinates(self, number: int) -> dict[str, int]:
        """Of the device at `number` (in `devices`), where it is on each axis."""
        places: dict[str, int] = {}
        for axis, length in zip(reversed(self.axis_names), reversed(self.shape), strict=True):
            number, places[axis] = divmod(number, length)
        return places

    def batch_layout(self, shape: Sequence[int]) -> Layout:
        """The layout of a batch of data: cut along its first dimension, or whole on every device where that
        does not divide."""
        if self.batch is None or not shape or shape[0] % self.length(self.batch):
            return ()
        return (self.batch,)

    def check(self, layout: Layout, shape: Sequence[int], what: str) -> None:
        """Raises ValueError unless a value of `shape` can be cut as `layout` says; `what` names it."""
        names = [axis for axis in layout if axis is not None]
        unknown = [axis for axis in names if axis not in self.axis_names]
        if unknown:
            raise ValueError(f"{what} is to be cut along {unknown[0]!r}, the mesh has {self.axis_names}")
        if len(set(names)) < len(names):
            raise ValueError(f"{what} has the layout {layout}: an axis may cut one dimension only")
        if len(layout) > len(shape):
            raise ValueError(f"{what} has {len(shape)} dimensions, its layout {layout} has {len(layout)}")
        for dimension, (axis, size) in enumerate(zip(layout, shape, strict=False)):
            if axis is not None and size % self.length(axis):
                raise ValueError(
                    f"{what} of shape {tuple(shape)} cannot be cut along {axis!r}: dimension {dimension} has "
                    f"{size} elements, which {self.length(axis)} devices do not divide. Give it None there"
                )

    def piece(self, layout: Layout, shape: Sequence[int], number: int) -> tuple[slice, ...]:
        """Which part of a value of `shape` the device at `number` has."""
        places = self.coordinates(number)
        found = []
        for axis, size in zip((*layout, *(None,) * (len(shape) - len(layout))), shape, strict=True):
            step = size if axis is None else size // self.length(axis)
            start = 0 if axis is None else step * places[axis]
            found.append(slice(start, start + step))
        return tuple(found)


def trimmed(layout: Sequence[str | None]) -> Layout:
    """The layout without the Nones at its end, so that equal layouts are equal."""
    axes = list(layout)
    while axes and axes[-1] is None:
        axes.pop()
    return tuple(axes)


@dataclass(frozen=True)
class Job:
    """The processes that compute together, and this one among them.

    address: "host:port" where they meet. local: the number of the process on its machine. None is for what
    the engine's library finds out by itself, as on a TPU slice.
    """

    address: str | None = None
    count: int | None = None
    index: int | None = None
    local: int | None = None


_KERAS = "KERAS_DISTRIBUTION_"


def job_of(environment: Mapping[str, str] = os.environ) -> Job | None:
    """What the environment says: Keras's variables (KERAS_DISTRIBUTION_...), else those that `hornbeam
    launch` and torchrun set (MASTER_ADDR, MASTER_PORT, WORLD_SIZE, RANK, LOCAL_RANK). None for no job, or
    for one process.

    Raises ValueError for variables that are incomplete or no numbers.
    """
    if f"{_KERAS}NUM_PROCESSES" in environment:
        address = environment.get(f"{_KERAS}JOB_ADDRESSES", "").split(",")[0]
        count, index = (_number(environment, f"{_KERAS}{name}") for name in ("NUM_PROCESSES", "PROCESS_ID"))
    elif "WORLD_SIZE" in environment and "RANK" in environment:
        address = ":".join(environment.get(f"MASTER_{part}", "") for part in ("ADDR", "PORT"))
        count, index = _number(environment, "WORLD_SIZE"), _number(environment, "RANK")
    else:
        return None
    if count > 1 and not all(address.rpartition(":")[::2]):
        raise ValueError(
            f"the environment names a job of {count} processes, but not where they meet: start them by "
            "`hornbeam launch` or torchrun, or set MASTER_ADDR and MASTER_PORT (or, in Keras's way, "
            f"{_KERAS}JOB_ADDRESSES=host:port)"
        )
    if not 0 <= index < max(count, 1):
        raise ValueError(f"the environment numbers this process {index} of {count}: count from 0")
    local = _number(environment, "LOCAL_RANK") if "LOCAL_RANK" in environment else None
    return Job(address, count, index, local) if count > 1 else None


def _number(environment: Mapping[str, str], name: str) -> int:
    text = environment.get(name, "")
    if not text.isdigit():
        raise ValueError(f"the environment variable {name} must be a whole number, got {text!r}")
    return int(text)
