"""ONNX operators on strings. Their values are NumPy arrays of str, known when a model is called.

Operators that move elements, or compare them, are applied to numbers instead: positions in a sorted table of
all strings that they see.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hornbeam import ops
from hornbeam.core.symbolic import STRING
from hornbeam.core.typing import TensorLike
from hornbeam.errors import GraphError
from hornbeam.ir.types import numpy_dtype
from hornbeam.onnx.operators.vocabulary import Call, known, object_array, operator, resolved

# Python's own parser of patterns.
_PARSER: Any = importlib.import_module("re._parser" if sys.version_info >= (3, 11) else "sre_parse")

# Operators that take strings as numbers, and how many of their results are strings again.
_MOVING = (
    "Compress Concat Expand Flatten Gather GatherElements GatherND Identity OneHot Pad Reshape "
    "ReverseSequence Scatter ScatterElements ScatterND Slice Split Squeeze Tile Transpose Unsqueeze Where "
    "ai.onnx.ml::ArrayFeatureExtractor"
)
ON_NUMBERS = {**dict.fromkeys(_MOVING.split(), 1000), "Unique": 1, "Equal": 0, "Shape": 0, "Size": 0}


@dataclass(frozen=True)
class Later:
    """Strings of a table by their positions, which a compiled part computes.

    as_rows: instead they are dicts whose keys are the table, with values (rows, keys).
    """

    table: np.ndarray
    numbers: Any
    as_rows: bool = False

    def objects(self, numbers: np.ndarray) -> np.ndarray:
        """Return the strings or dicts for numbers that are known."""
        if not self.as_rows:
            return np.asarray(self.table[numbers])
        rows, keys = numbers.reshape(-1, len(self.table)).tolist(), self.table.tolist()
        return object_array([dict(zip(keys, row, strict=True)) for row in rows], [len(rows)])

    def now_or_later(self) -> Any:
        """Return the strings or dicts if they can be known."""
        numbers = resolved(self.numbers)
        return self.objects(numbers) if isinstance(numbers, np.ndarray) else self


def is_text(x: Any) -> bool:
    """True for strings."""
    return isinstance(x, Later) or (isinstance(x, np.ndarray) and x.dtype == object)


def text_array(x: Any) -> np.ndarray:
    """Convert an array of str or bytes, of any dtype, to one of str."""
    array = np.asarray(x)
    items = [s.decode("utf-8") if isinstance(s, bytes) else s for s in array.reshape(-1).tolist()]
    if others := [s for s in items if not isinstance(s, str)]:
        raise GraphError(f"strings are str or bytes, got {others[0]!r}: fill in missing values first")
    return object_array(items, array.shape)


def as_numbers(inputs: Sequence[Any]) -> tuple[np.ndarray, list[Any]]:
    """Return a sorted table of the strings among some values, and the values with positions in it instead."""
    tables = [x.table if isinstance(x, Later) else x.reshape(-1) for x in inputs if is_text(x)]
    table, positions = np.unique(np.concatenate(tables), return_inverse=True)
    parts = iter(np.split(positions, np.cumsum([len(x) for x in tables])))

    def numbers(x: Any) -> Any:
        return ops.take(next(parts), x.numbers) if isinstance(x, Later) else next(parts).reshape(x.shape)

    return table, [numbers(x) if is_text(x) else x for x in inputs]


def as_strings(op: str, table: np.ndarray, results: Sequence[Any]) -> tuple[Any, ...]:
    """Return the results of an operator with strings in place of their positions."""
    count = ON_NUMBERS[op]
    return tuple(Later(table, x).now_or_later() if i < count else x for i, x in enumerate(results))


def each(x: Any, fn: Callable[[Any], Any], dtype: Any = object) -> Any:
    """Apply a function to each string."""
    if isinstance(x, Later):
        return ops.take(each(x.table, fn, dtype), x.numbers)
    values = known(x, "text")
    if not is_text(values):
        raise GraphError(f"it takes strings, got {values.dtype}")
    return object_array([fn(s) for s in values.reshape(-1).tolist()], values.shape).astype(dtype)


def _written(number: Any) -> str:
    """Write a number as ONNX Runtime does: floats with 8 digits, or 17 if they are doubles."""
    if not isinstance(number, (float, np.floating)):
        return str(int(number))
    if not np.isfinite(number):
        return "NaN" if np.isnan(number) else "INF" if number > 0 else "-INF"
    return f"{number:.17g}" if isinstance(number, float) else f"{number:.8g}"


def cast_text(x: Any, name: str) -> Any:
    """Cast numbers to strings, or strings to a dtype."""
    if name == STRING:
        if is_text(x):
            return x
        values = known(x, "operand")
        return object_array([_written(n) for n in values.reshape(-1)], values.shape)
    dtype = numpy_dtype(name)
    try:
        return each(x, float if dtype.kind == "f" else int, dtype)
    except ValueError as error:
        raise GraphError(f"a string is not a number: {error}") from None


@operator("StringConcat", tensors=0)
def concat(call: Call, x: TensorLike, y: TensorLike) -> np.ndarray:
    """Join strings elementwise."""
    first, second = np.broadcast_arrays(known(x, "text"), known(y, "text"))
    joined = [a + b for a, b in zip(first.flat, second.flat, strict=True)]
    return object_array(joined, first.shape)


@operator("StringSplit", tensors=0)
def split(call: Call, x: TensorLike) -> tuple[np.ndarray, np.ndarray]:
    """Split at a delimiter, or at blanks, and pad by empty strings; return the numbers of parts too."""
    delimiter, most = call.get("delimiter", "") or None, call.get("maxsplit", -1)
    values = known(x, "text")
    parts = [s.split(delimiter, most) if s else [] for s in values.reshape(-1).tolist()]
    counts = np.array([len(row) for row in parts], "int64").reshape(values.shape)
    return _padded(parts, values.shape, ""), counts


def _padded(rows: Sequence[Sequence[str]], shape: Sequence[int], fill: str) -> np.ndarray:
    longest = max(map(len, rows), default=0)
    return object_array(
        [s for row in rows for s in [*row, *[fill] * (longest - len(row))]], (*shape, longest)
    )


@operator("com.microsoft::Tokenizer", tensors=0)
def tokenize(call: Call, x: TensorLike) -> np.ndarray:
    """Split strings into the tokens that match a pattern, or into what separators leave, and pad them."""
    values, expression, separators = known(x, "text"), call.get("tokenexp", ""), call.get("separators", [])
    least, mark = call.get("mincharnum", 1), call.get("mark", 0)
    pattern = _pattern(expression or "|".join(filter(None, separators)) or "(?s:.)")
    is_split = not expression and any(separators)

    def tokens(s: str) -> list[str]:
        parts = pattern.split(s) if is_split else [match.group() for match in pattern.finditer(s)]
        kept = [token for token in parts if len(token) >= least]
        return ["\x02", *kept, "\x03"] if mark else kept

    return _padded([tokens(s) for s in values.reshape(-1).tolist()], values.shape, call.get("pad_value", ""))


@operator("StringNormalizer", tensors=0)
def normalize(call: Call, x: TensorLike) -> np.ndarray:
    """Remove stop words, then change the case; where nothing is left, that is one empty string."""
    values, case = known(x, "text"), call.get("case_change_action", "NONE")
    call.get("locale")  # letters are changed as Unicode has them
    as_read: Callable[[str], str] = str if call.get("is_case_sensitive", 0) else str.lower
    stop = {as_read(s) for s in call.get("stopwords", [])}
    cases: dict[str, Callable[[str], str]] = {"NONE": str, "LOWER": str.lower, "UPPER": str.upper}
    if case not in cases:
        raise GraphError(f"case_change_action={case!r} is not supported")
    kept = [cases[case](s) for s in values.reshape(-1).tolist() if not stop or as_read(s) not in stop] or [""]
    return object_array(kept, (*[1] * (values.ndim - 1), len(kept)))


@operator("RegexFullMatch", tensors=0)
def full_match(call: Call, x: TensorLike) -> TensorLike:
    """Mark strings that a pattern matches from their beginning to their end."""
    pattern = _pattern(call.get("pattern", ""))
    matches: TensorLike = each(x, lambda s: pattern.fullmatch(s) is not None, bool)
    return matches


def _pattern(text: str) -> re.Pattern[str]:
    _check_pattern(_PARSER.parse(text), False)
    return re.compile(text, re.ASCII)  # as \w and \d are in RE2


def _check_pattern(part: Any, repeated: bool) -> None:
    """Raise GraphError for what may take exponential time, or what ONNX's patterns (RE2) do not have."""
    for kind, argument in part:
        name, text = str(kind), not hasattr(argument, "__iter__")
        endless = name.endswith("REPEAT") and argument[1] > 1000
        if name in ("ASSERT", "ASSERT_NOT", "GROUPREF", "GROUPREF_EXISTS") or (
            repeated and (endless or name == "BRANCH")
        ):
            raise GraphError(
                f"patterns with {name.lower()} inside of a repetition, or looking around, are not run"
            )
        for inner in () if text else argument if name != "BRANCH" else argument[1]:
            if isinstance(inner, _PARSER.SubPattern):
                _check_pattern(inner, repeated or endless)
