"""Small distributions that are built on this machine and installed into the environment of this Python."""

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
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_WHEEL = """Wheel-Version: 1.0
Generator: hornbeam
Root-Is-Purelib: true
Tag: py3-none-any
"""


@dataclass(frozen=True)
class LocalWheel:
    """A distribution of a few files, which is never published.

    Attributes:
        name: Name of the distribution, as pip knows it.
        version: Its version.
        summary: One line about it.
        files: Text of each file by its path in the environment's folder of packages.
    """

    name: str
    version: str
    summary: str
    files: Mapping[str, str]

    def write(self, folder: Path) -> Path:
        """Write the wheel into a folder and return its path."""
        stem = f"{self.name.replace('-', '_')}-{self.version}"
        info = f"{stem}.dist-info"
        metadata = (
            f"Metadata-Version: 2.1\nName: {self.name}\nVersion: {self.version}\nSummary: {self.summary}\n"
            "Requires-Dist: hornbeam\n"
        )
        files = {**self.files, f"{info}/METADATA": metadata, f"{info}/WHEEL": _WHEEL}
        rows = [f"{name},sha256={_digest(text)},{len(text.encode())}" for name, text in files.items()]
        files[f"{info}/RECORD"] = "\n".join([*rows, f"{info}/RECORD,,"]) + "\n"
        path = folder / f"{stem}-py3-none-any.whl"
        with zipfile.ZipFile(path, "w") as archive:
            for name, text in files.items():
                archive.writestr(name, text)
        return path

    @property
    def installed_version(self) -> str | None:
        """Version of the distribution of this name in the environment, None without one."""
        try:
            return importlib.metadata.version(self.name)
        except importlib.metadata.PackageNotFoundError:
            return None

    def install(self) -> None:
        """Install it.

        Raises:
            RuntimeError: If the installer failed.
        """
        with tempfile.TemporaryDirectory() as folder:
            _run_installer("install", "--no-deps", "--no-index", str(self.write(Path(folder))))

    def uninstall(self) -> None:
        """Remove it.

        Raises:
            RuntimeError: If the installer failed.
        """
        _run_installer("uninstall", self.name)


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


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
