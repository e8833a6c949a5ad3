"""Notes about a run and a request to stop it, which others write into its folder."""

from __future__ import annotations

from pathlib import Path

from hornbeam.errors import RunError
from hornbeam.insight.runs.layout import NOTES, STOP

MOST_CHARACTERS = 20_000


def request_stop(folder: Path) -> None:
    """Ask the training that records in a folder to stop; its `RunRecorder` looks for that once a second."""
    (folder / STOP).touch()


def stop_requested(folder: Path) -> bool:
    """Return whether the training was asked to stop."""
    return (folder / STOP).exists()


def clear_stop(folder: Path) -> None:
    """Remove a request to stop, which was met or is out of date."""
    (folder / STOP).unlink(missing_ok=True)


def read_notes(folder: Path) -> str:
    """Return the notes about a run, "" if it has none."""
    path = folder / NOTES
    if not path.is_file():
        return ""
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read(MOST_CHARACTERS)


def write_notes(folder: Path, text: str, before: str) -> None:
    """Replace the notes about a run.

    Args:
        folder: Folder of the run.
        text: New notes; "" removes them.
        before: Notes that the writer has read.

    Raises:
        RunError: If the text is too long, or if the notes are no longer those that the writer has read.
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
