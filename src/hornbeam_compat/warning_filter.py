"""Warnings of Hornbeam, located at the line of the script that caused them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TextIO

from hornbeam.extensions.packages import FOLDERS, user_line


def located_showwarning(show: Callable[..., None]) -> Callable[..., None]:
    """Wrap `warnings.showwarning`: a warning of Hornbeam is located at the caller's line."""

    def located(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if filename.startswith(FOLDERS):
            frame = sys._getframe()
            while frame.f_back is not None and frame.f_code.co_filename != filename:
                frame = frame.f_back
            filename, lineno = user_line(frame) or (filename, lineno)
        show(message, category, filename, lineno, file, line)

    return located
