"""The engine reads JSON as the standard library does, with arrays of numbers as one object each."""

from __future__ import annotations

import json
import random
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hornbeam._native import NumberArray, read_json
from hornbeam.serving.tensors import numpy_dtype

MAX_EXACT = 2**53


def plain(value: Any) -> Any:
    """Replace arrays of numbers by lists."""
    if isinstance(value, NumberArray):
        return value.tolist()
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


def expected(text: str | bytes) -> Any:
    """Read by the standard library, without what it takes beyond the standard."""

    def refuse(word: str) -> Any:
        raise ValueError(word)

    def finite(number: str) -> float:
        value = float(number)
        return value if abs(value) < float("inf") else refuse(number)

    def integer(number: str) -> int | float:
        value = int(number)
        return value if -(2**63) <= value < 2**64 else finite(number)

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = dict(pairs)
        return names if len(names) == len(pairs) else refuse("a repeated name")

    if isinstance(text, bytes):
        text = text.decode()
    value = json.loads(
        text, parse_constant=refuse, parse_float=finite, parse_int=integer, object_pairs_hook=once
    )
    json.dumps(value, ensure_ascii=False).encode()  # refuses halves of pairs
    return value


def same(read: Any, wanted: Any) -> bool:
    """Return whether values are equal, with the sign of zero; integers among floats may be floats."""
    if isinstance(wanted, dict):
        return read.keys() == wanted.keys() and all(same(read[name], wanted[name]) for name in wanted)
    if isinstance(wanted, list):
        return len(read) == len(wanted) and all(map(same, read, wanted))
    if type(wanted) is int and type(read) is float:
        return abs(wanted) <= MAX_EXACT and read == wanted
    return type(read) is type(wanted) and repr(read) == repr(wanted)


SPACE = st.text(" \n\r\t", max_size=2)
INTEGERS = st.integers(-(2**63), 2**64 - 1) | st.integers(-300, 300)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
NUMBERS = INTEGERS | FLOATS
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(),
    lambda items: st.lists(items, max_size=4) | st.dictionaries(st.text(), items, max_size=4),
    max_leaves=30,
)
NUMBER_TEXTS = st.from_regex(r"-?(0|[1-9][0-9]{0,24})(\.[0-9]{1,24})?([eE][+-]?[0-9]{1,5})?", fullmatch=True)


@given(VALUES, st.booleans(), SPACE, SPACE)
def test_values_are_those_of_the_standard_library(
    value: Any, ascii_only: bool, before: str, after: str
) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, separators=(f"{before},{after}", f"{after}:{before}"))
    assert same(plain(read_json(f"{before}{text}{after}".encode())), value)


@given(st.lists(NUMBER_TEXTS, min_size=1, max_size=5))
def test_numbers_are_rounded_as_those_of_python(texts: list[str]) -> None:
    text = f"[{','.join(texts)}]"
    try:
        wanted = expected(text)
    except ValueError:
        with pytest.raises(ValueError, match="out of range"):
            read_json(text.encode())
        return
    read = read_json(text.encode())
    assert same(plain(read), wanted)
    if isinstance(read, NumberArray):
        assert np.frombuffer(read.to_bytes("float64")).tolist() == list(map(float, wanted))


DTYPES = [
    *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "bfloat16", "float32", "float64"),
]


@pytest.mark.parametrize("dtype", DTYPES)
@given(data=st.data())
def test_arrays_of_each_dtype(dtype: str, data: st.DataObject) -> None:
    is_float = "float" in dtype
    shape = data.draw(st.lists(st.integers(1, 3), min_size=1, max_size=4))
    if is_float:
        largest = {"float16": 65504.0, "bfloat16": 3.3e38, "float32": 3.4e38}.get(dtype, 1e308)
        elements: st.SearchStrategy[Any] = st.floats(-largest, largest) | st.integers(-1000, 1000)
    else:
        range_ = np.iinfo(dtype)
        elements = st.integers(max(int(range_.min), -MAX_EXACT), min(int(range_.max), MAX_EXACT))
    count = int(np.prod(shape))
    values = data.draw(st.lists(elements, min_size=count, max_size=count))
    nested = np.array(values, object).reshape(shape).tolist()
    array = read_json(json.dumps(nested).encode())
    assert isinstance(array, NumberArray)
    assert array.shape == tuple(shape)
    read = np.frombuffer(array.to_bytes(dtype), numpy_dtype(dtype))
    wanted = np.array(values, "float64" if is_float else "int64").astype(numpy_dtype(dtype))
    np.testing.assert_array_equal(read.view("uint8"), wanted.view("uint8"))


