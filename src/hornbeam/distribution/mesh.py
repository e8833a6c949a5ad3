"""Device meshes, and layouts of tensors on them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, MutableMapping, Sequence
from typing import Any

import numpy as np

from hornbeam.core.registry import exported
from hornbeam.distribution.processes import join_job
from hornbeam.engines import current_engine

__all__ = ["DeviceMesh", "LayoutMap", "TensorLayout", "get_device_count", "list_devices"]


@exported("keras.distribution")
def list_devices(device_type: str | None = None) -> list[str]:
    """List the devices of the current engine, of all processes of the job.

    Joins the job of the environment, as `initialize()` does.

    Args:
        device_type: "cpu", "gpu" or "tpu"; by default the best kind available.

    Returns:
        Names such as `["gpu:0", "gpu:1"]`.

    Raises:
        RuntimeError: If the engine has no device of the kind.

    Example:
        >>> hornbeam.distribution.list_devices()  # doctest: +SKIP
        ['cpu:0']
    """
    join_job()
    return current_engine().devices(_kind(device_type))


@exported("keras.distribution")
def get_device_count(device_type: str | None = None) -> int:
    """Count the devices of `list_devices(device_type)`.

    Args:
        device_type: "cpu", "gpu" or "tpu"; by default the best kind available.

    Returns:
        Integer.

    Raises:
        RuntimeError: If the engine has no device of the kind.

    Example:
        >>> hornbeam.distribution.get_device_count("cpu")
        1
    """
    return len(list_devices(device_type))


def _kind(device_type: object) -> str | None:
    if device_type is None:
        return None
    if not isinstance(device_type, str) or device_type.lower() not in ("cpu", "gpu", "tpu"):
        raise ValueError(f'device_type must be "cpu", "gpu" or "tpu", got {device_type!r}')
    return device_type.lower()


@exported("keras.distribution")
class DeviceMesh:
    """A grid of devices with named axes.

    Args:
        shape: Sizes of the axes, such as (4, 2).
        axis_names: Names of the axes, such as ["batch", "model"].
        devices: Names from `list_devices`, row-major, by default all of them.

    Raises:
        ValueError: Unless each axis has a different name, and the number of devices is the product of
            `shape`.

    Example:
        >>> mesh = hornbeam.distribution.DeviceMesh((1,), ["batch"], ["cpu:0"])
        >>> mesh.devices.shape
        (1,)
    """

    def __init__(
        self,
        shape: Sequence[int],
        axis_names: Sequence[str],
        devices: Sequence[str] | np.ndarray | None = None,
    ) -> None:
        if not shape or not axis_names:
            raise ValueError(f"a mesh needs at least one axis, got shape={shape}, axis_names={axis_names}")
        if len(shape) != len(axis_names):
            raise ValueError(
                f"a mesh needs one name for each axis, got shape={shape} and axis_names={axis_names}"
            )
        if len(set(axis_names)) < len(axis_names):
            raise ValueError(f"the axes of a mesh need different names, got axis_names={axis_names}")
        names = np.array(list_devices() if devices is None else devices)
        if math.prod(shape) != names.size:
            raise ValueError(
                f"a mesh of shape {shape} needs {math.prod(shape)} devices, but got {names.size}: "
                f"{', '.join(map(str, names.reshape(-1)[:8]))}"
            )
        self._shape, self._axis_names = shape, axis_names
        self._devices = names.reshape(tuple(shape))

    @property
    def shape(self) -> Sequence[int]:
        """Sizes of the axes."""
        return self._shape

    @property
    def axis_names(self) -> Sequence[str]:
        """Names of the axes."""
        return self._axis_names

    @property
    def devices(self) -> np.ndarray:
        """Array of the mesh's shape with the names of the devices."""
        return self._devices

    def __repr__(self) -> str:
        return f"<DeviceMesh shape={self.shape}, axis_names={self.axis_names}>"

    __str__ = __repr__


