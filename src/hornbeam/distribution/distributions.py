"""Distributions: how data and variables are sharded over devices."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from hornbeam import primitives as p
from hornbeam import tree
from hornbeam._internal.context import ThreadSetting
from hornbeam._internal.typing import Tree
from hornbeam._internal.warn import warn_user
from hornbeam.core.convert import as_tensor
from hornbeam.core.lazy import buffer_of, evaluate
from hornbeam.core.registry import exported
from hornbeam.core.symbolic import KerasTensor
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import DataLike, TensorLike
from hornbeam.core.variable import Variable, layout_rule_scope, set_layout_rule
from hornbeam.distribution.mesh import DeviceMesh, LayoutMap, TensorLayout, list_devices
from hornbeam.distribution.processes import join_job
from hornbeam.engines import MeshEngine, current_engine, mesh_scope, set_mesh
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

_distribution: ThreadSetting[Distribution | None] = ThreadSetting("distribution", None)


class Distribution:
    """Base class of distributions.

    A model trained under a distribution has the losses and metrics that it would have on one device.

    Args:
        device_mesh: The devices.
        batch_dim_name: Axis of the mesh along which batches are sharded, None for none.
        auto_shard_dataset: True: every process reads the same data in the same order, and its devices get
            their shard of every batch. False: each process provides its own data, equally many samples in
            equally large batches, and a batch consists of those of all processes.

    Raises:
        ValueError: If the mesh has no axis `batch_dim_name`.
    """

    def __init__(
        self, device_mesh: DeviceMesh, batch_dim_name: str | None = None, auto_shard_dataset: bool = True
    ) -> None:
        join_job()
        self._device_mesh = device_mesh
        self._batch_dim_name = batch_dim_name
        self._auto_shard_dataset = bool(auto_shard_dataset)
        if batch_dim_name is not None and batch_dim_name not in device_mesh.axis_names:
            raise ValueError(
                f"{device_mesh} has no axis {batch_dim_name!r}, along which batches are to be sharded"
            )
        self._process, self._processes = current_engine().process

    @property
    def device_mesh(self) -> DeviceMesh:
        """The device mesh."""
        return self._device_mesh

    @property
    def batch_dim_name(self) -> str | None:
        """Axis of the mesh along which batches are sharded."""
        return self._batch_dim_name

    @property
    def auto_shard_dataset(self) -> bool:
        """True if all processes provide the same data, of which each takes its shard."""
        return self._auto_shard_dataset

    @auto_shard_dataset.setter
    def auto_shard_dataset(self, value: bool) -> None:
        self._auto_shard_dataset = bool(value)
        if distribution() is self:
            set_distribution(self)

    @property
    def num_processes(self) -> int:
        """Number of processes of the job."""
        return self._processes

    @property
    def num_model_replicas(self) -> int:
        """Number of shards of a batch, each for a replica of the model."""
        raise NotImplementedError(f"{type(self).__name__} must define num_model_replicas")

    @property
    def data_shard_id(self) -> int:
        """Index of this process's shard of the data. Processes that share a model replica share it."""
        replicas = self.num_model_replicas
        return self._process if replicas >= self._processes else self._process * replicas // self._processes

    def get_data_layout(self, data_shape: Sequence[int]) -> TensorLayout:
        """Return the layout of a batch of data, which is sharded along the first dimension.

        Args:
            data_shape: Shape of the batch.
        """
        rest = [None] * (len(data_shape) - 1)
        return TensorLayout([self.batch_dim_name, *rest] if data_shape else [], self.device_mesh)

    def get_variable_layout(self, variable: Variable) -> TensorLayout:
        """Return the layout of a variable: the one assigned to it, else the distribution's.

        Args:
            variable: A Variable, or anything with a shape and a path.
        """
        layout = getattr(variable, "_layout", None)
        if isinstance(layout, Variable):  # an optimizer's variable has the layout of its weight
            layout = self.get_variable_layout(layout) if layout.shape == variable.shape else None
        if layout is None:
            layout = self._variable_layout(variable)
        return TensorLayout([None] * len(variable.shape), self.device_mesh) if layout is None else layout

    def _variable_layout(self, variable: Variable) -> TensorLayout | None:
        return None

    def get_tensor_layout(self, path: str) -> TensorLayout | None:
        """Return the layout of an intermediate tensor, None to leave it unchanged.

        Args:
            path: Path of the layer, followed by "/output".
        """
        return None

    def constrain(self, outputs: Tree, path: str) -> Tree:
        """Give a layer's outputs the layout of their path, if it has one.

        Args:
            outputs: Outputs of the layer.
            path: Path of the layer, followed by "/output".
        """
        layout = self.get_tensor_layout(path)
        if layout is None:
            return outputs
        return tree.map_structure(lambda x: distribute_tensor(x, layout), outputs)

    def distribute_dataset(self, dataset: DataLike) -> DataLike:
        """Return the dataset unchanged: `fit` takes each process's shard of every batch.

        Args:
            dataset: Any data that `fit` accepts.
        """
        return dataset

    @contextmanager
    def scope(self) -> Iterator[None]:
        """Make this distribution the current one inside a `with` block."""
        with mesh_scope(self._mesh()), layout_rule_scope(self._placement), _distribution.scope(self):
            yield

    def __repr__(self) -> str:
        return f"<{type(self).__name__} device_mesh={self.device_mesh}>"

    __str__ = __repr__

    # -- for the engines -------------------------------------------------------------------------------------

    def _mesh(self) -> Mesh:
        per_process = not self.auto_shard_dataset and self._processes > 1
        return _engine_mesh(self.device_mesh, self.batch_dim_name, per_process)

    def _placement(self, variable: Variable) -> Layout:
        layout = trimmed(self.get_variable_layout(variable).axes)
        if layout:
            self._mesh().check(layout, variable.shape, f"the variable {variable.path!r}")
        return layout


