"""Files and functions are short enough to be read at once."""

from __future__ import annotations

import ast

from tests.helpers.paths import ROOT

LINES_OF_A_FILE = 600
LINES_OF_A_BODY = 60
PACKAGES = ("hornbeam", "hornbeam_compat", "keras_hornbeam")
FILES = sorted(path for package in PACKAGES for path in (ROOT / "src" / package).rglob("*.py"))


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Count the lines of a function below its signature and docstring."""
    documented = ast.get_docstring(function) and len(function.body) > 1
    first = function.body[1] if documented else function.body[0]
    return (function.end_lineno or 0) - first.lineno + 1


def test_no_file_is_longer_than_600_lines() -> None:
    lengths = {path.relative_to(ROOT).as_posix(): len(path.read_text().splitlines()) for path in FILES}
    assert len(lengths) > 500
    longer = {name: length for name, length in lengths.items() if length > LINES_OF_A_FILE}
    assert not longer


def test_no_body_is_longer_than_60_lines() -> None:
    bodies = {
        f"{path.relative_to(ROOT).as_posix()}:{node.lineno} {node.name}": body_lines(node)
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    }
    assert not {name: length for name, length in bodies.items() if length > LINES_OF_A_BODY}
