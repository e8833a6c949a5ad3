"""The one Tensor: a lazy handle on a node of the graph.

An operation builds a node; reading the value (`np.asarray`, `print`, `if`, `float`) compiles and runs what is
needed. Operators are installed by `core/operators.py` and `core/indexing.py`, which need this class.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, SupportsIndex

import numpy as np

from hornbeam._internal.typing import DTypeLike, Tree
from hornbeam.core.lazy import evaluate, value_of
from hornbeam.core.typing import Index, TensorLike
from hornbeam.ir.node import Node, leaf
from hornbeam.ir.trace import current_level
from hornbeam.ir.types import TensorType, is_complex, is_inexact

if TYPE_CHECKING:
    from typing_extensions import CapsuleType

# Longer chains of lazy nodes are computed at once, so that a loop which never reads a value stays small. A
# step of a deep net is shorter: computed in pieces, it would store what lies between them.
MAX_LAZY_DEPTH = 2000


class Handle:
    """Counts as a handle of its node for as long as it lives.

    Tensors of operations hold one. It is an object of its own, so that tensors of known values, which every
    call of a compiled function creates, need no `__del__`: its call takes as long as all else.
    """

    __slots__ = ("node",)

    def __init__(self, node: Node) -> None:
        self.node = node
        node.handles += 1

    def __del__(self) -> None:
        self.node.handles -= 1


class Tensor:
    """An n-dimensional array whose value is computed when it is read.

    Arithmetic broadcasts and promotes as NumPy does, except that Python numbers take the dtype of the tensor.
    Reading gives copies or read-only arrays: only `Variable.assign` changes a value.

    `shape` is a tuple of integers, `dtype` a canonical name such as "float32".

    Args:
        node: Node of the graph; use `hornbeam.ops.convert_to_tensor` to convert values.

    Example:
        >>> x = hornbeam.ops.ones((2, 3))
        >>> float((2 * x)[0, 0])
        2.0
    """

    # `__dict__`: programs mark tensors with attributes of their own, as those of PyTorch and TensorFlow.
    __slots__ = ("__dict__", "__weakref__", "_handle", "_keras_mask", "_node")
    __array_priority__ = 100.0
    symbolic = False
    sparse = False

    def __init__(self, node: Node) -> None:
        self._node = node
        self._keras_mask: Tensor | None = None
        self._handle = None if node.primitive is None else Handle(node)
        if node.depth > MAX_LAZY_DEPTH and node.level == 0 and not current_level():
            evaluate([node])

    @property
    def node(self) -> Node:
        return self._node

    @property
    def shape(self) -> tuple[int, ...]:
        return self.node.shape

    @property
    def dtype(self) -> str:
        return self.node.dtype

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return self.node.tensor_type().size

    # -- reading the value -----------------------------------------------------------------------------------

    def numpy(self) -> np.ndarray:
        """Return the value as a read-only NumPy array, without a copy where the engine can."""
        return value_of(self.node)

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> np.ndarray:
        array = value_of(self.node)
        if dtype is not None and array.dtype != dtype:
            if copy is False:
                raise ValueError(f"a tensor of {self.dtype} cannot become an array of {dtype} without a copy")
            return array.astype(dtype)
        return array if copy is False else array.copy()

    def __jax_array__(self) -> Any:
        """Return the value as an array of JAX, whose functions call this; without a copy from its engine."""
        import jax

        _, buffer = _value(self.node)
        return buffer if isinstance(buffer, jax.Array) else jax.numpy.asarray(self.numpy())

    def __dlpack__(self, **options: Any) -> CapsuleType:
        """Export the value to another library, without a copy where the engine can: `torch.from_dlpack(x)`.

        The memory must not be written to. A library that cannot be informed of this (DLPack before 1.0) gets
        a copy.

        Args:
            **options: Options of the DLPack protocol.

        Returns:
            DLPack capsule.

        Raises:
            BufferError: For dtypes that NumPy does not export, such as bfloat16 on the native engine.
        """
        owner, buffer = _value(self.node)
        if hasattr(buffer, "__dlpack__"):
            exported: Any = buffer if owner is not None else _exportable(buffer, options)
        else:
            exported = _exportable(owner.get(buffer), options)
        return exported.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        """Return the device of the value in the numbers of DLPack."""
        owner, buffer = _value(self.node)
        return (buffer if hasattr(buffer, "__dlpack_device__") else owner.get(buffer)).__dlpack_device__()

    def item(self) -> float | Any:
        """Return the value of a one-element tensor as a Python number.

        Raises:
            ValueError: If the tensor does not have exactly one element.
        """
        if self.size != 1:
            raise ValueError(
                f"a tensor of shape {self.shape} is not one number: select one, as in t[0], or reduce it, "
                "as by hornbeam.ops.sum(t)"
            )
        return self.numpy().item()

    def tolist(self) -> Tree:
        """Return the value as nested lists of Python numbers."""
        return self.numpy().tolist()

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __complex__(self) -> complex:
        return complex(self.item())

    def __index__(self) -> int:
        if is_inexact(self.dtype) or self.shape:
            raise TypeError(f"only an integer scalar can be an index, got {self.dtype}{list(self.shape)}")
        return int(self.item())

    def __bool__(self) -> bool:
        if self.size != 1:
            raise ValueError(
                f"a tensor of shape {self.shape} is neither true nor false: use hornbeam.ops.any(t), "
                "hornbeam.ops.all(t) or hornbeam.ops.where"
            )
        return bool(self.numpy())

    def __format__(self, spec: str) -> str:
        known_number = not self.shape and not self.node.level
        return format(self.item(), spec) if spec or known_number else str(self)

    def __repr__(self) -> str:
        if self.node.level:
            return f"<Tensor {self.node.type} (being traced)>"
        between = "\n" if self.shape else " "
        return f"<Tensor shape={self.shape} dtype={self.dtype}{between}{self.numpy()}>"

    __str__ = __repr__

    def _repr_html_(self) -> str | None:
        if self.node.level:
            return None
        from hornbeam.core.array_html import array_html

        return array_html("Tensor", self.numpy(), _value(self.node)[0])

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("a scalar tensor has no length")
        return self.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    __hash__ = object.__hash__

    if not TYPE_CHECKING:  # there, both would let mistakes pass

        def __setitem__(self, key: Index, value: TensorLike) -> NoReturn:
            raise TypeError(
                "tensors do not change: compute a new one by hornbeam.ops.where(mask, a, b) or "
                "hornbeam.ops.slice_update(t, start, values); a Variable takes it by variable.assign(new)"
            )

        def __getattr__(self, name: str) -> NoReturn:
            if name.startswith("_"):  # NumPy queries several of them whenever it reads a tensor
                raise AttributeError(name)
            from hornbeam._internal.naming import nearest
            from hornbeam._internal.other_libraries import TENSORS

            ops = sys.modules.get("hornbeam.ops")
            if name in TENSORS:
                hint = f": {TENSORS[name]}"
            elif ops is not None and name in ops.__all__:
                hint = f": write hornbeam.ops.{name}(x)"
            else:
                names = [public for public in dir(type(self)) if not public.startswith("_")]
                hint = f".{nearest(name, names)}".removesuffix(".")
            raise AttributeError(f"a Tensor has no {name!r}{hint}")

    # -- operators -------------------------------------------------------------------------------------------

    @classmethod
    def _install(cls, **methods: Callable[..., Any]) -> None:
        """Add methods that are defined in modules which need this class."""
        for name, method in methods.items():
            setattr(cls, name, method)

    if TYPE_CHECKING:

        def __add__(self, other: TensorLike) -> Tensor: ...
        def __radd__(self, other: TensorLike) -> Tensor: ...
        def __sub__(self, other: TensorLike) -> Tensor: ...
        def __rsub__(self, other: TensorLike) -> Tensor: ...
        def __mul__(self, other: TensorLike) -> Tensor: ...
        def __rmul__(self, other: TensorLike) -> Tensor: ...
        def __truediv__(self, other: TensorLike) -> Tensor: ...
        def __rtruediv__(self, other: TensorLike) -> Tensor: ...
        def __floordiv__(self, other: TensorLike) -> Tensor: ...
        def __rfloordiv__(self, other: TensorLike) -> Tensor: ...
        def __mod__(self, other: TensorLike) -> Tensor: ...
        def __rmod__(self, other: TensorLike) -> Tensor: ...
        def __pow__(self, other: TensorLike) -> Tensor: ...
        def __rpow__(self, other: TensorLike) -> Tensor: ...
        def __matmul__(self, other: TensorLike) -> Tensor: ...
        def __rmatmul__(self, other: TensorLike) -> Tensor: ...
        def __neg__(self) -> Tensor: ...
        def __pos__(self) -> Tensor: ...
        def __abs__(self) -> Tensor: ...
        def __invert__(self) -> Tensor: ...
        def __and__(self, other: TensorLike) -> Tensor: ...
        def __rand__(self, other: TensorLike) -> Tensor: ...
        def __or__(self, other: TensorLike) -> Tensor: ...
        def __ror__(self, other: TensorLike) -> Tensor: ...
        def __xor__(self, other: TensorLike) -> Tensor: ...
        def __rxor__(self, other: TensorLike) -> Tensor: ...
        def __eq__(self, other: object) -> Tensor: ...  # type: ignore[override]
        def __ne__(self, other: object) -> Tensor: ...  # type: ignore[override]
        def __lt__(self, other: TensorLike) -> Tensor: ...
        def __le__(self, other: TensorLike) -> Tensor: ...
        def __gt__(self, other: TensorLike) -> Tensor: ...
        def __ge__(self, other: TensorLike) -> Tensor: ...
        def __getitem__(self, key: Index) -> Tensor: ...
        def __reduce__(self) -> tuple[Any, ...]: ...
        def astype(self, dtype: DTypeLike) -> Tensor: ...
        def reshape(self, *shape: SupportsIndex | Sequence[SupportsIndex]) -> Tensor: ...


_new = object.__new__
# The slot itself: `__getattr__` makes Python look for attributes of a tensor the long way.
node_of: Callable[[Tensor], Node] = Tensor.__dict__["_node"].__get__


def tensor_of(value: tuple[Any, Any], type: TensorType) -> Tensor:
    """Return a new tensor of a known value: its engine (None for a NumPy array), and the buffer."""
    # As `Tensor(leaf(value, type))`, in less time: a leaf needs no computation.
    tensor = _new(Tensor)
    tensor._node = leaf(value, type)
    tensor._keras_mask = tensor._handle = None
    return tensor


def _value(node: Node) -> tuple[Any, Any]:
    """Return the engine that owns the value (None for a NumPy array), and the buffer."""
    if is_complex(node.dtype):  # engines hold pairs of real numbers
        return None, value_of(node)
    if node.value is None:
        evaluate([node])
    return node.value


def _exportable(array: np.ndarray, options: dict[str, Any]) -> np.ndarray:
    """Return `array`, or a copy for libraries that do not know read-only memory."""
    version = options.get("max_version")
    return array if version is not None and version >= (1, 0) else array.copy()


def copy_mask(source: Tensor, target: Tensor) -> None:
    """Give a tensor the mask of another one, or none."""
    target._keras_mask = source._keras_mask
