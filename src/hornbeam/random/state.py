"""The state of all random generators: seeding, saving, restoring."""

from __future__ import annotations

import random as _python_random
from typing import Any

import numpy as np

from hornbeam.random.keys import WORD, _chosen, _default_seeds, global_seed_generator, seed_words


def chosen_seed() -> int | None:
    """What `set_random_seed` was last given, None if it was not called."""
    return _chosen[0] if _chosen else None


def default_state() -> Any:
    """What default seeds depend on, for comparing."""
    return _default_seeds.getstate()


def set_random_seed(seed: int) -> None:
    """Start all randomness anew: Python's, NumPy's, default seeds and the global generator.

    The same seed before the same program gives the same weights, masks and shuffles. Raises ValueError unless
    `seed` is a whole number of 32 bits.
    """
    if not isinstance(seed, (int, np.integer)) or not 0 <= seed < WORD:
        raise ValueError(f"seed must be a whole number from 0 to 2**32 - 1, got {seed!r}")
    _python_random.seed(int(seed))
    np.random.seed(int(seed))
    restart(seed)


def restart(seed: int) -> None:
    """Start default seeds and the global generator anew, and leave Python's and NumPy's numbers alone."""
    generator = global_seed_generator()  # which takes a default seed of its own when it is made
    _chosen[:] = [int(seed)]
    _default_seeds.seed(int(seed))
    generator.state.assign(seed_words(int(seed)))


def random_state() -> dict[str, Any]:
    """Where the global generator, NumPy's and Python's stand, as numbers and arrays; see
    `set_random_state`."""
    numpy_state: Any = np.random.get_state(legacy=False)
    version, words, gauss = _python_random.getstate()
    return {
        "hornbeam": np.array(global_seed_generator().state.numpy()),
        "numpy": dict(numpy_state),
        "python": {"version": version, "words": np.array(words, np.uint64), "gauss": gauss},
    }


def set_random_state(state: dict[str, Any]) -> None:
    """Let all three generators go on from where they stood in a `random_state()`.

    Raises ValueError for what is none.
    """
    words = np.asarray(state["hornbeam"])
    if words.shape != (2,) or words.dtype != np.uint32:
        raise ValueError(f"the state of the global generator is two uint32 words, got {words!r}")
    python = state["python"]
    np.random.set_state(state["numpy"])
    _python_random.setstate((python["version"], tuple(int(w) for w in python["words"]), python["gauss"]))
    global_seed_generator().state.assign(words)
