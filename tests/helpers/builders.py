"""Builders of small models and data sets."""

from __future__ import annotations

from typing import Any

import numpy as np

import hornbeam as hb
from hornbeam import layers


def compiled_model(
    shape: tuple[int, ...], hidden: list[layers.Layer], *settings: Any, name: str | None = None, **more: Any
) -> hb.Sequential:
    """Build a Sequential on inputs of a shape, and compile it: optimizer, loss, and other settings."""
    model = hb.Sequential([hb.Input(shape), *hidden], name=name)
    model.compile(*settings, **more)
    return model


def classifier(activation: str | None = "softmax", classes: int = 3, **compiled: Any) -> hb.Sequential:
    hb.utils.set_random_seed(0)
    model = hb.Sequential([hb.Input((4,)), layers.Dense(8, "relu"), layers.Dense(classes, activation)])
    model.compile("adam", **{"loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"], **compiled})
    return model


def data(n: int = 500, classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(n, 4)).astype("float32")
    return x, np.argmax(x[:, :classes] + rng.normal(size=(n, classes)), -1)


def tutorial() -> hb.Sequential:
    """Build the convolutional network of the tutorial on MNIST."""
    return hb.Sequential(
        [
            hb.Input((28, 28, 1)),
            layers.Conv2D(32, 3, activation="relu", name="conv_1"),
            layers.Conv2D(64, 3, activation="relu", name="conv_2"),
            layers.MaxPooling2D(2, name="pool"),
            layers.Dropout(0.25, name="drop_1"),
            layers.Flatten(name="flatten"),
            layers.Dense(128, activation="relu", name="dense"),
            layers.Dropout(0.5, name="drop_2"),
            layers.Dense(10, activation="softmax", name="digits"),
        ],
        name="tutorial",
    )
