"""Tests are imported plainly, and scripts are in tools/."""

from __future__ import annotations

from pathlib import Path

from tests.helpers.paths import HELPERS, ROOT, TESTS
from tests.helpers.sources import source_of, text_of

MODULES = sorted(TESTS.rglob("*.py"))


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_no_test_changes_the_module_search_path() -> None:
    changes = [f"{relative(path)}:{line}" for path in MODULES for line in source_of(path).path_changes]
    assert not changes, f"import from tests.helpers instead: {changes}"


def test_only_programs_of_child_processes_are_scripts() -> None:
    scripts = [path for path in MODULES if "\nif __name__ ==" in text_of(path)]
    assert {path.parent for path in scripts} <= {HELPERS}
    for path in scripts:
        users = [other for other in TESTS.rglob("test_*.py") if path.name in text_of(other)]
        assert users, f"no test starts {relative(path)}: move it to tools/"


def test_shared_modules_are_in_helpers() -> None:
    for path in MODULES:
        for each in source_of(path).imports:
            if each.module.startswith("tests."):
                assert each.module.split(".")[1] == "helpers", (
                    f"{relative(path)}:{each.line}: move what is shared to tests/helpers"
                )
