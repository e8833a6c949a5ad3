"""Sphinx extension that generates the API reference: one page for each public module.

Docstrings of Hornbeam are plain text with `code` between single backticks and sections in Google style.
`to_rst` escapes what reStructuredText would take for markup; `sphinx.ext.napoleon` then reads the sections.
"""

from __future__ import annotations

import importlib
import inspect
import re
import types
from itertools import pairwise
from pathlib import Path
from typing import Any

import hornbeam


def public_modules() -> dict[str, types.ModuleType]:
    """Return all public modules by name, nested ones included."""
    modules: dict[str, types.ModuleType] = {"hornbeam": hornbeam}
    queue = [f"hornbeam.{name}" for name in hornbeam._MODULES]
    while queue:
        name = queue.pop(0)
        modules[name] = module = importlib.import_module(name)
        for public_name in getattr(module, "__all__", ()):
            value = getattr(module, public_name)
            if isinstance(value, types.ModuleType) and value.__name__ == f"{name}.{public_name}":
                queue.append(value.__name__)
    return dict(sorted(modules.items()))


def module_page(name: str, module: types.ModuleType, homes: dict[type, str]) -> str:
    """Return the page of one module: its docstring, a table of its names, and an entry for each name.

    `homes` maps a class to the module whose page describes it, and is extended by the classes of this page.
    """
    public_names = [
        public_name
        for public_name in getattr(module, "__all__", ())
        if not public_name.startswith("__") and not isinstance(getattr(module, public_name), types.ModuleType)
    ]
    lines = [name, "=" * len(name), "", f".. automodule:: {name}", "", f".. currentmodule:: {name}", ""]
    lines += [".. autosummary::", "   :nosignatures:", "", *(f"   {each}" for each in public_names), ""]
    for public_name in public_names:
        value = getattr(module, public_name)
        home = homes.setdefault(value, name) if inspect.isclass(value) else name
        lines += [*entry(public_name, value, None if home == name else home), ""]
    return "\n".join(lines)


def entry(name: str, value: Any, home: str | None) -> list[str]:
    """Return the directive that documents a name, or a reference to the page that does (`home`)."""
    if home:
        return [f"``{name}`` is described in :py:mod:`{home}`."]
    if inspect.isclass(value):
        return [f".. autoclass:: {name}", "   :members:"]
    if callable(value):
        return [f".. autofunction:: {name}"]
    return [f".. autodata:: {name}", "   :no-value:"]


def write_pages(app: Any) -> None:
    """Write the pages that changed and delete the obsolete ones, before Sphinx collects its sources."""
    folder = Path(app.srcdir) / "reference"
    folder.mkdir(exist_ok=True)
    homes: dict[type, str] = {}
    # Last the top level, so that a class is described on the page of its family.
    modules = sorted(public_modules().items(), key=lambda item: (item[0] == "hornbeam", item[0]))
    pages = {folder / f"{name}.rst": module_page(name, module, homes) for name, module in modules}
    for obsolete in set(folder.glob("*.rst")) - set(pages):
        obsolete.unlink()
    for path, text in pages.items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


_MARKUP = re.compile(r"([\\*_|<>:])")
_SECTION = re.compile(
    r"(Args|Attributes|Returns|Yields|Raises|Warns|Example|Examples|Note|Notes|References):$"
)
# The field lists that napoleon would misread: it takes text before a colon for a type.
_UNTYPED = {"Returns": ":returns:", "Yields": ":yields:"}
# Sections of entries "name: description" or "name (type): description".
_ENTRIES = {"Args", "Attributes", "Raises", "Warns"}
_ENTRY = re.compile(
    r"(?P<name>\*{0,2}[\w.]+(?:, \*{0,2}[\w.]+)*)(?: \((?P<type>[^)]*)\))?:(?: (?P<text>.*))?$"
)


def escape(text: str) -> str:
    """Escape markup in a text, and turn `code` in backticks into a literal."""
    pieces = re.split(r"`+([^`]+)`+", text)
    for i, piece in enumerate(pieces):
        if i % 2:
            pieces[i] = f"\\ ``{piece.strip()}``\\ "
        else:
            pieces[i] = _MARKUP.sub(r"\\\1", piece).replace("`", r"\`")
    return "".join(pieces)


