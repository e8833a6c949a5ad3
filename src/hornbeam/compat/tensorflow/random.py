"""tf.random: Hornbeam's generator, whose numbers differ from TensorFlow's for the same seed.

Arguments are TensorFlow's.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hornbeam import ops
from hornbeam import random as hb_random
from hornbeam.compat.tensorflow.arrays import shuffle
from hornbeam.core.tensor import Tensor
from hornbeam.ir.types import is_integer
from hornbeam.ops._common import shape_of

__all__ = [
    "Generator", "categorical", "gamma", "get_global_generator", "normal", "set_seed", "shuffle",
    "stateless_normal", "stateless_uniform", "truncated_normal", "uniform",
]  # fmt: skip


# Seed of a call -> its generator. Each call with that seed draws the next numbers.
_generators: dict[int, hb_random.SeedGenerator] = {}


def set_seed(seed: int) -> None:
    """Seed Hornbeam's global generator. Those of Python and NumPy are not affected."""
    hb_random.restart(seed)
    _generators.clear()


def seeded_generator(seed: int | None) -> Any:
    if seed is None:
        return None
    if seed not in _generators:
        _generators[seed] = hb_random.SeedGenerator(seed)
    return _generators[seed]


def normal(
    shape: Any,
    mean: Any = 0.0,
    stddev: Any = 1.0,
    dtype: Any = "float32",
    seed: Any = None,
    name: str | None = None,
) -> Tensor:
    """Draw from the normal distribution."""
    return hb_random.normal(shape_of(shape), mean, stddev, dtype, seed=seeded_generator(seed))


def truncated_normal(
    shape: Any,
    mean: Any = 0.0,
    stddev: Any = 1.0,
    dtype: Any = "float32",
    seed: Any = None,
    name: str | None = None,
) -> Tensor:
    """Draw from the normal distribution, within two standard deviations of the mean."""
    return hb_random.truncated_normal(shape_of(shape), mean, stddev, dtype, seed=seeded_generator(seed))


def uniform(
    shape: Any,
    minval: Any = 0,
    maxval: Any = None,
    dtype: Any = "float32",
    seed: Any = None,
    name: str | None = None,
) -> Tensor:
    """Draw from [minval, maxval); maxval is 1 by default for floats."""
    return _uniform(shape, minval, maxval, dtype, seeded_generator(seed))


def _uniform(shape: Any, minval: Any, maxval: Any, dtype: Any, seed: Any) -> Tensor:
    if is_integer(str(dtype)):
        if maxval is None:
            raise ValueError("tf.random.uniform needs maxval= for an integer dtype")
        return hb_random.randint(shape_of(shape), minval, maxval, dtype, seed=seed)
    return hb_random.uniform(shape_of(shape), minval, 1.0 if maxval is None else maxval, dtype, seed=seed)


def categorical(
    logits: Any, num_samples: int, dtype: Any = "int64", seed: Any = None, name: str | None = None
) -> Tensor:
    """Draw indices by unnormalized log-probabilities."""
    return hb_random.categorical(
        logits, int(num_samples), dtype=dtype or "int64", seed=seeded_generator(seed)
    )


def gamma(
    shape: Any,
    alpha: Any,
    beta: Any = None,
    dtype: Any = "float32",
    seed: Any = None,
    name: str | None = None,
) -> Tensor:
    """Draw from the gamma distribution, `shape` numbers for each pair of alpha and beta."""
    pairs = np.broadcast_shapes(np.shape(alpha), np.shape(1.0 if beta is None else beta))
    samples = hb_random.gamma((*shape_of(shape), *pairs), alpha, dtype=dtype, seed=seeded_generator(seed))
    return samples if beta is None else samples / beta


def stateless_normal(
    shape: Any,
    seed: Any,
    mean: Any = 0.0,
    stddev: Any = 1.0,
    dtype: Any = "float32",
    name: str | None = None,
    alg: Any = None,
) -> Tensor:
    """Draw from the normal distribution, by a seed of two integers alone."""
    return hb_random.normal(shape_of(shape), mean, stddev, dtype, seed=stateless_key(seed))


def stateless_uniform(
    shape: Any,
    seed: Any,
    minval: Any = 0,
    maxval: Any = None,
    dtype: Any = "float32",
    name: str | None = None,
    alg: Any = None,
) -> Tensor:
    """Draw from the uniform distribution, by a seed of two integers alone."""
    return _uniform(shape, minval, maxval, dtype, stateless_key(seed))


def stateless_key(seed: Any) -> Tensor:
    return ops.cast(ops.convert_to_tensor(seed), "uint32")


class Generator:
    """Random number generator with its own state.

    Args:
        seed: Integer, or None for a random one.
    """

    def __init__(self, seed: int | None = None) -> None:
        self._seeds = hb_random.SeedGenerator(seed)

    @classmethod
    def from_seed(cls, seed: int, alg: Any = None) -> Generator:
        """Create a generator whose numbers depend on the seed alone."""
        return cls(seed)

    @classmethod
    def from_non_deterministic_state(cls, alg: Any = None) -> Generator:
        """Create a generator with a random seed."""
        return cls()

    def normal(
        self, shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = "float32", name: str | None = None
    ) -> Tensor:
        """Draw from the normal distribution."""
        return hb_random.normal(shape_of(shape), mean, stddev, dtype, seed=self._seeds)

    def uniform(
        self, shape: Any, minval: Any = 0, maxval: Any = None, dtype: Any = "float32", name: str | None = None
    ) -> Tensor:
        """Draw from [minval, maxval)."""
        return _uniform(shape, minval, maxval, dtype, self._seeds)

    def make_seeds(self, count: int = 1) -> Tensor:
        """Draw `count` seeds for the stateless functions, as a tensor of shape (2, count)."""
        return ops.stack([self._seeds.next() for _ in range(count)], axis=1)


_global: list[Generator] = []


def get_global_generator() -> Generator:
    """Return the global generator."""
    if not _global:
        _global.append(Generator())
    return _global[0]
