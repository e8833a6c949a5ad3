"""Shared fixtures. Numbers in tests come from fixed seeds, so that a failure repeats."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator

# Threads of OpenBLAS wait for each other by spinning: small products of several workers, and of child
# processes, take many times as long.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pytest
from hypothesis import settings

from hornbeam import engines
from hornbeam._internal import context
from hornbeam.core.registry import get_custom_objects

pytest.register_assert_rewrite("tests.helpers")

# How long an example takes is the machine's business: what else runs on it decides.
settings.register_profile("hornbeam", deadline=None)
settings.load_profile("hornbeam")

# A shell starts commands in the background with Ctrl-C ignored; tests send it to themselves.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


SYSTEMS = {"posix": os.name == "posix", "linux": sys.platform == "linux"}


@pytest.hookimpl(trylast=True)  # after `-m`: a part of what is not slow
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip tests that are marked for other systems, and choose those of `--part`."""
    if part := config.getoption("--part"):
        _choose(config, items, part)
    for item in items:
        for name, present in SYSTEMS.items():
            if not present and item.get_closest_marker(name):
                item.add_marker(pytest.mark.skip(reason=f"needs {name}"))


def _choose(config: pytest.Config, items: list[pytest.Item], part: str) -> None:
    numbers: Counter[object] = Counter()
    chosen: dict[str, list[pytest.Item]] = {"quick": [], "rest": [], "": []}
    for item in items:
        is_long = item.get_closest_marker("long") is not None
        is_quick = not is_long and numbers[item.path] % QUICK == 0
        is_left_out = item.get_closest_marker("sampled") is not None and numbers[item.path] % SAMPLE != 0
        chosen["quick" if is_quick else "" if is_left_out else "rest"].append(item)
        numbers[item.path] += not is_long
    items[:] = chosen.pop(part)
    config.hook.pytest_deselected(items=[item for others in chosen.values() for item in others])


LEFT_OUT = "no time is left"


# `--part quick` has the first test of each module and every tenth after it, but for those marked `long`.
QUICK = 10
# Of tests marked `sampled`, `--part rest` has every third.
SAMPLE = 3


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--seconds", type=float, metavar="N", help="start no test after N seconds (tools/check.py)"
    )
    parser.addoption(
        "--part",
        choices=("quick", "rest"),
        help=f"the first test of each module and every {QUICK}th after it but for `long` ones, or all others",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.stash[STARTED] = time.monotonic()


STARTED = pytest.StashKey[float]()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip tests for which `--seconds` leaves no time."""
    seconds = item.config.getoption("--seconds")
    if seconds is not None and time.monotonic() - item.config.stash[STARTED] > seconds:
        pytest.skip(LEFT_OUT)


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


@pytest.fixture(autouse=True)
def own_backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scripts that tests start do not hear which backend tests/parity chose for Keras."""
    if "parity" not in request.node.path.parts:
        monkeypatch.delenv("KERAS_BACKEND", raising=False)


@pytest.fixture(autouse=True)
def own_registrations() -> Iterator[None]:
    """Forget the classes and functions that a test registered: another may register the same names."""
    registered = get_custom_objects()
    before = dict(registered)
    yield
    registered.clear()
    registered.update(before)


@pytest.fixture(autouse=True)
def fresh_state() -> Iterator[None]:
    """Fail a test after which a block is still open, and end the settings of its thread."""
    yield
    left = context.open_overrides()
    context.reset_state()
    assert not left, f"blocks are still open after the test: {', '.join(left)}"
