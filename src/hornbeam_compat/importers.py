"""The module that imports another, and its way to do without it, from the frames of the import."""

from __future__ import annotations

import ast
import functools
import importlib
import linecache
import os
import sys
from collections.abc import Iterator
from types import FrameType

_COMPAT = os.path.dirname(__file__)
# The import packages of the distribution.
_PACKAGES = ("hornbeam", "hornbeam_compat", "keras_hornbeam")
_IMPORTLIB = os.path.dirname(importlib.__file__)
# Handlers by which a module goes on without the module that it tried to import.
_CAUGHT = {"ImportError", "ModuleNotFoundError", "Exception", "BaseException"}


def _frames() -> Iterator[FrameType]:
    """Yield the frames outside of the import system, the importing one first."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        if not name.startswith(("<frozen importlib", _IMPORTLIB, _COMPAT)):
            yield frame
        frame = frame.f_back


def importing_module() -> str:
    """Return the name of the module whose code imports."""
    return next((str(frame.f_globals.get("__name__", "")) for frame in _frames()), "")


def is_own(module: str) -> bool:
    """Return True for the name of a module of Hornbeam."""
    return module.partition(".")[0] in _PACKAGES


def is_script(module: str) -> bool:
    """Return True for the script or notebook itself."""
    return module in ("__main__", "__mp_main__")


def can_do_without() -> bool:
    """Return True if a module other than the script catches the error of a missing import.

    Either the body of a `try` with a handler for ImportError contains its `import` statement, or such a body
    imports a module with the statement.
    """
    for index, frame in enumerate(_frames()):
        if is_script(str(frame.f_globals.get("__name__", ""))):
            return False
        if index and frame.f_code.co_name != "<module>":
            return False  # a function that was called, of a program that runs already
        if _is_guarded(frame.f_code.co_filename, frame.f_lineno):
            return True
        if frame.f_code.co_name != "<module>":
            return False
    return False


def _is_guarded(filename: str, line: int) -> bool:
    return any(first <= line <= last for first, last in _guarded_lines(filename))


@functools.lru_cache(maxsize=64)
def _guarded_lines(filename: str) -> list[tuple[int, int]]:
    """Return the first and last lines of the bodies of `try` that catch ImportError, in a file."""
    try:
        tree = ast.parse("".join(linecache.getlines(filename)))
    except SyntaxError:  # not Python, as in a cell with magics
        return []
    tries = [node for node in ast.walk(tree) if isinstance(node, ast.Try)]
    return [
        (node.body[0].lineno, node.body[-1].end_lineno or node.body[-1].lineno)
        for node in tries
        if any(_catches_import_error(handler) for handler in node.handlers)
    ]


def _catches_import_error(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    types = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(isinstance(node, ast.Name) and node.id in _CAUGHT for node in types)
