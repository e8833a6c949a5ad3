"""Names of the files of a source: paths, folders, glob patterns and ranges in braces."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Sequence
from pathlib import Path

Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]

_BRACES = re.compile(r"\{(?:(\d+)\.\.(\d+)|([^{}]*,[^{}]*))\}")
# Files that one pattern may name: {000000..999999} is a mistake if most of them do not exist.
MAX_FILES = 1_000_000


def find_files(paths: Paths, endings: tuple[str, ...]) -> list[str]:
    """Return the files that `paths` names, sorted for each folder and pattern.

    endings: of the files that are looked for in folders. Raises FileNotFoundError for each name without a
    file.
    """
    several = [paths] if isinstance(paths, (str, os.PathLike)) else list(paths)
    files = [file for path in several for file in _find(os.fspath(path), endings)]
    if not files:
        raise FileNotFoundError(f"no file is named by {paths!r}")
    return files


def _find(pattern: str, endings: tuple[str, ...]) -> list[str]:
    if re.match(r"[a-z][a-z0-9+]+:", pattern):
        raise ValueError(f"{pattern!r} is not a local file: download it, and pass its path")
    if Path(pattern).is_dir():
        listed = sorted(str(path) for path in Path(pattern).rglob("*") if path.name.endswith(endings))
        if not listed:
            raise FileNotFoundError(f"the folder {pattern!r} has no file that ends in {' or '.join(endings)}")
        return listed
    if Path(pattern).exists():
        return [pattern]
    expanded = expand_braces(pattern)
    if len(expanded) > 1:
        return [file for name in expanded for file in _find(name, endings)]
    matching = sorted(glob.glob(pattern))
    if not matching:
        raise FileNotFoundError(f"no file matches {pattern!r}")
    return matching


def expand_braces(pattern: str) -> list[str]:
    """Return the names that a pattern with braces stands for, as in a shell.

    >>> expand_braces("{train,test}-{08..10}.tar")[2:4]
    ['train-10.tar', 'test-08.tar']
    """
    match = _BRACES.search(pattern)
    if match is None:
        return [pattern]
    first, last, names = match.groups()
    if names is not None:
        items = names.split(",")
    else:
        numbers = range(int(first), int(last) + 1)
        if not 0 < len(numbers) <= MAX_FILES:
            raise ValueError(f"{match[0]} in {pattern!r} stands for {len(numbers):,} files")
        items = [f"{number:0{len(first)}}" for number in numbers]
    head, rest = pattern[: match.start()], expand_braces(pattern[match.end() :])
    return [head + item + tail for item in items for tail in rest]
