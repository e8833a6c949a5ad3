"""Dtypes, the one promotion table, and the type of a graph value."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

from hornbeam._internal.naming import suggest
from hornbeam.errors import HornbeamTypeError as HornbeamTypeError
from hornbeam.errors import ShapeError as ShapeError
from hornbeam.ir.sizes import same_shape

Shape = tuple[int, ...]

BOOL = ("bool",)
SIGNED = ("int8", "int16", "int32", "int64")
UNSIGNED = ("uint8", "uint16", "uint32", "uint64")
FLOATS = ("bfloat16", "float16", "float32", "float64")
INTEGERS = SIGNED + UNSIGNED
NUMERIC = INTEGERS + FLOATS
DTYPES = BOOL + NUMERIC
# Values of these are pairs of real values in what engines see: `ir/complex_pairs.py`.
COMPLEX = ("complex64", "complex128")

_NUMPY: dict[str, np.dtype] = {name: np.dtype(name) for name in (*DTYPES, *COMPLEX) if name != "bfloat16"}
_NUMPY["bfloat16"] = np.dtype(ml_dtypes.bfloat16)
_NAMES: dict[np.dtype, str] = {dtype: name for name, dtype in _NUMPY.items()}

_ALIASES = {
    "half": "float16", "float": "float32", "double": "float64", "int": "int32", "complex": "complex64"
}  # fmt: skip
_PYTHON: dict[type, str] = {bool: "bool", int: "int32", float: "float32", complex: "complex64"}


def dtype_name(dtype: Any) -> str:
    """Return the canonical name of a dtype: a name, NumPy dtype, Python type, or object with `.dtype`."""
    if isinstance(dtype, np.dtype):
        known = _NAMES.get(dtype)
        if known is not None:
            return known
    if isinstance(dtype, str):
        if dtype in _NUMPY:
            return dtype
        if dtype in _ALIASES:
            return _ALIASES[dtype]
        raise HornbeamTypeError(f"unknown dtype {dtype!r}.{suggest(dtype, DTYPES, 'dtype')}")
    if isinstance(dtype, type) and dtype in _PYTHON:
        return _PYTHON[dtype]
    if hasattr(dtype, "dtype") and not isinstance(dtype, type):
        return dtype_name(dtype.dtype)
    if isinstance(dtype, int):
        raise HornbeamTypeError(
            f"a dtype is a name such as 'float32', got {dtype!r}: the sizes of a shape go into one tuple"
        )
    try:
        return _NAMES[np.dtype(dtype).newbyteorder("=")]
    except (TypeError, KeyError):
        # Dtypes of other libraries print as "torch.float32".
        tail = str(dtype).rsplit(".", 1)[-1]
        if tail in _NUMPY:
            return tail
        raise HornbeamTypeError(f"unknown dtype {dtype!r}.{suggest(tail, DTYPES, 'dtype')}") from None


def numpy_dtype(name: str) -> np.dtype:
    """Return the NumPy dtype of a canonical name (bfloat16 by ml_dtypes)."""
    return _NUMPY[name]


def is_float(name: str) -> bool:
    return name in FLOATS


def is_integer(name: str) -> bool:
    return name in INTEGERS


def is_complex(name: str) -> bool:
    return name in COMPLEX


def is_inexact(name: str) -> bool:
    """Return True for real and complex floating-point numbers, which have derivatives."""
    return name in FLOATS or name in COMPLEX


def real_dtype(name: str) -> str:
    """Return the dtype of the real part of a complex dtype, and any other dtype itself."""
    return {"complex64": "float32", "complex128": "float64"}.get(name, name)


def complex_dtype(name: str) -> str:
    """Return the complex dtype whose parts hold `name`."""
    return promote_types([name, "complex64"])


def itemsize(name: str) -> int:
    return _NUMPY[name].itemsize


def _edges() -> dict[str, tuple[str, ...]]:
    # int32 above uint32: as in Keras, operands of 32 bits never give 64 bits.
    return {
        "bool": ("int",),
        "int": ("int8", "uint8"),
        "int8": ("int16",), "int16": ("int32",), "int32": ("int64",), "int64": ("float",),
        "uint8": ("int16", "uint16"), "uint16": ("int32", "uint32"), "uint32": ("int32", "uint64"),
        "uint64": ("float",),
        "float": ("bfloat16", "float16", "complex"),
        "bfloat16": ("float32",), "float16": ("float32",), "float32": ("float64", "complex64"),
        "float64": ("complex128",),
        "complex": ("complex64",), "complex64": ("complex128",), "complex128": (),
    }  # fmt: skip


def _upper_bounds() -> dict[str, frozenset[str]]:
    edges = _edges()

    def above(name: str) -> frozenset[str]:
        return frozenset({name}).union(*(above(up) for up in edges[name]))

    return {name: above(name) for name in edges}


_ABOVE = _upper_bounds()


def _join(a: str, b: str) -> str:
    common = _ABOVE[a] & _ABOVE[b]
    # The least upper bound is the common bound below all others.
    return next(name for name in common if common <= _ABOVE[name])


_JOIN = {(a, b): _join(a, b) for a in _ABOVE for b in _ABOVE}


def promote_types(kinds: Iterable[str], floatx: str = "float32") -> str:
    """Return the least dtype above all of `kinds`, on the lattice bool < ints < floats < complex.

    Args:
        kinds: Dtype names, or "int"/"float"/"complex" for Python numbers, which are weak: `float16 + 1.0`
            stays float16.
        floatx: Result for int64 with uint64, and for any integer with a Python float.
    """
    result = "bool"
    for kind in kinds:
        result = _JOIN[result, kind]
    if result == "complex":
        return "complex128" if floatx == "float64" else "complex64"
    return "int32" if result == "int" else floatx if result == "float" else result


@dataclass(frozen=True, eq=False)
class TensorType:
    """Shape and dtype of a value in a graph. In symbolic tracing sizes may be symbols (`ir/sizes.py`)."""

    shape: Shape
    dtype: str

    # Hot: compared at every operation of eager code. The methods that a dataclass generates are slower.
    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return isinstance(other, TensorType) and self.shape == other.shape and self.dtype == other.dtype

    def __hash__(self) -> int:
        return hash((self.shape, self.dtype))

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        return self.size * itemsize(self.dtype)

    @property
    def rank(self) -> int:
        return len(self.shape)

    def __str__(self) -> str:
        return f"{self.dtype}[{','.join(map(str, self.shape))}]"


def same_types(a: Sequence[ValueType], b: Sequence[ValueType]) -> bool:
    """Return True unless two lists of types certainly differ."""
    return a == b or (len(a) == len(b) and all(map(_same_type, a, b)))


def _same_type(a: ValueType, b: ValueType) -> bool:
    if isinstance(a, tuple) or isinstance(b, tuple):
        return isinstance(a, tuple) and isinstance(b, tuple) and same_types(a, b)
    return a.dtype == b.dtype and same_shape(a.shape, b.shape)


# A primitive with several outputs has a tuple of types; `project` selects one of them.
ValueType = TensorType | tuple[TensorType, ...]
