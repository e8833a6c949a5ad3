"""Operands from all of a dtype, and errors of samples by dtype, beside `hornbeam/engines/accuracy.py`."""

from __future__ import annotations

import zlib

import numpy as np

from hornbeam.engines import Engine
from hornbeam.engines.accuracy import DECOMPOSITIONS as DECOMPOSITIONS
from hornbeam.engines.accuracy import ELEMENTWISE as ELEMENTWISE
from hornbeam.engines.accuracy import SUMS as SUMS
from hornbeam.engines.accuracy import Error as Error
from hornbeam.engines.accuracy import compare as compare
from hornbeam.engines.accuracy import run_on as run_on
from hornbeam.ir.primitive import PRIMITIVES
from hornbeam.ir.types import numpy_dtype
from tests.helpers.primitive_cases import dtypes_of, operands


def sample_errors(engine: Engine, name: str, index: int) -> dict[str, Error]:
    """Error of one sample by dtype."""
    primitive = PRIMITIVES[name]
    sample = primitive.samples[index]
    return {
        dtype: compare(engine, name, operands(primitive, index, dtype), sample.params)
        for dtype in dtypes_of(primitive, sample)
    }


def sweep_operands(name: str, dtype: str, size: int = 100_000) -> list[np.ndarray]:
    """Operands from all of a float dtype: every value of two bytes, or random bits and common ranges."""
    primitive = PRIMITIVES[name]
    arity = len(primitive.samples[0].shapes)
    kind = numpy_dtype(dtype)
    rng = np.random.default_rng(zlib.crc32(f"sweep {name} {dtype}".encode()))
    if arity == 1 and kind.itemsize == 2:
        return [np.arange(2**16, dtype=np.uint16).view(kind)]
    unsigned = np.dtype(f"uint{8 * kind.itemsize}")

    def operand() -> np.ndarray:
        bits = rng.integers(0, np.iinfo(unsigned).max, size, dtype=unsigned, endpoint=True).view(kind)
        near = [rng.uniform(-reach, reach, size).astype(kind) for reach in (1, 20)]
        return np.concatenate([bits, *near])

    return [operand() for _ in range(arity)]


def sweepable(name: str) -> bool:
    """Elementwise on floats, all operands of the dtype, and no parameters."""
    sample = PRIMITIVES[name].samples[0]
    plain = name in ELEMENTWISE and sample.dtypes is None and not sample.params
    return plain and "float32" in PRIMITIVES[name].dtypes
