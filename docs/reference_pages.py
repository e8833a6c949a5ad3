"""Makes the reference out of docstrings: a page for each public module, nothing of it written by hand.

A small extension of Sphinx. Docstrings of Hornbeam are plain text with examples, no markup: `plain` makes of
them what Sphinx reads.
"""

from __future__ import annotations

import importlib
import inspect
import re
import types
from pathlib import Path
from typing import Any

import hornbeam


def modules() -> dict[str, types.ModuleType]:
    """All public modules by name, with the public modules inside of them."""
    found: dict[str, types.ModuleType] = {"hornbeam": hornbeam}
    waiting = [f"hornbeam.{name}" for name in hornbeam._MODULES]
    while waiting:
        name = waiting.pop(0)
        found[name] = module = importlib.import_module(name)
        for public in getattr(module, "__all__", ()):
            inner = getattr(module, public)
            if isinstance(inner, types.ModuleType) and inner.__name__ == f"{name}.{public}":
                waiting.append(inner.__name__)
    return dict(sorted(found.items()))


def page(name: str, module: types.ModuleType, homes: dict[type, str]) -> str:
    """The page of one module: its docstring, a table of its names, and each of them. homes: the module whose
    page describes a class, for those that are in several."""
    public = [n for n in getattr(module, "__all__", ()) if not n.startswith("__")]
    own = [n for n in public if not isinstance(getattr(module, n), types.ModuleType)]
    lines = [name, "=" * len(name), "", f".. automodule:: {name}", "", f".. currentmodule:: {name}", ""]
    lines += [".. autosummary::", "   :nosignatures:", "", *(f"   {n}" for n in own), ""]
    for public_name in own:
        value = getattr(module, public_name)
        home = homes.setdefault(value, name) if inspect.isclass(value) else name
        lines += [*entry(public_name, value, None if home == name else home), ""]
    return "\n".join(lines)


def entry(name: str, value: Any, elsewhere: str | None) -> list[str]:
    if elsewhere:
        return [f"``{name}`` is described in :py:mod:`{elsewhere}`."]
    if inspect.isclass(value):
        return [f".. autoclass:: {name}", "   :members:"]
    if callable(value):
        return [f".. autofunction:: {name}"]
    return [f".. autodata:: {name}", "   :no-value:"]


def write(app: Any) -> None:
    """Write the pages that differ from those that are there, before Sphinx looks for pages."""
    folder = Path(app.srcdir) / "reference"
    folder.mkdir(exist_ok=True)
    homes: dict[type, str] = {}
    # The short names of the first page lead to the pages of their families.
    found = sorted(modules().items(), key=lambda item: (item[0] == "hornbeam", item[0]))
    wanted = {folder / f"{name}.rst": page(name, module, homes) for name, module in found}
    for old in set(folder.glob("*.rst")) - set(wanted):
        old.unlink()
    for path, text in wanted.items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


_SPECIAL = re.compile(r"([\\*_|<>:])")


def inline(text: str) -> str:
    """Plain text as Sphinx reads it: `code` is code, every other sign is itself."""
    pieces = re.split(r"`+([^`]+)`+", text)
    for i, piece in enumerate(pieces):
        literal = _SPECIAL.sub(r"\\\1", piece).replace("`", r"\`")
        pieces[i] = f"\\ ``{piece.strip()}``\\ " if i % 2 else literal
    return "".join(pieces)


def plain(lines: list[str]) -> list[str]:
    """The lines of a docstring as reStructuredText: paragraphs, examples, and blocks that are indented."""
    made: list[str] = []
    for paragraph in re.split(r"\n\s*\n", inspect.cleandoc("\n".join(lines))):
        if not paragraph.strip():
            continue
        rows = paragraph.splitlines()
        examples = next((i for i, row in enumerate(rows) if row.lstrip().startswith(">>>")), len(rows))
        before, after = rows[:examples], rows[examples:]
        if before and all(row.startswith("  ") for row in before):
            made += ["::", "", *before, ""]
        elif before:
            made += [inline(" ".join(row.strip() for row in before)), ""]
        if after:
            made += [".. code-block:: pycon", "", *(f"   {row}" for row in after), ""]
    return made


def read_plainly(app: Any, what: str, name: str, value: Any, options: Any, lines: list[str]) -> None:
    lines[:] = plain(lines)


def signature(
    app: Any, what: str, name: str, value: Any, options: Any, shown: str | None, returns: str | None
) -> tuple[str | None, str | None] | None:
    """Of a class the arguments of its `__init__`, which a `__new__` that takes everything would hide."""
    if what != "class" or not inspect.isfunction(vars(value).get("__init__", value.__init__)):
        return None
    found = inspect.signature(value.__init__)
    empty = inspect.Parameter.empty
    kept = [each.replace(annotation=empty) for each in list(found.parameters.values())[1:]]
    return str(found.replace(parameters=kept, return_annotation=empty)), None


_OUTSIDE = re.compile(r"\[([^]]*)\]\(\.\./(?:\.\./)*([\w./-]+)(?:#[\w-]*)?\)")


def leave_outside(app: Any, name: str, source: list[str]) -> None:
    """Links out of docs/, which work where the repository is read, name the file instead."""

    def named(found: re.Match[str]) -> str:
        inside = Path(app.srcdir, name).parent / found[0].rpartition("(")[2].rstrip(")").partition("#")[0]
        if inside.resolve().is_relative_to(Path(app.srcdir).resolve()):
            return found[0]
        return f"`{found[2]}` in the repository"

    source[0] = _OUTSIDE.sub(named, source[0])


def setup(app: Any) -> dict[str, Any]:
    app.connect("builder-inited", write)
    app.connect("autodoc-process-signature", signature)
    app.connect("source-read", leave_outside)
    app.connect("autodoc-process-docstring", read_plainly)
    return {"version": hornbeam.__version__, "parallel_read_safe": True}
