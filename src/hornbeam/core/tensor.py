"""The one Tensor: a lazy handle on a node of the graph, with NumPy's promotion and broadcasting.

An operation builds a node; reading the value (`np.asarray`, `print`, `if`, `float`) compiles and runs what is
needed.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np

from hornbeam import primitives as p
from hornbeam.config import floatx
from hornbeam.core.lazy import evaluate, value_of
from hornbeam.ir.graph import Node, leaf
from hornbeam.ir.primitive import constant, full
from hornbeam.ir.trace import current_level
from hornbeam.ir.types import (
    HornbeamTypeError,
    ShapeError,
    TensorType,
    dtype_name,
    is_float,
    numpy_dtype,
    promote_types,
)

F = TypeVar("F", bound=Callable[..., Any])

# Longer chains of pending work are run without being asked, so that a loop which never reads a value stays
# small.
MAX_PENDING_DEPTH = 400


class Tensor:
    """An n-dimensional array whose value is computed when it is read.

    shape: tuple of ints. dtype: canonical name such as "float32". Arithmetic broadcasts and promotes as NumPy
    does, except that Python numbers take the tensor's dtype.

    Reading gives copies or read-only arrays: nothing but `Variable.assign` changes a value.

    >>> x = hornbeam.ops.ones((2, 3))
    >>> float((2 * x)[0, 0])
    2.0
    """

    __slots__ = ("__weakref__", "_keras_mask", "_node")
    __array_priority__ = 100.0
    symbolic = False

    def __init__(self, node: Node) -> None:
        self._node = node
        self._keras_mask: Tensor | None = None
        node.handles += 1
        if node.depth > MAX_PENDING_DEPTH and node.level == 0 and not current_level():
            evaluate([node])

    def __del__(self) -> None:
        node = getattr(self, "_node", None)
        if node is not None:
            node.handles -= 1

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
        return self.node._single().size

    # -- reading the value -----------------------------------------------------------------------------------

    def numpy(self) -> np.ndarray:
        """The value as a read-only NumPy array, without a copy where the engine can; `np.array(x)` copies."""
        return value_of(self.node)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        array = value_of(self.node)
        if dtype is not None and array.dtype != dtype:
            if copy is False:
                raise ValueError(f"a tensor of {self.dtype} cannot become an array of {dtype} without a copy")
            return array.astype(dtype)
        return array if copy is False else array.copy()

    def __dlpack__(self, **options: Any) -> Any:
        """The value for another library, on the same memory where the engine can: `torch.from_dlpack(x)`.

        Nobody may write to it. A library that cannot be told so (DLPack before 1.0) gets a copy; BufferError
        for dtypes that NumPy does not export, such as bfloat16 on the native engine.
        """
        owner, buffer = _value(self.node)
        if hasattr(buffer, "__dlpack__"):
            given: Any = buffer if owner is not None else _exportable(buffer, options)
        else:
            given = _exportable(owner.get(buffer), options)
        return given.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        """Where the value is, in DLPack's numbers."""
        owner, buffer = _value(self.node)
        return (buffer if hasattr(buffer, "__dlpack_device__") else owner.get(buffer)).__dlpack_device__()

    def item(self) -> Any:
        """The value of a one-element tensor as a Python number."""
        return self.numpy().item()

    def tolist(self) -> Any:
        """The value as nested lists of Python numbers."""
        return self.numpy().tolist()

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        if is_float(self.dtype) or self.shape:
            raise TypeError(f"only an integer scalar can be an index, got {self.dtype}{list(self.shape)}")
        return int(self.item())

    def __bool__(self) -> bool:
        return bool(self.numpy())

    def __format__(self, spec: str) -> str:
        known_number = not self.shape and not self.node.level
        return format(self.item(), spec) if spec or known_number else str(self)

    def __repr__(self) -> str:
        if self.node.level:
            return f"<Tensor {self.node.type} (being traced)>"
        return f"<Tensor shape={self.shape} dtype={self.dtype}\n{self.numpy()}>"

    __str__ = __repr__

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("a scalar tensor has no length")
        return self.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    __hash__ = object.__hash__

    def __reduce__(self) -> Any:
        """Pickled and copied by value."""
        return as_tensor, (np.asarray(self),)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # NumPy asks for several of them whenever it reads a tensor
            raise AttributeError(name)
        ops = sys.modules.get("hornbeam.ops")
        known = ops is not None and name in ops.__all__
        raise AttributeError(
            f"a Tensor has no {name!r}" + (f": write hornbeam.ops.{name}(x)" if known else "")
        )

    # -- operators -------------------------------------------------------------------------------------------

    def __add__(self, other: Any) -> Tensor:
        return add(self, other)

    def __radd__(self, other: Any) -> Tensor:
        return add(other, self)

    def __sub__(self, other: Any) -> Tensor:
        return subtract(self, other)

    def __rsub__(self, other: Any) -> Tensor:
        return subtract(other, self)

    def __mul__(self, other: Any) -> Tensor:
        return multiply(self, other)

    def __rmul__(self, other: Any) -> Tensor:
        return multiply(other, self)

    def __truediv__(self, other: Any) -> Tensor:
        return true_divide(self, other)

    def __rtruediv__(self, other: Any) -> Tensor:
        return true_divide(other, self)

    def __floordiv__(self, other: Any) -> Tensor:
        return floor_divide(self, other)

    def __rfloordiv__(self, other: Any) -> Tensor:
        return floor_divide(other, self)

    def __mod__(self, other: Any) -> Tensor:
        return mod(self, other)

    def __rmod__(self, other: Any) -> Tensor:
        return mod(other, self)

    def __pow__(self, other: Any) -> Tensor:
        return power(self, other)

    def __rpow__(self, other: Any) -> Tensor:
        return power(other, self)

    def __matmul__(self, other: Any) -> Tensor:
        return matmul(self, other)

    def __rmatmul__(self, other: Any) -> Tensor:
        return matmul(other, self)

    def __neg__(self) -> Tensor:
        return negative(self)

    def __pos__(self) -> Tensor:
        return self

    def __abs__(self) -> Tensor:
        return absolute(self)

    def __invert__(self) -> Tensor:
        return invert(self)

    def __and__(self, other: Any) -> Tensor:
        return bitwise_and(self, other)

    __rand__ = __and__

    def __or__(self, other: Any) -> Tensor:
        return bitwise_or(self, other)

    __ror__ = __or__

    def __xor__(self, other: Any) -> Tensor:
        return bitwise_xor(self, other)

    __rxor__ = __xor__

    def __eq__(self, other: Any) -> Any:
        return equal(self, other) if _is_comparable(other) else NotImplemented

    def __ne__(self, other: Any) -> Any:
        return not_equal(self, other) if _is_comparable(other) else NotImplemented

    def __lt__(self, other: Any) -> Tensor:
        return less(self, other)

    def __le__(self, other: Any) -> Tensor:
        return less_equal(self, other)

    def __gt__(self, other: Any) -> Tensor:
        return greater(self, other)

    def __ge__(self, other: Any) -> Tensor:
        return greater_equal(self, other)

    def __getitem__(self, key: Any) -> Tensor:
        from hornbeam.core.indexing import getitem

        return getitem(self, key)

    def astype(self, dtype: Any) -> Tensor:
        """The tensor converted to `dtype`."""
        return cast(self, dtype)

    def reshape(self, *shape: Any) -> Tensor:
        """The same values in a new shape, given as sizes or as one tuple; one size may be -1."""
        from hornbeam.core.indexing import reshape

        return reshape(self, shape[0] if len(shape) == 1 and hasattr(shape[0], "__iter__") else shape)


