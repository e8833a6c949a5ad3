"""Symbolic tensors: the inputs of functional models, and the record of the calls on them."""

from __future__ import annotations

import math
import operator
import re
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, SupportsIndex

import numpy as np

from hornbeam import tree
from hornbeam.core.dispatch import set_symbolic_call
from hornbeam.core.tensor import Tensor
from hornbeam.core.variable import VariableTracer
from hornbeam.ir.node import Node, placeholder
from hornbeam.ir.source_lines import user_line
from hornbeam.ir.trace import new_level
from hornbeam.ir.types import HornbeamTypeError, ShapeError, TensorType, UnknownSize, dtype_name

if TYPE_CHECKING:
    from hornbeam._internal.typing import DTypeLike, Index, ShapeLike, TensorLike, Tree

DynamicShape = tuple[int | None, ...]
STRING = "string"

# Unknown sizes are tried at two values; an output size that differs between the trials is unknown, too. The
# sizes of inner axes are divisible by 32, so that networks which halve them five times can be tried.
_PROBES = ((83, 96), (89, 128))

# Further sizes, with which a call that failed is tried again.
_OTHER_PROBES = ((89, 128), (97, 160), (101, 224))

# Numbers in an error message, and the word that stands for an unknown one.
_NUMBERS = re.compile(r"\d[\d,]*(?:\.\d+)?|\bNone\b")


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

    __slots__ = ("_dtype", "_shape", "history", "name", "output_index", "ragged", "sparse")
    symbolic = True

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
        self._keras_mask = None
        self._shape = _checked_shape(shape)
        self._dtype = symbolic_dtype(dtype)
        self.name = name or ""
        self.history: SymbolicCall | None = None
        self.output_index = 0

    @property
    def node(self) -> Node:
        raise TypeError(
            f"{self!r} is symbolic: it has no value yet. Call a model or a layer on data, "
            "or build the computation out of layers and hornbeam.ops"
        )

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


def _checked_shape(shape: ShapeLike | int) -> DynamicShape:
    sizes = tuple(shape) if hasattr(shape, "__iter__") else (shape,)
    try:
        checked = tuple(None if size is None else operator.index(size) for size in sizes)
    except TypeError:
        raise TypeError(f"a shape must be a tuple of integers and None, got {shape!r}") from None
    if any(size is not None and size < 0 for size in checked):
        raise ShapeError(f"sizes must not be negative, got {shape!r}")
    return checked


class SymbolicCall:
    """A call on symbolic tensors: the operation, its arguments and its outputs.

    `masks` are those that a layer got because its input carries them. They are not inputs, since values carry
    their masks, but Keras counts them as inputs when it orders layers.
    """

    __slots__ = ("args", "kwargs", "masks", "operation", "outputs", "place")

    def __init__(self, operation: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.operation = operation
        self.args = args
        self.kwargs = kwargs
        self.masks: list[KerasTensor] = []
        self.outputs: Tree = None
        # The user's line, for errors.
        self.place = user_line(sys._getframe(1))

    @property
    def inputs(self) -> list[KerasTensor]:
        """Symbolic tensors among the arguments."""
        return [x for x in tree.flatten((self.args, self.kwargs)) if isinstance(x, KerasTensor)]


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
    return record_call(operation, args, kwargs, tree.pack_sequence_as(specs.structure, flat))[1]


set_symbolic_call(symbolic_call)


def record_call(
    operation: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], outputs: Tree
) -> tuple[SymbolicCall, Any]:
    """Record a call whose `outputs` are new symbolic tensors. Return the record and the outputs."""
    call = SymbolicCall(operation, args, dict(kwargs))
    for index, out in enumerate(tree.flatten(outputs)):
        if isinstance(out, KerasTensor):
            out.history = call
            out.output_index = index
    call.outputs = outputs
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


class _Specs:
    """Structure whose leaves are (shape, dtype) of tensors or other values, and the types of masks."""

    def __init__(self, structure: Any, leaves: list[Any], masks: list[Any]) -> None:
        self.structure = structure
        self.leaves = leaves
        self.masks = masks


def infer_types(fn: Callable[..., Any], args: Any, kwargs: Any) -> _Specs:
    """Infer shapes and dtypes of `fn(*args, **kwargs)`; symbolic arguments may have unknown sizes."""
    unknown = any(None in x.shape for x in tree.flatten((args, kwargs)) if isinstance(x, KerasTensor))
    try:
        trials = [_probe(fn, args, kwargs, sizes) for sizes in (_PROBES if unknown else _PROBES[:1])]
    except Exception as error:
        if unknown:
            _hide_probes(error, fn, args, kwargs)
        raise
    structure = trials[0][0]
    columns = list(zip(*(flat for _, flat in trials), strict=True))
    leaves = [_spec(column) if isinstance(column[0], Tensor) else column[0] for column in columns]
    masks = [[getattr(value, "_keras_mask", None) for value in column] for column in columns]
    return _Specs(structure, leaves, [None if column[0] is None else _spec(column) for column in masks])


def _hide_probes(error: Exception, fn: Callable[..., Any], args: Any, kwargs: Any) -> None:
    """Replace numbers in the error's message that come from the probed sizes by None.

    `UnknownSize` prints as None, but some functions reduce it to a plain integer. So the call fails again
    with other sizes: numbers in which the two messages differ are not the user's.
    """
    if not error.args or not isinstance(error.args[0], str) or not _NUMBERS.search(error.args[0]):
        return
    for sizes in _OTHER_PROBES:
        try:
            _probe(fn, args, kwargs, sizes)
        except Exception as other:
            if type(other) is type(error) and other.args and isinstance(other.args[0], str):
                message = _common_message(error.args[0], other.args[0])
                if message is not None:
                    error.args = (message, *error.args[1:])
                    return


def _common_message(first: str, second: str) -> str | None:
    """Return a message with None for the numbers that differ from the other; None if more than those do."""
    if _NUMBERS.split(first) != _NUMBERS.split(second):
        return None
    numbers = iter(zip(_NUMBERS.findall(first), _NUMBERS.findall(second), strict=True))

    def common(match: re.Match[str]) -> str:
        a, b = next(numbers)
        in_name = first[match.start() - 1 : match.start()].isidentifier()  # that of a new layer
        return a if a == b or in_name else "None"

    return _NUMBERS.sub(common, first)


def _spec(trials: Sequence[Any]) -> tuple[DynamicShape, str]:
    """Return shape and dtype of the results of all trials; sizes that differ are unknown."""
    sizes = zip(*(value.shape for value in trials), strict=True)
    return tuple(int(s[0]) if len(set(s)) == 1 else None for s in sizes), trials[0].dtype


def _probe(fn: Callable[..., Any], args: Any, kwargs: Any, sizes: tuple[int, int]) -> tuple[Any, list[Any]]:
    batch, inner = sizes
    with new_level() as level, VariableTracer(level):

        def concrete(x: Any) -> Any:
            if not isinstance(x, KerasTensor):
                return x
            if x.dtype == STRING:
                raise HornbeamTypeError(strings_refused(_name_of(fn), x))
            shape = tuple(
                UnknownSize(inner if i else batch) if s is None else s for i, s in enumerate(x.shape)
            )
            tensor = Tensor(placeholder(TensorType(shape, x.dtype), level))
            if x._keras_mask is not None:
                tensor._keras_mask = concrete(x._keras_mask)
            return tensor

        args, kwargs = tree.map_structure(concrete, (args, dict(kwargs)))
        result = fn(*args, **kwargs)
        return result, tree.flatten(result)
