"""Measure the source tree: sizes by room, long files and functions, imports, types, words, docstrings.

    PYTHONPATH=src python tools/code_metrics.py                  # this tree
    PYTHONPATH=src python tools/code_metrics.py --beside OLD     # rooms beside another checkout's, or Keras's
    PYTHONPATH=OLD/src python tools/code_metrics.py OLD          # another checkout, by the same rules
    python tools/code_metrics.py --write-budget                  # lower the budget of rooms to today's lines

Prints Markdown tables. Undocumented arguments are counted on the package that Python imports.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parents[1]
sys.path.insert(0, str(HERE))

from tests.helpers import public_names, rooms  # noqa: E402
from tests.helpers.sources import Source, source_of, text_of  # noqa: E402
from tests.structure import test_language  # noqa: E402

LONG_FILE, LONG_FUNCTION = 450, 60


def imported_modules(source: Source, known: set[str], late: bool = True, types: bool = False) -> set[str]:
    """Return the modules that a file imports: inside of functions too, and for type checkers alone."""
    modules: set[str] = set()
    for each in source.imports:
        if (each.guarded and not types) or (each.late and not late):
            continue
        if not each.module:
            modules |= {name for name, _ in each.names}
            continue
        for name, _ in each.names:
            full = f"{each.module}.{name}"
            modules.add(full if full in known else each.module)
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


def rust_functions(path: Path) -> Iterator[int]:
    """Lengths of Rust functions, by braces at the indentation of `fn`."""
    start: tuple[int, str] | None = None
    for number, line in enumerate(text_of(path).splitlines()):
        if start is None and (
            match := re.match(r"(\s*)(?:pub(?:\([a-z]+\))? )?(?:const |unsafe |async )*fn ", line)
        ):
            start = (number, match[1])
        if start is not None and line.startswith(start[1] + "}") and line.strip() == "}":
            yield number - start[0] - 1
            start = None


def measure(root: Path) -> list[tuple[str, object]]:
    package = root / "src" / "hornbeam"
    files = {path: source_of(path) for path in sorted(package.rglob("*.py"))}
    functions = [length for source in files.values() for length in source.functions]
    annotations, bare, loose = (sum(source.annotations[i] for source in files.values()) for i in range(3))
    rust = [p for p in sorted((root / "crates").rglob("*.rs")) if "target" not in p.parts]
    return [
        ("Python files", len(files)),
        *(
            (f"Python lines: {kind}", sum(getattr(source, kind) for source in files.values()))
            for kind in ("code", "docstring", "comment", "blank")
        ),
        ("Python nodes", sum(source.nodes for source in files.values())),
        (f"Python files over {LONG_FILE} lines", _count_long(files)),
        (
            f"Python functions with bodies over {LONG_FUNCTION} lines",
            sum(length > LONG_FUNCTION for length in functions),
        ),
        *import_measures(package, files),
        ("annotations that are Any", f"{bare} of {annotations} ({bare / annotations:.1%})"),
        ("annotations that contain Any", f"{loose} ({loose / annotations:.0%})"),
        *word_measures(root),
        ("Rust files", len(rust)),
        ("Rust lines", sum(len(text_of(p).splitlines()) for p in rust)),
        (f"Rust files over {LONG_FILE} lines", _count_long(rust)),
        (
            f"Rust functions over {LONG_FUNCTION} lines",
            sum(n > LONG_FUNCTION for p in rust for n in rust_functions(p)),
        ),
    ]


def _count_long(files: Iterator[Path] | dict[Path, Source] | list[Path]) -> int:
    return sum(len(text_of(path).splitlines()) > LONG_FILE for path in files)


def import_measures(package: Path, files: dict[Path, Source]) -> list[tuple[str, object]]:
    names = {
        path: ".".join(("hornbeam", *path.relative_to(package).with_suffix("").parts)).removesuffix(
            ".__init__"
        )
        for path in files
    }
    known = set(names.values())

    def graph(**which: bool) -> dict[str, set[str]]:
        return {
            names[path]: imported_modules(source, known, **which) - {names[path]}
            for path, source in files.items()
        }

    at_top, anywhere = graph(late=False), graph()
    return [
        ("imports inside functions", sum(len(anywhere[m] - at_top[m]) for m in known)),
        ("import circles at module level", len(circles(at_top))),
        (
            "import circles, functions included: modules in each",
            [len(circle) for circle in circles(anywhere)],
        ),
        ("import circles, types included: modules in each", [len(c) for c in circles(graph(types=True))]),
    ]


def word_measures(root: Path) -> list[tuple[str, object]]:
    files = test_language.sources(root)
    python = [source_of(path) for path in files if path.suffix == ".py"]
    words = sum(len(test_language.replaced_words(test_language.searched(path))) for path in files)
    return [
        (
            "arguments of public signatures without a description",
            sum(len(public_names.undocumented(m)) for m in public_names.public_modules()),
        ),
        ("replaced words", words),
        ("docstrings that begin like a question", sum(len(test_language.questions(s)) for s in python)),
        ("names that say nothing", sum(len(test_language.empty_names(s)) for s in python)),
    ]


def print_rooms(root: Path, beside: Path | None) -> None:
    """Print lines of code and nodes by room, beside the budget and beside another checkout."""
    here, budget = rooms.sizes(root), rooms.budget()
    there = rooms.sizes(beside) if beside else {}
    title = f" {beside.name}: code | nodes |" if beside else ""
    print(f"| room | code | budget | nodes |{title}\n|---|---|---|---|{'---|---|' if beside else ''}")
    table = here | {name: rooms.Size() for name in there if name not in here}
    for group, others in ((table, there), (rooms.totals(here), rooms.totals(there))):
        for name, size in group.items():
            cells = [name, f"{size.code:,}", f"{budget[name]:,}" if name in budget else "", f"{size.nodes:,}"]
            if beside:
                other = others.get(name, rooms.Size())
                cells += [f"{other.code:,}", f"{other.nodes:,}"]
            print(f"| {' | '.join(cells)} |")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("root", nargs="?", type=Path, default=HERE, help="the checkout (default: this one)")
    parser.add_argument(
        "--beside", type=Path, metavar="OTHER", help="a checkout of a release, or of Keras, to compare with"
    )
    parser.add_argument("--rooms", action="store_true", help="only the table of rooms")
    parser.add_argument(
        "--write-budget",
        action="store_true",
        help="lower the budget of rooms to today's lines of code; it is never raised so",
    )
    args = parser.parse_args()
    if args.write_budget:
        rooms.lower_budget()
    print_rooms(args.root.resolve(), args.beside.resolve() if args.beside else None)
    if not args.rooms:
        print("\n| measure | value |\n|---|---|")
        for name, value in measure(args.root.resolve()):
            print(f"| {name} | {value} |")


if __name__ == "__main__":
    main()
