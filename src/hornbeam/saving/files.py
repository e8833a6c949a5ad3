"""Writing files so that a reader sees the old one or the new one, never a torn one; and what a bad file
raises.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np

from hornbeam.distribution.processes import agreed, is_first

# Weights hardly compress, but for the zeros of a fresh optimizer.
MAX_RATIO = 4
SLACK_BYTES = 128 << 20


def most_bytes(stored: int) -> int:
    """What so many stored bytes of weights may take when they are unpacked."""
    return stored * MAX_RATIO + SLACK_BYTES


def storable(array: np.ndarray) -> np.ndarray:
    """The array in a dtype that HDF5 and NumPy's files have: they lack bfloat16, whose values float32 holds
    exactly."""
    return array.astype("float32") if array.dtype.name == "bfloat16" else array


class ModelFileError(ValueError):
    """A file is not a model that can be loaded safely. The message names the rule that it breaks."""


@contextmanager
def replace_file(path: str | os.PathLike[str], overwrite: bool = True) -> Iterator[BinaryIO]:
    """A file to write to that takes the place of `path` when the block ends without an error.

    It is staged beside its target, flushed to the disk and renamed, so that a crash, a kill or a full disk
    leaves what was there before. In a job of several processes all call this; the first writes, and all go on
    when the file is there. Raises FileExistsError if `path` exists and `overwrite` is False.
    """
    try:
        with _staged(path, overwrite) if is_first() else tempfile.TemporaryFile() as file:
            yield file
    except Exception:
        agreed(False)
        raise
    if not agreed(True):
        raise OSError(f"{os.fspath(path)} was not written: another process of the job failed")


@contextmanager
def _staged(path: str | os.PathLike[str], overwrite: bool) -> Iterator[BinaryIO]:
    target = Path(os.path.realpath(path))  # a link keeps pointing to what it points to
    if target.exists() and not overwrite:
        raise FileExistsError(f"{target} exists: pass overwrite=True to replace it")
    if not target.parent.is_dir():
        raise FileNotFoundError(f"cannot save to {target}: there is no folder {target.parent}")
    handle, staged = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(staged, _mode(target))
        os.replace(staged, target)
    except BaseException:
        Path(staged).unlink(missing_ok=True)
        raise
    _sync_folder(target.parent)


def _mode(target: Path) -> int:
    """Permissions of the file that is replaced, or what a new file would get."""
    if target.exists():
        return target.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable, where the system can."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
