"""Write the results of Keras for the images of tests/helpers/augmentation_cases.py.

Run with Keras 3.15.1 on JAX from the repository's root:

    KERAS_BACKEND=jax python tools/expected_augmentation.py
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.helpers.augmentation_cases import (
    BOX_CALLS,
    CASES,
    Case,
    box_names,
    boxes_of,
    flat,
    images_of,
    labels_of,
    masks_of,
)
from tests.helpers.paths import ROOT

FOLDER = ROOT / "tests" / "layers" / "augmentation"


def record(case: Case) -> dict[str, Any]:
    """Return the transformation, the outputs and the config by name."""
    layer = eval(case.text, vars(keras.layers))
    images = images_of(case)
    values: dict[str, Any] = {"config": json.dumps(layer.get_config())}
    if case.exact:
        values["images"] = layer(images.copy(), training=True)
    transformation = layer.get_random_transformation(images, training=True)
    if not case.exact:
        values |= dict(flat(transformation))
        values["images"] = layer.transform_images(images.astype("float32"), transformation)
    if case.masks:
        values["masks"] = layer.transform_segmentation_masks(masks_of(case), transformation)
    if case.boxes:
        values |= layer.transform_bounding_boxes(boxes_of(), transformation)
    if "Mix" in case.text and "AugMix" not in case.text:
        values["mixed"] = layer.transform_labels(labels_of(), transformation)
    return values


def main() -> None:
    random.seed(1)
    keras.utils.set_random_seed(1)
    table = {
        f"{index}|{name}": np.asarray(value)
        for index, case in enumerate(CASES)
        for name, value in record(case).items()
    }
    for index, text in enumerate(BOX_CALLS):
        boxes = eval(text, {**vars(keras.utils.bounding_boxes), **box_names()})
        table |= {f"box{index}|{path}": np.asarray(value) for path, value in flat(boxes)}
    np.savez_compressed(FOLDER / "augmentation_expected.npz", **table)


if __name__ == "__main__":
    main()
