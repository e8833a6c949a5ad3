"""Read the pickle inside a PyTorch file: an interpreter of data opcodes that imports and calls nothing.

Names of functions and classes are looked up in a closed table, whose entries describe tensors.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO

from hornbeam._internal.limits import current_budget
from hornbeam.errors import ModelFileError
from hornbeam.saving.files import how_to_raise

# A tensor takes about 30 opcodes, so these are some 33,000 tensors.
_OPCODES_PER_MEMBER = 100
_MAX_AXES = 64

_STORAGES = {
    "DoubleStorage": "float64", "FloatStorage": "float32", "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16", "LongStorage": "int64", "IntStorage": "int32", "ShortStorage": "int16",
    "CharStorage": "int8", "ByteStorage": "uint8", "BoolStorage": "bool",
}  # fmt: skip
_DTYPES = (*_STORAGES.values(), "uint16", "uint32", "uint64")


@dataclass(frozen=True)
class Storage:
    """Numbers that tensors are views of.

    Attributes:
        key: Name of the numbers in the file.
        dtype: Element type; of untyped storages "uint8".
        size: Number of elements.
    """

    key: str
    dtype: str
    size: int


@dataclass(frozen=True)
class StoredTensor:
    """A view of a storage, whose offset and strides are in elements of its dtype.

    Attributes:
        storage: The numbers.
        dtype: Element type.
        offset: First element.
        shape: Sizes of the axes.
        strides: Steps along the axes.
    """

    storage: Storage
    dtype: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


@dataclass(frozen=True)
class _Dtype:
    name: str


@dataclass(frozen=True)
class _StorageType:
    dtype: str


class _Mark:
    """The object that opens a group of values on the stack."""


_MARK = _Mark()


def read_pickle(file: BinaryIO) -> tuple[Any, dict[str, Storage]]:
    """Read one pickle from an open file, and stop after it.

    Returns:
        Its value, of dicts, lists, tuples, texts, numbers and `StoredTensor`; and its storages by key.

    Raises:
        ModelFileError: If the pickle has other values, or is too long.
    """
    machine = _Machine()
    most = _OPCODES_PER_MEMBER * current_budget().members
    for opcode, argument, _ in pickletools.genops(file):
        machine.work += 1
        if machine.work > most:
            raise ModelFileError(
                f"the file describes more than a model: over {most:,} steps. {how_to_raise('members')}"
            )
        if opcode.name in _LITERALS:
            machine.stack.append(argument)
        elif opcode.name in _STEPS:
            _STEPS[opcode.name](machine, argument)
        else:
            raise ModelFileError(f"the file uses the pickle opcode {opcode.name}, which state_dicts do not")
    return machine.pop(), machine.storages


class _Machine:
    """The stack machine that pickles are programs of."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.storages: dict[str, Storage] = {}
        self.work = 0

    def pop(self) -> Any:
        if not self.stack or self.stack[-1] is _MARK:
            raise ModelFileError("the pickle is damaged: it takes a value that it has not written")
        return self.stack.pop()

    def pop_group(self) -> list[Any]:
        """Return the values above the last mark."""
        for start in range(len(self.stack) - 1, -1, -1):
            if self.stack[start] is _MARK:
                group = self.stack[start + 1 :]
                del self.stack[start:]
                return group
        raise ModelFileError("the pickle is damaged: it closes a group that it has not opened")

    def top(self, kind: type) -> Any:
        """Return the last value, which has a type."""
        if not self.stack or not isinstance(self.stack[-1], kind):
            raise ModelFileError(f"the pickle is damaged: it adds items to what is no {kind.__name__}")
        return self.stack[-1]

    def put(self, number: int | None) -> None:
        value = self.pop()
        self.stack.append(value)
        self.memo[len(self.memo) if number is None else number] = value

    def get(self, number: int) -> None:
        if number not in self.memo:
            raise ModelFileError(
                f"the pickle is damaged: it repeats value {number}, which it has not written"
            )
        self.stack.append(self.memo[number])

    def extend(self, items: list[Any]) -> None:
        self.top(list).extend(items)

    def set_items(self, items: list[Any]) -> None:
        add_items(self.top(dict), items)

    def tuple_of(self, count: int) -> None:
        values = [self.pop() for _ in range(count)]
        self.stack.append(tuple(reversed(values)))

    def find(self, name: Any) -> None:
        """Push what a module and a name stand for."""
        if name not in _KNOWN:
            raise ModelFileError(_refusal(str(name)))
        self.stack.append(_KNOWN[name])

    def find_popped(self) -> None:
        name, module = self.pop(), self.pop()
        self.find(f"{module} {name}" if isinstance(module, str) and isinstance(name, str) else None)

    def reduce(self) -> None:
        arguments, function = self.pop(), self.pop()
        if not callable(function) or not isinstance(arguments, tuple):
            raise ModelFileError("the pickle is damaged: it calls what is no function")
        # A list of pairs may be repeated by few bytes, but is copied each time.
        self.work += sum(len(x) for x in arguments if isinstance(x, list))
        self.stack.append(function(*arguments))

    def build(self) -> None:
        """Drop the attributes of a dict, such as the versions of modules in a state_dict."""
        self.pop()
        self.top(dict)

    def storage(self) -> None:
        match self.pop():
            case ("storage", _StorageType(dtype), str(key), str(), int(size), *view) if (
                size >= 0 and view in ([], [None])
            ):
                storage = Storage(key, dtype, size)
            case other:
                raise ModelFileError(f"the file describes a storage in an unknown way: {other!r:.200}")
        if self.storages.setdefault(key, storage) != storage:
            raise ModelFileError(f"the storage {key!r:.80} is declared in two ways")
        self.stack.append(storage)


