"""`random.seed` and `np.random.seed`, which Keras follows.

It takes default seeds, of weights and dropout, from Python's generator, and the order of samples from
NumPy's: scripts for JAX and PyTorch seed both for equal results. Hornbeam's generators begin anew with them.
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np

from hornbeam.random import seed_defaults, seed_global
from hornbeam_compat.patch import Patch


def patches() -> list[Patch]:
    """Return the changes of the modules `random` and `numpy.random`."""
    seed, setstate, np_seed, np_set_state = random.seed, random.setstate, np.random.seed, np.random.set_state

    def seed_python(a: Any = None, version: int = 2) -> None:
        """Seed Python's generator, and the seeds of layers and initializers without one.

        Args:
            a: Integer, string or bytes; None for an unpredictable seed.
            version: Way in which strings become seeds.
        """
        seed(a, version)
        seed_defaults(random.Random(a).getrandbits(32))

    def set_python(state: Any) -> None:
        """Restore the state of Python's generator, which default seeds follow.

        Args:
            state: Result of `random.getstate`.
        """
        setstate(state)
        copy = random.Random()
        copy.setstate(state)
        seed_defaults(copy.getrandbits(32))

    def seed_numpy(seed: Any = None) -> None:
        """Seed NumPy's generator, and the one for orders of samples.

        Args:
            seed: Integer or array; None for an unpredictable seed.
        """
        np_seed(seed)
        seed_global(int(np.random.RandomState(seed).randint(0, 2**32, dtype=np.uint32)))

    def set_numpy(state: Any) -> None:
        """Restore the state of NumPy's generator, which orders of samples follow.

        Args:
            state: Result of `np.random.get_state`.
        """
        np_set_state(state)
        copy = np.random.RandomState()
        copy.set_state(state)
        seed_global(int(copy.randint(0, 2**32, dtype=np.uint32)))

    return [
        Patch(random, "seed", seed_python),
        Patch(random, "setstate", set_python),
        Patch(np.random, "seed", seed_numpy),
        Patch(np.random, "set_state", set_numpy),
    ]
