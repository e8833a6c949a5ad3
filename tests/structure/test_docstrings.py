"""The examples in docstrings of the core run and give what they show."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import numpy as np
import pytest

import hornbeam

# These have tests of their own beside the rest of their family.
ELSEWHERE = ("layers", "ops", "utils", "datasets", "dtype_policies", "losses", "metrics", "optimizers")


def modules() -> list[str]:
    root = Path(hornbeam.__file__).parent
    files = [path for path in sorted(root.rglob("*.py")) if (path.parent / "__init__.py").exists()]
    paths = [path.relative_to(root).with_suffix("").parts for path in files]
    names = [parts[:-1] if parts[-1] == "__init__" else parts for parts in paths]
    # Importing these changes what later imports mean.
    skipped = (*ELSEWHERE, "as_keras")
    return [".".join(("hornbeam", *parts)) for parts in names if parts and parts[0] not in skipped]


@pytest.mark.parametrize("name", modules())
def test_examples(name: str) -> None:
    try:
        module = importlib.import_module(name)
    except ImportError as error:  # a library of an extra is not installed
        exporters = ("hornbeam.engines.", "hornbeam.export.")
        is_named = name.startswith(exporters) and "pip install" in str(error)
        if not is_named and not name.startswith("hornbeam.serving."):
            raise
        pytest.skip(str(error))
    result = doctest.testmod(module, extraglobs={"np": np, "hornbeam": hornbeam})
    assert result.failed == 0
