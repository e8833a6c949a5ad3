"""`hornbeam keras-backend`: KERAS_BACKEND=hornbeam in each process of an environment."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from tests.helpers.environments import command, make_environment

pytestmark = pytest.mark.skipif(
    sys.platform == "win32" or importlib.util.find_spec("keras") is None,
    reason="needs Keras, and links folders",
)
PROGRAM = "import keras; print(keras.backend.backend(), float(keras.ops.sum(keras.ops.ones(3))))"


def test_enable_and_disable(tmp_path: Path) -> None:
    python = make_environment(
        tmp_path, ["keras", "absl", "namex", "optree", "packaging", "typing_extensions"]
    )
    tool = ("-m", "hornbeam", "keras-backend")
    assert command(python, *tool, "status").returncode == 1
    failed = command(python, "-c", PROGRAM, KERAS_BACKEND="hornbeam")
    assert "Unable to import backend : hornbeam" in failed.stderr
    for _ in range(2):  # the second changes nothing
        done = command(python, *tool, "enable")
        assert done.returncode == 0, done.stderr
        assert "enabled: KERAS_BACKEND=hornbeam" in done.stdout
    done = command(python, "-c", PROGRAM, KERAS_BACKEND="hornbeam")
    assert done.stdout.split() == ["hornbeam", "3.0"], done.stderr
    done = command(python, "-c", "import sys; print('hornbeam' in sys.modules)", KERAS_BACKEND="numpy")
    assert done.stdout.split() == ["False"], done.stderr
    assert "disabled" in command(python, *tool, "disable").stdout
    assert "Unable to import" in command(python, "-c", PROGRAM, KERAS_BACKEND="hornbeam").stderr
