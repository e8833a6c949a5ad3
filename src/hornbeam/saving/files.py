"""Writing files so that a reader sees the old one or the new one, never a torn one; and what a bad file
raises.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from hornbeam._internal.limits import current_budget
from hornbeam.distribution.processes import agreed, is_first


def storable(array: np.ndarray) -> np.ndarray:
    """The array in a dtype that HDF5 and NumPy's files have: they lack bfloat16, whose values float32 holds
    exactly."""
    return array.astype("float32") if array.dtype.name == "bfloat16" else array


class ModelFileError(ValueError):
    """A file is not a model that can be loaded safely. The message names the rule that it breaks."""


def raised(name: str) -> str:
    """How a caller raises a limit, for messages."""
    return f"hornbeam.saving.budget({name}=...) raises the limit for a file that you trust"


def most_texts() -> int:
    """Bytes of all vocabularies together, some millions of words, or of the state of a training."""
    return 8 * current_budget().text


def parsed_json(text: bytes | str, what: str) -> Any:
    """What a JSON text says. Of a key that an object has twice, programs take the first or the last: one
    would check what another loads. Raises ModelFileError for that, and for what is no JSON.
    """

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) != len(pairs):
            (twice, _), *_ = Counter(key for key, _ in pairs).most_common(1)
            raise ModelFileError(f"{what} says {twice!r:.80} twice in one object")
        return made

    try:
        return json.loads(text, object_pairs_hook=once)
    except ModelFileError:
        raise
    except (ValueError, RecursionError) as error:
        raise ModelFileError(f"{what} is not JSON: {error}") from None


class Room:
    """What the arrays of a file of `stored` bytes take together, counted before there is room for them."""

    def __init__(self, stored: int) -> None:
        self._bytes = current_budget().bytes_for(stored)
        self._parameters = current_budget().parameters

    def grow(self, stored: int) -> None:
        """Another file of so many bytes belongs to it."""
        self._bytes += current_budget().bytes_for(stored) - current_budget().bytes_for(0)

    def take(self, name: str, size: int, nbytes: int) -> None:
        """An array of so many numbers and bytes is made. Raises ModelFileError where that is too many."""
        self._bytes -= nbytes
        self._parameters -= size
        if self._bytes < 0:
            raise ModelFileError(
                f"{name} is declared much larger than what is stored, or unpacks to it: refused as a "
                f"decompression bomb. {raised('bytes')}"
            )
        if self._parameters < 0:
            raise ModelFileError(f"the arrays hold too many numbers, at {name}. {raised('parameters')}")


@contextmanager
def replace_file(path: str | os.PathLike[str], overwrite: bool = True) -> Iterator[BinaryIO]:
    """A file to write to that takes the place of `path` when the block ends without an error.

    It is staged beside its target, flushed to the disk and renamed, so that a crash, a kill or a full disk
    leaves what was there before. In a job of several processes all call this; the first writes, and all go on
    when the file is there. Raises FileExistsError if `path` exists and `overwrite` is False.
    """
    try:
        with staged(path, overwrite) if is_first() else tempfile.TemporaryFile() as file:
            yield file
    except Exception:
        agreed(False)
        raise
    if not agreed(True):
        raise OSError(f"{os.fspath(path)} was not written: another process of the job failed")


@contextmanager
def staged(path: str | os.PathLike[str], overwrite: bool = True) -> Iterator[BinaryIO]:
    """As `replace_file`, for what one process writes by itself."""
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