def add_items(target: dict[Any, Any], items: list[Any]) -> None:
    """Add alternating keys and values. Raises ModelFileError for two values of one key."""
    if len(items) % 2:
        raise ModelFileError("the pickle is damaged: a dict has a key without a value")
    for key, value in zip(items[::2], items[1::2], strict=True):
        if not isinstance(key, (str, int, float, type(None))):
            raise ModelFileError(f"a dict of the file has a key of type {type(key).__name__}")
        if key in target:  # of two values, one program takes the first and another the last
            raise ModelFileError(f"a dict of the file has two values for the key {key!r:.80}")
        target[key] = value


def _refusal(name: str) -> str:
    module, _, attribute = name.partition(" ")
    if module.startswith("__torch__"):
        kind = "it is a TorchScript program. Load it with torch.jit.load, and save"
    else:
        kind = "code is never run, and only tensors, numbers, texts, lists and dicts are read. Save"
    return (
        f"the file asks for {module}.{attribute}"[:200] + f": {kind} its state_dict alone, in PyTorch: "
        "torch.save(model.state_dict(), path)"
    )


# -- the closed table ----------------------------------------------------------------------------------------


def _ordered_dict(pairs: Any = ()) -> dict[Any, Any]:
    result: dict[Any, Any] = {}
    if not isinstance(pairs, (list, tuple)) or not all(
        isinstance(pair, (list, tuple)) and len(pair) == 2 for pair in pairs
    ):
        raise ModelFileError("the file makes an OrderedDict of what are no pairs")
    for key, value in pairs:
        add_items(result, [key, value])
    return result


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any, *rest: Any) -> StoredTensor:
    """Check and describe a tensor, as `torch._utils._rebuild_tensor_v2`; `rest` concerns gradients."""
    dtype = storage.dtype if isinstance(storage, Storage) else ""
    return _checked(storage, dtype, offset, shape, strides)


def _tensor_of_dtype(
    storage: Any, offset: Any, shape: Any, strides: Any, grad: Any, hooks: Any, dtype: Any, *rest: Any
) -> StoredTensor:
    """Do as `torch._utils._rebuild_tensor_v3`: the storage has bytes, the offset counts elements."""
    if not isinstance(dtype, _Dtype):
        raise ModelFileError(f"a tensor has an unknown dtype: {dtype!r:.80}")
    return _checked(storage, dtype.name, offset, shape, strides)


