"""Programs made up at random, with their derivatives, on the native engine against the reference.

They mix what engines fuse, reorder and share: chains, reductions, movement, products, recomputation.
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import engines
from hornbeam.core.tensor import Tensor
from tests.helpers.random_programs import SHAPES, program
from tests.helpers.seeds import seeds


def results(seed: int, engine: str) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    shapes = random.Random(seed).choices(SHAPES, k=3)
    inputs = [rng.normal(size=shape).astype(("float32", "float64")[seed % 2]) for shape in shapes]
    fn = program(seed)

    def both(*args: Tensor) -> Any:
        gradients = hb.grad(lambda *a: fn(*a)[0], argnums=(0, 1, 2))(*args)
        return gradients, fn(*args)

    previous = engines.current_engine().name
    engines.set_engine(engine)
    try:
        result = hb.jit(both)(*inputs)
        return [np.asarray(x, dtype="float64") for x in hb.tree.flatten(result)]
    finally:
        engines.set_engine(previous)


def check(seed: int) -> None:
    expected = results(seed, "reference")
    for a, b in zip(expected, results(seed, "native"), strict=True):
        scale = 1.0 + float(np.max(np.abs(a), initial=0.0))
        np.testing.assert_allclose(
            a / scale, b / scale, atol=1e-9 if seed % 2 else 2e-4, err_msg=f"program {seed}"
        )


@pytest.mark.parametrize("seed", seeds(20, 40))
def test_programs(seed: int) -> None:
    check(seed)


@pytest.mark.slow
@pytest.mark.parametrize("block", range(10))
def test_many_programs(block: int) -> None:
    for seed in range(1000 + 100 * block, 1100 + 100 * block):
        check(seed)
