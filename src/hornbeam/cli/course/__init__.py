"""The notebooks of the course, which tools/notebooks.py writes: their copying, and answers to exercises."""

from __future__ import annotations

import json
import math
from pathlib import Path

from hornbeam._internal.terminal import print_wrapped

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


def check(exercise: str, answer: object) -> None:
    """Say whether an answer to an exercise of the course is right, or give a hint.

    Args:
        exercise: Number of the page and of the exercise, as in "3.1".
        answer: Your answer, a number or a word; three dots for none yet.

    Raises:
        ValueError: If there is no such exercise.
    """
    exercises = json.loads((FOLDER / "exercises.json").read_text(encoding="utf-8"))
    if exercise not in exercises:
        raise ValueError(f"no exercise {exercise!r}, only {', '.join(exercises)}")
    about = exercises[exercise]
    if answer is ...:
        print("no answer yet: put it in place of the three dots")
    elif _is_right(answer, about["answer"]):
        print_wrapped(f"right: {about['reason']}")
    else:
        print_wrapped(f"not yet. A hint: {about['hint']}")


def _is_right(answer: object, expected: float | str) -> bool:
    """Return whether an answer is the expected word, or a number that differs by rounding alone."""
    if isinstance(expected, str):
        return isinstance(answer, str) and answer.strip().casefold() == expected
    try:
        return math.isclose(float(answer), expected, rel_tol=1e-3)  # type: ignore[arg-type]  # tensors, too
    except (TypeError, ValueError):
        return False
