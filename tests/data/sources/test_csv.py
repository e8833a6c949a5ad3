"""`data.from_csv`: dtypes of the first rows, streaming, and errors with file and line."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

import hornbeam as hb


def write(path: Path, *lines: str) -> str:
    path.write_text("\n".join(lines) + "\n")
    return str(path)


@pytest.fixture
def table(tmp_path: Path) -> str:
    return write(tmp_path / "a.csv", "size,name,code,rooms", '1.5,"a, b",007,3', ",c,010,4", "2,d,,5")


def rows(dataset: hb.data.Dataset) -> list:
    return list(dataset.as_numpy_iterator())


def test_dtypes_are_those_of_the_first_rows(table: str) -> None:
    dataset = hb.data.from_csv(table)
    spec = {name: part.dtype for name, part in dataset.element_spec.items()}
    assert spec == {"size": "float32", "name": "string", "code": "string", "rooms": "int64"}
    first, second, third = rows(dataset)
    assert first == {"size": np.float32(1.5), "name": "a, b", "code": "007", "rooms": 3}
    assert np.isnan(second["size"])
    assert third["code"] == ""


@pytest.mark.parametrize(
    ("columns", "label", "expected"),
    [
        ("rooms", None, 3),
        ("rooms", "size", (3, 1.5)),
        (["rooms", "code"], "size", ({"rooms": 3, "code": "007"}, 1.5)),
        (["rooms"], ["size", "name"], ({"rooms": 3}, {"size": 1.5, "name": "a, b"})),
        (None, "size", ({"name": "a, b", "code": "007", "rooms": 3}, 1.5)),
    ],
)
def test_columns_and_label(table: str, columns: object, label: object, expected: object) -> None:
    assert rows(hb.data.from_csv(table, columns, label))[0] == expected


def test_dtypes_can_be_chosen(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "a,b", "1,true", "2,False")
    dataset = hb.data.from_csv(path, dtypes={"a": "uint8", "b": "bool"})
    (batch,) = rows(dataset.batch(8))
    assert batch["a"].dtype == np.uint8
    assert batch["b"].tolist() == [True, False]


def test_a_folder_of_files_compressed_or_not(tmp_path: Path) -> None:
    write(tmp_path / "a.csv", "a;b", "1;x")
    with gzip.open(tmp_path / "b.csv.gz", "wt") as file:
        file.write("a;b\n2;y\n\n3;z\n")
    dataset = hb.data.from_csv(tmp_path, "a", delimiter=";")
    assert rows(dataset) == [1, 2, 3]
    assert dataset.cardinality() == hb.data.UNKNOWN_CARDINALITY


def test_files_without_a_header(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "1,2", "3,4")
    assert rows(hb.data.from_csv(path, "y", column_names=["x", "y"])) == [2, 4]


def test_a_byte_order_mark_is_not_part_of_a_name(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbfa\r\n1\r\n")
    assert rows(hb.data.from_csv(tmp_path / "a.csv", "a")) == [1]


def test_batches_are_those_of_elements(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "a,b", *(f"{n},t{n}" for n in range(2500)))
    dataset = hb.data.from_csv([path, path], "a", "b")
    fast = rows(dataset.batch(700))
    slow = rows(dataset.map(lambda a, b: (a, b)).batch(700))
    assert [len(x) for x, _ in fast] == [700] * 7 + [100]
    for (x, y), (other_x, other_y) in zip(fast, slow, strict=True):
        assert x.tolist() == other_x.tolist()
        assert y.tolist() == other_y.tolist()
    assert [len(x) for x, _ in rows(dataset.batch(700, drop_remainder=True))] == [700] * 7


BAD = [
    ("x", r"line 1502, column 'a': expected int64, as in the first rows or dtypes, got 'x'"),
    ("", r"line 1502, column 'a': expected int64, .* got ''"),
    ("99999999999999999999", r"line 1502, column 'a': expected int64"),
    ("1_0", r"line 1502, column 'a': expected int64"),
    ("1,2,3", r"line 1502: expected 2 values, got 4"),
    ('"1', r"line 1502: not readable as CSV: unexpected end of data"),
]


@pytest.mark.parametrize(("value", "message"), BAD)
def test_a_later_value_that_does_not_fit(tmp_path: Path, value: str, message: str) -> None:
    path = write(tmp_path / "a.csv", "a,b", *(f"{n},t" for n in range(1500)), f"{value},t")
    dataset = hb.data.from_csv(path)
    with pytest.raises(ValueError, match=rf"a.csv, {message}"):
        rows(dataset)


def test_lines_are_counted_in_files_with_long_records(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "a,b", *(f'{n},"two\nlines"' for n in range(1500)), "x,t")
    with pytest.raises(ValueError, match=r"a.csv, line 3002, column 'a'"):
        rows(hb.data.from_csv(path))


def test_numbers_too_large_for_their_dtype(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "a", *(["1.5"] * 1500), "1e300")
    with pytest.raises(ValueError, match=r"line 1502, column 'a': expected float32, .* got '1e300'"):
        rows(hb.data.from_csv(path))
    assert rows(hb.data.from_csv(path, "a", dtypes={"a": "float64"}))[-1] == 1e300


def test_errors_before_anything_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "size,name", "1,a")
    with pytest.raises(ValueError, match=r"a.csv has no column 'nme'. Did you mean 'name'"):
        hb.data.from_csv(path, "nme")
    with pytest.raises(ValueError, match=r"dtypes has 'x'"):
        hb.data.from_csv(path, dtypes={"x": "int32"})
    with pytest.raises(ValueError, match=r"columns must be a name or a list of different names"):
        hb.data.from_csv(path, ["name", "name"])
    with pytest.raises(FileNotFoundError, match=r"no file matches"):
        hb.data.from_csv(tmp_path / "b-*.csv")
    with pytest.raises(FileNotFoundError, match=r"has no file that ends in .csv"):
        hb.data.from_csv((tmp_path / "empty").mkdir() or tmp_path / "empty")
    with pytest.raises(ValueError, match=r"not a local file"):
        hb.data.from_csv("https://example.org/a.csv")
    with pytest.raises(ValueError, match=r"has no rows"):
        hb.data.from_csv(write(tmp_path / "b.csv", "a,b"))
    with pytest.raises(ValueError, match=r"two columns 'a'"):
        hb.data.from_csv(write(tmp_path / "c.csv", "a,a", "1,2"))


def test_files_with_other_columns(tmp_path: Path) -> None:
    write(tmp_path / "a.csv", "a,b", "1,2")
    write(tmp_path / "b.csv", "b,a", "1,2")
    dataset = hb.data.from_csv(tmp_path)
    with pytest.raises(
        ValueError, match=r"b.csv, line 1: expected the columns a, b of the first file, got b, a"
    ):
        rows(dataset)


def test_a_file_in_another_encoding(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("name\nGrün\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"not readable as CSV: 'utf-8' codec"):
        hb.data.from_csv(tmp_path)
    assert rows(hb.data.from_csv(tmp_path, "name", encoding="latin-1")) == ["Grün"]
