"""Checks of the arguments of fit, evaluate and predict, before any data are read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from hornbeam import tree
from hornbeam._internal import warning_policy
from hornbeam._internal.validation import check_int
from hornbeam._internal.warn import warn_user
from hornbeam.config import max_epochs, max_steps_per_epoch

if TYPE_CHECKING:
    from hornbeam._internal.typing import Tree
    from hornbeam.training.sources import Data


def check_batch_size(value: object, name: str = "batch_size") -> int:
    """Return the batch size, 32 for None."""
    return 32 if value is None else check_int(name, value, 1)


def check_steps(name: str, value: object) -> int | None:
    """Return a number of steps, or None."""
    return None if value is None else check_int(name, value, 1)


def limit_steps(name: str, steps: int | None, data: Data, execution: int) -> int | None:
    """Return the steps of an epoch, None for a pass over the data.

    They are at most those of a pass, with a warning, and those of `config.set_max_steps_per_epoch`, rounded
    up to whole executions of `execution` steps.
    """
    limit, available = max_steps_per_epoch(), data.steps
    if steps is not None and available is not None and steps > available and not data.endless:
        warn_user(
            f"{name}={steps}, but the data have {available} batches: every epoch is one pass over them. "
            "Dataset.repeat() makes data without an end"
        )
        steps = None
    requested = steps if steps is not None else available
    if limit is not None and (requested is None or requested > limit):
        steps = limit
    return steps if steps is None else -(-steps // execution) * execution


def limit_epochs(epochs: int) -> int:
    """Return `epochs`, or with a warning the limit of `config.set_max_epochs`."""
    limit = max_epochs()
    if limit is None or limit >= epochs:
        return epochs
    warn_user(f"fit() makes {limit} of {epochs} epochs: config.set_max_epochs({limit})")
    return limit


def check_split_fraction(value: object) -> float:
    """Return validation_split as a fraction, 0 for none. Raises ValueError outside of [0, 1)."""
    if not value:
        return 0.0
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)):
        raise ValueError(f"validation_split must be a fraction such as 0.2, got {value!r}")
    if not 0 < value < 1:
        hint = f": for {value:g} percent write {value / 100:g}" if 1 < value < 100 else ""
        raise ValueError(f"validation_split must lie between 0 and 1, got {value}{hint}")
    return float(value)


def check_validation_freq(value: object) -> int | set[int]:
    """Return validation_freq: an integer (every how many epochs), or the set of epochs, counted from 1."""
    if isinstance(value, (list, tuple, set)):
        return {check_int("validation_freq", epoch, 1) for epoch in value}
    return check_int("validation_freq", value, 1)


def check_class_weight(value: object) -> Mapping[int, float] | None:
    """Return class_weight. Raises ValueError unless it is a dict from class indices to weights, or None."""
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise ValueError(
            f"class_weight must be a dict {{class index: weight}}, got {type(value).__name__}: write "
            "dict(enumerate(weights)) for a list of weights"
        )
    for key, weight in value.items():
        if isinstance(key, bool) or not isinstance(key, (int, np.integer)):
            raise ValueError(f"the keys of class_weight must be class indices, got {key!r}")
        is_number = isinstance(weight, (int, float, np.number)) and not isinstance(weight, bool)
        if not is_number or not 0 <= weight < np.inf:
            raise ValueError(f"class_weight[{key}] must be a number that is not negative, got {weight!r}")
    return value


def check_validation_data(value: Tree) -> Tree:
    """Return validation_data as packed data or a stream. Raises ValueError for tuples of another length."""
    if isinstance(value, list) and len(value) in (2, 3):
        value = tuple(value)
    if isinstance(value, tuple) and not 1 <= len(value) <= 3:
        raise ValueError(
            f"validation_data must be (x, y) or (x, y, sample_weight), got a tuple of {len(value)}"
        )
    if isinstance(value, np.ndarray):
        raise ValueError("validation_data must be (x, y), got one array")
    return value


def lacks_samples(validation_data: Tree) -> bool:
    """Return True, as far as the warning policy allows it, for arrays of validation data without a row."""
    leaves = tree.flatten(validation_data) if isinstance(validation_data, (list, tuple)) else []
    empty = any(isinstance(x, np.ndarray) and x.ndim and not len(x) for x in leaves)
    if empty:
        warning_policy.on_warning(
            "the validation_data hold no samples: nothing is validated. "
            "Is the slice that should give them empty?"
        )
    return empty


def check_debug_nans(value: object, run_eagerly: bool) -> bool:
    """Return debug_nans of fit(). Raises ValueError where steps are not compiled."""
    if value not in (True, False):
        raise ValueError(f"debug_nans must be True or False, got {value!r}")
    if value and run_eagerly:
        raise ValueError("debug_nans follows a compiled step back: compile without run_eagerly=True for it")
    return bool(value)
