"""Kinds of columns: the meaning of their values, and which a model does not get."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from hornbeam.auto.table import Table

KINDS = ("number", "category", "date", "left out")
# Formats of dates, the unambiguous ones first. Where a day may be a month, the day comes first.
FORMATS = (
    "%Y-%m-%d", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M", "%Y/%m/%d", "%d.%m.%Y",
    "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%d.%m.%Y %H:%M", "%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M",
)  # fmt: skip
# Ways to write numbers: a pattern, and what to take out or replace before `float`.
STYLES = {
    "1234.5": (re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?"), ()),
    "1,234.5": (re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?|[+-]?\d+(\.\d+)?"), ((",", ""),)),
    "1.234,5": (re.compile(r"[+-]?\d{1,3}(\.\d{3})+(,\d+)?|[+-]?\d+(,\d+)?"), ((".", ""), (",", "."))),
}
_UNITS = re.compile(r"^[\s$€£¥]+|[\s$€£¥%]+$")
# Share of the values that must be numbers, or dates, for the others to count as missing; and the share if
# these are a few different words, such as "unknown".
_MOST, _HALF, _WORDS = 0.98, 0.5, 3
# Integers of a category that is written as numbers are not told from quantities: they stay numbers.
_TEXT_WORDS, _FEWEST = 4, 30


@dataclass(frozen=True)
class Column:
    """Kind of a column, and the form in which it is written.

    Args:
        name: Name in the table.
        kind: "number", "category", "date", or "left out".
        form: Of a number in texts, a key of `STYLES`, "1234.5" without; of a date in texts, its format,
            "%Y-%m-%d" without.
        reason: Why this kind, in a few words.
    """

    name: str
    kind: str
    form: str = ""
    reason: str = ""

    def values(self, table: Table) -> np.ndarray:
        """Return the column: numbers as float64, dates as datetime64, categories as texts, "" if missing.

        Args:
            table: A table with that column.

        Raises:
            ValueError: If the table has no such column.
        """
        if self.name not in table.columns:
            raise ValueError(f"expected a column {self.name!r}, got the columns {', '.join(table.columns)}")
        array = table.columns[self.name]
        if self.kind == "category":
            return texts(array)
        if array.dtype != object:
            return array.astype("float64" if self.kind == "number" else "datetime64[s]")
        return (
            numbers(array, self.form or "1234.5")
            if self.kind == "number"
            else dates(array, self.form or FORMATS[0])
        )

    def is_missing(self, table: Table) -> np.ndarray:
        """Return which values are missing, or are not written as the others.

        Args:
            table: A table with that column.
        """
        values = self.values(table)
        if values.dtype == object:
            return values == ""
        return np.isnat(values) if values.dtype.kind == "M" else ~np.isfinite(values)


def texts(array: np.ndarray) -> np.ndarray:
    """Return values as texts: numbers as short as they can be, "" for missing ones."""
    if array.dtype == object:
        items = ["" if x is None else x for x in array.tolist()]
    elif array.dtype.kind == "M":
        items = ["" if x == "NaT" else x for x in array.astype(str).tolist()]
    else:
        items = ["" if x != x else f"{x:.15g}" for x in array.tolist()]
    result = np.empty(len(items), object)
    result[:] = items
    return result


def numbers(array: np.ndarray, style: str) -> np.ndarray:
    """Read texts as numbers in a style; NaN for others, as for infinite ones.

    Args:
        array: Texts, None for missing ones.
        style: Key of `STYLES`.
    """
    pattern, replacements = STYLES[style]
    result = np.full(len(array), np.nan)
    for row, value in enumerate(array.tolist()):
        if value is None or not pattern.fullmatch(value := _UNITS.sub("", value)):
            continue
        for before, after in replacements:
            value = value.replace(before, after)
        result[row] = float(value)
    result[np.isinf(result)] = np.nan
    return result


def dates(array: np.ndarray, form: str) -> np.ndarray:
    """Read texts as times in a format; NaT for others.

    Args:
        array: Texts, None for missing ones.
        form: Format, as of `datetime.strptime`.
    """
    known: dict[str, datetime | None] = {}
    for value in {x for x in array.tolist() if x is not None}:
        try:
            known[value] = datetime.strptime(value, form)
        except ValueError:
            known[value] = None
    return np.array([known.get(x) for x in array.tolist()], "datetime64[s]")


def guess_columns(
    table: Table, target: str | None = None, kinds: Mapping[str, str] | None = None
) -> list[Column]:
    """Find out what the columns of a table are.

    Args:
        table: The table.
        target: Name of a column that is not among the results.
        kinds: Kinds of columns by name, in place of the guesses.

    Raises:
        ValueError: If `kinds` has an unknown column or kind, or a column cannot be read as that kind.

    Example:
        >>> table = hornbeam.auto.read_table({"rooms": ["3", "4"], "city": ["Rome", "Oslo"]})
        >>> [column.kind for column in hornbeam.auto.guess_columns(table)]
        ['number', 'category']
    """
    kinds = dict(kinds or {})
    for name, kind in kinds.items():
        if name not in table.columns:
            raise ValueError(f"kinds has {name!r}, but the table has the columns {', '.join(table.columns)}")
        if kind not in KINDS:
            raise ValueError(f"column {name!r} cannot be a {kind!r}: expected one of {', '.join(KINDS)}")
    columns = []
    for name, array in table.columns.items():
        if name == target:
            continue
        columns.append(_chosen(name, array, kinds[name]) if name in kinds else _guessed(name, array))
    return columns


def _chosen(name: str, array: np.ndarray, kind: str) -> Column:
    """Return a column of the kind that the caller wants."""
    form, share = "", 1.0 if kind != "date" or array.dtype.kind == "M" else 0.0
    if array.dtype == object and kind in ("number", "date"):
        form, share = (_number_style if kind == "number" else _date_format)(array)
    if not share:
        raise ValueError(
            f"column {name!r} is not written as a {kind}: it has values such as {_example(array)}"
        )
    return Column(name, kind, form, "as you said")


def _example(array: np.ndarray) -> str:
    return ", ".join(repr(x) for x in array.tolist()[:3])


def _guessed(name: str, array: np.ndarray) -> Column:
    present = array[_is_present(array)]
    if not len(present):
        return Column(name, "left out", reason="no value at all")
    distinct = len(np.unique(present if array.dtype != object else present.astype(str)))
    if distinct == 1 and len(present) == len(array):
        return Column(name, "left out", reason="one value in all rows")
    if array.dtype.kind == "M":
        return Column(name, "date", reason="times")
    if array.dtype == object:
        return _guessed_texts(name, array, present, distinct)
    if _counts_rows(name, present, distinct):
        return Column(name, "left out", reason="numbers the rows")
    return Column(name, "number", reason="numbers")


def _guessed_texts(name: str, array: np.ndarray, present: np.ndarray, distinct: int) -> Column:
    if style := number_form(array):
        values = numbers(present, style)
        if _counts_rows(name, values[~np.isnan(values)], distinct):
            return Column(name, "left out", reason="numbers the rows")
        written = "" if style == "1234.5" else f" as {style}"
        return Column(
            name, "number", written and style, f"numbers{written}{_others(present[np.isnan(values)])}"
        )
    form, _ = _date_format(array)
    if form and _are_most(present, readable := ~np.isnat(dates(present, form))):
        return Column(name, "date", form, f"dates as {form}{_others(present[~readable])}")
    if len(present) >= _FEWEST and distinct > 0.9 * len(present):
        words = np.mean([len(x.split()) for x in present.tolist()])
        if words >= _TEXT_WORDS:
            return Column(name, "left out", reason="sentences, which are not read yet")
        return Column(name, "left out", reason="names the rows: nearly all values differ")
    return Column(name, "category", reason=f"{distinct:,} words")


def number_form(array: np.ndarray) -> str:
    """Return the style in which texts are numbers, a key of `STYLES`; "" if they are not, or are codes.

    Args:
        array: Texts, None for missing ones.
    """
    style, share = _number_style(array)
    present = array[_is_present(array)]
    is_code = any(re.fullmatch(r"0\d+", x) for x in present.tolist())
    is_number = share > 0 and _are_most(present, ~np.isnan(numbers(present, style)))
    return style if is_number and not is_code else ""


def _are_most(present: np.ndarray, readable: np.ndarray) -> bool:
    """Return whether nearly all values are readable, or half are, and the others are words for nothing."""
    share = float(np.mean(readable))
    return share >= _MOST or (share >= _HALF and len(set(present[~readable].tolist())) <= _WORDS)


def _others(words: np.ndarray) -> str:
    """Say which words count as missing."""
    distinct = sorted(set(words.tolist()))
    more = f" and {len(distinct) - _WORDS} other words" if len(distinct) > _WORDS else ""
    return f"; missing where {', '.join(map(repr, distinct[:_WORDS]))}{more}" if distinct else ""


def _is_present(array: np.ndarray) -> np.ndarray:
    if array.dtype == object:
        return np.array([x is not None for x in array.tolist()], bool)
    return ~(np.isnat(array) if array.dtype.kind == "M" else np.isnan(array))


def _counts_rows(name: str, values: np.ndarray, distinct: int) -> bool:
    """Return whether integers differ in all rows and are consecutive, or named as an identifier."""
    if len(values) < _FEWEST or distinct < len(values) or (values != np.round(values)).any():
        return False
    is_named = "id" in re.findall("[a-z]+", re.sub("([a-z])([A-Z])", r"\1 \2", name).lower())
    return is_named or values.max() - values.min() == len(values) - 1


def _number_style(array: np.ndarray) -> tuple[str, float]:
    """Return the style that most values have, and their share of those present."""
    present = [_UNITS.sub("", x) for x in array.tolist() if x is not None]
    if not present:
        return "", 0.0
    counts = {
        style: sum(map(bool, map(pattern.fullmatch, present))) for style, (pattern, _) in STYLES.items()
    }
    style = max(counts, key=counts.__getitem__)
    return (style, counts[style] / len(present)) if counts[style] else ("", 0.0)


def _date_format(array: np.ndarray) -> tuple[str, float]:
    present = np.array([x for x in array.tolist() if x is not None], object)
    sample = present[:: max(len(present) // 200, 1)]
    if not len(sample):
        return "", 0.0
    shares = {form: float(np.mean(~np.isnat(dates(sample, form)))) for form in FORMATS}
    form = max(shares, key=shares.__getitem__)
    if not shares[form]:
        return "", 0.0
    return form, float(np.mean(~np.isnat(dates(present, form))))
