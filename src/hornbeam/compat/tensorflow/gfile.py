"""tf.io.gfile: files of this machine."""

from __future__ import annotations

import glob as _glob
import shutil
from pathlib import Path
from typing import Any

__all__ = ["GFile", "copy", "exists", "glob", "isdir", "listdir", "makedirs", "mkdir", "remove", "rmtree"]


def GFile(name: str, mode: str = "r") -> Any:
    """An open file."""
    return open(name, mode)


def exists(path: str) -> bool:
    """Whether there is such a file or folder."""
    return Path(path).exists()


def isdir(path: str) -> bool:
    """Whether it is a folder."""
    return Path(path).is_dir()


def glob(pattern: str) -> list[str]:
    """The files that match."""
    return sorted(_glob.glob(pattern))


def listdir(path: str) -> list[str]:
    """Names in a folder."""
    return sorted(part.name for part in Path(path).iterdir())


def makedirs(path: str) -> None:
    """A folder and those around it."""
    Path(path).mkdir(parents=True, exist_ok=True)


def mkdir(path: str) -> None:
    """A folder."""
    Path(path).mkdir()


def remove(path: str) -> None:
    """Take a file away."""
    Path(path).unlink()


def rmtree(path: str) -> None:
    """Take a folder away with what is in it."""
    shutil.rmtree(path)


def copy(src: str, dst: str, overwrite: bool = False) -> None:
    """Copy a file. Raises FileExistsError rather than overwrite it unasked."""
    if Path(dst).exists() and not overwrite:
        raise FileExistsError(f"{dst} is there already: pass overwrite=True")
    shutil.copyfile(src, dst)
