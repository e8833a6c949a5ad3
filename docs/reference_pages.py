"""Sphinx extension that generates the API reference: a page for each public module and each public class.

Docstrings of Hornbeam are plain text with `code` between single backticks and sections in Google style.
`to_rst` escapes what reStructuredText would take for markup; `sphinx.ext.napoleon` then reads the sections.
"""

from __future__ import annotations

import importlib
import inspect
import re
import types
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from reference_groups import FAMILIES

import hornbeam


def public_modules() -> dict[str, types.ModuleType]:
    """Return all public modules by name, nested ones included."""
    modules: dict[str, types.ModuleType] = {}
    queue = ["hornbeam"]
    while queue:
        name = queue.pop(0)
        modules[name] = module = importlib.import_module(name)
        for public_name in getattr(module, "__all__", ()):
            value = getattr(module, public_name)
            if isinstance(value, types.ModuleType) and value.__name__ == f"{name}.{public_name}":
                queue.append(value.__name__)
    return dict(sorted(modules.items()))


@dataclass(frozen=True)
class Item:
    """A public value, and where it is described: under the name `module.name`, on the page `page`."""

    module: str
    name: str
    page: str
    value: Any

    @property
    def path(self) -> str:
        return f"{self.module}.{self.name}"


def public_names(module: types.ModuleType) -> list[str]:
    """Return the public names of a module that are no modules themselves."""
    names = getattr(module, "__all__", None)
    if names is None:
        # A module without `__all__`: the classes and functions that are defined in it.
        names = [
            name
            for name, value in vars(module).items()
            if not name.startswith("_")
            and (inspect.isclass(value) or inspect.isfunction(value))
            and f"{value.__module__}.".startswith(f"{module.__name__}.")
        ]
    return [
        name
        for name in names
        if not name.startswith("__") and not isinstance(getattr(module, name), types.ModuleType)
    ]


# Modules of older names, which refer to the other modules for what both have.
_SECONDARY = ("backend", "legacy", "mixed_precision", "preprocessing", "visualization")


def priority(name: str) -> tuple[bool, bool, int, str]:
    """Return the order in which modules describe values that several of them have; the top level is last."""
    parts = name.split(".")
    return name == "hornbeam", any(part in _SECONDARY for part in parts), len(parts), name


def page_of(module_name: str, name: str, value: Any, modules: dict[str, types.ModuleType]) -> str:
    """Return the page of a value: that of the class, of a family of operations, or of the module."""
    if inspect.isclass(value):
        return f"{module_name}.{name}"
    if module_name == "hornbeam.ops":
        for nested in modules:
            if nested.startswith("hornbeam.ops.") and name in public_names(modules[nested]):
                return nested
    return module_name


def catalogue(modules: dict[str, types.ModuleType]) -> dict[int, Item]:
    """Return the item of each public value, by its id."""
    items: dict[int, Item] = {}
    for module_name in sorted(modules, key=priority):
        module = modules[module_name]
        values = {name: getattr(module, name) for name in public_names(module)}
        # First the names that values call themselves, then others for the same ones.
        for name in sorted(values, key=lambda name: getattr(values[name], "__name__", name) != name):
            page = page_of(module_name, name, values[name], modules)
            items.setdefault(id(values[name]), Item(module_name, name, page, values[name]))
    return items


def families(module_name: str, classes: list[str]) -> dict[str, list[str]]:
    """Return the classes of a module by family, in the order of `reference_groups.FAMILIES`."""
    table = FAMILIES.get(module_name.removeprefix("hornbeam."))
    if table is None:
        return {"Classes": classes} if classes else {}
    return {family: names.split() for family, names in table.items()}


def summary(names: list[str]) -> list[str]:
    """Return a table of names with the first sentence of their docstrings."""
    return [".. autosummary::", "   :nosignatures:", "", *(f"   {name}" for name in names), ""]


def heading(text: str, line: str = "-") -> list[str]:
    return [text, line * len(text), ""]


def module_page(name: str, module: types.ModuleType, modules: list[str], items: dict[int, Item]) -> str:
    """Return the page of a module: its docstring, tables of its names, and its functions."""
    all_names = public_names(module)
    items_by_name = {public_name: items[id(getattr(module, public_name))] for public_name in all_names}
    described = [key for key, item in items_by_name.items() if (item.module, item.name) == (name, key)]
    classes = [key for key in described if inspect.isclass(items_by_name[key].value)]
    others = [key for key in described if key not in classes]
    lines = [*heading(name, "="), f".. automodule:: {name}", "", f".. currentmodule:: {name}", ""]
    nested = [each for each in modules if each.rpartition(".")[0] == name]
    if nested and name != "hornbeam":
        lines += [".. toctree::", "   :maxdepth: 1", "", *(f"   {each}" for each in nested), ""]
    for family, names in families(name, classes).items():
        lines += [*heading(family), *summary(names)]
    here = [items_by_name[key] for key in others if items_by_name[key].page == name]
    # Functions of the module whose page is another one, and those of other modules whose page is this one.
    here += [item for item in items.values() if item.page == name != item.module]
    for page in sorted({items_by_name[key].page for key in others} - {name}):
        lines += [*heading(page), *summary([key for key in others if items_by_name[key].page == page])]
    if here:
        lines += [*heading("Functions" if classes or len(here) < len(others) else "Names")]
        lines += summary([item.name if item.module == name else f"~{item.path}" for item in here])
        for item in here:
            lines += [*entry(item), ""]
    elsewhere = [
        (key, item) for key, item in items_by_name.items() if key not in described and item.page != name
    ]
    if elsewhere:
        lines += [*heading("Other names")]
        lines += [f"- ``{key}`` is :py:obj:`{item.path}`" for key, item in elsewhere]
    return "\n".join([*lines, ""])


def class_page(item: Item, family: str) -> str:
    """Return the page of a class."""
    return "\n".join(
        [
            ":orphan:",
            "",
            *heading(item.name, "="),
            f":doc:`{item.module}`" + (f", {family}" if family != "Classes" else ""),
            "",
            f".. currentmodule:: {item.module}",
            "",
            *entry(item),
            "",
        ]
    )


def entry(item: Item) -> list[str]:
    """Return the directive that documents an item."""
    if inspect.isclass(item.value):
        return [f".. autoclass:: {item.path}", "   :members:"]
    if callable(item.value):
        return [f".. autofunction:: {item.path}"]
    return [f".. autodata:: {item.path}", "   :no-value:"]


def reference_pages() -> dict[str, str]:
    """Return the texts of all pages by name: one for each public module, and one for each class."""
    modules = public_modules()
    items = catalogue(modules)
    pages = {name: module_page(name, module, list(modules), items) for name, module in modules.items()}
    for item in items.values():
        if inspect.isclass(item.value):
            table = families(item.module, [item.name])
            family = next((title for title, names in table.items() if item.name in names), "Classes")
            pages[item.page] = class_page(item, family)
    return pages


def write_pages(app: Any) -> None:
    """Write the pages that changed and delete the obsolete ones, before Sphinx collects its sources."""
    folder = Path(app.srcdir) / "reference"
    folder.mkdir(exist_ok=True)
    pages = {folder / f"{name}.rst": text for name, text in reference_pages().items()}
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


def setup(app: Any) -> dict[str, Any]:
    app.connect("builder-inited", write_pages)
    app.connect("autodoc-process-signature", class_signature)
    # Before napoleon, which has the default priority of 500.
    app.connect("autodoc-process-docstring", convert_docstring, priority=400)
    return {"version": hornbeam.__version__, "parallel_read_safe": True}
