"""Columns as inputs: outside of a model and inside of it the same matrix."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hornbeam import auto

TABLE = {
    "size": [1.0, None, 3.0, np.inf],
    "city": ["Rome", "Rome", "Oslo", None],
    "word/slash": ["[UNK]", "[UNK]", "a", "a"],
    "day": ["2024-03-04 06:00", None, "1969-12-31 23:00", "2024-03-10 00:00"],
}


def encoded(data: Any, **kinds: str) -> tuple[auto.Encoder, auto.Table]:
    table = auto.read_table(data)
    return auto.encoder(table, auto.guess_columns(table, kinds=kinds)), table


def test_the_matrix_and_its_names() -> None:
    encoder, table = encoded(TABLE)
    assert [f.name for f in encoder.features] == [
        "size", "size is missing", "day: day", "day: month", "day: weekday", "day: hour", "day is missing",
        "city", "word/slash",
    ]  # fmt: skip
    np.testing.assert_array_equal(
        encoder.matrix(table),
        [
            [1, 0, 19786, 3, 0, 6, 0, 1, 1],
            [2, 1, 19786, 3, 2, 6, 1, 1, 1],
            [3, 0, -1, 12, 2, 23, 0, 0, 2],
            [2, 1, 19792, 3, 6, 0, 0, 0, 2],
        ],
    )


def test_the_model_makes_the_same_matrix() -> None:
    encoder, table = encoded(TABLE)
    inputs = encoder.inputs(table)
    np.testing.assert_array_equal(encoder.model().predict(inputs, verbose=0), encoder.matrix(table))


def test_new_rows_are_written_like_the_old_ones() -> None:
    encoder, _ = encoded(TABLE)
    new = auto.read_table({**TABLE, "city": ["Rome", "Paris", "Oslo", "Rome"], "size": [None, 7, 8, 9]})
    matrix = encoder.matrix(new)
    assert matrix[:, 7].tolist() == [1, 0, 0, 1]
    assert matrix[:, 0].tolist() == [2, 7, 8, 9]


def test_frequent_words_come_first_and_rare_ones_are_unknown() -> None:
    words = [f"w{i}" for i in range(2_000) for _ in range(2)] + ["often"] * 3 + ["once"]
    encoder, table = encoded({"x": words}, x="category")
    codes = encoder.matrix(table)[:, 0]
    assert codes[words.index("often")] == 1
    assert codes[words.index("once")] == 0
    assert codes.max() == 1_000 == len(encoder.features[0].words)


def test_nothing_to_learn_from() -> None:
    with pytest.raises(ValueError, match="no column is left to learn from"):
        encoded({"x": ["a"] * 50})
