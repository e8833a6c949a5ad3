"""Notebook files: JSON of format 4."""

from __future__ import annotations

import json
import os
from typing import Any

# Larger files are no notebooks written by hand.
_MOST_BYTES = 256 * 2**20


class NotebookError(ValueError):
    """A file that is no notebook, or one that cannot be run here."""


def read_notebook(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a notebook.

    Raises:
        NotebookError: If the file is not a Python notebook of format 4.
    """
    if os.path.getsize(path) > _MOST_BYTES:
        raise NotebookError(f"{path} is larger than {_MOST_BYTES // 2**20} MiB")
    try:
        with open(path, encoding="utf-8") as file:
            notebook = json.load(file)
    except (ValueError, RecursionError) as error:
        raise NotebookError(f"{path} is not a notebook: {error}") from None
    if not isinstance(notebook, dict) or not isinstance(notebook.get("cells"), list):
        version = notebook.get("nbformat") if isinstance(notebook, dict) else None
        hint = f": format {version} is too old, open and save it in Jupyter" if version in (1, 2, 3) else ""
        raise NotebookError(f"{path} is not a notebook of format 4{hint or ', it has no list of cells'}")
    for number, cell in enumerate(notebook["cells"], 1):
        if not isinstance(cell, dict) or not isinstance(_joined(cell.get("source", "")), str):
            raise NotebookError(f"{path} is damaged: cell {number} has no source")
    language = _language(notebook)
    if language != "python":
        raise NotebookError(f"{path} is a notebook of {language}, and only Python can be run")
    return notebook


def write_notebook(notebook: dict[str, Any], path: str | os.PathLike[str]) -> None:
    """Write a notebook, beside the target first."""
    from hornbeam.extensions.files import replace_file

    with replace_file(path) as file:
        file.write((json.dumps(notebook, indent=1, ensure_ascii=False) + "\n").encode())


def code_cells(notebook: dict[str, Any]) -> list[tuple[int, dict[str, Any]]]:
    """Return the cells with code, each with its number among all cells, from 1."""
    cells = enumerate(notebook["cells"], 1)
    return [(number, cell) for number, cell in cells if cell.get("cell_type") == "code"]


def source_of(cell: dict[str, Any]) -> str:
    """Return the code of a cell."""
    return str(_joined(cell.get("source", "")))


def _joined(source: Any) -> Any:
    lines = isinstance(source, list) and all(isinstance(line, str) for line in source)
    return "".join(source) if lines else source


def _language(notebook: dict[str, Any]) -> str:
    metadata = notebook.get("metadata")
    if not isinstance(metadata, dict):
        return "python"
    for key, name in (("language_info", "name"), ("kernelspec", "language")):
        part = metadata.get(key)
        if isinstance(part, dict) and isinstance(part.get(name), str):
            return str(part[name]).lower()
    return "python"
