"""`keras.backend`: the functions of it that Keras 3 kept."""

from __future__ import annotations

from hornbeam._internal.lazy_imports import explain_missing
from hornbeam._internal.naming import unique_name as _unique_name
from hornbeam.config import backend as backend
from hornbeam.config import epsilon as epsilon
from hornbeam.config import floatx as floatx
from hornbeam.config import image_data_format as image_data_format
from hornbeam.config import set_epsilon as set_epsilon
from hornbeam.config import set_floatx as set_floatx
from hornbeam.config import set_image_data_format as set_image_data_format
from hornbeam.core.symbolic import KerasTensor as KerasTensor
from hornbeam.ir.types import dtype_name, is_float, is_integer, promote_types
from hornbeam.random import SeedGenerator as SeedGenerator
from hornbeam.utils.session import clear_session as clear_session
from hornbeam.utils.session import is_keras_tensor as is_keras_tensor
from hornbeam.utils.session import standardize_dtype as standardize_dtype

__all__ = [
    "KerasTensor", "SeedGenerator", "backend", "clear_session", "epsilon", "floatx", "get_uid",
    "image_data_format", "is_float_dtype", "is_int_dtype", "is_keras_tensor", "result_type", "set_epsilon",
    "set_floatx", "set_image_data_format", "standardize_dtype",
]  # fmt: skip


def get_uid(prefix: str = "") -> int:
    """Count the names that were generated with a prefix, this call included.

    Args:
        prefix: String.

    Returns:
        Integer.
    """
    name = _unique_name(prefix)
    return int(name.rsplit("_", 1)[-1]) + 1 if name != prefix else 1


def is_float_dtype(dtype: object) -> bool:
    """Return True for float16, bfloat16, float32 and float64.

    Args:
        dtype: Dtype by name or as a NumPy dtype.
    """
    return is_float(dtype_name(dtype))


def is_int_dtype(dtype: object) -> bool:
    """Return True for the signed and unsigned integer dtypes.

    Args:
        dtype: Dtype by name or as a NumPy dtype.
    """
    return is_integer(dtype_name(dtype))


def result_type(*dtypes: object) -> str:
    """Return the dtype of an operation on values of these dtypes; int and float are weak.

    Args:
        *dtypes: Dtypes by name, NumPy dtypes, or the types int and float.

    Returns:
        Name of a dtype.
    """
    kinds = [d.__name__ if d in (int, float) else dtype_name(d) for d in dtypes or (float,)]
    return promote_types(kinds, floatx())


explain_missing(__name__)