def _value(node: Node) -> tuple[Any, Any]:
    """The engine that owns the node's value (None for a NumPy array), and its buffer."""
    if node.value is None:
        evaluate([node])
    return node.value


def _exportable(array: np.ndarray, options: dict[str, Any]) -> np.ndarray:
    """`array` or, for who knows nothing of read-only memory, a copy."""
    version = options.get("max_version")
    return array if version is not None and version >= (1, 0) else array.copy()


def _is_comparable(x: Any) -> bool:
    """Whether x can stand beside a tensor in `==`; None, strings and the like are just not equal."""
    return isinstance(x, (Tensor, bool, int, float, list, tuple)) or hasattr(x, "__array__")


# -- making tensors ------------------------------------------------------------------------------------------


def as_tensor(x: Any, dtype: Any = None) -> Tensor:
    """`x` as a Tensor: arrays are copied, Python floats become `floatx`, Python ints int32 (int64 if they
    need it).
    """
    if isinstance(x, Tensor):
        return x if dtype is None or x.dtype == dtype_name(dtype) else cast(x, dtype)
    if isinstance(x, (bool, int, float)):
        return Tensor(constant(x, dtype_name(dtype) if dtype is not None else _number_dtype(x)))
    if _holds_tensors(x):
        return _stacked(x, dtype)
    return Tensor(leaf_of(_to_array(x, dtype)))