@pytest.mark.parametrize(
    ("text", "dtype", "reason"),
    [
        ("[256]", "uint8", "out of range"),
        ("[-1]", "uint64", "out of range"),
        ("[65520.0]", "float16", "out of range"),
        ("[1e39]", "float32", "out of range"),
        ("[1.0]", "int64", "a fraction or an exponent"),
        ("[1e2]", "int64", "a fraction or an exponent"),
        ("[true]", "float32", "a boolean"),
        ("[0, 1]", "bool", "a number"),
    ],
)
def test_values_that_a_dtype_lacks_are_refused(text: str, dtype: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        read_json(text.encode()).to_bytes(dtype)


@pytest.mark.parametrize(
    "text",
    ["[]", "[[]]", "[[1], [1, 2]]", "[[1], 2]", "[1, [2]]", "[1, true]", '[1, "a"]', f"[{MAX_EXACT + 1}]",
     "[[[1]], [[1, 2]]]", "[1, null]", '[{"a": 1}]', "[" * 65 + "1" + "]" * 65],
)  # fmt: skip
def test_what_is_no_array_of_numbers_becomes_lists(text: str) -> None:
    assert isinstance(read_json(text.encode()), list)
    assert same(plain(read_json(text.encode())), json.loads(text))


@pytest.mark.parametrize(
    "text",
    ["", " ", "[1", "[1,]", "[,1]", "[1 2]", "[01]", "[1.]", "[.5]", "[+1]", "[-]", "[1e]", "[NaN]",
     "[1e400]", "1e400", "Infinity", "nul", "[tru]",
     '{"a"}', '{"a":}', '{a: 1}', '{"a": 1,}', '"a', '"\\x"', '"\\ud800"',
     '"\x01"', "1 2", "\ufeff1", "[1]]", "{1: 2}", "[" * 1025 + "]" * 1025],
)  # fmt: skip
def test_what_is_not_json_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"byte|levels|does not end"):
        read_json(text.encode())


def test_lists_may_be_1024_deep() -> None:
    value = read_json(b"[" * 1024 + b"]" * 1024)
    for _ in range(1023):
        (value,) = value
    assert value == []


@pytest.mark.parametrize("count", [5_000, pytest.param(300_000, marks=pytest.mark.slow)])
def test_mutated_documents_are_read_or_refused_as_by_the_standard_library(count: int) -> None:
    rng = random.Random(0)
    seeds = [
        b'{"inputs": [{"name": "x", "shape": [2, 2], "data": [[1, -2.5e3], [0.125, 4]]}]}',
        b'{"id": "\\u00e4\xc3\xa4", "inputs": []}',
        b'{"instances": [[true, false], [false, true]], "signature_name": null}',
        b"[[[0.1, 0.30000000000000004], [1e-7, 123456789.123456789]], [[1E5, -0], [-0.0, 9007199254740993]]]",
    ]
    letters = b'[]{},:"0123456789.eE+-truefalsn \\\xc3\xff'
    for _ in range(count):
        raw = bytearray(rng.choice(seeds))
        for _ in range(rng.randint(1, 3)):
            at = rng.randrange(len(raw))
            raw[at : at + rng.randint(0, 2)] = bytes(rng.choices(letters, k=rng.randint(0, 2)))
        document = bytes(raw)
        try:
            wanted = expected(document)
        except ValueError:
            with pytest.raises(ValueError, match=r"byte|levels|does not end"):
                read_json(document)
            continue
        assert same(plain(read_json(document)), wanted), document


def test_the_time_is_proportional_to_the_length() -> None:
    """Lists in lists, of which one reveals late that they are no array of numbers."""

    def seconds(document: bytes) -> float:
        start = time.perf_counter()
        read_json(document)
        return time.perf_counter() - start

    numbers = b"1," * 200_000
    for inner in (numbers + b'"x"', b" " * 400_000 + b'"x"', b'"x",' + numbers + b"1"):
        flat = min(seconds(b"[" + inner + b"]") for _ in range(3))
        deep = min(seconds(b"[" * 1000 + inner + b"]" * 1000) for _ in range(3))
        assert deep < 20 * flat + 0.01


@pytest.mark.parametrize(
    "text", ['{"a": 1, "a": 1}', '[{"b": {"a": 1, "c": 0, "a": 2}}]', r'{"a": 1, "\u0061": 2}']
)
def test_a_repeated_name_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"the name 'a' at byte \d+ comes twice"):
        read_json(text.encode())
    assert read_json(b'{"a": {"a": 1}, "A": 1}') == {"a": {"a": 1}, "A": 1}
