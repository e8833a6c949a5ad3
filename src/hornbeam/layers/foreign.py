"""What layers that hold code of another library share: their calls are nodes which one engine runs."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, TypeVar

import numpy as np

from hornbeam import tree
from hornbeam.core.tensor import Tensor
from hornbeam.core.variable import Variable
from hornbeam.engines import get_engine
from hornbeam.ir.node import leaf
from hornbeam.ir.types import TensorType, dtype_name
from hornbeam.layers.layer import Layer
from hornbeam.primitives.host import HostFunction, host_call

C = TypeVar("C", bound=Callable[..., Sequence[Any]])


class Form:
    """A structure whose tensors are given apart: two that differ in tensors' values alone have one `key`."""

    def __init__(self, structure: Any, kinds: tuple[type, ...] = (Tensor, np.ndarray)) -> None:
        leaves = tree.flatten(structure)
        self._places = [i for i, x in enumerate(leaves) if isinstance(x, kinds)]
        self.tensors = [leaves[i] for i in self._places]
        fixed = [None if isinstance(x, kinds) else x for x in leaves]
        self._structure = tree.pack_sequence_as(structure, fixed)
        self.key: Hashable = (repr(self._structure), tuple(self._places))

    def filled(self, tensors: Sequence[Any]) -> Any:
        """The structure with others in the places of its tensors."""
        leaves = tree.flatten(self._structure)
        for place, tensor in zip(self._places, tensors, strict=True):
            leaves[place] = tensor
        return tree.pack_sequence_as(self._structure, leaves)


class ForeignLayer(Layer):
    """A layer whose `call` is code of the library that the engine called `_library` runs on."""

    _library: str

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._engine: Any = get_engine(self._library)
        self._functions: dict[Hashable, tuple[Any, HostFunction]] = {}

    def _host_call(
        self, key: Hashable, make: Callable[[], C], tensors: Sequence[Any]
    ) -> tuple[list[Tensor], C]:
        """What `make()`, called once for each `key`, computes of the tensors; and what it made."""
        if key not in self._functions:
            compute = make()
            self._functions[key] = compute, HostFunction(self._engine.host, compute, self.describe())
        compute, function = self._functions[key]
        return [Tensor(node) for node in host_call(function, *(x.node for x in tensors))], compute

    def _weight_of(self, buffer: Any, **kwargs: Any) -> Variable:
        """A weight that starts as a buffer of the library's engine."""
        array = self._engine.get(buffer)
        value = Tensor(leaf((self._engine, buffer), TensorType(array.shape, dtype_name(array.dtype))))
        return self.add_weight(
            shape=array.shape, initializer=lambda shape, dtype: value.astype(dtype), **kwargs
        )
