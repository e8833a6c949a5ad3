"""Targets, splits and leaks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hornbeam import auto

RANDOM = np.random.default_rng(7)
N = 300
PRICE = RANDOM.normal(size=N).cumsum()
LABEL = RANDOM.choice(["yes", "no"], N, p=[0.3, 0.7])


def task_of(table: auto.Table, target: str, kind: str | None = None) -> auto.Task:
    return auto.find_task(table, target, kind)[0]


@pytest.mark.parametrize(
    ("values", "kind", "labels"),
    [
        (PRICE, None, ()),
        ([f"{x:.2f}" for x in PRICE], None, ()),
        (LABEL, None, ("no", "yes")),
        (RANDOM.integers(1, 4, N), None, ("1", "2", "3")),
        (RANDOM.integers(1, 4, N), "number", ()),
        (RANDOM.integers(0, 99, N), None, ()),
    ],
)
def test_targets(values: Any, kind: str | None, labels: tuple[str, ...]) -> None:
    task, rows, notes = auto.find_task(auto.read_table({"y": values}), "y", kind)
    assert (sorted(task.labels), len(rows), notes) == (sorted(labels), N, [])


def test_rows_without_a_target_and_rare_classes() -> None:
    labels = ["a"] * 20 + ["b"] * 20 + ["c"] * 3 + [None] * 2
    table = auto.read_table({"y": labels})
    task, rows, notes = auto.find_task(table, "y")
    assert (task.labels, len(rows)) == (("a", "b"), 40)
    assert notes[0] == "2 rows without a value of 'y' are left out"
    assert notes[1].endswith("left out: 'c' (3)")
    assert task.targets(table)[[0, 20, 40, 44]].tolist() == [0, 1, -1, -1]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1.5] * 50, "one value in all rows"),
        (["a"] * 50, r"needs two classes of at least 10 rows each, got 'a' \(50 rows\)"),
        (["a"] * 40 + ["b"] * 9, "needs two classes"),
        (np.datetime64("2020-01-01") + np.arange(50), "has times: make a number of it"),
        ([None] * 50, "got none"),
    ],
)
def test_nothing_to_learn(values: list[Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        auto.find_task(auto.read_table({"y": values}), "y")


def test_unknown_names() -> None:
    table = auto.read_table({"y": PRICE})
    with pytest.raises(ValueError, match="'z' is not a column: y"):
        auto.find_task(table, "z")
    with pytest.raises(ValueError, match="'number' or a 'category', got 'text'"):
        auto.find_task(table, "y", "text")
    with pytest.raises(ValueError, match="no column 'g': the table has y"):
        auto.split(table, task_of(table, "y"), groups="g")


def check(parts: auto.Parts, count: int) -> None:
    rows = np.concatenate([parts.train, parts.calibration, parts.test])
    assert sorted(rows.tolist()) == list(range(count))
    for learned, held_out in parts.folds:
        assert not set(learned) & set(held_out)
        assert max(learned.max(), held_out.max()) < len(parts.train)


@pytest.mark.parametrize(("count", "folds"), [(200, 5), (10_000, 3), (40_000, 1)])
def test_sizes(count: int, folds: int) -> None:
    table = auto.read_table({"x": np.arange(count, dtype=float), "y": np.arange(count, dtype=float)})
    parts = auto.split(table, task_of(table, "y"))
    check(parts, count)
    assert (len(parts.test), len(parts.folds)) == (count // 5, folds)
    again = auto.split(table, task_of(table, "y"))
    assert (again.test == parts.test).all()
    assert (auto.split(table, task_of(table, "y"), seed=1).test != parts.test).any()


def test_classes_keep_their_proportions() -> None:
    table = auto.read_table({"x": PRICE, "y": LABEL})
    parts = auto.split(table, task_of(table, "y"))
    check(parts, N)
    shares = [np.mean(LABEL[rows] == "yes") for rows in (parts.train, parts.calibration, parts.test)]
    assert np.ptp(shares) < 0.03


def test_equal_rows_are_not_separated() -> None:
    ids = np.repeat(np.arange(100), 3)
    table = auto.read_table({"x": ids.astype(float), "c": [f"w{i % 7}" for i in ids], "y": ids * 2.0})
    parts = auto.split(table, task_of(table, "y"))
    check(parts, 300)
    groups = [set(ids[rows]) for rows in (parts.train, parts.calibration, parts.test)]
    assert not groups[0] & groups[1] and not groups[0] & groups[2] and not groups[1] & groups[2]  # noqa: PT018
    assert "200 repeated rows with their likes" in parts.summary


def test_groups_are_not_separated() -> None:
    patient = RANDOM.integers(0, 40, N)
    table = auto.read_table({"p": patient, "x": PRICE, "y": LABEL})
    parts = auto.split(table, task_of(table, "y"), groups="p")
    check(parts, N)
    assert not set(patient[parts.test]) & set(patient[np.concatenate([parts.train, parts.calibration])])
    for learned, held_out in parts.folds:
        assert not set(patient[parts.train[learned]]) & set(patient[parts.train[held_out]])
    few = auto.read_table({"p": patient % 4, "y": LABEL})
    with pytest.raises(ValueError, match="has 4 groups: at least 10 are needed"):
        auto.split(few, task_of(few, "y"), groups="p")


@pytest.mark.parametrize("written", ["numbers", "dates", "times"])
def test_the_future_is_sealed(written: str) -> None:
    when: Any = RANDOM.permutation(N)
    values = when
    if written != "numbers":
        values = np.datetime64("2020-01-01") + when
        values = values if written == "times" else values.astype(str).tolist()
    table = auto.read_table({"t": values, "y": PRICE})
    parts = auto.split(table, task_of(table, "y"), time_column="t")
    check(parts, N)
    assert when[parts.train].max() < when[parts.calibration].min()
    assert when[parts.calibration].max() < when[parts.test].min()
    (learned, held_out) = parts.folds[0]
    assert when[parts.train[learned]].max() < when[parts.train[held_out]].min()


def test_times_that_do_not_do() -> None:
    table = auto.read_table({"t": ["a", "b"] * 150, "n": [None] + [1.0] * (N - 1), "y": PRICE})
    task = task_of(table, "y")
    with pytest.raises(ValueError, match="has neither dates nor numbers"):
        auto.split(table, task, time_column="t")
    with pytest.raises(ValueError, match="no time in 1 rows"):
        auto.split(table, task, time_column="n")
    with pytest.raises(ValueError, match="not both"):
        auto.split(table, task, time_column="n", groups="t")


def noise(scale: float) -> np.ndarray:
    return PRICE + RANDOM.normal(size=N, scale=scale)


LEAKS: dict[str, tuple[Any, Any, bool]] = {
    "another unit": (PRICE, PRICE * 0.9 + 3, True),
    "its logarithm": (PRICE, np.exp(PRICE / 10), True),
    "nearly": (PRICE, noise(0.02), True),
    "a good predictor": (PRICE, noise(2.0), False),
    "noise": (PRICE, RANDOM.normal(size=N), False),
    "bins of it": (PRICE, [f"bin {int(x // 5)}" for x in PRICE], False),
    "the class in other words": (LABEL, np.where(LABEL == "yes", "approved", "refused"), True),
    "a code": (LABEL, (LABEL == "yes") + 0.0, True),
    "missing for one class": (LABEL, np.where(LABEL == "yes", PRICE, np.nan), True),
    "a number that separates": (LABEL, RANDOM.random(N) + 5 * (LABEL == "yes"), True),
    "a number that helps": (LABEL, RANDOM.normal(size=N) + (LABEL == "yes"), False),
}  # fmt: skip


@pytest.mark.parametrize("case", list(LEAKS))
def test_leaks(case: str) -> None:
    target, values, leaks = LEAKS[case]
    table = auto.read_table({"x": values, "y": target})
    task = task_of(table, "y")
    columns = auto.guess_columns(table, "y")
    column = auto.without_leaks(columns, table, task)[0]
    assert (column.kind == "left out", "tells the target" in column.reason) == (leaks, leaks), column
    assert auto.without_leaks(columns, table, task, kept=["x"]) == columns
