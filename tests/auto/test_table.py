"""Tables as strangers write them: delimiters, encodings, marks of missing values, dates, names."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hornbeam import auto


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


ROWS = "name{0}size\nZürich{0}3\nBern{0}\n"


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
def test_delimiters_and_encodings(tmp_path: Path, delimiter: str, encoding: str) -> None:
    table = auto.read_table(write(tmp_path / "a.csv", ROWS.format(delimiter), encoding))
    assert {name: values.tolist() for name, values in table.columns.items()} == {
        "name": ["Zürich", "Bern"],
        "size": ["3", None],
    }
    assert any("not UTF-8" in note for note in table.notes) == (encoding in ("cp1252", "utf-16"))
    assert any("separated" in note for note in table.notes) == (delimiter != ",")


def test_compressed(tmp_path: Path) -> None:
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(ROWS.format(",").encode()))
    assert len(auto.read_table(path)) == 2


def test_values_that_are_missing(tmp_path: Path) -> None:
    words = ["", "NA", "n/a", "NaN", "null", "None", "?", "-"]
    path = write(tmp_path / "a.csv", "x,y\n" + "".join(f"{word},1\n" for word in words))
    assert auto.read_table(path).columns["x"].tolist() == [None] * len(words)


def test_names_that_occur_twice(tmp_path: Path) -> None:
    table = auto.read_table(write(tmp_path / "a.csv", "x,x,\n1,2,3\n"))
    assert list(table.columns) == ["x", "x (2)", "column 3"]
    assert table.notes == ["two columns are named 'x': the second one is 'x (2)' here"]


def test_a_long_file_is_sampled_evenly(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "x,y\n" + "".join(f"{i},{i}\n" for i in range(1_000)))
    table = auto.read_table(path, max_rows=200)
    rows = table.columns["x"].astype(int)
    assert len(np.unique(rows)) == 200
    assert 400 < rows.mean() < 600
    assert table.notes == ["a.csv has 1,000 rows: 200 of them, drawn at random, are used"]


def test_frames(frame_library: Any) -> None:
    frame = frame_library.DataFrame({"n": [1, 2], "t": ["a", None], "b": [True, False]})
    table = auto.read_table(frame)
    assert table.columns["n"].tolist() == [1.0, 2.0]
    assert table.columns["t"].tolist() == ["a", None]
    assert table.columns["b"].tolist() == [1.0, 0.0]


@pytest.fixture(params=["pandas", "polars"])
def frame_library(request: pytest.FixtureRequest) -> Any:
    return pytest.importorskip(request.param, reason="an optional dependency")


def test_frames_with_times() -> None:
    pandas = pytest.importorskip("pandas", reason="an optional dependency")
    frame = pandas.DataFrame({"t": pandas.to_datetime(["2024-02-01 13:00", None], utc=True)})
    values = auto.read_table(frame).columns["t"]
    assert values.tolist()[0] == np.datetime64("2024-02-01T13:00:00").astype("datetime64[s]").item()
    assert np.isnat(values[1])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no rows below its header"),
        ("x,y\n", "has no rows below its header"),
        ("x,y\n1,2\n3\n", r"line 3: expected 2 values as in line 1, got 1|expected 2 values"),
    ],
)
def test_files_that_are_not_tables(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        auto.read_table(write(tmp_path / "a.csv", text))


def test_other_things_are_not_tables() -> None:
    with pytest.raises(TypeError, match=r"expected the path of a CSV or Parquet file, .* got int"):
        auto.read_table(3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="different lengths"):
        auto.read_table({"x": [1], "y": [1, 2]})
    with pytest.raises(FileNotFoundError):
        auto.read_table("no_such_file.csv")
