"""Names with an underscore belong to the file that defines them: what other files use is an interface."""

from __future__ import annotations

import ast
from pathlib import Path

import hornbeam

# Attributes of other objects read by a private name that the file itself does not define. It may only fall.
PRIVATE_READS = 99
# Documented names of Python's own.
PYTHON = {"_SubParsersAction", "_exit", "_getframe", "_replace"}


def private_reads(code: str) -> list[str]:
    """List the private attributes that a file reads, of others than `self` and `cls`, and does not define."""
    defined: set[str] = set()
    reads: list[str] = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            defined.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            defined.add(node.id)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):  # `__slots__`
            defined.add(node.value)
        elif isinstance(node, ast.Attribute):
            own = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
            if own and isinstance(node.ctx, ast.Store):
                defined.add(node.attr)
            elif not own and isinstance(node.ctx, ast.Load) and node.attr.startswith("_"):
                reads.append(node.attr)
    return [name for name in reads if not name.startswith("__") and name not in defined | PYTHON]


def test_few_private_names_of_other_files_are_read() -> None:
    files = sorted(Path(hornbeam.__file__).parent.rglob("*.py"))
    reads = [name for path in files for name in private_reads(path.read_text())]
    assert len(reads) <= PRIVATE_READS, "an interface between files has no underscore"


def test_private_reads_are_found() -> None:
    code = "class A:\n    def f(self, other):\n        self._a = other._a + other._b + self._c\n"
    assert private_reads(code) == ["_b"]
