"""`hornbeam fit` on files as people have them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hornbeam import auto
from hornbeam.cli import main

RANDOM = np.random.default_rng(11)
N = 120
SIZE = RANDOM.uniform(20, 200, N)
PRICE = 2_000 * SIZE + RANDOM.normal(0, 9_000, N)
SPAM = RANDOM.random(N) < 0.4


def lines(header: str, *columns: Any, separator: str = ",") -> str:
    rows = zip(*columns, strict=True)
    return "\n".join([header, *(separator.join(map(str, row)) for row in rows)]) + "\n"


def decimal(values: np.ndarray) -> list[str]:
    return [f"{value:.1f}".replace(".", ",") for value in values]


# Name -> text, encoding, target, what is said.
FILES: dict[str, tuple[str, str, str, str]] = {
    "decimal commas of a Swiss office": (
        lines("Fläche;Preis", decimal(SIZE), decimal(PRICE), separator=";"), "cp1252", "Preis",
        "values of table.csv are separated by ';'",
    ),
    "an export with a number of each row": (
        lines("customer_id,size,price", range(N), SIZE, PRICE), "utf-8", "price",
        "'customer_id' (numbers the rows)",
    ),
    "a price in two currencies": (
        lines("eur,size,usd", PRICE, SIZE, PRICE * 1.1), "utf-8", "usd",
        "'eur' (tells the target: 100.0% of it)",
    ),
    "dates as text, and words for nothing": (
        lines("day,size,price", [f"{1 + i % 28}.3.20{i % 20:02d}" for i in range(N)],
              ["?" if i % 9 == 0 else value for i, value in enumerate(SIZE)], PRICE),
        "utf-8", "price", "dates: day",
    ),
    "empty and constant columns": (
        lines("a,b,size,price", [""] * N, ["CH"] * N, SIZE, PRICE), "utf-8", "price", "'a' (no value at all)",
    ),
    "names that occur twice": (
        lines("size,size,price", SIZE, SIZE, PRICE), "utf-8", "price", "the second one is 'size (2)' here",
    ),
    "thousands and signs of money": (
        lines("size|price", SIZE, [f"$ {value:,.2f}" for value in PRICE], separator="|"), "utf-8-sig",
        "price", "numbers: size",
    ),
    "targets that are missing": (
        lines("size,price", SIZE, [value if i % 5 else "" for i, value in enumerate(PRICE)]), "utf-8",
        "price", "24 rows without a value of 'price' are left out",
    ),
    "a class with three rows": (
        lines("n,label", RANDOM.normal(size=N) + SPAM, [*np.where(SPAM, "spam", "ham")[3:], *["?!"] * 3]),
        "utf-16", "label", "neither learned nor measured, and are left out: '?!' (3)",
    ),
    "rows that are repeated": (
        lines("size,price", np.repeat(SIZE[:60], 2), np.repeat(PRICE[:60], 2)), "utf-8", "price",
        "60 repeated rows with their likes",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", list(FILES))
def test_messy_files(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text, encoding, target, said = FILES[name]
    path = tmp_path / "table.csv"
    path.write_bytes(text.encode(encoding))
    command = ["fit", str(path), "--target", target, "--trials", "1", "--output", str(tmp_path / "out")]
    assert main(command) == 0
    assert said in capsys.readouterr().out
    predicted = auto.load(tmp_path / "out").predict(path)
    truth = auto.read_table(path)
    if target == "label":
        assert set(predicted) == {"spam", "ham"}
    else:
        values = auto.load(tmp_path / "out").task.targets(truth)
        known = np.isfinite(values)
        assert np.corrcoef(predicted[known], values[known])[0, 1] > 0.9
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == [
        "model.keras", "program.py", "report.txt", "table.json",
    ]  # fmt: skip
    assert main(command) == 1
    assert "has a model already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--target", "cost"], "the target 'cost' is not a column: size, price"),
        (
            ["--target", "price", "--column", "rooms=number"],
            "kinds has 'rooms', but the table has",
        ),
        (["--target", "price", "--groups", "street"], "no column 'street'"),
    ],
)
def test_wrong_names(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "table.csv"
    path.write_text(lines("size,price", SIZE, PRICE))
    assert main(["fit", str(path), *arguments, "--output", str(tmp_path / "out")]) == 1
    assert message in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("arguments", [["--time", "soon"], ["--column", "size"], ["--kind", "text"]])
def test_wrong_arguments(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["fit", "table.csv", "--target", "price", *arguments])
    assert "expected" in (error := capsys.readouterr().err) or "choice" in error


def test_a_file_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", str(tmp_path / "no.csv"), "--target", "price"]) == 1
    assert "no.csv" in capsys.readouterr().err
