"""Symbolic tensors: the inputs of functional models, and the record of the calls on them."""

from __future__ import annotations

import math
import operator
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, SupportsIndex

import numpy as np

from hornbeam import tree
from hornbeam._internal.typing import DTypeLike, ShapeLike, Tree
from hornbeam.core.dispatch import set_symbolic_call
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import Index, TensorLike
from hornbeam.core.variable import VariableTracer
from hornbeam.ir.node import Node, placeholder
from hornbeam.ir.sizes import Assumptions, SymbolicSize, known_or_none, new_size, noted_assumptions
from hornbeam.ir.source_lines import user_line
from hornbeam.ir.trace import new_level
from hornbeam.ir.types import HornbeamTypeError, ShapeError, TensorType, dtype_name

DynamicShape = tuple[int | None, ...]
STRING = "string"


class KerasTensor(Tensor):
    """Tensor of which only shape and dtype are known, created by `Input` and by operations on such tensors.

    Args:
        shape: Sequence of sizes, the batch first; None for an unknown size.
        dtype: Dtype by name or as a NumPy dtype, or "string".
        sparse: Whether values may be sparse tensors.
        ragged: Whether values may be rows of different lengths, filled with zeros and masked.
        record_history: Accepted for Keras's signature.
        name: Name, shown in errors.
    """

    __slots__ = (
        "_decision", "_dtype", "_shape", "history", "name", "output_index", "ragged", "sizes", "sparse",
    )  # fmt: skip
    symbolic = True

    # The shape as types in symbolic tracing have it: unknown sizes are symbols, where `shape` has None.
    sizes: tuple[int, ...]

    def __init__(
        self,
        shape: ShapeLike | int,
        dtype: DTypeLike = "float32",
        sparse: bool = False,
        ragged: bool = False,
        record_history: bool = True,
        name: str | None = None,
    ) -> None:
        self.sparse, self.ragged = bool(sparse), bool(ragged)
        self._node = None  # type: ignore[assignment]
        self._keras_mask = self._handle = None
        self.sizes = _checked_shape(shape)
        self._shape = known_or_none(self.sizes)
        self._dtype = symbolic_dtype(dtype)
        self.name = name or ""
        self.history: SymbolicCall | None = None
        self.output_index = 0
        # What a comparison of two symbolic tensors decides as a condition.
        self._decision: bool | None = None

    @property
    def node(self) -> Node:
        raise TypeError(
            f"{self!r} is symbolic: it has no value yet. Call a model or a layer on data, "
            "or build the computation out of layers and hornbeam.ops"
        )

    @property
    def _keras_history(self) -> KerasHistory:
        """The origin of the tensor, under the name that scripts for Keras read."""
        if self.history is None:
            raise AttributeError(f"{self!r} is not the result of a call")
        return self.history.origin(self)

    @property
    def shape(self) -> tuple[int | Any, ...]:
        return self._shape

    @property
    def dtype(self) -> str:
        return self._dtype

    def __repr__(self) -> str:
        name = f" name={self.name}" if self.name else ""
        return f"<KerasTensor shape={self._shape} dtype={self._dtype}{name}>"

    def _repr_html_(self) -> None:
        return None

    __str__ = __repr__
    __hash__ = object.__hash__

    @property
    def size(self) -> int:
        return math.prod(self._known_shape())

    def _known_shape(self) -> tuple[int, ...]:
        if None in self._shape:
            raise TypeError(f"{self!r} has unknown sizes")
        return self._shape  # type: ignore[return-value]

    def __len__(self) -> int:
        if self._shape and self._shape[0] is None:
            raise TypeError(f"{self!r} has no length yet: its first size is unknown")
        return super().__len__()

    def __bool__(self) -> bool:
        if self._decision is not None:
            return self._decision
        raise TypeError(f"{self!r} is symbolic: its value cannot decide an `if`; use ops.where or ops.cond")

    if TYPE_CHECKING:

        def __add__(self, other: TensorLike) -> KerasTensor: ...
        def __radd__(self, other: TensorLike) -> KerasTensor: ...
        def __sub__(self, other: TensorLike) -> KerasTensor: ...
        def __rsub__(self, other: TensorLike) -> KerasTensor: ...
        def __mul__(self, other: TensorLike) -> KerasTensor: ...
        def __rmul__(self, other: TensorLike) -> KerasTensor: ...
        def __truediv__(self, other: TensorLike) -> KerasTensor: ...
        def __rtruediv__(self, other: TensorLike) -> KerasTensor: ...
        def __floordiv__(self, other: TensorLike) -> KerasTensor: ...
        def __rfloordiv__(self, other: TensorLike) -> KerasTensor: ...
        def __mod__(self, other: TensorLike) -> KerasTensor: ...
        def __rmod__(self, other: TensorLike) -> KerasTensor: ...
        def __pow__(self, other: TensorLike) -> KerasTensor: ...
        def __rpow__(self, other: TensorLike) -> KerasTensor: ...
        def __matmul__(self, other: TensorLike) -> KerasTensor: ...
        def __rmatmul__(self, other: TensorLike) -> KerasTensor: ...
        def __neg__(self) -> KerasTensor: ...
        def __pos__(self) -> KerasTensor: ...
        def __abs__(self) -> KerasTensor: ...
        def __invert__(self) -> KerasTensor: ...
        def __and__(self, other: TensorLike) -> KerasTensor: ...
        def __rand__(self, other: TensorLike) -> KerasTensor: ...
        def __or__(self, other: TensorLike) -> KerasTensor: ...
        def __ror__(self, other: TensorLike) -> KerasTensor: ...
        def __xor__(self, other: TensorLike) -> KerasTensor: ...
        def __rxor__(self, other: TensorLike) -> KerasTensor: ...
        def __lt__(self, other: TensorLike) -> KerasTensor: ...
        def __le__(self, other: TensorLike) -> KerasTensor: ...
        def __gt__(self, other: TensorLike) -> KerasTensor: ...
        def __ge__(self, other: TensorLike) -> KerasTensor: ...
        def __eq__(self, other: object) -> KerasTensor: ...  # type: ignore[override]
        def __ne__(self, other: object) -> KerasTensor: ...  # type: ignore[override]
        def __getitem__(self, key: Index) -> KerasTensor: ...
        def astype(self, dtype: DTypeLike) -> KerasTensor: ...
        def reshape(self, *shape: SupportsIndex | Sequence[SupportsIndex]) -> KerasTensor: ...


