"""Hornbeam beside real Keras, in one process: Keras runs on JAX.

The group `parity` of pyproject.toml has both. Where they can be installed (Python 3.11 and later) their
absence is an error, not a reason to skip.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

os.environ["KERAS_BACKEND"] = "jax"
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Nearly all of the time goes into compiling small functions: they need not become fast.
# Without any optimization XLA was seen to give wrong gradients and NaN.
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_backend_optimization_level=1 --xla_llvm_disable_expensive_passes=true "
    "--xla_cpu_use_fusion_emitters=false",
)

import pytest

HERE = Path(__file__).parent
AVAILABLE = sys.version_info >= (3, 11)
# Keras 3.15 needs Python 3.11.
collect_ignore_glob = [] if AVAILABLE else ["test_*.py"]


def pytest_report_header() -> str | None:
    if not AVAILABLE:
        return "parity with Keras: NOT RUN, Keras 3.15 needs Python 3.11"
    import keras

    return f"parity with Keras {keras.__version__} on {keras.backend.backend()}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            # What Keras and JAX warn of is not ours to mend; our own warnings have tests elsewhere.
            item.add_marker(pytest.mark.filterwarnings("ignore"))


if AVAILABLE:
    from tests.helpers.parity.comparison import Comparison

    @pytest.fixture
    def compare(request: pytest.FixtureRequest) -> Comparison:
        """Collects what a test compares."""
        family = request.node.path.stem.removeprefix("test_").removeprefix("keras_")
        name = request.node.name.partition("[")[2].removesuffix("]") or request.node.originalname
        return Comparison(family, name)

    @pytest.hookimpl(wrapper=True)
    def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, Any, Any]:
        """After a test, every difference has to be one of those in reasons.py."""
        result = yield
        results = pyfuncitem.funcargs.get("compare")
        if isinstance(results, Comparison):
            pyfuncitem.user_properties.append(("parity", results.counts()))
            results.finish()
        return result
