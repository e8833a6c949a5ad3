"""Devices in a box with named axes, and layouts of tensors on it."""

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
    """Devices of the current engine over all processes of the job, such as ["gpu:0", "gpu:1"].

    device_type: "cpu", "gpu" or "tpu"; by default the best kind that is there. Joins the job of the
    environment, as `initialize()` does. Raises RuntimeError for a kind that is not there.

    >>> hornbeam.distribution.list_devices()  # doctest: +SKIP
    ['cpu:0']
    """
    join_job()
    return current_engine().devices(_kind(device_type))


@exported("keras.distribution")
def get_device_count(device_type: str | None = None) -> int:
    """How many devices `list_devices(device_type)` has.

    Raises RuntimeError for a kind that is not there.

    >>> hornbeam.distribution.get_device_count("cpu")
    1
    """
    return len(list_devices(device_type))


def _kind(device_type: Any) -> str | None:
    if device_type is None:
        return None
    if not isinstance(device_type, str) or device_type.lower() not in ("cpu", "gpu", "tpu"):
        raise ValueError(f'device_type must be "cpu", "gpu" or "tpu", got {device_type!r}')
    return device_type.lower()


@exported("keras.distribution")
class DeviceMesh:
    """Devices in a box whose axes have names.

    shape: sizes of the axes, such as (4, 2). axis_names: one name an axis, such as ["batch", "model"].
    devices: names as `list_devices` gives them, row-major, by default all of them.

    Raises ValueError unless there is a name for each axis and a device for each place.

    >>> mesh = hornbeam.distribution.DeviceMesh((1,), ["batch"], ["cpu:0"])
    >>> mesh.devices.shape
    (1,)
    """

    def __init__(self, shape: Sequence[int], axis_names: Sequence[str], devices: Any = None) -> None:
        if not shape or not axis_names:
            raise ValueError(f"a mesh needs at least one axis, got shape={shape}, axis_names={axis_names}")
        if len(shape) != len(axis_names):
            raise ValueError(
                f"a mesh needs one name for each axis, got shape={shape} and axis_names={axis_names}"
            )
        if len(set(axis_names)) < len(axis_names):
            raise ValueError(f"the axes of a mesh need different names, got axis_names={axis_names}")
        found = np.array(list_devices() if devices is None else devices)
        if math.prod(shape) != found.size:
            raise ValueError(
                f"a mesh of shape {shape} has {math.prod(shape)} places, but there are {found.size} devices: "
                f"{', '.join(map(str, found.reshape(-1)[:8]))}"
            )
        self._shape, self._axis_names = shape, axis_names
        self._devices = found.reshape(tuple(shape))

    @property
    def shape(self) -> Sequence[int]:
        """Sizes of the axes, as they were given."""
        return self._shape

    @property
    def axis_names(self) -> Sequence[str]:
        """Names of the axes, as they were given."""
        return self._axis_names

    @property
    def devices(self) -> np.ndarray:
        """Names of the devices in an array of the mesh's shape."""
        return self._devices

    def __repr__(self) -> str:
        return f"<DeviceMesh shape={self.shape}, axis_names={self.axis_names}>"

    __str__ = __repr__


@exported("keras.distribution")
class TensorLayout:
    """The mesh axis along which each dimension of a tensor is cut.

    axes: for each dimension the name of an axis, or None for one that is whole on every device. device_mesh:
    the mesh; a `LayoutMap` fills in its own.

    Raises ValueError for axes that the mesh does not have, or that are named twice.

    >>> hornbeam.distribution.TensorLayout((None, "model")).axes
    (None, 'model')
    """

    def __init__(self, axes: Sequence[str | None], device_mesh: DeviceMesh | None = None) -> None:
        self._axes = tuple(axes)
        self._device_mesh = device_mesh
        self._check()

    @property
    def axes(self) -> tuple[str | None, ...]:
        """For each dimension the name of an axis, or None."""
        return self._axes

    @property
    def device_mesh(self) -> DeviceMesh | None:
        """The mesh, None if it is not known yet. It can be set once."""
        return self._device_mesh

    @device_mesh.setter
    def device_mesh(self, device_mesh: DeviceMesh) -> None:
        if self._device_mesh is not None:
            raise ValueError(f"the layout has the mesh {self._device_mesh} already: make a new layout")
        self._device_mesh = device_mesh
        self._check()

    def _check(self) -> None:
        named = [axis for axis in self._axes if axis is not None]
        if len(set(named)) < len(named):
            raise ValueError(f"an axis can cut one dimension only, got axes={self._axes}")
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
    """Layouts by the paths of variables. Keys are regular expressions that match a whole path.

    device_mesh: the mesh for layouts that have none. A value is a `TensorLayout`, or a tuple of its axes.
    Looking a path up gives the layout of the key that equals it, else of the one that matches, else None.

    Raises ValueError for a path that several keys match, for a key that is there already or no regular
    expression, and for values that are no layouts.

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
        """The mesh for layouts that have none."""
        return self._device_mesh

    def __getitem__(self, key: str) -> TensorLayout | None:
        if key in self._layouts:
            return self._layouts[key]
        matching = [pattern for pattern in self._layouts if re.fullmatch(pattern, key)]
        if len(matching) > 1:
            raise ValueError(f"the path {key!r} matches several keys of the LayoutMap: {matching}")
        return self._layouts[matching[0]] if matching else None

    def __setitem__(self, key: str, layout: Any) -> None:
        if key in self._layouts:
            raise ValueError(f"the LayoutMap has {key!r} already, with {self._layouts[key]}")
        if isinstance(layout, tuple):
            layout = TensorLayout(layout)
        if not isinstance(layout, TensorLayout):
            raise ValueError(f"the layout of {key!r} must be a TensorLayout or a tuple of axes: {layout!r}")
        try:
            re.compile(key)
        except re.error as error:
            raise ValueError(f"the key {key!r} is no regular expression: {error}") from None
        if layout.device_mesh is None and self._device_mesh is not None:
            layout.device_mesh = self._device_mesh
        self._layouts[key] = layout

    def __delitem__(self, key: str) -> None:
        del self._layouts[key]

    def __len__(self) -> int:
        return len(self._layouts)

    def __iter__(self) -> Iterator[str]:
        return iter(self._layouts)
