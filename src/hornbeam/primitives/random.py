"""Random bits from a counter: the same key gives the same bits on every engine.

Threefry-2x32 with 20 rounds: J. Salmon, M. Moraes, R. Dror, D. Shaw, "Parallel random numbers: as easy as
1, 2, 3", SC 2011.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from hornbeam.ir.node import Node
from hornbeam.ir.primitive import Sample, bind, full, movement_bytes, primitive
from hornbeam.ir.types import Shape, ShapeError, TensorType
from hornbeam.primitives import elementwise
from hornbeam.primitives.numerics import Array, quiet

__all__ = ["random_bits"]

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = np.uint32(0x1BD11BDA)


@quiet
def threefry2x32(key: Array, counter: Array) -> Array:
    """Encrypts counter words (..., 2) under key (2,), both uint32: 20 rounds, five injections of the key."""
    keys = (key[0], key[1], key[0] ^ key[1] ^ _PARITY)
    x, y = counter[..., 0] + keys[0], counter[..., 1] + keys[1]
    for injection in range(1, 6):
        for distance in _ROTATIONS[(injection - 1) % 2]:
            x = x + y
            y = ((y << np.uint32(distance)) | (y >> np.uint32(32 - distance))) ^ x
        x = x + keys[injection % 3]
        y = y + keys[(injection + 1) % 3] + np.uint32(injection)
    return np.stack([x, y], axis=-1)


def _random_bits(key: Array, *, shape: Shape) -> Array:
    size = math.prod(shape)
    block = np.arange((size + 1) // 2, dtype=np.uint64)
    counter = np.stack([block >> np.uint64(32), block & np.uint64(0xFFFFFFFF)], axis=-1).astype(np.uint32)
    return threefry2x32(key, counter).reshape(-1)[:size].reshape(shape)


def _type(key: TensorType, *, shape: Shape) -> TensorType:
    if key.shape != (2,):
        raise ShapeError(f"random_bits needs a key of shape (2,), got {key}")
    if min(shape, default=0) < 0:
        raise ShapeError(f"random_bits cannot fill the shape {shape}")
    return TensorType(shape, "uint32")


def _cost(types: Sequence[TensorType], out: TensorType, **params: Any) -> tuple[int, int]:
    """20 rounds of five operations for two words (rotations count three)."""
    return 50 * out.size, movement_bytes(types, out)


def _key(rng: np.random.Generator, dtype: str) -> list[Array]:
    return [rng.integers(0, 2**32, 2, dtype=np.uint32)]


RANDOM_BITS = primitive(
    "random_bits",
    type_rule=_type,
    reference=_random_bits,
    vjp=None,
    cost=_cost,
    dtypes=("uint32",),
    samples=[Sample(((2,),), {"shape": s}, make=_key) for s in ((4, 6), (7,), (), (1, 1), (0,), (3, 1001))],
)


def random_bits(key: Node, shape: Shape) -> Node:
    """Draw uint32 words: element i (row-major) is word i % 2 of threefry2x32(key, (high, low) words of i //
    2)."""
    return bind(RANDOM_BITS, key, shape=shape)


def bernoulli(key: Node, probability: float, shape: Shape) -> Node:
    """Return booleans that are true with `probability`, by comparing one word per element with an integer."""
    if probability >= 1.0:
        return full(True, TensorType(shape, "bool"))
    bits = random_bits(key, shape)
    return elementwise.lt(bits, full(int(probability * 2**32), bits.type))
