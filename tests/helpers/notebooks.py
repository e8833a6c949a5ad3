"""Notebooks for tests: made of cells, and run in a kernel."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def notebook(cells: Sequence[str], **metadata: Any) -> dict[str, Any]:
    """Return a notebook of code cells."""
    return {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3"}, **metadata},
        "cells": [
            {
                "cell_type": "code",
                "id": f"cell-{number}",
                "metadata": {},
                "execution_count": None,
                "outputs": [],
                "source": source,
            }
            for number, source in enumerate(cells)
        ],
    }


def write(path: Path, cells: Sequence[str], **metadata: Any) -> Path:
    """Write a notebook of code cells."""
    path.write_text(json.dumps(notebook(cells, **metadata)))
    return path


def outputs(path: Path) -> list[list[dict[str, Any]]]:
    """Return the outputs of the cells of a notebook file."""
    return [cell["outputs"] for cell in json.loads(path.read_text())["cells"]]