def prose_to_rst(text: str) -> list[str]:
    """Convert paragraphs, examples (`>>>`) and indented blocks."""
    result: list[str] = []
    for paragraph in re.split(r"\n\s*\n", text):
        if not paragraph.strip():
            continue
        rows = paragraph.splitlines()
        start = next((i for i, row in enumerate(rows) if row.lstrip().startswith(">>>")), len(rows))
        before, example = rows[:start], rows[start:]
        if before and all(row.startswith("  ") for row in before):
            result += ["::", "", *before, ""]
        elif before:
            result += [escape(" ".join(row.strip() for row in before)), ""]
        if example:
            result += [".. code-block:: pycon", "", *(f"   {row}" for row in example), ""]
    return result


def entries_to_rst(text: str) -> list[str]:
    """Convert the entries of a section such as "Args": one line each, its continuation lines joined."""
    entries: list[str] = []
    for row in text.splitlines():
        if row and not row.startswith(" "):
            entries.append(row)
        elif row.strip() and entries:
            entries[-1] += " " + row.strip()
    result: list[str] = []
    for item in entries:
        match = _ENTRY.match(item)
        if match is None:
            raise ValueError(f"A docstring section needs entries 'name: description', not {item!r}.")
        name = match["name"] + (f" ({match['type']})" if match["type"] else "")
        result.append(f"    {name}: {escape(match['text'] or '')}")
    return [*result, ""]


def to_rst(docstring: str) -> list[str]:
    """Convert a dedented docstring to lines of reStructuredText, with sections that napoleon reads."""
    rows = docstring.splitlines()
    starts = [i for i, row in enumerate(rows) if _SECTION.match(row)]
    result = prose_to_rst("\n".join(rows[: starts[0] if starts else len(rows)]))
    for start, end in pairwise([*starts, len(rows)]):
        title = rows[start][:-1]
        stop = next((i for i in range(start + 1, end) if rows[i] and rows[i][0] != " "), end)
        body = inspect.cleandoc("\n" + "\n".join(rows[start + 1 : stop]))
        if title in _UNTYPED:
            result += [f"{_UNTYPED[title]} {escape(' '.join(body.split()))}", ""]
        elif title in _ENTRIES:
            result += [f"{title}:", *entries_to_rst(body)]
        else:
            result += [f"{title}:", *(f"    {row}" if row else "" for row in prose_to_rst(body))]
        result += prose_to_rst("\n".join(rows[stop:end]))
    return result


def convert_docstring(app: Any, kind: str, name: str, value: Any, options: Any, lines: list[str]) -> None:
    docstring = inspect.cleandoc("\n".join(lines))
    if kind == "data" and docstring == inspect.cleandoc(type(value).__doc__ or ""):
        # Undocumented: autodoc falls back to the type.
        lines.clear()
        return
    try:
        converted = to_rst(docstring)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
    # In the docstring of a value, napoleon takes what precedes a colon in the first line for the type.
    lines[:] = ["..", "", *converted] if kind in ("attribute", "data", "property") else converted


def class_signature(
    app: Any, kind: str, name: str, value: Any, options: Any, shown: str | None, returns: str | None
) -> tuple[str | None, str | None] | None:
    """Show the arguments of a class's `__init__`, which a `__new__(*args, **kwargs)` would hide."""
    if kind != "class" or not inspect.isfunction(vars(value).get("__init__", value.__init__)):
        return None
    signature = inspect.signature(value.__init__)
    empty = inspect.Parameter.empty
    parameters = [each.replace(annotation=empty) for each in list(signature.parameters.values())[1:]]
    return str(signature.replace(parameters=parameters, return_annotation=empty)), None


_OUTSIDE = re.compile(r"\[([^]]*)\]\(\.\./(?:\.\./)*([\w./-]+)(?:#[\w-]*)?\)")


def name_outside_files(app: Any, name: str, source: list[str]) -> None:
    """Replace links to files outside docs/, which work in the repository only, by the files' names."""

    def replacement(match: re.Match[str]) -> str:
        target = match[0].rpartition("(")[2].rstrip(")").partition("#")[0]
        path = Path(app.srcdir, name).parent / target
        if path.resolve().is_relative_to(Path(app.srcdir).resolve()):
            return match[0]
        return f"`{match[2]}` in the repository"

    source[0] = _OUTSIDE.sub(replacement, source[0])


def setup(app: Any) -> dict[str, Any]:
    app.connect("builder-inited", write_pages)
    app.connect("autodoc-process-signature", class_signature)
    app.connect("source-read", name_outside_files)
    # Before napoleon, which has the default priority of 500.
    app.connect("autodoc-process-docstring", convert_docstring, priority=400)
    return {"version": hornbeam.__version__, "parallel_read_safe": True}
