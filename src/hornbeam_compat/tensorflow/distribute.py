"""tf.distribute: strategies of one replica. `hornbeam.distribution` has several devices."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from hornbeam import ops
from hornbeam_compat.messages import log_once
from hornbeam_compat.tensorflow.typing import TensorLike

# Namespace -> its names.
_OPTIONS = "CommunicationImplementation CommunicationOptions"
NAMESPACES = {
    "distribute": (
        "CrossDeviceOps DistributedDataset DistributedIterator DistributedValues HierarchicalCopyAllReduce "
        "InputContext InputOptions MirroredStrategy MultiWorkerMirroredStrategy NcclAllReduce "
        "OneDeviceStrategy ReduceOp ReductionToOneDevice ReplicaContext RunOptions Strategy "
        "get_replica_context get_strategy has_strategy in_cross_replica_context"
    ),
    "distribute.experimental": (
        f"CentralStorageStrategy MultiWorkerMirroredStrategy ValueContext {_OPTIONS}"
    ),
    "distribute.cluster_resolver": "TFConfigClusterResolver TPUClusterResolver",
}

T = TypeVar("T")


class _Thread(threading.local):
    """The strategies whose scopes are open in a thread, and how many calls of `Strategy.run` are."""

    strategies: tuple[Any, ...] = ()
    runs = 0


_thread = _Thread()


class ReduceOp:
    """Ways to combine the values of replicas."""

    SUM, MEAN = "SUM", "MEAN"

    @staticmethod
    def from_variable_aggregation(aggregation: object) -> str:
        """Return the way of the same name."""
        return "MEAN" if "MEAN" in str(aggregation) else "SUM"


class _Options:
    """Settings, which have no effect with one replica."""

    def __init__(self, *args: object, **options: object) -> None:
        vars(self).update(options)


class CrossDeviceOps(_Options):
    """Ways to combine values across devices, of which one exists."""


class HierarchicalCopyAllReduce(CrossDeviceOps):
    """As `CrossDeviceOps`."""


class NcclAllReduce(CrossDeviceOps):
    """As `CrossDeviceOps`."""


class ReductionToOneDevice(CrossDeviceOps):
    """As `CrossDeviceOps`."""


class InputOptions(_Options):
    """Options of distributed datasets, which are ignored."""


class RunOptions(_Options):
    """Options of `Strategy.run`, which are ignored."""


class CommunicationOptions(_Options):
    """Options of communication, which are ignored."""


class CommunicationImplementation:
    """Ways of communication between workers."""

    AUTO, RING, NCCL = "AUTO", "RING", "NCCL"


class DistributedValues:
    """Values of several replicas. With one replica values are plain: nothing is an instance."""


class DistributedDataset:
    """Dataset of several replicas. With one replica it is a plain one: nothing is an instance."""


class DistributedIterator:
    """Iterator of several replicas. With one replica it is a plain one: nothing is an instance."""


class InputContext:
    """Part of the input for a function that creates a dataset: all of it."""

    num_input_pipelines, input_pipeline_id, num_replicas_in_sync = 1, 0, 1

    def get_per_replica_batch_size(self, global_batch_size: int) -> int:
        """Return the batch size."""
        return global_batch_size


class ValueContext:
    """Replica for a function that creates its value: the only one."""

    replica_id_in_sync_group, num_replicas_in_sync = 0, 1


class ReplicaContext(ValueContext):
    """Context of the only replica.

    Args:
        strategy: Its strategy.
        replica_id_in_sync_group: Ignored.
    """

    def __init__(self, strategy: Strategy, replica_id_in_sync_group: object = 0) -> None:
        self.strategy = strategy

    def all_reduce(self, reduce_op: object, value: T, options: object = None) -> T:
        """Return the value, its sum and mean over one replica."""
        return value

    def all_gather(self, value: T, axis: int, options: object = None) -> T:
        """Return the value."""
        return value

    def merge_call(
        self, merge_fn: Callable[..., T], args: Sequence[object] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> T:  # fmt: skip
        """Call a function of the strategy and the values of all replicas."""
        return merge_fn(self.strategy, *args, **(kwargs or {}))


class Strategy:
    """Strategy of one replica: a function runs once."""

    num_replicas_in_sync = 1
    cluster_resolver: Any = None

    @contextlib.contextmanager
    def scope(self) -> Iterator[Strategy]:
        """Make this the strategy of the block; variables are created as outside of it."""
        before = _thread.strategies
        _thread.strategies = (*before, self)
        try:
            yield self
        finally:
            _thread.strategies = before

    def run(
        self, fn: Callable[..., T], args: Sequence[object] = (), kwargs: Mapping[str, object] | None = None,
        options: object = None,
    ) -> T:  # fmt: skip
        """Call `fn` once."""
        with self.scope():
            _thread.runs += 1
            try:
                return fn(*args, **(kwargs or {}))
            finally:
                _thread.runs -= 1

    def reduce(self, reduce_op: object, value: TensorLike, axis: int | None) -> TensorLike:
        """Return the value, or its sum or mean along an axis."""
        if axis is None:
            return value
        return (ops.mean if str(reduce_op).upper().endswith("MEAN") else ops.sum)(value, axis=axis)

    def gather(self, value: T, axis: int) -> T:
        """Return the value."""
        return value

    def experimental_local_results(self, value: T) -> tuple[T]:
        """Return the value of each replica: of the only one."""
        return (value,)

    def experimental_distribute_dataset(self, dataset: T, options: object = None) -> T:
        """Return the dataset."""
        return dataset

    def distribute_datasets_from_function(
        self, dataset_fn: Callable[[InputContext], T], options: object = None
    ) -> T:
        """Return the dataset that a function of an `InputContext` creates."""
        return dataset_fn(InputContext())

    experimental_distribute_datasets_from_function = distribute_datasets_from_function

    def experimental_distribute_values_from_function(self, value_fn: Callable[[ValueContext], T]) -> T:
        """Return the value that a function of a `ValueContext` creates."""
        return value_fn(ValueContext())


class OneDeviceStrategy(Strategy):
    """Strategy of one device. The argument is ignored."""

    def __init__(self, device: object = None) -> None:
        pass


class MirroredStrategy(Strategy):
    """Strategy of all local devices, of which one exists. A line on stderr says so if several are listed."""

    def __init__(self, devices: Sequence[str] | None = None, cross_device_ops: object = None) -> None:
        if devices is not None and len(devices) > 1:
            log_once(f"MirroredStrategy has one replica here: {list(devices)} are one device")


class CentralStorageStrategy(Strategy):
    """Strategy of all local devices with variables on one of them; one device exists."""

    def __init__(self, compute_devices: object = None, parameter_device: object = None) -> None:
        pass


class MultiWorkerMirroredStrategy(Strategy):
    """Strategy of several processes, of which this is the only one.

    Raises:
        NotImplementedError: If the environment variable TF_CONFIG lists several workers.
    """

    def __init__(
        self, cluster_resolver: TFConfigClusterResolver | None = None, communication_options: object = None
    ) -> None:
        self.cluster_resolver = cluster_resolver or TFConfigClusterResolver()
        workers: Sequence[Any] = self.cluster_resolver.cluster_spec().get("worker", ())
        if len(workers) > 1:
            raise NotImplementedError(
                f"TF_CONFIG lists {len(workers)} workers: `hornbeam run` has the strategies of one replica. "
                "hornbeam.distribution trains in several processes (docs/distribution.md)."
            )


_default = Strategy()


def get_strategy() -> Strategy:
    """Return the strategy of the present block, or that of one replica."""
    return _thread.strategies[-1] if _thread.strategies else _default


def has_strategy() -> bool:
    """Return True inside of the scope of a strategy."""
    return bool(_thread.strategies)


def in_cross_replica_context() -> bool:
    """Return True inside of the scope of a strategy, and False inside of its `run`."""
    return has_strategy() and not _thread.runs


def get_replica_context() -> ReplicaContext | None:
    """Return the context of the replica, None inside of the scope of a strategy but outside of its `run`."""
    return None if in_cross_replica_context() else ReplicaContext(get_strategy())


class TFConfigClusterResolver:
    """Reader of the environment variable TF_CONFIG."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        self._config = json.loads(os.environ.get("TF_CONFIG") or "{}")

    def cluster_spec(self) -> dict[str, Any]:
        """Return the addresses of the tasks by their type."""
        return self._config.get("cluster", {})

    @property
    def task_type(self) -> str | None:
        """Type of this task."""
        return self._config.get("task", {}).get("type")

    @property
    def task_id(self) -> int | None:
        """Number of this task."""
        return self._config.get("task", {}).get("index")


class TPUClusterResolver:
    """Raise ValueError, as TensorFlow does on a machine without a TPU."""

    def __init__(self, tpu: object = None, **kwargs: object) -> None:
        raise ValueError("no TPU was found: `hornbeam run` has the strategy of one replica only")

    @classmethod
    def connect(cls, tpu: object = None, **kwargs: object) -> TPUClusterResolver:
        """Raise ValueError."""
        return cls(tpu, **kwargs)
