"""Tests are imported plainly, and scripts are in tools/."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.helpers.paths import HELPERS, ROOT, TESTS

MODULES = sorted(TESTS.rglob("*.py"))


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_no_test_changes_the_module_search_path(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute) and ast.unparse(node).startswith("sys.path."):
            raise AssertionError(f"{relative(path)}:{node.lineno}: import from tests.helpers instead")
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        written = [
            ast.unparse(target).partition("[")[0] for target in targets if isinstance(target, ast.expr)
        ]
        assert "sys.path" not in written, f"{relative(path)}:{getattr(node, 'lineno', 0)}"


def test_only_programs_of_child_processes_are_scripts() -> None:
    scripts = [path for path in MODULES if "\nif __name__ ==" in path.read_text()]
    assert {path.parent for path in scripts} <= {HELPERS}
    for path in scripts:
        users = [other for other in TESTS.rglob("test_*.py") if path.name in other.read_text()]
        assert users, f"no test starts {relative(path)}: move it to tools/"


def test_shared_modules_are_in_helpers() -> None:
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tests."):
                folder = node.module.split(".")[1] if node.module else ""
                assert folder == "helpers", (
                    f"{relative(path)}:{node.lineno}: move what is shared to tests/helpers"
                )
