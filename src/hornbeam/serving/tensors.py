"""Arrays from the values of a request: strict, so that no request is computed with values it did not have."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

import numpy as np

from hornbeam._native import NumberArray
from hornbeam.serving.errors import RequestError
from hornbeam.serving.models import TensorSpec

# dtype -> name of the Open Inference Protocol. Strings have Python objects in NumPy.
DATATYPES = {
    "bool": "BOOL",
    "uint8": "UINT8",
    "uint16": "UINT16",
    "uint32": "UINT32",
    "uint64": "UINT64",
    "int8": "INT8",
    "int16": "INT16",
    "int32": "INT32",
    "int64": "INT64",
    "float16": "FP16",
    "bfloat16": "BF16",
    "float32": "FP32",
    "float64": "FP64",
    "string": "BYTES",
}

# Formats of `struct`, which unlike NumPy takes no strings for numbers, no floats for integers, and nothing
# that is out of range.
_FORMATS = {
    "uint8": "B", "uint16": "H", "uint32": "I", "uint64": "Q",
    "int8": "b", "int16": "h", "int32": "i", "int64": "q",
    "float16": "e", "bfloat16": "f", "float32": "f", "float64": "d",
}  # fmt: skip


def datatype(spec: TensorSpec) -> str:
    """Return the protocol's name of a dtype."""
    return DATATYPES[spec.dtype]


@lru_cache
def array_datatype(dtype: np.dtype[Any]) -> str:
    """Return the protocol's name of the dtype of a result."""
    return DATATYPES["string" if dtype.kind == "O" else dtype.name]


@lru_cache
def numpy_dtype(name: str) -> np.dtype[Any]:
    """Return the NumPy dtype of a tensor's dtype."""
    if name == "bfloat16":
        import ml_dtypes

        return np.dtype(ml_dtypes.bfloat16)
    return np.dtype(object if name == "string" else name)


def shape_text(shape: Sequence[int | None]) -> str:
    """Return a shape as JSON writes it, with -1 for sizes that the caller chooses."""
    return f"[{', '.join('-1' if size is None else str(size) for size in shape)}]"


def check_shape(spec: TensorSpec, shape: Sequence[int]) -> None:
    """Raise a `RequestError` unless a tensor of this shape fits the model's input."""
    if not _fits(shape, spec.shape):
        raise RequestError(
            400,
            f"input {spec.name!r}: shape {shape_text(shape)} does not fit {shape_text(spec.shape)}, "
            "where -1 is any size of at least 1",
        )


def _fits(shape: Sequence[int], expected: Sequence[int | None]) -> bool:
    if len(shape) != len(expected):
        return False
    for size, known in zip(shape, expected, strict=True):
        if size != known and (known is not None or size < 1):
            return False
    return True


def nested_shape(values: Any) -> tuple[int, ...]:
    """Return the shape of nested lists by their first elements; `from_values` checks the other ones."""
    shape: list[int] = []
    while isinstance(values, list):
        shape.append(len(values))
        if not values:
            break
        values = values[0]
    return (*shape, *values.shape) if isinstance(values, NumberArray) else tuple(shape)


