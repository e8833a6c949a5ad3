"""Notes about a run and a request to stop it, which others write into its folder."""

from __future__ import annotations

import os
from contextlib import suppress
from io import TextIOWrapper
from pathlib import Path

from hornbeam._internal.plain_files import open_plain
from hornbeam.errors import RunError
from hornbeam.insight.runs.layout import NOTES, STOP

MOST_CHARACTERS = 20_000


def request_stop(folder: Path) -> None:
    """Ask the training that records in a folder to stop; its `RunRecorder` looks for that once a second."""
    with suppress(FileExistsError):
        (folder / STOP).touch(exist_ok=False)  # writes through no link


def stop_requested(folder: Path) -> bool:
    """Return whether the training was asked to stop."""
    return os.path.lexists(folder / STOP)


def clear_stop(folder: Path) -> None:
    """Remove a request to stop, which was met or is out of date."""
    (folder / STOP).unlink(missing_ok=True)


def read_notes(folder: Path) -> str:
    """Return the notes about a run, "" if it has none. Raises OSError if they are a link or no file."""
    try:
        with TextIOWrapper(open_plain(folder / NOTES), encoding="utf-8", errors="replace") as file:
            return file.read(MOST_CHARACTERS)
    except FileNotFoundError:
        return ""


def write_notes(folder: Path, text: str, before: str) -> None:
    """Replace the notes about a run.

    Args:
        folder: Folder of the run.
        text: New notes; "" removes them.
        before: Notes that the writer has read.

    Raises:
        RunError: If the text is too long, or if the notes are no longer those that the writer has read.
        OSError: If the notes are a link, which would lead out of the folder, or cannot be written.
    """
    from hornbeam.saving.files import staged_file  # all layers come with it

    if len(text) > MOST_CHARACTERS:
        raise RunError(f"notes have at most {MOST_CHARACTERS:,} characters, got {len(text):,}")
    if read_notes(folder) != before:
        raise RunError("the notes were changed elsewhere meanwhile: copy your text, and load the page again")
    if not text:
        (folder / NOTES).unlink(missing_ok=True)
        return
    with staged_file(folder / NOTES) as file:
        file.write(text.encode("utf-8"))
