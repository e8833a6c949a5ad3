"""A folder of runs, and its changes since the last look.

Only what changed is read again: files are known by time and size, and a run that ended is looked at again
when its folder changes.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from hornbeam._internal.plain_files import open_plain
from hornbeam.errors import RunError
from hornbeam.insight.runs.grouping import configuration
from hornbeam.insight.runs.layout import HISTORY, INFO, NOTES, PROGRESS, STOP
from hornbeam.insight.runs.reading import Run, epochs_in, read_run
from hornbeam.insight.runs.steering import read_notes
from hornbeam.serving.watch.records import record, state_of

# Parts of a run that its record shows.
PARTS = ("model", "evaluation")
_FACTS = (INFO, *(f"{part}.json" for part in PARTS))
_FILES = (*_FACTS, HISTORY, PROGRESS, NOTES, STOP)
# Seconds after which a file with an unchanged time is certainly unchanged: clocks of file systems are coarse.
_SETTLED = 0.1

Stamp = tuple[int, int, int]


@dataclass
class Change:
    """News of a run: its record, and the epochs from number `first` on; no record if it is gone."""

    name: str
    record: dict[str, Any] | None
    first: int = 0
    epochs: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class _Watched:
    run: Run | None = None
    record: dict[str, Any] | None = None
    text: bytes = b""
    error: str = ""
    configuration: str | None = None
    folder_time: int = 0
    stamps: dict[str, Stamp | None] = field(default_factory=dict)


class WatchedRuns:
    """The runs in a folder.

    Args:
        folder: The folder.
        awaited: True if the folder may be missing until a first training makes it.

    Raises:
        RunError: If the folder does not exist.
    """

    def __init__(self, folder: str | os.PathLike[str], *, awaited: bool = False) -> None:
        self.folder, self._awaited = Path(folder), awaited
        if not awaited and not self.folder.is_dir():
            raise RunError(f"no folder {os.fspath(folder)}: runs are recorded by callbacks.RunRecorder")
        self._watched: dict[str, _Watched] = {}
        self._trouble = ""

    @property
    def shown_folder(self) -> str:
        """The folder as a text that JSON can hold."""
        return _text(self.folder)

    @property
    def records(self) -> list[dict[str, Any]]:
        """Records of all runs that can be read."""
        return [watched.record for watched in self._watched.values() if watched.record]

    @property
    def errors(self) -> list[str]:
        """Why the folder or other runs cannot be read."""
        errors = [self._trouble, *(watched.error for watched in self._watched.values())]
        return [error for error in errors if error]

    def run(self, name: str) -> Run | None:
        """Return a run as it was last read, None if none has this name."""
        watched = self._watched.get(name)
        return watched.run if watched else None

    def complete(self, name: str) -> Run:
        """Read facts and model of a run.

        Raises:
            RunError: If it cannot be read.
        """
        return read_run(self.folder / name, PARTS)

    def refresh(self) -> list[Change]:
        """Look at the folder, and return what changed."""
        entries: dict[str, os.DirEntry[str]] = {}
        try:
            entries = {entry.name: entry for entry in os.scandir(self.folder) if entry.is_dir()}
            self._trouble = ""
        except OSError as error:
            missing = self._awaited and isinstance(error, FileNotFoundError)
            self._trouble = "" if missing else _text(error)
        self._awaited = self._awaited and not entries
        gone = [Change(name, None) for name in self._watched if name not in entries]
        for change in gone:
            del self._watched[change.name]
        changes = [self._look(name, entries[name]) for name in sorted(entries)]
        return gone + [change for change in changes if change]

    def _look(self, name: str, entry: os.DirEntry[str]) -> Change | None:
        watched = self._watched.get(name)
        try:
            folder_time = entry.stat().st_mtime_ns
        except OSError:  # it went away just now
            return None
        if watched and watched.folder_time == folder_time and not _may_go_on(watched):
            return None
        stamps = {file: _stamp(self.folder / name / file) for file in _FILES}
        if watched is None:
            if stamps[INFO] is None:  # another folder, or a run that begins just now
                return None
            watched = self._watched[name] = _Watched()
        settled = time.time_ns() - folder_time > _SETTLED * 1e9
        watched.folder_time = folder_time if settled else 0
        return self._read(name, watched, stamps)

    def _read(self, name: str, watched: _Watched, stamps: dict[str, Stamp | None]) -> Change | None:
        before, known = watched.run, watched.stamps
        if stamps == known and before and _state(watched) == state_of(before, _last_sign(stamps)):
            return None
        try:
            run, shown = self._load(name, watched, stamps)
            text = orjson.dumps(shown)
            orjson.dumps(run.epochs)
        except Exception as error:  # files may come from anywhere: one must not hide all others
            message = error if isinstance(error, (RunError, OSError)) else f"{self.folder / name}: {error}"
            is_new, watched.error = watched.error != _text(message), _text(message)
            watched.run, watched.record, watched.text, watched.stamps = None, None, b"", {}
            return Change(name, None) if is_new else None
        is_same, watched.text = watched.text == text, text
        watched.run, watched.record, watched.error, watched.stamps = run, shown, "", stamps
        if is_same:  # as JSON: NaN differs from itself
            return None
        first = len(before.epochs) if before and _has_grown(known, stamps) else 0
        return Change(name, shown, first, run.epochs[first:])

    def _load(
        self, name: str, watched: _Watched, stamps: dict[str, Stamp | None]
    ) -> tuple[Run, dict[str, Any]]:
        """Return a run and its record, from the files that changed."""
        path, run = self.folder / name, watched.run
        if run is None or any(stamps[file] != watched.stamps.get(file) for file in _FACTS):
            run = read_run(path, PARTS)
            watched.configuration = configuration(run)
        elif stamps[HISTORY] != watched.stamps.get(HISTORY):
            run = Run(path, run.info, epochs_in(path / HISTORY), run.parts)
        shown = record(
            run,
            _progress(path / PROGRESS) if stamps[PROGRESS] else None,
            read_notes(path) if stamps[NOTES] else "",
            stopping=stamps[STOP] is not None,
            last_sign=_last_sign(stamps),
        )
        return run, {**shown, "configuration": watched.configuration}


def _has_grown(before: dict[str, Stamp | None], now: dict[str, Stamp | None]) -> bool:
    """Return whether a history is the file of before: a resumed training that repeats epochs replaces it."""
    old, new = before.get(HISTORY), now[HISTORY]
    return old is not None and new is not None and old[2] == new[2] and old[1] <= new[1]


def _text(value: object) -> str:
    """Return a text without the halves of characters that names of files may have."""
    return str(value).encode("utf-8", "replace").decode()


def _state(watched: _Watched) -> object:
    return watched.record and watched.record["state"]


def _may_go_on(watched: _Watched) -> bool:
    return _state(watched) in ("running", "lost")


def _stamp(path: Path) -> Stamp | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _last_sign(stamps: dict[str, Stamp | None]) -> float:
    """Return the time at which the training last wrote something."""
    times = [stamp[0] for file in (INFO, HISTORY, PROGRESS) if (stamp := stamps[file])]
    return max(times, default=0) / 1e9


def _progress(path: Path) -> object:
    try:
        with open_plain(path) as file:
            return json.loads(file.read(1000))
    except (OSError, ValueError):  # the epoch has just ended, or it is no file of ours
        return None
