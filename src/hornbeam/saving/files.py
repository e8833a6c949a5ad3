"""Atomic writes of files, and checks that readers of untrusted files share."""

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
from hornbeam._internal.typing import Tree
from hornbeam.distribution.processes import agreed, is_first
from hornbeam.errors import ModelFileError


def to_storable(array: np.ndarray) -> np.ndarray:
    """Convert bfloat16, which HDF5 and NumPy's files lack, to float32, which holds its values exactly."""
    return array.astype("float32") if array.dtype.name == "bfloat16" else array


def how_to_raise(name: str) -> str:
    """Format the advice to raise a limit, for error messages."""
    return f"hornbeam.saving.budget({name}=...) raises the limit for a file that you trust"


def max_text_bytes() -> int:
    """Return the limit on the bytes of all vocabularies, some millions of words, or of a training's state."""
    return 8 * current_budget().short_text


def parse_json(text: bytes | str, source: str) -> Tree:
    """Parse JSON, without duplicate keys.

    Of a key that an object has twice, parsers take the first or the last: one would check what another loads.

    Args:
        text: The JSON text.
        source: Name of the text in error messages.

    Raises:
        ModelFileError: For duplicate keys, and for text that is not JSON.
    """

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        parsed = dict(pairs)
        if len(parsed) != len(pairs):
            (twice, _), *_ = Counter(key for key, _ in pairs).most_common(1)
            raise ModelFileError(f"{source} has the key {twice!r:.80} twice in one object")
        return parsed

    try:
        return json.loads(text, object_pairs_hook=once)
    except ModelFileError:
        raise
    except (ValueError, RecursionError) as error:
        raise ModelFileError(f"{source} is not JSON: {error}") from None


class SizeBudget:
    """Limit on the total size of the arrays of a file with `stored` bytes, counted before allocation."""

    def __init__(self, stored: int) -> None:
        self._bytes = current_budget().bytes_for(stored)
        self._parameters = current_budget().parameters

    def grow(self, stored: int) -> None:
        """Add the limit of another file with `stored` bytes."""
        self._bytes += current_budget().bytes_for(stored) - current_budget().bytes_for(0)

    def take(self, name: str, size: int, nbytes: int) -> None:
        """Count an array with `size` elements and `nbytes` bytes.

        Raises:
            ModelFileError: If the total exceeds the limit.
        """
        self._bytes -= nbytes
        self._parameters -= size
        if self._bytes < 0:
            raise ModelFileError(
                f"{name} is declared much larger than its stored bytes, or unpacks to it: refused as a "
                f"decompression bomb. {how_to_raise('bytes')}"
            )
        if self._parameters < 0:
            raise ModelFileError(
                f"the arrays have too many elements, at {name}. {how_to_raise('parameters')}"
            )


@contextmanager
def replace_file(path: str | os.PathLike[str], overwrite: bool = True) -> Iterator[BinaryIO]:
    """Open a file for writing that replaces `path` when the block ends without an error.

    It is staged in the same folder, flushed to the disk and renamed, so that after a crash, a kill or a full
    disk the previous file is intact. In a job of several processes all call this; the first writes, and all
    continue when the file exists.

    Raises:
        FileExistsError: If `path` exists and `overwrite` is False.
    """
    try:
        with staged_file(path, overwrite) if is_first() else tempfile.TemporaryFile() as file:
            yield file
    except Exception:
        agreed(False)
        raise
    if not agreed(True):
        raise OSError(f"{os.fspath(path)} was not written: another process of the job failed")


@contextmanager
def staged_file(path: str | os.PathLike[str], overwrite: bool = True) -> Iterator[BinaryIO]:
    """Do as `replace_file`, for a single process."""
    target = Path(os.path.realpath(path))  # a symbolic link keeps its target
    if target.exists() and not overwrite:
        raise FileExistsError(f"{target} exists: pass overwrite=True to replace it")
    if target.is_dir():
        raise IsADirectoryError(f"cannot save to {target}: a folder has this name")
    if not target.parent.is_dir():
        home = ". ~ is not expanded: use os.path.expanduser" if os.fspath(path).startswith("~") else ""
        raise FileNotFoundError(f"cannot save to {target}: the folder {target.parent} does not exist{home}")
    try:
        handle, staging = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part")
    except PermissionError as error:
        raise PermissionError(f"cannot save to {target}: no files may be created in its folder") from error
    try:
        with os.fdopen(handle, "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(staging, _mode(target))
        os.replace(staging, target)
    except BaseException as error:
        Path(staging).unlink(missing_ok=True)
        name_file(error, target)
        raise
    _sync_folder(target.parent)


def name_file(error: BaseException, target: Path) -> None:
    """Give an error of the system that names no file, such as that of a full disk, the name of the file."""
    if isinstance(error, OSError) and error.errno is not None and error.filename is None:
        error.filename = os.fspath(target)


def _mode(target: Path) -> int:
    """Return the permissions of the replaced file, or those of a new file."""
    if target.exists():
        return target.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def _sync_folder(folder: Path) -> None:
    """Make the rename durable, where the system supports it."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
