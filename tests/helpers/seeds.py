"""Seeds of random cases: CI takes the first ones, nights take all."""

from __future__ import annotations

from typing import Any

import pytest


def seeds(sampled: int, stop: int) -> list[Any]:
    """Return the seeds below `stop` as cases of a test; those from `sampled` on are slow."""
    return [pytest.param(seed, marks=[pytest.mark.slow] if seed >= sampled else []) for seed in range(stop)]
