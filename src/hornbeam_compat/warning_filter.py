"""Warnings of Hornbeam, located at the line of the script that caused them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TextIO

import hornbeam

# The folders of the library and of this package.
_FOLDERS = tuple(os.path.dirname(path) + os.sep for path in (hornbeam.__file__, __file__))


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
        if filename.startswith(_FOLDERS):
            frame = sys._getframe()
            while frame.f_back is not None and frame.f_code.co_filename != filename:
                frame = frame.f_back
            while frame.f_back is not None and frame.f_code.co_filename.startswith(_FOLDERS):
                frame = frame.f_back
            filename, lineno = frame.f_code.co_filename, frame.f_lineno
        show(message, category, filename, lineno, file, line)

    return located
