"""`data.from_huggingface` on datasets that are built in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import hornbeam as hb

datasets = pytest.importorskip("datasets")


def digits(count: int = 10) -> Any:
    features = datasets.Features({
        "image": datasets.Image(),
        "label": datasets.ClassLabel(names=["even", "odd"]),
        "box": datasets.Array2D((2, 2), "float32"),
        "text": datasets.Value("string"),
        "ids": datasets.List(datasets.Value("int32")),
    })  # fmt: skip
    rows = {
        "image": [Image.new("RGB", (4, 3), (n, 0, 0)) for n in range(count)],
        "label": [n % 2 for n in range(count)],
        "box": [[[n, 0], [0, n]] for n in range(count)],
        "text": [f"t{n}" for n in range(count)],
        "ids": [list(range(n)) for n in range(count)],
    }
    return datasets.Dataset.from_dict(rows, features)


def rows(dataset: hb.data.Dataset) -> list:
    return list(dataset.as_numpy_iterator())


@pytest.mark.parametrize("kind", ["Dataset", "IterableDataset"])
def test_features(kind: str) -> None:
    source = digits() if kind == "Dataset" else digits().to_iterable_dataset(num_shards=3)
    dataset = hb.data.from_huggingface(source, label="label")
    elements = rows(dataset)
    assert len(elements) == 10
    for n, (x, y) in enumerate(elements):
        assert x["image"].shape == (3, 4, 3)
        assert x["image"][0, 0, 0] == n
        assert y == n % 2
        assert np.array_equal(x["box"], [[n, 0], [0, n]])
        assert x["box"].dtype == np.float32
        assert x["text"] == f"t{n}"
        assert x["ids"].tolist() == list(range(n))
    assert dataset.element_spec[0]["image"] == hb.data.TensorSpec((None, None, 3), "uint8")
    (batch,) = rows(hb.data.from_huggingface(source, "image", "label", image_size=(2, 5)).batch(10))
    assert batch[0].shape == (10, 2, 5, 3)
    assert batch[1].tolist() == [0, 1] * 5


@pytest.mark.parametrize("format", ["numpy", "python", "pandas", "arrow"])
def test_the_format_does_not_matter_but_for_its_columns(format: str) -> None:
    source = digits().with_format(format, columns=["label", "text"])
    assert rows(hb.data.from_huggingface(source))[3] == {"label": 1, "text": "t3"}


def test_transforms_are_called() -> None:
    source = digits().with_transform(lambda batch: {"x": [len(i) for i in batch["ids"]], "y": batch["image"]})
    dataset = hb.data.from_huggingface(source, "x", "y")
    assert [x for x, _ in rows(dataset)] == list(range(10))
    assert rows(dataset)[4][1].shape == (3, 4, 3)


def test_order_and_length() -> None:
    numbers = datasets.Dataset.from_dict({"n": range(10_000)})
    dataset = hb.data.from_huggingface(numbers.shuffle(1), "n", shuffle_shards=3)
    assert len(dataset) == 10_000
    first, second = rows(dataset), rows(dataset)
    assert first != second
    assert sorted(first) == sorted(second) == list(range(10_000))
    other = hb.data.from_huggingface(numbers.shuffle(1), "n", shuffle_shards=3)
    assert list(other._stage.run_from(7000)) == first[7000:]
    stream = numbers.to_iterable_dataset(num_shards=4).map(lambda row: {"n": row["n"] + 1})
    dataset, other = (hb.data.from_huggingface(stream, "n", shuffle_shards=2) for _ in range(2))
    assert dataset.cardinality() == hb.data.UNKNOWN_CARDINALITY
    first = rows(dataset)
    assert sorted(first) == list(range(1, 10_001)) != first
    assert list(other._stage.run_from(6001)) == first[6001:]


def test_files_written_by_the_library(tmp_path: Path) -> None:
    digits().to_parquet(tmp_path / "a.parquet")
    elements = rows(hb.data.from_parquet(tmp_path / "a.parquet", "image", "label"))
    assert [x[0, 0, 0] for x, _ in elements] == list(range(10))


def test_errors() -> None:
    parts = datasets.DatasetDict({"train": digits(), "test": digits()})
    with pytest.raises(TypeError, match=r"pass one of its parts, \['train'\], \['test'\]"):
        hb.data.from_huggingface(parts)
    with pytest.raises(TypeError, match=r"from_huggingface takes a Dataset or IterableDataset"):
        hb.data.from_huggingface([1, 2])
    with pytest.raises(ValueError, match=r"Dataset has no column 'labels'. Did you mean 'label'"):
        hb.data.from_huggingface(parts["train"], "labels")
    dates = datasets.Dataset.from_dict({"t": [0]}, datasets.Features({"t": datasets.Value("timestamp[s]")}))
    with pytest.raises(ValueError, match=r"column 't': expected numbers, .* got timestamp\[s\]"):
        hb.data.from_huggingface(dates)
    missing = datasets.Dataset.from_dict({"n": [1, None]})
    with pytest.raises(
        ValueError, match=r"row 1 of the Dataset, column 'n': expected int64, got a missing value"
    ):
        rows(hb.data.from_huggingface(missing))


def test_fit_names_the_way() -> None:
    model = hb.Sequential([hb.Input((3, 4, 3)), hb.layers.Flatten(), hb.layers.Dense(2)])
    model.compile("adam", hb.losses.SparseCategoricalCrossentropy(from_logits=True))
    parts = datasets.DatasetDict({"train": digits()})
    with pytest.raises(TypeError, match=r'from_huggingface\(dataset, "image", label="label"\).batch\(32\)'):
        model.fit(parts["train"], verbose=0)
    with pytest.raises(TypeError, match=r'from_huggingface\(dataset\["train"\], "image"'):
        model.fit(parts, verbose=0)
    model.fit(hb.data.from_huggingface(parts["train"], "image", "label").batch(5), verbose=0)
