"""Two integers of 4 bits in one byte."""

from __future__ import annotations

from hornbeam import ops
from hornbeam._internal.typing import DTypeLike
from hornbeam._internal.validation import check_choice
from hornbeam.core.convert import as_tensor
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import TensorLike
from hornbeam.ir.types import HornbeamTypeError, dtype_name

_BYTES = ("int8", "uint8")


def pack_int4(
    arr: TensorLike, axis: int = 0, dtype: DTypeLike = "int8"
) -> tuple[Tensor, tuple[int, ...], int]:
    """Pack pairs of neighbors into bytes: the first in the low four bits, the second in the high ones.

    Args:
        arr: Tensor of integers in [-8, 7] (int8) or [0, 15] (uint8).
        axis: Axis along which pairs are packed; an odd size is padded with 0.
        dtype: Dtype of `arr` and of the bytes, "int8" or "uint8".

    Returns:
        Bytes with half the size along `axis`, their shape, and the size of `arr` along `axis`.

    Raises:
        ValueError: If `dtype` is none of the two.
        HornbeamTypeError: If `arr` has another dtype.

    Example:
        >>> packed, shape, length = hornbeam.quantizers.pack_int4(np.array([1, 2, 3], "int8"))
        >>> packed.tolist(), shape, length
        ([33, 3], (2,), 3)
    """
    dtype = check_choice("dtype", dtype_name(dtype), _BYTES, where="pack_int4")
    x = as_tensor(arr)
    if x.dtype != dtype:
        raise HornbeamTypeError(f"pack_int4 with dtype={dtype!r} takes {dtype}, got {x.dtype}: cast it first")
    x = ops.moveaxis(x, axis, 0)
    length = x.shape[0]
    if length % 2:
        x = ops.pad(x, [(0, 1), *[(0, 0)] * (x.ndim - 1)])
    pairs = ops.bitwise_and(ops.view(x, "uint8"), _byte(15))
    packed = ops.bitwise_or(pairs[::2], ops.left_shift(pairs[1::2], _byte(4)))
    packed = ops.moveaxis(ops.view(packed, dtype), 0, axis)
    return packed, tuple(packed.shape), length


def unpack_int4(packed: TensorLike, orig_len: int, axis: int = 0, dtype: DTypeLike = "int8") -> Tensor:
    """Unpack what `pack_int4` packed.

    Args:
        packed: Tensor of bytes, int8 or uint8.
        orig_len: Size along `axis` before packing.
        axis: Axis along which pairs are packed.
        dtype: "int8" for integers in [-8, 7], "uint8" for those in [0, 15].

    Returns:
        Tensor of `dtype` with size `orig_len` along `axis`.

    Raises:
        ValueError: If `dtype` is none of the two.
        HornbeamTypeError: If `packed` is not of bytes.

    Example:
        >>> hornbeam.quantizers.unpack_int4(np.array([33, 3], "int8"), 3).tolist()
        [1, 2, 3]
    """
    dtype = check_choice("dtype", dtype_name(dtype), _BYTES, where="unpack_int4")
    x = as_tensor(packed)
    if x.dtype not in _BYTES:
        raise HornbeamTypeError(f"unpack_int4 takes bytes (int8 or uint8), got {x.dtype}")
    x = ops.view(ops.moveaxis(x, axis, 0), "uint8")
    pairs = ops.stack([ops.bitwise_and(x, _byte(15)), ops.right_shift(x, _byte(4))], axis=1)
    if dtype == "int8":  # 8 to 15 stand for -8 to -1
        pairs = ops.view(pairs, "int8")
        pairs = ops.bitwise_xor(pairs, as_tensor(8, "int8")) - as_tensor(8, "int8")
    values = ops.reshape(pairs, (2 * x.shape[0], *x.shape[1:]))[:orig_len]
    return ops.moveaxis(values, 0, axis)


def _byte(value: int) -> Tensor:
    return as_tensor(value, "uint8")
