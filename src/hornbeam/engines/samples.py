"""Samples of the primitives as arrays, on every dtype that a primitive takes."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence

import numpy as np

from hornbeam.engines.table import STRUCTURE
from hornbeam.ir.primitive import PRIMITIVES, Primitive, Sample
from hornbeam.ir.types import TensorType, dtype_name, is_float, numpy_dtype
from hornbeam.primitives.complex_numbers import LOWERED

# Neither what structures a graph, nor complex numbers, which are pairs in the graphs of engines.
NAMES = sorted(
    name
    for name, primitive in PRIMITIVES.items()
    if primitive.samples and not primitive.composite and name not in (*STRUCTURE, *LOWERED, "constant", "eig")
)
CASES = [(name, index) for name in NAMES for index in range(len(PRIMITIVES[name].samples))]


def operands(primitive: Primitive, index: int, dtype: str) -> list[np.ndarray]:
    """Return the arrays of a sample: always the same for the same primitive, sample and dtype."""
    sample = primitive.samples[index]
    rng = np.random.default_rng(zlib.crc32(f"{primitive.name} {index} {dtype}".encode()))
    if sample.make is not None:
        return list(sample.make(rng, dtype))
    pinned = sample.dtypes or (None,) * len(sample.shapes)
    return [
        random_array(rng, shape, own or dtype, sample.domain)
        for shape, own in zip(sample.shapes, pinned, strict=True)
    ]


def random_array(
    rng: np.random.Generator, shape: tuple[int, ...], dtype: str, domain: tuple[float, float]
) -> np.ndarray:
    """Draw from the domain; integers from one that is five times as wide; bools are coin flips."""
    low, high = domain
    if dtype == "bool":
        return rng.random(shape) < 0.5
    if is_float(dtype):
        return rng.uniform(low, high, shape).astype(numpy_dtype(dtype))
    limits = np.iinfo(numpy_dtype(dtype))
    low, high = max(np.floor(5 * low), limits.min), min(np.ceil(5 * high), limits.max)
    return rng.integers(int(low), int(high), shape, endpoint=True).astype(numpy_dtype(dtype))


def dtypes_of(primitive: Primitive, sample: Sample) -> tuple[str, ...]:
    """Return the dtypes to run a sample on: one where the sample pins all operands (or has none)."""
    if sample.dtypes is not None and None not in sample.dtypes:
        return (sample.dtypes[0] or "float32",)
    return primitive.dtypes if sample.shapes else ("float32",)


def types_of(arrays: Sequence[np.ndarray]) -> list[TensorType]:
    """Return the types of arrays."""
    return [TensorType(a.shape, dtype_name(a.dtype)) for a in arrays]


def differentiable_cases() -> Iterator[tuple[str, int]]:
    """Yield the cases that have a derivative."""
    for name, index in CASES:
        primitive = PRIMITIVES[name]
        if (
            primitive.vjp is not None
            and primitive.samples[index].derivative
            and "float64" in primitive.dtypes
        ):
            yield name, index
