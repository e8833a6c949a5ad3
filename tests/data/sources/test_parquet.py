"""`data.from_parquet`: types of columns, row groups as shards, and errors with file, row and column."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import hornbeam as hb

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")


def write(path: Path, columns: Any, row_group_size: int = 10) -> Path:
    table = columns if isinstance(columns, pa.Table) else pa.table(columns)
    pq.write_table(table, path, row_group_size=row_group_size)
    return path


def rows(dataset: hb.data.Dataset) -> list:
    return list(dataset.as_numpy_iterator())


def png(value: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (4, 3), (value, 0, 0)).save(file, "PNG")
    return file.getvalue()


def numbered(count: int, first: int = 0) -> dict:
    numbers = np.arange(first, first + count)
    return {"n": numbers, "x": numbers.astype(np.float32) / 2, "name": [f"r{n}" for n in numbers]}


def test_rows_of_several_files(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", numbered(25))
    write(tmp_path / "b.parquet", numbered(15, 25))
    dataset = hb.data.from_parquet(tmp_path, ["x", "name"], "n")
    assert len(dataset) == 40
    assert len(dataset.batch(16)) == 3
    elements = rows(dataset)
    assert elements[7] == ({"x": np.float32(3.5), "name": "r7"}, 7)
    assert [y for _, y in elements] == list(range(40))
    batches = rows(dataset.batch(16))
    assert [y.tolist() for _, y in batches] == [list(range(16)), list(range(16, 32)), list(range(32, 40))]
    assert batches[1][0]["name"].tolist() == [f"r{n}" for n in range(16, 32)]
    assert dataset.batch(16).element_spec[0]["x"] == hb.data.TensorSpec((None,), "float32")


COLUMNS = {
    "uint8": pa.array([1, 2], pa.uint8()),
    "bool": pa.array([True, False]),
    "float16": pa.array(np.array([1, 2], np.float16)),
    "float with null": pa.array([1.5, None]),
    "dictionary": pa.array(["a", "b"]).dictionary_encode(),
    "bytes": pa.array([b"\0a", b"b"]),
    "large string": pa.array(["a", "b"], pa.large_string()),
    "fixed list": pa.array([[1, 2], [3, 4]], pa.list_(pa.int16(), 2)),
    "lists of one length": pa.array([[1, 2], [3, 4]]),
    "lists": pa.array([[1, 2], [3]]),
    "matrices": pa.array([[[1, 2], [3, 4]], [[5, 6], [7, 8]]]),
    "matrices of several sizes": pa.array([[[1, 2]], [[5], [7]]]),
    "lists of strings": pa.array([["a"], ["b", "c"]]),
    "struct": pa.array([{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]),
    "empty lists": pa.array([[], [1.0]]),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_types_of_columns(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / "a.parquet", {"c": pa.concat_arrays([COLUMNS[name]] * 3), "n": range(6)}, 4)
    values = rows(hb.data.from_parquet(path, "c"))
    for value, expected in zip(values, COLUMNS[name].to_pylist() * 3, strict=True):
        if isinstance(expected, dict):
            assert value == expected
        else:
            expected = np.nan if expected is None else expected
            np.testing.assert_array_equal(value, expected)
            assert not isinstance(expected, list) or isinstance(value, np.ndarray)
    if name not in ("lists", "matrices of several sizes", "lists of strings", "struct", "empty lists"):
        batch = rows(hb.data.from_parquet(path, "c").batch(6))[0]
        np.testing.assert_array_equal(batch, np.array(values))


def test_lists_of_several_lengths_are_padded(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", {"c": [[1, 2], [3], []]})
    dataset = hb.data.from_parquet(path, "c")
    assert dataset.element_spec == hb.data.TensorSpec((None,), "int64")
    assert rows(dataset.padded_batch(3))[0].tolist() == [[1, 2], [3, 0], [0, 0]]
    with pytest.raises(hb.errors.ShapeError, match=r"element 1. padded_batch\(\) pads shorter ones"):
        rows(dataset.batch(3))


def test_images(tmp_path: Path) -> None:
    images = [png(n) for n in range(8)]
    path = write(tmp_path / "a.parquet", {"image": images, "n": range(8)}, 3)
    dataset = hb.data.from_parquet(path, "image", "n", images="image", shuffle_shards=1)
    assert dataset.element_spec[0] == hb.data.TensorSpec((None, None, 3), "uint8")
    assert all(x.shape == (3, 4, 3) and x[0, 0, 0] == n for x, n in rows(dataset))
    (batch,) = rows(hb.data.from_parquet(path, "image", images="image", image_size=(2, 2)).batch(8))
    assert batch.shape == (8, 2, 2, 3)


def test_images_of_hugging_face(tmp_path: Path) -> None:
    values = [{"bytes": png(n), "path": f"{n}.png"} for n in range(3)] + [{"bytes": None, "path": "3.png"}]
    features = {"image": {"_type": "Image"}, "n": {"dtype": "int64", "_type": "Value"}}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    table = pa.table({"image": values, "n": range(4)}).replace_schema_metadata(metadata)
    dataset = hb.data.from_parquet(write(tmp_path / "a.parquet", table), "image")
    assert [x[0, 0, 0] for x in rows(dataset.take(3))] == [0, 1, 2]
    with pytest.raises(ValueError, match=r"row 3, column 'image': .* got the path '3.png' without the bytes"):
        rows(dataset)


def test_row_groups_are_shuffled_and_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.parquet", numbered(95))
    dataset, other = (hb.data.from_parquet(path, "n", shuffle_shards=3) for _ in range(2))
    first, second = rows(dataset), rows(dataset)
    assert first != second
    assert sorted(first) == sorted(second) == list(range(95))
    groups: list[int] = []
    read = pq.ParquetFile.iter_batches
    monkeypatch.setattr(
        pq.ParquetFile, "iter_batches", lambda self, n, g, c: groups.extend(g) or read(self, n, g, c)
    )
    assert next(iter(other.batch(5)._stage.run_from(16))).tolist() == first[80:85]
    assert len(groups) == 1


ERRORS = [
    ({"c": [1, 2, None]}, "row 2, column 'c': expected int64, got a missing value"),
    ({"c": ["a", None, "b"]}, "row 1, column 'c': expected string, got a missing value"),
    ({"c": [[1], [2, None], [3]]}, "row 1, column 'c': expected int64, got a missing value"),
    ({"c": [[1], [2], None]}, "row 2, column 'c': expected list.* got a missing value"),
    ({"c": [[[1], [2]], [[1], [2, 3]]]}, "row 1, column 'c': expected lists of one length"),
    ({"c": pa.array([0], pa.timestamp("s"))}, r"column 'c': expected numbers, .* got timestamp\[ms\]: cast"),
    ({"c": [[{"a": 1}]]}, "row 0, column 'c': expected lists of one length, which make an array, got"),
]  # fmt: skip


@pytest.mark.parametrize(("columns", "message"), ERRORS)
def test_values_that_are_no_element(tmp_path: Path, columns: dict, message: str) -> None:
    path = write(tmp_path / "a.parquet", columns)
    with pytest.raises(ValueError, match=rf"a.parquet, {message}"):
        rows(hb.data.from_parquet(path))


def test_rows_are_counted_over_row_groups(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", {"c": [*range(37), None, 1]})
    with pytest.raises(ValueError, match=r"a.parquet, row 37, column 'c'"):
        rows(hb.data.from_parquet(path, shuffle_shards=4))
    image = write(tmp_path / "b.parquet", {"c": [png(0)] * 20 + [b"x"]})
    with pytest.raises(ValueError, match=r"b.parquet, row 20, column 'c': expected an image"):
        rows(hb.data.from_parquet(image, images="c"))


def test_files_that_do_not_fit(tmp_path: Path) -> None:
    first = write(tmp_path / "a.parquet", {"n": [1], "x": [1.0]})
    second = write(tmp_path / "b.parquet", {"n": [1.5], "y": [1.0]})
    with pytest.raises(ValueError, match=r"b.parquet, column 'n': expected int64, .*a.parquet, got double"):
        hb.data.from_parquet([first, second], "n")
    with pytest.raises(ValueError, match=r"b.parquet has no column 'x', which .*a.parquet has"):
        hb.data.from_parquet([first, second], "x")
    with pytest.raises(ValueError, match=r"a.parquet has no column 'z'"):
        hb.data.from_parquet([first, second], "z")
    with pytest.raises(ValueError, match=r"has no column 'x'"):
        hb.data.from_parquet(first, "n", images="x")
    (tmp_path / "c.parquet").write_text("no Parquet")
    with pytest.raises(ValueError, match=r"c.parquet is not a readable Parquet file"):
        hb.data.from_parquet(tmp_path / "c.parquet")
    damaged = bytearray(first.read_bytes())
    damaged[4:40] = bytes(36)
    (tmp_path / "d.parquet").write_bytes(damaged)
    with pytest.raises(ValueError, match=r"d.parquet, row 0: not readable as Parquet"):
        rows(hb.data.from_parquet(tmp_path / "d.parquet"))


def test_a_flipped_bit_is_found_where_a_file_has_checksums(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    numbers = np.random.default_rng(0).normal(size=1000)
    pq.write_table(
        pa.table({"x": numbers}), path, write_page_checksum=True, compression="none", use_dictionary=False
    )
    np.testing.assert_array_equal([row["x"] for row in rows(hb.data.from_parquet(path))], numbers)
    content = bytearray(path.read_bytes())
    content[content.index(numbers[500].tobytes())] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"a.parquet, row 0: not readable as Parquet: .*CRC"):
        rows(hb.data.from_parquet(path))


def test_fit_on_parquet(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 3)).astype(np.float32)
    path = write(tmp_path / "a.parquet", {"x": list(x), "y": x.sum(axis=1)}, 64)
    dataset = hb.data.from_parquet(path, "x", "y", shuffle_shards=1).shuffle(100, seed=1).batch(20)
    model = hb.Sequential([hb.Input((3,)), hb.layers.Dense(1)])
    model.compile(hb.optimizers.Adam(0.05), "mse")
    history = model.fit(dataset, epochs=8, verbose=0)
    assert history.history["loss"][-1] < 0.01
