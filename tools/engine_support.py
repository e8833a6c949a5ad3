"""Write the table of docs/engines.md: the primitives that each engine supports, read from its own table.

    python tools/engine_support.py [--write]

Columns of engines whose library is not installed stay as they are: run it in each environment.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hornbeam.engines import Engine, available, get_engine, installed
from hornbeam.errors import MissingPrimitiveError
from hornbeam.ir.autodiff import outputs_of
from hornbeam.ir.graph import Graph
from hornbeam.ir.node import placeholder
from hornbeam.ir.primitive import PRIMITIVES, bind
from hornbeam.ir.types import DTYPES, TensorType
from hornbeam.primitives.complex_numbers import LOWERED

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.helpers.paths import ROOT
from tests.helpers.primitive_cases import NAMES, dtypes_of, operands, types_of

DOCS = ROOT / "docs" / "engines.md"

BEGIN, END = "<!-- engine support: begin -->\n", "<!-- engine support: end -->\n"
# Derivatives of composites are registered when they are first taken, and computed as their composites are.
# Complex numbers are pairs of real ones in what engines see.
SHOWN = [name for name in PRIMITIVES if not name.endswith("_vjp") and name not in LOWERED]
# Primitive -> engine -> text of the cell.
Cells = dict[str, dict[str, str]]


def cell(engine: Engine, name: str) -> str:
    """ "yes", perhaps with dtypes that are refused, "body" for a composite that is walked, or "no"."""
    if name not in engine.instructions():  # type: ignore[attr-defined]
        return "body" if PRIMITIVES[name].composite else "no"
    refused = dtypes_refused(engine, name) if name in NAMES else set()
    return f"not {', '.join(dtype for dtype in DTYPES if dtype in refused)}" if refused else "yes"


def dtypes_refused(engine: Engine, name: str) -> set[str]:
    """Dtypes with which no sample of a primitive passes the engine's check."""
    primitive = PRIMITIVES[name]
    passing: set[str] = set()
    blamed: set[str] = set()
    for index, sample in enumerate(primitive.samples):
        for dtype in dtypes_of(primitive, sample):
            graph = single(name, types_of(operands(primitive, index, dtype)), sample.params)
            dtypes = {node.dtype for node in (*graph.inputs, *graph.outputs)}
            if passes(engine, graph):
                passing |= dtypes
            else:  # of two dtypes it is the one that not even a reshape takes
                blamed |= {other for other in dtypes if not supports_dtype(engine, other)} or {dtype}
    return blamed - passing


def supports_dtype(engine: Engine, dtype: str) -> bool:
    """Return True if the engine supports the dtype at all."""
    return passes(engine, single("reshape", [TensorType((2,), dtype)], {"shape": (2, 1)}))


def single(name: str, types: Sequence[TensorType], params: dict[str, Any]) -> Graph:
    inputs = [placeholder(type, 0) for type in types]
    return Graph(inputs, outputs_of(bind(PRIMITIVES[name], *inputs, **params)))


def passes(engine: Engine, graph: Graph) -> bool:
    try:
        engine.check(graph)
    except MissingPrimitiveError:
        return False
    return True


def read(text: str) -> Cells:
    """The cells of the table in the docs."""
    rows = [line.strip("|").split("|") for line in text[text.index(BEGIN) : text.index(END)].splitlines()[1:]]
    if not rows:
        return {}
    engines = re.findall(r"`(\w+)`", "".join(rows[0]))
    cells_by_name: Cells = {}
    for names, *cells in rows[2:]:
        for name in re.findall(r"`(\w+)`", names):
            cells_by_name[name] = dict(zip(engines, (c.strip() for c in cells), strict=True))
    return cells_by_name


def updated(before: Cells) -> Cells:
    """Return the cells: recomputed for installed engines, unchanged for the others."""
    here = {name: get_engine(name) for name in installed()}
    if silent := [name for name, engine in here.items() if not hasattr(engine, "instructions")]:
        raise SystemExit(f"no column without instructions(), which a TableEngine has: {', '.join(silent)}")
    table: Cells = {}
    for name in SHOWN:
        table[name] = {}
        for engine in available():
            if engine in here:
                table[name][engine] = cell(here[engine], name)
            elif engine in before.get(name, {}):
                table[name][engine] = before[name][engine]
    return table


def markdown(table: Cells) -> str:
    """The table, primitives with equal cells in one row; rows of few names last."""
    engines = [e for e in available() if any(e in cells for cells in table.values())]
    groups: dict[tuple[str, ...], list[str]] = {}
    for name, cells in table.items():
        groups.setdefault(tuple(cells.get(e, "?") for e in engines), []).append(name)
    lines = [
        f"| | {' | '.join(f'`{e}`' for e in engines)} |",
        f"|---|{'---|' * len(engines)}",
    ]
    for cells, names in sorted(groups.items(), key=lambda group: -len(group[1])):
        lines.append(f"| {' '.join(f'`{name}`' for name in sorted(names))} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def replaced(text: str) -> str:
    """The docs with the table as it should be."""
    table = markdown(updated(read(text)))
    return text[: text.index(BEGIN)] + BEGIN + table + text[text.index(END) :]


if __name__ == "__main__":
    text = replaced(DOCS.read_text())
    if "--write" in sys.argv:
        DOCS.write_text(text)
    else:
        print(text[text.index(BEGIN) + len(BEGIN) : text.index(END)])
