"""Facts of source files, each of which is read and parsed once in a process.

Trees are not kept: those of the whole repository take half a gigabyte, which every collection of garbage
would visit.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

Function = ast.FunctionDef | ast.AsyncFunctionDef
Documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True)
class Import:
    """An `import` statement, or a `from module import names`.

    Attributes:
        module: Module of a `from`; empty for a plain `import`.
        names: What is imported, with the names that it is bound to.
        line: Number of the line.
        guarded: True under `if TYPE_CHECKING`.
        late: True inside a function.
    """

    module: str
    names: tuple[tuple[str, str], ...]
    line: int
    guarded: bool
    late: bool


@dataclass
class Source:
    """Facts of a Python file.

    Attributes:
        code, docstring, comment, blank: Numbers of lines.
        nodes: Number of nodes of the syntax tree, without docstrings and contexts.
        imports: All imports, in the order of a walk.
        docstrings: First line of each docstring by the number of what it documents.
        names: First line where a variable or an argument of a name is.
        classes: Names of the bases of each class.
        functions: Lines of each function's body.
        annotations: Numbers of annotations: all, those that are `Any`, and those that contain it.
        defined: Names that the module itself defines at its top.
        chains: Names with the attributes read from them, such as `np.random.normal`.
        words: Texts that could be names.
        path_changes: Lines that change `sys.path`.
    """

    code: int = 0
    docstring: int = 0
    comment: int = 0
    blank: int = 0
    nodes: int = 0
    imports: list[Import] = field(default_factory=list)
    docstrings: list[tuple[int, str]] = field(default_factory=list)
    names: dict[str, int] = field(default_factory=dict)
    classes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    functions: list[int] = field(default_factory=list)
    annotations: list[int] = field(default_factory=lambda: [0, 0, 0])
    defined: set[str] = field(default_factory=set)
    chains: set[str] = field(default_factory=set)
    words: set[str] = field(default_factory=set)
    path_changes: list[int] = field(default_factory=list)

    def run_time_imports(self) -> Iterator[Import]:
        """Yield the imports that are made when the program runs."""
        return (each for each in self.imports if not each.guarded)


@cache
def text_of(path: Path) -> str:
    """Return the text of a file."""
    return path.read_text(encoding="utf-8")


@cache
def source_of(path: Path) -> Source:
    """Return the facts of a Python file."""
    return read(text_of(path))


def read(text: str) -> Source:
    """Return the facts of the text of a Python file."""
    tree = ast.parse(text)
    source = Source()
    documentation: set[int] = set()
    stack: list[tuple[ast.AST, bool, bool]] = [(tree, False, False)]
    while stack:
        node, guarded, late = stack.pop()
        if isinstance(node, ast.expr_context):
            continue
        source.nodes += 1
        if isinstance(node, Documented) and (doc := _docstring(node)) is not None:
            documentation.update(range(doc.lineno, (doc.end_lineno or doc.lineno) + 1))
            source.nodes -= 2
        _add_node(source, node, guarded, late)
        guarded = guarded or (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test))
        late = late or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        stack.extend((child, guarded, late) for child in ast.iter_child_nodes(node))
    for node in tree.body:
        source.defined.update(_bound(node))
    _count_lines(source, text.splitlines(), documentation)
    return source


def _docstring(node: ast.AST) -> ast.Expr | None:
    body: list[ast.stmt] = getattr(node, "body", [])
    first = body[0] if body else None
    is_text = (
        isinstance(first, ast.Expr)
        and isinstance(first.value, ast.Constant)
        and isinstance(first.value.value, str)
    )
    return first if is_text and isinstance(first, ast.Expr) else None


def _add_node(source: Source, node: ast.AST, guarded: bool, late: bool) -> None:
    if isinstance(node, Documented):
        _add_definition(source, node)
    elif isinstance(node, (ast.Import, ast.ImportFrom)):
        module = (node.module or "") if isinstance(node, ast.ImportFrom) else ""
        names = tuple((alias.name, alias.asname or alias.name) for alias in node.names)
        source.imports.append(Import(module, names, node.lineno, guarded, late))
    elif isinstance(node, ast.Name):
        if isinstance(node.ctx, ast.Store):
            source.names.setdefault(node.id, node.lineno)
    elif isinstance(node, ast.arg):
        source.names.setdefault(node.arg, node.lineno)
        _add_annotation(source, node.annotation)
    elif isinstance(node, ast.AnnAssign):
        _add_annotation(source, node.annotation)
    elif isinstance(node, ast.Constant):
        if isinstance(node.value, str) and node.value.isidentifier():
            source.words.add(node.value)
    elif isinstance(node, ast.Attribute):
        chain = _chain(node)
        source.chains.add(chain)
        if chain.startswith("sys.path."):
            source.path_changes.append(node.lineno)
    if isinstance(node, (ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Delete)):
        targets = getattr(node, "targets", None) or [getattr(node, "target", None)]
        written = [ast.unparse(each) for each in targets if isinstance(each, (ast.Attribute, ast.Subscript))]
        if any(each.partition("[")[0] == "sys.path" for each in written):
            source.path_changes.append(node.lineno)


def _add_definition(source: Source, node: ast.AST) -> None:
    if (doc := _docstring(node)) is not None and (words := ast.get_docstring(node)):  # type: ignore[arg-type]
        source.docstrings.append((getattr(node, "lineno", 1), words.splitlines()[0]))
    if isinstance(node, ast.ClassDef):
        source.classes[node.name] = tuple(ast.unparse(base) for base in node.bases)
    elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        body = node.body[1:] if doc is not None and len(node.body) > 1 else node.body
        source.functions.append((node.end_lineno or 0) - body[0].lineno + 1)
        _add_annotation(source, node.returns)


def _add_annotation(source: Source, annotation: ast.expr | None) -> None:
    if annotation is None:
        return
    source.annotations[0] += 1
    source.annotations[1] += isinstance(annotation, ast.Name) and annotation.id == "Any"
    source.annotations[2] += any(isinstance(n, ast.Name) and n.id == "Any" for n in ast.walk(annotation))


def _chain(node: ast.Attribute) -> str:
    """Return `a.b.c`; attributes of other expressions begin with a dot."""
    parts = [node.attr]
    value = node.value
    while isinstance(value, ast.Attribute):
        parts.append(value.attr)
        value = value.value
    parts.append(value.id if isinstance(value, ast.Name) else "")
    return ".".join(reversed(parts))


def _bound(node: ast.stmt) -> Iterator[str]:
    """Yield the names that a statement at the top of a module defines."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        yield node.name
    elif isinstance(node, ast.Assign):
        yield from (n.id for target in node.targets for n in ast.walk(target) if isinstance(n, ast.Name))
    elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        yield node.target.id


def _count_lines(source: Source, lines: list[str], documentation: set[int]) -> None:
    for number, line in enumerate(lines, 1):
        stripped = line.strip()
        if number in documentation:
            source.docstring += 1
        elif not stripped:
            source.blank += 1
        elif stripped.startswith("#"):
            source.comment += 1
        else:
            source.code += 1


# Character and string literals are skipped, so that what looks like a comment in them is none.
_RUST_TOKENS = re.compile(
    r"""r(?P<hashes>\#*)".*?"(?P=hashes) | "(?:\\.|[^"\\])*" | '(?:\\.[^']*|[^'\\\n])'
    | (?P<line>//[^\n]*) | (?P<block>/\*.*?\*/)""",
    re.S | re.X,
)


@cache
def rust_code_lines(path: Path) -> int:
    """Return the number of lines of a Rust file that are no documentation, comment or blank."""

    def without(match: re.Match[str]) -> str:
        is_comment = match["line"] is not None or match["block"] is not None
        return "\n" * match[0].count("\n") if is_comment else match[0]

    return sum(bool(line.strip()) for line in _RUST_TOKENS.sub(without, text_of(path)).splitlines())
