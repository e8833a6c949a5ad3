"""Distributions: which device holds which pieces of the data and of the variables."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from hornbeam import primitives as p
from hornbeam import tree
from hornbeam.core.convert import as_tensor
from hornbeam.core.lazy import buffer_of, evaluate
from hornbeam.core.registry import exported
from hornbeam.core.symbolic import KerasTensor
from hornbeam.core.tensor import Tensor
from hornbeam.core.variable import Variable, set_layout_rule
from hornbeam.distribution.mesh import DeviceMesh, LayoutMap, TensorLayout, list_devices
from hornbeam.distribution.processes import join_job
from hornbeam.engines import MeshEngine, current_engine, set_mesh
from hornbeam.engines.mesh import Layout, Mesh, trimmed
from hornbeam.ir.node import leaf
from hornbeam.ir.trace import current_level
from hornbeam.ir.types import TensorType

__all__ = [
    "DataParallel",
    "Distribution",
    "ModelParallel",
    "distribute_tensor",
    "distribution",
    "set_distribution",
]

_local = threading.local()


class Distribution:
    """What `DataParallel` and `ModelParallel` share. A model trained under a distribution has the losses and
    metrics that it would have on one device: only where the numbers are computed differs.

    auto_shard_dataset: True (the default): every process reads the same data in the same order, and its
    devices get their part of every batch. False: each process gives data of its own, equally many samples in
    equally large batches, and a batch of training is made of those of all processes.
    """

    def __init__(
        self, device_mesh: DeviceMesh, batch_dim_name: str | None = None, auto_shard_dataset: bool = True
    ) -> None:
        join_job()
        self._device_mesh = device_mesh
        self._batch_dim_name = batch_dim_name
        self._auto_shard_dataset = bool(auto_shard_dataset)
        if batch_dim_name is not None and batch_dim_name not in device_mesh.axis_names:
            raise ValueError(f"{device_mesh} has no axis {batch_dim_name!r} to cut batches along")
        self._process, self._processes = current_engine().process

    @property
    def device_mesh(self) -> DeviceMesh:
        """The devices."""
        return self._device_mesh

    @property
    def batch_dim_name(self) -> str | None:
        """The axis of the mesh along which batches are cut."""
        return self._batch_dim_name

    @property
    def auto_shard_dataset(self) -> bool:
        """Whether all processes give the same data, of which each takes its part."""
        return self._auto_shard_dataset

    @auto_shard_dataset.setter
    def auto_shard_dataset(self, value: bool) -> None:
        self._auto_shard_dataset = bool(value)
        if distribution() is self:
            set_distribution(self)

    @property
    def num_processes(self) -> int:
        """How many processes compute together."""
        return self._processes

    @property
    def num_model_replicas(self) -> int:
        """Into how many parts a batch is cut, each for a whole copy of the model."""
        raise NotImplementedError(f"{type(self).__name__} must define num_model_replicas")

    @property
    def data_shard_id(self) -> int:
        """The number of this process's part of the data. Processes that hold one model together share it."""
        replicas = self.num_model_replicas
        return self._process if replicas >= self._processes else self._process * replicas // self._processes

    def get_data_layout(self, data_shape: Sequence[int]) -> TensorLayout:
        """The layout of a batch of data: cut along the first dimension."""
        rest = [None] * (len(data_shape) - 1)
        return TensorLayout([self.batch_dim_name, *rest] if data_shape else [], self.device_mesh)

    def get_variable_layout(self, variable: Any) -> TensorLayout:
        """The layout of a variable: its own if it was given one, else what the distribution says."""
        own = getattr(variable, "_layout", None)
        if isinstance(own, Variable):  # that of the weight that an optimizer's variable belongs to
            own = self.get_variable_layout(own) if own.shape == variable.shape else None
        found = own if own is not None else self._variable_layout(variable)
        return TensorLayout([None] * len(variable.shape), self.device_mesh) if found is None else found

    def _variable_layout(self, variable: Any) -> TensorLayout | None:
        return None

    def get_tensor_layout(self, path: str) -> TensorLayout | None:
        """The layout of an intermediate tensor by its path, None to leave it as it is."""
        return None

    def laid(self, outputs: Any, path: str) -> Any:
        """What a layer gave, with the layout for its path, if there is one."""
        layout = self.get_tensor_layout(path)
        if layout is None:
            return outputs
        return tree.map_structure(lambda x: distribute_tensor(x, layout), outputs)

    def distribute_dataset(self, dataset: Any) -> Any:
        """The dataset itself: `fit` takes each process's part of every batch."""
        return dataset

    @contextmanager
    def scope(self) -> Iterator[None]:
        """Inside, this distribution is the current one."""
        outer = distribution()
        set_distribution(self)
        try:
            yield
        finally:
            set_distribution(outer)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} device_mesh={self.device_mesh}>"

    __str__ = __repr__

    # -- for the engines -------------------------------------------------------------------------------------

    def _mesh(self) -> Mesh:
        own = not self.auto_shard_dataset and self._processes > 1
        return _engine_mesh(self.device_mesh, self.batch_dim_name, own)

    def _placement(self, variable: Variable) -> Layout:
        layout = trimmed(self.get_variable_layout(variable).axes)
        if layout:
            self._mesh().check(layout, variable.shape, f"the variable {variable.path!r}")
        return layout