def symbolic_dtype(dtype: DTypeLike) -> str:
    """Return the canonical name of a dtype, or "string", which only layers on the host take."""
    return STRING if isinstance(dtype, str) and dtype == STRING else dtype_name(dtype)


def _checked_shape(shape: ShapeLike | int) -> tuple[int, ...]:
    """Return the sizes of a shape, a new symbol for each None."""
    sizes = tuple(shape) if hasattr(shape, "__iter__") else (shape,)
    try:
        checked = tuple(_checked_size(size, axis) for axis, size in enumerate(sizes))
    except TypeError:
        raise TypeError(f"a shape must be a tuple of integers and None, got {shape!r}") from None
    if any(size < 0 for size in checked):
        raise ShapeError(f"sizes must not be negative, got {shape!r}")
    return checked


def _checked_size(size: Any, axis: int) -> Any:
    if size is None:
        return new_size("size" if axis else "batch")
    return size if isinstance(size, SymbolicSize) else operator.index(size)


class KerasHistory(NamedTuple):
    """The operation that computes a symbolic tensor, the number of its call and that of the result."""

    operation: Callable[..., Any]
    node_index: int
    tensor_index: int


class SymbolicCall:
    """A call on symbolic tensors: the layer or function, its arguments and its result.

    `masks` are those that a layer got because its input carries them. They are not inputs, since values carry
    their masks, but Keras counts them as inputs when it orders layers. `assumptions` are pairs of unknown
    sizes that the call takes to be equal.
    """

    __slots__ = ("_operation", "args", "assumptions", "callee", "kwargs", "masks", "place", "result")

    def __init__(self, callee: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.callee = callee
        self._operation: Any = None
        self.args = args
        self.kwargs = kwargs
        self.masks: list[KerasTensor] = []
        self.assumptions: Assumptions = []
        self.result: Tree = None
        # The user's line, for errors.
        self.place = user_line(sys._getframe(1))

    def origin(self, output: KerasTensor) -> KerasHistory:
        """Describe one of the outputs."""
        calls = getattr(self.callee, "_hb_inbound", ())
        number = next((i for i, call in enumerate(calls) if call is self), 0)
        return KerasHistory(self.operation, number, output.output_index)

    @property
    def inputs(self) -> list[KerasTensor]:
        """Symbolic tensors among the arguments."""
        return [x for x in tree.flatten((self.args, self.kwargs)) if isinstance(x, KerasTensor)]

    # What Keras's nodes have, which packages read.

    @property
    def operation(self) -> Any:
        """The layer or operation that was called."""
        if self._operation is None:
            self._operation = _make_operation(self)
        return self._operation

    def set_operation(self, operation: Any) -> None:
        """Note the operation by which a function was called."""
        self._operation = operation

    @property
    def outputs(self) -> list[KerasTensor]:
        """Result as a list."""
        return tree.flatten(self.result)

    @property
    def input_tensors(self) -> list[KerasTensor]:
        """The same as `inputs`."""
        return self.inputs

    @property
    def output_tensors(self) -> list[KerasTensor]:
        """The same as `outputs`."""
        return self.outputs

    @property
    def is_input(self) -> bool:
        """True for the call that makes an input of a model."""
        return not self.inputs

    @property
    def parent_nodes(self) -> list[SymbolicCall]:
        """Calls that compute the inputs, each once."""
        calls = [x.history for x in self.inputs if x.history is not None]
        return list({id(call): call for call in calls}.values())

    @property
    def arguments(self) -> Any:
        """Object with `args`, `kwargs` and `keras_tensors`: those that Keras calls the operation with."""
        return self.operation._hb_arguments(self)

    @property
    def keras_tensors(self) -> list[KerasTensor]:
        """The same as `inputs`."""
        return self.inputs


def symbolic_call(
    operation: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    run: Callable[..., Any] | None = None,
) -> Tree:
    """Record `operation(*args, **kwargs)` and return symbolic outputs of the inferred types.

    `run` is the function to trace for the types, if it is not `operation`.
    """
    specs = infer_types(run or operation, args, kwargs)
    flat = [KerasTensor(*x) if isinstance(x, tuple) and len(x) == 2 else x for x in specs.leaves]
    for out, mask in zip(flat, specs.masks, strict=True):
        if mask is not None:
            out._keras_mask = KerasTensor(*mask)
    call, outputs = record_call(operation, args, kwargs, tree.pack_sequence_as(specs.structure, flat))
    call.assumptions = specs.assumptions
    return outputs


set_symbolic_call(symbolic_call)


def _called(call: SymbolicCall) -> Any:
    return call.callee


_make_operation: Callable[[SymbolicCall], Any] = _called


def set_operation_maker(make: Callable[[SymbolicCall], Any]) -> None:
    """Set the function that makes the operation of a call."""
    global _make_operation
    _make_operation = make


def record_call(
    operation: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], outputs: Tree
) -> tuple[SymbolicCall, Any]:
    """Record a call whose `outputs` are new symbolic tensors. Return the record and the outputs."""
    call = SymbolicCall(operation, args, dict(kwargs))
    for index, out in enumerate(tree.flatten(outputs)):
        if isinstance(out, KerasTensor):
            out.history = call
            out.output_index = index
    call.result = outputs
    return call, outputs


