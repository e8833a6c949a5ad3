"""Kinds of columns, as guessed and as said."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hornbeam import auto

N = 60
RANDOM = np.random.default_rng(0)


def kinds(**columns: Any) -> dict[str, str]:
    return {c.name: c.kind for c in auto.guess_columns(auto.read_table(columns))}


@pytest.mark.parametrize(
    ("values", "kind", "reason"),
    [
        ([f"{x:.2f}" for x in RANDOM.normal(size=N)], "number", "numbers"),
        ([f"{x:.1f}".replace(".", ",") for x in RANDOM.normal(size=N)], "number", "numbers as 1.234,5"),
        ([f"{x:,.2f}" for x in 1e5 * RANDOM.random(N)], "number", "numbers as 1,234.5"),
        ([f"$ {x:,.0f}" for x in 1e5 * RANDOM.random(N)], "number", "numbers as 1,234.5"),
        ([f"{x:.0f} %" for x in 100 * RANDOM.random(N)], "number", "numbers"),
        ([*("1.5" for _ in range(N)), *("2.5" for _ in range(N)), "unknown"], "number", "where 'unknown'"),
        ([f"{x:.1f}" if x > -0.5 else "k.A." for x in RANDOM.normal(size=N)], "number", "where 'k.A.'"),
        ([f"2024-01-{1 + i % 28:02d}" if i % 5 else "open" for i in range(N)], "date", "where 'open'"),
        ([f"{x:05d}" for x in RANDOM.integers(0, 50, N)], "category", "words"),
        (list(RANDOM.choice(["a", "b"], N)), "category", "2 words"),
        ([f"user{i}" for i in range(N)], "left out", "names the rows"),
        ([f"this is the review number {i}" for i in range(N)], "left out", "sentences"),
        ([f"2024-01-{1 + i % 28:02d}" for i in range(N)], "date", "%Y-%m-%d"),
        ([f"{1 + i % 28}.1.2024" for i in range(N)], "date", "%d.%m.%Y"),
        ([f"1/{1 + i % 28}/2024" for i in range(N)], "date", "%m/%d/%Y"),
        ([f"2024-01-01 {i % 24:02d}:30" for i in range(N)], "date", "%H:%M"),
        (list(range(1_000, 1_000 + N)), "left out", "numbers the rows"),
        ([str(i) for i in RANDOM.permutation(N)], "left out", "numbers the rows"),
        ([None] * N, "left out", "no value at all"),
        (["CH"] * N, "left out", "one value in all rows"),
        ([3.0] * N, "left out", "one value in all rows"),
        ([3.0] * (N - 1) + [None], "number", "numbers"),
        (np.datetime64("2024-01-01") + np.arange(N), "date", "times"),
    ],
)  # fmt: skip
def test_guesses(values: Any, kind: str, reason: str) -> None:
    column = auto.guess_columns(auto.read_table({"x": values}))[0]
    assert (column.kind, reason in column.reason) == (kind, True), column


def test_integers_that_differ_are_identifiers_by_name_only() -> None:
    values = RANDOM.choice(10**7, N, replace=False)
    assert kinds(customerId=values, income=values) == {"customerId": "left out", "income": "number"}


def test_what_the_caller_says() -> None:
    table = auto.read_table({"zip": ["1200", "3000"] * N, "when": ["1/2/2024"] * 2 * N})
    columns = auto.guess_columns(table, kinds={"zip": "category", "when": "left out"})
    assert [(c.kind, c.reason) for c in columns] == [("category", "as you said"), ("left out", "as you said")]
    assert columns[0].values(table)[:2].tolist() == ["1200", "3000"]
    with pytest.raises(ValueError, match="'street', but the table has the columns zip, when"):
        auto.guess_columns(table, kinds={"street": "number"})
    with pytest.raises(ValueError, match="cannot be a 'text': expected one of number, category"):
        auto.guess_columns(table, kinds={"zip": "text"})
    with pytest.raises(ValueError, match="not written as a number: it has values such as '1/2/2024'"):
        auto.guess_columns(table, kinds={"when": "number"})


def test_values_of_numbers_and_dates() -> None:
    table = auto.read_table({"n": ["1.234,5", "7", None, "x"], "d": ["3.2.2024", "1.1.1970", None, "?"]})
    number = auto.Column("n", "number", "1.234,5").values(table)
    assert number[:2].tolist() == [1234.5, 7.0]
    assert np.isnan(number[2:]).all()
    date = auto.Column("d", "date", "%d.%m.%Y").values(table)
    assert date[1] == np.datetime64("1970-01-01")
    assert np.isnat(date[2:]).all()
    with pytest.raises(ValueError, match="expected a column 'm', got the columns n, d"):
        auto.Column("m", "number").values(table)
