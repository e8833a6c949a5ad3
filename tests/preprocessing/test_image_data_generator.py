"""ImageDataGenerator against real Keras's: the same draws, images and files for a seed."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hornbeam as hb
from hornbeam.preprocessing.generator import ImageDataGenerator
from hornbeam.utils import save_img
from tests.helpers.builders import compiled_model

os.environ.setdefault("KERAS_BACKEND", "jax")

X = np.random.default_rng(0).integers(0, 256, (10, 8, 6, 3)).astype("float32")
Y = np.arange(10) % 2

SETTINGS: dict[str, dict[str, Any]] = {
    "turned": {"rotation_range": 40},
    "shifted": {"width_shift_range": 0.2, "height_shift_range": 0.3, "fill_mode": "constant", "cval": 9.0},
    "pixels": {"width_shift_range": 3, "height_shift_range": [0, 2], "fill_mode": "wrap"},
    "sheared": {"shear_range": 20, "zoom_range": 0.3, "fill_mode": "reflect"},
    "zoomed": {"zoom_range": (0.5, 0.9), "interpolation_order": 0},
    "flipped": {"horizontal_flip": True, "vertical_flip": True, "rescale": 1 / 255},
    "channels": {"channel_shift_range": 30.0, "samplewise_std_normalization": True},
    "bright": {"brightness_range": (0.5, 1.5)},
    "everything": {
        "rotation_range": 20, "width_shift_range": 0.1, "shear_range": 5, "zoom_range": 0.1, "rescale": 0.1,
        "horizontal_flip": True, "preprocessing_function": lambda image: image + 1,
    },
    "fitted": {"featurewise_std_normalization": True, "featurewise_center": True},
    "whitened": {"zca_whitening": True, "featurewise_center": True, "zca_epsilon": 1.0},
}  # fmt: skip


def keras_generator(**settings: Any) -> Any:
    pytest.importorskip("keras")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from keras.src.legacy.preprocessing.image import ImageDataGenerator as Theirs

        return Theirs(**settings)


@pytest.fixture
def quiet() -> Any:
    """Real Keras uses a name that SciPy is going to drop."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("name", SETTINGS)
def test_batches(name: str) -> None:
    ours, theirs = ImageDataGenerator(**SETTINGS[name]), keras_generator(**SETTINGS[name])
    if name in ("fitted", "whitened"):
        ours.fit(X)
        theirs.fit(X)
    mine, flow = (g.flow(X, Y, batch_size=4, seed=3) for g in (ours, theirs))
    assert len(mine) == len(flow) == 3
    for _ in range(5):
        (x, y), (expected, labels) = next(mine), next(flow)
        assert y.tolist() == labels.tolist()
        np.testing.assert_allclose(x, expected, rtol=2e-4, atol=2e-3)


@pytest.mark.usefixtures("quiet")
def test_transforms_by_seed() -> None:
    ours, theirs = (make(**SETTINGS["everything"]) for make in (ImageDataGenerator, keras_generator))
    assert ours.get_random_transform((8, 6, 3), seed=5) == pytest.approx(
        theirs.get_random_transform((8, 6, 3), 5)
    )
    np.testing.assert_allclose(ours.random_transform(X[0], 5), theirs.random_transform(X[0], 5), rtol=1e-5)
    x = X[0].copy()
    ours.standardize(x)
    assert (x == X[0]).all()  # the image of the caller stays


@pytest.mark.parametrize("subset", ["training", "validation"])
def test_parts(subset: str) -> None:
    ours, theirs = (make(validation_split=0.4) for make in (ImageDataGenerator, keras_generator))
    mine, flow = (g.flow(X, Y, shuffle=False, subset=subset, batch_size=8) for g in (ours, theirs))
    assert next(mine)[0].tolist() == next(flow)[0].tolist()
    with pytest.raises(ValueError, match="have different classes"):
        ours.flow(X, np.arange(10), subset=subset)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for index in range(9):
        location = tmp_path / "xyz"[index % 3]
        location.mkdir(exist_ok=True)
        save_img(location / f"{index}.png", X[index], scale=False)
    (tmp_path / "x" / "notes.txt").write_text("")
    return tmp_path


