"""KERAS_BACKEND=hornbeam in each process of an environment, by the start-up file of the wheel."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path

import pytest

from tests.helpers.environments import command, make_environment

ROOT = Path(__file__).resolve().parents[2]
START_FILE = ROOT / "packaging" / "purelib" / "keras_hornbeam.pth"
pytestmark = pytest.mark.skipif(
    sys.platform == "win32" or importlib.util.find_spec("keras") is None,
    reason="needs Keras, and links folders",
)
PROGRAM = "import keras; print(keras.backend.backend(), float(keras.ops.sum(keras.ops.ones(3))))"
LOADED = "import sys; print([name for name in ('keras_hornbeam', 'hornbeam') if name in sys.modules])"


def test_the_variable_alone_chooses_the_backend(tmp_path: Path) -> None:
    python = make_environment(
        tmp_path, ["keras", "absl", "namex", "optree", "packaging", "typing_extensions"]
    )
    failed = command(python, "-c", PROGRAM, KERAS_BACKEND="hornbeam")
    assert "Unable to import backend : hornbeam" in failed.stderr
    (site_packages,) = tmp_path.glob("venv/lib/python*/site-packages")
    shutil.copy(START_FILE, site_packages)
    done = command(python, "-c", PROGRAM, KERAS_BACKEND="hornbeam")
    assert done.stdout.split() == ["hornbeam", "3.0"], done.stderr
    # Other processes load nothing of it, and those without Keras only the hook.
    assert command(python, "-c", LOADED, KERAS_BACKEND="numpy").stdout.strip() == "[]"
    assert command(python, "-c", LOADED, KERAS_BACKEND="hornbeam").stdout.strip() == "['keras_hornbeam']"