def _number_dtype(x: bool | int | float) -> str:
    wide = isinstance(x, int) and not -(2**31) <= x < 2**31
    return "int64" if wide else promote_types([_kind(x)], floatx())


def _holds_tensors(x: Any) -> bool:
    return isinstance(x, (list, tuple)) and any(
        isinstance(part, Tensor) or _holds_tensors(part) for part in x
    )


def _stacked(parts: Sequence[Any], dtype: Any) -> Tensor:
    """A list in which tensors stand, as one tensor with the list's items along a new first axis."""
    items = [part if isinstance(part, (bool, int, float)) else as_tensor(part) for part in parts]
    shapes = {item.shape if isinstance(item, Tensor) else () for item in items}
    if len(shapes) > 1:
        raise ShapeError(f"cannot make one tensor of items of shapes {', '.join(map(str, sorted(shapes)))}")
    nodes = [
        cast_node(item, dtype_name(dtype) if dtype is not None else result_dtype(*items)) for item in items
    ]
    return Tensor(p.concatenate(*(p.reshape(n, (1, *n.shape)) for n in nodes), axis=0))


def leaf_of(array: np.ndarray) -> Node:
    """A node for an array that nobody else writes to; a scalar becomes a literal of the graph."""
    if array.ndim == 0:
        return constant(array, dtype_name(array.dtype))
    array.flags.writeable = False
    return leaf((None, array), TensorType(array.shape, dtype_name(array.dtype)))


def from_torch(x: Any) -> np.ndarray:
    """The values of a torch tensor; bfloat16, which torch does not hand to NumPy, as float32."""
    x = x.detach().cpu()
    return (x.float() if str(x.dtype) == "torch.bfloat16" else x).numpy()


def _to_array(x: Any, dtype: Any) -> np.ndarray:
    """`x` as a new array of one of our dtypes."""
    if hasattr(x, "detach"):  # a torch tensor, possibly on a device or with gradients
        x = from_torch(x)
    try:
        array = np.asarray(x)
        if (
            isinstance(x, np.ndarray) or array.flags.writeable
        ):  # who gives read-only memory never writes to it
            array = np.array(array)
    except TypeError as error:
        if "traced array" not in str(error):  # what JAX says of its own
            raise
        raise HornbeamTypeError(
            "a value that JAX is tracing cannot be a tensor here: hornbeam.grad, value_and_grad and jit take "
            "Hornbeam's functions, and hornbeam.interop.jax_function(model) makes a model one of JAX's"
        ) from error
    except ValueError as error:
        raise ShapeError(f"cannot make a tensor of {type(x).__name__}: {error}") from None
    if array.dtype.kind in "US":
        raise HornbeamTypeError(
            f"tensors hold numbers, got strings (such as {str(array.reshape(-1)[:1])[1:-1]}): turn them into "
            "numbers with layers.StringLookup, TextVectorization or Hashing"
        )
    if array.dtype == object:
        raise HornbeamTypeError(f"cannot make a tensor of {type(x).__name__}: it does not hold numbers")
    if dtype is not None:
        return array.astype(numpy_dtype(dtype_name(dtype)), copy=False)
    name = dtype_name(array.dtype)
    if isinstance(x, (list, tuple)):  # Python numbers, whose 64 bits are nobody's choice
        fits = array.dtype.kind == "i" and array.size and array.min() >= -(2**31) and array.max() < 2**31
        name = floatx() if is_float(name) else "int32" if fits else name
    return array.astype(numpy_dtype(name), copy=False)


