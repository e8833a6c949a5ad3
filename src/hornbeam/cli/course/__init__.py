"""The notebooks of the course, written by tools/notebooks.py, and their copying into a folder."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent


def notebooks() -> list[Path]:
    """Return the notebooks that the package contains, in the order of the course."""
    return sorted(FOLDER.glob("*.ipynb"))


def copy_notebooks(folder: Path, *, force: bool = False) -> tuple[list[str], list[str]]:
    """Copy the notebooks into a folder, which is created if necessary.

    Args:
        folder: Folder for the notebooks.
        force: Whether to overwrite notebooks in the folder that differ from ours.

    Returns:
        Names of the notebooks that are now those of the course, and of those that were kept because the user
        has changed them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    copied, kept = [], []
    for notebook in notebooks():
        content, path = notebook.read_bytes(), folder / notebook.name
        if path.exists() and path.read_bytes() != content and not force:
            kept.append(notebook.name)
            continue
        path.write_bytes(content)
        copied.append(notebook.name)
    return copied, kept
