"""Meshes of devices, layouts of values on them, and the processes of a job.

Plain data. A graph has the same meaning on a mesh as on one device; engines on several devices
(`Engine.on_mesh`) use it to find the shard of each device.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hornbeam._internal.terminal import command

# The mesh axis along which each dimension of a value is sharded, None for none. Missing dimensions are not
# sharded, so () is a replicated value.
Layout = tuple[str | None, ...]


@dataclass(frozen=True)
class Mesh:
    """A grid of devices with named axes.

    Args:
        shape: Number of devices along each axis.
        axis_names: Name of each axis.
        devices: Names of the devices (see `Engine.devices`), row-major, of all processes.
        batch: Axis along which batches of data are sharded, None if they are replicated.
        per_process: Whether each process provides its own rows, which form a batch together; otherwise all
            provide the whole batch.
    """

    shape: tuple[int, ...]
    axis_names: tuple[str, ...]
    devices: tuple[str, ...]
    batch: str | None = None
    per_process: bool = False

    @property
    def size(self) -> int:
        """Number of devices."""
        return math.prod(self.shape)

    def axis_size(self, axis: str) -> int:
        """Return the number of devices along an axis.

        Args:
            axis: Name of the axis.
        """
        return self.shape[self.axis_names.index(axis)]

    def coordinates(self, number: int) -> dict[str, int]:
        """Return the index of a device on each axis, given its index in `devices`.

        Args:
            number: Index in `devices`.
        """
        coordinates: dict[str, int] = {}
        for axis, length in zip(reversed(self.axis_names), reversed(self.shape), strict=True):
            number, coordinates[axis] = divmod(number, length)
        return coordinates

    def batch_layout(self, shape: Sequence[int]) -> Layout:
        """Return the layout of a batch: sharded along its first dimension, replicated if not divisible.

        Args:
            shape: Shape of the batch.
        """
        if self.batch is None or not shape or shape[0] % self.axis_size(self.batch):
            return ()
        return (self.batch,)

    def check(self, layout: Layout, shape: Sequence[int], name: str) -> None:
        """Raise ValueError unless a value of `shape` can have `layout`.

        Args:
            layout: The layout.
            shape: Shape of the value.
            name: Name of the value in the message.
        """
        names = [axis for axis in layout if axis is not None]
        unknown = [axis for axis in names if axis not in self.axis_names]
        if unknown:
            raise ValueError(
                f"{name} is to be sharded along {unknown[0]!r}, but the mesh has the axes {self.axis_names}"
            )
        if len(set(names)) < len(names):
            raise ValueError(f"{name} has the layout {layout}: an axis can shard one dimension only")
        if len(layout) > len(shape):
            raise ValueError(f"{name} has {len(shape)} dimensions, but its layout {layout} has {len(layout)}")
        for dimension, (axis, size) in enumerate(zip(layout, shape, strict=False)):
            if axis is not None and size % self.axis_size(axis):
                raise ValueError(
                    f"{name} of shape {tuple(shape)} cannot be sharded along {axis!r}: dimension {dimension} "
                    f"has {size} elements, which {self.axis_size(axis)} devices do not divide. Use None there"
                )

    def shard_slices(self, layout: Layout, shape: Sequence[int], number: int) -> tuple[slice, ...]:
        """Return the slices of a value of `shape` that the device at `number` has.

        Args:
            layout: Layout of the value.
            shape: Its global shape.
            number: Index of the device in `devices`.
        """
        coordinates = self.coordinates(number)
        slices = []
        for axis, size in zip((*layout, *(None,) * (len(shape) - len(layout))), shape, strict=True):
            step = size if axis is None else size // self.axis_size(axis)
            start = 0 if axis is None else step * coordinates[axis]
            slices.append(slice(start, start + step))
        return tuple(slices)


def trimmed(layout: Sequence[str | None]) -> Layout:
    """Remove trailing Nones, so that equal layouts compare equal."""
    axes = list(layout)
    while axes and axes[-1] is None:
        axes.pop()
    return tuple(axes)


@dataclass(frozen=True)
class Job:
    """The processes of a distributed job. None is for what the engine's library detects, as on a TPU slice.

    Attributes:
        address: "host:port" of the coordinator.
        count: Number of processes.
        index: Index of this process.
        local: Index of this process on its machine.
    """

    address: str | None = None
    count: int | None = None
    index: int | None = None
    local: int | None = None


_KERAS = "KERAS_DISTRIBUTION_"


def job_from_environment(environment: Mapping[str, str] = os.environ) -> Job | None:
    """Read the job from environment variables.

    Keras's (KERAS_DISTRIBUTION_...) come first, then those of `hornbeam launch` and torchrun (MASTER_ADDR,
    MASTER_PORT, WORLD_SIZE, RANK, LOCAL_RANK).

    Returns:
        The job, None for no job or one process.

    Raises:
        ValueError: If variables are missing or are not numbers.
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
            f"the environment names a job of {count} processes, but not their coordinator: start them by "
            f"`{command('launch')}` or torchrun, or set MASTER_ADDR and MASTER_PORT (or Keras's "
            f"{_KERAS}JOB_ADDRESSES=host:port)"
        )
    if not 0 <= index < max(count, 1):
        raise ValueError(f"the environment numbers this process {index} of {count}: count from 0")
    local = _number(environment, "LOCAL_RANK") if "LOCAL_RANK" in environment else None
    return Job(address, count, index, local) if count > 1 else None


def _number(environment: Mapping[str, str], name: str) -> int:
    text = environment.get(name, "")
    if not text.isdigit():
        raise ValueError(f"the environment variable {name} must be an integer, got {text!r}")
    return int(text)
