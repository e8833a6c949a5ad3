"""`hornbeam keras-compat install`: a local distribution keras in a virtual environment."""

from __future__ import annotations

import importlib.machinery
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from hornbeam.compat.keras_package import VERSION

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


def folder_of(name: str) -> Path:
    """Return the folder of a package, without importing it: `import pip` turns setuptools' distutils off."""
    spec = importlib.machinery.PathFinder.find_spec(name)
    if spec is None or spec.origin is None:
        pytest.skip(f"{name} is not installed")
    return Path(spec.origin).parent


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """A Python of an environment of its own that sees Hornbeam, NumPy and pip, and no Keras."""
    venv.create(tmp_path / "venv", with_pip=False)
    here = tmp_path / "here"
    here.mkdir()
    for name in ("hornbeam", "h5py", "markdown_it", "mdurl", "ml_dtypes", "numpy", "pip", "pygments", "rich"):
        folder = folder_of(name)
        (here / folder.name).symlink_to(folder)
        for beside in folder.parent.glob(f"{folder.name}*"):
            if beside.suffix in (".dist-info", ".libs"):
                (here / beside.name).symlink_to(beside)
    (here / "hornbeam-0.1.0.dist-info").mkdir(exist_ok=True)  # a checkout has none
    metadata = here / "hornbeam-0.1.0.dist-info" / "METADATA"
    if not metadata.exists():
        metadata.write_text("Metadata-Version: 2.1\nName: hornbeam\nVersion: 0.1.0\n")
    python = tmp_path / "venv" / "bin" / "python"
    packages = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    (Path(packages) / "here.pth").write_text(str(here))
    return python


def command(python: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run([python, *words], capture_output=True, text=True, env=environment)


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
