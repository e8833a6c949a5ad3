"""Continue the random order of a training that was saved between two epochs: `fit(initial_epoch=n)`.

Of the random states only that of the library's global generator is kept, which draws validation samples,
shuffles and seeds. NumPy's and Python's, from which a user's own generator may draw, are kept by checkpoints.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hornbeam._internal.resume_point import ResumePoint, Words
from hornbeam._internal.warn import warn_user
from hornbeam.random import random_state, set_random_state
from hornbeam.random.keys import global_seed_generator

if TYPE_CHECKING:
    from hornbeam.training.run import TrainingRun
    from hornbeam.training.sources import Data


def global_words() -> Words:
    """Return the state of the global generator."""
    return [int(word) for word in global_seed_generator().state.numpy()]


def set_global_words(words: Words) -> None:
    """Set the state of the global generator."""
    global_seed_generator().state.assign(np.array(words, np.uint32))


def point_after(run: TrainingRun) -> ResumePoint:
    """Return the point after the present epoch of a run, whose last step is done."""
    return ResumePoint(
        epoch=run.epoch + 1,
        form=dict(run.data.description),
        start=run.start,
        random=global_words(),
        data=_compact(run.data.position()),
        validation=None if run.validation is None else _compact(run.validation.position()),
    )


def continue_from(run: TrainingRun, point: ResumePoint) -> bool:
    """Continue the order of the data from a point. Returns False, and changes nothing, for other data."""
    if point.form != run.data.description:
        return False
    before = random_state()
    try:
        _seek(run.data, point.data)
        if run.validation is not None and point.validation is not None:
            _seek(run.validation, point.validation)
    except ValueError as error:  # of another pipeline, or a stream with fewer batches
        set_random_state(before)
        run.data.rewind()
        warn_user(
            f"fit(initial_epoch={point.epoch}) cannot continue the order of the saved training: {error}"
        )
        return False
    if not point.data["ahead"]:
        set_global_words(point.random)
    run.start = point.start
    return True


def _compact(position: dict[str, Any]) -> dict[str, Any]:
    """Return a position in data without the states of other generators, and without rows, which follow."""
    random = position.get("random")
    return {
        "taken": position["taken"],
        "orders": None if position["orders"] is None else [list(map(int, o)) for o in position["orders"]],
        "random": None if random is None else [int(word) for word in random["hornbeam"]],
        "ahead": bool(position.get("ahead", False)),
    }


def _seek(data: Data, position: dict[str, Any]) -> None:
    full = {**position, "rows": getattr(data, "rows", None)}
    if position["random"] is not None:
        full["random"] = {**random_state(), "hornbeam": np.array(position["random"], np.uint32)}
    data.seek(full)
