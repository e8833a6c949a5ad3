"""Measure the source tree: sizes, long files and functions, imports, circles, types, words, docstrings.

    PYTHONPATH=src python tools/code_metrics.py            # this tree
    PYTHONPATH=OLD/src python tools/code_metrics.py OLD    # another checkout, by the same rules

Prints a Markdown table. Undocumented arguments are counted on the package that Python imports.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parents[1]
sys.path.insert(0, str(HERE))

from tests.helpers import public_names  # noqa: E402
from tests.structure import test_language  # noqa: E402

LONG_FILE, LONG_FUNCTION = 450, 60
Function = ast.FunctionDef | ast.AsyncFunctionDef


def docstrings(tree: ast.Module) -> Iterator[ast.Expr]:
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and node.body:
            first = node.body[0]
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                yield first


def line_counts(path: Path, tree: ast.Module) -> dict[str, int]:
    """Count lines of code, docstrings, comments, and blank lines."""
    lines = path.read_text().splitlines()
    doc = {n for expr in docstrings(tree) for n in range(expr.lineno, (expr.end_lineno or expr.lineno) + 1)}
    blank = {n for n, line in enumerate(lines, 1) if not line.strip() and n not in doc}
    comment = {n for n, line in enumerate(lines, 1) if line.strip().startswith("#") and n not in doc}
    code = len(lines) - len(doc) - len(blank) - len(comment)
    return {"code": code, "docstring": len(doc), "comment": len(comment), "blank": len(blank)}


def body_length(node: Function) -> int:
    """Lines of a function without signature and docstring."""
    body = node.body[1:] if ast.get_docstring(node) and len(node.body) > 1 else node.body
    return (node.end_lineno or 0) - body[0].lineno + 1


def imported_modules(tree: ast.Module, known: set[str], top_only: bool) -> set[str]:
    guarded = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    modules: set[str] = set()
    for node in tree.body if top_only else ast.walk(tree):
        if id(node) in guarded:
            continue
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("hornbeam"):
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                modules.add(full if full in known else node.module or "")
        elif isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names if alias.name in known}
    return modules & known


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Strongly connected components of more than one module (Tarjan)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    components: list[list[str]] = []

    def visit(module: str) -> None:
        index[module] = low[module] = len(index)
        stack.append(module)
        for target in graph[module]:
            if target not in index:
                visit(target)
                low[module] = min(low[module], low[target])
            elif target in stack:
                low[module] = min(low[module], index[target])
        if low[module] == index[module]:
            component = stack[stack.index(module) :]
            del stack[stack.index(module) :]
            if len(component) > 1:
                components.append(sorted(component))

    sys.setrecursionlimit(10_000)
    for module in sorted(graph):
        if module not in index:
            visit(module)
    return sorted(components, key=len, reverse=True)


def annotations(tree: ast.Module) -> Iterator[ast.expr]:
    for node in ast.walk(tree):
        if isinstance(node, ast.arg) and node.annotation:
            yield node.annotation
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.returns:
            yield node.returns
        elif isinstance(node, ast.AnnAssign):
            yield node.annotation


def rust_functions(path: Path) -> Iterator[int]:
    """Lengths of Rust functions, by braces at the indentation of `fn`."""
    start: tuple[int, str] | None = None
    for number, line in enumerate(path.read_text().splitlines()):
        if start is None and (
            match := re.match(r"(\s*)(?:pub(?:\([a-z]+\))? )?(?:const |unsafe |async )*fn ", line)
        ):
            start = (number, match[1])
        if start is not None and line.startswith(start[1] + "}") and line.strip() == "}":
            yield number - start[0] - 1
            start = None


def measure(root: Path) -> list[tuple[str, object]]:
    package = root / "src" / "hornbeam"
    files = sorted(package.rglob("*.py"))
    trees = {path: ast.parse(path.read_text()) for path in files}
    names = {
        path: ".".join(("hornbeam", *path.relative_to(package).with_suffix("").parts)).removesuffix(
            ".__init__"
        )
        for path in files
    }
    known = set(names.values())
    totals: dict[str, int] = {}
    for path, tree in trees.items():
        for kind, count in line_counts(path, tree).items():
            totals[kind] = totals.get(kind, 0) + count
    functions = [
        n
        for tree in trees.values()
        for n in ast.walk(tree)
        if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef))
    ]
    at_top = {names[path]: imported_modules(tree, known, True) for path, tree in trees.items()}
    anywhere = {names[path]: imported_modules(tree, known, False) for path, tree in trees.items()}
    late = sum(len(anywhere[m] - at_top[m]) for m in known)
    loops = circles({m: anywhere[m] - {m} for m in known})
    typed = [a for tree in trees.values() for a in annotations(tree)]
    loose = [a for a in typed if any(isinstance(n, ast.Name) and n.id == "Any" for n in ast.walk(a))]
    bare = [a for a in typed if isinstance(a, ast.Name) and a.id == "Any"]
    rust = [p for p in sorted((root / "crates").rglob("*.rs")) if "target" not in p.parts]
    test_language.ROOT = root
    sources = test_language.sources()
    arguments = sum(len(public_names.undocumented(m)) for m in public_names.public_modules())
    return [
        ("Python files", len(files)),
        *((f"Python lines: {kind}", count) for kind, count in totals.items()),
        (
            f"Python files over {LONG_FILE} lines",
            sum(len(p.read_text().splitlines()) > LONG_FILE for p in files),
        ),
        (
            f"Python functions with bodies over {LONG_FUNCTION} lines",
            sum(body_length(f) > LONG_FUNCTION for f in functions),
        ),
        ("imports inside functions", late),
        ("import circles at module level", len(circles({m: at_top[m] - {m} for m in known}))),
        ("import circles, functions included: modules in each", [len(c) for c in loops]),
        ("annotations that are Any", f"{len(bare)} of {len(typed)} ({len(bare) / len(typed):.0%})"),
        ("annotations that contain Any", f"{len(loose)} ({len(loose) / len(typed):.0%})"),
        ("arguments of public signatures without a description", arguments),
        ("replaced words", sum(len(test_language.replaced_words(p)) for p in sources)),
        ("docstrings that begin like a question", sum(len(test_language.questions(p)) for p in sources)),
        ("names that say nothing", sum(len(test_language.empty_names(p)) for p in sources)),
        ("Rust files", len(rust)),
        ("Rust lines", sum(len(p.read_text().splitlines()) for p in rust)),
        (
            f"Rust files over {LONG_FILE} lines",
            sum(len(p.read_text().splitlines()) > LONG_FILE for p in rust),
        ),
        (
            f"Rust functions over {LONG_FUNCTION} lines",
            sum(n > LONG_FUNCTION for p in rust for n in rust_functions(p)),
        ),
    ]


def main() -> None:
    root = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else HERE
    print("| measure | value |\n|---|---|")
    for name, value in measure(root):
        print(f"| {name} | {value} |")


if __name__ == "__main__":
    main()
