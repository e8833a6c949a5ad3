"""tf.random: numbers from Hornbeam's generator, which are not TensorFlow's for the same seed."""

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


# A seed of one call stands for a sequence of numbers, of which every call takes the next.
_sources: dict[int, hb_random.SeedGenerator] = {}


def set_seed(seed: int) -> None:
    """Start all of Hornbeam's randomness anew. Python's and NumPy's go on."""
    hb_random.restart(seed)
    _sources.clear()


def _source(seed: int | None) -> Any:
    if seed is None:
        return None
    if seed not in _sources:
        _sources[seed] = hb_random.SeedGenerator(seed)
    return _sources[seed]


def normal(
    shape: Any,
    mean: Any = 0.0,
    stddev: Any = 1.0,
    dtype: Any = "float32",
    seed: Any = None,
    name: str | None = None,
) -> Tensor:
    """Numbers from the normal distribution."""
    return hb_random.normal(shape_of(shape), mean, stddev, dtype, seed=_source(seed))


def truncated_normal(
    shape: Any,
    mean: Any = 0.0,
    stddev: Any = 1.0,
    dtype: Any = "float32",
    seed: Any = None,
    name: str | None = None,
) -> Tensor:
    """As `normal`, without what lies more than two standard deviations from the mean."""
    return hb_random.truncated_normal(shape_of(shape), mean, stddev, dtype, seed=_source(seed))


def uniform(
    shape: Any,
    minval: Any = 0,
    maxval: Any = None,
    dtype: Any = "float32",
    seed: Any = None,
    name: str | None = None,
) -> Tensor:
    """Numbers from [minval, maxval); floats up to 1 unless told otherwise."""
    return _uniform(shape, minval, maxval, dtype, _source(seed))


def _uniform(shape: Any, minval: Any, maxval: Any, dtype: Any, seed: Any) -> Tensor:
    if is_integer(str(dtype)):
        if maxval is None:
            raise ValueError("tf.random.uniform of whole numbers needs maxval")
        return hb_random.randint(shape_of(shape), minval, maxval, dtype, seed=seed)
    return hb_random.uniform(shape_of(shape), minval, 1.0 if maxval is None else maxval, dtype, seed=seed)


def categorical(
    logits: Any, num_samples: int, dtype: Any = "int64", seed: Any = None, name: str | None = None
) -> Tensor:
    """Indices drawn by unnormalized log-probabilities."""
    return hb_random.categorical(logits, int(num_samples), dtype=dtype or "int64", seed=_source(seed))


def gamma(
    shape: Any,
    alpha: Any,
    beta: Any = None,
    dtype: Any = "float32",
    seed: Any = None,
    name: str | None = None,
) -> Tensor:
    """Numbers from the gamma distribution, `shape` of them for each pair of alpha and beta."""
    pairs = np.broadcast_shapes(np.shape(alpha), np.shape(1.0 if beta is None else beta))
    made = hb_random.gamma((*shape_of(shape), *pairs), alpha, dtype=dtype, seed=_source(seed))
    return made if beta is None else made / beta


def stateless_normal(
    shape: Any,
    seed: Any,
    mean: Any = 0.0,
    stddev: Any = 1.0,
    dtype: Any = "float32",
    name: str | None = None,
    alg: Any = None,
) -> Tensor:
    """The same numbers for the same seed of two whole numbers."""
    return hb_random.normal(shape_of(shape), mean, stddev, dtype, seed=_key(seed))


def stateless_uniform(
    shape: Any,
    seed: Any,
    minval: Any = 0,
    maxval: Any = None,
    dtype: Any = "float32",
    name: str | None = None,
    alg: Any = None,
) -> Tensor:
    """The same numbers for the same seed of two whole numbers."""
    return _uniform(shape, minval, maxval, dtype, _key(seed))


def _key(seed: Any) -> Tensor:
    return ops.cast(ops.convert_to_tensor(seed), "uint32")


class Generator:
    """A source of random numbers with a state of its own."""

    def __init__(self, seed: int | None = None) -> None:
        self._seeds = hb_random.SeedGenerator(seed)

    @classmethod
    def from_seed(cls, seed: int, alg: Any = None) -> Generator:
        """Numbers that depend on the seed alone."""
        return cls(seed)

    @classmethod
    def from_non_deterministic_state(cls, alg: Any = None) -> Generator:
        """Numbers that nobody can foresee."""
        return cls()

    def normal(
        self, shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = "float32", name: str | None = None
    ) -> Tensor:
        return hb_random.normal(shape_of(shape), mean, stddev, dtype, seed=self._seeds)

    def uniform(
        self, shape: Any, minval: Any = 0, maxval: Any = None, dtype: Any = "float32", name: str | None = None
    ) -> Tensor:
        return _uniform(shape, minval, maxval, dtype, self._seeds)

    def make_seeds(self, count: int = 1) -> Tensor:
        """`count` seeds for the stateless functions, shape (2, count)."""
        return ops.stack([self._seeds.next() for _ in range(count)], axis=1)


_global: list[Generator] = []


def get_global_generator() -> Generator:
    """One generator for the whole script."""
    if not _global:
        _global.append(Generator())
    return _global[0]
