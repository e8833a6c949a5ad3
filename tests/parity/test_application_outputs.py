"""Small images through small architectures, with the same weights in Keras and here."""

from __future__ import annotations

import os
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")

import numpy as np
import pytest

import hornbeam

keras = pytest.importorskip("keras", reason="Keras is needed to compare with")

# What Keras and JAX warn of is not ours to mend.
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.slow]

# All families, each by its smallest member on its smallest image.
CASES: list[tuple[str, int, dict[str, Any]]] = [
    ("MobileNetV2", 32, {"alpha": 0.35}),
    ("MobileNetV3Small", 32, {"minimalistic": True}),
    ("ResNet50V2", 32, {}),
    ("DenseNet121", 32, {}),
    ("EfficientNetB0", 32, {}),
    ("EfficientNetV2B0", 32, {}),
    ("NASNetMobile", 32, {}),
    ("Xception", 71, {}),
    ("InceptionV3", 75, {}),
    ("ConvNeXtTiny", 32, {}),
]


def random_weights(model: Any, rng: np.random.Generator) -> list[np.ndarray]:
    """Values with which signals neither die nor explode."""
    values = []
    for weight in model.weights:
        shape = tuple(weight.shape)
        if weight.name.endswith("variance"):
            value = rng.uniform(0.5, 1.5, shape)
        elif weight.name == "gamma":
            value = rng.uniform(0.8, 1.2, shape)
        elif weight.name == "count":
            value = np.zeros(shape)
        else:
            fan_in = max(int(np.prod(shape[:-1])), 1) if len(shape) > 1 else 100
            value = rng.normal(size=shape) / np.sqrt(fan_in)
        values.append(value.astype(str(weight.dtype)))
    return values


@pytest.mark.parametrize(("name", "side", "options"), CASES, ids=[name for name, _, _ in CASES])
def test_outputs(name: str, side: int, options: dict[str, Any]) -> None:
    rng = np.random.default_rng(0)
    arguments = {"weights": None, "input_shape": (side, side, 3), "classes": 7, **options}
    theirs = getattr(keras.applications, name)(**arguments)
    ours = getattr(hornbeam.applications, name)(**arguments)
    values = random_weights(theirs, rng)
    theirs.set_weights(values)
    ours.set_weights(values)
    image = rng.uniform(-1, 1, (1, side, side, 3)).astype("float32")
    expected = np.asarray(theirs(image))
    np.testing.assert_allclose(ours.predict(image, verbose=0), expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(ours(image), expected, rtol=1e-4, atol=1e-6)