def _kind(x: Any) -> str:
    """Dtype name, or "int"/"float"/"bool" for Python numbers, which are weak."""
    if isinstance(x, Tensor):
        return x.dtype
    if isinstance(x, bool):
        return "bool"
    if isinstance(x, int):
        return "int"
    if isinstance(x, float):
        return "float"
    return dtype_name(x.dtype) if hasattr(x, "dtype") else as_tensor(x).dtype


def result_dtype(*xs: Any) -> str:
    """The dtype that an operation on `xs` (tensors, arrays, Python numbers) gives."""
    return promote_types([_kind(x) for x in xs], floatx())


def cast_node(x: Any, dtype: str) -> Node:
    """`x` as a node of `dtype`; Python numbers become literals."""
    if isinstance(x, (bool, int, float)):
        return constant(x, dtype)
    return p.convert(as_tensor(x).node, dtype)


def broadcast_shapes(*shapes: tuple[int, ...]) -> tuple[int, ...]:
    """NumPy's rule. Raises ShapeError that shows the shapes."""
    rank = max(map(len, shapes))
    padded = [(1,) * (rank - len(s)) + tuple(s) for s in shapes]
    result = []
    for sizes in zip(*padded, strict=True):
        others = {size for size in sizes if size != 1}
        if len(others) > 1:
            raise ShapeError(f"shapes {', '.join(map(str, shapes))} do not broadcast against each other")
        result.append(others.pop() if others else 1)
    return tuple(result)


def broadcast_node(node: Node, shape: tuple[int, ...]) -> Node:
    """Broadcast by NumPy's rule: missing axes stand in front."""
    offset = len(shape) - node.rank
    return p.broadcast(node, shape, tuple(range(offset, len(shape))))


def _alike(x: Any, y: Any) -> list[Node] | None:
    """The short way for what loops are made of: tensors of one type, and a float tensor beside a Python
    number.
    """
    if isinstance(x, Tensor):
        node = x.node
        if isinstance(y, Tensor):
            other = y.node
            return [node, other] if node.type == other.type else None
        if (type(y) is float or type(y) is int) and is_float(node.type.dtype):  # type: ignore[union-attr]
            return [node, full(y, node.type)]
    elif (type(x) is float or type(x) is int) and isinstance(y, Tensor):
        node = y.node
        if is_float(node.type.dtype):  # type: ignore[union-attr]
            return [full(x, node.type), node]
    return None


def unify(*xs: Any, dtype: str | None = None) -> list[Node]:
    """Operands as nodes of one dtype (the promoted one unless given) and one shape."""
    if dtype is None:
        if len(xs) == 2:
            pair = _alike(*xs)
            if pair is not None:
                return pair
        dtype = result_dtype(*xs)
    nodes = [cast_node(x, dtype) for x in xs]
    shape = broadcast_shapes(*(n.shape for n in nodes))
    return [broadcast_node(n, shape) for n in nodes]


# -- operations ----------------------------------------------------------------------------------------------


def operation(fn: F) -> F:
    """Mark a function on Tensors: called with a symbolic KerasTensor it is recorded instead of run."""

    @functools.wraps(fn)
    def call(*args: Any, **kwargs: Any) -> Any:
        if has_symbolic(args) or (kwargs and has_symbolic(kwargs.values())):
            from hornbeam.core.symbolic import symbolic_call

            return symbolic_call(fn, args, kwargs)
        return fn(*args, **kwargs)

    return call  # type: ignore[return-value]


