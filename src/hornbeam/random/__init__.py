"""Random tensors from counters: the same seed gives the same numbers on every engine and number of threads.

Every draw has a key of two 32-bit words; `random_bits` maps key and position to bits. An integer as `seed`
*is* a key, so that the same seed gives the same numbers on every call; a `SeedGenerator` gives a new key each
time; None uses keys of a global generator that `set_random_seed` resets.
"""

from __future__ import annotations

from hornbeam._internal.lazy_imports import explain_missing
from hornbeam.random.distributions import (
    beta,
    binomial,
    categorical,
    dropout,
    gamma,
    normal,
    randint,
    shuffle,
    truncated_normal,
    uniform,
)
from hornbeam.random.keys import (
    SeedGenerator,
    draw_seed,
    global_seed_generator,
    host_bits,
    host_key,
    host_permutation,
    make_default_seed,
)
from hornbeam.random.keys import SharedDraws as SharedDraws
from hornbeam.random.state import chosen_seed as chosen_seed
from hornbeam.random.state import default_state as default_state
from hornbeam.random.state import (
    random_state,
    restart,
    seed_defaults,
    seed_global,
    set_random_seed,
    set_random_state,
)

__all__ = [
    "SeedGenerator", "beta", "binomial", "categorical", "draw_seed", "dropout", "gamma",
    "global_seed_generator", "host_bits", "host_key", "host_permutation", "make_default_seed", "normal",
    "randint", "random_state", "restart", "seed_defaults", "seed_global", "set_random_seed",
    "set_random_state", "shuffle", "truncated_normal", "uniform",
]  # fmt: skip


explain_missing(__name__)