def from_values(spec: TensorSpec, values: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Convert the values of a tensor in JSON, flat or nested, in row-major order.

    Args:
        spec: The model's input; its dtype is that of the result.
        values: As `read_json` returns them: an array of numbers, a list of such rows, lists of anything
            else, or one value for a shape without axes.
        shape: Shape of the result, which `check_shape` accepted.
    """
    if spec.dtype != "string":
        if isinstance(values, NumberArray) and values.shape in (shape, (math.prod(shape),)):
            return _array(spec, values).reshape(shape)
        if _are_rows(values, shape[1:]):
            return np.stack([_array(spec, row).reshape(shape[1:]) for row in values])
    flat = _flattened(spec, _as_lists(values), shape)
    if len(flat) != math.prod(shape):
        raise RequestError(
            400,
            f"input {spec.name!r}: {len(flat)} values came for shape {shape_text(shape)}, "
            f"which has {math.prod(shape)}",
        )
    if spec.dtype == "string":
        return _strings(spec, flat).reshape(shape)
    types = set(map(type, flat))
    if spec.dtype == "bool" and types != {bool}:
        raise _wrong_values(spec, "something else came")
    if spec.dtype != "bool" and bool in types:  # which Python takes for a number
        raise _wrong_values(spec, "a boolean came")
    if spec.dtype == "bool":
        return np.array(flat, bool).reshape(shape)
    return _numbers(spec, flat).reshape(shape)


def _array(spec: TensorSpec, values: NumberArray) -> np.ndarray:
    try:
        return np.frombuffer(values.to_bytes(spec.dtype), numpy_dtype(spec.dtype))
    except ValueError as error:
        raise _wrong_values(spec, str(error)) from None


def _are_rows(values: Any, shape: tuple[int, ...]) -> bool:
    """Return whether values are arrays of one shape, each from the object of a row."""
    if not isinstance(values, list) or not values:
        return False
    return all(isinstance(row, NumberArray) and row.shape == shape for row in values)


def _as_lists(values: Any) -> Any:
    if isinstance(values, NumberArray):
        return values.tolist()
    return [_as_lists(row) for row in values] if isinstance(values, list) else values


def _flattened(spec: TensorSpec, values: Any, shape: tuple[int, ...]) -> list[Any]:
    if not shape:
        return [values]
    if not isinstance(values, list):
        raise RequestError(400, f"input {spec.name!r}: a list of values was expected, {_kind(values)} came")
    if not values or not isinstance(values[0], list):
        return values
    for axis, size in enumerate(shape[1:], 1):
        for row in values:
            if not isinstance(row, list) or len(row) != size:
                received = f"a list of {len(row)}" if isinstance(row, list) else _kind(row)
                raise RequestError(
                    400,
                    f"input {spec.name!r}: {received} came where axis {axis} of shape {shape_text(shape)} "
                    f"has {size} elements",
                )
        values = list(chain.from_iterable(values))
    return values


def _numbers(spec: TensorSpec, flat: list[Any]) -> np.ndarray:
    code = _FORMATS[spec.dtype]
    try:
        packed = struct.pack(f"{len(flat)}{code}", *flat)
    except (struct.error, OverflowError, TypeError) as error:
        raise _wrong_values(spec, str(error)) from None
    array = np.frombuffer(packed, code)
    if array.dtype.kind == "f" and not np.isfinite(array).all():  # JSON has no infinite numbers
        raise _wrong_values(spec, "a number is out of range")
    return array.astype(numpy_dtype("bfloat16")) if spec.dtype == "bfloat16" else array


def _strings(spec: TensorSpec, flat: list[Any]) -> np.ndarray:
    if set(map(type, flat)) != {str}:
        raise _wrong_values(spec, "something else than strings came")
    array = np.empty(len(flat), object)
    array[:] = flat
    return array


def _wrong_values(spec: TensorSpec, reason: str) -> RequestError:
    expected = {"string": "strings", "bool": "true or false"}.get(
        spec.dtype, "numbers" if "float" in spec.dtype else "integers in range"
    )
    return RequestError(
        400, f"input {spec.name!r}: its type is {datatype(spec)}, so {expected} are expected: {reason}"
    )


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a string", type(None): "null", bool: "a boolean"}
    return names.get(type(value), "a number")


def from_bytes(spec: TensorSpec, data: memoryview, shape: tuple[int, ...]) -> np.ndarray:
    """Convert the bytes of a binary tensor: little-endian values in row-major order, without gaps."""
    if spec.dtype == "string":
        return _strings(spec, _split_strings(spec, data, math.prod(shape))).reshape(shape)
    dtype = numpy_dtype(spec.dtype)
    expected = math.prod(shape) * dtype.itemsize
    if len(data) != expected:
        raise RequestError(
            400,
            f"input {spec.name!r}: {len(data)} bytes came, {datatype(spec)} of shape {shape_text(shape)} "
            f"has {expected}",
        )
    if spec.dtype == "bool" and not set(bytes(data)) <= {0, 1}:
        raise RequestError(400, f"input {spec.name!r}: bytes of BOOL are 0 or 1")
    return np.frombuffer(data, dtype).reshape(shape)


def _split_strings(spec: TensorSpec, data: memoryview, count: int) -> list[str]:
    """Split strings that each follow their length in 4 bytes."""
    strings: list[str] = []
    at = 0
    while at < len(data) and len(strings) < count:
        if at + 4 > len(data):
            break
        (size,) = struct.unpack_from("<I", data, at)
        piece = bytes(data[at + 4 : at + 4 + size])
        if len(piece) < size:
            break
        try:
            strings.append(piece.decode())
        except UnicodeDecodeError:
            raise RequestError(400, f"input {spec.name!r}: string {len(strings)} is not UTF-8") from None
        at += 4 + size
    if at != len(data) or len(strings) != count:
        raise RequestError(
            400,
            f"input {spec.name!r}: {count} strings are each a length in 4 bytes and so many bytes of UTF-8; "
            f"the bytes that came do not end with string {count}",
        )
    return strings


def to_bytes(array: np.ndarray) -> bytes:
    """Convert a result to the bytes of a binary tensor."""
    if array.dtype == object:
        pieces = [str(text).encode() for text in array.ravel()]
        return b"".join(struct.pack("<I", len(piece)) + piece for piece in pieces)
    return array.tobytes()


def to_json(array: np.ndarray) -> Any:
    """Return an array that orjson writes: contiguous, and of a dtype that JSON readers of it know."""
    if array.dtype == object:
        return array.tolist()
    if array.dtype.itemsize == 2 and array.dtype.kind in "fV":  # float16, bfloat16
        array = array.astype(np.float32)
    return np.ascontiguousarray(array)
