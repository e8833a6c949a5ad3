"""`images_from_folder`: pixels against Pillow, what is said, bad files, order for any number of workers."""

from __future__ import annotations

import ctypes
import io
import logging
import threading
import warnings
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

import hornbeam as hb
from hornbeam import layers, utils
from hornbeam.data import TensorSpec, find_duplicates, images_from_folder
from hornbeam.data.folders import image_loader
from hornbeam.data.folders.image_decoding import resize_box
from hornbeam.data.folders.resize_plan import assign_buckets
from hornbeam.data.pipeline import prefetch
from hornbeam.utils.images import resampling_filter
from tests.helpers.builders import compiled_model

SIZES = [(40, 30), (30, 40), (64, 17), (50, 50), (20, 20), (13, 90), (97, 96), (31, 47)]  # width, height
FILTER = Image.Resampling.BILINEAR


def noise(size: tuple[int, int], seed: int, channels: int = 3) -> np.ndarray:
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], channels), dtype="uint8")
    return pixels if channels > 1 else pixels[..., 0]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of all SIZES, in folders "a" and "b" by turns."""
    result = tmp_path_factory.mktemp("images")
    for number, size in enumerate(SIZES * 3):
        folder = result / "ab"[number % 2]
        folder.mkdir(exist_ok=True)
        Image.fromarray(noise(size, number)).save(folder / f"{number:02}.png")
    return result


def quiet(path: Any, *args: Any, **settings: Any) -> Any:
    return images_from_folder(path, *args, **{"verbose": False, "draft": False, **settings})


def concatenated(dataset: Any) -> Any:
    """All images and labels of a pass."""
    batches = [b if isinstance(b, tuple) else (b,) for b in dataset.as_numpy_iterator()]
    parts = [np.concatenate(parts) for parts in zip(*batches, strict=True)]
    return parts[0] if len(parts) == 1 else parts


def single(folder: Path, image: Any, name: str = "a.png", size: Any = None, **settings: Any) -> np.ndarray:
    """Return one image as it is read from a folder."""
    folder.mkdir(exist_ok=True)
    save = settings.pop("save", {})
    image.save(folder / name, **save)
    dataset = quiet(folder, size, labels=None, **settings)
    pixels: np.ndarray = concatenated(dataset)[0]
    (folder / name).unlink()
    return pixels


# -- pixels ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("interpolation", ["bilinear", "nearest", "lanczos"])
@pytest.mark.parametrize("resize", ["stretch", "pad", "crop"])
@pytest.mark.parametrize("size", [(24, 32), (40, 16), (110, 110)])  # height, width
def test_policies_are_those_of_pillow(
    root: Path, resize: str, size: tuple[int, int], interpolation: str
) -> None:
    kind = getattr(Image.Resampling, interpolation.upper())
    ways: dict[str, Any] = {
        "stretch": lambda p, s: p.resize(s, kind),
        "pad": lambda p, s: ImageOps.pad(p, s, kind, color=(7, 7, 7)),
        "crop": lambda p, s: ImageOps.fit(p, s, kind),
    }
    dataset = quiet(root, size, resize, shuffle=False, interpolation=interpolation, fill=7)
    pixels, labels = concatenated(dataset)
    assert pixels.dtype == np.float32
    assert labels.tolist() == [0] * 12 + [1] * 12
    for path, result in zip(dataset.file_paths, pixels, strict=True):
        np.testing.assert_array_equal(result, np.asarray(ways[resize](Image.open(path), size[::-1])))


def test_random_crops_are_places_of_pillow(root: Path) -> None:
    """Each image is `fit` for some centre, another one every pass."""
    dataset = quiet(root, 16, "random_crop", shuffle=False, seed=3, dtype="uint8")
    first, second = concatenated(dataset)[0], concatenated(dataset)[0]
    assert (first != second).any(axis=(1, 2, 3)).sum() >= 15  # some images are square
    for path, result in zip(dataset.file_paths, first, strict=True):
        image = Image.open(path)
        long = max(image.size) - min(image.size)
        tries = [
            np.asarray(ImageOps.fit(image, (16, 16), FILTER, centering=(c, c)))
            for c in np.linspace(0, 1, 4 * long + 1)
        ]
        assert min(np.abs(t.astype(int) - result).mean() for t in tries) < 8


@pytest.mark.parametrize("turned", range(1, 9))
@pytest.mark.parametrize("resize", ["pad", "crop"])
def test_drafts_are_near_the_whole(tmp_path: Path, resize: str, turned: int) -> None:
    """Smooth images that the decoder makes smaller: less than a level apart on average. Sizes are such
    that the smaller image ends in the middle of a pixel."""
    smooth = Image.fromarray(noise((6, 4), 1)).resize((604, 451), Image.Resampling.BICUBIC)
    exif = Image.Exif()
    exif[0x0112] = turned
    settings = {"size": (50, 56), "resize": resize, "name": "a.jpg", "save": {"quality": 95, "exif": exif}}
    exact = single(tmp_path, smooth, **settings)
    assert 0 < np.abs(single(tmp_path, smooth, draft=True, **settings) - exact).mean() < 1


def test_photos_of_several_images(tmp_path: Path) -> None:
    """The first one of those that telephones write (MPO, which is JPEG with others behind it)."""
    first, second = (
        Image.fromarray(noise((6, 4), n)).resize((600, 400), Image.Resampling.BICUBIC) for n in (1, 2)
    )
    save = {"format": "MPO", "save_all": True, "append_images": [second], "quality": 95}
    exact = single(tmp_path, first, "a.jpg", 50, save=save)
    wanted = np.asarray(ImageOps.pad(first, (50, 50), FILTER)).astype(float)
    assert np.abs(exact - wanted).mean() < 2
    drafted = single(tmp_path, first, "a.jpg", 50, save=save, draft=True)
    assert 0 < np.abs(drafted - exact).mean() < 1


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.tif"])
def test_turned_upright(tmp_path: Path, name: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    settings: dict[str, Any] = {"exif": exif, **({"lossless": True} if name == "a.webp" else {})}
    image = Image.fromarray(noise((24, 16), 0))
    buffer = io.BytesIO()
    image.save(buffer, {"jpg": "JPEG", "png": "PNG", "webp": "WEBP", "tif": "TIFF"}[name[2:]], **settings)
    wanted = np.asarray(ImageOps.exif_transpose(Image.open(buffer)).convert("RGB"))
    assert wanted.shape[:2] == ((16, 24) if orientation < 5 else (24, 16))
    images = single(tmp_path, image, name, save=settings)
    np.testing.assert_array_equal(images, wanted)


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.gif", "a.tiff", "a.JPG", "a.jpeg", "a.webp"])
def test_formats(tmp_path: Path, name: str) -> None:
    image = Image.fromarray(noise((9, 7), 2))
    buffer = io.BytesIO()
    kind = {"JPG": "JPEG", "jpeg": "JPEG"}.get(name[2:], name[2:].upper())
    image.save(buffer, kind)
    np.testing.assert_array_equal(
        single(tmp_path, image, name), np.asarray(Image.open(buffer).convert("RGB"))
    )


def test_colours(tmp_path: Path) -> None:
    grey, colour, alpha = (Image.fromarray(noise((8, 8), 3, c)) for c in (1, 3, 4))
    np.testing.assert_array_equal(single(tmp_path, grey), np.asarray(grey.convert("RGB")))
    np.testing.assert_array_equal(
        single(tmp_path, colour, color_mode="grayscale")[..., 0], np.asarray(colour.convert("L"))
    )
    np.testing.assert_array_equal(single(tmp_path, alpha, color_mode="rgba"), np.asarray(alpha))
    np.testing.assert_array_equal(single(tmp_path, colour, color_mode="rgba")[..., 3], 255)
    ground = Image.new("RGBA", (8, 8), (200, 200, 200, 255))
    ground.alpha_composite(alpha)
    images = single(tmp_path, alpha, fill=200)
    np.testing.assert_array_equal(images, np.asarray(ground)[..., :3])
    cmyk = colour.convert("CMYK")
    np.testing.assert_array_equal(single(tmp_path, cmyk, "a.tif"), np.asarray(cmyk.convert("RGB")))
    few = colour.quantize(8)
    clear = single(tmp_path, few, "a.gif", save={"transparency": 0}, fill=9)
    drawn = np.asarray(few)
    np.testing.assert_array_equal(clear[drawn == 0], 9)
    np.testing.assert_array_equal(clear[drawn != 0], np.asarray(few.convert("RGB"))[drawn != 0])


def test_16_bits_keep_their_fractions(tmp_path: Path) -> None:
    values = np.linspace(0, 65535, 64).astype("uint16").reshape(8, 8)
    deep = Image.fromarray(values)
    for name in ("a.png", "a.tif"):
        images = single(tmp_path, deep, name, color_mode="grayscale")
        np.testing.assert_allclose(images[..., 0], values / 257, rtol=1e-6)
        assert images.max() == 255
    rounded = single(tmp_path, deep, dtype="uint8")
    np.testing.assert_array_equal(rounded[..., 2], np.rint(values / 257))
    assert (single(tmp_path, deep, color_mode="rgba")[..., 3] == 255).all()
    small = single(tmp_path, deep, size=4, color_mode="grayscale")[..., 0]
    wanted = Image.fromarray((values / 257).astype("float32")).resize((4, 4), FILTER)
    np.testing.assert_allclose(small, np.asarray(wanted), rtol=1e-5)
    floating = Image.fromarray(np.ones((4, 4), "float32"))
    with pytest.raises(ValueError, match="unknown range"):
        single(tmp_path, floating, "a.tif")


def test_keras_names_keep_their_ways(tmp_path: Path) -> None:
    """No turning, 16 bits cut to 8, alpha dropped: as TensorFlow decodes."""
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.fromarray(noise((24, 16), 0))
    image.save(tmp_path / "a.png", exif=exif)
    Image.fromarray(np.full((16, 24), 0x80FF, "uint16")).save(tmp_path / "b.png")
    Image.fromarray(noise((24, 16), 1, 4)).save(tmp_path / "c.png")
    result = concatenated(utils.image_dataset_from_directory(
        tmp_path, labels=None, image_size=(16, 24), shuffle=False, verbose=False
    ))  # fmt: skip
    np.testing.assert_array_equal(result[0], np.asarray(image))
    assert (result[1] == 0x80).all()
    np.testing.assert_array_equal(result[2], noise((24, 16), 1, 4)[..., :3])


# -- batches -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("resize", ["pad", "random_crop", "bucket"])
def test_batches_are_the_same_for_any_workers(root: Path, resize: str) -> None:
    passes: list[list[Any]] = []
    for workers in (0, 1, 4):
        dataset = quiet(root, 24, resize, seed=5, batch_size=7, workers=workers, sizes=3)
        passes.append([list(dataset.as_numpy_iterator()) for _ in range(2)])
    for other in passes[1:]:
        for ours, theirs in zip(passes[0], other, strict=True):
            for (x, y), (x2, y2) in zip(ours, theirs, strict=True):
                np.testing.assert_array_equal(x, x2)
                assert y.tolist() == y2.tolist()
    labels = [[y.tolist() for _, y in one] for one in passes[0]]
    assert labels[0] != labels[1]
    another = quiet(root, 24, resize, seed=6, batch_size=7, sizes=3)
    assert [y.tolist() for _, y in another.as_numpy_iterator()] != labels[0]


def test_what_a_dataset_says_of_itself(root: Path) -> None:
    dataset = quiet(root, (24, 20), batch_size=7)
    assert len(dataset) == 4
    assert dataset.element_spec == (TensorSpec((None, 24, 20, 3), "float32"), TensorSpec((None,), "int32"))
    assert dataset.class_names == ["a", "b"]
    assert sorted(Path(path).name for path in dataset.file_paths) == [f"{i:02}.png" for i in range(24)]
    first = quiet(
        root, 24, data_format="channels_first", dtype="uint8", label_mode="categorical", batch_size=5
    )
    assert first.element_spec == (TensorSpec((None, 3, 24, 24), "uint8"), TensorSpec((None, 2), "float32"))
    for x, y in first.as_numpy_iterator():
        assert x.shape[1:] == (3, 24, 24)
        assert y.sum(axis=1).tolist() == [1] * len(y)
    one = quiet(root, 24, batch_size=None, labels=None)
    assert one.element_spec == TensorSpec((24, 24, 3), "float32")
    assert [x.shape for x in one.as_numpy_iterator()] == [(24, 24, 3)] * 24
    binary = quiet(root, 24, label_mode="binary", shuffle=False)
    assert concatenated(binary)[1].tolist() == [[0.0]] * 12 + [[1.0]] * 12
    mixed = quiet(root, None, "bucket")
    assert mixed.element_spec[0] == TensorSpec((None, None, None, 3), "float32")
    assert sum(len(y) for _, y in mixed.as_numpy_iterator()) == 24
    assert len(list(mixed.as_numpy_iterator())) == len(mixed)


@pytest.mark.parametrize("resize", ["crop", "bucket"])
def test_kept_in_memory(tmp_path: Path, resize: str) -> None:
    """The same batches with and without, and the files are read once."""
    for number in range(20):
        Image.fromarray(noise(SIZES[number % 8], number)).save(tmp_path / f"{number:02}.png")
    (tmp_path / "05.png").write_bytes((tmp_path / "04.png").read_bytes())
    settings = {"labels": None, "seed": 4, "batch_size": 6}
    plain, kept = quiet(tmp_path, 24, resize, **settings), quiet(tmp_path, 24, resize, cache=True, **settings)
    wanted = [list(plain.as_numpy_iterator()) for _ in range(3)]
    actual = [list(kept.as_numpy_iterator())]
    for path in tmp_path.iterdir():
        path.unlink()
    actual += [list(kept.as_numpy_iterator()) for _ in range(2)]
    for ours, theirs in zip(actual, wanted, strict=True):
        for x, y in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(x, y)
    assert "cached in memory after decoding: 0 MB" in kept.report


def test_16_bits_are_kept_with_their_fractions(tmp_path: Path) -> None:
    deep = Image.fromarray(np.linspace(0, 65535, 64).astype("uint16").reshape(8, 8))
    plain, kept = (single(tmp_path, deep, cache=cache, color_mode="grayscale") for cache in (False, True))
    np.testing.assert_array_equal(plain, kept)
    assert (plain % 1).any()


def test_a_pass_can_be_drawn_again(root: Path) -> None:
    """As checkpoints do: the order of another Dataset that stood there."""
    dataset = quiet(root, 8, "random_crop", seed=1)
    concatenated(dataset)
    state = dataset._orders()
    second = concatenated(dataset)
    other = quiet(root, 8, "random_crop", seed=2)
    other._set_orders(state)
    for ours, theirs in zip(concatenated(other), second, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_looking_at_the_form_of_elements_is_no_pass(root: Path) -> None:
    dataset = quiet(root, 8, seed=1)
    plain = [y.tolist() for _, y in quiet(root, 8, seed=1).as_numpy_iterator()]
    halved = dataset.map(lambda x, y: (x / 2, y))
    assert halved.element_spec[0].shape == (None, 8, 8, 3)
    assert [y.tolist() for _, y in halved.as_numpy_iterator()] == plain


# -- parts and labels --------------------------------------------------------------------------------------


def test_parts(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = images_from_folder(root, 16, "random_crop", validation=0.25, test=4, seed=2)
    train, validation, test = images
    assert [len(part.file_paths) for part in images] == [14, 6, 4]
    assert len(set(train.file_paths + validation.file_paths + test.file_paths)) == 24
    for part, wanted in ((train, 7), (validation, 3), (test, 2)):
        assert sum("/a/" in path for path in part.file_paths) == wanted
    assert "24 images: 14 train, 6 validation, 4 test; drawn by seed 2, stratified" in capsys.readouterr().out
    again = quiet(root, 16, "random_crop", validation=0.25, test=4, seed=2)
    assert [part.file_paths for part in again] == [part.file_paths for part in images]
    # What is held out is neither shuffled nor cut at random.
    wanted = [np.asarray(ImageOps.fit(Image.open(path), (16, 16), FILTER)) for path in validation.file_paths]
    for _ in range(2):
        np.testing.assert_array_equal(concatenated(again.validation)[0], wanted)
    only = quiet(root, 16, validation=6)
    assert only.test is None
    assert len(find_duplicates({"train": only.train, "validation": only.validation}, near=False)) == 0


def test_tables_of_labels(root: Path, tmp_path: Path) -> None:
    names = ["a/00.png", "b/01.png", "a/02.png"]
    texts = quiet(root, 8, labels=dict(zip(names, ["cat", "dog", "cat"], strict=True)), shuffle=False)
    assert [Path(path).name for path in texts.file_paths] == ["00.png", "02.png", "01.png"]
    assert (texts.class_names, concatenated(texts)[1].tolist()) == (["cat", "dog"], [0, 0, 1])
    table = tmp_path / "labels.csv"
    for rows, classes, labels in (
        ("file,label\na/00.png,dog\na/02.png,cat\n", ["cat", "dog"], [1, 0]),
        ("a/00.png,2\na/02.png,0\n", ["0", "1", "2"], [2, 0]),
        ("file,weight\na/00.png,2.5\na/02.png,1\n", None, [2.5, 1.0]),
    ):
        table.write_text(rows)
        dataset = quiet(root, 8, labels=table, shuffle=False)
        assert (getattr(dataset, "class_names", None), concatenated(dataset)[1].tolist()) == (classes, labels)
    ordered = quiet(root, 8, labels={names[0]: "x"}, class_names=["y", "x"])
    assert concatenated(ordered)[1].tolist() == [1]


# -- what is said ------------------------------------------------------------------------------------------


def report(folder: Path, sizes: list[tuple[int, int]], *args: Any, **settings: Any) -> str:
    for number, size in enumerate(sizes):
        Image.new("RGB", size).save(folder / f"{number}.png")
    text: str = quiet(folder, *args, labels=None, **settings).report
    return text


def test_costs_of_policies(tmp_path: Path) -> None:
    sizes = [(200, 100), (100, 100)]
    assert "2 sizes from 100 x 100 to 200 x 100" in report(tmp_path, sizes, 50)
    assert 'resize="pad" to 50 x 50: 25% of the target is padding on average, 50% at most' in report(
        tmp_path, sizes, 50
    )
    assert "25% of an image is cropped on average, 50% at most" in report(tmp_path, sizes, 50, "crop")
    assert "distorted by a factor of 1.50 on average, 2.00 at most" in report(tmp_path, sizes, 50, "stretch")
    assert "50% of the images are smaller and are enlarged" in report(tmp_path, sizes, (100, 200), "pad")
    assert "2 sizes: 96 x 96 (1), 192 x 96 (1)" in report(tmp_path, sizes, None, "bucket")
    alike = report(tmp_path, [(64, 64)] * 2, 32)
    assert "all 64 x 64 (2 color)" in alike
    assert "nothing is padded, cropped or distorted" in alike


def test_files_of_other_kinds_are_counted(tmp_path: Path) -> None:
    for name in ("a.heic", "b.HEIC", "notes.txt", ".hidden", "plain"):
        (tmp_path / name).write_text("x")
    said = report(tmp_path, [(8, 8)])
    assert "(and 4 files of other types, ignored: 2 .heic, 1 " in said


def test_buckets() -> None:
    sizes = np.array([[320, 240]] * 10 + [[240, 320]] * 5 + [[322, 239]] * 2 + [[1000, 100]])
    assert assign_buckets(sizes, None, 8).tolist() == [[320, 256]] * 10 + [[256, 320]] * 5 + [
        [320, 224]
    ] * 2 + [[992, 96]]
    three = assign_buckets(sizes, None, 3).tolist()
    assert three == [[320, 256]] * 10 + [[256, 320]] * 5 + [[320, 224]] * 3
    assert len({tuple(size) for size in assign_buckets(sizes, None, 1).tolist()}) == 1
    areas = assign_buckets(sizes * 3, (224, 224), 8).prod(axis=1)
    assert (np.abs(areas / 224**2 - 1) < 0.15).all()


def test_mixed_sizes_train(root: Path) -> None:
    dataset = quiet(root, 48, "bucket", batch_size=6, seed=0, sizes=3)
    shapes = {x.shape[1:] for x, _ in dataset.as_numpy_iterator()}
    assert len(shapes) == 3
    model = hb.Sequential([
        hb.Input((None, None, 3)), layers.Rescaling(1 / 255), layers.Conv2D(4, 3, activation="relu"),
        layers.GlobalAveragePooling2D(), layers.Dense(2, activation="softmax"),
    ])  # fmt: skip
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(dataset, epochs=2, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert np.isfinite(model.evaluate(dataset, verbose=0)[0])


# -- bad files ---------------------------------------------------------------------------------------------


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """200 images; 2 that are none, and 4 that end too early."""
    for number in range(200):
        Image.fromarray(noise((32, 24), number)).save(tmp_path / f"{number:03}.png")
    for number in (17, 120):
        (tmp_path / f"{number:03}.png").write_bytes(b"no image at all")
    for number in (3, 40, 41, 199):
        path = tmp_path / f"{number:03}.png"
        path.write_bytes(path.read_bytes()[:700])
    return tmp_path


@pytest.mark.filterwarnings("ignore:2 files cannot be read")
def test_bad_files_are_left_out_and_named(broken: Path) -> None:
    seen = []
    for workers in (0, 1, 4):
        dataset = quiet(broken, 16, labels=None, shuffle=False, workers=workers)
        assert sorted(Path(p).name for p in dataset.bad_files) == ["017.png", "120.png"]
        with pytest.warns(UserWarning, match="skipped 4 unreadable images") as caught:
            batches = list(dataset.as_numpy_iterator())
        assert [len(batch) for batch in batches] == [32] * 6 + [2]
        (said,) = [str(w.message) for w in caught]
        bad = {Path(path).name: reason for path, reason in dataset.bad_files.items()}
        assert sorted(bad) == ["003.png", "017.png", "040.png", "041.png", "120.png", "199.png"]
        assert all(f"{name}: {bad[name]}" in said for name in ("003.png", "040.png", "041.png", "199.png"))
        assert bad["017.png"] == "not an image of a known format"
        assert "truncated" in bad["003.png"]
        with warnings.catch_warnings():  # said once
            warnings.simplefilter("error")
            again = np.concatenate(list(dataset.as_numpy_iterator()))
        np.testing.assert_array_equal(again, np.concatenate(batches))
        seen.append(again)
    np.testing.assert_array_equal(seen[0], seen[1])
    np.testing.assert_array_equal(seen[0], seen[2])
    good = [p for p in sorted(broken.iterdir()) if p.name not in bad]
    np.testing.assert_array_equal(
        seen[0], [np.asarray(ImageOps.pad(Image.open(p), (16, 16), FILTER)) for p in good]
    )


@pytest.mark.filterwarnings("ignore:2 files cannot be read")
def test_too_many_bad_files_are_an_error(broken: Path) -> None:
    with pytest.raises(
        ValueError,
        match=r"2 of 200 files cannot be read, more than max_bad=0.005 allows(.|\n)*017.png: not an image",
    ):
        quiet(broken, 16, labels=None, max_bad=0.005)
    for workers in (0, 3):
        dataset = quiet(broken, 16, labels=None, max_bad=0.015, workers=workers)
        with pytest.raises(ValueError, match=r"[34] of \d+ files cannot be read, more than max_bad"):
            list(dataset.as_numpy_iterator())
        assert len(dataset.bad_files) >= 5
    for path in broken.iterdir():
        path.write_bytes(b"")
    with pytest.raises(ValueError, match=r"none of the 200 images in .* can be read"):
        quiet(broken, 16, labels=None, max_bad=1)


@pytest.mark.filterwarnings("ignore:2 files cannot be read")
def test_training_on_with_bad_files(broken: Path) -> None:
    dataset = quiet(broken, 16, labels={p.name: int(p.stem) % 2 for p in broken.iterdir()}, seed=1)
    model = compiled_model(
        (16, 16, 3),
        [layers.Flatten(), layers.Dense(2)],
        "sgd",
        hb.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    with pytest.warns(UserWarning, match="skipped 4 unreadable images"):
        model.fit(dataset.map(lambda x, y: (x / 255, y)), epochs=2, verbose=0)


# -- threads -----------------------------------------------------------------------------------------------


def workers_alive() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name.startswith("hornbeam-map")]


def test_what_a_thread_raises_comes_up(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:

    def fail(*_: Any) -> None:
        raise MemoryError("no room")

    monkeypatch.setattr(image_loader, "copy_pixels", fail)
    with pytest.raises(MemoryError, match="no room"):
        list(quiet(root, 16, workers=2).as_numpy_iterator())


def kill(thread: threading.Thread) -> None:
    """Raise SystemExit in a thread, whatever it does: as near as one comes to killing it."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread.ident or 0), ctypes.py_object(SystemExit)
    )