@exported("keras.distribution")
class DataParallel(Distribution):
    """Every device has all weights and computes a part of each batch; gradients and metrics are of the whole
    batch.

    device_mesh: a mesh of one axis; of one with several the first cuts the batch, with a warning. devices:
    names of devices instead, by default all that `list_devices()` has. auto_shard_dataset: True: every
    process reads the same data in the same order and takes its part. False: each gives data of its own,
    equally many samples in equally large batches, for validation too; a batch is made of those of all
    processes, so `batch_size` is what each process gives.

    A batch that the number of devices does not divide is computed whole by every device: nothing is lost or
    repeated. Raises ValueError for what is no mesh.

    >>> hornbeam.distribution.set_distribution(hornbeam.distribution.DataParallel())  # doctest: +SKIP
    """

    def __init__(
        self, device_mesh: DeviceMesh | None = None, devices: Any = None, auto_shard_dataset: bool = True
    ) -> None:
        if device_mesh is None:
            found = np.array(list_devices() if devices is None else devices).reshape(-1)
            device_mesh = DeviceMesh(found.shape, ["batch"], found)
        elif not isinstance(device_mesh, DeviceMesh):
            raise ValueError(f"device_mesh must be a DeviceMesh, got {device_mesh!r}")
        if len(device_mesh.shape) != 1:
            warnings.warn(
                f"DataParallel cuts batches along the first axis of {device_mesh}; the devices along the "
                "others do the same work",
                stacklevel=2,
            )
        super().__init__(device_mesh, device_mesh.axis_names[0], auto_shard_dataset)

    @property
    def num_model_replicas(self) -> int:
        """How many devices there are."""
        return int(self.device_mesh.devices.size)


@exported("keras.distribution")
class ModelParallel(Distribution):
    """Weights are cut as a `LayoutMap` says, batches along an axis of the mesh.

    layout_map: layouts of variables by their paths; variables that it does not name are whole everywhere.
    Optimizer variables are laid out as their weights. batch_dim_name: the axis that cuts batches, by default
    the mesh's first. auto_shard_dataset: as for `DataParallel`.

    Along the batch axis itself weights can be cut too (`(None, "batch")`): each device then keeps a part of
    weights and optimizer, and whole weights are put together where they are used.

    Raises ValueError without a LayoutMap, for an axis that the mesh does not have, and, when a variable is
    placed, for a size that the devices do not divide.

    >>> mesh = hornbeam.distribution.DeviceMesh((2, 4), ["batch", "model"])  # doctest: +SKIP
    >>> layouts = hornbeam.distribution.LayoutMap(mesh)  # doctest: +SKIP
    >>> layouts[".*dense.*kernel"] = (None, "model")  # doctest: +SKIP
    >>> parallel = hornbeam.distribution.ModelParallel(layout_map=layouts)  # doctest: +SKIP
    """

    def __init__(
        self,
        *,
        layout_map: LayoutMap | None = None,
        batch_dim_name: str | None = None,
        auto_shard_dataset: bool = True,
        **kwargs: Any,
    ) -> None:
        kwargs.pop("device_mesh", None)  # older programs give it: the LayoutMap has one
        if kwargs:
            raise TypeError(f"ModelParallel: unknown arguments {sorted(kwargs)}")
        if not isinstance(layout_map, LayoutMap):
            raise ValueError(f"ModelParallel needs layout_map=LayoutMap(...), got {layout_map!r}")
        mesh = layout_map.device_mesh
        super().__init__(mesh, batch_dim_name or mesh.axis_names[0], auto_shard_dataset)
        self._layout_map = layout_map
        if self._processes > self.num_model_replicas and self._processes % self.num_model_replicas:
            raise ValueError(
                f"{self._processes} processes cannot share {self.num_model_replicas} copies of a model: each "
                "copy needs equally many"
            )

    @property
    def num_model_replicas(self) -> int:
        """Size of the axis that cuts batches."""
        assert self.batch_dim_name is not None
        return self.device_mesh.shape[list(self.device_mesh.axis_names).index(self.batch_dim_name)]

    def _variable_layout(self, variable: Any) -> TensorLayout | None:
        return self._layout_map[variable.path]

    def get_tensor_layout(self, path: str) -> TensorLayout | None:
        """The layout of an intermediate tensor (a layer's path and "/output"), None to leave it as it is."""
        return self._layout_map[path]


