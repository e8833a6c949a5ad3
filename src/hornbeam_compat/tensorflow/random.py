"""tf.random: Hornbeam's generator, whose numbers differ from TensorFlow's for the same seed.

Arguments are TensorFlow's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from hornbeam import Tensor, Variable, ops
from hornbeam import random as hb_random
from hornbeam.backend import is_int_dtype
from hornbeam.random import host_bits
from hornbeam_compat.tensorflow.arrays import shuffle
from hornbeam_compat.tensorflow.tensors import sizes_of
from hornbeam_compat.tensorflow.typing import DTypeLike, ShapeLike, TensorLike

__all__ = [
    "Generator", "categorical", "fold_in", "gamma", "get_global_generator", "normal", "set_global_generator",
    "set_seed", "shuffle", "split", "stateless_fold_in", "stateless_normal", "stateless_split",
    "stateless_uniform", "truncated_normal", "uniform",
]  # fmt: skip


# Seed of a call -> its generator. Each call with that seed draws the next numbers.
_generators: dict[int, hb_random.SeedGenerator] = {}


def set_seed(seed: int) -> None:
    """Seed Hornbeam's global generator. Those of Python and NumPy are not affected."""
    hb_random.restart(seed)
    _generators.clear()


def seeded_generator(seed: int | None) -> hb_random.SeedGenerator | None:
    if seed is None:
        return None
    if seed not in _generators:
        _generators[seed] = hb_random.SeedGenerator(seed)
    return _generators[seed]