@pytest.mark.parametrize("workers", [1, 2])
def test_killed_workers_do_not_hang_the_loop(workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends, by an error or with all items: an idle worker takes what it was to make with it, one that dies
    between two leaves nothing undone."""
    monkeypatch.setattr(prefetch, "POLL_SECONDS", 0.05)
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    monkeypatch.setattr(logging.getLogger("concurrent.futures"), "disabled", True)
    items = iter(prefetch.map_ordered(lambda number: number, iter(range(100)), workers, workers))
    assert next(items) == 0
    for thread in workers_alive():
        kill(thread)
    ends: list[Any] = []

    def rest() -> None:
        try:
            ends.append(list(items))
        except BaseException as error:
            ends.append(error)

    loop = threading.Thread(target=rest, daemon=True)
    loop.start()
    loop.join(60)
    assert not loop.is_alive()
    assert ends == [list(range(1, 100))] or isinstance(ends[0], (RuntimeError, SystemExit))


def test_a_result_that_is_lost_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefetch, "POLL_SECONDS", 0.01)
    ended = threading.Thread(target=lambda: None)
    ended.start()
    ended.join()
    with pytest.raises(RuntimeError, match="a thread that prepares data was killed"):
        prefetch._wait_for(Future(), [threading.main_thread(), ended])
    done: Future[int] = Future()
    done.set_result(5)
    assert prefetch._wait_for(done, [ended]) == 5


def test_threads_end_with_the_iterator(root: Path) -> None:
    before = workers_alive()
    run = quiet(root, 16, workers=3, batch_size=2).as_numpy_iterator()
    next(run)
    ours = [thread for thread in workers_alive() if thread not in before]
    assert ours
    run.close()
    for thread in ours:
        thread.join(30)
        assert not thread.is_alive()


# -- mistakes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "settings", "error", "name"),
    [
        ((16, "padd"), {}, ValueError, "Did you mean 'pad'"),
        (((1, 2, 3),), {}, ValueError, "size must be"),
        ((None,), {}, ValueError, 'the images have 8 sizes(.|\n)*resize="bucket"'),
        ((16,), {"color_mode": "bgr"}, ValueError, "color_mode must be"),
        ((16,), {"dtype": "int8"}, ValueError, "dtype must be"),
        ((16,), {"fill": (1, 2)}, ValueError, "fill must be"),
        ((16,), {"interpolation": "bilinaer"}, ValueError, "Did you mean 'bilinear'"),
        ((16,), {"max_bad": 2}, ValueError, "max_bad must be a fraction"),
        ((16,), {"label_mode": "ints"}, ValueError, "label_mode must be"),
        ((16,), {"class_names": ["a", "c"]}, ValueError, "class_names has 'c'"),
        ((16,), {"class_names": ["a"], "label_mode": "binary"}, ValueError, "needs two classes"),
        ((16,), {"labels": "names.txt"}, ValueError, "labels must be"),
        ((16,), {"labels": {"z.png": 1}}, ValueError, "1 files that are not in"),
        ((16,), {"labels": {"a/00.png": -1}}, ValueError, "class indices must be 0"),
        ((16,), {"labels": {"a/00.png": "x"}, "class_names": ["y"]}, ValueError, "has the class 'x'"),
        ((16,), {"labels": {"a/00.png": None}}, ValueError, "strings or finite numbers"),
        ((16,), {"validation": 0.6, "test": 0.6}, ValueError, "leave nothing"),
        ((16, "random_crop"), {"cache": True}, ValueError, "omit cache"),
        ((16,), {"workers": -1}, ValueError, "workers must be an integer of at least 0"),
    ],
)
def test_mistakes(
    root: Path, args: tuple[Any, ...], settings: dict[str, Any], error: type[Exception], name: str
) -> None:
    with pytest.raises(error, match=name):
        quiet(root, *args, **settings)


def test_no_folder_and_no_classes(root: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="does not exist"):
        quiet(tmp_path / "nowhere", 16)
    with pytest.raises(ValueError, match="no images"):
        quiet(tmp_path, 16)
    with pytest.raises(ValueError, match="set labels=None or a table"):
        quiet(root / "a", 16)


@pytest.mark.parametrize("interpolation", ["bilinear", "box", "hamming", "bicubic", "nearest"])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_quick_resizing_is_that_of_pillow(mode: str, interpolation: str, rng: np.random.Generator) -> None:
    """Within 1 of 255, also of a part with fractions, smaller and larger."""
    pixels = np.kron(rng.integers(0, 256, (20, 30, len(mode))), np.ones((5, 4, 1))).astype("uint8")
    image = Image.fromarray(pixels.squeeze())
    for size in ((64, 32), (200, 150), (1, 1)):
        box = (3.5, 2.25, image.width - 1.5, image.height - 0.25)
        exact = np.asarray(image.resize(size, resampling_filter(interpolation), box=box))
        result = np.asarray(resize_box(image, size, box, interpolation)).reshape(exact.shape)
        assert np.abs(result.astype(int) - exact).max() <= 1
