"""Continue the random order of a training that was saved between two epochs: `fit(initial_epoch=n)`.

Of the random states only that of the library's global generator is kept, which draws validation samples,
shuffles and seeds. NumPy's and Python's, from which a user's own generator may draw, are kept by checkpoints.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hornbeam._internal.resume_point import Words
from hornbeam.random import random_state
from hornbeam.random.keys import global_seed_generator
from hornbeam.training.sources import Data


def global_words() -> Words:
    """Return the state of the global generator."""
    return [int(word) for word in global_seed_generator().state.numpy()]


def set_global_words(words: Words) -> None:
    """Set the state of the global generator."""
    global_seed_generator().state.assign(np.array(words, np.uint32))


def compact_position(position: dict[str, Any]) -> dict[str, Any]:
    """Return a position in data without the states of other generators, and without rows, which follow."""
    random = position.get("random")
    return {
        "taken": position["taken"],
        "orders": None if position["orders"] is None else [list(map(int, o)) for o in position["orders"]],
        "random": None if random is None else [int(word) for word in random["hornbeam"]],
        "ahead": bool(position.get("ahead", False)),
    }


def seek(data: Data, position: dict[str, Any]) -> None:
    """Set the position in data to a compact one."""
    full = {**position, "rows": getattr(data, "rows", None)}
    if position["random"] is not None:
        full["random"] = {**random_state(), "hornbeam": np.array(position["random"], np.uint32)}
    data.seek(full)
