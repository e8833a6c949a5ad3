"""Layers on images: the training switch, dicts, single images, draws of their own, inside models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hornbeam
from hornbeam import layers, models, random
from hornbeam.core.jit import jit
from hornbeam.layers import augmentation

MAKERS: dict[str, dict[str, Any]] = {
    "AugMix": {"num_chains": 2, "chain_depth": 2},
    "CutMix": {},
    "MixUp": {},
    "RandAugment": {},
    "RandomBrightness": {"factor": 0.5},
    "RandomColorDegeneration": {"factor": 0.5},
    "RandomColorJitter": {"brightness_factor": 0.3, "contrast_factor": 0.3, "hue_factor": 0.3},
    "RandomContrast": {"factor": 0.5},
    "RandomCrop": {"height": 6, "width": 7},
    "RandomElasticTransform": {},
    "RandomErasing": {},
    "RandomFlip": {},
    "RandomGaussianBlur": {},
    "RandomGrayscale": {},
    "RandomHue": {"factor": 0.5},
    "RandomInvert": {},
    "RandomPerspective": {"scale": 0.5},
    "RandomPosterization": {"factor": 6},
    "RandomRotation": {"factor": 0.2},
    "RandomSaturation": {"factor": 0.5},
    "RandomSharpness": {"factor": 1.0},
    "RandomShear": {"x_factor": 0.4, "y_factor": 0.3},
    "RandomTranslation": {"height_factor": 0.3, "width_factor": 0.3},
    "RandomZoom": {"height_factor": 0.3},
    "Solarization": {"addition_factor": 0.5, "threshold_factor": 0.5},
}
FIXED: dict[str, dict[str, Any]] = {
    "AutoContrast": {},
    "CenterCrop": {"height": 4, "width": 5},
    "ContrastLimitedAdaptiveHistogramEqualization": {"tile_grid_size": (2, 2)},
    "Equalization": {},
    "MaxNumBoundingBoxes": {"max_number": 3},
    "Resizing": {"height": 4, "width": 5},
}
RANDOM = pytest.mark.parametrize("name", MAKERS)
EVERY = pytest.mark.parametrize("name", [*MAKERS, *FIXED])
KEEPS_BYTES = {
    "ContrastLimitedAdaptiveHistogramEqualization",
    "MaxNumBoundingBoxes",
    "RandomGrayscale",
    "Resizing",
}
NO_BOXES = ("CutMix", "RandomElasticTransform")


def make(which: str, **kwargs: Any) -> Any:
    return getattr(layers, which)(**{**MAKERS, **FIXED}[which], **kwargs)


def images(count: int = 4) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 8, 10, 3)).astype("float32")


def test_every_layer_is_here() -> None:
    assert {*MAKERS, *FIXED, "Pipeline"} == set(augmentation.__all__)


@RANDOM
def test_rests_outside_of_training(name: str) -> None:
    if name == "RandomCrop":  # which brings images to its size all the same
        assert make(name)(images(), training=False).shape == (4, 6, 7, 3)
        return
    np.testing.assert_array_equal(np.asarray(make(name)(images(), training=False)), images())


@RANDOM
def test_same_seed_same_images_and_new_ones_each_time(name: str) -> None:
    one, two = make(name, seed=7), make(name, seed=7)
    first = np.asarray(one(images()))
    np.testing.assert_array_equal(first, np.asarray(two(images())))
    assert any(np.abs(first - np.asarray(one(images()))).max() > 0 for _ in range(3))


@RANDOM
def test_compiled_code_gives_what_eager_code_gives(name: str) -> None:
    eager, compiled = make(name, seed=3), make(name, seed=3)
    step = jit(lambda batch: compiled(batch, training=True))
    for _ in range(2):
        np.testing.assert_allclose(
            np.asarray(step(images())), np.asarray(eager(images(), training=True)), rtol=1e-4, atol=2e-2
        )


@EVERY
def test_one_image_bytes_and_channels_first(name: str) -> None:
    batch = np.asarray(make(name)(images(1)))
    single = make(name)(images(1)[0])
    assert single.shape == batch.shape[1:]
    bytes_in = make(name)(images().astype("uint8"))
    assert bytes_in.dtype == ("uint8" if name in KEEPS_BYTES else "float32")
    first = make(name, data_format="channels_first")(images(2).transpose(0, 3, 1, 2))
    assert first.shape == tuple(np.asarray(make(name)(images(2))).transpose(0, 3, 1, 2).shape)


@EVERY
def test_dicts(name: str) -> None:
    layer = make(name, bounding_box_format="xyxy")
    data = {
        "images": images(),
        "labels": np.eye(4, dtype="float32"),
        "segmentation_masks": np.ones((4, 8, 10, 1), "float32"),
        "weight": np.ones(4),
    }
    if name not in NO_BOXES:
        data["bounding_boxes"] = {"boxes": np.ones((4, 2, 4)), "labels": np.zeros((4, 2))}
    arguments = dict(data)
    result = layer(data, training=True)
    assert set(result) == set(arguments)
    assert data == arguments  # the caller's dict is left alone
    assert result["images"].shape[:1] == (4,)
    assert result["segmentation_masks"].shape == (*result["images"].shape[:3], 1)
    assert result["labels"].shape == (4, 4)
    np.testing.assert_array_equal(np.asarray(result["weight"]), 1)
    single = {key: value[0] for key, value in data.items() if key not in ("weight", "bounding_boxes")}
    if name not in NO_BOXES:
        assert result["bounding_boxes"]["boxes"].shape[-1] == 4
        single["bounding_boxes"] = {"boxes": np.ones((2, 4)), "labels": np.zeros(2)}
        assert layer(single)["bounding_boxes"]["boxes"].ndim == 2
    assert layer(single)["images"].ndim == 3


@EVERY
def test_config_makes_the_same_layer(name: str) -> None:
    layer = make(name, data_format="channels_first", bounding_box_format="rel_xywh", name="mine")
    again = type(layer).from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    assert {"name", "trainable", "dtype", "data_format", "bounding_box_format"} <= set(layer.get_config())


@EVERY
def test_no_images_at_all(name: str) -> None:
    assert make(name)(np.zeros((0, 8, 10, 3), "float32")).shape[0] == 0


# -- what is drawn -------------------------------------------------------------------------------------------


def draws(name: str, key: str, count: int = 2000, **kwargs: Any) -> np.ndarray:
    layer = getattr(layers, name)(seed=1, **kwargs)
    result = layer.get_random_transformation(np.zeros((count, 4, 10, 3), "float32"))
    return np.asarray(result[key], "float64").reshape(count, -1)


@pytest.mark.parametrize(
    ("name", "kwargs", "key", "low", "high"),
    [
        ("RandomBrightness", {"factor": 0.2}, "rgb_delta", -51, 51),
        ("RandomBrightness", {"factor": (0.1, 0.4), "value_range": (0, 1)}, "rgb_delta", 0.1, 0.4),
        ("RandomContrast", {"factor": (0.2, 0.4)}, "contrast_factor", 0.8, 1.4),
        ("RandomContrast", {"factor": 0.4}, "contrast_factor", 1.0, 1.4),
        ("RandomHue", {"factor": 0.5}, "factor", -0.25, 0.25),
        ("RandomRotation", {"factor": (-0.1, 0.3)}, "angle", -36, 108),
        ("RandomSharpness", {"factor": 0.6}, "factor", 0, 0.6),
        ("RandomShear", {"x_factor": 0.2, "y_factor": 0.2}, "shear_factor", -0.2, 0.2),
        ("RandomZoom", {"height_factor": (0.1, 0.3)}, "height_zoom", 1.1, 1.3),
        ("Solarization", {"addition_factor": 0.4}, "additions", 0, 102),
        ("RandomPerspective", {"factor": 0.5, "scale": 0.0}, "apply_perspective", -0.25, 0.75),
        ("RandomInvert", {"factor": (0.3, 0.5)}, "apply_inversion", -0.1, 0.9),
        ("RandomFlip", {}, "flips", 0, 1),
    ],
)
def test_draws_cover_their_range(name: str, kwargs: Any, key: str, low: float, high: float) -> None:
    """Each image has a number of its own, from the whole range and with its middle as the mean."""
    numbers = draws(name, key, **kwargs)
    assert numbers.mean() == pytest.approx((low + high) / 2, abs=0.04 * (high - low))
    if numbers.min() not in (0, 1):
        assert low <= numbers.min() < low + 0.02 * (high - low)
        assert high - 0.02 * (high - low) < numbers.max() <= high
        assert len(np.unique(numbers)) > 1000


def test_translations_are_parts_of_each_side() -> None:
    moves = draws("RandomTranslation", "translations", height_factor=(0.25, 0.5), width_factor=0.3)
    assert (round(moves[:, 0].min(), 1), round(moves[:, 0].max(), 1)) == (-3, 3)
    assert (round(moves[:, 1].min(), 1), round(moves[:, 1].max(), 1)) == (1, 2)


def test_posterization_and_crops_draw_integers() -> None:
    assert set(draws("RandomPosterization", "shift_factor", factor=(2, 5)).ravel()) == {4, 5, 6}
    layer = layers.RandomCrop(2, 7, seed=1)
    windows = {
        tuple(int(x) for x in layer.get_random_transformation(np.zeros((1, 4, 10, 3)))[1][:2])
        for _ in range(200)
    }
    assert windows == {(top, left) for top in range(3) for left in range(4)}


def test_mixup_weighs_labels_as_images() -> None:
    result = layers.MixUp(1.0, seed=2)({"images": np.eye(5)[:, None, None, :], "labels": np.eye(5)})
    np.testing.assert_allclose(np.asarray(result["images"])[:, 0, 0], np.asarray(result["labels"]), atol=1e-6)
    assert np.asarray(result["labels"]).sum(1) == pytest.approx(1)


def test_cutmix_weighs_labels_by_area() -> None:
    images = np.broadcast_to(np.arange(6.0)[:, None, None, None], (6, 40, 40, 1))
    data = {"images": images, "labels": np.eye(6), "segmentation_masks": images}
    result = layers.CutMix(seed=2)(data)
    np.testing.assert_array_equal(np.asarray(result["images"]), np.asarray(result["segmentation_masks"]))
    shares = np.stack([(np.asarray(result["images"])[..., 0] == i).mean((1, 2)) for i in range(6)], 1)
    np.testing.assert_allclose(np.asarray(result["labels"]), shares, atol=0.06)


def test_erasing_paints_a_box_of_the_size_that_was_asked_for() -> None:
    layer = layers.RandomErasing((1.0, 1.0), scale=(0.25, 0.25), fill_value=(1, 2, 3), seed=1)
    array = np.asarray(layer(np.zeros((50, 40, 40, 3))))
    assert (array > 0).any(-1).mean((1, 2)) == pytest.approx(0.25, abs=0.03)
    assert {tuple(pixel) for pixel in array.reshape(-1, 3)} == {(0, 0, 0), (1, 2, 3)}


def test_elastic_transform_moves_masks_with_images() -> None:
    x = np.kron(np.random.default_rng(1).integers(0, 2, (2, 4, 4, 1)), np.ones((1, 10, 10, 1))) * 255.0
    layer = layers.RandomElasticTransform((1.0, 1.0), (1.0, 1.0), "nearest", seed=1)
    result = layer({"images": x, "segmentation_masks": x})
    np.testing.assert_array_equal(np.asarray(result["images"]), np.asarray(result["segmentation_masks"]))
    assert 0.02 < (np.asarray(result["images"]) != x).mean() < 0.5


@pytest.mark.parametrize("nothing", [{"factor": 0}, {"scale": 0}])
def test_elastic_transform_of_strength_nothing(nothing: dict[str, Any]) -> None:
    result = layers.RandomElasticTransform(**nothing)(images())
    np.testing.assert_allclose(np.asarray(result), images(), atol=1e-4)


def test_rand_augment_changes_its_layers_in_compiled_code() -> None:
    layer = layers.RandAugment(num_ops=1, factor=1.0, seed=1)
    step = jit(lambda batch: layer(batch, training=True))
    assert len({np.asarray(step(images())).tobytes() for _ in range(12)}) > 6


# -- arguments and inputs ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make_it", "text"),
    [
        (lambda: layers.RandomFlip("sideways"), "RandomFlip: mode must be one of"),
        (lambda: layers.RandomBrightness(1.5), r"RandomBrightness: factor must be .* \[-1.0, 1.0\], got 1.5"),
        (lambda: layers.RandomContrast((0.1, 0.2, 0.3)), "a number or a pair of numbers"),
        (lambda: layers.RandomHue(True), "RandomHue: factor"),
        (lambda: layers.RandomRotation(0.1, "mirror"), "fill_mode must be one of 'reflect'"),
        (lambda: layers.RandomShear(0.1, interpolation="cubic"), "interpolation must be one of"),
        (lambda: layers.RandomZoom(-1.0), "RandomZoom: height_factor must be above -1"),
        (lambda: layers.RandomErasing(fill_value="red"), "fill_value must be a number, three numbers"),
        (lambda: layers.RandomGaussianBlur(kernel_size=4), "kernel_size must be an odd number"),
        (lambda: layers.RandomPosterization(9), r"\[1, 8\]"),
        (lambda: layers.AutoContrast(255), "value_range must be a pair"),
        (lambda: layers.MixUp(0), "alpha must be a positive number"),
        (lambda: layers.RandomFlip(bounding_box_format="xyzw"), "bounding_box_format must be one of"),
        (lambda: layers.RandomFlip()(np.ones((4, 4))), "images need three axes"),
        (lambda: layers.RandomFlip()({"image": np.ones((1, 4, 4, 3))}), 'needs the key "images"'),
        (lambda: layers.RandomHue(0.1)(np.ones((1, 4, 4, 1))), "three channels"),
        (lambda: layers.MixUp()((np.ones((1, 4, 4, 3)), np.ones((1, 2)))), "takes images or a dict"),
        (lambda: layers.Pipeline.from_config({"name": "p"}), 'needs a list "layers"'),
    ],
)
def test_errors_say_what_was_expected(make_it: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        make_it()


# -- in models -----------------------------------------------------------------------------------------------


def small_model() -> Any:
    return models.Sequential(
        [
            layers.Input((8, 10, 3)),
            layers.RandomFlip("horizontal", seed=1),
            layers.RandomTranslation(0.2, 0.2, seed=2),
            layers.RandomContrast(0.2, seed=3),
            layers.RandAugment(seed=4),
            layers.Resizing(4, 4),
            layers.Flatten(),
            layers.Dense(2),
        ]
    )


def test_trains_saves_and_loads(tmp_path: Path) -> None:
    random.set_random_seed(1)
    model = small_model()
    model.compile("sgd", "mse")
    model.fit(images(8) / 255, np.ones((8, 2)), batch_size=4, epochs=2, verbose=0)
    expected = np.asarray(model.predict(images() / 255, verbose=0))
    np.testing.assert_array_equal(expected, np.asarray(model.predict(images() / 255, verbose=0)))
    model.save(tmp_path / "model.keras")
    again = hornbeam.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(np.asarray(again.predict(images() / 255, verbose=0)), expected, rtol=1e-5)
    # The random state comes back too: training goes on with the same draws.
    ours, theirs = (np.asarray(m(images(), training=True)) for m in (model, again))
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-3)


def test_same_seeds_train_the_same_model() -> None:
    result = []
    for _ in range(2):
        random.set_random_seed(5)
        model = small_model()
        model.compile("sgd", "mse")
        model.fit(images(8) / 255, np.ones((8, 2)), batch_size=4, epochs=2, verbose=0)
        result.append(model.get_weights()[-1])
    np.testing.assert_array_equal(*result)


def test_functional_model_on_dicts() -> None:
    inputs = {"images": layers.Input((8, 10, 3)), "labels": layers.Input((2,))}
    outputs = layers.MixUp()(inputs)
    model = models.Model(inputs, outputs)
    result = model({"images": images(), "labels": np.eye(4, 2)}, training=True)
    assert result["images"].shape == (4, 8, 10, 3)
    assert result["labels"].shape == (4, 2)


def test_pipeline_runs_layers_and_comes_back_from_its_config() -> None:
    pipeline = layers.Pipeline(
        [layers.RandomFlip(seed=1), layers.Rescaling(1 / 255), layers.CenterCrop(4, 5)]
    )
    again = layers.Pipeline.from_config(pipeline.get_config())
    assert [type(x) for x in again.layers] == [type(x) for x in pipeline.layers]
    assert set(pipeline.get_config()) == {"layers", "name"}
    still = np.asarray(pipeline(images(), training=False))
    np.testing.assert_allclose(still, images()[:, 2:6, 2:7] / 255, rtol=1e-6)
    np.testing.assert_array_equal(np.asarray(again(images())), np.asarray(pipeline(images())))


def test_in_a_pipeline_every_batch_has_draws_of_its_own_for_any_number_of_threads() -> None:
    def brightened(workers: int | None) -> list[bytes]:
        layer = layers.RandomBrightness(0.3, seed=1)
        still = hornbeam.data.Dataset.from_tensor_slices(np.full((32, 2, 2, 1), 100.0, "float32")).batch(1)
        mapped = still.map(lambda x: layer(x, training=True), num_parallel_calls=workers)
        return [np.asarray(x).tobytes() for x in mapped]

    alone = brightened(None)
    assert len(set(alone)) == 32
    assert brightened(4) == alone


def test_mixup_in_a_pipeline_of_dicts() -> None:
    data = {"images": images(8), "labels": np.eye(8, dtype="float32")}
    result = next(iter(hornbeam.data.Dataset.from_tensor_slices(data).batch(4).map(layers.MixUp(seed=1))))
    assert result["images"].shape == (4, 8, 10, 3)
    assert np.asarray(result["labels"]).sum(1) == pytest.approx(1)