def has_symbolic(values: Any) -> bool:
    """True if a KerasTensor is among `values` or in lists, tuples or dicts among them."""
    for value in values:
        if isinstance(value, Tensor):
            if value.symbolic:
                return True
        elif isinstance(value, (list, tuple)):
            if has_symbolic(value):
                return True
        elif isinstance(value, dict) and has_symbolic(value.values()):
            return True
    return False


@operation
def cast(x: Any, dtype: Any) -> Tensor:
    """`x` converted to `dtype`. Floats are truncated toward zero on the way to integers."""
    name = dtype_name(dtype)
    return Tensor(cast_node(x, name))


@operation
def add(x1: Any, x2: Any) -> Tensor:
    """Elementwise sum; logical or for booleans."""
    a, b = unify(x1, x2)
    return Tensor(p.bit_or(a, b) if a.dtype == "bool" else p.add(a, b))


@operation
def subtract(x1: Any, x2: Any) -> Tensor:
    """Elementwise difference."""
    a, b = unify(x1, x2)
    return Tensor(p.sub(a, b))


@operation
def multiply(x1: Any, x2: Any) -> Tensor:
    """Elementwise product; logical and for booleans."""
    a, b = unify(x1, x2)
    return Tensor(p.bit_and(a, b) if a.dtype == "bool" else p.mul(a, b))


@operation
def true_divide(x1: Any, x2: Any) -> Tensor:
    """Elementwise quotient; integers are divided as floats."""
    dtype = result_dtype(x1, x2)
    a, b = unify(x1, x2, dtype=dtype if is_float(dtype) else floatx())
    return Tensor(p.div(a, b))


@operation
def floor_divide(x1: Any, x2: Any) -> Tensor:
    """Quotient rounded toward minus infinity, so that `x1 == (x1 // x2) * x2 + x1 % x2`. An integer by 0
    gives 0.
    """
    a, b = _divisible(x1, x2)
    remainder = p.rem(a, b)
    down = _signs_differ(remainder, b)
    if not is_float(a.dtype):
        return Tensor(p.sub(p.div(a, b), p.convert(down, a.dtype)))
    # The quotient itself may have been rounded up to a whole number that is too large: 6 / 0.1 is 60, 6 //
    # 0.1 is 59.
    whole = p.round_even(p.sub(p.div(p.sub(a, remainder), b), p.convert(down, a.dtype)))
    return Tensor(p.select(p.eq(b, full(0, b.type)), p.div(a, b), whole))


@operation
def mod(x1: Any, x2: Any) -> Tensor:
    """Remainder with the sign of the divisor. An integer by 0 gives 0."""
    a, b = _divisible(x1, x2)
    remainder = p.rem(a, b)
    return Tensor(p.select(_signs_differ(remainder, b), p.add(remainder, b), remainder))


def _divisible(x1: Any, x2: Any) -> list[Node]:
    dtype = result_dtype(x1, x2)
    return unify(x1, x2, dtype="int32" if dtype == "bool" else dtype)


def _signs_differ(remainder: Node, divisor: Node) -> Node:
    """Where a truncated division has to go one further down: a remainder that is not 0, of the other sign."""
    zero = full(0, divisor.type)
    return p.bit_and(p.ne(remainder, zero), p.ne(p.lt(remainder, zero), p.lt(divisor, zero)))


@operation
def power(x1: Any, x2: Any) -> Tensor:
    """x1 to the power x2. Small whole exponents become products.

    Raises ValueError for an integer to a negative Python int, whose result would not be an integer.
    """
    dtype = result_dtype(x1, x2)
    if isinstance(x2, int) and not isinstance(x2, bool) and dtype != "bool":
        if x2 < 0 and not is_float(dtype):
            raise ValueError(f"{dtype} to the power {x2} is not whole: cast to a float first")
        if 1 <= x2 <= 4:
            base = cast_node(x1, dtype)
            return Tensor(functools.reduce(p.mul, [base] * x2))
    a, b = unify(x1, x2, dtype="int32" if dtype == "bool" else dtype)
    return Tensor(p.power(a, b))


