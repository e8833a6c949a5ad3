"""Tensors as messages of protobuf: `tf.make_tensor_proto`, `tf.io.serialize_tensor` and their inverses."""

from __future__ import annotations

import numpy as np

from hornbeam.extensions.tensors import as_tensor
from hornbeam_compat.tensorflow.dtypes import as_dtype
from hornbeam_compat.tensorflow.records import messages
from hornbeam_compat.tensorflow.strings import StringTensor
from hornbeam_compat.tensorflow.typing import DTypeLike, Message, Sizes, TensorLike, TextOrTensor

# Namespace -> its names.
NAMESPACES = {"tf": "make_ndarray make_tensor_proto", "io": "parse_tensor serialize_tensor"}

# Numbers of dtypes in TensorProto.
_DTYPES = {
    "float32": 1, "float64": 2, "int32": 3, "uint8": 4, "int16": 5, "int8": 6, "string": 7, "int64": 9,
    "bool": 10, "uint16": 17, "float16": 19, "uint32": 22, "uint64": 23,
}  # fmt: skip
_NAMES = {number: name for name, number in _DTYPES.items()}


def make_tensor_proto(
    values: TensorLike, dtype: DTypeLike | None = None, shape: Sizes | None = None, verify_shape: bool = False
) -> Message:
    """Return a TensorProto: a message with dtype, shape and values.

    Args:
        values: Tensor, array, list, number or string.
        dtype: Its dtype; that of `values` by default.
        shape: Shape of the tensor, to which `values` are reshaped.
        verify_shape: Whether `values` must have this shape already.

    Raises:
        TypeError: If `verify_shape` is set and the shape differs.
    """
    wanted = None if dtype is None else str(as_dtype(dtype))
    is_text = isinstance(values, (StringTensor, str, bytes)) or wanted == "string"
    if not is_text and not hasattr(values, "dtype"):
        is_text = np.asarray(values).dtype.kind in "USO"
    if is_text:
        array = StringTensor(values).array
    else:
        array = np.asarray(as_tensor(values))
        array = array if wanted is None else array.astype(wanted)
    if shape is not None:
        if verify_shape and array.shape != tuple(shape):
            raise TypeError(f"make_tensor_proto: expected shape {tuple(shape)}, got {array.shape}")
        # A single value fills the shape.
        array = np.broadcast_to(array, shape) if array.size == 1 else array.reshape(shape)
    proto = messages()["TensorProto"]()
    proto.dtype = _DTYPES["string" if is_text else array.dtype.name]
    for size in array.shape:
        proto.tensor_shape.dim.add(size=int(size))
    if is_text:
        proto.string_val.extend(array.reshape(-1).tolist())
    else:
        proto.tensor_content = np.ascontiguousarray(array).tobytes()
    return proto


def make_ndarray(tensor: Message) -> np.ndarray:
    """Return the array of a TensorProto.

    Args:
        tensor: Result of `make_tensor_proto`.
    """
    shape = tuple(dim.size for dim in tensor.tensor_shape.dim)
    name = _NAMES.get(tensor.dtype)
    if name is None:
        raise TypeError(f"make_ndarray: tensors of dtype number {tensor.dtype} are not supported")
    if name == "string":
        return np.array(list(tensor.string_val), dtype=object).reshape(shape)
    return np.frombuffer(tensor.tensor_content, name).reshape(shape).copy()


def serialize_tensor(tensor: TensorLike, name: str | None = None) -> StringTensor:
    """Return the bytes of a TensorProto."""
    return StringTensor(make_tensor_proto(tensor).SerializeToString())


def parse_tensor(serialized: TensorLike, out_type: DTypeLike, name: str | None = None) -> TextOrTensor:
    """Return the tensor of a TensorProto. Raise ValueError if it has another dtype."""
    proto = messages()["TensorProto"].FromString(StringTensor(serialized).numpy())
    dtype = str(as_dtype(out_type))
    if proto.dtype != _DTYPES[dtype]:
        raise ValueError(f"parse_tensor: the bytes hold {_NAMES.get(proto.dtype, proto.dtype)}, not {dtype}")
    array = make_ndarray(proto)
    return StringTensor(array) if dtype == "string" else as_tensor(array)
