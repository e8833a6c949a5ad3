"""Arrays of numbers in NumPy's format, from files of others."""

from __future__ import annotations

import io
import math

import numpy as np


def array_from_npy(content: bytes) -> np.ndarray:
    """Read an array of numbers, whose declared size must match. Raises ValueError for anything else."""
    file = io.BytesIO(content)
    try:
        version = np.lib.format.read_magic(file)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"expected an array in version 1 or 2 of NumPy's format, got {version}")
        old = version == (1, 0)
        header = np.lib.format.read_array_header_1_0 if old else np.lib.format.read_array_header_2_0
        shape, is_fortran, dtype = header(file)
    except ValueError:
        raise
    except Exception as error:  # of Python's tokenizer and parser, which NumPy asks
        raise ValueError(f"the header of the array is damaged: {error!r:.200}") from None
    if dtype.kind not in "biufc":
        raise ValueError(f"expected an array of numbers, got {dtype}: pickled objects are never read")
    count = math.prod(shape)
    if dtype.itemsize * count != len(content) - file.tell():
        raise ValueError(f"declares {dtype} of shape {shape}, but has another size")
    array = np.frombuffer(content, dtype, count, file.tell())
    return array.reshape(shape, order="F" if is_fortran else "C")
