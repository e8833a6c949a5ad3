"""docs/engines.md says of the installed engines what their tables have, and of every engine something."""

from __future__ import annotations

import pytest

from hornbeam.engines import available, get_engine, installed
from hornbeam.engines.table import TableEngine
from tools.engine_support import DOCS, SHOWN, cell, markdown, read, replaced, updated

TEXT = DOCS.read_text()


@pytest.mark.parametrize("name", installed())
def test_the_docs_have_the_engines_table(name: str) -> None:
    table, engine = read(TEXT), get_engine(name)
    assert {p: cells[name] for p, cells in table.items()} == {p: cell(engine, p) for p in SHOWN}


def test_every_engine_but_the_specification_has_a_column() -> None:
    table = read(TEXT)
    assert set(table) == set(SHOWN)
    for cells in table.values():
        assert set(cells) == set(available()) - {"reference"}
        assert "?" not in cells.values()


def test_the_docs_are_what_the_script_writes() -> None:
    assert replaced(TEXT) == TEXT


def test_columns_of_others_are_kept() -> None:
    before = read(TEXT)
    elsewhere = [name for name in available() if name not in (*installed(), "reference")]
    for name in elsewhere:
        before["exp"][name] = "not yet"
    after = updated(before)
    assert all(after["exp"][name] == "not yet" for name in elsewhere)
    assert markdown(after).count("not yet") == len(elsewhere)


def test_what_a_table_lacks_is_said() -> None:
    class Poor(TableEngine):
        name = "poor"
        table = {"exp": abs}  # noqa: RUF012
        compile = put = get = None  # type: ignore[assignment]

    assert [cell(Poor(), name) for name in ("log", "softmax", "exp")] == ["no", "body", "yes"]
