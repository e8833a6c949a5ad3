"""Functions of the module `math` of a backend."""

from typing import Any

from hornbeam import ops
from keras_hornbeam.src.functions import functions_of

__getattr__ = functions_of(ops)


def _get_complex_tensor_from_tuple(parts: Any) -> Any:
    real, imaginary = parts
    return ops.view_as_complex(ops.stack([real, imaginary], axis=-1))
