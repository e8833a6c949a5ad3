"""Cells run without IPython: Python alone. Magics and `!commands` are skipped, and said so."""

from __future__ import annotations

import ast
import asyncio
import builtins
import inspect
import linecache
import re
import sys
import traceback
from collections.abc import Callable
from types import CodeType, ModuleType
from typing import Any

from hornbeam.extensions.packages import displayable
from hornbeam_compat.notebook_runs.outputs import Recorder

# Cell magics whose body is Python that can run without them.
_TRANSPARENT = {"time", "timeit", "capture", "prun"}
_MAGIC = re.compile(r"^(\s*)([%!])\s*(\S+)(.*)$")
_ASSIGNED = re.compile(r"^\s*[\w, ]+=\s*[!%]")
_HTML = {"text/html": "_repr_html_", "image/svg+xml": "_repr_svg_", "image/png": "_repr_png_"}


class PlainSession:
    """Runs cells by `exec`, and displays the value of a last expression.

    Args:
        recorder: Takes the outputs.
    """

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._main = ModuleType("__main__")
        vars(self._main).update(__builtins__=builtins, display=self._display)
        sys.modules["__main__"] = self._main
        self.traceback = ""

    def run(self, source: str, number: int) -> BaseException | None:
        """Run the cell with this number; return the error that ended it, if any."""
        name = f"cell {number}"
        try:
            code = without_magics(source, name)
            linecache.cache[name] = (len(code), None, code.splitlines(keepends=True), name)
            tree = ast.parse(code, name)
            silent = code.rstrip().endswith(";")
            last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
            self._execute(compile(tree, name, "exec", _FLAGS))
            if isinstance(last, ast.Expr):
                value = self._execute(compile(ast.Expression(last.value), name, "eval", _FLAGS))
                if value is not None and not silent:
                    self._recorder.result(bundle_of(value), {})
        except (Exception, KeyboardInterrupt) as error:
            error.__traceback__ = _outside_of_here(error.__traceback__)
            with displayable(error, error.__traceback__) as note:
                lines = traceback.format_exception(error)
            self.traceback = "".join([*lines, note]).rstrip()
            self._recorder.error(error, self.traceback.splitlines())
            return error
        return None

    def _execute(self, code: CodeType) -> Any:
        value = eval(code, vars(self._main))
        return asyncio.run(value) if code.co_flags & inspect.CO_COROUTINE else value

    def _display(self, *values: Any, **options: Any) -> None:
        """Show objects, as IPython's `display`."""
        for value in values:
            self._recorder.display(bundle_of(value), None, options.get("display_id"))


_FLAGS = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT


def bundle_of(value: Any) -> dict[str, Any]:
    """Return the representations of an object by media type."""
    bundle: dict[str, Any] = {"text/plain": repr(value)}
    for kind, method in _HTML.items():
        represent: Callable[[], Any] | None = getattr(type(value), method, None) and getattr(value, method)
        content = represent() if represent is not None else None
        if content is not None:
            bundle[kind] = content
    return bundle


def without_magics(source: str, name: str) -> str:
    """Return a cell as Python alone; magics and commands become comments, each with a line on stderr.

    Raises:
        SyntaxError: If a value depends on a magic.
    """
    lines = source.splitlines(keepends=True)
    first = next((index for index, line in enumerate(lines) if line.strip()), None)
    if first is not None and lines[first].startswith("%%"):
        magic = lines[first][2:].split()[0] if lines[first][2:].split() else ""
        if magic not in _TRANSPARENT:
            _say_skipped(name, f"%%{magic}", "the cell")
            return "".join(f"# {line}" for line in lines)
        lines[first] = f"# {lines[first]}"
    return "".join(_python_line(line, name) for line in lines)


def _python_line(line: str, name: str) -> str:
    if _ASSIGNED.match(line) and not _parses(line):
        raise SyntaxError(f"{name}: {line.strip()!r} needs IPython: pip install ipython")
    match = _MAGIC.match(line)
    if match is None:
        return line
    kind = match[2] + match[3] if match[2] == "%" else line.strip()
    _say_skipped(name, kind, "the line")
    ending = "\n" if line.endswith("\n") else ""
    return f"{match[1]}pass  # {line.strip()}{ending}"


def _parses(line: str) -> bool:
    try:
        ast.parse(line.strip())
    except SyntaxError:
        return False
    return True


def _say_skipped(name: str, magic: str, part: str) -> None:
    print(f"hornbeam run: {name}: {part} {magic!r} is skipped, it needs IPython", file=sys.stderr)


def _outside_of_here(trace: Any) -> Any:
    while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    return trace
