"""`hornbeam keras-compat install`: a local distribution keras in a virtual environment."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from hornbeam_compat.keras_package import VERSION
from tests.helpers.environments import command, make_environment

PROGRAM = """
import importlib.metadata
print(importlib.metadata.version("keras"))
from keras.layers import Dense
import keras
model = keras.Sequential([keras.Input((3,)), Dense(2)])
print(keras.__doc__.split(":")[0], model.count_params())
import tensorflow as tf
print(tf.keras is keras)
"""


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """A Python without Keras."""
    return make_environment(tmp_path)


@pytest.mark.skipif(sys.platform == "win32", reason="it links folders")
def test_install_and_uninstall(python: Path, tmp_path: Path) -> None:
    status = command(python, "-m", "hornbeam", "keras-compat", "status")
    assert status.returncode == 1
    assert "no keras in this environment" in status.stdout, status.stderr
    for _ in range(2):  # the second changes nothing
        done = command(python, "-m", "hornbeam", "keras-compat", "install")
        assert done.returncode == 0, done.stderr
        assert f"keras {VERSION}: `import keras` means Hornbeam" in done.stdout
    done = command(python, "-c", PROGRAM)
    assert done.stdout.splitlines() == [VERSION, "Hornbeam 8", "True"], done.stderr
    (tmp_path / "pip.txt").write_text("keras>=3\nkeras==3.15.1\n")
    satisfied = command(
        python, "-m", "pip", "install", "--no-index", "--dry-run", "-r", str(tmp_path / "pip.txt")
    )
    assert satisfied.returncode == 0, satisfied.stderr
    done = command(python, "-m", "hornbeam", "keras-compat", "uninstall")
    assert done.returncode == 0, done.stderr
    assert "No module named 'keras'" in command(python, "-c", "import keras").stderr
    again = command(python, "-m", "hornbeam", "keras-compat", "uninstall")
    assert again.returncode == 1
    assert "nothing to remove" in again.stderr
