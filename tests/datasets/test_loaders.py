"""The data sets that are downloaded, read from small files in their formats; and pickles that want to act."""

from __future__ import annotations

import gzip
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hornbeam import config, datasets
from hornbeam.datasets import files, images, pickles, tables, texts

NAMES = [name for name in datasets.__all__ if name != "mnist"]


@pytest.mark.parametrize("name", NAMES)
def test_without_network_the_error_is_clear(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    for module in (images, texts):
        monkeypatch.setattr(module, "GOOGLE", "http://127.0.0.1:9/")
    monkeypatch.setattr(images, "TORONTO", "http://127.0.0.1:9/")
    with pytest.raises(files.DownloadError, match="Without network, copy the file to"):
        getattr(datasets, name).load_data()


def test_unknown_names() -> None:
    with pytest.raises(AttributeError, match="has no 'svhn'"):
        datasets.svhn  # noqa: B018


def test_fashion_mnist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fetched(name: str, *_: Any, **__: Any) -> str:
        count = 3 if name.startswith("train") else 2
        body = bytes(16) + bytes(count * 784) if "images" in name else bytes(8) + bytes(range(count))
        (tmp_path / name).write_bytes(gzip.compress(body))
        return str(tmp_path / name)

    monkeypatch.setattr(images, "get_file", fetched)
    (x_train, y_train), (x_test, y_test) = datasets.fashion_mnist.load_data()
    assert (x_train.shape, x_test.shape) == ((3, 28, 28), (2, 28, 28))
    assert (y_train.tolist(), y_test.tolist()) == ([0, 1, 2], [0, 1])


def _batch(path: Path, keys: tuple[str, ...], start: int) -> None:
    pixels = (np.arange(2 * 3072) % 251).astype("uint8").reshape(2, 3072)
    path.write_bytes(
        pickle.dumps({b"data": pixels, **{k.encode(): [start, start + 1] for k in keys}}, protocol=2)
    )


@pytest.fixture
def cifar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, parts, keys in (
        ("cifar-10-batches-py", [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"], ("labels",)),
        ("cifar-100-python", ["train", "test"], ("fine_labels", "coarse_labels")),
    ):
        (tmp_path / name).mkdir()
        for number, part in enumerate(parts):
            _batch(tmp_path / name / part, keys, number)
    monkeypatch.setattr(images, "get_file", lambda *_, **__: str(tmp_path))


@pytest.mark.usefixtures("cifar")
def test_cifar() -> None:
    (x_train, y_train), (x_test, y_test) = datasets.cifar10.load_data()
    assert (x_train.shape, x_test.shape) == ((10, 32, 32, 3), (2, 32, 32, 3))
    assert y_train.tolist() == [[0], [1], [1], [2], [2], [3], [3], [4], [4], [5]]
    assert y_test.tolist() == [[5], [6]]
    # The file has all red pixels first: the second channel of the first pixel is byte 1024.
    assert x_test[0, 0, 0].tolist() == [0, 1024 % 251, 2048 % 251]
    assert datasets.cifar100.load_data("coarse")[0][0].shape == (2, 32, 32, 3)
    with pytest.raises(ValueError, match="'fine' or 'coarse'"):
        datasets.cifar100.load_data("medium")


@pytest.mark.usefixtures("cifar")
def test_cifar_with_channels_first() -> None:
    config.set_image_data_format("channels_first")
    try:
        assert datasets.cifar10.load_data()[1][0].shape == (2, 3, 32, 32)
    finally:
        config.set_image_data_format("channels_last")


def _objects(*items: list[int]) -> np.ndarray:
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array


@pytest.fixture
def archives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = _objects([1, 5, 9], [2, 3], [8], [4, 4, 4, 4])
    labels = np.array([0, 1, 0, 1])
    np.savez(tmp_path / "imdb.npz", x_train=words, y_train=labels, x_test=words[:2], y_test=labels[:2])
    np.savez(tmp_path / "reuters.npz", x=words, y=labels)
    for name in ("boston_housing", "california_housing"):
        np.savez(tmp_path / f"{name}.npz", x=np.arange(1400.0).reshape(700, 2), y=np.arange(700.0))
    (tmp_path / "imdb_word_index.json").write_text('{"the": 1}')
    (tmp_path / "reuters_word_index.json").write_text('{"mdbl": 1}')
    for module in (texts, tables):
        monkeypatch.setattr(module, "fetch", lambda name, *_: str(tmp_path / name))


def _sorted(split: Any) -> list[Any]:
    return sorted(zip(split[0].tolist(), split[1].tolist(), strict=True))


@pytest.mark.usefixtures("archives")
def test_imdb() -> None:
    train, test = datasets.imdb.load_data()
    assert _sorted(train) == [([1, 4, 8, 2], 0), ([1, 5, 6], 1), ([1, 7, 7, 7, 7], 1), ([1, 11], 0)]
    assert len(test[0]) == 2
    train, _ = datasets.imdb.load_data(num_words=8, skip_top=6, start_char=None, oov_char=None)
    assert _sorted(train) == [([], 0), ([], 0), ([6], 1), ([7, 7, 7, 7], 1)]
    train, _ = datasets.imdb.load_data(maxlen=4)
    assert max(map(len, train[0])) == 3
    with pytest.raises(ValueError, match="fewer than maxlen=2"):
        datasets.imdb.load_data(maxlen=2)
    assert datasets.imdb.get_word_index() == {"the": 1}


@pytest.mark.usefixtures("archives")
def test_reuters() -> None:
    train, test = datasets.reuters.load_data(test_split=0.25)
    assert (len(train[0]), len(test[0])) == (3, 1)
    assert datasets.reuters.get_word_index() == {"mdbl": 1}
    assert len(datasets.reuters.get_label_names()) == 46


@pytest.mark.usefixtures("archives")
def test_housing() -> None:
    (x_train, y_train), (x_test, y_test) = datasets.boston_housing.load_data(test_split=0.1)
    assert (x_train.shape, x_test.shape) == ((630, 2), (70, 2))
    assert sorted([*y_train, *y_test]) == list(range(700))
    np.testing.assert_array_equal(x_train[:, 0], 2 * y_train)
    small = datasets.california_housing.load_data("small")
    assert len(small[0][0]) + len(small[1][0]) == 600
    with pytest.raises(ValueError, match="'large' or 'small'"):
        datasets.california_housing.load_data("medium")
    with pytest.raises(ValueError, match="test_split"):
        datasets.boston_housing.load_data(test_split=1.0)


# -- pickles -----------------------------------------------------------------------------------------------


class Evil:
    def __init__(self, *name: Any) -> None:
        self.what = name

    def __reduce__(self) -> Any:
        return self.what


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize(
    "evil",
    [
        Evil(os.system, ("true",)),
        Evil(eval, ("1",)),
        Evil(getattr, ("", "upper")),
        Evil(np.load, ("x",)),
        Evil(np.ndarray.tofile, (np.zeros(1), "x")),
    ],
    ids=["system", "eval", "getattr", "numpy.load", "method"],
)
def test_pickles_cannot_act(tmp_path: Path, evil: Evil, protocol: int) -> None:
    path = tmp_path / "batch"
    path.write_bytes(pickle.dumps({b"data": evil}, protocol=protocol))
    with pytest.raises(pickle.UnpicklingError, match="refused"):
        pickles.load_pickle(path)


def test_pickles_of_other_arrays_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "batch"
    path.write_bytes(pickle.dumps(np.ma.masked_array([1.0])))
    with pytest.raises(pickle.UnpicklingError, match="refused"):
        pickles.load_pickle(path)


@pytest.mark.parametrize("protocol", [0, 2, 3, 4])
def test_arrays_are_read(tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "batch"
    content = {
        b"data": np.arange(6, dtype="uint8").reshape(2, 3),
        b"labels": [1, 2],
        b"name": "x",
        b"size": 2.5,
    }
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    read = pickles.load_pickle(path)
    np.testing.assert_array_equal(read[b"data"], content[b"data"])
    assert read[b"labels"] == [1, 2]
    assert read[b"size"] == 2.5
