"""Folders as Datasets, against numbers recorded from real Keras by record_folders.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import utils
from hornbeam.data import Dataset, TensorSpec
from hornbeam.data.folders.resizing import resize
from tests.helpers.builders import compiled_model
from tests.helpers.media_folders import FITS, METHODS, ORDERS, WINDOWS, make_folders, png, sound

KERAS = np.load(Path(__file__).with_name("keras_folders.npz"))
# Resizing: weights that TensorFlow takes from a table of 1024 steps, and rounding in float32.
TOLERANCE = {"bicubic": 0.3}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("folders")
    make_folders(folder)
    return folder


def read_images(root: Path, **settings: Any) -> Any:
    return utils.image_dataset_from_directory(root, **{"verbose": False, **settings})


def concatenated(dataset: Dataset) -> list[np.ndarray]:
    batches = [b if isinstance(b, tuple) else (b,) for b in dataset.as_numpy_iterator()]
    return [np.concatenate(parts) for parts in zip(*batches, strict=True)]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("key", "size"), [("up", (13, 11)), ("down", (3, 5))])
def test_resizing(root: Path, key: str, size: tuple[int, int], method: str) -> None:
    ours = concatenated(read_images(root, image_size=size, shuffle=False, interpolation=method))[0][:6]
    theirs = KERAS[f"{key}/{method}"]
    assert ours.dtype == theirs.dtype
    np.testing.assert_allclose(ours, theirs, atol=TOLERANCE.get(method, 1e-3))


@pytest.mark.parametrize("name", FITS)
def test_colours_and_fits(root: Path, name: str) -> None:
    ours = concatenated(read_images(root, image_size=(8, 10), shuffle=False, **FITS[name]))[0][:6]
    # Grey: weights of red, green and blue, rounded by another library.
    np.testing.assert_allclose(ours, KERAS[f"fit/{name}"], atol=1.0 if name == "grey" else 1e-3)


@pytest.mark.parametrize("name", ORDERS)
def test_files_labels_and_splits(root: Path, name: str) -> None:
    dataset = read_images(root, image_size=(2, 2), **ORDERS[name])
    assert [str(Path(path).relative_to(root)) for path in dataset.file_paths] == KERAS[
        f"paths/{name}"
    ].tolist()
    assert (dataset.class_names or []) == KERAS[f"classes/{name}"].tolist()
    if f"labels/{name}" in KERAS:
        labels = concatenated(dataset)[1]
        assert labels.dtype == KERAS[f"labels/{name}"].dtype
        assert labels.tolist() == KERAS[f"labels/{name}"].tolist()


def test_both_parts_and_every_pass_anew(root: Path) -> None:
    train, held = read_images(
        root, image_size=(2, 2), seed=3, validation_split=0.3, subset="both", batch_size=None
    )
    assert train.file_paths == read_images(root, **ORDERS["training"]).file_paths
    assert held.file_paths == read_images(root, **ORDERS["validation"]).file_paths
    passes = [[x.sum() for x, _ in train.as_numpy_iterator()] for _ in range(2)]
    assert sorted(passes[0]) == sorted(passes[1])
    assert passes[0] != passes[1]
    assert len(train) == 7
    assert train.element_spec == (TensorSpec((2, 2, 3)), TensorSpec((), "int32"))


def test_what_was_found_is_said(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    read_images(root, verbose=True, **ORDERS["training"])
    assert capsys.readouterr().out == "Found 10 files belonging to 3 classes.\nUsing 7 files for training.\n"


def test_texts_and_sounds(root: Path) -> None:
    texts = utils.text_dataset_from_directory(root, shuffle=False, max_length=6, verbose=False)
    assert concatenated(texts)[0].tolist() == KERAS["texts"].tolist()
    sounds = utils.audio_dataset_from_directory(root, shuffle=False, verbose=False)
    np.testing.assert_array_equal(concatenated(sounds)[0], KERAS["sounds"])
    cut = utils.audio_dataset_from_directory(root, shuffle=False, verbose=False, output_sequence_length=9)
    np.testing.assert_array_equal(concatenated(cut)[0], KERAS["sounds/9"])


def test_sounds_at_another_rate(tmp_path: Path) -> None:
    time = np.arange(8000) / 8000
    (tmp_path / "a.wav").write_bytes(sound((np.sin(2 * np.pi * 100 * time) * 30000)[:, None]))
    dataset = utils.audio_dataset_from_directory(tmp_path, labels=None, verbose=False, sampling_rate=4000)
    (resampled,) = concatenated(dataset)
    assert resampled.shape == (1, 4000, 1)
    wanted = np.sin(2 * np.pi * 100 * np.arange(4000) / 4000) * 30000 / 2**15
    np.testing.assert_allclose(resampled[0, 50:-50, 0], wanted[50:-50], atol=0.01)


@pytest.mark.parametrize("name", WINDOWS)
def test_windows(name: str) -> None:
    series, targets = np.arange(60.0).reshape(30, 2), np.arange(30) * 10
    dataset = utils.timeseries_dataset_from_array(series, targets, **WINDOWS[name])
    batches = list(dataset.as_numpy_iterator())
    assert len(batches) == len(dataset) == KERAS[f"windows/{name}/number"]
    for part in (0, 1):
        assert batches[0][part].tolist() == KERAS[f"windows/{name}/{part}"].tolist()
        assert batches[-1][part].tolist() == KERAS[f"windows/{name}/{part}/last"].tolist()


def test_windows_are_shuffled_anew() -> None:
    dataset = utils.timeseries_dataset_from_array(
        np.arange(40), None, 3, batch_size=None, shuffle=True, seed=1
    )
    passes = [[int(x[0]) for x in dataset.as_numpy_iterator()] for _ in range(2)]
    assert sorted(passes[0]) == sorted(passes[1]) == list(range(38))
    assert passes[0] != passes[1]
    for wrong, name in (
        ({"sequence_length": 50}, "no window"),
        ({"sequence_length": 3, "sampling_rate": 40}, "sampling_rate must be below"),
        ({"sequence_length": 3, "start_index": 40}, "start_index=40"),
        ({"sequence_length": 0}, "sequence_length must be an integer of at least 1"),
    ):
        with pytest.raises(ValueError, match=name):
            utils.timeseries_dataset_from_array(np.arange(40), None, **wrong)


def test_splitting() -> None:
    data = (np.arange(20), np.arange(20) * 2)
    left, right = utils.split_dataset(data, 0.7, shuffle=True, seed=5)
    assert [x for x, _ in left.as_numpy_iterator()] == KERAS["split/left"].tolist()
    assert [x for x, _ in right.as_numpy_iterator()] == KERAS["split/right"].tolist()
    batched = Dataset.from_tensor_slices(data).batch(3).prefetch(1)
    left, right = utils.split_dataset(batched, right_size=5)
    assert [len(x) for x, _ in left.as_numpy_iterator()] == [3] * 5
    assert sum(len(x) for x, _ in right.as_numpy_iterator()) == 5
    for sizes, error in (
        ((), ValueError),
        ((0.7, 0.7), ValueError),
        ((20,), ValueError),
        (("a",), TypeError),
    ):
        with pytest.raises(error):
            utils.split_dataset(data, *sizes)

    class Torchlike:
        def __len__(self) -> int:
            return 4

        def __getitem__(self, index: int) -> Any:
            return [np.full(2, index), index]

    left, _ = utils.split_dataset(Torchlike(), 0.5)
    assert [int(y) for _, y in left.as_numpy_iterator()] == [0, 1]


# -- mistakes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"label_mode": "ints"}, "label_mode must be one of"),
        ({"labels": "a"}, "labels must be"),
        ({"labels": [1, 2]}, "one entry for each of the 10 files"),
        ({"labels": None, "class_names": ["a"]}, "class_names select folders"),
        ({"class_names": ["a", "z"]}, "class_names has 'z'"),
        ({"validation_split": 0.2}, "given together"),
        ({"validation_split": 0.2, "subset": "training"}, "needs a seed"),
        ({"validation_split": 2, "subset": "training", "seed": 1}, "between 0 and 1"),
        ({"validation_split": 0.2, "subset": "train", "seed": 1}, "subset must be one of"),
        ({"label_mode": "binary"}, "needs two classes, got 3"),
        ({"color_mode": "bgr"}, "color_mode must be"),
        ({"interpolation": "bilinaer"}, "Did you mean 'bilinear'"),
        ({"image_size": (1, 2, 3)}, "image_size must be"),
        ({"crop_to_aspect_ratio": True, "pad_to_aspect_ratio": True}, "exclude each other"),
        ({"format": "grain"}, "hornbeam.data.Dataset"),
    ],
)
def test_mistakes(root: Path, settings: dict[str, Any], name: str) -> None:
    with pytest.raises(ValueError, match=name):
        read_images(root, **settings)


def test_no_folder_and_no_files(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="does not exist"):
        read_images(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="no files of this kind"):
        read_images(tmp_path)


def test_a_broken_image_is_left_out_and_named(tmp_path: Path) -> None:
    for index in range(20):
        (tmp_path / f"{index:02}.png").write_bytes(png(np.full((4, 4, 3), index, "uint8")))
    (tmp_path / "07.png").write_bytes(b"no image")
    dataset = read_images(tmp_path, labels=None, shuffle=False, image_size=(2, 2))
    with pytest.warns(UserWarning, match=r"element dropped: UnidentifiedImageError: .*07\.png.*element 7"):
        (result,) = concatenated(dataset)
    assert result[:, 0, 0, 0].tolist() == [i for i in range(20) if i != 7]
    for index in (1, 2):
        (tmp_path / f"{index:02}.png").write_bytes(b"no image")
    with pytest.warns(UserWarning, match="element dropped"), pytest.raises(OSError, match="cannot identify"):
        concatenated(dataset)


def test_training_from_a_folder(root: Path) -> None:
    dataset = read_images(root, image_size=(8, 8), seed=1, batch_size=4)
    model = compiled_model(
        (8, 8, 3),
        [hb.layers.Rescaling(1 / 255), hb.layers.Flatten(), hb.layers.Dense(3)],
        "sgd",
        hb.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    history = model.fit(dataset, epochs=2, verbose=0)
    assert len(history.history["loss"]) == 2


def test_large_images_shrink_to_averages() -> None:
    image = np.random.default_rng(0).integers(0, 256, (30, 20, 3)).astype("uint8")
    np.testing.assert_allclose(
        resize(image, (3, 2), "area"), image.reshape(3, 10, 2, 10, 3).mean(axis=(1, 3)), rtol=1e-5
    )
