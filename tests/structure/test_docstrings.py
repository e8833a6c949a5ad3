"""The examples in docstrings of the core run and give what they show."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
from pathlib import Path

import numpy as np
import pytest

import hornbeam

# These have tests of their own beside the rest of their family.
ELSEWHERE = ("layers", "ops", "utils", "datasets", "dtype_policies", "losses", "metrics", "optimizers")


def modules() -> list[str]:
    root = Path(hornbeam.__file__).parent
    names = [module.name for module in pkgutil.walk_packages([str(root)], "hornbeam.")]
    # Importing hornbeam.as_keras changes what later imports mean.
    return [n for n in names if n.split(".")[1] not in (*ELSEWHERE, "as_keras")]


@pytest.mark.parametrize("name", modules())
def test_examples(name: str) -> None:
    try:
        module = importlib.import_module(name)
    except ImportError as error:  # an engine whose library is not installed
        if not name.startswith("hornbeam.engines.") or "pip install" not in str(error):
            raise
        pytest.skip(str(error))
    result = doctest.testmod(module, extraglobs={"np": np, "hornbeam": hornbeam})
    assert result.failed == 0
