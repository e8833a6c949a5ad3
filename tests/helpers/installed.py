"""Engines whose libraries may be absent."""

from __future__ import annotations

import pytest

from hornbeam.engines import Engine, get_engine


def engine_or_skip(name: str) -> Engine:
    """Return an engine, or skip the test if its library is not installed."""
    try:
        return get_engine(name)
    except ImportError as error:
        pytest.skip(f"{error}")
