"""A local distribution named keras that hands on to Hornbeam, for environments whose user wants one.

It is built here and never published. `pip install PACKAGE` is satisfied if PACKAGE requires `keras>=3`, and
`import keras` means Hornbeam in each process of the environment, without `hornbeam run`.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.machinery
import importlib.metadata
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import hornbeam
from hornbeam.compat.import_hook import KERAS_VERSION

# The local part tells it from Keras's own release; `keras==3.15.1` accepts it all the same (PEP 440).
VERSION = f"{KERAS_VERSION}+hornbeam"

_MODULE = '''"""`import keras` means Hornbeam here. Written by `hornbeam keras-compat install`."""

import importlib
import sys

import hornbeam

del sys.modules["keras"]
hornbeam.install_as_keras(verbose=False)
importlib.import_module("keras")
'''

_METADATA = f"""Metadata-Version: 2.1
Name: keras
Version: {VERSION}
Summary: Keras's names from Hornbeam, built on this machine by `hornbeam keras-compat install`
Requires-Dist: hornbeam
"""

_WHEEL = f"""Wheel-Version: 1.0
Generator: hornbeam {hornbeam.__version__}
Root-Is-Purelib: true
Tag: py3-none-any
"""


def installed_version() -> str | None:
    """Return the version of the distribution keras in this environment, None without one."""
    try:
        return importlib.metadata.version("keras")
    except importlib.metadata.PackageNotFoundError:
        return None


def write_wheel(folder: Path) -> Path:
    """Write the wheel into a folder and return its path."""
    info = f"keras-{VERSION}.dist-info"
    files = {"keras/__init__.py": _MODULE, f"{info}/METADATA": _METADATA, f"{info}/WHEEL": _WHEEL}
    rows = [f"{name},sha256={_digest(text)},{len(text.encode())}" for name, text in files.items()]
    files[f"{info}/RECORD"] = "\n".join([*rows, f"{info}/RECORD,,"]) + "\n"
    path = folder / f"keras-{VERSION}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


def install() -> None:
    """Install the distribution into the environment of this Python.

    Raises:
        RuntimeError: If another Keras is installed, or the installer failed.
    """
    version = installed_version()
    if version == VERSION:
        return
    if version is not None:
        raise RuntimeError(f"keras {version} is installed here: pip uninstall keras first, to replace it")
    with tempfile.TemporaryDirectory() as folder:
        _run_installer("install", "--no-deps", "--no-index", str(write_wheel(Path(folder))))


def uninstall() -> None:
    """Remove the distribution.

    Raises:
        RuntimeError: If it is not installed, or the installer failed.
    """
    version = installed_version()
    if version != VERSION:
        present = f"keras {version} is installed, which is not Hornbeam's" if version else "there is none"
        raise RuntimeError(f"nothing to remove: {present}")
    _run_installer("uninstall", "keras")


def _run_installer(command: str, *arguments: str) -> None:
    """Run pip, or uv in environments without pip."""
    # Not importlib.util.find_spec: for pip it turns setuptools' distutils off.
    if importlib.machinery.PathFinder.find_spec("pip") is not None:
        confirmed = ["--yes"] if command == "uninstall" else []
        run = [sys.executable, "-m", "pip", command, "--quiet", *confirmed, *arguments]
    elif uv := shutil.which("uv"):
        run = [uv, "pip", command, "--quiet", "--python", sys.executable, *arguments]
    else:
        raise RuntimeError("this environment has neither pip nor uv")
    done = subprocess.run(run, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(run[:4])} failed: {done.stderr.strip()}")
