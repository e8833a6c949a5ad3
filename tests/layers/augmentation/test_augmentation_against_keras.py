"""Layers on images give what Keras gives: whole calls where nothing is random, otherwise Keras's own
transformation applied by our layer.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hornbeam import layers, tree
from hornbeam.utils import bounding_boxes
from tests.helpers.augmentation_cases import (
    BOX_CALLS,
    CASES,
    SHAPE,
    box_names,
    boxes_of,
    flat,
    images_of,
    labels_of,
    masks_of,
    nested,
)

RECORDED: dict[str, dict[str, np.ndarray]] = {}
for _label, _value in np.load(Path(__file__).parent / "augmentation_expected.npz").items():
    _index, _, _name = _label.partition("|")
    RECORDED.setdefault(_index, {})[_name] = _value
EXPECTED = [RECORDED[str(i)] for i in range(len(CASES))]
# Names of families that are not imported yet are not in vars(layers).
NAMES = {name: getattr(layers, name) for name in layers.__all__}
EVERY = pytest.mark.parametrize("index", range(len(CASES)), ids=lambda i: CASES[i].text)


def layer_and_transformation(index: int) -> tuple[Any, Any]:
    """Our layer, and Keras's transformation, or ours where nothing is random."""
    case = CASES[index]
    layer = eval(case.text, NAMES)
    if case.exact:
        return layer, layer.get_random_transformation(images_of(case))
    parts = {k[2:]: v for k, v in EXPECTED[index].items() if k == "t" or k.startswith("t/")}
    return layer, adapted(layer, nested(parts))


def adapted(layer: Any, transformation: Any) -> Any:
    """Keras's transformation as ours are: with layers that draw nothing, and chosen by number."""
    if isinstance(layer, layers.RandAugment):
        transformation["transforms"] = {
            name: transformation["transforms"].get(name) for name in layer._choices
        }
    if isinstance(layer, layers.AugMix):
        # Drawn as ours are, then replaced by what Keras drew, whose chains are lists without idle steps.
        chains = layer.get_random_transformation(np.zeros(SHAPE))["chain_transforms"]
        transforms = tree.map_structure(
            lambda x: np.array(x) if hasattr(x, "shape") else x, chains["transforms"]
        )
        indices = np.full((layer.num_chains, layer.chain_depth), len(layer._choices))
        for i, chain in enumerate(transformation["chain_transforms"]):
            for j, step in enumerate(chain or []):
                name = str(step["layer_name"])
                indices[i, j] = layer._choices.index(name)
                for key, value in step.get("transformation", {}).items():
                    if isinstance(value, np.ndarray):
                        transforms[name][key][i * layer.chain_depth + j] = value
        transformation["chain_transforms"] = {"layer_idxes": indices.ravel(), "transforms": transforms}
    return transformation


def close(ours: Any, theirs: np.ndarray, rtol: float = 2e-5, scale: float | None = None) -> None:
    ours = np.asarray(ours)
    assert ours.shape == theirs.shape
    atol = rtol * (np.abs(theirs).max() + 1 if scale is None else scale)
    np.testing.assert_allclose(ours.astype("float64"), theirs.astype("float64"), rtol=rtol, atol=atol)


@EVERY
def test_images(index: int) -> None:
    case, expected = CASES[index], EXPECTED[index]
    layer, transformation = layer_and_transformation(index)
    images = images_of(case)
    if not case.exact:
        close(layer.transform_images(images.astype("float32"), transformation), expected["images"])
        return
    ours = np.asarray(layer(images.copy(), training=True))
    assert ours.dtype == expected["images"].dtype
    close(ours, expected["images"])


@EVERY
def test_what_belongs_to_the_images(index: int) -> None:
    expected = EXPECTED[index]
    layer, transformation = layer_and_transformation(index)
    if "masks" in expected:
        close(layer.transform_segmentation_masks(masks_of(CASES[index]), transformation), expected["masks"])
    if "boxes" in expected:
        ours = layer.transform_bounding_boxes(boxes_of(), transformation)
        close(ours["boxes"], expected["boxes"])
        np.testing.assert_array_equal(np.asarray(ours["labels"]), expected["labels"])
    if "mixed" in expected:
        close(layer.transform_labels(labels_of(), transformation), expected["mixed"])


@EVERY
def test_config(index: int) -> None:
    """Keras's keys and values, and a layer built from them is the same again."""
    theirs = json.loads(str(EXPECTED[index]["config"]))
    layer = eval(CASES[index].text, NAMES)
    ours = json.loads(json.dumps(layer.get_config()))
    again = type(layer).from_config(layer.get_config())
    assert json.loads(json.dumps(again.get_config())) == ours
    for config in (ours, theirs):
        del config["name"], config["dtype"]
    assert ours == theirs


@pytest.mark.parametrize("index", range(len(BOX_CALLS)), ids=lambda i: BOX_CALLS[i])
def test_boxes(index: int) -> None:
    ours = dict(flat(eval(BOX_CALLS[index], {**vars(bounding_boxes), **box_names()})))
    theirs = RECORDED[f"box{index}"]
    assert set(ours) == set(theirs)
    for path, value in theirs.items():
        close(ours[path], value)
