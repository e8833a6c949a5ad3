"""The folder of a run, as it is written.

`run.json` says what the run is and how it ended, `history.jsonl` has a line for each epoch, and each part
that was recorded besides (`model`, `data`, `evaluation`, ...) is a JSON file of its own.
"""

from __future__ import annotations

import json
import math
import os
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hornbeam.saving.files import staged

INFO, HISTORY = "run.json", "history.jsonl"
# What else a run may hold, each in a file of its name.
PARTS = ("model", "explanation", "data", "profile", "evaluation", "confusion", "mistakes", "doctor")

_LONGEST_NAME = 40


def plain_name(text: str) -> str:
    """A text as part of a file's name: letters, digits, "_" and "-" of ASCII, never empty, never a path."""
    kept = re.sub(r"[^A-Za-z0-9_]+", "-", text).strip("-")[:_LONGEST_NAME].strip("-")
    return kept or "run"


def is_plain(name: Any) -> bool:
    """Whether a name is one that `plain_name` could have made, with the date before it."""
    return isinstance(name, str) and re.fullmatch(r"[A-Za-z0-9_-]{1,80}", name) is not None


def plain(value: Any) -> Any:
    """A value as what JSON has. Numbers that JSON lacks are the texts "nan", "inf" and "-inf"; objects are
    their names."""
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
    """A new folder `<date>-<time>-<name>` in `parent`, which is made if need be."""
    stamp = time.strftime("%Y-%m-%d-%H%M%S", time.localtime(now))
    base = f"{stamp}-{plain_name(name)}"
    Path(parent).mkdir(parents=True, exist_ok=True)
    for number in range(1, 10_000):
        made = Path(parent, base if number == 1 else f"{base}-{number}")
        try:
            made.mkdir()
        except FileExistsError:  # another run of this second
            continue
        return made
    raise FileExistsError(f"there are too many runs called {base} in {os.fspath(parent)}")


def write_json(path: Path, value: Any) -> None:
    """Put a value into a file that is whole or not there."""
    with staged(path) as file:
        file.write((json.dumps(plain(value), indent=1, allow_nan=False) + "\n").encode())


def add_line(path: Path, value: Any) -> None:
    """A line more at the end of a file, in one write: a kill before or behind it leaves whole lines."""
    with open(path, "ab", buffering=0) as file:
        file.write((json.dumps(plain(value), allow_nan=False) + "\n").encode())


def keep_lines(path: Path, below: int) -> None:
    """Drop the epochs of a history from number `below` on: a training that goes on makes them again."""
    from hornbeam.insight.runs.reading import epochs_in

    if not path.exists():
        return
    kept = [line for line in epochs_in(path) if line["epoch"] < below]
    with staged(path) as file:
        for line in kept:
            file.write((json.dumps(plain(line), allow_nan=False) + "\n").encode())
