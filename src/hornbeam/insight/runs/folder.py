"""Writing the folder of a run.

`run.json` holds the run's facts and status, `history.jsonl` has a line for each epoch, and each other part
(`model`, `data`, `evaluation`, ...) is a JSON file of its own.
"""

from __future__ import annotations

import errno
import json
import math
import os
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hornbeam.insight.runs.reading import epochs_in
from hornbeam.saving.files import staged_file

_MOST_CHARACTERS = 40


def plain_name(text: str) -> str:
    """Return a text as part of a file's name: ASCII letters, digits, "_" and "-", never empty or a path."""
    name = re.sub(r"[^A-Za-z0-9_]+", "-", text).strip("-")[:_MOST_CHARACTERS].strip("-")
    return name or "run"


def is_plain(name: object) -> bool:
    """Return True for a name that `plain_name` could have returned, with the date in front of it."""
    return isinstance(name, str) and re.fullmatch(r"[A-Za-z0-9_-]{1,80}", name) is not None


def plain(value: object) -> Any:
    """Convert a value to what JSON has.

    Numbers that JSON lacks become the texts "nan", "inf" and "-inf"; objects become their names.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Mapping):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(part) for part in value]
    return getattr(value, "__qualname__", None) or type(value).__qualname__


def make_folder(parent: str | os.PathLike[str], name: str, now: float | None = None) -> Path:
    """Create a folder `<date>-<time>-<name>` in `parent`, and `parent` if needed."""
    stamp = time.strftime("%Y-%m-%d-%H%M%S", time.localtime(now))
    base = f"{stamp}-{plain_name(name)}"
    Path(parent).mkdir(parents=True, exist_ok=True)
    for number in range(1, 10_000):
        folder = Path(parent, base if number == 1 else f"{base}-{number}")
        try:
            folder.mkdir()
        except FileExistsError:  # another run of this second
            continue
        return folder
    raise FileExistsError(f"too many runs are named {base} in {os.fspath(parent)}")


def write_json(path: Path, value: object) -> None:
    """Write a JSON file that is complete or absent."""
    with staged_file(path) as file:
        file.write((json.dumps(plain(value), indent=1, allow_nan=False) + "\n").encode())


def replace_json(path: Path, value: object) -> None:
    """Replace a small JSON file of passing interest: readers see it complete, but a crash may lose it."""
    staged = path.with_suffix(".new")
    staged.write_text(json.dumps(plain(value), allow_nan=False))
    os.replace(staged, path)


def append_line(path: Path, value: object) -> None:
    """Append a line of JSON in one write, so that a killed process leaves complete lines."""
    line = (json.dumps(plain(value), allow_nan=False) + "\n").encode()
    with open(path, "ab", buffering=0) as file:
        start = file.seek(0, os.SEEK_END)
        if file.write(line) < len(line):  # the disk is full: no part of a line may stay
            file.truncate(start)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), os.fspath(path))


def drop_lines(path: Path, first: int) -> None:
    """Drop the epochs of a history from number `first` on: a resumed training repeats them."""
    if not path.exists():
        return
    kept = [line for line in epochs_in(path) if line["epoch"] < first]
    with staged_file(path) as file:
        for line in kept:
            file.write((json.dumps(plain(line), allow_nan=False) + "\n").encode())
