"""Warnings of Hornbeam's name the line of the script that they are about."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any, TextIO

from hornbeam.ir.source_lines import user_line

_ROOT = str(Path(__file__).parents[1])


def install() -> None:
    """From here on, in this process."""
    shown = warnings.showwarning

    def show(
        message: Any,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if filename.startswith(_ROOT):
            frame = sys._getframe()
            while frame.f_back is not None and frame.f_code.co_filename != filename:
                frame = frame.f_back
            filename, lineno = user_line(frame) or (filename, lineno)
        shown(message, category, filename, lineno, file, line)

    warnings.showwarning = show