@exported("keras.distribution")
class DataParallel(Distribution):
    """Replicate all weights on every device, and shard each batch over the devices.

    Gradients and metrics are those of the global batch. A batch that the number of devices does not divide is
    computed by every device: no sample is lost or repeated.

    Args:
        device_mesh: Mesh of one axis. Of several axes the first shards the batch, with a warning.
        devices: Names of devices instead of a mesh, by default all of `list_devices()`.
        auto_shard_dataset: True: every process reads the same data in the same order and takes its shard.
            False: each process provides its own data, equally many samples in equally large batches, for
            validation too. A batch consists of those of all processes, so `batch_size` is per process.

    Raises:
        ValueError: If `device_mesh` is not a DeviceMesh.

    Example:
        >>> hornbeam.distribution.set_distribution(hornbeam.distribution.DataParallel())  # doctest: +SKIP
    """

    def __init__(
        self,
        device_mesh: DeviceMesh | None = None,
        devices: Sequence[str] | np.ndarray | None = None,
        auto_shard_dataset: bool = True,
    ) -> None:
        if device_mesh is None:
            names = np.array(list_devices() if devices is None else devices).reshape(-1)
            device_mesh = DeviceMesh(names.shape, ["batch"], names)
        elif not isinstance(device_mesh, DeviceMesh):
            raise ValueError(f"device_mesh must be a DeviceMesh, got {device_mesh!r}")
        if len(device_mesh.shape) != 1:
            warn_user(
                f"DataParallel shards batches along the first axis of {device_mesh}. Devices along the other "
                "axes repeat the same work."
            )
        super().__init__(device_mesh, device_mesh.axis_names[0], auto_shard_dataset)

    @property
    def num_model_replicas(self) -> int:
        """Number of devices."""
        return int(self.device_mesh.devices.size)


