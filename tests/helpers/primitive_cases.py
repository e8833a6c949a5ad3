"""Cases of the generated tests: every sample of every primitive, on every dtype that it takes."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import numpy as np

from hornbeam import primitives as p
from hornbeam.ir.graph import Graph
from hornbeam.ir.interpret import reference
from hornbeam.ir.node import Node
from hornbeam.ir.primitive import PRIMITIVES, Primitive, Sample
from hornbeam.ir.types import FLOATS, TensorType, dtype_name, is_float, numpy_dtype

# Names that would shadow Python's own.
FUNCTIONS = {
    "abs": "absolute",
    "max": "maximum",
    "min": "minimum",
    "pow": "power",
    "round": "round_even",
    "slice": "slice_",
    "and": "bit_and",
    "or": "bit_or",
    "xor": "bit_xor",
}
FAMILIES = (p.elementwise, p.reduce, p.shape, p.index, p.contract, p.window, p.linalg, p.random)
_PUBLIC = {name for family in FAMILIES for name in family.__all__}
NAMES = sorted(name for name in PRIMITIVES if FUNCTIONS.get(name, name) in _PUBLIC)
CASES = [(name, index) for name in NAMES for index in range(len(PRIMITIVES[name].samples))]


def operands(primitive: Primitive, index: int, dtype: str) -> list[np.ndarray]:
    """The arrays of a sample: always the same for the same primitive, sample and dtype."""
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
    """Uniform in `domain`; for integers the domain is five times as wide; bools are coin flips."""
    low, high = domain
    if dtype == "bool":
        return rng.random(shape) < 0.5
    if is_float(dtype):
        return rng.uniform(low, high, shape).astype(numpy_dtype(dtype))
    limits = np.iinfo(numpy_dtype(dtype))
    low, high = max(np.floor(5 * low), limits.min), min(np.ceil(5 * high), limits.max)
    return rng.integers(int(low), int(high), shape, endpoint=True).astype(numpy_dtype(dtype))


def dtypes_of(primitive: Primitive, sample: Sample) -> tuple[str, ...]:
    """The dtypes to run a sample on: one where the sample pins all operands (or has none)."""
    if sample.dtypes is not None and None not in sample.dtypes:
        return (sample.dtypes[0] or "float32",)
    return primitive.dtypes if sample.shapes else ("float32",)


def types_of(arrays: list[np.ndarray]) -> list[TensorType]:
    return [TensorType(a.shape, dtype_name(a.dtype)) for a in arrays]


def differentiable_cases() -> Iterator[tuple[str, int]]:
    for name, index in CASES:
        primitive = PRIMITIVES[name]
        if (
            primitive.vjp is not None
            and primitive.samples[index].derivative
            and "float64" in primitive.dtypes
        ):
            yield name, index


def floats_of(primitive: Primitive) -> tuple[str, ...]:
    return tuple(dtype for dtype in FLOATS if dtype in primitive.dtypes)


def value(node: Node) -> np.ndarray:
    """The node's value; buffers below it are constants."""
    actual: dict[Node, None] = {}
    stack = [node]
    while stack:
        top = stack.pop()
        if top.primitive is None:
            actual[top] = None
        stack.extend(top.inputs)
    leaves = list(actual)
    return reference(Graph(leaves, (node,)), [leaf.value for leaf in leaves])[0]
