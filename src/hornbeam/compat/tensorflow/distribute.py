"""tf.distribute: the strategy of one process on one machine, under which everything is as without any."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["MirroredStrategy", "OneDeviceStrategy", "Strategy", "get_strategy", "has_strategy"]


class Strategy:
    """One replica: what runs under it runs once."""

    num_replicas_in_sync = 1

    @contextlib.contextmanager
    def scope(self) -> Iterator[Strategy]:
        """Variables made inside live where all others do."""
        yield self

    def run(self, fn: Callable[..., Any], args: Any = (), kwargs: Any = None, options: Any = None) -> Any:
        """`fn`, called once."""
        return fn(*args, **(kwargs or {}))

    def reduce(self, reduce_op: Any, value: Any, axis: int | None) -> Any:
        """The sum or mean over one replica: the value. Raises NotImplementedError for an axis."""
        if axis is not None:
            raise NotImplementedError(
                "Strategy.reduce(axis=) is not in `hornbeam run`: reduce the value first"
            )
        return value

    def experimental_distribute_dataset(self, dataset: Any, options: Any = None) -> Any:
        """The dataset, whose batches are for one replica."""
        return dataset


class OneDeviceStrategy(Strategy):
    """Everything on one device, the only one."""

    def __init__(self, device: Any) -> None:
        pass


class MirroredStrategy(Strategy):
    """Copies on all devices of this machine, of which there is one. Raises ValueError for several."""

    def __init__(self, devices: Any = None, cross_device_ops: Any = None) -> None:
        if devices is not None and len(devices) > 1:
            raise ValueError(f"`hornbeam run` has one device, MirroredStrategy asks for {list(devices)}")


_default = Strategy()


def get_strategy() -> Strategy:
    """The strategy of one replica."""
    return _default


def has_strategy() -> bool:
    """No: there is nothing to distribute."""
    return False
