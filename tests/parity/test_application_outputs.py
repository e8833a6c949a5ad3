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


@pytest.fixture(autouse=True)
def _no_random_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Zeros in place of Keras's random numbers, which take a minute to compile: all weights are set
    anyway."""
    from keras.src import backend

    def zeros(shape: tuple[int, ...], *args: object, dtype: Any = None, **kwargs: object) -> Any:
        return backend.convert_to_tensor(np.zeros(shape, "float32"))

    for name in ("uniform", "normal", "truncated_normal"):
        monkeypatch.setattr(backend.random, name, zeros)


def random_weights(model: Any, rng: np.random.Generator, gain: float) -> list[np.ndarray]:
    """Values with which signals neither die nor explode; normalizations of inputs stay as they are."""
    values = []
    for weight in model.weights:
        shape = tuple(weight.shape)
        if weight.path.startswith("normalization"):
            value = np.array(weight)
        elif weight.name.endswith("variance"):
            value = rng.uniform(0.5, 1.5, shape)
        elif weight.name == "gamma":
            value = rng.uniform(0.8, 1.2, shape)
        elif len(shape) > 1:
            depthwise = len(shape) == 4 and shape[-1] == 1
            fan_in = int(np.prod(shape[:2] if depthwise else shape[:-1]))
            value = rng.normal(size=shape) * gain / np.sqrt(fan_in)
        else:
            value = rng.normal(size=shape) * 0.1
        values.append(value.astype(str(weight.dtype)))
    return values


@pytest.mark.parametrize(("name", "side", "options"), CASES, ids=[name for name, _, _ in CASES])
def test_outputs(name: str, side: int, options: dict[str, Any]) -> None:
    rng = np.random.default_rng(0)
    shape = (side, side, 3)
    arguments = {
        "weights": None, "input_shape": shape, "classes": 7, "classifier_activation": None, **options,
    }  # fmt: skip
    theirs = getattr(keras.applications, name)(**arguments)
    ours = getattr(hornbeam.applications, name)(**arguments)
    # Weighed channels are halved again and again.
    values = random_weights(theirs, rng, 3.0 if name.startswith("Efficient") else 1.4)
    theirs.set_weights(values)
    ours.set_weights(values)
    images = rng.uniform(-1, 1, (2, *shape)).astype("float32")
    if name.startswith(("Eff", "ConvNeXt", "MobileNetV3")):
        images = 127.5 + 127.5 * images  # they take pixels
    expected = np.asarray(theirs(images))
    scale = np.abs(expected[0] - expected[1]).max()
    assert scale > 1e-3 * np.abs(expected).max(), "the outputs tell nothing of the images"
    for actual in (ours.predict(images, verbose=0), np.asarray(ours(images))):
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-3 * scale)