@operation
def negative(x: Any) -> Tensor:
    """Elementwise negation."""
    return Tensor(p.neg(as_tensor(x).node))


@operation
def absolute(x: Any) -> Tensor:
    """Elementwise absolute value."""
    node = as_tensor(x).node
    return Tensor(node if node.dtype == "bool" else p.absolute(node))


@operation
def invert(x: Any) -> Tensor:
    """Logical not of booleans, bitwise not of integers."""
    return Tensor(p.logical_not(as_tensor(x).node))


@operation
def bitwise_and(x: Any, y: Any) -> Tensor:
    """Elementwise and of booleans or of the bits of integers."""
    return Tensor(p.bit_and(*unify(x, y)))


@operation
def bitwise_or(x: Any, y: Any) -> Tensor:
    """Elementwise or of booleans or of the bits of integers."""
    return Tensor(p.bit_or(*unify(x, y)))


@operation
def bitwise_xor(x: Any, y: Any) -> Tensor:
    """Elementwise exclusive or of booleans or of the bits of integers."""
    return Tensor(p.bit_xor(*unify(x, y)))


@operation
def equal(x1: Any, x2: Any) -> Tensor:
    """Elementwise `x1 == x2`, as bool."""
    return Tensor(p.eq(*unify(x1, x2)))


@operation
def not_equal(x1: Any, x2: Any) -> Tensor:
    """Elementwise `x1 != x2`, as bool."""
    return Tensor(p.ne(*unify(x1, x2)))


@operation
def less(x1: Any, x2: Any) -> Tensor:
    """Elementwise `x1 < x2`, as bool."""
    return Tensor(p.lt(*unify(x1, x2)))


@operation
def less_equal(x1: Any, x2: Any) -> Tensor:
    """Elementwise `x1 <= x2`, as bool."""
    return Tensor(p.le(*unify(x1, x2)))


@operation
def greater(x1: Any, x2: Any) -> Tensor:
    """Elementwise `x1 > x2`, as bool."""
    return Tensor(p.gt(*unify(x1, x2)))


@operation
def greater_equal(x1: Any, x2: Any) -> Tensor:
    """Elementwise `x1 >= x2`, as bool."""
    return Tensor(p.ge(*unify(x1, x2)))


@operation
def matmul(x1: Any, x2: Any) -> Tensor:
    """Matrix product over the last two axes; leading axes broadcast, vectors are rows or columns.

    Products of int8 are int32.
    """
    dtype = result_dtype(x1, x2)
    dtype = "int32" if dtype == "int8" else dtype
    a, b = cast_node(x1, dtype), cast_node(x2, dtype)
    if not a.rank or not b.rank:
        raise ShapeError(f"matmul needs at least vectors, got shapes {a.shape} and {b.shape}")
    if a.shape[-1] != b.shape[-2 if b.rank > 1 else 0]:
        raise ShapeError(f"matmul of {a.shape} and {b.shape}: the inner sizes differ")
    if a.rank == 1 or b.rank <= 2:
        # One contraction: all leading axes of x1 are rows.
        if a.rank > 1 or b.rank <= 2:
            return Tensor(
                p.dot_general(a, b, contract=((a.rank - 1,), (max(b.rank - 2, 0),)), batch=((), ()))
            )
        moved = p.dot_general(b, a, contract=((b.rank - 2,), (0,)), batch=((), ()))
        return Tensor(moved)
    lead = broadcast_shapes(a.shape[:-2], b.shape[:-2])
    a, b = broadcast_node(a, (*lead, *a.shape[-2:])), broadcast_node(b, (*lead, *b.shape[-2:]))
    axes = tuple(range(len(lead)))
    return Tensor(p.dot_general(a, b, contract=((a.rank - 1,), (b.rank - 2,)), batch=(axes, axes)))
