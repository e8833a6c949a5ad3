"""Random functions: a seed that Keras draws is a key of Hornbeam."""

import functools
from collections.abc import Callable
from typing import Any

from keras.src.random.seed_generator import SeedGenerator as SeedGenerator
from keras.src.random.seed_generator import draw_seed, make_default_seed

import hornbeam
from hornbeam import random


def with_drawn_seed(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let a function of a key take the seeds of Keras: integers, its SeedGenerator, or None."""

    @functools.wraps(function)
    def draw(*args: Any, seed: Any = None, **kwargs: Any) -> Any:
        key = seed if isinstance(seed, hornbeam.Tensor) else draw_seed(seed)
        return function(*args, seed=key, **kwargs)

    return draw


beta = with_drawn_seed(random.beta)
binomial = with_drawn_seed(random.binomial)
categorical = with_drawn_seed(random.categorical)
dropout = with_drawn_seed(random.dropout)
gamma = with_drawn_seed(random.gamma)
normal = with_drawn_seed(random.normal)
randint = with_drawn_seed(random.randint)
shuffle = with_drawn_seed(random.shuffle)
truncated_normal = with_drawn_seed(random.truncated_normal)
uniform = with_drawn_seed(random.uniform)
__all__ = ["SeedGenerator", "draw_seed", "make_default_seed"]
