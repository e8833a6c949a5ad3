"""Arguments of optimizers: checks, signatures, and numbers for configs."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np


def check_learning_rate(rate: Any) -> float:
    """Return a finite, non-negative number as a float, or raise ValueError."""
    if isinstance(rate, type):
        raise TypeError(f"learning_rate={rate.__name__} is the class: write {rate.__name__}(...)")
    if isinstance(rate, (str, bool)) or np.ndim(rate) != 0:
        raise ValueError(
            f"learning_rate must be a number, a LearningRateSchedule or a function, got {rate!r}"
        )
    value = float(rate)
    if not np.isfinite(value) or value < 0:
        raise ValueError(f"learning_rate must be a finite number that is not negative, got {rate!r}")
    return value


def merged_signature(init: Callable[..., None], base: Callable[..., None]) -> inspect.Signature:
    """Return the signature of `init` with the arguments of `base` in place of its `**kwargs`."""
    parameters = list(inspect.signature(init).parameters.values())[1:]
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        inherited = list(inspect.signature(base).parameters.values())[1:-1]
        names = {p.name for p in parameters}
        shared = [p.replace(kind=p.KEYWORD_ONLY) for p in inherited if p.name not in names]
        parameters = [*(p for p in parameters if p.kind is not p.VAR_KEYWORD), *shared]
    return inspect.Signature(parameters)


def shortest_float(value: np.ndarray) -> float:
    """Return the number with the fewest digits and the same value in its dtype: 0.01, not 0.009999999776."""
    return float(str(value[()]))