@exported("keras.distribution")
def distribute_tensor(tensor: Any, layout: TensorLayout) -> Any:
    """The tensor with its pieces where `layout` says. Its values stay. Inside a compiled function it is a
    hint for where they are computed, without effect on dimensions that the devices do not divide. Symbolic
    tensors are returned as they are.

    Raises ValueError for a layout without a mesh, and outside of compiled functions for sizes that the
    devices do not divide.

    >>> mesh = hornbeam.distribution.DeviceMesh((1,), ["model"], ["cpu:0"])
    >>> layout = hornbeam.distribution.TensorLayout((None, "model"), mesh)
    >>> hornbeam.distribution.distribute_tensor(hornbeam.ops.ones((2, 3)), layout)  # doctest: +SKIP
    """
    if isinstance(tensor, KerasTensor):
        return tensor
    if not isinstance(layout, TensorLayout) or layout.device_mesh is None:
        raise ValueError(f"distribute_tensor needs a TensorLayout with a device_mesh, got {layout!r}")
    x, axes, mesh = as_tensor(tensor), trimmed(layout.axes), _engine_mesh(layout.device_mesh)
    if x.node.level or current_level():
        fitting = [
            axis if axis is None or size % mesh.length(axis) == 0 else None
            for axis, size in zip(axes, x.shape, strict=False)
        ]
        return Tensor(p.sharding_constraint(x.node, axes=trimmed(fitting)))
    mesh.check(axes, x.shape, "the tensor")
    found = distribution()
    with_mesh = current_engine() if found is not None and found.device_mesh is layout.device_mesh else None
    engine = with_mesh or current_engine().local.on_mesh(mesh)
    assert isinstance(engine, MeshEngine)
    if x.node.value is None:
        evaluate([x.node])
    buffer = engine.lay(buffer_of(x.node, engine), axes)
    assert isinstance(x.node.type, TensorType)
    return Tensor(leaf((engine, buffer), x.node.type))


def _engine_mesh(mesh: DeviceMesh, batch: str | None = None, own: bool = False) -> Mesh:
    """The mesh as the engines take it."""
    names = tuple(map(str, mesh.devices.reshape(-1)))
    return Mesh(tuple(mesh.shape), tuple(mesh.axis_names), names, batch, own)


@exported("keras.distribution")
def distribution() -> Distribution | None:
    """The distribution of this thread, None if none was set.

    >>> hornbeam.distribution.distribution() is None
    True
    """
    return getattr(_local, "distribution", None)


@exported("keras.distribution")
def set_distribution(value: Distribution | None) -> None:
    """Train and predict as `value` says from here on, in this thread; None ends it.

    Variables that are there already move when they are next used. Raises NotImplementedError if the current
    engine runs on one device, ValueError for what is no distribution.

    >>> hornbeam.distribution.set_distribution(None)
    """
    if value is not None and not isinstance(value, Distribution):
        raise ValueError(f"set_distribution takes a DataParallel, a ModelParallel or None, got {value!r}")
    set_mesh(None if value is None else value._mesh())
    set_layout_rule(None if value is None else value._placement)
    _local.distribution = value
