"""From columns to the inputs of a model, and inside of the model to one matrix."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hornbeam import layers, ops
from hornbeam.auto.columns import Column
from hornbeam.auto.table import Table
from hornbeam.core.symbolic import KerasTensor
from hornbeam.models import Model

# Words of a category that are known to a model, the most frequent ones; a word that occurs once is not.
MAX_WORDS, _LEAST = 1_000, 2
# What the lookup calls other words: nothing that a table has.
_UNKNOWN = "\uf8ff"


@dataclass(frozen=True)
class Feature:
    """An input of the model.

    Args:
        name: Name of the input: that of the column, or with a part of a date, or "is missing".
        column: The column.
        part: "value", "is missing", or a part of a date: "day", "month", "weekday", "hour".
        fill: Number in place of a missing one: the median of the training part.
        words: Known words of a category, the most frequent first.
    """

    name: str
    column: Column
    part: str = "value"
    fill: float = 0.0
    words: tuple[str, ...] = ()

    @property
    def is_category(self) -> bool:
        """True for a text, False for a number."""
        return self.column.kind == "category"

    def values(self, table: Table) -> np.ndarray:
        """Return the input of the rows of a table: float32, or texts.

        Args:
            table: A table with that column.
        """
        values = self.column.values(table)
        if self.is_category:
            return values
        if self.part == "is missing":
            return self.column.is_missing(table).astype("float32")
        if self.column.kind == "date":
            values = _part(values, self.part)
        missing = ~np.isfinite(values)
        limit = np.finfo("float32").max
        return np.clip(np.where(missing, self.fill, values), -limit, limit).astype("float32")


def _part(moments: np.ndarray, part: str) -> np.ndarray:
    """Return a part of dates as float64: days since 1970, month 1 to 12, weekday 0 (Monday) to 6, hour."""
    days = moments.astype("datetime64[D]")
    if part == "day":
        values = days.astype("int64")
    elif part == "month":
        values = moments.astype("datetime64[M]").astype("int64") % 12 + 1
    elif part == "weekday":
        values = (days.astype("int64") + 3) % 7
    else:
        values = (moments - days).astype("int64") // 3600
    return np.where(np.isnat(moments), np.nan, values.astype("float64"))


@dataclass(frozen=True)
class Encoder:
    """Inputs of a model, made of the training rows of a table: see `encoder`.

    Args:
        features: Inputs that are numbers, then those that are texts.
    """

    features: tuple[Feature, ...]

    @property
    def numbers(self) -> list[Feature]:
        """The inputs that are numbers: the first columns of the matrix."""
        return [feature for feature in self.features if not feature.is_category]

    @property
    def categories(self) -> list[Feature]:
        """The inputs that are texts: the last columns of the matrix, as numbers of words, 0 if unknown."""
        return [feature for feature in self.features if feature.is_category]

    def inputs(self, table: Table) -> dict[str, np.ndarray]:
        """Return the inputs of the model: an array (rows, 1) for each.

        Args:
            table: A table with these columns.
        """
        return {feature.name: feature.values(table)[:, None] for feature in self.features}

    def matrix(self, table: Table) -> np.ndarray:
        """Return the result of `matrix_of` outside of a model, (rows, inputs) in float32.

        Args:
            table: A table with these columns.
        """
        columns = []
        for feature in self.features:
            values = feature.values(table)
            if feature.is_category:
                codes = {word: code for code, word in enumerate(feature.words, 1)}
                values = np.array([codes.get(word, 0) for word in values.tolist()], "float32")
            columns.append(values)
        return np.stack(columns, 1)

    def symbols(self) -> dict[str, KerasTensor]:
        """Return symbolic inputs by name."""
        return {
            feature.name: layers.Input((1,), dtype="string" if feature.is_category else "float32", name=name)
            for feature, name in zip(self.features, _layer_names(self.features), strict=True)
        }

    def matrix_of(self, symbols: dict[str, KerasTensor]) -> KerasTensor:
        """Return the matrix of symbolic inputs.

        Args:
            symbols: Result of `symbols`.
        """
        columns = []
        for feature in self.features:
            symbol: Any = symbols[feature.name]
            if feature.is_category:
                lookup = layers.StringLookup(vocabulary=list(feature.words), oov_token=_UNKNOWN)
                symbol = ops.cast(lookup(symbol), "float32")
            columns.append(symbol)
        return layers.Concatenate(name="matrix")(columns) if len(columns) > 1 else columns[0]

    def model(self) -> Model:
        """Return a model from the inputs to the matrix."""
        symbols = self.symbols()
        return Model(symbols, self.matrix_of(symbols), name="encoder")


def _layer_names(features: Sequence[Feature]) -> list[str]:
    """Return names for layers, which have no slash."""
    return [feature.name.replace("/", "|") for feature in features]


def encoder(table: Table, columns: Sequence[Column]) -> Encoder:
    """Make the inputs of a model out of columns.

    Numbers stay as they are; missing ones become the median, beside an input that says so if any is missing
    here. Dates become days since 1970, month and weekday, and hour if they have times. Words of categories
    that occur twice are known, at most 1,000; all others are one more word.

    Args:
        table: Training rows, which alone are read.
        columns: Columns; those left out are.

    Raises:
        ValueError: If no column is left.

    Example:
        >>> table = hornbeam.auto.read_table({"rooms": [3, None, 5.0]})
        >>> hornbeam.auto.encoder(table, hornbeam.auto.guess_columns(table)).matrix(table).tolist()
        [[3.0, 0.0], [4.0, 1.0], [5.0, 0.0]]
    """
    numbers: list[Feature] = []
    categories: list[Feature] = []
    for column in columns:
        if column.kind == "left out":
            continue
        values = column.values(table)
        if column.kind == "category":
            counts = Counter(values.tolist())
            known = [(-count, word) for word, count in counts.items() if count >= _LEAST]
            words = tuple(word for _, word in sorted(known)[:MAX_WORDS])
            categories.append(Feature(column.name, column, words=words or (min(counts),)))
            continue
        missing = column.is_missing(table)
        if missing.all():
            continue
        for part in _parts(values[~missing]) if column.kind == "date" else ["value"]:
            present = (_part(values, part) if column.kind == "date" else values)[~missing]
            name = column.name if part == "value" else f"{column.name}: {part}"
            numbers.append(Feature(name, column, part, float(np.median(present))))
        if missing.any():
            numbers.append(Feature(f"{column.name} is missing", column, "is missing"))
    if not numbers and not categories:
        raise ValueError("no column is left to learn from: pass kinds={'name': 'number'} for one")
    return Encoder((*numbers, *categories))


def _parts(moments: np.ndarray) -> list[str]:
    has_times = (moments != moments.astype("datetime64[D]")).any()
    return ["day", "month", "weekday", *(["hour"] if has_times else [])]