@exported("keras.distribution")
class ModelParallel(Distribution):
    """Shard weights by a `LayoutMap`, and batches along an axis of the mesh.

    Weights can be sharded along the batch axis too (`(None, "batch")`): each device then keeps a shard of the
    weights and of the optimizer state, and weights are gathered where they are used, as in FSDP.

    Args:
        layout_map: Layouts of variables by path. Other variables are replicated. Optimizer variables have the
            layouts of their weights.
        batch_dim_name: Axis along which batches are sharded, by default the mesh's first.
        auto_shard_dataset: As for `DataParallel`.
        **kwargs: `device_mesh`, which older programs pass, is ignored: the LayoutMap has one.

    Raises:
        ValueError: Without a LayoutMap; for an axis that the mesh does not have; and, when a variable is
            placed, for a size that the devices do not divide.

    Example:
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
        kwargs.pop("device_mesh", None)  # older programs pass it; the LayoutMap has one
        if kwargs:
            raise TypeError(f"ModelParallel: unknown arguments {sorted(kwargs)}")
        if not isinstance(layout_map, LayoutMap):
            raise ValueError(f"ModelParallel needs layout_map=LayoutMap(...), got {layout_map!r}")
        mesh = layout_map.device_mesh
        super().__init__(mesh, batch_dim_name or mesh.axis_names[0], auto_shard_dataset)
        self._layout_map = layout_map
        if self._processes > self.num_model_replicas and self._processes % self.num_model_replicas:
            raise ValueError(
                f"{self._processes} processes cannot share {self.num_model_replicas} replicas of a model: "
                "each replica needs equally many"
            )

    @property
    def num_model_replicas(self) -> int:
        """Size of the axis along which batches are sharded."""
        assert self.batch_dim_name is not None
        return self.device_mesh.shape[list(self.device_mesh.axis_names).index(self.batch_dim_name)]

    def _variable_layout(self, variable: Variable) -> TensorLayout | None:
        return self._layout_map[variable.path]

    def get_tensor_layout(self, path: str) -> TensorLayout | None:
        """Return the layout of an intermediate tensor, None to leave it unchanged.

        Args:
            path: Path of the layer, followed by "/output".
        """
        return self._layout_map[path]


@exported("keras.distribution")
def distribute_tensor(tensor: TensorLike, layout: TensorLayout) -> Tensor:
    """Distribute a tensor over devices by a layout. Its values do not change.

    Inside a compiled function it is a sharding constraint, without effect on dimensions that the devices do
    not divide.

    Args:
        tensor: Tensor to distribute. Symbolic tensors are returned unchanged.
        layout: TensorLayout with a device mesh.

    Returns:
        Tensor with the values of `tensor`.

    Raises:
        ValueError: If the layout has no mesh, and in eager code for sizes that the devices do not divide.

    Example:
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
            axis if axis is None or size % mesh.axis_size(axis) == 0 else None
            for axis, size in zip(axes, x.shape, strict=False)
        ]
        return Tensor(p.sharding_constraint(x.node, axes=trimmed(fitting)))
    mesh.check(axes, x.shape, "the tensor")
    current = distribution()
    with_mesh = (
        current_engine() if current is not None and current.device_mesh is layout.device_mesh else None
    )
    engine = with_mesh or current_engine().local_engine.on_mesh(mesh)
    assert isinstance(engine, MeshEngine)
    if x.node.value is None:
        evaluate([x.node])
    buffer = engine.redistribute(buffer_of(x.node, engine), axes)
    assert isinstance(x.node.type, TensorType)
    return Tensor(leaf((engine, buffer), x.node.type))


def _engine_mesh(mesh: DeviceMesh, batch: str | None = None, per_process: bool = False) -> Mesh:
    """Convert a mesh to the engines' form."""
    names = tuple(map(str, mesh.devices.reshape(-1)))
    return Mesh(tuple(mesh.shape), tuple(mesh.axis_names), names, batch, per_process)


@exported("keras.distribution")
def distribution() -> Distribution | None:
    """Return the distribution of this thread, None if none was set.

    Example:
        >>> hornbeam.distribution.distribution() is None
        True
    """
    return _distribution.get()


@exported("keras.distribution")
def set_distribution(value: Distribution | None) -> None:
    """Set the distribution of this thread. Existing variables move when they are used next.

    Args:
        value: The distribution, None for none.

    Raises:
        NotImplementedError: If the current engine runs on one device only.
        ValueError: If `value` is not a distribution.

    Example:
        >>> hornbeam.distribution.set_distribution(None)
    """
    if value is not None and not isinstance(value, Distribution):
        raise ValueError(f"set_distribution takes a DataParallel, a ModelParallel or None, got {value!r}")
    set_mesh(None if value is None else value._mesh())
    set_layout_rule(None if value is None else value._placement)
    _distribution.set(value)
