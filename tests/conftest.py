"""Shared fixtures. Numbers in tests come from fixed seeds, so that a failure repeats."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from hornbeam import engines


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture(params=["reference", "native"])
def engine(request: pytest.FixtureRequest) -> Iterator[str]:
    """Run the test on each engine."""
    previous = engines.current_engine().name
    engines.set_engine(request.param)
    yield request.param
    engines.set_engine(previous)
