"""Rooms of the code: packages of the library, extensions and crates, with their sizes and budgets."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from tests.helpers.paths import ROOT, TESTS
from tests.helpers.sources import rust_code_lines, source_of

BUDGET = TESTS / "structure" / "size_budget.json"
EXTENSIONS = ("hornbeam_compat", "keras_hornbeam")
# Modules of the package that lie in none of its packages.
MODULES = "modules"


@dataclass
class Size:
    """Size of a room: lines of code (without docstrings, comments and blank lines) and nodes of its trees.

    Rust has no nodes here.
    """

    code: int = 0
    nodes: int = 0


def room_of(path: Path, root: Path = ROOT) -> str | None:
    """Return the room of a source file, None for files that are outside of all rooms."""
    parts = path.relative_to(root).parts
    if parts[0] == "crates" and path.suffix == ".rs":
        return f"crates/{parts[1]}"
    if parts[:2] in (("src", "hornbeam"), ("keras", "src")) and path.suffix == ".py":
        return parts[2] if len(parts) > 3 else MODULES
    if parts[0] == "src" and parts[1] in EXTENSIONS and path.suffix == ".py":
        return parts[1]
    return None


def sizes(root: Path = ROOT) -> dict[str, Size]:
    """Measure the rooms of a checkout of Hornbeam, or of Keras, in the order of their names."""
    files = [path for folder in ("src", "keras/src") for path in (root / folder).rglob("*.py")]
    files = [path for path in files if not path.name.endswith("_test.py")]
    files += [path for path in (root / "crates").rglob("*.rs") if "target" not in path.parts]
    rooms: dict[str, Size] = {}
    for path in files:
        if (name := room_of(path, root)) is None:
            continue
        room = rooms.setdefault(name, Size())
        if path.suffix == ".rs":
            room.code += rust_code_lines(path)
        else:
            source = source_of(path)
            room.code += source.code
            room.nodes += source.nodes
    return dict(sorted(rooms.items(), key=lambda item: (_group(item[0]), item[0])))


def totals(rooms: dict[str, Size]) -> dict[str, Size]:
    """Return the sizes of the library, the extensions and the crates."""
    groups: dict[str, Size] = {}
    for name, room in rooms.items():
        group = groups.setdefault(_group(name), Size())
        group.code += room.code
        group.nodes += room.nodes
    return groups


def _group(name: str) -> str:
    if name.startswith("crates/"):
        return "all crates"
    return "all extensions" if name in EXTENSIONS else "the library"


def budget() -> dict[str, int]:
    """Return the largest number of lines of code of each room."""
    lines: dict[str, int] = json.loads(BUDGET.read_text())
    return lines


def lower_budget() -> dict[str, int]:
    """Write today's lines of rooms that are below their budget, drop rooms that are gone, and return both."""
    before, now = budget() if BUDGET.exists() else {}, sizes()
    after = {name: min(room.code, before.get(name, room.code)) for name, room in now.items()}
    BUDGET.write_text(json.dumps(after, indent=2) + "\n")
    return after
