"""Folders and Datasets as newcomers use them: `data.look`, unreadable files, splits, the line of `fit`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import data, layers
from hornbeam.errors import TestSetWarning

PIL = pytest.importorskip("PIL.Image")
RNG = np.random.default_rng(0)
X = RNG.normal(size=(30, 4)).astype("float32")
Y = RNG.integers(0, 2, 30)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, count in (("cats", 17), ("dogs", 16)):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for number in range(count):
            pixels = RNG.integers(0, 256, (20, 24, 3), dtype=np.uint8)
            PIL.fromarray(pixels).save(tmp_path / "pets" / name / f"{number}.png")
    return tmp_path / "pets"


def classifier(shape: tuple[int, ...]) -> hb.Model:
    first = [layers.Rescaling(1 / 255), layers.Flatten()] if len(shape) > 1 else []
    model = hb.Sequential([hb.Input(shape), *first, layers.Dense(2, "softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


# -- look ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [32, 33, 64, None])
def test_look_at_images_from_a_folder(folder: Path, batch_size: int | None) -> None:
    """33 samples in batches of 32 ended in NumPy's error, in one batch of 64 as one sample."""
    train = data.images_from_folder(folder, size=16, batch_size=batch_size, verbose=False)
    report = data.look(train, class_names=train.class_names)
    assert report.samples == 33
    assert report.x[0].shape == (33, 16, 16, 3)
    assert sorted(report.images) == ["cats", "dogs"]
    assert report.classes is not None
    assert report.classes.counts.tolist() == [17, 16]


def pairs(count: int, size: int) -> Any:
    for start in range(0, count, size):
        yield X[start : start + size], Y[start : start + size]


SLICES = data.Dataset.from_tensor_slices((X, Y))


@pytest.mark.parametrize(
    "dataset",
    [
        SLICES,
        SLICES.batch(8),
        SLICES.batch(10).prefetch(2),
        SLICES.batch(10).map(lambda x, y: (x * 2, y)),
        SLICES.batch(30),
        SLICES.shuffle(30).batch(7).map(lambda x, y: (x, y)).prefetch(1),
        data.Dataset.from_generator(lambda: pairs(30, 8)),
        data.Dataset.from_generator(lambda: pairs(30, 30)),
    ],
    ids=str,
)
def test_look_at_datasets(dataset: data.Dataset) -> None:
    report = data.look(dataset)
    assert report.samples == 30
    assert report.x[0].shape == (30, 4)


# -- unreadable files ----------------------------------------------------------------------------------------


def test_unreadable_files_are_named_at_once(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "cats" / "broken.png").write_bytes(b"this is no image")
    train = data.images_from_folder(folder, size=16)
    printed = capsys.readouterr().out
    assert "1 file cannot be read and is omitted" in printed
    assert "broken.png" in printed
    (reason,) = train.bad_files.values()
    assert reason in printed
    with pytest.warns(UserWarning, match="1 file cannot be read and is omitted") as caught:
        data.images_from_folder(folder, size=16, verbose=False)
    assert caught[0].filename == __file__


# -- splits --------------------------------------------------------------------------------------------------


def test_splits_unpack_into_what_was_requested(folder: Path) -> None:
    split = data.images_from_folder(folder, size=16, validation=0.2, verbose=False)
    train, validation = split
    assert (train, validation) == (split.train, split.validation)
    assert split.test is None
    assert len(train.file_paths) + len(validation.file_paths) == 33
    train, validation, test = data.images_from_folder(folder, size=16, validation=5, test=6, verbose=False)
    assert [len(part.file_paths) for part in (train, validation, test)] == [22, 5, 6]
    train, test = data.split(X, Y, validation=None, test=0.1, verbose=False)
    assert [len(part[0]) for part in (train, test)] == [27, 3]


def test_keras_s_loader(folder: Path) -> None:
    train, validation = hb.utils.image_dataset_from_directory(
        folder, image_size=(16, 16), validation_split=0.2, subset="both", seed=1, verbose=False
    )
    assert train.class_names == validation.class_names == ["cats", "dogs"]


def test_the_validation_digits_of_the_command_are_as_many_as_promised() -> None:
    from hornbeam.cli.mnist import digits

    labels = hb.datasets.mnist.load_data()[0][1]
    for seed in range(3):
        train, validation = digits.split(labels, digits.VALIDATION, seed)
        assert (len(train), len(validation)) == (55_000, 5000)


# -- fit and evaluate ----------------------------------------------------------------------------------------


def test_the_validation_folder_is_evaluated(folder: Path) -> None:
    train, validation = data.images_from_folder(folder, size=8, validation=0.2, verbose=False)
    other = data.images_from_folder(folder / "..", size=8, labels=None, batch_size=4, verbose=False)
    model = classifier((8, 8, 3))
    model.fit(train, validation_data=validation, verbose=0)
    with pytest.warns(TestSetWarning, match="as validation_data") as caught:
        model.evaluate(validation, verbose=0)
    assert caught[0].filename == __file__
    model.evaluate(validation, verbose=0)  # said once
    model.evaluate(train, verbose=0)
    assert other.file_paths


@pytest.mark.parametrize("make", [
    lambda: SLICES.map(lambda x, y: (x + 1, y)).batch(8),
    lambda: SLICES.batch(8).prefetch(1),
], ids=["stream", "arrays"])  # fmt: skip
def test_the_validation_dataset_is_evaluated(make: Any) -> None:
    model, validation = classifier((4,)), make()
    model.fit(X + 2, Y, validation_data=validation, verbose=0)
    with pytest.warns(TestSetWarning):
        model.evaluate(validation, verbose=0)


@pytest.mark.parametrize(
    ("dataset", "line"),
    [
        (SLICES.batch(32), "30 samples / 32 = 1 update"),
        (SLICES.map(lambda x, y: (x + 1, y)).batch(8), "30 samples / 8 = 4 updates"),
        (SLICES.batch(8).map(lambda x, y: (x + 1, y)).prefetch(1), "30 samples / 8 = 4 updates"),
        (SLICES.map(lambda x, y: (x, y)).batch(8, drop_remainder=True), "24 samples / 8 = 3 updates"),
    ],
)
def test_the_first_line_counts_samples(
    dataset: data.Dataset, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    classifier((4,)).fit(dataset, epochs=2)
    assert capsys.readouterr().out.startswith(line)


def test_the_first_line_of_a_folder(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train = data.images_from_folder(folder, size=8, verbose=False)
    classifier((8, 8, 3)).fit(train, epochs=2)
    assert capsys.readouterr().out.startswith("33 samples / 32 = 2 updates")
