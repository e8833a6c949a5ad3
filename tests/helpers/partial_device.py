"""A device of PyTorch that lacks what a test says: it computes on the CPU, and refuses dtypes and operations.

Its tensors are PyTorch's private-use device to all code, so that mixing them with the CPU's is an error.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

KIND = "privateuseone"
_setup_privateuseone_for_python_backend()


class DeviceTensor(torch.Tensor):
    """A tensor on the device, whose values are on the CPU."""

    @staticmethod
    def __new__(cls, values: Any) -> Any:
        return torch.Tensor._make_wrapper_subclass(
            cls, values.shape, strides=values.stride(), storage_offset=values.storage_offset(),
            dtype=values.dtype, device=torch.device(KIND, 0),
        )  # fmt: skip

    def __init__(self, values: Any) -> None:
        self.values_on_cpu = values

    @classmethod
    def __torch_dispatch__(cls, fn: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise AssertionError(f"{fn} on the device, outside of PartialDevice")


class PartialDevice(TorchDispatchMode):
    """Inside a `with` block PyTorch has the device.

    Attributes:
        dtypes: Dtypes that it refuses.
        operations: Names of operations that it refuses, such as "aten::exp".
        computed: How often each operation ran on it.
    """

    def __init__(self, dtypes: tuple[str, ...] = (), operations: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.dtypes = tuple(getattr(torch, name) for name in dtypes)
        self.operations = operations
        self.computed: Counter[str] = Counter()

    def __torch_dispatch__(self, fn: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        name = fn.name().partition(".")[0]
        leaves = [x for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)]
        here = any(isinstance(x, DeviceTensor) for x in leaves)
        if here and name != "aten::_to_copy":
            mixed = [x for x in leaves if not isinstance(x, DeviceTensor) and x.dim()]
            assert not mixed, f"{name} mixes tensors of the device and of the CPU"
            self.computed[name] += 1
            if name in self.operations:
                raise NotImplementedError(f"The operator '{name}' is not implemented for the device.")
        if kwargs.get("device") is not None:
            here = torch.device(kwargs["device"]).type == KIND
            kwargs["device"] = "cpu"
        values = fn(*tree_map(_on_cpu, args), **tree_map(_on_cpu, kwargs))
        return tree_map(self._received, values) if here else values

    def _received(self, x: Any) -> Any:
        if not isinstance(x, torch.Tensor):
            return x
        if x.dtype in self.dtypes:
            raise TypeError(f"The device does not have {x.dtype}")
        return DeviceTensor(x)


def _on_cpu(x: Any) -> Any:
    return x.values_on_cpu if isinstance(x, DeviceTensor) else x
