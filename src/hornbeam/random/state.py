"""The state of all random generators: seeding, saving, restoring."""

from __future__ import annotations

import random as _python_random
from typing import Any

import numpy as np

from hornbeam.core.convert import as_tensor
from hornbeam.random.keys import WORD, _chosen, _default_seeds, global_seed_generator, seed_words


def chosen_seed() -> int | None:
    """Return the last argument of `set_random_seed`, or None if it was not called."""
    return _chosen[0] if _chosen else None


def default_state() -> Any:
    """Return the state from which default seeds are drawn, for comparisons."""
    return _default_seeds.getstate()


def set_random_seed(seed: int) -> None:
    """Seed all random generators: Python's, NumPy's, default seeds and the global generator.

    The same seed before the same program gives the same weights, masks and shuffles.

    Args:
        seed: Integer in [0, 2**32).

    Raises:
        ValueError: If `seed` is not an integer of 32 bits.
    """
    if not isinstance(seed, (int, np.integer)) or not 0 <= seed < WORD:
        raise ValueError(f"seed must be an integer from 0 to 2**32 - 1, got {seed!r}")
    _python_random.seed(int(seed))
    np.random.seed(int(seed))
    restart(seed)


def restart(seed: int) -> None:
    """Seed default seeds and the global generator, without changing Python's and NumPy's.

    Args:
        seed: Integer.
    """
    generator = global_seed_generator()  # which draws a default seed when it is created
    _chosen[:] = [int(seed)]
    _default_seeds.seed(int(seed))
    generator.state.assign(seed_words(int(seed)))


def seed_defaults(seed: int) -> None:
    """Seed default seeds alone: those of initializers, layers and generators made from now on.

    Args:
        seed: Integer.
    """
    global_seed_generator()  # which draws a default seed when it is created
    _default_seeds.seed(seed)


def seed_global(seed: int) -> None:
    """Seed the global generator alone, which draws the order of samples.

    Args:
        seed: Integer.
    """
    # Not by assign(), which a function that is being traced would record.
    global_seed_generator().state._node = as_tensor(seed_words(int(seed))).node


def random_state() -> dict[str, Any]:
    """Return the state of the global generator, NumPy's and Python's, as numbers and arrays."""
    numpy_state: Any = np.random.get_state(legacy=False)
    version, words, gauss = _python_random.getstate()
    return {
        "hornbeam": np.array(global_seed_generator().state.numpy()),
        "numpy": dict(numpy_state),
        "python": {"version": version, "words": np.array(words, np.uint64), "gauss": gauss},
    }


def set_random_state(state: dict[str, Any]) -> None:
    """Restore the state of all three generators.

    Args:
        state: Result of `random_state()`.

    Raises:
        ValueError: If the state is invalid.
    """
    words = np.asarray(state["hornbeam"])
    if words.shape != (2,) or words.dtype != np.uint32:
        raise ValueError(f"the state of the global generator must be two uint32 words, got {words!r}")
    python = state["python"]
    np.random.set_state(state["numpy"])
    _python_random.setstate((python["version"], tuple(int(w) for w in python["words"]), python["gauss"]))
    global_seed_generator().state.assign(words)