def _checked(storage: Any, dtype: str, offset: Any, shape: Any, strides: Any) -> StoredTensor:
    if not isinstance(storage, Storage):
        raise ModelFileError("a tensor has no storage")
    for sizes in (shape, strides, (offset,)):
        if not isinstance(sizes, tuple) or len(sizes) > _MAX_AXES:
            raise ModelFileError(f"a tensor has sizes that are no short tuple: {sizes!r:.80}")
        if not all(isinstance(x, int) and not isinstance(x, bool) and 0 <= x < 1 << 62 for x in sizes):
            raise ModelFileError(f"a tensor has sizes that are no natural numbers: {sizes!r:.80}")
    if len(shape) != len(strides):
        raise ModelFileError(f"a tensor of shape {shape} has strides {strides}")
    return StoredTensor(storage, dtype, offset, shape, strides)


def _parameter(tensor: Any, *rest: Any) -> StoredTensor:
    if not isinstance(tensor, StoredTensor):
        raise ModelFileError("a parameter is no tensor")
    return tensor


def _size(sizes: Any = ()) -> tuple[Any, ...]:
    if not isinstance(sizes, (list, tuple)) or len(sizes) > _MAX_AXES:
        raise ModelFileError(f"a torch.Size is no short tuple: {sizes!r:.80}")
    return tuple(sizes)


def _device(*names: Any) -> str:
    return ":".join(str(name) for name in names)[:80]


_KNOWN: dict[Any, Any] = {
    "collections OrderedDict": _ordered_dict,
    "torch._utils _rebuild_tensor": _tensor,
    "torch._utils _rebuild_tensor_v2": _tensor,
    "torch._utils _rebuild_tensor_v3": _tensor_of_dtype,
    "torch._utils _rebuild_parameter": _parameter,
    "torch._utils _rebuild_parameter_with_state": _parameter,
    "torch Size": _size,
    "torch device": _device,
    "torch.storage UntypedStorage": _StorageType("uint8"),
    **{f"torch {name}": _StorageType(dtype) for name, dtype in _STORAGES.items()},
    **{f"torch {dtype}": _Dtype(dtype) for dtype in _DTYPES},
}

# -- opcodes -------------------------------------------------------------------------------------------------

_LITERALS = (
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "FLOAT", "BINFLOAT", "STRING", "BINSTRING",
    "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES",
    "SHORT_BINBYTES",
)  # fmt: skip

_STEPS: dict[str, Callable[[_Machine, Any], None]] = {
    "PROTO": lambda m, x: None,
    "FRAME": lambda m, x: None,
    "STOP": lambda m, x: None,
    "NONE": lambda m, x: m.stack.append(None),
    "NEWTRUE": lambda m, x: m.stack.append(True),
    "NEWFALSE": lambda m, x: m.stack.append(False),
    "MARK": lambda m, x: m.stack.append(_MARK),
    "EMPTY_LIST": lambda m, x: m.stack.append([]),
    "EMPTY_TUPLE": lambda m, x: m.stack.append(()),
    "EMPTY_DICT": lambda m, x: m.stack.append({}),
    "LIST": lambda m, x: m.stack.append(m.pop_group()),
    "TUPLE": lambda m, x: m.stack.append(tuple(m.pop_group())),
    "TUPLE1": lambda m, x: m.tuple_of(1),
    "TUPLE2": lambda m, x: m.tuple_of(2),
    "TUPLE3": lambda m, x: m.tuple_of(3),
    "APPEND": lambda m, x: m.extend([m.pop()]),
    "APPENDS": lambda m, x: m.extend(m.pop_group()),
    "SETITEM": lambda m, x: m.set_items([m.pop(), m.pop()][::-1]),
    "SETITEMS": lambda m, x: m.set_items(m.pop_group()),
    "PUT": lambda m, x: m.put(x),
    "BINPUT": lambda m, x: m.put(x),
    "LONG_BINPUT": lambda m, x: m.put(x),
    "MEMOIZE": lambda m, x: m.put(None),
    "GET": lambda m, x: m.get(x),
    "BINGET": lambda m, x: m.get(x),
    "LONG_BINGET": lambda m, x: m.get(x),
    "GLOBAL": lambda m, x: m.find(x),
    "STACK_GLOBAL": lambda m, x: m.find_popped(),
    "REDUCE": lambda m, x: m.reduce(),
    "BUILD": lambda m, x: m.build(),
    "BINPERSID": lambda m, x: m.storage(),
}