@pytest.mark.parametrize("class_mode", ["categorical", "sparse", "input", None])
def test_folders(folder: Path, class_mode: Any) -> None:
    settings = {"target_size": (5, 4), "class_mode": class_mode, "batch_size": 5, "seed": 2}
    mine, flow = (
        make(rescale=1 / 255, validation_split=0.4).flow_from_directory(folder, subset="training", **settings)
        for make in (ImageDataGenerator, keras_generator)
    )
    assert (mine.class_indices, mine.filenames) == (flow.class_indices, flow.filenames)
    assert (mine.samples, mine.image_shape) == (flow.samples, flow.image_shape)
    assert mine.classes.tolist() == flow.classes.tolist()
    for a, b in zip(next(mine), next(flow), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=1e-6)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_frames(folder: Path, library: str) -> None:
    lib = pytest.importorskip(library)
    names = [f"{'xyz'[i % 3]}/{i}.png" for i in range(9)]
    frame = lib.DataFrame(
        {"filename": [*names, "gone.png"], "class": list("abcabcabca"), "n": list(range(10))}
    )
    generator = ImageDataGenerator()
    with pytest.warns(UserWarning, match=r"1 invalid files of column 'filename' are skipped: 'gone\.png'"):
        flow = generator.flow_from_dataframe(frame, folder, target_size=(8, 6), shuffle=False)
    x, y = next(flow)
    np.testing.assert_allclose(x, X[:9])
    assert y.tolist() == np.eye(3)[np.arange(9) % 3].tolist()
    raw = generator.flow_from_dataframe(
        frame, folder, y_col="n", class_mode="raw", validate_filenames=False, shuffle=False, batch_size=9
    )
    assert raw[0][1].tolist() == list(range(9))


def test_training(folder: Path) -> None:
    generator = ImageDataGenerator(rescale=1 / 255, rotation_range=10, validation_split=0.4)
    train, held = (
        generator.flow_from_directory(folder, (8, 6), batch_size=2, subset=part)
        for part in ("training", "validation")
    )
    model = compiled_model(
        (8, 6, 3),
        [hb.layers.Flatten(), hb.layers.Dense(3, activation="softmax")],
        "sgd",
        "categorical_crossentropy",
    )
    history = model.fit(train, validation_data=held, epochs=2, verbose=0)
    assert history.params["steps"] == 3
    assert len(history.history["val_loss"]) == 2
    model.fit(train, steps_per_epoch=train.samples // train.batch_size, epochs=1, verbose=0)
    assert model.predict(held, verbose=0).shape == (3, 3)


def test_workers_change_nothing() -> None:
    def batches(workers: int) -> Any:
        flow = ImageDataGenerator(rotation_range=30).flow(X, Y, batch_size=3, seed=1)
        flow.workers = workers
        return [[x.sum() for x, _ in flow._batches(None)] for _ in range(2)]

    assert batches(1) == batches(4)
    first, second = batches(1)
    assert first != second


def test_images_are_written(tmp_path: Path) -> None:
    next(
        ImageDataGenerator().flow(X, batch_size=4, shuffle=False, save_to_dir=str(tmp_path), save_prefix="p")
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"p_{i}_0.png" for i in range(4)]


@pytest.mark.parametrize(
    ("wrong", "name"),
    [
        (lambda: ImageDataGenerator(fill_mode="mirror"), "fill_mode must be"),
        (lambda: ImageDataGenerator(zoom_range=(1, 2, 3)), "zoom_range must be two numbers or one"),
        (lambda: ImageDataGenerator(validation_split=2), "between 0 and 1"),
        (lambda: ImageDataGenerator().flow(X[0]), "flow.. takes images"),
        (lambda: ImageDataGenerator().flow(X, Y[:4]), "y must have 10 items"),
        (lambda: ImageDataGenerator(featurewise_center=True).standardize(X), "need fit"),
        (lambda: ImageDataGenerator().flow(X, subset="test"), "subset must be"),
    ],
)
def test_mistakes(wrong: Any, name: str) -> None:
    with pytest.raises(ValueError, match=name):
        wrong()