def _normal(draw: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def draw_normal(
        shape: ShapeLike, mean: TensorLike = 0.0, stddev: TensorLike = 1.0, dtype: DTypeLike = "float32",
        seed: int | None = None, name: str | None = None,
    ) -> Tensor:  # fmt: skip
        """Draw from the normal distribution; the truncated one is within two standard deviations."""
        return draw(sizes_of(shape), mean, stddev, dtype, seed=seeded_generator(seed))

    return draw_normal


normal, truncated_normal = _normal(hb_random.normal), _normal(hb_random.truncated_normal)


def uniform(
    shape: ShapeLike, minval: TensorLike = 0, maxval: TensorLike | None = None, dtype: DTypeLike = "float32",
    seed: int | None = None, name: str | None = None,
) -> Tensor:  # fmt: skip
    """Draw from [minval, maxval); maxval is 1 by default for floats."""
    return _uniform(shape, minval, maxval, dtype, seeded_generator(seed))


def _uniform(
    shape: ShapeLike, minval: TensorLike, maxval: TensorLike | None, dtype: DTypeLike,
    seed: hb_random.SeedGenerator | Tensor | None,
) -> Tensor:  # fmt: skip
    if is_int_dtype(dtype):
        if maxval is None:
            raise ValueError("tf.random.uniform needs maxval= for an integer dtype")
        return hb_random.randint(sizes_of(shape), minval, maxval, dtype, seed=seed)
    return hb_random.uniform(sizes_of(shape), minval, 1.0 if maxval is None else maxval, dtype, seed=seed)


def categorical(
    logits: TensorLike, num_samples: int, dtype: DTypeLike = "int64", seed: int | None = None,
    name: str | None = None,
) -> Tensor:  # fmt: skip
    """Draw indices by unnormalized log-probabilities."""
    return hb_random.categorical(
        logits, int(num_samples), dtype=dtype or "int64", seed=seeded_generator(seed)
    )


def gamma(
    shape: ShapeLike, alpha: TensorLike, beta: TensorLike | None = None, dtype: DTypeLike = "float32",
    seed: int | None = None, name: str | None = None,
) -> Tensor:  # fmt: skip
    """Draw from the gamma distribution, `shape` numbers for each pair of alpha and beta."""
    pairs = np.broadcast_shapes(np.shape(alpha), np.shape(1.0 if beta is None else beta))
    samples = hb_random.gamma((*sizes_of(shape), *pairs), alpha, dtype=dtype, seed=seeded_generator(seed))
    return samples if beta is None else samples / beta


def stateless_normal(
    shape: ShapeLike, seed: TensorLike, mean: TensorLike = 0.0, stddev: TensorLike = 1.0,
    dtype: DTypeLike = "float32", name: str | None = None, alg: object = None,
) -> Tensor:  # fmt: skip
    """Draw from the normal distribution, by a seed of two integers alone."""
    return hb_random.normal(sizes_of(shape), mean, stddev, dtype, seed=stateless_key(seed))


def stateless_uniform(
    shape: ShapeLike, seed: TensorLike, minval: TensorLike = 0, maxval: TensorLike | None = None,
    dtype: DTypeLike = "float32", name: str | None = None, alg: object = None,
) -> Tensor:  # fmt: skip
    """Draw from the uniform distribution, by a seed of two integers alone."""
    return _uniform(shape, minval, maxval, dtype, stateless_key(seed))


def stateless_key(seed: TensorLike) -> Tensor:
    return ops.cast(ops.convert_to_tensor(seed), "uint32")


def split(seed: TensorLike, num: int = 2, alg: object = None) -> Tensor:
    """Derive seeds for the stateless functions from one, shape (num, 2)."""
    return hb_random.randint((int(num), 2), 0, _LARGEST, "int32", seed=stateless_key(seed))


def fold_in(seed: TensorLike, data: TensorLike, alg: object = None) -> Tensor:
    """Derive a seed for the stateless functions from one and an integer."""
    low, high = ops.unstack(stateless_key(seed))
    return hb_random.randint(
        (2,), 0, _LARGEST, "int32", seed=ops.stack([low, high + ops.cast(data, "uint32")])
    )


_LARGEST = 2**31 - 1
stateless_split, stateless_fold_in = split, fold_in


class Generator:
    """Random number generator with its own state.

    Args:
        seed: Integer, or None for a random one.
    """

    def __init__(self, seed: int | None = None) -> None:
        self._seeds = hb_random.SeedGenerator(seed)

    @classmethod
    def from_seed(cls, seed: int, alg: object = None) -> Generator:
        """Create a generator whose numbers depend on the seed alone."""
        return cls(seed)

    @classmethod
    def from_non_deterministic_state(cls, alg: object = None) -> Generator:
        """Create a generator with a random seed."""
        return cls()

    @classmethod
    def from_state(cls, state: TensorLike, alg: object = None) -> Generator:
        """Create a generator that continues from the `state` of another."""
        generator = cls(0)
        generator.reset(state)
        return generator

    @property
    def state(self) -> Variable:
        """Variable of the seed and the number of draws."""
        return self._seeds.state

    @property
    def variables(self) -> list[Any]:
        """The state, for checkpoints."""
        return [self.state]

    def reset(self, state: TensorLike) -> None:
        """Continue from the `state` of a generator."""
        self.state.assign(state)

    def reset_from_seed(self, seed: int) -> None:
        """Continue as a new generator with this seed."""
        self.reset(hb_random.SeedGenerator(seed).state)

    def skip(self, delta: int) -> Variable:
        """Pass over some draws."""
        self.state.assign_add(np.array([0, int(delta)], np.uint32))
        return self.state

    def split(self, count: int = 1) -> list[Generator]:
        """Create independent generators, and advance this one."""
        words = host_bits(self._seeds.host_next(), 2 * int(count)).reshape(-1, 2)
        return [Generator.from_state(np.array([low, 0], np.uint32)) for low, _ in words]

    def normal(
        self, shape: ShapeLike, mean: TensorLike = 0.0, stddev: TensorLike = 1.0,
        dtype: DTypeLike = "float32", name: str | None = None,
    ) -> Tensor:  # fmt: skip
        """Draw from the normal distribution."""
        return hb_random.normal(sizes_of(shape), mean, stddev, dtype, seed=self._seeds)

    def truncated_normal(
        self, shape: ShapeLike, mean: TensorLike = 0.0, stddev: TensorLike = 1.0,
        dtype: DTypeLike = "float32", name: str | None = None,
    ) -> Tensor:  # fmt: skip
        """Draw from the normal distribution, within two standard deviations of the mean."""
        return hb_random.truncated_normal(sizes_of(shape), mean, stddev, dtype, seed=self._seeds)

    def uniform(
        self, shape: ShapeLike, minval: TensorLike = 0, maxval: TensorLike | None = None,
        dtype: DTypeLike = "float32", name: str | None = None,
    ) -> Tensor:  # fmt: skip
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


def set_global_generator(generator: Generator) -> None:
    """Replace the global generator."""
    _global[:] = [generator]
