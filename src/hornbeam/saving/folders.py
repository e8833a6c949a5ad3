"""Models as folders: the members of a `.keras` file as files of their own, as Keras writes `zipped=False`."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from hornbeam._internal.limits import current_budget
from hornbeam.distribution.processes import agreed, is_first
from hornbeam.errors import ModelFileError
from hornbeam.saving.files import how_to_raise, max_text_bytes, name_file
from hornbeam.saving.formats import ASSETS, CONFIG, METADATA, WEIGHTS

_OWN = (METADATA, CONFIG, WEIGHTS, ASSETS.rstrip("/"))


@contextmanager
def replace_folder(path: str, overwrite: bool = True) -> Iterator[Callable[[str, bytes], None]]:
    """Yield a function that writes a member; the folder replaces `path` when the block ends without an error.

    It is staged beside `path` and renamed. A crash between the two renames leaves the previous folder under
    its staging name. In a job of several processes the first one writes.

    Raises:
        FileExistsError: If `path` exists and `overwrite` is False, or if it has files of anything else.
    """
    try:
        if is_first():
            with _staged_folder(path, overwrite) as write:
                yield write
        else:
            yield lambda name, content: None
    except Exception:
        agreed(False)
        raise
    if not agreed(True):
        raise OSError(f"{path} was not written: another process of the job failed")


@contextmanager
def _staged_folder(path: str, overwrite: bool) -> Iterator[Callable[[str, bytes], None]]:
    target = Path(os.path.realpath(path))
    if target.exists():
        _check_replaceable(target, overwrite)
    target.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part"))

    def write(name: str, content: bytes) -> None:
        file_path = staging / name
        file_path.parent.mkdir(parents=True, exist_ok=True)
        with open(file_path, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())

    try:
        yield write
        mask = os.umask(0)
        os.umask(mask)
        staging.chmod(0o777 & ~mask)
        if target.exists():
            previous = staging.with_suffix(".old")
            os.replace(target, previous)
            os.replace(staging, target)
            shutil.rmtree(previous)
        else:
            os.replace(staging, target)
    except BaseException as error:
        shutil.rmtree(staging, ignore_errors=True)
        name_file(error, target)
        raise


def _check_replaceable(target: Path, overwrite: bool) -> None:
    if not target.is_dir():
        raise FileExistsError(f"cannot save to the folder {target}: a file has this name")
    others = sorted({entry.name for entry in target.iterdir()} - {*_OWN})
    if others:
        raise FileExistsError(
            f"cannot save to the folder {target}: it has {', '.join(map(repr, others[:3]))}, which would be "
            "deleted. Choose a new folder"
        )
    if not overwrite:
        raise FileExistsError(f"{target} exists: pass overwrite=True to replace it")


def read_folder_files(path: str) -> dict[str, bytes]:
    """Read the members of a model's folder by name, none of which is a link, after checking every size.

    Raises:
        ModelFileError: If one is missing, a link, or too large.
    """
    budget = current_budget()
    files = {name: os.path.join(path, name) for name in (METADATA, CONFIG, WEIGHTS)}
    if not os.path.lexists(files[METADATA]):
        del files[METADATA]
    for folder, _, names in os.walk(os.path.join(path, ASSETS)):
        for name in names:
            file_path = os.path.join(folder, name)
            files[os.path.relpath(file_path, path).replace(os.sep, "/")] = file_path
        if len(files) > budget.members:
            raise ModelFileError(
                f"{path!r} has more than {budget.members:,} files. {how_to_raise('members')}"
            )
    sizes = {name: _size_of(file_path) for name, file_path in files.items()}
    limits = {CONFIG: budget.text_for(sizes.get(CONFIG, 0)), METADATA: budget.short_text}
    for name, limit in limits.items():
        if sizes.get(name, 0) > limit:
            raise ModelFileError(
                f"{files[name]!r} has {sizes[name]:,} bytes, at most {limit:,} are read. "
                f"{how_to_raise('text')}"
            )
    if sum(size for name, size in sizes.items() if name.startswith(ASSETS)) > max_text_bytes():
        raise ModelFileError(f"the vocabularies in {path!r} are too large. {how_to_raise('text')}")
    return {name: Path(file_path).read_bytes() for name, file_path in files.items()}


def _size_of(path: str) -> int:
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        raise ModelFileError(f"the folder of the model is incomplete: {path!r} does not exist") from None
    if not stat.S_ISREG(status.st_mode):
        raise ModelFileError(f"{path!r} is a link or no file: it is not followed")
    return status.st_size
