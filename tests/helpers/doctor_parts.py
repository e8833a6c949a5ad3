"""Parts of the trainings that the doctor checks: data, models, calls of fit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import hornbeam as hb
from hornbeam import layers, optimizers

Fit = Callable[[hb.callbacks.Doctor], Any]


# -- data --------------------------------------------------------------------------------------------------


def blobs(n: int = 512, features: int = 8, classes: int = 4, apart: float = 3.0, seed: int = 1) -> Any:
    """Clouds of points, one for each class."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(classes, features))
    centres *= apart / np.linalg.norm(centres, axis=1, keepdims=True)
    y = rng.integers(0, classes, n)
    x = centres[y] + rng.normal(size=(n, features))
    return ((x - x.mean(axis=0)) / x.std(axis=0)).astype("float32"), y.astype("int32")


def rings(n: int = 512, seed: int = 2) -> Any:
    """A disc inside of a ring: no line parts them."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n)
    angle, radius = rng.uniform(0, 2 * np.pi, n), y * 1.2 + rng.uniform(0.2, 0.8, n)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1).astype("float32"), y


def curve(n: int = 512, seed: int = 3) -> Any:
    """A smooth function of four numbers, with a little noise."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 4)).astype("float32")
    y = np.sin(x[:, 0]) + x[:, 1] * x[:, 2] + 0.1 * rng.normal(size=n)
    return x, y.astype("float32")


def images(n: int = 256, seed: int = 4) -> Any:
    """12 x 12 images of a bar across or upright, with noise, in integers from 0 to 255."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n)
    x = rng.uniform(0, 80, (n, 12, 12, 1))
    for i, at in enumerate(rng.integers(2, 9, n)):
        if y[i]:
            x[i, at : at + 2] += 150
        else:
            x[i, :, at : at + 2] += 150
    return x.astype("uint8"), y


def sequences(n: int = 256, length: int = 12, seed: int = 5) -> Any:
    """Series of numbers, and whether their sum is above 0."""
    x = np.random.default_rng(seed).normal(size=(n, length, 2)).astype("float32")
    return x, (x[:, :, 0].sum(axis=1) > 0).astype("float32")


# -- models ------------------------------------------------------------------------------------------------


def net(
    features: int = 8,
    classes: int = 4,
    hidden: Any = (32, 32),
    activation: Any = "relu",
    last: Any = "softmax",
    optimizer: Any = "adam",
    loss: Any = "sparse_categorical_crossentropy",
    metrics: Any = ("accuracy",),
    **options: Any,
) -> hb.Model:
    """An MLP, compiled. options: for the hidden layers."""
    stack = [layers.Dense(units, activation=activation, **options) for units in hidden]
    return compiled(
        [hb.Input((features,)), *stack, layers.Dense(classes, activation=last)], optimizer, loss, metrics
    )


def compiled(
    stack: Any,
    optimizer: Any = "adam",
    loss: Any = "sparse_categorical_crossentropy",
    metrics: Any = ("accuracy",),
) -> hb.Model:
    model = hb.Sequential(stack) if isinstance(stack, list) else stack
    model.compile(optimizer, loss, metrics=list(metrics) or None)
    return model


def run(model: hb.Model, x: Any, y: Any = None, epochs: int = 6, batch_size: Any = 32, **options: Any) -> Fit:
    def fit(doctor: hb.callbacks.Doctor) -> None:
        model.fit(x, y, epochs=epochs, batch_size=batch_size, verbose=0, callbacks=[doctor], **options)

    return fit


def sgd(rate: float, **options: Any) -> optimizers.SGD:
    return optimizers.SGD(rate, **options)


def conv(scaled: bool = True, optimizer: Any = "adam", extra: Any = ()) -> hb.Model:
    front: list[Any] = [layers.Rescaling(1 / 255)] if scaled else []
    return compiled(
        [
            hb.Input((12, 12, 1)), *front, layers.Conv2D(8, 3, activation="relu"), layers.MaxPooling2D(2),
            layers.Conv2D(16, 3, activation="relu"), *extra, layers.Flatten(), layers.Dropout(0.3),
            layers.Dense(2, activation="softmax"),
        ],
        optimizer,
    )  # fmt: skip


def stacked(*middle: Any, last: Any = "softmax", **options: Any) -> hb.Model:
    return compiled([hb.Input((8,)), *middle, layers.Dense(4, activation=last)], **options)


X, Y = blobs()
CX, CY = curve()