@exported("keras.distribution")
class TensorLayout:
    """The mesh axis along which each dimension of a tensor is sharded.

    Args:
        axes: Name of an axis for each dimension, None for dimensions that are not sharded.
        device_mesh: The mesh. A `LayoutMap` sets its own.

    Raises:
        ValueError: If the mesh has no such axis, or an axis is used twice.

    Example:
        >>> hornbeam.distribution.TensorLayout((None, "model")).axes
        (None, 'model')
    """

    def __init__(self, axes: Sequence[str | None], device_mesh: DeviceMesh | None = None) -> None:
        self._axes = tuple(axes)
        self._device_mesh = device_mesh
        self._check()

    @property
    def axes(self) -> tuple[str | None, ...]:
        """Name of the axis of each dimension, or None."""
        return self._axes

    @property
    def device_mesh(self) -> DeviceMesh | None:
        """The mesh, None if it was not set yet. It can be set once."""
        return self._device_mesh

    @device_mesh.setter
    def device_mesh(self, device_mesh: DeviceMesh) -> None:
        if self._device_mesh is not None:
            raise ValueError(f"the layout already has the mesh {self._device_mesh}: create a new layout")
        self._device_mesh = device_mesh
        self._check()

    def _check(self) -> None:
        named = [axis for axis in self._axes if axis is not None]
        if len(set(named)) < len(named):
            raise ValueError(f"an axis can shard one dimension only, got axes={self._axes}")
        if self._device_mesh is not None:
            unknown = sorted(set(named) - set(self._device_mesh.axis_names))
            if unknown:
                raise ValueError(
                    f"the layout names the axis {unknown[0]!r}; {self._device_mesh} has "
                    f"{', '.join(map(repr, self._device_mesh.axis_names))}"
                )

    def __repr__(self) -> str:
        return f"<TensorLayout axes={self.axes}, device_mesh={self.device_mesh}>"

    __str__ = __repr__


@exported("keras.distribution")
class LayoutMap(MutableMapping[str, Any]):
    """Layouts by variable paths. Keys are regular expressions that match full paths.

    Values are a `TensorLayout` or a tuple of its axes. A lookup returns the layout of the key that equals the
    path, else of the one that matches it, else None.

    Args:
        device_mesh: Mesh of layouts that have none.

    Raises:
        ValueError: If several keys match a path, a key exists already or is not a regular expression, or a
            value is not a layout.

    Example:
        >>> mesh = hornbeam.distribution.DeviceMesh((1,), ["model"], ["cpu:0"])
        >>> layouts = hornbeam.distribution.LayoutMap(mesh)
        >>> layouts[".*dense.*kernel"] = (None, "model")
        >>> layouts["dense_1/kernel"].axes
        (None, 'model')
    """

    def __init__(self, device_mesh: DeviceMesh) -> None:
        self._layouts: dict[str, TensorLayout] = {}
        self._device_mesh = device_mesh

    @property
    def device_mesh(self) -> DeviceMesh:
        """Mesh of layouts that have none."""
        return self._device_mesh

    def __getitem__(self, key: str) -> TensorLayout | None:
        if key in self._layouts:
            return self._layouts[key]
        matching = [pattern for pattern in self._layouts if re.fullmatch(pattern, key)]
        if len(matching) > 1:
            raise ValueError(f"the path {key!r} matches several keys of the LayoutMap: {matching}")
        return self._layouts[matching[0]] if matching else None

    def __setitem__(self, key: str, layout: TensorLayout | Sequence[str | None]) -> None:
        if key in self._layouts:
            raise ValueError(f"the LayoutMap already has {key!r}, with {self._layouts[key]}")
        if isinstance(layout, tuple):
            layout = TensorLayout(layout)
        if not isinstance(layout, TensorLayout):
            raise ValueError(f"the layout of {key!r} must be a TensorLayout or a tuple of axes: {layout!r}")
        try:
            re.compile(key)
        except re.error as error:
            raise ValueError(f"the key {key!r} is not a regular expression: {error}") from None
        if layout.device_mesh is None and self._device_mesh is not None:
            layout.device_mesh = self._device_mesh
        self._layouts[key] = layout

    def __delitem__(self, key: str) -> None:
        del self._layouts[key]

    def __len__(self) -> int:
        return len(self._layouts)

    def __iter__(self) -> Iterator[str]:
        return iter(self._layouts)
