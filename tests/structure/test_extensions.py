"""The wall between the library and its extensions, read from the sources."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

SOURCES = Path(__file__).parents[2] / "src"

# Packages that a user may do without. They use the library; it does not use them.
EXTENSIONS = ("hornbeam_compat", "keras_hornbeam")

# The doors: files of the library that lead to an extension, and where to. This list may only shrink.
DOORS = {
    "hornbeam/__init__.py": {"hornbeam_compat.installation", "hornbeam_compat.notebooks"},
    "hornbeam/_internal/origin.py": {"hornbeam_compat", "keras_hornbeam"},
    "hornbeam/as_keras.py": {"hornbeam_compat.installation"},
    "hornbeam/cli/bench/workloads/common.py": {"keras_hornbeam"},
    "hornbeam/cli/commands/__init__.py": {
        "hornbeam_compat.commands.keras_compat",
        "hornbeam_compat.commands.run",
    },
    "hornbeam/cli/script_trials.py": {"hornbeam_compat.programs"},
}
MODULE = re.compile(rf"(?:{'|'.join(EXTENSIONS)})(?:\.\w+)*")


def named_extensions(path: Path) -> Iterator[str]:
    """Yield the modules of extensions that a file imports, at any place, or names in a string."""
    text = path.read_text()
    # Few files name one, and parsing all takes seconds.
    for node in ast.walk(ast.parse(text)) if any(name in text for name in EXTENSIONS) else ():
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if MODULE.fullmatch(alias.name))
        elif isinstance(node, ast.ImportFrom) and MODULE.fullmatch(node.module or ""):
            yield str(node.module)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and MODULE.fullmatch(node.value):
            yield node.value


def test_the_library_leads_to_extensions_by_its_doors_alone() -> None:
    found = {
        path.relative_to(SOURCES).as_posix(): set(named_extensions(path))
        for path in sorted((SOURCES / "hornbeam").rglob("*.py"))
    }
    assert {path: modules for path, modules in found.items() if modules} == DOORS
