"""Python environments of their own that see some of this one's packages."""

from __future__ import annotations

import importlib.machinery
import os
import subprocess
import venv
from collections.abc import Sequence
from pathlib import Path

import pytest

# Hornbeam, what it needs, and pip.
BASE = (
    "hornbeam", "hornbeam_compat", "keras_hornbeam",
    "h5py", "markdown_it", "mdurl", "ml_dtypes", "numpy", "pip", "pygments", "rich",
)  # fmt: skip


def path_of(name: str) -> Path:
    """Return the folder of a package, or the file of a module.

    Nothing is imported: `import pip` turns setuptools' distutils off.
    """
    spec = importlib.machinery.PathFinder.find_spec(name)
    if spec is None or spec.origin is None:
        pytest.skip(f"{name} is not installed")
    path = Path(spec.origin)
    return path.parent if path.name == "__init__.py" else path


def make_environment(tmp_path: Path, packages: Sequence[str] = ()) -> Path:
    """Return the Python of a new environment with `BASE`, and further packages of this one."""
    venv.create(tmp_path / "venv", with_pip=False)
    here = tmp_path / "here"
    here.mkdir()
    for name in (*BASE, *packages):
        path = path_of(name)
        (here / path.name).symlink_to(path)
        for beside in path.parent.glob(f"{path.stem}*"):
            if beside.suffix in (".dist-info", ".libs"):
                (here / beside.name).symlink_to(beside)
    (here / "hornbeam-0.1.0.dist-info").mkdir(exist_ok=True)  # a checkout has none
    metadata = here / "hornbeam-0.1.0.dist-info" / "METADATA"
    if not metadata.exists():
        metadata.write_text("Metadata-Version: 2.1\nName: hornbeam\nVersion: 0.1.0\n")
    python = tmp_path / "venv" / "bin" / "python"
    folder = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    (Path(folder) / "here.pth").write_text(str(here))
    return python


def command(python: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run([python, *words], capture_output=True, text=True, env={**environment, **variables})
