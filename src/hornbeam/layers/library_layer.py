"""Base of layers that wrap a module of another library: each call is a node that one engine runs."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from hornbeam import tree
from hornbeam._internal.typing import Tree
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import Unpack
from hornbeam.core.variable import Variable
from hornbeam.engines import get_engine
from hornbeam.ir.node import leaf
from hornbeam.ir.types import TensorType, dtype_name
from hornbeam.layers.layer import Layer
from hornbeam.layers.options import RegularizedLayerOptions
from hornbeam.primitives.host import HostFunction, host_call

if TYPE_CHECKING:
    from hornbeam.engines.base import Buffer


C = TypeVar("C", bound=Callable[..., Sequence[Any]])


class TensorTemplate:
    """A structure without its tensors. Structures that differ only in tensors have one `key`."""

    def __init__(self, structure: Tree, kinds: tuple[type, ...] = (Tensor, np.ndarray)) -> None:
        leaves = tree.flatten(structure)
        self._positions = [i for i, leaf in enumerate(leaves) if isinstance(leaf, kinds)]
        self.tensors = [leaves[i] for i in self._positions]
        constants = [None if isinstance(leaf, kinds) else leaf for leaf in leaves]
        self._structure = tree.pack_sequence_as(structure, constants)
        self.key: Hashable = (repr(self._structure), tuple(self._positions))

    def fill(self, tensors: Sequence[Any]) -> Tree:
        """Return the structure with other tensors at the positions of its own."""
        leaves = tree.flatten(self._structure)
        for position, tensor in zip(self._positions, tensors, strict=True):
            leaves[position] = tensor
        return tree.pack_sequence_as(self._structure, leaves)


class LibraryLayer(Layer):
    """A layer whose `call` is code of the library that the engine named `_library` runs on."""

    _library: str

    def __init__(self, **kwargs: Unpack[RegularizedLayerOptions]) -> None:
        super().__init__(**kwargs)
        self._engine: Any = get_engine(self._library)
        self._functions: dict[Hashable, tuple[Any, HostFunction]] = {}

    def _host_call(
        self, key: Hashable, make: Callable[[], C], tensors: Sequence[Any]
    ) -> tuple[list[Tensor], C]:
        """Call the function that `make` creates, once for each `key`. Return its outputs and itself."""
        if key not in self._functions:
            compute = make()
            self._functions[key] = compute, HostFunction(self._engine.host, compute, self.describe())
        compute, function = self._functions[key]
        return [Tensor(node) for node in host_call(function, *(x.node for x in tensors))], compute

    def _add_weight_from(self, buffer: Buffer, **kwargs: Any) -> Variable:
        """Add a weight whose initial value is a buffer of the library's engine."""
        array = self._engine.get(buffer)
        value = Tensor(leaf((self._engine, buffer), TensorType(array.shape, dtype_name(array.dtype))))
        return self.add_weight(
            shape=array.shape, initializer=lambda shape, dtype: value.astype(dtype), **kwargs
        )
