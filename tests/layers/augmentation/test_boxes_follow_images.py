"""Boxes come to lie where the pixels do that they were drawn around: also where Keras 3.15.1 forgets formats
or mixes up axes (rotation, perspective, shear, crops, mixtures).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hornbeam import layers
from hornbeam.utils.bounding_boxes import convert_format

HEIGHT, WIDTH, COUNT = 48, 64, 12
LAYERS: list[Any] = [
    lambda **kw: layers.RandomFlip(**kw),
    lambda **kw: layers.RandomFlip("horizontal", **kw),
    lambda **kw: layers.RandomTranslation(0.2, 0.2, fill_mode="constant", **kw),
    lambda **kw: layers.RandomZoom(0.3, 0.3, fill_mode="constant", **kw),
    lambda **kw: layers.RandomZoom((-0.3, -0.2), fill_mode="constant", **kw),
    lambda **kw: layers.RandomShear(0.2, 0.15, fill_mode="constant", **kw),
    lambda **kw: layers.RandomRotation(0.1, fill_mode="constant", **kw),
    lambda **kw: layers.RandomPerspective(scale=0.3, **kw),
    lambda **kw: layers.RandomCrop(40, 50, **kw),
]
SIZES: list[Any] = [
    lambda **kw: layers.CenterCrop(40, 50, **kw),
    lambda **kw: layers.CenterCrop(60, 50, **kw),
    lambda **kw: layers.Resizing(30, 80, **kw),
    lambda **kw: layers.Resizing(60, 60, crop_to_aspect_ratio=True, **kw),
    lambda **kw: layers.Resizing(60, 60, pad_to_aspect_ratio=True, **kw),
    lambda **kw: layers.RandomCrop(60, 80, **kw),
]


def scene() -> dict[str, Any]:
    """White boxes on black images, and their corners."""
    rng = np.random.default_rng(2)
    x = np.sort(rng.integers(10, WIDTH - 10, (COUNT, 1, 2)))
    y = np.sort(rng.integers(10, HEIGHT - 10, (COUNT, 1, 2)))
    boxes = np.stack([x[..., 0], y[..., 0], x[..., 1] + 6, y[..., 1] + 6], -1).astype("float32")
    images = np.zeros((COUNT, HEIGHT, WIDTH, 3), "float32")
    for image, (left, top, right, bottom) in zip(images, boxes[:, 0].astype(int), strict=True):
        image[top:bottom, left:right] = 255
    return {
        "images": images,
        "segmentation_masks": images[..., :1] / 255,
        "bounding_boxes": {"boxes": boxes, "labels": np.ones((COUNT, 1), "int32")},
    }


def around(images: np.ndarray) -> np.ndarray:
    """The boxes around what is white."""
    white = images[..., 0] > 127
    results = [(np.nonzero(image.any(0))[0], np.nonzero(image.any(1))[0]) for image in white]
    return np.array([[x[0], y[0], x[-1] + 1, y[-1] + 1] for x, y in results], "float32")


def check(make: Any, source: str) -> None:
    data = scene()
    boxes = data["bounding_boxes"]
    boxes["boxes"] = np.asarray(convert_format(boxes["boxes"], "xyxy", source, HEIGHT, WIDTH))
    result = make(bounding_box_format=source)(data, training=True)
    images = np.asarray(result["images"])
    ours = convert_format(result["bounding_boxes"]["boxes"], source, "xyxy", *images.shape[1:3])
    np.testing.assert_allclose(np.asarray(ours)[:, 0], around(images), atol=2.0)
    masks = np.asarray(result["segmentation_masks"])
    np.testing.assert_allclose(around(masks * 255), around(images), atol=1.0)
    assert set(np.unique(masks)) <= {0.0, 1.0}


@pytest.mark.parametrize("source", ["xyxy", "rel_center_xywh"])
@pytest.mark.parametrize("index", range(len(LAYERS)))
def test_random_layers(index: int, source: str) -> None:
    check(lambda **kw: LAYERS[index](seed=3, **kw), source)


@pytest.mark.parametrize("source", ["yxyx", "rel_xywh"])
@pytest.mark.parametrize("index", range(len(SIZES)))
def test_sizes(index: int, source: str) -> None:
    check(SIZES[index], source)


def test_what_leaves_the_image_loses_its_label() -> None:
    data = scene()
    layer = layers.RandomTranslation((0.9, 0.9), 0.0, bounding_box_format="xyxy")
    result = layer(data, training=True)["bounding_boxes"]
    assert set(np.asarray(result["labels"]).ravel()) == {-1}


def test_rand_augment_takes_boxes_along() -> None:
    data = scene()
    layer = layers.RandAugment(num_ops=2, factor=0.2, seed=5, bounding_box_format="xyxy")
    for _ in range(5):
        layer.random_rotation.fill_mode = layer.random_shear.fill_mode = "constant"
        layer.random_translation.fill_mode = "constant"
        transformation = layer.get_random_transformation(data)
        masks = layer.transform_segmentation_masks(data["segmentation_masks"], transformation)
        boxes = layer.transform_bounding_boxes(data["bounding_boxes"], transformation)["boxes"]
        # The second layer sees upright boxes around turned ones, which can only grow.
        inner, outer = around(np.asarray(masks) * 255), np.asarray(boxes)[:, 0]
        assert (outer[:, :2] <= inner[:, :2] + 2).all()
        assert (outer[:, 2:] >= inner[:, 2:] - 2).all()


def test_mixup_keeps_the_boxes_of_both_images() -> None:
    layer = layers.MixUp(seed=1, bounding_box_format="xyxy")
    data = scene()
    transformation = layer.get_random_transformation(data)
    result = layer.transform_bounding_boxes(data["bounding_boxes"], transformation)
    assert result["boxes"].shape == (COUNT, 2, 4)
    assert result["labels"].shape == (COUNT, 2)
    order = np.asarray(transformation["permutation_order"])
    np.testing.assert_array_equal(
        np.asarray(result["boxes"])[:, 1], np.asarray(data["bounding_boxes"]["boxes"])[order, 0]
    )


def test_as_many_boxes_for_every_image() -> None:
    layer = layers.MaxNumBoundingBoxes(3, fill_value=-2, bounding_box_format="xyxy")
    assert layer.get_config()["fill_value"] == -2
    ragged = {"boxes": [[[0, 0, 1, 1]], [[0, 0, 2, 2], [1, 1, 3, 3]]], "labels": [[4], [5, 6]]}
    result = layer({"images": np.zeros((2, 4, 4, 3)), "bounding_boxes": ragged})["bounding_boxes"]
    np.testing.assert_array_equal(np.asarray(result["labels"]), [[4, -1, -2], [5, 6, -2]])
    assert np.asarray(result["boxes"])[0].tolist() == [[0, 0, 1, 1], [0, 0, 0, 0], [-2] * 4]
    few = layers.MaxNumBoundingBoxes(1, bounding_box_format="xyxy")
    assert few({"images": np.zeros((2, 4, 4, 3)), "bounding_boxes": ragged})["bounding_boxes"][
        "boxes"
    ].shape == (2, 1, 4)


def test_boxes_need_a_format_and_their_labels() -> None:
    data = scene()
    with pytest.raises(ValueError, match="the format of bounding_boxes is unknown"):
        layers.RandomFlip()(data, training=True)
    layer = layers.RandomFlip(bounding_box_format="xyxy")
    with pytest.raises(ValueError, match='a dict with "boxes"'):
        layer({**data, "bounding_boxes": {"boxes": np.ones((COUNT, 1, 4))}})
    with pytest.raises(ValueError, match="boxes must be"):
        layer({**data, "bounding_boxes": {"boxes": np.ones((COUNT, 1, 5)), "labels": np.ones((COUNT, 1))}})
    with pytest.raises(NotImplementedError, match="elastic distortion"):
        layers.RandomElasticTransform(bounding_box_format="xyxy")(data)
    with pytest.raises(NotImplementedError, match="are not supported"):
        layers.CutMix(bounding_box_format="xyxy")(data)


def test_functions_say_what_they_need() -> None:
    box = np.ones((1, 4))
    with pytest.raises(ValueError, match="must be one of 'xyxy'"):
        convert_format(box, "xyxy", "xxyy")
    with pytest.raises(ValueError, match="needs the image's height and width"):
        convert_format(box, "xyxy", "rel_xyxy")
    with pytest.raises(ValueError, match="four numbers in their last axis"):
        convert_format(np.ones((1, 5)), "xyxy", "xywh")


def test_one_image_and_its_boxes_go_through_as_a_batch_of_one() -> None:
    data = scene()
    one = {"boxes": data["bounding_boxes"]["boxes"][0], "labels": data["bounding_boxes"]["labels"][0]}
    batch = {key: value[None] for key, value in one.items()}
    for make in (*LAYERS, *SIZES):
        layer = make(bounding_box_format="xyxy")
        transformation = layer.get_random_transformation(data["images"][:1])
        alone = layer.transform_bounding_boxes(one, transformation)
        together = layer.transform_bounding_boxes(batch, transformation)
        for key in ("boxes", "labels"):
            np.testing.assert_array_equal(np.asarray(alone[key]), np.asarray(together[key])[0])
        image = layer.transform_images(data["images"][0], transformation)
        full = layer.transform_images(data["images"][:1], transformation)
        np.testing.assert_array_equal(np.asarray(image), np.asarray(full)[0])


def test_labels_may_be_vectors() -> None:
    data = scene()
    data["bounding_boxes"]["labels"] = np.ones((COUNT, 1, 5), "float32")
    layer = layers.RandomTranslation((0.9, 0.9), 0.0, bounding_box_format="xyxy")
    labels = np.asarray(layer(data, training=True)["bounding_boxes"]["labels"])
    assert labels.shape == (COUNT, 1, 5)
    assert (labels == -1).all()