def holds_strings(x: object) -> bool:
    """Return True for arrays of strings or other objects, and for symbolic tensors of strings."""
    if isinstance(x, Tensor):
        return x.dtype == STRING
    dtype = getattr(x, "dtype", None)
    kind = getattr(dtype, "kind", None)
    if kind is not None:  # NumPy's and pandas's
        return kind in ("S", "U", "T", "O")
    return dtype is not None and "string" in str(dtype).lower()  # polars's and TensorFlow's


def sample_of(x: object) -> str:
    """Describe the first value of an array, for errors."""
    if isinstance(x, KerasTensor):
        return repr(x)
    flat = np.asarray(x).reshape(-1)
    return f"such as {flat[0]!r}"[:60] if flat.size else "empty"


def strings_refused(where: str, x: object) -> str:
    """Return the error message for strings or other objects where numbers are needed."""
    flat = [] if isinstance(x, Tensor) else np.asarray(x).reshape(-1)[:1].tolist()
    if flat and not isinstance(flat[0], (str, bytes)):
        return (
            f"{where} computes with numbers, got objects ({sample_of(x)}): fill missing values, and convert "
            "the array to a dtype: x.astype('float32')"
        )
    return (
        f"{where} computes with numbers, got strings ({sample_of(x)}): put a TextVectorization, "
        "StringLookup or Hashing layer in front"
    )


def _name_of(fn: Callable[..., Any]) -> str:
    return getattr(fn, "__name__", type(fn).__name__)


class _Specs(NamedTuple):
    """Structure whose leaves are (shape, dtype) of tensors or other values, and the types of masks.

    `assumptions` are pairs of sizes that were taken to be equal.
    """

    structure: Any
    leaves: list[Any]
    masks: list[Any]
    assumptions: Assumptions


def compute_output_spec(fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Tree:
    """Return symbolic tensors with the shapes and dtypes of the result of a function, without recording it.

    Args:
        fn: Function of tensors.
        *args: Its arguments, with symbolic tensors.
        **kwargs: Its keyword arguments.
    """
    specs = infer_types(fn, args, kwargs)
    symbols = [KerasTensor(*spec) if isinstance(spec, tuple) else spec for spec in specs.leaves]
    return tree.pack_sequence_as(specs.structure, symbols)


def infer_types(fn: Callable[..., Any], args: Any, kwargs: Any) -> _Specs:
    """Infer shapes and dtypes of `fn(*args, **kwargs)`; symbolic arguments may have unknown sizes."""
    with new_level() as level, VariableTracer(level), noted_assumptions(types_only=True) as assumptions:

        def traced(x: Any) -> Any:
            if not isinstance(x, KerasTensor):
                return x
            if x.dtype == STRING:
                raise HornbeamTypeError(strings_refused(_name_of(fn), x))
            tensor = Tensor(placeholder(TensorType(x.sizes, x.dtype), level))
            if x._keras_mask is not None:
                tensor._keras_mask = traced(x._keras_mask)
            return tensor

        args, kwargs = tree.map_structure(traced, (args, dict(kwargs)))
        structure = fn(*args, **kwargs)
        leaves = tree.flatten(structure)
        masks = [getattr(leaf, "_keras_mask", None) for leaf in leaves]
    return _Specs(structure, list(map(_spec, leaves)), list(map(_spec, masks)), assumptions)


def _spec(x: Any) -> Any:
    """Return shape and dtype of a tensor, and of a size that is not known; other values as they are."""
    if isinstance(x, SymbolicSize):
        return (), "int32"
    return (tuple(x.shape), x.dtype) if isinstance(x, Tensor) else x
