"""Write what Keras makes of the images in tests/layers/augmentation/augmentation_cases.py.

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

FOLDER = Path(__file__).parents[1] / "tests" / "layers" / "augmentation"
sys.path.insert(0, str(FOLDER))

from augmentation_cases import (  # noqa: E402
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


def recorded(case: Case) -> dict[str, Any]:
    """By name: the transformation, the outputs, the config."""
    layer = eval(case.text, vars(keras.layers))
    images = images_of(case)
    found: dict[str, Any] = {"config": json.dumps(layer.get_config())}
    if case.exact:
        found["images"] = layer(images.copy(), training=True)
    transformation = layer.get_random_transformation(images, training=True)
    if not case.exact:
        found |= dict(flat(transformation))
        found["images"] = layer.transform_images(images.astype("float32"), transformation)
    if case.masks:
        found["masks"] = layer.transform_segmentation_masks(masks_of(case), transformation)
    if case.boxes:
        found |= layer.transform_bounding_boxes(boxes_of(), transformation)
    if "Mix" in case.text and "AugMix" not in case.text:
        found["mixed"] = layer.transform_labels(labels_of(), transformation)
    return found


def main() -> None:
    random.seed(1)
    keras.utils.set_random_seed(1)
    table = {
        f"{index}|{name}": np.asarray(value)
        for index, case in enumerate(CASES)
        for name, value in recorded(case).items()
    }
    for index, text in enumerate(BOX_CALLS):
        made = eval(text, {**vars(keras.utils.bounding_boxes), **box_names()})
        table |= {f"box{index}|{path}": np.asarray(value) for path, value in flat(made)}
    np.savez_compressed(FOLDER / "augmentation_expected.npz", **table)


if __name__ == "__main__":
    main()
